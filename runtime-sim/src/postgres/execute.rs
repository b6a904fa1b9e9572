//! What a statement does.

mod answers;
mod call;
mod change;
mod define;
mod infer;
mod standing;
mod transaction;

use pgherd_core::time::Duration;

pub(super) use self::answers::known;
pub(super) use self::call::expand;
use self::call::{call_all, call_each};
pub(super) use self::change::copied;
use self::change::{copy_in, delete, insert, truncate, update};
pub(super) use self::infer::{describe, infer};
use super::context::{Block, Context};
use super::engine::{Engine, Lock, Manners, Nature, Synchrony};
use super::eval::{Facts, RowView, eval, is_true};
use super::row_set::RowSet;
use super::select::select;
use super::syntax::{Access, From, Grip, Parameter, RowLock, Rows, Select, Statement};
use super::token::{Token, tokens};
use super::value::{SqlError, Value};

/// What a statement gave.
#[derive(Debug)]
pub(super) enum Outcome {
    Empty,
    /// Done; this is its tag.
    Done(String),
    /// Rows; their number follows the tag.
    Rows(RowSet, &'static str),
    CopyOut(RowSet),
    CopyIn {
        table: String,
        columns: Vec<String>,
        count: usize,
    },
}

/// Why a statement gave nothing, yet.
#[derive(Debug)]
pub(super) enum Stop {
    /// It failed.
    Error(SqlError),
    /// It waits for a lock.
    Blocked,
    /// It sleeps; carry on with it after that.
    Sleep(Duration),
}

impl std::convert::From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Self::Error(error)
    }
}

/// Carries out a statement; one that was stopped is carried out again from its beginning.
pub(super) fn execute(
    statement: &Statement,
    params: &[Value],
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    context.called = 0;
    context.depth = 0;
    run(statement, params, context, engine)
}

/// Carries out a statement, or one that another is made of.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other statements are about the session alone"
)]
fn run(
    statement: &Statement,
    params: &[Value],
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    if context.block == Block::Failed && !statement.ends_transaction() {
        return Err(Stop::Error(aborted()));
    }
    context.enter(engine);
    check_access(statement, context, engine)?;
    if tables(statement).iter().any(|table| is_locked(table, context, engine)) {
        return Err(Stop::Blocked);
    }
    let facts = context.facts(engine, params);
    match statement {
        Statement::Select(query) => run_select(query, &facts, context, engine),
        Statement::Insert { .. } => {
            insert(&called(statement, &facts, context, engine)?, &facts, context, engine)
        }
        Statement::Update { .. } => update(statement, &facts, context, engine),
        Statement::Delete { .. } => delete(statement, &facts, context, engine),
        Statement::Truncate(tables) => truncate(tables, context, engine),
        Statement::Create { .. } => define::create(statement, &facts, context, engine),
        Statement::Drop { tables, exists } => {
            define::drop_relations(tables, *exists, "table", context, engine)
        }
        Statement::CreateView { name, select, exists } => {
            define::create_view(name, select, *exists, context, engine)
        }
        Statement::DropView { names, exists } => {
            define::drop_relations(names, *exists, "view", context, engine)
        }
        Statement::CreateFunction { .. } => define::create_function(statement, context, engine),
        Statement::DropFunction { name, exists } => {
            define::drop_function(name, *exists, context, engine)
        }
        Statement::CreateAccessMethod(name) => define::create_access_method(name, context),
        Statement::DropAccessMethod(name) => define::drop_access_method(name, context),
        Statement::AlterRole { user, database, role } => {
            define::alter_role(user, database, role.as_deref(), context)
        }
        Statement::AlterSystem(parameter) => {
            match parameter {
                Parameter::Conninfo(_) if engine.manners == Manners::Stubborn => {
                    let what = "permission denied to set parameter \"primary_conninfo\"";
                    return Err(Stop::Error(SqlError::new("42501", what)));
                }
                Parameter::Conninfo(conninfo) => conninfo.clone_into(&mut engine.conninfo_next),
                Parameter::Access(access) => engine.access_next = *access,
                Parameter::Synchrony(names) => engine.synchrony_next = Synchrony::parse(names)?,
            }
            done("ALTER SYSTEM")
        }
        Statement::CreateDatabase(name) => define::create_database(name, context, engine),
        Statement::DropDatabase { name, exists } => {
            define::drop_database(name, *exists, context, engine)
        }
        Statement::Lock(tables, _) => lock_tables(tables, context, engine),
        Statement::CopyIn { table, columns } => copy_in(table, columns, context, engine),
        Statement::CopyOut(query) => match run_select(query, &facts, context, engine)? {
            Outcome::Rows(rows, _) => Ok(Outcome::CopyOut(rows)),
            other => Ok(other),
        },
        Statement::Execute { name, arguments } => {
            let (prepared, params) = standing::bound(name, arguments, &facts, context)?;
            run(&prepared.statement, &params, context, engine)
        }
        Statement::Declare { name, select: query, hold } => {
            standing::declare(name, query, *hold, &facts, context, engine)
        }
        Statement::Do(body) => raise(body, context),
        other => standing::session_statement(other, context, engine),
    }
}

