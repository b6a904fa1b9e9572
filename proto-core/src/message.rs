//! What machines tell one another, and what a driver tells them of arrivals and ends.
//!
//! Machines never call each other, even in one process: the simulator delays and reorders
//! messages between different pairs, and keeps the order between the same pair, as channels do.

use core::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::clients::{Headcount, Places, Roll};
use crate::config::Config;
use crate::id::{BackendId, ConnId, Epoch, ShardId};
use crate::inquiry::{Asker, Sheet, View};
use crate::job::{Ending, JobId};
use crate::memory::Texts;
use crate::pool::{Lease, Limit};
use crate::route::catalog::Catalog;
use crate::time::Duration;
use crate::topology::Topology;
use crate::wire::error::Fields;

/// Who a message is from or for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// The control plane of this process.
    Control,
    /// A shard of this process.
    Shard(ShardId),
    /// The person or program that runs this process; receives nothing but a [`Wish`].
    Operator,
}

/// A message between machines.
#[derive(Clone, Debug)]
pub enum Message {
    /// The cluster as now agreed. From `Control` to every shard.
    Topology(Arc<Topology>),
    /// A new configuration. From the operator to every machine.
    Reload(Arc<Config>),
    /// Stop. From the operator to every machine, or from `Control` to every shard.
    Shutdown(Shutdown),
    /// What somebody who may has asked for and only the operator can do. From `Control`.
    Wish(Wish),
    /// Places under a limit of connections are asked for, lent or returned. Between `Control` and a
    /// shard.
    Lease {
        /// The limit.
        limit: Limit,
        /// What is said about it.
        lease: Lease,
    },
    /// A connection to a node failed: look at it now. From a shard to `Control`.
    Suspect {
        /// The node.
        backend: BackendId,
        /// The view of the cluster in which it failed.
        epoch: Epoch,
        /// What was heard of it.
        sign: Sign,
    },
    /// What a node meant that has ended sessions (57P01): it has been looked at since. From `Control`
    /// to every shard.
    Meant {
        /// The node.
        backend: BackendId,
        /// Whom it meant.
        whom: Whom,
    },
    /// A session uses a node for the first time since it came up. From a shard to `Control`.
    InUse {
        /// The node.
        backend: BackendId,
    },
    /// Nothing is under way any more on the node where nothing new begins, and nobody has anything
    /// there that would be lost with the connection. From a shard to `Control`.
    Quiet {
        /// The view of the cluster in which it holds.
        epoch: Epoch,
    },
    /// New work is held no longer. From a shard to `Control`.
    Waited {
        /// The view of the cluster that ended it.
        epoch: Epoch,
        /// How long the one of its clients has waited that has waited longest; zero if none does.
        longest: Duration,
    },
    /// What has become of the numbers of clients. From a shard to `Control`.
    Headcount(Headcount),
    /// How many clients every shard has. From `Control` to every shard.
    Roll(Roll),
    /// Places for clients are asked for, given or returned. Between `Control` and a shard.
    Places(Places),
    /// A cancel request for a session of another shard, and who waits for it to be done.
    Cancel {
        /// What the client presented.
        key: CancelKey,
        /// The connection of the sender that waits.
        asker: ConnId,
    },
    /// A cancel request was delivered, or was nothing.
    Cancelled {
        /// The connection that waited.
        asker: ConnId,
    },
    /// A session asks what all shards have to say. From a shard to `Control`.
    Ask {
        /// The session.
        asker: Asker,
        /// What it asks for.
        view: View,
    },
    /// Say what you have to say. From `Control` to every shard.
    Collect {
        /// The number of the question.
        number: u64,
        /// What is asked for.
        view: View,
    },
    /// What one shard has to say. To `Control`.
    Collected {
        /// The number of the question.
        number: u64,
        /// The answer.
        sheet: Sheet,
    },
    /// What all shards have to say, and `Control`. To the shard of the session that asked.
    Answer {
        /// The session.
        asker: Asker,
        /// The answer.
        sheet: Sheet,
    },
    /// A database is about to be dropped: close the idle connections to it. From a shard to every
    /// shard.
    Vacate {
        /// Its name.
        database: Bytes,
    },
    /// The catalog of a database has changed: what is known of it is to be asked for anew. From a
    /// shard to every shard.
    CatalogStale {
        /// Its name.
        database: Bytes,
    },
    /// The facts of a database's catalog, as a shard was told them. From a shard to every shard.
    Catalog {
        /// Its name.
        database: Bytes,
        /// The facts.
        catalog: Arc<Catalog>,
    },
    /// Every session and every connection to a server has ended after a shutdown. From a shard to
    /// `Control`.
    Drained,
    /// A command has ended. From the driver to the machine that had it run, in its own name.
    Ended {
        /// Which one.
        job: JobId,
        /// What came of it.
        ending: Ending,
    },
}

/// What a connection to a server ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Nothing that says more than that it ended.
    Silence,
    /// The server has ended it (57P01, 57P02), for this session's sake or because it stops.
    Goodbye,
}

impl Sign {
    /// Reads it off the server's last words, the body of a fatal `ErrorResponse`.
    #[must_use]
    pub fn of(last_words: Option<&Bytes>) -> Self {
        match last_words.map(|body| Fields::read(body).code) {
            Some(b"57P01" | b"57P02") => Self::Goodbye,
            Some(_) | None => Self::Silence,
        }
    }
}

/// Whom a server meant by the end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// This session, as an administrator or a time limit does.
    One,
    /// All: it goes, or is gone.
    All,
}

/// What only the operator can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Read the configuration again, as at a `SIGHUP`.
    Reload,
    /// Begin another log file, as at a `SIGUSR1`.
    RotateLog,
    /// Keep this for the next start.
    Remember(Arc<Texts>),
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// Accept nobody, let transactions finish up to `shutdown_timeout`, then close (`SIGTERM`).
    Smart,
    /// Accept nobody, tell every client, close (`SIGINT`).
    Fast,
    /// Close everything at once (`SIGQUIT`).
    Immediate,
}

/// What a client presents to cancel a statement: the `BackendKeyData` that it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelKey {
    /// Names the shard and the place of the session in it.
    pub process: u32,
    /// Proves that the client was told.
    pub secret: Bytes,
}

/// A connection that a client opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Where it comes from; none for a Unix socket.
    pub address: Option<SocketAddr>,
    /// Whether it has been moved.
    pub hop: Hop,
    /// By which door it came.
    pub door: Door,
}

/// What is spoken at a place where pgherd listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// PostgreSQL's protocol: applications. Every shard listens.
    #[default]
    Sql,
    /// PCP, Pgpool-II's protocol for administrators. `Control` listens, and these connections stay
    /// with it.
    Pcp,
}

/// Whether a connection has been moved from one machine to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// It has come by the door.
    None,
    /// It was sent by a machine that has accepted it, and stays.
    Taken,
}

/// Why a connection has ended, or did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The peer closed it.
    ByPeer,
    /// The core asked for it.
    ByUs,
    /// Nobody listens there.
    Refused,
    /// The name of the host could not be resolved.
    Unresolved,
    /// Nothing came in time.
    TimedOut,
    /// Any other error of the network.
    Broken,
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ByPeer => "closed by the peer",
            Self::ByUs => "closed",
            Self::Refused => "connection refused",
            Self::Unresolved => "host name not found",
            Self::TimedOut => "timed out",
            Self::Broken => "network error",
        })
    }
}
