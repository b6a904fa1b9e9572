//! What a statement does.

mod change;
mod infer;

use pgherd_core::time::{Duration, Instant};

pub(super) use self::change::copied;
use self::change::{copy_in, delete, insert, truncate, update};
pub(super) use self::infer::{describe, infer};
use super::context::{Block, Context, Prepared, Rested};
use super::engine::{Effect, Engine, Lock, print_lsn};
use super::eval::{Facts, RowView, eval, is_true};
use super::parse::columns_of;
use super::select::{Header, RowSet, select};
use super::syntax::{Access, Exists, Expr, From, Item, Life, RowLock, Select, Statement};
use super::token::{Token, tokens};
use super::value::{SqlError, Type, Value};

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

/// Carries out a statement.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other statements are about the session alone"
)]
pub(super) fn execute(
    statement: &Statement,
    params: &[Value],
    context: &mut Context,
    engine: &mut Engine,
    now: Instant,
) -> Result<Outcome, Stop> {
    if context.block == Block::Failed && !statement.ends_transaction() {
        return Err(Stop::Error(SqlError::new(
            "25P02",
            "current transaction is aborted, commands ignored until end of transaction block",
        )));
    }
    context.enter();
    check_access(statement, context, engine)?;
    if tables(statement).iter().any(|table| engine.is_locked(table, context.process)) {
        return Err(Stop::Blocked);
    }
    let facts = context.facts(engine, now, params);
    match statement {
        Statement::Select(query) => run_select(query, &facts, context, engine),
        Statement::Insert { .. } => insert(statement, &facts, context, engine),
        Statement::Update { .. } => update(statement, &facts, context, engine),
        Statement::Delete { .. } => delete(statement, &facts, context, engine),
        Statement::Truncate(tables) => truncate(tables, context, engine),
        Statement::Create { .. } => create(statement, &facts, context, engine),
        Statement::Drop { tables, exists } => drop_tables(tables, *exists, context, engine),
        Statement::Lock(tables) => {
            in_block(context, "LOCK TABLE")?;
            for table in tables {
                engine.view(table, &context.effects)?;
                lock(engine, context, Lock::Table(table.clone()))?;
            }
            done("LOCK TABLE")
        }
        Statement::CopyIn { table, columns } => copy_in(table, columns, context, engine),
        Statement::CopyOut(query) => {
            Ok(Outcome::CopyOut(select(query, engine, &context.effects, &facts)?))
        }
        Statement::Execute { name, arguments } => {
            let prepared = context.prepared.get(name).cloned();
            let prepared = prepared.ok_or_else(|| unknown_statement(name))?;
            let mut params = Vec::new();
            for (argument, at) in arguments.iter().zip(0..) {
                let ty = prepared.types.get(at).copied().unwrap_or(Type::Text);
                params.push(ty.cast(eval(argument, RowView::NONE, &facts)?)?);
            }
            execute(&prepared.statement, &params, context, engine, now)
        }
        Statement::Declare { name, select: query } => {
            in_block(context, "DECLARE CURSOR")?;
            let rows = select(query, engine, &context.effects, &facts)?;
            context.cursors.insert(name.clone(), rows);
            done("DECLARE CURSOR")
        }
        Statement::Fetch { name, count } => fetch(name, *count, context),
        Statement::Do(body) => raise(body, context),
        other => session_statement(other, context, engine),
    }
}

fn done(tag: &str) -> Result<Outcome, Stop> {
    Ok(Outcome::Done(tag.to_owned()))
}

fn unknown_statement(name: &str) -> SqlError {
    SqlError::new("26000", format!("prepared statement \"{name}\" does not exist"))
}

/// A standby and a read-only transaction refuse writes.
fn check_access(statement: &Statement, context: &Context, engine: &Engine) -> Result<(), SqlError> {
    let Some(name) = statement.write_name() else { return Ok(()) };
    let own = tables(statement).iter().all(|table| context.is_temporary(table));
    let signals = matches!(statement, Statement::Listen(_) | Statement::Notify(..));
    let fresh = matches!(statement, Statement::Create { life: Life::Temporary, .. });
    let read_only = context.access == Access::ReadOnly && !own && !signals && !fresh;
    if engine.is_standby() && signals {
        return Err(SqlError::new("25006", format!("cannot execute {name} during recovery")));
    }
    if engine.is_standby() || read_only {
        let what = format!("cannot execute {name} in a read-only transaction");
        return Err(SqlError::new("25006", what));
    }
    Ok(())
}

