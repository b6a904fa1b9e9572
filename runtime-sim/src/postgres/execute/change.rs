//! Statements that change rows.

use super::{Outcome, Stop, lock};
use crate::postgres::context::Context;
use crate::postgres::engine::{Effect, Engine, Lock, Table};
use crate::postgres::eval::{Facts, RowView, eval, no_column};
use crate::postgres::row_set::{RowSet, passes, project};
use crate::postgres::select::{header, select};
use crate::postgres::syntax::{ColumnKind, Exists, Item, Rows, Statement};
use crate::postgres::value::{SqlError, Type, Value};

pub(super) fn insert(
    statement: &Statement,
    facts: &Facts,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    let Statement::Insert { table, columns, rows, conflict, returning } = statement else {
        return Ok(Outcome::Empty);
    };
    let mut new: Vec<Vec<Option<Value>>> = Vec::new();
    match rows {
        Rows::Values(rows) => {
            for row in rows {
                let value = |expr: &Option<_>| {
                    expr.as_ref().map(|expr| eval(expr, RowView::NONE, facts)).transpose()
                };
                new.push(row.iter().map(value).collect::<Result<_, SqlError>>()?);
            }
        }
        Rows::Select(query) => {
            let found = select(query, engine, &context.own, facts)?.all()?;
            new.extend(found.into_iter().map(|row| row.into_iter().map(Some).collect()));
        }
    }
    let (columns_all, done) = put_all(table, columns, new, *conflict, context, engine)?;
    let tag = format!("INSERT 0 {}", done.len());
    answer(returning, &columns_all, &done, facts, tag, "INSERT 0")
}

