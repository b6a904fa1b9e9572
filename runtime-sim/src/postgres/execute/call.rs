//! Functions that do something beside giving a value: they are carried out before the rows of
//! their query are computed, each once, and their values take their places in it.

use pgherd_core::time::Duration;

use super::{Outcome, Stop, run};
use crate::postgres::context::Context;
use crate::postgres::engine::{Engine, Key, Mode, Nature, Span};
use crate::postgres::eval::{Facts, RowView, eval, is_builtin, type_of};
use crate::postgres::own::Own;
use crate::postgres::syntax::{Expr, From, Function, Item, Scope, Select, Volatility};
use crate::postgres::value::{SqlError, Type, Value};

/// Pause between two looks whether a promotion has come to its end (`pg_promote`).
const PROMOTION_LOOK: Duration = Duration::from_millis(100);

/// How deep functions may call one another.
const DEPTH_MAX: usize = 16;

/// Puts views and the types of functions into a query.
pub(in crate::postgres) fn expand(
    query: &Select,
    engine: &Engine,
    own: &Own,
) -> Result<Select, SqlError> {
    let mut query = query.clone();
    if let From::Table(name) = &query.from
        && !crate::postgres::select::is_shown(name)
        && let Nature::View(inner) = &engine.view(name, own)?.nature
    {
        query.from = From::Select(Box::new(expand(inner, engine, own)?));
    } else if let From::Select(inner) = &query.from {
        query.from = From::Select(Box::new(expand(inner, engine, own)?));
    }
    let mut typed = |expr: &mut Expr| know(expr, engine, own);
    for item in &mut query.items {
        if let Item::Expr(expr, _) = item {
            each(expr, &mut typed)?;
        }
    }
    if let Some(filter) = &mut query.filter {
        each(filter, &mut typed)?;
    }
    Ok(query)
}

/// Looks a function up: what is not there is found out before anything runs.
fn know(expr: &mut Expr, engine: &Engine, own: &Own) -> Result<(), SqlError> {
    let Expr::Call(name, arguments) = expr else { return Ok(()) };
    if let Some(function) = engine.function(name, own) {
        let call = std::mem::replace(expr, Expr::Literal(Value::Null, Type::Void));
        *expr = Expr::Cast(Box::new(call), function.returns);
        return Ok(());
    }
    if is_builtin(name) && (!is_script(name) || engine.folder.has_functions()) {
        return Ok(());
    }
    let types = arguments.iter().map(|argument| {
        let bare = matches!(argument, Expr::Literal(Value::Text(_) | Value::Null, _));
        if bare { "unknown" } else { type_of(argument, &[], &[]).name() }
    });
    let types = types.collect::<Vec<_>>().join(", ");
    Err(SqlError::new("42883", format!("function {name}({types}) does not exist")))
}

/// Lets something happen to every part of an expression, the inner ones first.
fn each<E>(expr: &mut Expr, what: &mut impl FnMut(&mut Expr) -> Result<(), E>) -> Result<(), E> {
    match expr {
        Expr::Literal(..) | Expr::Param(_) | Expr::Column(_) => {}
        Expr::Cast(inside, _) | Expr::Not(inside) | Expr::IsNull(inside) => each(inside, what)?,
        Expr::Call(_, arguments) => {
            for argument in arguments {
                each(argument, what)?;
            }
        }
        Expr::Binary(_, left, right) => {
            each(left, what)?;
            each(right, what)?;
        }
    }
    what(expr)
}

