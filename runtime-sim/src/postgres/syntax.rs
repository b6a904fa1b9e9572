//! Statements and expressions, as parsed.

use super::value::{Type, Value};

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Literal(Value, Type),
    Param(usize),
    Column(String),
    Cast(Box<Expr>, Type),
    /// A function; a `*` argument is no argument.
    Call(String, Vec<Expr>),
    Binary(Op, Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    IsNull(Box<Expr>),
}

/// An operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Concat,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// What rows come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum From {
    /// One row without columns.
    Nothing,
    Table(String),
    /// `generate_series(first, last) as name`
    Series(Expr, Expr, String),
    Select(Box<Select>),
}

/// One item of a select list.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    All,
    Expr(Expr, String),
}

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Select {
    pub(super) items: Vec<Item>,
    pub(super) from: From,
    pub(super) filter: Option<Expr>,
    pub(super) order: Vec<(Expr, Order)>,
    pub(super) limit: Option<Expr>,
    pub(super) lock: RowLock,
}

/// A direction of sorting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Up,
    Down,
}

/// Whether a query locks the rows that it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowLock {
    None,
    /// `for update`, `for share`…
    Update,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) ty: Type,
    pub(super) kind: ColumnKind,
}

/// What is special about a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
    Plain,
    Serial,
    Key,
    SerialKey,
}

/// Where inserted rows come from.
#[expect(clippy::large_enum_variant, reason = "statements are few, and moved seldom")]
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rows {
    /// No expression stands for `default`.
    Values(Vec<Vec<Option<Expr>>>),
    Select(Select),
}

/// Whether it matters that something is there already, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exists {
    Matters,
    /// `if exists`, `if not exists`, `on conflict do nothing`
    IsFine,
}

/// How long a table lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Lasting,
    /// Until the server crashes, and on no standby.
    Unlogged,
    /// As long as the session.
    Temporary,
    /// As long as the transaction.
    Transaction,
}

/// Whether a cursor outlives its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    With,
    Without,
}

/// Which things `discard` forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Discard {
    All,
    Temporary,
    Plans,
    Sequences,
}

/// What a function may do, as its author says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Volatility {
    Volatile,
    Stable,
    Immutable,
}

/// A function.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Function {
    /// Types of its arguments.
    pub(super) takes: Vec<Type>,
    pub(super) returns: Type,
    pub(super) volatility: Volatility,
    /// Its text, as `pg_proc.prosrc` has it.
    pub(super) source: String,
    pub(super) body: Vec<Statement>,
}

/// How hard a table is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grip {
    /// Up to `ROW EXCLUSIVE`, which a standby grants.
    Light,
    Hard,
}

/// Whether a transaction may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    ReadOnly,
    ReadWrite,
}

/// How far a setting reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Session,
    Transaction,
}

/// A setting of a server itself, in effect from its next reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parameter {
    /// `primary_conninfo`
    Conninfo(String),
    /// `default_transaction_read_only`
    Access(Access),
    /// `synchronous_standby_names`
    Synchrony(String),
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Statement {
    Empty,
    Select(Select),
    Insert {
        table: String,
        columns: Vec<String>,
        rows: Rows,
        conflict: Exists,
        returning: Vec<Item>,
    },
    Update {
        table: String,
        set: Vec<(String, Expr)>,
        filter: Option<Expr>,
        returning: Vec<Item>,
    },
    Delete {
        table: String,
        filter: Option<Expr>,
        returning: Vec<Item>,
    },
    Truncate(Vec<String>),
    CreateView {
        name: String,
        select: Select,
        exists: Exists,
    },
    DropView {
        names: Vec<String>,
        exists: Exists,
    },
    CreateFunction {
        name: String,
        function: Function,
        exists: Exists,
    },
    DropFunction {
        name: String,
        exists: Exists,
    },
    CreateAccessMethod(String),
    DropAccessMethod(String),
    /// The role that a user takes on at a login to this database, or none.
    AlterRole {
        user: String,
        database: String,
        role: Option<String>,
    },
    /// A setting of the server itself.
    AlterSystem(Parameter),
    CreateDatabase(String),
    DropDatabase {
        name: String,
        exists: Exists,
    },
    Create {
        table: String,
        columns: Vec<Column>,
        exists: Exists,
        life: Life,
        /// `create table … as select`
        from: Option<Select>,
    },
    Drop {
        tables: Vec<String>,
        exists: Exists,
    },
    Begin(Option<Access>),
    Commit,
    Rollback,
    Savepoint(String),
    RollbackTo(String),
    Release(String),
    Set {
        name: String,
        /// None for `default`.
        value: Option<Vec<String>>,
        scope: Scope,
    },
    /// `set transaction …`
    SetTransaction(Option<Access>),
    Show(String),
    /// None for `all`.
    Reset(Option<String>),
    Discard(Discard),
    Prepare {
        name: String,
        types: Vec<Type>,
        statement: Box<Statement>,
    },
    Execute {
        name: String,
        arguments: Vec<Expr>,
    },
    /// None for `all`.
    Deallocate(Option<String>),
    Declare {
        name: String,
        select: Select,
        hold: Hold,
    },
    Fetch {
        name: String,
        /// None for `all`.
        count: Option<u64>,
    },
    /// As `Fetch`, without rows.
    Move {
        name: String,
        count: Option<u64>,
    },
    /// None for `all`.
    CloseCursor(Option<String>),
    Lock(Vec<String>, Grip),
    CopyIn {
        table: String,
        columns: Vec<String>,
    },
    CopyOut(Select),
    Listen(String),
    /// None for `*`.
    Unlisten(Option<String>),
    Notify(String, String),
    Do(String),
    Checkpoint,
    Explain,
}

impl Statement {
    /// PostgreSQL's name for a statement that writes; none for one that does not.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are allowed everywhere")]
    pub(super) const fn write_name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Insert { .. } => "INSERT",
            Self::Update { .. } => "UPDATE",
            Self::Delete { .. } => "DELETE",
            Self::Truncate(_) => "TRUNCATE TABLE",
            Self::Create { from: Some(_), .. } => "CREATE TABLE AS",
            Self::Create { .. } => "CREATE TABLE",
            Self::Drop { .. } => "DROP TABLE",
            Self::CreateView { .. } => "CREATE VIEW",
            Self::DropView { .. } => "DROP VIEW",
            Self::CreateFunction { .. } => "CREATE FUNCTION",
            Self::DropFunction { .. } => "DROP FUNCTION",
            Self::CreateAccessMethod(_) => "CREATE ACCESS METHOD",
            Self::DropAccessMethod(_) => "DROP ACCESS METHOD",
            Self::AlterRole { .. } => "ALTER ROLE",
            Self::CreateDatabase(_) => "CREATE DATABASE",
            Self::DropDatabase { .. } => "DROP DATABASE",
            Self::CopyIn { .. } => "COPY FROM",
            Self::Select(Select { lock: RowLock::Update, .. }) => "SELECT FOR UPDATE",
            _ => return None,
        })
    }

    /// PostgreSQL's name for a statement that is no write, and that a standby refuses all the
    /// same.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are allowed everywhere")]
    pub(super) const fn primary_name(&self) -> Option<&'static str> {
        Some(match self {
            Self::CopyIn { .. } => "COPY",
            Self::Lock(_, Grip::Hard) => "LOCK TABLE",
            Self::Listen(_) => "LISTEN",
            Self::Notify(..) => "NOTIFY",
            _ => return None,
        })
    }

    /// Tells whether a failed transaction lets the statement pass.
    pub(super) const fn ends_transaction(&self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::RollbackTo(_))
    }
}
