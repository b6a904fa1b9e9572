//! Statements that define tables, views, functions and databases, or drop them.

use super::{Outcome, Stop, done, lock};
use crate::postgres::context::{Block, Company, Context};
use crate::postgres::engine::{Effect, Engine, Lock, Nature};
use crate::postgres::eval::Facts;
use crate::postgres::parse::columns_of;
use crate::postgres::select::select;
use crate::postgres::syntax::{Exists, Life, Select, Statement};
use crate::postgres::value::SqlError;

fn error<T>(code: &'static str, what: String) -> Result<T, Stop> {
    Err(Stop::Error(SqlError::new(code, what)))
}

pub(super) fn create(
    statement: &Statement,
    facts: &Facts,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    let Statement::Create { table, columns, exists, life, from } = statement else {
        return Ok(Outcome::Empty);
    };
    let temporary = matches!(life, Life::Temporary | Life::Transaction);
    let there = engine.view(table, &context.own).is_ok();
    if there && temporary == context.own.is_temporary(table) {
        let what = format!("relation \"{table}\" already exists");
        if *exists == Exists::IsFine {
            context.notices.push(("NOTICE", "42P07", format!("{what}, skipping")));
            return done("CREATE TABLE");
        }
        return error("42P07", what);
    }
    let (columns, rows) = match from {
        Some(query) => {
            let rows = select(query, engine, &context.own, facts)?;
            (columns_of(&rows.header), rows.all()?)
        }
        None => (columns.clone(), Vec::new()),
    };
    let table = context.own.name_new(table, *life);
    let nature = if *life == Life::Unlogged { Nature::Unlogged } else { Nature::Permanent };
    context.own.push(Effect::Create(table.clone(), columns, nature));
    let tag = match from {
        Some(_) => format!("SELECT {}", rows.len()),
        None => "CREATE TABLE".to_owned(),
    };
    for values in rows {
        let row = engine.row_next();
        context.own.push(Effect::Put(table.clone(), row, values));
    }
    Ok(Outcome::Done(tag))
}

pub(super) fn create_view(
    name: &str,
    query: &Select,
    exists: Exists,
    context: &mut Context,
    engine: &Engine,
) -> Result<Outcome, Stop> {
    let known = engine.view(name, &context.own).map(|view| view.into_owned().nature);
    match known {
        Ok(Nature::View(_)) if exists == Exists::IsFine => {}
        Ok(_) => return error("42P07", format!("relation \"{name}\" already exists")),
        Err(_) => {}
    }
    let statement = Statement::Select(query.clone());
    let header = super::describe(&statement, &[], context, engine)?.unwrap_or_default();
    let nature = Nature::View(query.clone().into());
    context.own.push(Effect::Create(name.to_owned(), columns_of(&header), nature));
    done("CREATE VIEW")
}

/// Drops tables or views.
pub(super) fn drop_relations(
    names: &[String],
    exists: Exists,
    what: &str,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    for name in names {
        let found = engine.view(name, &context.own).map(|view| view.into_owned().nature);
        match found {
            Ok(nature) if matches!(nature, Nature::View(_)) != (what == "view") => {
                return error("42809", format!("\"{name}\" is not a {what}"));
            }
            Ok(_) => {
                let full = context.own.resolve(name).into_owned();
                let database = context.own.database.clone();
                lock(engine, context, Lock::Table(database, full.clone()))?;
                context.own.push(Effect::Drop(full));
            }
            Err(_) if exists == Exists::IsFine => {
                let what = format!("{what} \"{name}\" does not exist, skipping");
                context.notices.push(("NOTICE", "00000", what));
            }
            Err(_) => return error("42P01", format!("{what} \"{name}\" does not exist")),
        }
    }
    done(if what == "view" { "DROP VIEW" } else { "DROP TABLE" })
}

pub(super) fn create_function(
    statement: &Statement,
    context: &mut Context,
    engine: &Engine,
) -> Result<Outcome, Stop> {
    let Statement::CreateFunction { name, function, exists } = statement else {
        return Ok(Outcome::Empty);
    };
    if engine.function(name, &context.own).is_some() && *exists == Exists::Matters {
        let what = format!("function \"{name}\" already exists with same argument types");
        return error("42723", what);
    }
    context.own.push(Effect::Define(name.clone(), function.clone().into()));
    done("CREATE FUNCTION")
}

pub(super) fn drop_function(
    name: &str,
    exists: Exists,
    context: &mut Context,
    engine: &Engine,
) -> Result<Outcome, Stop> {
    if engine.function(name, &context.own).is_some() {
        context.own.push(Effect::Undefine(name.to_owned()));
    } else {
        let what = format!("function {name}() does not exist");
        if exists == Exists::Matters {
            return error("42883", what);
        }
        context.notices.push(("NOTICE", "00000", format!("{what}, skipping")));
    }
    done("DROP FUNCTION")
}

pub(super) fn create_access_method(name: &str, context: &mut Context) -> Result<Outcome, Stop> {
    context.own.push(Effect::Equip(name.to_owned()));
    done("CREATE ACCESS METHOD")
}

pub(super) fn drop_access_method(name: &str, context: &mut Context) -> Result<Outcome, Stop> {
    context.own.push(Effect::Strip(name.to_owned()));
    done("DROP ACCESS METHOD")
}

/// Changes what a user's role is at a login. What is said of another database than the session's is
/// not kept.
pub(super) fn alter_role(
    user: &str,
    database: &str,
    role: Option<&str>,
    context: &mut Context,
) -> Result<Outcome, Stop> {
    if database != context.own.database {
        return error("0A000", "a role of another database is not simulated".to_owned());
    }
    context.own.push(Effect::Assume(user.to_owned(), role.map(str::to_owned)));
    done("ALTER ROLE")
}

/// Creates a database, which no transaction can take back.
pub(super) fn create_database(
    name: &str,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    alone(context, "CREATE DATABASE")?;
    if engine.database(name).is_some() {
        return error("42P04", format!("database \"{name}\" already exists"));
    }
    engine.commit(name, vec![Effect::Found]);
    context.own.note_done();
    done("CREATE DATABASE")
}

pub(super) fn drop_database(
    name: &str,
    exists: Exists,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    alone(context, "DROP DATABASE")?;
    if engine.database(name).is_none() {
        let what = format!("database \"{name}\" does not exist");
        if exists == Exists::Matters {
            return error("3D000", what);
        }
        context.notices.push(("NOTICE", "00000", format!("{what}, skipping")));
    } else if *name == context.own.database {
        return error("55006", "cannot drop the currently open database".to_owned());
    } else if engine.activity.values().any(|[_, database, _]| database == name) {
        return error("55006", format!("database \"{name}\" is being accessed by other users"));
    } else {
        engine.commit(name, vec![Effect::Raze]);
        context.own.note_done();
    }
    done("DROP DATABASE")
}

/// Refuses a statement that must have its transaction for itself.
pub(super) fn alone(context: &Context, tag: &str) -> Result<(), SqlError> {
    if context.block == Block::Open || context.company == Company::Script {
        let what = format!("{tag} cannot run inside a transaction block");
        return Err(SqlError::new("25001", what));
    }
    if context.company == Company::Pipeline {
        let what = format!("{tag} cannot be executed within a pipeline");
        return Err(SqlError::new("25001", what));
    }
    Ok(())
}