/// The tables that a statement touches.
#[expect(clippy::wildcard_enum_match_arm, reason = "no other statement touches any")]
fn tables(statement: &Statement) -> Vec<&str> {
    match statement {
        Statement::Select(Select { from: From::Table(table), .. })
        | Statement::CopyOut(Select { from: From::Table(table), .. })
        | Statement::Insert { table, .. }
        | Statement::Update { table, .. }
        | Statement::Delete { table, .. }
        | Statement::CopyIn { table, .. } => vec![table],
        Statement::Truncate(tables) | Statement::Lock(tables) | Statement::Drop { tables, .. } => {
            tables.iter().map(String::as_str).collect()
        }
        _ => Vec::new(),
    }
}

fn lock(engine: &mut Engine, context: &Context, lock: Lock) -> Result<(), Stop> {
    if engine.lock(lock, context.process) { Ok(()) } else { Err(Stop::Blocked) }
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
    wait_first(query, facts, context, engine)?;
    if let (RowLock::Update, From::Table(table)) = (query.lock, &query.from) {
        let view = engine.view(table, &context.effects)?.into_owned();
        for (row, values) in &view.rows {
            let found = RowView { columns: &view.columns, values };
            if query
                .filter
                .as_ref()
                .map_or(Ok(true), |f| Ok(is_true(&eval(f, found, facts)?)))
                .map_err(|error: SqlError| Stop::Error(error))?
            {
                lock(engine, context, Lock::Row(table.clone(), *row))?;
            }
        }
    }
    let rows = select(query, engine, &context.effects, facts)?;
    engine.deeds.append(&mut facts.deeds.borrow_mut());
    context.notes.append(&mut facts.notes.borrow_mut());
    Ok(Outcome::Rows(rows, "SELECT"))
}

