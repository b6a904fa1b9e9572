//! Why a text is of its kind, in words and as a word.

use std::fmt;

use crate::route::unreadable::Unreadable;

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
    /// Sets a parameter of the session, in a way that can be repeated on another connection. Its
    /// name in lower case; `all` for `RESET ALL`; several with commas between them.
    SetsParameter { name: Box<str> },
    /// Shows a parameter that tells a primary from a standby, or one server from another.
    PrimaryParameter { name: Box<str> },
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
    /// Reads an unlogged relation, whose rows no standby has.
    UnloggedRelation { relation: Box<str> },
    /// Reads a sequence as a table; on a standby it is ahead of its time.
    Sequence { relation: Box<str> },
    /// Calls a function that is not known to be harmless.
    UnknownFunction { name: Box<str> },
    /// Calls a function that writes, or whose answer is the primary's to give.
    PrimaryFunction { name: Box<str> },
    /// Calls a function that the catalog knows as volatile.
    VolatileFunction { name: Box<str> },
    /// Calls a function that writes, as the operator's lists have it.
    ListedFunction { name: Box<str> },
    /// Calls a function that leaves something in the session.
    SessionFunction { name: Box<str> },
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
    /// The comment `/*NO LOAD BALANCE*/` stands before it.
    NoLoadBalance,
    /// It matches `primary_routing_query_pattern_list`.
    ListedText,
    /// It looked like a read, and a standby would not run it.
    RefusedByStandby,
}

impl Reason {
    /// Returns the reason as one word that does not change from release to release, for statistics
    /// and for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::PlainRead => "read",
            Self::CopyOut => "copy_out",
            Self::NothingToRun => "empty",
            Self::TransactionControl => "transaction_control",
            Self::SetsParameter { .. } => "set",
            Self::StickyParameter { .. } => "set_sticky",
            Self::LocalParameter => "set_local",
            Self::DiscardsState => "discard",
            Self::ShowsParameter => "show",
            Self::PrimaryParameter { .. } => "show_primary",
            Self::AsksPgherd => "pgherd",
            Self::Dml => "dml",
            Self::DmlInQuery => "dml_in_query",
            Self::Command { .. } => "command",
            Self::SessionCommand { .. } => "session_command",
            Self::Copy => "copy",
            Self::Explain => "explain",
            Self::SelectInto => "select_into",
            Self::LockingClause => "locking_clause",
            Self::SystemCatalog { .. } => "system_catalog",
            Self::UnknownFunction { .. } => "unknown_function",
            Self::PrimaryFunction { .. } => "primary_function",
            Self::VolatileFunction { .. } => "volatile_function",
            Self::ListedFunction { .. } => "listed_function",
            Self::SessionFunction { .. } => "session_function",
            Self::UnloggedRelation { .. } => "unlogged_relation",
            Self::Sequence { .. } => "sequence",
            Self::NoLoadBalance => "no_load_balance",
            Self::ListedText => "listed_text",
            Self::AdvisoryLock { .. } => "advisory_lock",
            Self::UnknownOperator { .. } => "unknown_operator",
            Self::MultipleStatements { .. } => "multiple_statements",
            Self::ForeignSyntax => "foreign_syntax",
            Self::Unparsable => "unparsable",
            Self::Unreadable(_) => "unreadable",
            Self::TooLong { .. } => "too_long",
            Self::TooComplex { .. } => "too_complex",
            Self::CommentBefore => "comment",
            Self::RefusedByStandby => "refused_by_standby",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PlainRead => "it only reads",
            Self::CopyOut => "it only copies out what it reads",
            Self::NothingToRun => "there is nothing to run",
            Self::TransactionControl => "it acts on the transaction",
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
            Self::VolatileFunction { name } => {
                return write!(f, "it calls {name}, which is volatile");
            }
            Self::ListedFunction { name } => {
                return write!(f, "it calls {name}, which writes by the lists of functions");
            }
            Self::SessionFunction { name } => {
                return write!(f, "it calls {name}, which changes the session");
            }
            Self::UnloggedRelation { relation } => {
                return write!(f, "it reads {relation}, which is unlogged");
            }
            Self::Sequence { relation } => return write!(f, "it reads the sequence {relation}"),
            Self::NoLoadBalance => "a comment forbids to balance it",
            Self::ListedText => "it matches primary_routing_query_pattern_list",
            Self::AdvisoryLock { name } => {
                return write!(f, "it calls {name}, whose lock only counts on the primary");
            }
            Self::UnknownOperator { name } => return write!(f, "it uses the operator {name}"),
            Self::SetsParameter { name } => return write!(f, "it sets {name} for the session"),
            Self::PrimaryParameter { name } => {
                return write!(f, "it shows {name}, which tells one server from another");
            }
            Self::RefusedByStandby => "a standby has refused it",
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
