//! What the bare words of a statement tell where its tree does not, or is not to be trusted alone.

use super::class::{Reason, StateChange};
use super::functions::{self, Effect};
use super::tokens::{Shape, Token};
use super::utility::Statement;

/// Finds whether a relation is a system catalog or a temporary one, by any part of its name.
pub(super) fn catalog_relation(parts: &[String]) -> Option<Reason> {
    let is_system = parts.iter().any(|part| part.starts_with("pg_"));
    is_system.then(|| Reason::SystemCatalog { relation: parts.join(".").into() })
}

/// Looks for words that no plain read has, should the parser have read them as something else.
pub(super) fn suspicious_words(statement: &Statement<'_>) -> Option<Reason> {
    let pairs = statement.tokens.iter().zip(statement.tokens.iter().skip(1));
    let is = |token: &Token, words: &[&str]| {
        words.iter().any(|word| token.is_word(statement.text, word))
    };
    for (one, next) in pairs {
        if is(next, &["into"]) {
            return Some(Reason::SelectInto);
        }
        if is(one, &["for"]) && is(next, &["update", "share", "no", "key"]) {
            return Some(Reason::LockingClause);
        }
        if next.shape == Shape::Symbol(b'(') {
            let name = one.name(statement.text).unwrap_or_default();
            let effect = functions::effect(&name, one.shape == Shape::QuotedName);
            if matches!(effect, Effect::Primary | Effect::Lock | Effect::SessionLock) {
                return Some(Reason::PrimaryFunction { name: name.into() });
            }
        }
        if one.shape == Shape::Symbol(b'(') && is(next, &["insert", "update", "delete", "merge"]) {
            return Some(Reason::DmlInQuery);
        }
    }
    None
}

/// Tells what a query that does not parse may leave behind: nothing, if all it calls is known.
pub(super) fn state_by_tokens(statement: &Statement<'_>) -> StateChange {
    let mut before = None::<&Token>;
    let pairs = statement.tokens.iter().zip(statement.tokens.iter().skip(1));
    for (token, next) in pairs {
        if next.shape == Shape::Symbol(b'(') {
            let is_qualified = before.is_some_and(|token| token.shape == Shape::Symbol(b'.'));
            let name = token.name(statement.text).unwrap_or_default();
            let is_quoted = token.shape == Shape::QuotedName;
            let is_known = name.is_empty()
                || (!is_quoted && KEYWORDS_BEFORE_PARENTHESIS.contains(&&*name))
                || matches!(functions::effect(&name, is_quoted), Effect::None | Effect::Primary);
            if is_qualified || !is_known {
                return StateChange::Untracked;
            }
        }
        before = Some(token);
    }
    let makes_temporary = statement.has_word("into") && statement.mentions_temporary();
    if makes_temporary { StateChange::Untracked } else { StateChange::None }
}

/// Reserved words that a parenthesis follows without a call.
const KEYWORDS_BEFORE_PARENTHESIS: &[&str] = &[
    "all",
    "and",
    "any",
    "as",
    "between",
    "by",
    "case",
    "conflict",
    "cube",
    "distinct",
    "else",
    "except",
    "filter",
    "from",
    "group",
    "having",
    "in",
    "intersect",
    "into",
    "join",
    "lateral",
    "limit",
    "materialized",
    "not",
    "offset",
    "on",
    "or",
    "over",
    "rollup",
    "select",
    "set",
    "sets",
    "some",
    "then",
    "union",
    "using",
    "values",
    "when",
    "where",
    "with",
    "within",
];
