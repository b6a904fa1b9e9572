//! What the bare words of a statement tell where its tree does not, or is not to be trusted alone.

use super::class::{Hold, Reason, StateChange};
use super::functions::{self, Effect};
use super::statement::Statement;
use super::tokens::{Shape, Token};

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
            if !matches!(effect, Effect::None | Effect::Unknown) {
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
    let mut state = StateChange::None;
    let pairs = statement.tokens.iter().zip(statement.tokens.iter().skip(1));
    for (token, next) in pairs {
        if next.shape == Shape::Symbol(b'(') {
            let is_qualified = before.is_some_and(|token| token.shape == Shape::Symbol(b'.'));
            let name = token.name(statement.text).unwrap_or_default();
            let is_quoted = token.shape == Shape::QuotedName;
            let is_keyword =
                name.is_empty() || (!is_quoted && KEYWORDS_BEFORE_PARENTHESIS.contains(&&*name));
            if !is_keyword {
                state = state.and(state_of(functions::effect(&name, is_quoted)));
            }
            if is_qualified {
                state = state.and(StateChange::Unknown);
            }
        }
        before = Some(token);
    }
    if statement.has_word("into") && statement.mentions_temporary() {
        state = state.and(StateChange::Holds(Hold::TemporaryTable));
    }
    state
}

/// Tells what the call of a function leaves behind, whatever its arguments.
pub(super) const fn state_of(effect: Effect) -> StateChange {
    match effect {
        Effect::None | Effect::Primary | Effect::Lock => StateChange::None,
        Effect::SessionLock => StateChange::Holds(Hold::AdvisoryLock),
        Effect::SessionUnlock => StateChange::Undoes,
        Effect::SetsParameter | Effect::Leaves => StateChange::Holds(Hold::Setting),
        Effect::Unknown => StateChange::Unknown,
    }
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
