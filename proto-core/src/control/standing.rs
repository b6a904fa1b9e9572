//! Where a node stands: whether it is kept out of service, and whether it was there before.

/// Whether a node is kept out of service, and who may let it in again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hold {
    /// It is not: it serves whenever it answers.
    #[default]
    None,
    /// By the operator, who alone lets it in again.
    Detached,
    /// It was lost, and `auto_failback` is off: the operator lets it in again.
    Lost,
    /// It is back, or new, and not yet proved to follow the primary. It is let in when it is.
    Unproved,
    /// It is of another cluster than the one that is served: nothing is done with it. It is let in
    /// when it follows the primary.
    Foreign,
    /// It has followed somebody who takes writes beside the primary, and may have what is written there.
    /// It is let in when it is seen to follow the primary.
    Astray,
    /// It may take writes that the cluster does not know of: it was the primary before a promotion,
    /// or was told to become it. It is let in again when it is seen as a standby.
    Fenced,
}

impl Hold {
    /// Whether a node that answers is in quarantine by it: looks decide when it is let in.
    pub(super) const fn is_quarantine(self) -> bool {
        match self {
            Self::Unproved | Self::Foreign | Self::Astray | Self::Fenced => true,
            Self::None | Self::Detached | Self::Lost => false,
        }
    }
}

/// Whether a node has answered at its look before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It has.
    There,
    /// It is new, or was lost.
    Back,
}

/// What was known of two servers that take writes, when the second one was first seen to: where the WAL
/// of each ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fork {
    /// The primary's, at its last look. What it has written since, the other one may lack.
    pub(super) primary: u64,
    /// The other one's. What goes beyond this on the primary's timeline, it lacks.
    pub(super) own: u64,
}
