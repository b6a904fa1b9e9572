//! What the bare words of a statement tell where its tree does not, or is not to be trusted alone.

use std::collections::BTreeSet;

use super::class::{Hold, Reason, Relations, StateChange};
use super::lore::Lore;
use super::statement::Statement;
use super::tokens::{Shape, Token};

/// Looks for words that no plain read has, should the parser have read them as something else.
pub(super) fn suspicious_words(statement: &Statement<'_>, lore: &Lore<'_>) -> Option<Reason> {
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
            if let Some(reason) = lore.suspect(&name, one.shape == Shape::QuotedName) {
                return Some(reason);
            }
        }
        if one.shape == Shape::Symbol(b'(') && is(next, &["insert", "update", "delete", "merge"]) {
            return Some(Reason::DmlInQuery);
        }
    }
    None
}

/// Tells what a query that does not parse may leave behind: nothing, if all it calls is known.
pub(super) fn state_by_tokens(statement: &Statement<'_>, lore: &Lore<'_>) -> StateChange {
    let mut state = StateChange::None;
    let mut schema = None::<String>;
    let mut before = None::<&Token>;
    let pairs = statement.tokens.iter().zip(statement.tokens.iter().skip(1));
    for (token, next) in pairs {
        let name = token.name(statement.text).unwrap_or_default();
        let is_qualified = before.is_some_and(|token| token.shape == Shape::Symbol(b'.'));
        if next.shape == Shape::Symbol(b'(') {
            let is_quoted = token.shape == Shape::QuotedName;
            let is_keyword =
                name.is_empty() || (!is_quoted && KEYWORDS_BEFORE_PARENTHESIS.contains(&&*name));
            if is_qualified || !is_keyword {
                let schema = schema.as_deref().filter(|_| is_qualified);
                state = state.and(lore.call(schema, &name, is_quoted).state);
            }
        }
        if next.shape == Shape::Symbol(b'.') {
            schema = Some(name);
        }
        before = Some(token);
    }
    if statement.has_word("into") && statement.mentions_temporary() {
        state = state.and(StateChange::Holds(Hold::TemporaryTable));
    }
    state
}

/// Finds the relations that a statement changes by its own words, without their schemas.
pub(super) fn changed_relations(statement: &Statement<'_>) -> BTreeSet<Box<str>> {
    let is = |at: usize, word: &str| {
        statement.tokens.get(at).is_some_and(|token| token.is_word(statement.text, word))
    };
    let mut names = BTreeSet::new();
    for (at, token) in statement.tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| statement.tokens.get(before));
        // ON CONFLICT DO UPDATE SET and FOR UPDATE name no relation.
        let is_update = token.is_word(statement.text, "update")
            && before.is_none_or(|before| {
                !before.is_word(statement.text, "do") && !before.is_word(statement.text, "for")
            });
        let is_phrase = ((is(at, "insert") || is(at, "merge")) && is(at + 1, "into"))
            || (is(at, "delete") && is(at + 1, "from"));
        let start = match (is_update, is_phrase) {
            (true, _) => at + 1,
            (false, true) => at + 2,
            (false, false) => continue,
        };
        let start = if is(start, "only") { start + 1 } else { start };
        let (mut parts, _) = statement.relation(start);
        names.extend(parts.pop().map(String::into_boxed_str));
    }
    names
}

/// Turns the names of a `COPY`'s relation into what it touches.
pub(super) fn one_relation(parts: &[String]) -> Relations {
    Relations::of(parts.last().map(|name| name.as_str().into()).into_iter().collect())
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
