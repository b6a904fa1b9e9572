//! What a statement does, as a value: the kind that routing asks for, why it is that kind, and
//! what it leaves behind in the server's session.

mod reason;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::verb::Verb;
use crate::limits;

pub use reason::Reason;

/// What a query text does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// What routing asks for.
    pub kind: Kind,
    /// Why it is of that kind.
    pub reason: Reason,
    /// What it changes in what the server session holds.
    pub state: StateChange,
    /// What it is counted as.
    pub verb: Verb,
    /// The relations that it reads, without their schemas.
    pub reads: Relations,
    /// What it writes: relations without their schemas, and functions with `()` behind their names.
    pub writes: Relations,
}

/// The relations that a statement touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Relations {
    /// None.
    #[default]
    None,
    /// These, and no others; perhaps nothing that has a name.
    Named(Arc<[Box<str>]>),
    /// Any.
    Unknown,
}

impl Relations {
    /// Makes a set of names, unless there are too many of them.
    pub(super) fn of(names: BTreeSet<Box<str>>) -> Self {
        if names.len() > limits::CLASS_RELATIONS_MAX {
            return Self::Unknown;
        }
        Self::Named(names.into_iter().collect())
    }

    /// Returns the names, as far as they are known.
    #[must_use]
    pub fn names(&self) -> &[Box<str>] {
        match self {
            Self::Named(names) => names,
            Self::None | Self::Unknown => &[],
        }
    }
}

impl Class {
    pub(super) const fn new(kind: Kind, reason: Reason) -> Self {
        Self {
            kind,
            reason,
            state: StateChange::None,
            verb: Verb::Other,
            reads: Relations::None,
            writes: Relations::None,
        }
    }

    /// A statement for the primary that may write and leaves nothing in the session.
    pub(super) fn write(reason: Reason) -> Self {
        Self::leaving(reason, StateChange::None)
    }

    /// A statement for the primary that writes nothing and leaves nothing in the session.
    pub(super) fn primary_read(reason: Reason) -> Self {
        Self::new(Kind::Write, reason)
    }

    /// Returns the same for the primary, for another reason.
    pub(crate) fn bound(self, reason: Reason) -> Self {
        Self { kind: Kind::Write, reason, ..self }
    }

    /// A statement for the primary that may leave anything in the session.
    pub(super) fn unknown(reason: Reason) -> Self {
        Self::leaving(reason, StateChange::Unknown)
    }

    /// A statement for the primary that does this to the session.
    pub(super) fn leaving(reason: Reason, state: StateChange) -> Self {
        Self { state, writes: Relations::Unknown, ..Self::new(Kind::Write, reason) }
    }

    /// Tells whether a transaction that runs on a standby may hold it.
    ///
    /// A standby itself refuses what writes. It does not refuse a lock that excludes nobody there,
    /// nor state that the session would look for on its primary connection. What a statement might
    /// leave is no reason to refuse it: whoever takes the connection back asks the server.
    #[must_use]
    pub const fn suits_replica(&self) -> bool {
        !matches!(self.state, StateChange::Holds(_))
            && !matches!(self.reason, Reason::AdvisoryLock { .. })
    }
}

/// What routing needs to know of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only reads, and any server gives the same answer.
    Read,
    /// All else, and every doubt.
    Write,
    /// `BEGIN` or `START TRANSACTION`.
    Begin {
        /// What it says about writing.
        access: Access,
        /// The isolation level, where it names one.
        isolation: Option<Isolation>,
    },
    /// `COMMIT` and `ROLLBACK` in all their spellings; with `AND CHAIN` another transaction of the
    /// same characteristics is open afterwards, which the server's `ReadyForQuery` tells.
    End,
    /// Acts on the transaction it is in: savepoints, `SET TRANSACTION`, `PREPARE TRANSACTION`.
    Transaction,
    /// `SET` or `RESET` of a parameter, which can be repeated word for word on the session's other
    /// server connection. If its transaction rolls back, so does it.
    Setting,
    /// Nothing but white space, comments and semicolons.
    Empty,
    /// `SHOW` of a parameter of the server.
    Show,
    /// Answered by pgherd itself. What exactly is asked, [`asks::read`](super::asks::read) finds in
    /// the text.
    Pgherd(Ask),
    /// `DISCARD ALL`, after which the server session is as new.
    DiscardAll,
}

/// What the start of a transaction says about writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `READ ONLY`.
    ReadOnly,
    /// `READ WRITE`.
    ReadWrite,
    /// Neither, so that `default_transaction_read_only` decides.
    Unstated,
}

