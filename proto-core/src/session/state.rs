//! What a session is in the middle of: its state, as enums with data.

use std::sync::Arc;

use bytes::Bytes;

use super::local::Batch as LocalBatch;
use super::loss::Farewell;
use super::refusal::Refusal;
use super::settings::Change;
use crate::auth::exchange::Exchange;
use crate::id::ConnId;
use crate::pool::PoolKey;
use crate::route::Side;

#[derive(Debug)]
pub(super) enum State {
    /// Nothing is known of the client but its requests for encryption.
    Starting { encryption_requests: u8 },
    /// Its request to cancel something else is on its way.
    Cancelling,
    /// A link is wanted, to learn what the servers ask for.
    Asking,
    /// It proves who it is.
    Proving(Box<Proof>),
    /// It has proved who it is; a link is wanted, to learn the servers' parameters.
    Welcoming,
    /// It is at work.
    Serving,
    /// What is queued is being sent; nothing that comes is read.
    Closing,
}

#[derive(Debug)]
pub(super) struct Proof {
    pub(super) exchange: Exchange,
}

/// The links that a session holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) primary: Option<ConnId>,
    pub(super) replica: Option<ConnId>,
}

impl Held {
    pub(super) fn at(&mut self, side: Side) -> &mut Option<ConnId> {
        match side {
            Side::Primary => &mut self.primary,
            Side::Replica => &mut self.replica,
        }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = ConnId> {
        [self.primary, self.replica].into_iter().flatten()
    }

    pub(super) fn drop_link(&mut self, id: ConnId) {
        if self.primary == Some(id) {
            self.primary = None;
        }
        if self.replica == Some(id) {
            self.replica = None;
        }
    }
}

/// The pools from which a session has had its links.
///
/// Where links are given back after every transaction they are asked for as often. The keys are the
/// pools' own, so that keeping them takes no room and asking does not allocate.
#[derive(Debug, Default)]
pub(super) struct Pools {
    primary: Option<Arc<PoolKey>>,
    replica: Option<Arc<PoolKey>>,
}

impl Pools {
    pub(super) fn at(&mut self, side: Side) -> &mut Option<Arc<PoolKey>> {
        match side {
            Side::Primary => &mut self.primary,
            Side::Replica => &mut self.replica,
        }
    }
}

/// Who answers the client's messages up to its next `Sync`.
#[derive(Debug, Default)]
pub(super) enum Turn {
    /// There are none yet: the next message decides.
    #[default]
    None,
    /// The server at this link.
    At(ConnId),
    /// pgherd itself.
    Local(Box<LocalBatch>),
    /// Nobody: pgherd has reported an error.
    Discard,
}

/// Where the rest of the client's current message goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Passing {
    #[default]
    Nowhere,
    To(ConnId),
}

/// What a statement does to the session if it succeeds.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// It sets a parameter.
    Change(Change),
    /// It undoes everything.
    Discard,
    /// It makes one prepared statement, or all, cease to exist.
    Deallocate(Option<Bytes>),
    /// It ends a transaction: what was set in it counts, or does not.
    Ended(Ended),
    /// It rolls part of a transaction back.
    RolledBackTo,
}

impl Effect {
    /// Whether it gives every one of these parameters another value; there are commas between them.
    pub(super) fn replaces(&self, names: &[u8]) -> bool {
        match self {
            Self::Discard | Self::Change(Change::ResetAll) => true,
            Self::Change(Change::Reset(name)) => name == names,
            Self::Change(Change::Set(setting)) => {
                let is_set = |name: &[u8]| setting.names().any(|set| set == name);
                names.split(|byte| *byte == b',').all(is_set)
            }
            Self::Deallocate(_) | Self::Ended(_) | Self::RolledBackTo => false,
        }
    }
}

/// How a transaction has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Committed,
    RolledBack,
}

/// Whether the server has been asked what its session holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Audit {
    /// It holds what the pins say.
    #[default]
    Settled,
    /// A statement may have changed that.
    Due,
    /// It is being asked.
    Asked,
}

/// Whether the server reported an error since its last `ReadyForQuery`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Outcome {
    #[default]
    Fine,
    Failed,
}

/// Whether a transaction was lost with its server.
#[derive(Debug, Default)]
pub(super) enum Limbo {
    #[default]
    None,
    /// It was, and the client has not been told why.
    Untold(Box<Refusal>),
    /// It was, and the client has been told; it must still end it.
    Told,
}

/// What a session waits for.
#[derive(Debug, Default)]
pub(super) enum Wait {
    #[default]
    Nothing,
    /// That the servers have answered everything.
    Turn,
    /// That what it wants to be set is set on this link.
    Settings(ConnId),
    /// A link of a pool.
    Link(Arc<PoolKey>),
    /// A node fit for the purpose.
    Node,
    /// The control plane's word whether reads are to be sent again. Nothing is taken meanwhile.
    Word(Box<Farewell>),
    /// The control plane's answer.
    Answer,
}

/// What came of looking at a message.
pub(super) enum Taken {
    /// So many unread bytes were taken.
    Bytes(usize),
    /// None: the session waits, or has ended.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_together_is_replaced_together() {
        let change = |name: &str, text: &str| {
            Effect::Change(Change::of(name, text.as_bytes()).expect("it fits"))
        };
        for (effect, names, replaces) in [
            (change("a", "SET a TO 1"), "a", true),
            (change("a", "SET a TO 1"), "b", false),
            (change("a", "SET a TO 1"), "a,b", false),
            (change("a,b", "SET SESSION CHARACTERISTICS ..."), "a,b", true),
            (change("b,a", "SET SESSION CHARACTERISTICS ..."), "a,b", true),
            (change("a,b", "SET SESSION CHARACTERISTICS ..."), "b", true),
            (change("a", "RESET a"), "a", true),
            (change("a", "RESET a"), "a,b", false),
            (change("all", "RESET ALL"), "a,b", true),
            (Effect::Discard, "a,b", true),
            (Effect::RolledBackTo, "a", false),
        ] {
            assert_eq!(effect.replaces(names.as_bytes()), replaces, "{effect:?}, {names}");
        }
    }
}
