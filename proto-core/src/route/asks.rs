//! What exactly pgherd is asked for: the names and values in the texts that it answers itself.
//!
//! They are read from the text at hand and are no part of its class, because texts that differ in
//! literals share one class.

use std::ops::Range;

use super::class::PoolShow;
use super::statement::Statement;
use super::tokens::{Shape, Token, Tokens};

/// A question or an order to pgherd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `SHOW pool_…`
    Show(PoolShow),
    /// `EXPLAIN ROUTE` and a statement, which takes these bytes of the text.
    ExplainRoute {
        /// Not empty, without the semicolon.
        statement: Range<usize>,
    },
    /// `PGPOOL SHOW` of a parameter or a group of them.
    PgpoolShow {
        /// The name in lower case.
        name: Box<str>,
    },
    /// `PGPOOL SHOW ALL`.
    PgpoolShowAll,
    /// `PGPOOL SET` of a parameter.
    PgpoolSet {
        /// The name in lower case.
        name: Box<str>,
        /// The value, without quotes if it had any.
        value: Box<str>,
    },
    /// `PGPOOL SET CACHE DELETE` of a query.
    PgpoolCacheDelete {
        /// The query.
        query: Box<str>,
    },
    /// `PGPOOL RESET` of a parameter.
    PgpoolReset {
        /// The name in lower case.
        name: Box<str>,
    },
    /// `PGPOOL RESET ALL`.
    PgpoolResetAll,
}

/// Reads what a text asks of pgherd; nothing if it asks nothing, or more than one thing.
#[must_use]
pub fn read(text: &[u8]) -> Option<Asked> {
    let mut scanner = Tokens::new(text);
    let mut tokens = Vec::new();
    while let Some(token) = scanner.next().ok()? {
        if token.shape != Shape::Comment {
            tokens.push(token);
        }
    }
    let is_end = |token: &Token| token.shape == Shape::Symbol(b';');
    let mut parts = tokens.split(is_end).filter(|tokens| !tokens.is_empty());
    let statement = Statement { text, tokens: parts.next()? };
    if parts.next().is_some() { None } else { read_statement(&statement) }
}

/// Tells whether one of several statements in a text asks something of pgherd.
#[must_use]
pub fn is_beside_others(text: &[u8]) -> bool {
    let mut scanner = Tokens::new(text);
    let mut tokens = Vec::new();
    while let Ok(Some(token)) = scanner.next() {
        if token.shape != Shape::Comment {
            tokens.push(token);
        }
    }
    let is_end = |token: &Token| token.shape == Shape::Symbol(b';');
    let parts: Vec<&[Token]> = tokens.split(is_end).filter(|tokens| !tokens.is_empty()).collect();
    let asks = |tokens: &&[Token]| read_statement(&Statement { text, tokens }).is_some();
    parts.len() > 1 && parts.iter().any(asks)
}

/// Reads what one statement asks of pgherd.
pub(super) fn read_statement(statement: &Statement<'_>) -> Option<Asked> {
    let words = statement.words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let name = |index| statement.name(index).map(|name| name.to_ascii_lowercase().into());
    let asked = match words.as_slice() {
        ["show", _] => Asked::Show(PoolShow::from_name(&statement.name(1)?)?),
        ["explain", "route", _, ..] => Asked::ExplainRoute { statement: explained(statement)? },
        ["pgpool", "show", "all"] => Asked::PgpoolShowAll,
        ["pgpool", "show", _] => Asked::PgpoolShow { name: name(2)? },
        ["pgpool", "reset", "all"] => Asked::PgpoolResetAll,
        ["pgpool", "reset", _] => Asked::PgpoolReset { name: name(2)? },
        ["pgpool", "set", "cache", "delete", "'"] => {
            Asked::PgpoolCacheDelete { query: value(statement, 4)? }
        }
        ["pgpool", "set", _, "to" | "=", _, ..] => {
            Asked::PgpoolSet { name: name(2)?, value: value(statement, 4)? }
        }
        _ => return None,
    };
    Some(asked)
}

/// Finds the statement behind `EXPLAIN ROUTE`, with the comments in front of it, which may decide
/// about its route.
fn explained(statement: &Statement<'_>) -> Option<Range<usize>> {
    let (start, end) = (statement.tokens.get(1)?.end, statement.tokens.last()?.end);
    let rest = statement.text.get(start..end)?;
    Some(end - rest.trim_ascii_start().len()..end)
}

/// Reads a value: one literal, one name, or all the rest as it is written, such as `-1`.
fn value(statement: &Statement<'_>, start: usize) -> Option<Box<str>> {
    let tokens = statement.tokens.get(start..)?;
    let (first, last) = (tokens.first()?, tokens.last()?);
    let written = statement.text.get(first.start..last.end)?;
    let written = std::str::from_utf8(written).ok()?;
    let plain = match (tokens, first.shape) {
        ([_], Shape::Text) => written.get(1..written.len().checked_sub(1)?)?.replace("''", "'"),
        ([_], Shape::QuotedName) => first.name(statement.text)?,
        _ => written.to_owned(),
    };
    Some(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_beside_other_statements_are_found() {
        let cases = [
            ("show pool_nodes", false),
            ("show pool_nodes;", false),
            ("show pool_nodes; select 1", true),
            ("select 1; explain route select 2;", true),
            ("begin; pgpool set x to 1; commit", true),
            ("select 'show pool_nodes'; select 1", false),
            ("select 1; show work_mem", false),
            ("select 1; 'open", false),
            ("", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_beside_others(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn questions_are_read_with_their_names_and_values() {
        let route = |statement| Some(Asked::ExplainRoute { statement });
        let set = |name: &str, value: &str| {
            Some(Asked::PgpoolSet { name: name.into(), value: value.into() })
        };
        let cases: &[(&str, Option<Asked>)] = &[
            ("show pool_nodes", Some(Asked::Show(PoolShow::Nodes))),
            ("SHOW POOL_PINS;", Some(Asked::Show(PoolShow::Pins))),
            ("show \"pool_route_stats\"", Some(Asked::Show(PoolShow::RouteStats))),
            ("show work_mem", None),
            ("show pool_nodes; select 1", None),
            ("explain route select 1", route(14..22)),
            ("explain /* why */ route\n select ';' ;", route(25..35)),
            ("explain route /* no */ select 1 -- so", route(14..31)),
            ("explain route", None),
            ("explain select 1", None),
            ("pgpool show all", Some(Asked::PgpoolShowAll)),
            ("PGPOOL SHOW Port", Some(Asked::PgpoolShow { name: "port".into() })),
            ("pgpool show a b", None),
            ("pgpool set client_idle_limit to 350", set("client_idle_limit", "350")),
            ("pgpool set x = '3''s'", set("x", "3's")),
            ("pgpool set x to off", set("x", "off")),
            ("pgpool set x to -1", set("x", "-1")),
            ("pgpool set x to \"A\"", set("x", "A")),
            ("pgpool set x to", None),
            ("pgpool reset x", Some(Asked::PgpoolReset { name: "x".into() })),
            ("pgpool reset all", Some(Asked::PgpoolResetAll)),
            (
                "pgpool set cache delete 'select 1'",
                Some(Asked::PgpoolCacheDelete { query: "select 1".into() }),
            ),
            ("select 'abc", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text.as_bytes()), *expected, "{text}");
        }
    }
}