/// An isolation level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// `SERIALIZABLE`, which a standby refuses.
    Serializable,
    /// `REPEATABLE READ`.
    RepeatableRead,
    /// `READ COMMITTED`.
    ReadCommitted,
    /// `READ UNCOMMITTED`.
    ReadUncommitted,
}

/// What pgherd is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `SHOW` of one of its own tables.
    Show(PoolShow),
    /// `EXPLAIN ROUTE` of a statement.
    ExplainRoute,
    /// `PGPOOL SHOW`, `PGPOOL SET` or `PGPOOL RESET`.
    Pgpool,
}

/// What pgherd shows of itself, under the names of Pgpool-II.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolShow {
    /// `pool_nodes`
    Nodes,
    /// `pool_processes`
    Processes,
    /// `pool_pools`
    Pools,
    /// `pool_status`
    Status,
    /// `pool_version`
    Version,
    /// `pool_cache`
    Cache,
    /// `pool_health_check_stats`
    HealthCheckStats,
    /// `pool_backend_stats`
    BackendStats,
    /// `pool_pins`, which Pgpool-II does not have.
    Pins,
    /// `pool_route_stats`, which Pgpool-II does not have.
    RouteStats,
}

impl PoolShow {
    /// Finds what is shown under a name, given after identifier folding.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "pool_nodes" => Self::Nodes,
            "pool_processes" => Self::Processes,
            "pool_pools" => Self::Pools,
            "pool_status" => Self::Status,
            "pool_version" => Self::Version,
            "pool_cache" => Self::Cache,
            "pool_health_check_stats" => Self::HealthCheckStats,
            "pool_backend_stats" => Self::BackendStats,
            "pool_pins" => Self::Pins,
            "pool_route_stats" => Self::RouteStats,
            _ => return None,
        })
    }

    /// Returns the name that it is asked for by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nodes => "pool_nodes",
            Self::Processes => "pool_processes",
            Self::Pools => "pool_pools",
            Self::Status => "pool_status",
            Self::Version => "pool_version",
            Self::Cache => "pool_cache",
            Self::HealthCheckStats => "pool_health_check_stats",
            Self::BackendStats => "pool_backend_stats",
            Self::Pins => "pool_pins",
            Self::RouteStats => "pool_route_stats",
        }
    }
}

/// What a statement may change in what the server session holds, and no other connection has.
///
/// A statement may fail and still have changed the session (an advisory lock is kept, a prepared
/// statement too), so this holds whether or not it succeeds. Only a syntax error (SQLSTATE 42601)
/// tells for sure that nothing has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateChange {
    /// Nothing.
    #[default]
    None,
    /// It may take something away, and leaves nothing.
    Undoes,
    /// It may leave anything: the text does not tell.
    Unknown,
    /// It leaves this.
    Holds(Hold),
}

impl StateChange {
    /// Joins what two parts of one text do: what is left counts for more than what may be.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            // Of the others the server can tell.
            (Self::Holds(Hold::Setting), _) | (_, Self::Holds(Hold::Setting)) => {
                Self::Holds(Hold::Setting)
            }
            (Self::Holds(hold), _) | (_, Self::Holds(hold)) => Self::Holds(hold),
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Undoes, _) | (_, Self::Undoes) => Self::Undoes,
            (Self::None, Self::None) => Self::None,
        }
    }

    /// Tells whether something may be left behind.
    #[must_use]
    pub const fn leaves(self) -> bool {
        match self {
            Self::Holds(_) | Self::Unknown => true,
            Self::None | Self::Undoes => false,
        }
    }
}

/// What a server session holds that no other connection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// A channel that it listens to.
    Listen,
    /// A temporary table, view, sequence or function.
    TemporaryTable,
    /// A cursor that outlives its transaction.
    HeldCursor,
    /// An advisory lock that outlives its transaction.
    AdvisoryLock,
    /// A statement made by SQL's `PREPARE`.
    Prepared,
    /// A parameter that cannot be repeated elsewhere, or what behaves like one: a role, a loaded
    /// library. The server may not be able to tell of it when asked.
    Setting,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_counts_for_more() {
        use StateChange::{Holds, None, Undoes, Unknown};
        let ranks = [None, Undoes, Unknown, Holds(Hold::Listen)];
        for (index, low) in ranks.into_iter().enumerate() {
            for high in ranks.into_iter().skip(index) {
                assert_eq!((low.and(high), high.and(low)), (high, high));
            }
        }
    }

    #[test]
    fn shows_are_found_by_their_names() {
        for name in ["pool_nodes", "pool_pins", "pool_route_stats", "pool_backend_stats"] {
            assert_eq!(PoolShow::from_name(name).map(PoolShow::name), Some(name));
        }
        assert_eq!(PoolShow::from_name("pool_herd"), Option::None);
    }
}
