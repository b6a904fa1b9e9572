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
    /// As long as the session.
    Temporary,
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
        value: Option<String>,
        scope: Scope,
    },
    /// `set transaction …`
    SetTransaction(Option<Access>),
    Show(String),
    /// None for `all`.
    Reset(Option<String>),
    DiscardAll,
    /// `discard temp`, `discard plans`, `discard sequences`
    Discard,
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
    },
    Fetch {
        name: String,
        /// None for `all`.
        count: Option<u64>,
    },
    /// None for `all`.
    CloseCursor(Option<String>),
    Lock(Vec<String>),
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
    pub(super) const fn write_name(&self) -> Option<&'static str> {
        match self {
            Self::Insert { .. } => Some("INSERT"),
            Self::Update { .. } => Some("UPDATE"),
            Self::Delete { .. } => Some("DELETE"),
            Self::Truncate(_) => Some("TRUNCATE TABLE"),
            Self::Create { from: Some(_), .. } => Some("CREATE TABLE AS"),
            Self::Create { .. } => Some("CREATE TABLE"),
            Self::Drop { .. } => Some("DROP TABLE"),
            Self::CopyIn { .. } => Some("COPY FROM"),
            Self::Lock(_) => Some("LOCK TABLE"),
            Self::Select(Select { lock: RowLock::Update, .. }) => Some("SELECT FOR UPDATE"),
            Self::Listen(_) => Some("LISTEN"),
            Self::Notify(..) => Some("NOTIFY"),
            Self::Empty
            | Self::Select(_)
            | Self::Begin(_)
            | Self::Commit
            | Self::Rollback
            | Self::Savepoint(_)
            | Self::RollbackTo(_)
            | Self::Release(_)
            | Self::Set { .. }
            | Self::SetTransaction(_)
            | Self::Show(_)
            | Self::Reset(_)
            | Self::DiscardAll
            | Self::Discard
            | Self::Prepare { .. }
            | Self::Execute { .. }
            | Self::Deallocate(_)
            | Self::Declare { .. }
            | Self::Fetch { .. }
            | Self::CloseCursor(_)
            | Self::CopyOut(_)
            | Self::Unlisten(_)
            | Self::Do(_)
            | Self::Checkpoint
            | Self::Explain => None,
        }
    }

    /// Tells whether a failed transaction lets the statement pass.
    pub(super) const fn ends_transaction(&self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::RollbackTo(_))
    }
}
