//! Statements about what stays with the session: settings, prepared statements, cursors, what it
//! listens to.

use super::define::alone;
use super::transaction::{standby_only_reads, transaction};
use super::{Outcome, Stop, describe, done, in_block, infer, run_select};
use crate::postgres::context::{Age, Block, Company, Context, Cursor, Ear, Origin, Prepared};
use crate::postgres::engine::Engine;
use crate::postgres::eval::{Facts, RowView, eval};
use crate::postgres::row_set::{Header, RowSet};
use crate::postgres::settings::{SUPERUSER, shown};
use crate::postgres::syntax::{Access, Discard, Expr, Hold, Scope, Select, Statement};
use crate::postgres::value::{SqlError, Type, Value};

fn unknown_statement(name: &str) -> SqlError {
    SqlError::new("26000", format!("prepared statement \"{name}\" does not exist"))
}

fn unknown_cursor(name: &str) -> SqlError {
    SqlError::new("34000", format!("cursor \"{name}\" does not exist"))
}

/// Finds what `execute` runs, with its parameters.
pub(super) fn bound(
    name: &str,
    arguments: &[Expr],
    facts: &Facts,
    context: &Context,
) -> Result<(Prepared, Vec<Value>), SqlError> {
    let prepared = context.prepared.get(name).cloned().ok_or_else(|| unknown_statement(name))?;
    if prepared.types.len() != arguments.len() {
        let what = format!("wrong number of parameters for prepared statement \"{name}\"");
        return Err(SqlError::new("42601", what));
    }
    let mut params = Vec::new();
    for (argument, ty) in arguments.iter().zip(&prepared.types) {
        params.push(ty.cast(eval(argument, RowView::NONE, facts)?)?);
    }
    Ok((prepared, params))
}

pub(super) fn declare(
    name: &str,
    query: &Select,
    hold: Hold,
    facts: &Facts,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    if hold == Hold::Without {
        in_block(context, "DECLARE CURSOR")?;
    }
    if context.cursors.contains_key(name) {
        let what = format!("cursor \"{name}\" already exists");
        return Err(Stop::Error(SqlError::new("42P03", what)));
    }
    let Outcome::Rows(rows, _) = run_select(query, facts, context, engine)? else {
        return Ok(Outcome::Empty);
    };
    context.cursors.insert(name.to_owned(), Cursor { rows, hold, age: Age::New });
    done("DECLARE CURSOR")
}

/// Takes rows of a cursor; none for all.
fn fetch(name: &str, count: Option<u64>, context: &mut Context) -> Result<RowSet, SqlError> {
    let cursor = context.cursors.get_mut(name).ok_or_else(|| unknown_cursor(name))?;
    let count = usize::try_from(count.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let header = cursor.rows.header.clone();
    let rows: Result<Vec<_>, _> = std::iter::from_fn(|| cursor.rows.next()).take(count).collect();
    Ok(RowSet::ready(header, rows?))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "no other statement is about cursors")]
fn cursor(statement: &Statement, context: &mut Context) -> Result<Outcome, Stop> {
    match statement {
        Statement::Fetch { name, count } => {
            Ok(Outcome::Rows(fetch(name, *count, context)?, "FETCH"))
        }
        Statement::Move { name, count } => {
            let moved = fetch(name, *count, context)?.all()?.len();
            done(&format!("MOVE {moved}"))
        }
        Statement::CloseCursor(Some(name)) => {
            context.cursors.remove(name).ok_or_else(|| unknown_cursor(name))?;
            done("CLOSE CURSOR")
        }
        Statement::CloseCursor(None) => {
            context.cursors.clear();
            done("CLOSE CURSOR ALL")
        }
        _ => Ok(Outcome::Empty),
    }
}

