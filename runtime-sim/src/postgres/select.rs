//! Queries over tables, series and what the server shows of itself.

use super::engine::{Engine, Follower, Table, print_lsn};
use super::eval::{Facts, RowView, eval, no_column, type_of};
use super::own::Own;
use super::row_set::{Header, RowSet, Series, passes, project};
use super::syntax::{Column, ColumnKind, Expr, From, Item, Order, Select};
use super::value::{SqlError, Type, Value, print_interval};

/// Runs a query.
pub(super) fn select(
    select: &Select,
    engine: &Engine,
    own: &Own,
    facts: &Facts,
) -> Result<RowSet, SqlError> {
    let columns = columns(&select.from, engine, own)?;
    let header = header(&select.items, &columns, &types(&facts.params))?;
    let limit = match &select.limit {
        Some(limit) => match eval(limit, RowView::NONE, facts)? {
            Value::Int(limit) => u64::try_from(limit).unwrap_or(0),
            Value::Null | Value::Bool(_) | Value::Text(_) => u64::MAX,
        },
        None => u64::MAX,
    };
    let aggregate = select.items.iter().any(is_aggregate);
    if let From::Series(first, last, _) = &select.from
        && !aggregate
        && select.order.is_empty()
    {
        let (next, last) = (bound(first, facts)?, bound(last, facts)?);
        let series = Series {
            next,
            last,
            columns,
            items: select.items.clone(),
            filter: select.filter.clone(),
            left: limit,
            facts: facts.detached(),
        };
        return Ok(RowSet::series(header, series));
    }
    let mut rows = Vec::new();
    for values in rows_of(&select.from, engine, own, facts)? {
        if passes(select.filter.as_ref(), RowView { columns: &columns, values: &values }, facts)? {
            rows.push(values);
        }
    }
    if aggregate {
        let row = aggregates(&select.items, &columns, &rows, facts)?;
        return Ok(RowSet::ready(header, [row]));
    }
    sort(&mut rows, select, &columns, facts)?;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut result = Vec::new();
    for values in &rows {
        result.push(project(&select.items, RowView { columns: &columns, values }, facts)?);
    }
    Ok(RowSet::ready(header, result))
}

fn bound(expr: &Expr, facts: &Facts) -> Result<i64, SqlError> {
    match Type::Int8.cast(eval(expr, RowView::NONE, facts)?)? {
        Value::Int(value) => Ok(value),
        Value::Null | Value::Bool(_) | Value::Text(_) => Ok(i64::MIN),
    }
}

fn types(params: &[Value]) -> Vec<Type> {
    let ty = |value: &Value| match value {
        Value::Null | Value::Text(_) => Type::Text,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int8,
    };
    params.iter().map(ty).collect()
}

/// Names and types of a select list.
pub(super) fn header(
    items: &[Item],
    columns: &[Column],
    params: &[Type],
) -> Result<Header, SqlError> {
    let mut header = Vec::new();
    for item in items {
        match item {
            Item::All => header.extend(columns.iter().map(|c| (c.name.clone(), c.ty))),
            Item::Expr(Expr::Column(name), _) if !columns.iter().any(|c| c.name == *name) => {
                return Err(no_column(name));
            }
            Item::Expr(expr, name) => {
                header.push((name.clone(), type_of(expr, columns, params)));
            }
        }
    }
    Ok(header)
}

/// The columns of what rows come from.
pub(super) fn columns(from: &From, engine: &Engine, own: &Own) -> Result<Vec<Column>, SqlError> {
    let column = |name: &str, ty| Column { name: name.to_owned(), ty, kind: ColumnKind::Plain };
    Ok(match from {
        From::Nothing => Vec::new(),
        From::Series(_, _, name) => vec![column(name, Type::Int4)],
        From::Select(select) => {
            let inner = columns(&select.from, engine, own)?;
            let header = header(&select.items, &inner, &[])?;
            header.iter().map(|(name, ty)| column(name, *ty)).collect()
        }
        From::Table(name) => match name.as_str() {
            "pg_stat_activity" => vec![
                column("pid", Type::Int4),
                column("usename", Type::Text),
                column("datname", Type::Text),
                column("application_name", Type::Text),
            ],
            "pg_stat_replication" => vec![
                column("application_name", Type::Text),
                column("state", Type::Text),
                column("sync_state", Type::Text),
                column("sent_lsn", Type::Text),
                column("replay_lsn", Type::Text),
                column("replay_lag", Type::Text),
            ],
            _ => engine.view(name, own)?.columns.clone(),
        },
    })
}

fn rows_of(
    from: &From,
    engine: &Engine,
    own: &Own,
    facts: &Facts,
) -> Result<Vec<Vec<Value>>, SqlError> {
    let text = |text: &str| Value::Text(text.to_owned());
    Ok(match from {
        From::Nothing => vec![Vec::new()],
        From::Series(first, last, _) => {
            let (first, last) = (bound(first, facts)?, bound(last, facts)?);
            (first..=last).map(|n| vec![Value::Int(n)]).collect()
        }
        From::Select(inner) => select(inner, engine, own, facts)?.all()?,
        From::Table(name) => match name.as_str() {
            "pg_stat_activity" => engine
                .activity
                .iter()
                .map(|(process, who)| {
                    let names = who.iter().map(|name| text(name));
                    std::iter::once(Value::Int(i64::from(*process))).chain(names).collect()
                })
                .collect(),
            "pg_stat_replication" => {
                engine.followers.values().map(|follower| replication(engine, follower)).collect()
            }
            _ => {
                let table: &Table = &*engine.view(name, own)?;
                table.rows.values().cloned().collect()
            }
        },
    })
}