fn done(tag: &str) -> Result<Outcome, Stop> {
    Ok(Outcome::Done(tag.to_owned()))
}

/// The error of everything in a transaction that has failed.
pub(super) fn aborted() -> SqlError {
    let what = "current transaction is aborted, commands ignored until end of transaction block";
    SqlError::new("25P02", what)
}

/// A standby and a read-only transaction refuse writes.
fn check_access(statement: &Statement, context: &Context, engine: &Engine) -> Result<(), SqlError> {
    if engine.is_standby()
        && let Some(name) = statement.primary_name()
    {
        return Err(SqlError::new("25006", format!("cannot execute {name} during recovery")));
    }
    let Some(name) = statement.write_name() else { return Ok(()) };
    // PostgreSQL docs, "SET TRANSACTION": rows of temporary tables may be changed.
    let rows_of_own = matches!(
        statement,
        Statement::Insert { table, .. }
            | Statement::Update { table, .. }
            | Statement::Delete { table, .. }
            | Statement::CopyIn { table, .. } if context.own.is_temporary(table)
    );
    if engine.is_standby() || (context.access == Access::ReadOnly && !rows_of_own) {
        let what = format!("cannot execute {name} in a read-only transaction");
        return Err(SqlError::new("25006", what));
    }
    Ok(())
}

/// A standby has no rows of unlogged tables.
pub(super) fn check_logged(
    statement: &Statement,
    context: &Context,
    engine: &Engine,
) -> Result<(), SqlError> {
    if !engine.is_standby() {
        return Ok(());
    }
    for table in tables(statement) {
        let nature = engine.view(table, &context.own).map(|view| view.into_owned().nature);
        if nature.is_ok_and(|nature| nature == Nature::Unlogged) {
            let what = "cannot access temporary or unlogged relations during recovery";
            return Err(SqlError::new("0A000", what));
        }
    }
    Ok(())
}

