//! Queries.

use super::Parser;
use crate::postgres::syntax::{Expr, From, Item, Order, RowLock, Select};
use crate::postgres::token::Token;
use crate::postgres::value::{SqlError, Type, Value};

impl Parser {
    /// Reads a query.
    pub(super) fn select(&mut self) -> Result<Select, SqlError> {
        if self.word("table") {
            let from = From::Table(self.name()?);
            return Ok(Select { from, ..plain(vec![Item::All]) });
        }
        if self.word("values") {
            self.expect_symbol("(")?;
            let values = self.list(Self::expression)?;
            self.expect_symbol(")")?;
            let items = values.into_iter().zip(1..);
            let items = items.map(|(value, n)| Item::Expr(value, format!("column{n}")));
            return Ok(plain(items.collect()));
        }
        self.expect_word("select")?;
        let _ = self.word("all");
        let empty = matches!(self.peek(), None | Some(Token::Symbol(";" | ")")));
        let mut select = plain(if empty { Vec::new() } else { self.items()? });
        if self.word("from") {
            select.from = self.from()?;
        }
        if self.word("where") {
            select.filter = Some(self.expression()?);
        }
        if self.word("order") {
            self.expect_word("by")?;
            select.order = self.list(|parser| {
                let by = parser.expression()?;
                let down = !parser.word("asc") && parser.word("desc");
                Ok((by, if down { Order::Down } else { Order::Up }))
            })?;
        }
        if self.word("limit") {
            select.limit = Some(self.expression()?);
        }
        if self.word("for") {
            let _ = self.word("no");
            let _ = self.word("key");
            if !(self.word("update") || self.word("share")) {
                return Err(self.wrong());
            }
            select.lock = RowLock::Update;
        }
        series_of_list(&mut select);
        Ok(select)
    }

    /// Reads a select list.
    pub(super) fn items(&mut self) -> Result<Vec<Item>, SqlError> {
        self.list(|parser| {
            if parser.symbol("*") {
                return Ok(Item::All);
            }
            let expr = parser.expression()?;
            let name = if parser.word("as") {
                parser.name()?
            } else {
                match parser.peek().cloned() {
                    Some(Token::Quoted(name)) => {
                        parser.at += 1;
                        name
                    }
                    Some(Token::Word(word)) if !ENDS_ITEM.contains(&word.as_str()) => {
                        parser.at += 1;
                        word
                    }
                    _ => name_of(&expr),
                }
            };
            Ok(Item::Expr(expr, name))
        })
    }

    fn from(&mut self) -> Result<From, SqlError> {
        if self.symbol("(") {
            let select = self.select()?;
            self.expect_symbol(")")?;
            let _ = self.word("as");
            let _ = self.name();
            return Ok(From::Select(Box::new(select)));
        }
        let name = self.name()?;
        if name != "generate_series" {
            let alias = self.word("as")
                || matches!(self.peek(), Some(Token::Word(w)) if !ENDS_ITEM.contains(&w.as_str()));
            if alias {
                self.name()?;
            }
            return Ok(From::Table(name));
        }
        self.expect_symbol("(")?;
        let first = self.expression()?;
        self.expect_symbol(",")?;
        let last = self.expression()?;
        self.expect_symbol(")")?;
        let alias = self.word("as")
            || matches!(self.peek(), Some(Token::Word(w)) if !ENDS_ITEM.contains(&w.as_str()));
        let alias = if alias { self.name()? } else { name };
        let columns = self.names_in_brackets()?;
        Ok(From::Series(first, last, columns.into_iter().next().unwrap_or(alias)))
    }
}

/// Words that cannot be an alias without `as`.
const ENDS_ITEM: [&str; 9] =
    ["from", "where", "order", "limit", "for", "returning", "on", "union", "group"];

const fn plain(items: Vec<Item>) -> Select {
    Select {
        items,
        from: From::Nothing,
        filter: None,
        order: Vec::new(),
        limit: None,
        lock: RowLock::None,
    }
}

/// A `generate_series` in the select list gives as many rows as one behind `from`.
fn series_of_list(select: &mut Select) {
    if select.from != From::Nothing {
        return;
    }
    for item in &mut select.items {
        if let Item::Expr(Expr::Call(function, arguments), _) = item
            && function == "generate_series"
        {
            let mut bounds = std::mem::take(arguments).into_iter();
            let null = Expr::Literal(Value::Null, Type::Int4);
            let first = bounds.next().unwrap_or(null.clone());
            let last = bounds.next().unwrap_or(null);
            let column = "generate_series".to_owned();
            if let Item::Expr(expr, _) = item {
                *expr = Expr::Column(column.clone());
            }
            select.from = From::Series(first, last, column);
            return;
        }
    }
}

/// What PostgreSQL calls a column that was given no name.
fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Column(name) | Expr::Call(name, _) => name.clone(),
        Expr::Cast(inside, ty) => match (name_of(inside).as_str(), ty) {
            ("?column?", Type::Int4) => "int4".to_owned(),
            ("?column?", Type::Int8) => "int8".to_owned(),
            ("?column?", Type::Text) => "text".to_owned(),
            ("?column?", Type::Bool) => "bool".to_owned(),
            (name, _) => name.to_owned(),
        },
        Expr::Literal(Value::Bool(_), _) => "bool".to_owned(),
        Expr::Literal(..) | Expr::Param(_) | Expr::Binary(..) | Expr::Not(_) | Expr::IsNull(_) => {
            "?column?".to_owned()
        }
    }
}