/// Carries out a statement about the session, or about its transaction.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other statements are about the transaction"
)]
pub(super) fn session_statement(
    statement: &Statement,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    match statement {
        Statement::Empty => Ok(Outcome::Empty),
        Statement::Set { name, value, scope } => {
            set(name, value.as_deref(), *scope, context, engine)?;
            context.is_clouded |= context.company == Company::Script && *scope == Scope::Session;
            done("SET")
        }
        Statement::SetTransaction(access) => {
            standby_only_reads(*access, engine)?;
            context.access = access.unwrap_or(context.access);
            done("SET")
        }
        Statement::Show(name) => {
            let value = context.settings.show(name)?;
            let header: Header = vec![(shown(name), Type::Text)];
            let rows = RowSet::ready(header, [vec![Value::Text(value)]]);
            Ok(Outcome::Rows(rows, "SHOW"))
        }
        Statement::Reset(Some(name)) => {
            set(name, None, Scope::Session, context, engine)?;
            done("RESET")
        }
        Statement::Reset(None) => {
            context.settings.reset_all();
            done("RESET")
        }
        Statement::Discard(what) => discard(*what, context, engine),
        Statement::Prepare { name, types, statement } => {
            prepare(name, types, statement, context, engine)
        }
        Statement::Deallocate(Some(name)) => {
            context.prepared.remove(name).ok_or_else(|| unknown_statement(name))?;
            done("DEALLOCATE")
        }
        Statement::Deallocate(None) => {
            context.deallocate_all();
            done("DEALLOCATE ALL")
        }
        Statement::Fetch { .. } | Statement::Move { .. } | Statement::CloseCursor(_) => {
            cursor(statement, context)
        }
        Statement::Listen(channel) => {
            context.ears.push(Ear::Listen(channel.clone(), context.own.author.word.whose));
            done("LISTEN")
        }
        Statement::Unlisten(channel) => {
            context.ears.push(channel.clone().map_or(Ear::UnlistenAll, Ear::Unlisten));
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

fn set(
    name: &str,
    value: Option<&[String]>,
    scope: Scope,
    context: &mut Context,
    engine: &Engine,
) -> Result<(), SqlError> {
    if scope == Scope::Transaction
        && context.block == Block::Implicit
        && context.company != Company::Script
    {
        let what = "SET LOCAL can only be used in transaction blocks";
        context.notices.push(("WARNING", "25P01", what.to_owned()));
    }
    let value = match (name, value) {
        // `set role none` is a word; a role's name may be one too.
        ("role" | "session_authorization", Some([who])) if who != "none" => {
            if !engine.users.contains_key(who) {
                return Err(SqlError::new("22023", format!("role \"{who}\" does not exist")));
            }
            if context.user != SUPERUSER && *who != context.user {
                let what = if name == "role" { "role" } else { "session authorization" };
                let what = format!("permission denied to set {what} \"{who}\"");
                return Err(SqlError::new("42501", what));
            }
            value
        }
        ("default_table_access_method", Some([method])) => {
            let schema = engine.database(&context.own.database);
            if method != "heap" && !schema.is_some_and(|schema| schema.methods.contains(method)) {
                let what = format!("invalid value for parameter \"{name}\": \"{method}\"");
                return Err(SqlError::new("22023", what));
            }
            value
        }
        (_, value) => value,
    };
    let scope = if name.starts_with("transaction_") { Scope::Transaction } else { scope };
    context.settings.set(name, value, scope)?;
    if name == "session_authorization" {
        context.settings.set("role", None, scope)?;
    }
    if name == "transaction_read_only" {
        let on = context.settings.show(name)? == "on";
        let access = if on { Access::ReadOnly } else { Access::ReadWrite };
        standby_only_reads(Some(access), engine)?;
        context.access = access;
    }
    Ok(())
}

fn discard(what: Discard, context: &mut Context, engine: &mut Engine) -> Result<Outcome, Stop> {
    match what {
        Discard::All => {
            alone(context, "DISCARD ALL")?;
            context.discard_all(engine);
            done("DISCARD ALL")
        }
        Discard::Temporary => {
            context.own.drop_temporary();
            done("DISCARD TEMP")
        }
        Discard::Plans => done("DISCARD PLANS"),
        Discard::Sequences => done("DISCARD SEQUENCES"),
    }
}

fn prepare(
    name: &str,
    types: &[Type],
    statement: &Statement,
    context: &mut Context,
    engine: &Engine,
) -> Result<Outcome, Stop> {
    if context.prepared.contains_key(name) {
        let what = format!("prepared statement \"{name}\" already exists");
        return Err(Stop::Error(SqlError::new("42P05", what)));
    }
    let types = infer(statement, types, context, engine);
    describe(statement, &types, context, engine)?;
    let prepared = Prepared { statement: statement.clone(), types, origin: Origin::Sql };
    context.prepared.insert(name.to_owned(), prepared);
    done("PREPARE")
}
