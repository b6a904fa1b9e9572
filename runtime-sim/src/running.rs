//! A command that a proxy has run, and what is left of it to be done.

use pgherd_core::job::JobId;
use pgherd_core::message::Peer;

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) of: Peer,
    pub(crate) id: JobId,
    /// Which proxy has it run, counted from the first: it outlives a proxy that is killed.
    pub(crate) proxy: u32,
    pub(crate) deed: Deed,
}

/// What a command does at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Nothing more; it ends like this.
    None(Exit),
    /// A node is promoted.
    Promote { node: usize },
    /// A node becomes a standby of another one.
    Rebuild { node: usize, primary: usize, data: Data },
}

/// How a command ends that has nothing more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Status(i32),
    TooLate,
    Recalled,
}

/// What a node has when it is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// A copy of the primary's, as its standby.
    Copy,
    /// A copy of the primary's, for itself.
    Clone,
    /// What it had, as the primary's standby.
    Own,
}