/// The tables that a statement touches.
#[expect(clippy::wildcard_enum_match_arm, reason = "no other statement touches any")]
fn tables(statement: &Statement) -> Vec<&str> {
    match statement {
        Statement::Select(select) | Statement::CopyOut(select) => tables_of(select),
        Statement::Insert { table, .. }
        | Statement::Update { table, .. }
        | Statement::Delete { table, .. }
        | Statement::CopyIn { table, .. } => vec![table],
        Statement::Truncate(tables)
        | Statement::Lock(tables, Grip::Hard)
        | Statement::Drop { tables, .. } => tables.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

fn tables_of(select: &Select) -> Vec<&str> {
    match &select.from {
        From::Table(table) => vec![table],
        From::Select(inner) => tables_of(inner),
        From::Nothing | From::Series(..) => Vec::new(),
    }
}

fn is_locked(table: &str, context: &Context, engine: &Engine) -> bool {
    engine.is_locked(&context.own.database, &context.own.resolve(table), context.process)
}

fn lock(engine: &mut Engine, context: &Context, lock: Lock) -> Result<(), Stop> {
    if engine.lock(lock, context.process) { Ok(()) } else { Err(Stop::Blocked) }
}

fn lock_tables(tables: &[String], context: &Context, engine: &mut Engine) -> Result<Outcome, Stop> {
    in_block(context, "LOCK TABLE")?;
    for table in tables {
        engine.view(table, &context.own)?;
        let full = context.own.resolve(table).into_owned();
        lock(engine, context, Lock::Table(context.own.database.clone(), full))?;
    }
    done("LOCK TABLE")
}

fn in_block(context: &Context, what: &str) -> Result<(), SqlError> {
    if context.block == Block::Open {
        return Ok(());
    }
    Err(SqlError::new("25P01", format!("{what} can only be used in transaction blocks")))
}

fn run_select(
    query: &Select,
    facts: &Facts,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    let mut query = expand(query, engine, &context.own)?;
    let statement = Statement::Select(query.clone());
    check_logged(&statement, context, engine)?;
    if engine.is_standby() && engine.conflicts > 0 {
        engine.conflicts -= 1;
        return Err(Stop::Error(conflict()));
    }
    call_all(&mut query, facts, context, engine)?;
    // What was called may have changed what the rest of the query asks about.
    let facts = &context.facts(engine, &facts.params);
    if let (RowLock::Update, From::Table(table)) = (query.lock, &query.from) {
        let view = engine.view(table, &context.own)?.into_owned();
        for (row, values) in &view.rows {
            let found = RowView { columns: &view.columns, values };
            let fits = |filter| Ok::<_, SqlError>(is_true(&eval(filter, found, facts)?));
            if query.filter.as_ref().map_or(Ok(true), fits)? {
                lock(engine, context, Lock::Row(*row))?;
            }
        }
    }
    let rows = select(&query, engine, &context.own, facts)?;
    engine.deeds.append(&mut facts.deeds.borrow_mut());
    context.notes.append(&mut facts.notes.borrow_mut());
    Ok(Outcome::Rows(rows, "SELECT"))
}

/// What a standby's statement fails with that replay cannot wait for.
pub(super) fn conflict() -> SqlError {
    SqlError::new("40001", "canceling statement due to conflict with recovery")
}

/// Calls the functions in what a statement inserts.
fn called(
    statement: &Statement,
    facts: &Facts,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Statement, Stop> {
    let mut statement = statement.clone();
    if let Statement::Insert { rows, .. } = &mut statement {
        match rows {
            Rows::Values(rows) => {
                for expr in rows.iter_mut().flatten().flatten() {
                    call_each(expr, facts, context, engine)?;
                }
            }
            Rows::Select(query) => {
                *query = expand(query, engine, &context.own)?;
                call_all(query, facts, context, engine)?;
            }
        }
    }
    Ok(statement)
}

/// The one condition that a `do` block raises by its code.
const DISK_FULL: &str = "53100";

/// Carries out the `raise` and `perform pg_sleep` statements of a `do` block.
fn raise(body: &str, context: &mut Context) -> Result<Outcome, Stop> {
    let words = tokens(body)?;
    let is =
        |at: usize, word: &str| matches!(words.get(at), Some(Token::Word(found)) if found == word);
    if context.answers.is_empty() {
        let at = (0..words.len()).find(|at| is(*at, "perform") && is(at + 1, "pg_sleep"));
        if let Some(Token::Number(seconds)) = at.and_then(|at| words.get(at + 3)) {
            let seconds = seconds.parse().unwrap_or(0.0);
            let sleep = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            context.answers.push(Value::Null);
            return Err(Stop::Sleep(sleep));
        }
    }
    for at in (0..words.len()).filter(|at| is(*at, "raise")) {
        let text = match words.get(at + 2) {
            Some(Token::Text(text)) => text.clone(),
            _ => continue,
        };
        if is(at + 1, "sqlstate") && text == DISK_FULL {
            return Err(Stop::Error(SqlError::new(DISK_FULL, "disk full")));
        }
        if is(at + 1, "exception") {
            return Err(Stop::Error(SqlError::new("P0001", text)));
        }
        let severity = if is(at + 1, "warning") { "WARNING" } else { "NOTICE" };
        context.notices.push((severity, "00000", text));
    }
    done("DO")
}
