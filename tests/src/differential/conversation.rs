//! A conversation: a login, and what is said after it, unit by unit.

use super::saying::Saying;
use crate::client::Login;

/// What one client says.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// How it logs in.
    pub login: Login,
    /// What it says then. Any of them can be left out, and the rest is still a conversation.
    pub units: Vec<Unit>,
}

/// What belongs together: a client that has said part of it says the rest, and waits for the end
/// of the answer before it says anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its parts, in order.
    pub parts: Vec<Part>,
    /// What it does to the data.
    pub effect: Effect,
}

/// What is sent in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The messages.
    pub sayings: Vec<Saying>,
    /// Under which condition it is sent.
    pub given: Given,
    /// What comes before anything else is sent.
    pub until: Until,
}

/// Under which condition a part is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Always.
    Always,
    /// If the part before was answered with a `CopyInResponse`.
    Invited,
}

/// What a client waits for after a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Nothing.
    Sent,
    /// So many `ReadyForQuery`.
    Ready(usize),
    /// A `CopyInResponse`, or a `ReadyForQuery` if there will be none.
    Invitation,
    /// A `CopyInResponse`, or an error if there will be none.
    InvitationOrError,
    /// The answer to every message of the part, or an error, as after a `Flush`.
    Flushed,
    /// The end of the connection.
    Closed,
}

/// What something does to the data, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It neither reads nor writes tables that last.
    None,
    /// It reads them.
    Reads,
    /// It may write them. What is read on a standby after it would depend on replication.
    Writes,
}

impl Unit {
    /// Messages that are sent in one go and answered with so many `ReadyForQuery`.
    #[must_use]
    pub fn one(sayings: Vec<Saying>, ready: usize, effect: Effect) -> Self {
        Self { parts: vec![Part::then(sayings, Until::Ready(ready))], effect }
    }
}

impl Part {
    /// Messages, and what is waited for after them.
    #[must_use]
    pub const fn then(sayings: Vec<Saying>, until: Until) -> Self {
        Self { sayings, given: Given::Always, until }
    }

    /// Messages that are sent if the server asks for copied data.
    #[must_use]
    pub const fn invited(sayings: Vec<Saying>, until: Until) -> Self {
        Self { sayings, given: Given::Invited, until }
    }
}