/// Adds rows; returns the table's columns and the rows as added.
fn put_all(
    name: &str,
    columns: &[String],
    rows: Vec<Vec<Option<Value>>>,
    conflict: Exists,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<(Table, Vec<Vec<Value>>), Stop> {
    let mut table = engine.view(name, &context.own)?.into_owned();
    let full = context.own.resolve(name).into_owned();
    let places = places(&table, columns)?;
    let mut done = Vec::new();
    for given in rows {
        if given.len() > places.len() {
            let what = "INSERT has more expressions than target columns";
            return Err(Stop::Error(SqlError::new("42601", what)));
        }
        let mut values = vec![None; table.columns.len()];
        for (value, place) in given.into_iter().zip(&places) {
            if let Some(slot) = values.get_mut(*place) {
                *slot = value;
            }
        }
        let row = engine.row_next();
        let mut given = Vec::new();
        for (value, column) in values.into_iter().zip(&table.columns) {
            let serial = matches!(column.kind, ColumnKind::Serial | ColumnKind::SerialKey);
            given.push(match value {
                None if serial => Value::Int(i64::try_from(row).unwrap_or(0)),
                None => Value::Null,
                Some(value) => column.ty.cast(value)?,
            });
        }
        let values = given;
        if let Some(key) = duplicate(&table, &values) {
            if conflict == Exists::IsFine {
                continue;
            }
            let what =
                format!("duplicate key value violates unique constraint \"{name}_{key}key\"");
            return Err(Stop::Error(SqlError::new("23505", what)));
        }
        table.rows.insert(row, values.clone());
        context.own.push(Effect::Put(full.clone(), row, values.clone()));
        // Nobody else sees the row before the transaction ends; the lock is for afterwards.
        engine.lock(Lock::Row(row), context.process);
        done.push(values);
    }
    Ok((table, done))
}

fn places(table: &Table, columns: &[String]) -> Result<Vec<usize>, SqlError> {
    if columns.is_empty() {
        return Ok((0..table.columns.len()).collect());
    }
    let place = |name: &String| {
        let at = table.columns.iter().position(|column| column.name == *name);
        at.ok_or_else(|| no_column(name))
    };
    columns.iter().map(place).collect()
}

/// Names the key column that has such a value already.
fn duplicate(table: &Table, row: &[Value]) -> Option<String> {
    table.columns.iter().zip(0..).find_map(|(column, at): (_, usize)| {
        let key = matches!(column.kind, ColumnKind::Key | ColumnKind::SerialKey);
        let value = row.get(at).filter(|value| key && **value != Value::Null)?;
        let taken = table.rows.values().any(|other| other.get(at) == Some(value));
        taken.then(|| "p".to_owned())
    })
}

pub(super) fn update(
    statement: &Statement,
    facts: &Facts,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    let Statement::Update { table: name, set, filter, returning } = statement else {
        return Ok(Outcome::Empty);
    };
    let table = engine.view(name, &context.own)?.into_owned();
    let columns: Vec<String> = set.iter().map(|(column, _)| column.clone()).collect();
    let places = places(&table, &columns)?;
    let mut done = Vec::new();
    for (row, values) in &table.rows {
        let view = RowView { columns: &table.columns, values };
        if !passes(filter.as_ref(), view, facts)? {
            continue;
        }
        lock(engine, context, Lock::Row(*row))?;
        let mut new = values.clone();
        for (place, (_, expr)) in places.iter().zip(set) {
            let ty = table.columns.get(*place).map_or(Type::Text, |column| column.ty);
            if let Some(slot) = new.get_mut(*place) {
                *slot = ty.cast(eval(expr, view, facts)?)?;
            }
        }
        done.push((*row, new));
    }
    let full = context.own.resolve(name).into_owned();
    for (row, new) in &done {
        context.own.push(Effect::Put(full.clone(), *row, new.clone()));
    }
    let rows: Vec<_> = done.into_iter().map(|(_, new)| new).collect();
    let tag = format!("UPDATE {}", rows.len());
    answer(returning, &table, &rows, facts, tag, "UPDATE")
}

pub(super) fn delete(
    statement: &Statement,
    facts: &Facts,
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    let Statement::Delete { table: name, filter, returning } = statement else {
        return Ok(Outcome::Empty);
    };
    let table = engine.view(name, &context.own)?.into_owned();
    let mut done = Vec::new();
    for (row, values) in &table.rows {
        let view = RowView { columns: &table.columns, values };
        if passes(filter.as_ref(), view, facts)? {
            lock(engine, context, Lock::Row(*row))?;
            done.push((*row, values.clone()));
        }
    }
    let full = context.own.resolve(name).into_owned();
    for (row, _) in &done {
        context.own.push(Effect::Delete(full.clone(), *row));
    }
    let rows: Vec<_> = done.into_iter().map(|(_, values)| values).collect();
    let tag = format!("DELETE {}", rows.len());
    answer(returning, &table, &rows, facts, tag, "DELETE")
}

fn answer(
    returning: &[Item],
    table: &Table,
    rows: &[Vec<Value>],
    facts: &Facts,
    tag: String,
    verb: &'static str,
) -> Result<Outcome, Stop> {
    if returning.is_empty() {
        return Ok(Outcome::Done(tag));
    }
    let header = header(returning, &table.columns, &[])?;
    let project = |values: &Vec<Value>| {
        project(returning, RowView { columns: &table.columns, values }, facts)
    };
    let rows: Result<Vec<_>, _> = rows.iter().map(project).collect();
    Ok(Outcome::Rows(RowSet::ready(header, rows?), verb))
}

pub(super) fn truncate(
    tables: &[String],
    context: &mut Context,
    engine: &mut Engine,
) -> Result<Outcome, Stop> {
    for table in tables {
        engine.view(table, &context.own)?;
        let full = context.own.resolve(table).into_owned();
        let database = context.own.database.clone();
        lock(engine, context, Lock::Table(database, full.clone()))?;
        context.own.push(Effect::Truncate(full));
    }
    Ok(Outcome::Done("TRUNCATE TABLE".to_owned()))
}

pub(super) fn copy_in(
    table: &str,
    columns: &[String],
    context: &Context,
    engine: &Engine,
) -> Result<Outcome, Stop> {
    let view = engine.view(table, &context.own)?;
    let count = places(&view, columns)?.len();
    Ok(Outcome::CopyIn { table: table.to_owned(), columns: columns.to_vec(), count })
}

/// Adds the rows of a finished `copy … from stdin`, in text format.
pub(in crate::postgres) fn copied(
    table: &str,
    columns: &[String],
    data: &[u8],
    context: &mut Context,
    engine: &mut Engine,
) -> Result<String, Stop> {
    let text = String::from_utf8_lossy(data);
    let value = |field: &str| match field {
        "\\N" => Some(Value::Null),
        field => {
            let text = field.replace("\\t", "\t").replace("\\n", "\n").replace("\\\\", "\\");
            Some(Value::Text(text))
        }
    };
    let lines = text.lines().take_while(|line| *line != "\\.");
    let rows = lines.map(|line| line.split('\t').map(value).collect()).collect();
    let (_, done) = put_all(table, columns, rows, Exists::Matters, context, engine)?;
    Ok(format!("COPY {}", done.len()))
}
