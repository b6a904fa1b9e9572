//! What is known of a statement before it runs: types of its parameters, and its result's columns.

use crate::postgres::context::Context;
use crate::postgres::engine::Engine;
use crate::postgres::row_set::Header;
use crate::postgres::select::{columns, header};
use crate::postgres::settings::shown;
use crate::postgres::syntax::{Column, Expr, From, Item, Rows, Select, Statement};
use crate::postgres::value::{SqlError, Type};

#[expect(clippy::wildcard_enum_match_arm, reason = "no other statement has parameters")]
/// Finds the types of parameters: as declared, or from where they stand.
pub(in crate::postgres) fn infer(
    statement: &Statement,
    declared: &[Type],
    context: &Context,
    engine: &Engine,
) -> Vec<Type> {
    let mut found = Found { types: declared.iter().copied().map(Some).collect() };
    let of = |table: &String| {
        engine.view(table, &context.own).map(|t| t.columns.clone()).unwrap_or_default()
    };
    match statement {
        Statement::Select(select) => found.select(select, context, engine),
        Statement::Insert { table, columns, rows, .. } => {
            let all = of(table);
            match rows {
                Rows::Select(select) => found.select(select, context, engine),
                Rows::Values(rows) => {
                    for row in rows {
                        for (expr, at) in row.iter().zip(0..) {
                            let column = match columns.get(at) {
                                Some(name) => all.iter().find(|column| column.name == *name),
                                None => all.get(at),
                            };
                            let ty = column.map(|column| column.ty);
                            if let Some(expr) = expr {
                                found.expr(expr, ty, &all);
                            }
                        }
                    }
                }
            }
        }
        Statement::Update { table, set, filter, .. } => {
            let all = of(table);
            for (name, expr) in set {
                let ty = all.iter().find(|column| column.name == *name).map(|c| c.ty);
                found.expr(expr, ty, &all);
            }
            if let Some(filter) = filter {
                found.expr(filter, Some(Type::Bool), &all);
            }
        }
        Statement::Delete { table, filter: Some(filter), .. } => {
            found.expr(filter, Some(Type::Bool), &of(table));
        }
        Statement::Declare { select, .. } => found.select(select, context, engine),
        _ => {}
    }
    found.types.into_iter().map(|ty| ty.unwrap_or(Type::Text)).collect()
}

struct Found {
    types: Vec<Option<Type>>,
}

impl Found {
    fn param(&mut self, number: usize, ty: Option<Type>) {
        // PostgreSQL's own limit; a greater number must not make us allocate.
        if number == 0 || number > 65_535 {
            return;
        }
        if self.types.len() < number {
            self.types.resize(number, None);
        }
        if let Some(slot) = self.types.get_mut(number - 1) {
            *slot = slot.or(ty);
        }
    }

    fn select(&mut self, select: &Select, context: &Context, engine: &Engine) {
        let all = columns(&select.from, engine, &context.own).unwrap_or_default();
        for item in &select.items {
            if let Item::Expr(expr, _) = item {
                self.expr(expr, None, &all);
            }
        }
        match &select.from {
            From::Series(first, last, _) => {
                self.expr(first, Some(Type::Int4), &all);
                self.expr(last, Some(Type::Int4), &all);
            }
            From::Select(inner) => self.select(inner, context, engine),
            From::Nothing | From::Table(_) => {}
        }
        if let Some(filter) = &select.filter {
            self.expr(filter, Some(Type::Bool), &all);
        }
        if let Some(limit) = &select.limit {
            self.expr(limit, Some(Type::Int8), &all);
        }
    }

    fn expr(&mut self, expr: &Expr, wanted: Option<Type>, all: &[Column]) {
        match expr {
            Expr::Param(number) => self.param(*number, wanted),
            Expr::Cast(inside, ty) => self.expr(inside, Some(*ty), all),
            Expr::Not(inside) => self.expr(inside, Some(Type::Bool), all),
            Expr::IsNull(inside) => self.expr(inside, None, all),
            Expr::Call(function, arguments) => {
                for (argument, at) in arguments.iter().zip(0..) {
                    let number = match (function.as_str(), at) {
                        ("repeat", 1) => Some(Type::Int4),
                        (name, _) if name.contains("advisory") => Some(Type::Int8),
                        ("pg_terminate_backend" | "pg_cancel_backend", _) => Some(Type::Int4),
                        _ => None,
                    };
                    self.expr(argument, number, all);
                }
            }
            Expr::Binary(_, left, right) => {
                let ty = |expr: &Expr| {
                    let known = !matches!(expr, Expr::Param(_));
                    known.then(|| crate::postgres::eval::type_of(expr, all, &[]))
                };
                let (of_left, of_right) = (ty(left), ty(right));
                self.expr(left, of_right, all);
                self.expr(right, of_left, all);
            }
            Expr::Literal(..) | Expr::Column(_) => {}
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "no other statement has a result")]
/// Finds the columns of a statement's result; none if it has none.
pub(in crate::postgres) fn describe(
    statement: &Statement,
    types: &[Type],
    context: &Context,
    engine: &Engine,
) -> Result<Option<Header>, SqlError> {
    Ok(match statement {
        Statement::Select(select) => {
            let select = super::expand(select, engine, &context.own)?;
            let all = columns(&select.from, engine, &context.own)?;
            Some(header(&select.items, &all, types)?)
        }
        Statement::Insert { table, returning, .. }
        | Statement::Update { table, returning, .. }
        | Statement::Delete { table, returning, .. } => {
            let view = engine.view(table, &context.own)?;
            let header = header(returning, &view.columns, types)?;
            (!returning.is_empty()).then_some(header)
        }
        Statement::Show(name) => Some(vec![(shown(name), Type::Text)]),
        Statement::Explain => Some(vec![("QUERY PLAN".to_owned(), Type::Text)]),
        Statement::Fetch { name, .. } => {
            context.cursors.get(name).map(|cursor| cursor.rows.header.clone())
        }
        Statement::Execute { name, .. } => match context.prepared.get(name) {
            Some(prepared) => describe(&prepared.statement, &prepared.types, context, engine)?,
            None => None,
        },
        _ => None,
    })
}