/// Tells whether a table shows the server itself.
pub(super) fn is_shown(name: &str) -> bool {
    matches!(name, "pg_stat_activity" | "pg_stat_replication")
}

/// A standby's row of `pg_stat_replication`.
fn replication(engine: &Engine, follower: &Follower) -> Vec<Value> {
    let text = |text: &str| Value::Text(text.to_owned());
    let lag = engine.lag(follower.replayed);
    vec![
        text(&follower.application_name),
        text(follower.state),
        text(follower.sync_state),
        text(&print_lsn(follower.received)),
        text(&print_lsn(follower.replayed)),
        lag.map_or(Value::Null, |lag| text(&print_interval(lag))),
    ]
}

fn is_aggregate(item: &Item) -> bool {
    match item {
        Item::All => false,
        Item::Expr(expr, _) => aggregate_of(expr).is_some(),
    }
}

fn aggregate_of(expr: &Expr) -> Option<(&str, &[Expr])> {
    match expr {
        Expr::Call(function, arguments)
            if ["count", "sum", "min", "max"].contains(&function.as_str()) =>
        {
            Some((function, arguments))
        }
        Expr::Cast(inside, _) => aggregate_of(inside),
        Expr::Call(..)
        | Expr::Literal(..)
        | Expr::Param(_)
        | Expr::Column(_)
        | Expr::Binary(..)
        | Expr::Not(_)
        | Expr::IsNull(_) => None,
    }
}

fn aggregates(
    items: &[Item],
    columns: &[Column],
    rows: &[Vec<Value>],
    facts: &Facts,
) -> Result<Vec<Value>, SqlError> {
    let mut result = Vec::new();
    for item in items {
        let Item::Expr(expr, _) = item else { return Err(SqlError::unsupported("grouping")) };
        let Some((function, arguments)) = aggregate_of(expr) else {
            result.push(eval(expr, RowView::NONE, facts)?);
            continue;
        };
        let mut values = Vec::new();
        for row in rows {
            let row = RowView { columns, values: row };
            let value = arguments.first().map_or(Ok(Value::Bool(true)), |a| eval(a, row, facts))?;
            if value != Value::Null {
                values.push(value);
            }
        }
        let value = match function {
            "count" => Value::Int(i64::try_from(values.len()).unwrap_or(i64::MAX)),
            "min" => values.into_iter().min().unwrap_or(Value::Null),
            "max" => values.into_iter().max().unwrap_or(Value::Null),
            _ if values.is_empty() => Value::Null,
            _ => {
                let mut sum = 0i64;
                for value in values {
                    if let Value::Int(value) = Type::Int8.cast(value)? {
                        sum = sum.saturating_add(value);
                    }
                }
                Value::Int(sum)
            }
        };
        result.push(if let Expr::Cast(_, ty) = expr { ty.cast(value)? } else { value });
    }
    Ok(result)
}

fn sort(
    rows: &mut Vec<Vec<Value>>,
    select: &Select,
    columns: &[Column],
    facts: &Facts,
) -> Result<(), SqlError> {
    if select.order.is_empty() {
        return Ok(());
    }
    let mut keyed = Vec::with_capacity(rows.len());
    for values in rows.drain(..) {
        let row = RowView { columns, values: &values };
        let mut key = Vec::new();
        for (by, _) in &select.order {
            key.push(sort_key(by, select, row, facts)?);
        }
        keyed.push((key, values));
    }
    keyed.sort_by(|(one, _), (other, _)| {
        for ((a, b), (_, order)) in one.iter().zip(other).zip(&select.order) {
            let compared = match order {
                Order::Up => a.cmp(b),
                Order::Down => b.cmp(a),
            };
            if compared.is_ne() {
                return compared;
            }
        }
        std::cmp::Ordering::Equal
    });
    rows.extend(keyed.into_iter().map(|(_, values)| values));
    Ok(())
}

/// A number is a place in the select list, a name may be one of its names.
#[expect(clippy::wildcard_enum_match_arm, reason = "any other expression is computed")]
fn sort_key(
    by: &Expr,
    select: &Select,
    row: RowView<'_>,
    facts: &Facts,
) -> Result<Value, SqlError> {
    match by {
        Expr::Literal(Value::Int(place), _) => {
            let values = project(&select.items, row, facts)?;
            let at = usize::try_from(*place).ok().and_then(|place| place.checked_sub(1));
            let value = at.and_then(|at| values.get(at)).cloned();
            value.ok_or_else(|| SqlError::new("42P10", "ORDER BY position is not in select list"))
        }
        Expr::Column(name) if !row.columns.iter().any(|column| column.name == *name) => {
            let item = select.items.iter().find_map(|item| match item {
                Item::Expr(expr, alias) if alias == name => Some(expr),
                Item::Expr(..) | Item::All => None,
            });
            item.map_or_else(|| Err(no_column(name)), |expr| eval(expr, row, facts))
        }
        other => eval(other, row, facts),
    }
}