/// Functions that wait do so before anything else is computed.
fn wait_first(
    query: &Select,
    facts: &Facts,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<(), Stop> {
    for item in &query.items {
        let Item::Expr(Expr::Call(function, arguments), _) = item else { continue };
        let argument = |facts| {
            let value = arguments.first().map(|one| eval(one, RowView::NONE, facts));
            value.unwrap_or(Ok(Value::Null))
        };
        let key = |facts| match Type::Int8.cast(argument(facts)?)? {
            Value::Int(key) => Ok::<_, SqlError>(key),
            Value::Null | Value::Bool(_) | Value::Text(_) => Ok(0),
        };
        match function.as_str() {
            "pg_sleep" if context.rested == Rested::No => {
                let seconds: f64 = argument(facts)?.to_string().parse().unwrap_or(0.0);
                let sleep = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                return Err(Stop::Sleep(sleep));
            }
            "pg_advisory_lock" | "pg_advisory_xact_lock"
                if !engine.advise(key(facts)?, context.process) =>
            {
                return Err(Stop::Blocked);
            }
            "pg_advisory_unlock" => {
                engine.unadvise(key(facts)?, context.process);
            }
            "pg_advisory_unlock_all" => engine.unadvise_all(context.process),
            _ => {}
        }
    }
    Ok(())
}

fn create(
    statement: &Statement,
    facts: &Facts,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    let Statement::Create { table, columns, exists, life, from } = statement else {
        return Ok(Outcome::Empty);
    };
    if engine.view(table, &context.effects).is_ok() && !(*life == Life::Temporary) {
        let what = format!("relation \"{table}\" already exists");
        if *exists == Exists::IsFine {
            context.notices.push(("NOTICE", "42P07", format!("{what}, skipping")));
            return done("CREATE TABLE");
        }
        return Err(Stop::Error(SqlError::new("42P07", what)));
    }
    let (columns, rows) = match from {
        Some(query) => {
            let rows = select(query, engine, &context.effects, facts)?;
            (columns_of(&rows.header), rows.all()?)
        }
        None => (columns.clone(), Vec::new()),
    };
    context.created(table, *life);
    context.effects.push(Effect::Create(table.clone(), columns));
    let tag = match from {
        Some(_) => format!("SELECT {}", rows.len()),
        None => "CREATE TABLE".to_owned(),
    };
    for values in rows {
        let row = engine.row_next();
        context.effects.push(Effect::Put(table.clone(), row, values));
    }
    Ok(Outcome::Done(tag))
}

fn drop_tables(
    tables: &[String],
    exists: Exists,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    for table in tables {
        match engine.view(table, &context.effects).map(drop) {
            Ok(()) => {
                lock(engine, context, Lock::Table(table.clone()))?;
                context.effects.push(Effect::Drop(table.clone()));
            }
            Err(_) if exists == Exists::IsFine => {
                let what = format!("table \"{table}\" does not exist, skipping");
                context.notices.push(("NOTICE", "00000", what));
            }
            Err(_) => {
                let what = format!("table \"{table}\" does not exist");
                return Err(Stop::Error(SqlError::new("42P01", what)));
            }
        }
    }
    done("DROP TABLE")
}

fn fetch(name: &str, count: Option<u64>, context: &mut Context) -> Result<Outcome, Stop> {
    let what = || SqlError::new("34000", format!("cursor \"{name}\" does not exist"));
    let cursor = context.cursors.get_mut(name).ok_or_else(what)?;
    let count = usize::try_from(count.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let header = cursor.header.clone();
    let rows: Result<Vec<_>, _> = std::iter::from_fn(|| cursor.next()).take(count).collect();
    Ok(Outcome::Rows(RowSet::ready(header, rows?), "FETCH"))
}

/// Carries out the `raise` and `perform pg_sleep` statements of a `do` block.
fn raise(body: &str, context: &mut Context) -> Result<Outcome, Stop> {
    let words = tokens(body)?;
    let is =
        |at: usize, word: &str| matches!(words.get(at), Some(Token::Word(found)) if found == word);
    if context.rested == Rested::No {
        let at = (0..words.len()).find(|at| is(*at, "perform") && is(at + 1, "pg_sleep"));
        if let Some(Token::Number(seconds)) = at.and_then(|at| words.get(at + 3)) {
            let seconds = seconds.parse().unwrap_or(0.0);
            let sleep = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            return Err(Stop::Sleep(sleep));
        }
    }
    for at in (0..words.len()).filter(|at| is(*at, "raise")) {
        let text = match words.get(at + 2) {
            Some(Token::Text(text)) => text.clone(),
            _ => continue,
        };
        if is(at + 1, "exception") {
            return Err(Stop::Error(SqlError::new("P0001", text)));
        }
        let severity = if is(at + 1, "warning") { "WARNING" } else { "NOTICE" };
        context.notices.push((severity, "00000", text));
    }
    done("DO")
}

#[expect(clippy::too_many_lines, reason = "a table: one short arm for each statement")]
/// Statements about the session and its transaction.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other statements are about the transaction"
)]
fn session_statement(
    statement: &Statement,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    match statement {
        Statement::Empty => Ok(Outcome::Empty),
        Statement::Set { name, value, scope } => {
            context.set(name, value.as_deref(), *scope)?;
            done("SET")
        }
        Statement::SetTransaction(access) => {
            context.access = access.unwrap_or(context.access);
            done("SET")
        }
        Statement::Show(name) => {
            let value = context.settings.show(name)?.to_owned();
            let header: Header = vec![(name.clone(), Type::Text)];
            let rows = RowSet::ready(header, [vec![Value::Text(value)]]);
            Ok(Outcome::Rows(rows, "SHOW"))
        }
        Statement::Reset(Some(name)) => {
            context.set(name, None, super::syntax::Scope::Session)?;
            done("RESET")
        }
        Statement::Reset(None) => {
            context.reset_all();
            done("RESET")
        }
        Statement::DiscardAll => {
            if context.block == Block::Open {
                let what = "DISCARD ALL cannot run inside a transaction block";
                return Err(Stop::Error(SqlError::new("25001", what)));
            }
            context.discard_all(engine);
            done("DISCARD ALL")
        }
        Statement::Discard => done("DISCARD TEMP"),
        Statement::Prepare { name, types, statement } => {
            if context.prepared.contains_key(name) {
                let what = format!("prepared statement \"{name}\" already exists");
                return Err(Stop::Error(SqlError::new("42P05", what)));
            }
            let types = infer(statement, types, context, engine);
            let prepared = Prepared { statement: (**statement).clone(), types };
            context.prepared.insert(name.clone(), prepared);
            done("PREPARE")
        }
        Statement::Deallocate(Some(name)) => {
            context.prepared.remove(name).ok_or_else(|| unknown_statement(name))?;
            done("DEALLOCATE")
        }
        Statement::Deallocate(None) => {
            context.prepared.retain(|name, _| name.is_empty());
            done("DEALLOCATE ALL")
        }
        Statement::CloseCursor(name) => {
            match name {
                Some(name) => drop(context.cursors.remove(name)),
                None => context.cursors.clear(),
            }
            done("CLOSE CURSOR")
        }
        Statement::Listen(channel) => {
            context.listening.insert(channel.clone());
            done("LISTEN")
        }
        Statement::Unlisten(channel) => {
            match channel {
                Some(channel) => drop(context.listening.remove(channel)),
                None => context.listening.clear(),
            }
            done("UNLISTEN")
        }
        Statement::Notify(channel, payload) => {
            context.notes.push((channel.clone(), payload.clone()));
            done("NOTIFY")
        }
        Statement::Checkpoint => done("CHECKPOINT"),
        Statement::Explain => {
            let header: Header = vec![("QUERY PLAN".to_owned(), Type::Text)];
            let plan = vec![Value::Text("Result  (simulated)".to_owned())];
            Ok(Outcome::Rows(RowSet::ready(header, [plan]), "EXPLAIN"))
        }
        other => transaction(other, context, engine),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other statement is carried out elsewhere"
)]
fn transaction(
    statement: &Statement,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    let no_savepoint =
        |name: &str| SqlError::new("3B001", format!("savepoint \"{name}\" does not exist"));
    let warn = |context: &mut Context, code, what: &str| {
        context.notices.push(("WARNING", code, what.to_owned()));
    };
    match statement {
        Statement::Begin(access) => {
            if context.block == Block::Open {
                warn(context, "25001", "there is already a transaction in progress");
            } else {
                context.block = Block::Open;
            }
            context.access = access.unwrap_or(context.access);
            done("BEGIN")
        }
        Statement::Commit if context.block == Block::Failed => {
            context.roll_back(engine);
            done("ROLLBACK")
        }
        Statement::Commit => {
            if context.block != Block::Open {
                warn(context, "25P01", "there is no transaction in progress");
            }
            context.commit(engine);
            done("COMMIT")
        }
        Statement::Rollback => {
            if context.block == Block::Implicit {
                warn(context, "25P01", "there is no transaction in progress");
            }
            context.roll_back(engine);
            done("ROLLBACK")
        }
        Statement::Savepoint(name) => {
            in_block(context, "SAVEPOINT")?;
            context.savepoints.push((name.clone(), context.effects.len()));
            done("SAVEPOINT")
        }
        Statement::RollbackTo(name) => {
            let at = context.savepoints.iter().rposition(|(known, _)| known == name);
            let at = at.ok_or_else(|| no_savepoint(name))?;
            context.savepoints.truncate(at + 1);
            let len = context.savepoints.last().map_or(0, |(_, len)| *len);
            context.effects.truncate(len);
            context.block = Block::Open;
            done("ROLLBACK")
        }
        Statement::Release(name) => {
            let at = context.savepoints.iter().rposition(|(known, _)| known == name);
            context.savepoints.truncate(at.ok_or_else(|| no_savepoint(name))?);
            done("RELEASE")
        }
        _ => Err(Stop::Error(SqlError::unsupported("the statement"))),
    }
}

/// Answers a health check: what the server is, how far its log goes, and who follows it.
pub(super) fn probe(engine: &Engine) -> RowSet {
    let text = |text: &str| Value::Text(text.to_owned());
    let header = [
        ("is_in_recovery", Type::Bool),
        ("lsn", Type::Text),
        ("timeline", Type::Int4),
        ("application_name", Type::Text),
        ("state", Type::Text),
        ("sync_state", Type::Text),
    ];
    let own = vec![
        Value::Bool(engine.is_standby()),
        text(&print_lsn(engine.lsn())),
        Value::Int(i64::from(engine.timeline)),
    ];
    let mut followers: Vec<_> = engine
        .followers
        .iter()
        .map(|f| vec![text(&f.application_name), text(f.state), text(f.sync_state)])
        .collect();
    if followers.is_empty() {
        followers.push(vec![text(""), text(""), text("")]);
    }
    let rows = followers.into_iter().map(|follower| [own.clone(), follower].concat());
    RowSet::ready(header.map(|(name, ty)| (name.to_owned(), ty)).into(), rows)
}
