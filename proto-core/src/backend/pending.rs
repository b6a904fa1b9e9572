//! The answers that a server owes, and whose they are.

use std::sync::Arc;

use bytes::Bytes;

use super::statement::Statement;

/// Who an answer is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// The session's client.
    #[default]
    Client,
    /// pgherd, which asked of its own accord.
    Proxy,
    /// Nobody any more.
    Nobody,
}

/// The client's name for a statement, and the statement.
pub type Named = (Bytes, Arc<Statement>);

/// An answer that the server owes.
#[derive(Debug)]
pub enum Pending {
    /// A `ParseComplete`, and the statement that exists from then on, if it has a name.
    Parse {
        /// Who receives it.
        owner: Owner,
        /// The stamp of the unnamed statement that exists from then on, if it is one; else 0.
        stamp: u64,
        /// The client's name for it and the statement.
        statement: Option<Named>,
    },
    /// A `CloseComplete`.
    Close {
        /// Who receives it.
        owner: Owner,
        /// The client's name for the statement that exists no longer from then on, if it is one.
        name: Option<Bytes>,
    },
    /// Everything up to and including a `ReadyForQuery`.
    Ready {
        /// Who receives it.
        owner: Owner,
        /// The request was a `Sync`, which a server that waits for `CopyData` ignores.
        request: Request,
    },
}

/// What a `ReadyForQuery` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A `Query` or a `FunctionCall`.
    Query,
    /// A `Sync`.
    Sync,
    /// The question what the server session holds.
    Audit,
    /// A parameter that the session wants to be set before its statement is sent.
    Setting,
    /// The same, behind a statement that has reset it; the client is told of it.
    Told,
}

impl Pending {
    /// Who receives it.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        match self {
            Self::Parse { owner, .. } | Self::Close { owner, .. } | Self::Ready { owner, .. } => {
                *owner
            }
        }
    }

    /// Nobody is to receive it any more.
    pub const fn disown(&mut self) {
        match self {
            Self::Parse { owner, .. } | Self::Close { owner, .. } | Self::Ready { owner, .. } => {
                *owner = Owner::Nobody;
            }
        }
    }
}
