//! The unnamed statements that do not come about because their batch has failed.

use super::pending::{Owner, Pending};

/// Their stamps; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// The client's, if its `Parse` is the first message that is not answered.
    pub first: u64,
    /// The client's last one.
    pub last: u64,
    /// The one that the client has already, and that pgherd was bringing to the server.
    pub brought: u64,
}

impl Missed {
    /// Takes note of an answer that does not come. Returns the stamp that the server's unnamed
    /// statement would have had from then on, if it was about that.
    pub fn note(&mut self, pending: &Pending, is_first: bool) -> Option<u64> {
        match pending {
            Pending::Parse { owner: Owner::Proxy, stamp: stamp @ 1.., .. } => {
                self.brought = *stamp;
                Some(*stamp)
            }
            Pending::Parse { stamp: stamp @ 1.., .. } => {
                if is_first {
                    self.first = *stamp;
                }
                self.last = *stamp;
                Some(*stamp)
            }
            // There was to be none.
            Pending::Close { owner: Owner::Proxy, name: None } => Some(0),
            Pending::Parse { .. } | Pending::Close { .. } | Pending::Ready { .. } => None,
        }
    }
}
