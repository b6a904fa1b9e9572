//! The result of a query.
//!
//! A series that is neither sorted nor aggregated is computed row by row as the client takes
//! them, so that a result of any size needs no memory.

use std::collections::VecDeque;

use super::eval::{Facts, RowView, eval, is_true};
use super::syntax::{Column, Expr, Item};
use super::value::{SqlError, Type, Value};

/// Names and types of a result's columns.
pub(super) type Header = Vec<(String, Type)>;

/// A result: its columns, and its rows as they are asked for.
#[derive(Debug)]
pub(super) struct RowSet {
    pub(super) header: Header,
    rows: Source,
}

#[derive(Debug)]
enum Source {
    Ready(VecDeque<Vec<Value>>),
    Series(Box<Series>),
}

/// A select list over the numbers of a series.
#[derive(Debug)]
pub(super) struct Series {
    /// The number whose row is computed next.
    pub(super) next: i64,
    pub(super) last: i64,
    pub(super) columns: Vec<Column>,
    pub(super) items: Vec<Item>,
    pub(super) filter: Option<Expr>,
    /// How many rows may still come.
    pub(super) left: u64,
    pub(super) facts: Facts,
}

impl Series {
    fn next(&mut self) -> Option<Result<Vec<Value>, SqlError>> {
        while self.next <= self.last && self.left > 0 {
            let values = [Value::Int(self.next)];
            self.next += 1;
            let row = RowView { columns: &self.columns, values: &values };
            match passes(self.filter.as_ref(), row, &self.facts) {
                Ok(false) => {}
                Ok(true) => {
                    self.left -= 1;
                    return Some(project(&self.items, row, &self.facts));
                }
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

impl RowSet {
    /// Makes a result of rows that are there.
    pub(super) fn ready(header: Header, rows: impl IntoIterator<Item = Vec<Value>>) -> Self {
        Self { header, rows: Source::Ready(rows.into_iter().collect()) }
    }

    /// Makes a result whose rows are computed one by one.
    pub(super) fn series(header: Header, series: Series) -> Self {
        Self { header, rows: Source::Series(Box::new(series)) }
    }

    /// Computes the next row.
    pub(super) fn next(&mut self) -> Option<Result<Vec<Value>, SqlError>> {
        match &mut self.rows {
            Source::Ready(rows) => rows.pop_front().map(Ok),
            Source::Series(series) => series.next(),
        }
    }

    /// Computes all rows.
    pub(super) fn all(mut self) -> Result<Vec<Vec<Value>>, SqlError> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// Tells whether a filter lets a row pass.
pub(super) fn passes(
    filter: Option<&Expr>,
    row: RowView<'_>,
    facts: &Facts,
) -> Result<bool, SqlError> {
    filter.map_or(Ok(true), |filter| Ok(is_true(&eval(filter, row, facts)?)))
}

/// Computes a select list over one row.
pub(super) fn project(
    items: &[Item],
    row: RowView<'_>,
    facts: &Facts,
) -> Result<Vec<Value>, SqlError> {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Item::All => values.extend_from_slice(row.values),
            Item::Expr(expr, _) => values.push(eval(expr, row, facts)?),
        }
    }
    Ok(values)
}