/// Calls the functions of a query.
pub(super) fn call_all(
    query: &mut Select,
    facts: &Facts,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<(), Stop> {
    if let From::Select(inner) = &mut query.from {
        call_all(inner, facts, context, engine)?;
    }
    for item in &mut query.items {
        if let Item::Expr(expr, _) = item {
            call_each(expr, facts, context, engine)?;
        }
    }
    match &mut query.filter {
        Some(filter) => call_each(filter, facts, context, engine),
        None => Ok(()),
    }
}

/// Calls the functions of an expression.
pub(super) fn call_each(
    expr: &mut Expr,
    facts: &Facts,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<(), Stop> {
    each(expr, &mut |part| call(part, facts, context, engine))
}

/// Calls a function, if the expression is one that does something.
fn call(
    expr: &mut Expr,
    facts: &Facts,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<(), Stop> {
    let Expr::Call(name, arguments) = &*expr else { return Ok(()) };
    let function = engine.function(name, &context.own);
    if function.is_none() && !acts(name) {
        return Ok(());
    }
    let ty = match &function {
        Some(function) => function.returns,
        None => type_of(expr, &[], &[]),
    };
    let at = context.called;
    context.called += 1;
    if let Some(answer) = context.answers.get(at) {
        *expr = Expr::Literal(answer.clone(), ty);
        return Ok(());
    }
    let mut values = Vec::new();
    for argument in arguments {
        values.push(eval(argument, RowView::NONE, facts)?);
    }
    if name == "pg_promote" {
        let waits = values.first().is_none_or(super::is_true);
        if !engine.promote(context.process, seconds(values.get(1)))? && waits {
            return Err(Stop::Sleep(PROMOTION_LOOK));
        }
    }
    if name == "pg_sleep" {
        // The answer is there when the sleep is over.
        context.answers.push(Value::Text(String::new()));
        return Err(Stop::Sleep(seconds(values.first())));
    }
    if is_script(name) {
        let host = values.get(usize::from(name == "pgpool_recovery")).map(ToString::to_string);
        let node = host.and_then(|host| host.strip_prefix("node")?.parse().ok());
        let now = engine.now;
        if let Some(rest) = engine.folder.run(name, node, context.process, now)? {
            return Err(Stop::Sleep(rest));
        }
    }
    let answer = match function {
        Some(function) => call_own(&function, values, context, engine)?,
        None => act(name, &values, context, engine)?,
    };
    context.answers.push(answer.clone());
    *expr = Expr::Literal(answer, ty);
    Ok(())
}

fn seconds(value: Option<&Value>) -> Duration {
    let seconds = value.map(ToString::to_string).and_then(|text| text.parse().ok());
    Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default()
}

/// Calls a function that somebody has written.
fn call_own(
    function: &Function,
    values: Vec<Value>,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Value, Stop> {
    if context.depth >= DEPTH_MAX {
        return Err(Stop::Error(SqlError::new("54001", "stack depth limit exceeded")));
    }
    let types = function.takes.iter().copied().chain(std::iter::repeat(Type::Text));
    let params: Result<Vec<_>, _> = types.zip(values).map(|(ty, value)| ty.cast(value)).collect();
    let params = params?;
    context.depth += 1;
    let mut answer = Value::Null;
    for statement in &function.body {
        if let (Some(name), false) =
            (statement.write_name(), function.volatility == Volatility::Volatile)
        {
            let what = format!("{name} is not allowed in a non-volatile function");
            return Err(Stop::Error(SqlError::new("0A000", what)));
        }
        if let Outcome::Rows(rows, _) = run(statement, &params, context, engine)? {
            let first = rows.all()?.into_iter().next();
            answer = first.and_then(|row| row.into_iter().next()).unwrap_or(Value::Null);
        }
    }
    context.depth -= 1;
    if function.returns == Type::Void {
        return Ok(Value::Text(String::new()));
    }
    Ok(function.returns.cast(answer)?)
}

/// Tells whether a function of the server does something.
fn acts(name: &str) -> bool {
    matches!(name, "pg_promote" | "pg_sleep" | "set_config" | "nextval" | "setval" | "txid_current")
        || name.starts_with("pg_advisory_")
        || name.starts_with("pg_try_advisory_")
        || is_script(name)
}

/// Tells whether a function runs a script.
fn is_script(name: &str) -> bool {
    matches!(name, "pgpool_recovery" | "pgpool_remote_start")
}

/// Calls a function of the server.
fn act(
    name: &str,
    values: &[Value],
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Value, Stop> {
    let text = |at: usize| values.get(at).map(ToString::to_string).unwrap_or_default();
    let refused = |what: &str| Err(Stop::Error(SqlError::new("25006", what)));
    match name {
        "set_config" => {
            let local = super::is_true(values.get(2).unwrap_or(&Value::Null));
            let scope = if local { Scope::Transaction } else { Scope::Session };
            let given = match values.get(1) {
                None | Some(Value::Null) => None,
                // The one place where a list of names is taken as it is written.
                Some(value) => Some(value.to_string()),
            };
            let name = text(0);
            context.settings.set_raw(&name, given.as_deref(), scope)?;
            Ok(Value::Text(context.settings.show(&name)?))
        }
        "txid_current" if engine.is_standby() => {
            refused("cannot execute pg_current_xact_id() during recovery")
        }
        "txid_current" => Ok(Value::Int(1000)),
        "nextval" | "setval" if engine.is_standby() => {
            refused(&format!("cannot execute {name}() in a read-only transaction"))
        }
        "nextval" => {
            let row = engine.row_next();
            Ok(Value::Int(i64::try_from(row).unwrap_or(i64::MAX)))
        }
        "pg_promote" => Ok(Value::Bool(engine.end_promotion())),
        "pgpool_recovery" | "pgpool_remote_start" => Ok(Value::Bool(true)),
        "setval" => Ok(values.get(1).cloned().unwrap_or(Value::Null)),
        _ => advise(name, values, context, engine),
    }
}

/// The functions of advisory locks.
fn advise(
    name: &str,
    values: &[Value],
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Value, Stop> {
    let void = Value::Text(String::new());
    let process = context.process;
    let (rest, tries) = match name.strip_prefix("pg_try_advisory_") {
        Some(rest) => (rest, true),
        None => (name.strip_prefix("pg_advisory_").unwrap_or_default(), false),
    };
    let (rest, mode) = match rest.strip_suffix("_shared") {
        Some(rest) => (rest, Mode::Shared),
        None => (rest, Mode::Exclusive),
    };
    let mut numbers = Vec::new();
    for value in values {
        match Type::Int8.cast(value.clone())? {
            Value::Int(number) => numbers.push(number),
            Value::Null | Value::Bool(_) | Value::Text(_) => return Ok(Value::Null),
        }
    }
    let key = Key { database: context.own.database.clone(), numbers };
    let span = match rest {
        "unlock_all" => {
            engine.unadvise_all(process);
            return Ok(void);
        }
        "unlock" => {
            let held = engine.unadvise(&key, process, mode);
            if !held {
                let lock = if mode == Mode::Shared { "ShareLock" } else { "ExclusiveLock" };
                let what = format!("you don't own a lock of type {lock}");
                context.notices.push(("WARNING", "01000", what));
            }
            return Ok(Value::Bool(held));
        }
        "lock" => Span::Session,
        "xact_lock" => Span::Transaction,
        _ => {
            let what = format!("function {name}() does not exist");
            return Err(Stop::Error(SqlError::new("42883", what)));
        }
    };
    match (engine.advise(&key, process, mode, span), tries) {
        (taken, true) => Ok(Value::Bool(taken)),
        (true, false) => Ok(void),
        (false, false) => Err(Stop::Blocked),
    }
}
