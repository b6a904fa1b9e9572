//! What a statement does, as a value: the kind that routing asks for, why it is that kind, and
//! what it leaves behind in the server's session.

use std::fmt;

/// What a query text does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// What routing asks for.
    pub kind: Kind,
    /// Why it is of that kind.
    pub reason: Reason,
    /// What the server session holds after it has run.
    pub state: StateChange,
}

impl Class {
    pub(super) const fn new(kind: Kind, reason: Reason) -> Self {
        Self { kind, reason, state: StateChange::None }
    }

    /// A statement for the primary that leaves nothing in the session.
    pub(super) const fn write(reason: Reason) -> Self {
        Self::new(Kind::Write, reason)
    }

    /// A statement for the primary that ties the session to its connection there.
    pub(super) const fn untracked(reason: Reason) -> Self {
        Self { kind: Kind::Write, reason, state: StateChange::Untracked }
    }

    /// Tells whether a transaction that runs on a standby may hold it.
    ///
    /// A standby itself refuses what writes. It does not refuse a lock that excludes nobody there,
    /// nor state that the session would look for on its primary connection.
    #[must_use]
    pub const fn suits_replica(&self) -> bool {
        matches!(self.state, StateChange::None)
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
    /// A `SHOW` that pgherd answers itself.
    Pgherd(PoolShow),
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
    /// `pool_pins`
    Pins,
    /// `pool_route_stats`
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

/// What the server session holds after a statement that it did not hold before.
///
/// A statement may fail and still have changed the session (an advisory lock is kept, a prepared
/// statement too), so this holds whether or not it succeeds. Only a syntax error (SQLSTATE 42601)
/// tells for sure that nothing has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// Nothing that the session's other server connection would miss.
    None,
    /// Something that only the primary connection has (a temporary table, a prepared statement, a
    /// held cursor, `LISTEN`), or perhaps has: the session stays on it from now on.
    Untracked,
}

/// Why a text is of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the words of the clause, which Display writes")]
pub enum Reason {
    /// A query that only reads.
    PlainRead,
    /// `COPY … TO STDOUT` of a table or of a query that only reads.
    CopyOut,
    /// Nothing to run.
    NothingToRun,
    /// Starts, ends or shapes a transaction.
    TransactionControl,
    /// Sets a parameter of the session.
    SetsParameter,
    /// Undoes the session's state.
    DiscardsState,
    /// Shows a parameter of the server.
    ShowsParameter,
    /// Asks pgherd about itself.
    AsksPgherd,
    /// `INSERT`, `UPDATE`, `DELETE` or `MERGE`.
    Dml,
    /// One of those inside a query.
    DmlInQuery,
    /// Data definition, maintenance and every other command, by its first word.
    Command { word: Box<str> },
    /// A command that changes the session's own state, by its first word.
    SessionCommand { word: Box<str> },
    /// `COPY` into a table, or to or from the server's files and programs.
    Copy,
    /// `EXPLAIN`.
    Explain,
    /// `SELECT … INTO`.
    SelectInto,
    /// `FOR UPDATE`, `FOR SHARE` and their like.
    LockingClause,
    /// Reads a system catalog, which Pgpool-II too leaves to the primary.
    SystemCatalog { relation: Box<str> },
    /// Calls a function that is not known to be harmless.
    UnknownFunction { name: Box<str> },
    /// Calls a function that writes, or whose answer is the primary's to give.
    PrimaryFunction { name: Box<str> },
    /// Takes or gives back an advisory lock.
    AdvisoryLock { name: Box<str> },
    /// Uses an operator that is not PostgreSQL's own.
    UnknownOperator { name: Box<str> },
    /// Sets a parameter whose effect cannot be repeated on another connection.
    StickyParameter { name: Box<str> },
    /// Sets a parameter for the transaction only.
    LocalParameter,
    /// More than one statement in one text.
    MultipleStatements { count: usize },
    /// Syntax that the parser knows and that is not PostgreSQL's, as far as is known.
    ForeignSyntax,
    /// The parser does not understand it.
    Unparsable,
    /// Not even the tokens can be told apart with certainty.
    Unreadable(Unreadable),
    /// Longer than what is parsed, in bytes.
    TooLong { len: usize },
    /// More operators and words than what is parsed.
    TooComplex { terms: usize },
    /// A comment stands before it, and `allow_sql_comments` is off.
    CommentBefore,
}

/// What makes the tokens of a text uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A literal, a quoted name or a comment does not end.
    Unterminated,
    /// A backslash before a quote, which ends the literal or not according to a setting.
    BackslashBeforeQuote,
    /// A name with Unicode escapes.
    UnicodeName,
    /// A number that runs into a name.
    JunkAfterNumber,
    /// A byte that stands for nothing, or white space that only some readers take for such.
    StrayByte,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unterminated => "a literal, a name or a comment does not end",
            Self::BackslashBeforeQuote => "a backslash stands before a quote",
            Self::UnicodeName => "a name has Unicode escapes",
            Self::JunkAfterNumber => "a number runs into a name",
            Self::StrayByte => "a byte outside of literals stands for nothing",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PlainRead => "it only reads",
            Self::CopyOut => "it only copies out what it reads",
            Self::NothingToRun => "there is nothing to run",
            Self::TransactionControl => "it acts on the transaction",
            Self::SetsParameter => "it sets a parameter of the session",
            Self::DiscardsState => "it discards the state of the session",
            Self::ShowsParameter => "it shows a parameter of the server",
            Self::AsksPgherd => "pgherd answers it",
            Self::Dml => "it changes rows",
            Self::DmlInQuery => "the query contains a statement that changes rows",
            Self::Copy => "it copies into a table or touches the server's files",
            Self::Explain => "plans are the primary's to explain",
            Self::SelectInto => "it selects into a table",
            Self::LockingClause => "it locks the rows it reads",
            Self::LocalParameter => "it sets a parameter for the transaction",
            Self::ForeignSyntax => "its syntax is not known to be PostgreSQL's",
            Self::Unparsable => "the parser does not understand it",
            Self::CommentBefore => "a comment stands before it",
            Self::Command { word } => return write!(f, "{word} is for the primary"),
            Self::SessionCommand { word } => {
                return write!(f, "{word} ties the session to its connection");
            }
            Self::SystemCatalog { relation } => {
                return write!(f, "it reads the system catalog {relation}");
            }
            Self::UnknownFunction { name } => {
                return write!(f, "it calls {name}, which is not known to only read");
            }
            Self::PrimaryFunction { name } => {
                return write!(f, "it calls {name}, which only the primary answers");
            }
            Self::AdvisoryLock { name } => {
                return write!(f, "it calls {name}, whose lock only counts on the primary");
            }
            Self::UnknownOperator { name } => return write!(f, "it uses the operator {name}"),
            Self::StickyParameter { name } => {
                return write!(f, "it sets {name}, which cannot be repeated elsewhere");
            }
            Self::MultipleStatements { count } => return write!(f, "it has {count} statements"),
            Self::Unreadable(unreadable) => return unreadable.fmt(f),
            Self::TooLong { len } => return write!(f, "its {len} bytes are too many to parse"),
            Self::TooComplex { terms } => {
                return write!(f, "its {terms} words and operators are too many to parse");
            }
        })
    }
}
