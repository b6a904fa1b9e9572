//! What a statement does, as far as its text tells.
//!
//! Only a query all of whose parts are known to read, and to give the same answer on every server,
//! is a [`Kind::Read`]. The tree of the parser is not trusted to be PostgreSQL's in every detail:
//! kinds of node are allowed one by one, and what is not allowed is a doubt.
//!
//! A text does not show what triggers, rules, views, casts, operators of the user's and the
//! functions behind them do. Where those write, a standby refuses.

mod tree;

use std::borrow::Cow;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::class::{Class, Hold, Kind, Reason, Relations, StateChange};
use super::lore::Lore;
use super::pattern::matches_text;
use super::rules::Comments;
use super::statement::Statement;
use super::tokens::{Shape, Token, Tokens};
use super::unreadable::Unreadable;
use super::utility::{self, Verdict};
use super::verb::Verb;
use super::words::{changed_relations, one_relation, state_by_tokens, suspicious_words};
use tree::Inspection;

/// Longest text that is parsed, in bytes. A longer one is data more than it is a query, and would
/// hold up the shard's other sessions.
pub const QUERY_TEXT_LEN_MAX: usize = 64 * 1024;

/// Words and operators of one text that is parsed. Each may nest the tree by one level, and a tree
/// is taken down by recursion: this many levels fit into a thread's stack several times over.
pub const QUERY_TERMS_MAX: usize = 3000;

/// Nesting of parentheses and subqueries that is parsed.
const NESTING_MAX: usize = 60;

/// Tells what a text does. Never fails: what cannot be told is for the primary.
#[must_use]
pub fn classify(text: &[u8], lore: &Lore<'_>) -> Class {
    Class { verb: Verb::of(text), ..classify_uncounted(text, lore) }
}

fn classify_uncounted(text: &[u8], lore: &Lore<'_>) -> Class {
    if text.len() > QUERY_TEXT_LEN_MAX {
        return Class::unknown(Reason::TooLong { len: text.len() });
    }
    let class = match read(text) {
        Err(unreadable) => Class::unknown(Reason::Unreadable(unreadable)),
        Ok(scan) => scan.classify(lore),
    };
    if class.kind == Kind::Read && matches_text(&lore.rules.primary_texts, text) {
        return class.bound(Reason::ListedText);
    }
    class
}

/// A text whose tokens are known.
struct Scan<'a> {
    /// The text, with a space for every byte of a comment.
    text: Cow<'a, [u8]>,
    /// Without comments.
    tokens: Vec<Token>,
    prelude: Prelude,
    /// Words and operators, which are what trees are made deep with.
    terms: usize,
}

/// What stands in front of a text's first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prelude {
    Nothing,
    Comment,
    /// `/*NO LOAD BALANCE*/`, among others perhaps.
    NoLoadBalance,
}

/// Tells whether a comment is the one that forbids to balance what follows.
pub(super) fn forbids_balancing(comment: &[u8]) -> bool {
    let inner = comment.strip_prefix(b"/*").and_then(|rest| rest.strip_suffix(b"*/"));
    inner.is_some_and(|inner| inner.trim_ascii().eq_ignore_ascii_case(b"NO LOAD BALANCE"))
}

fn read(text: &[u8]) -> Result<Scan<'_>, Unreadable> {
    let mut scan =
        Scan { text: Cow::Borrowed(text), tokens: Vec::new(), prelude: Prelude::Nothing, terms: 0 };
    let mut tokens = Tokens::new(text);
    while let Some(token) = tokens.next()? {
        match token.shape {
            Shape::Comment => {
                // Blanked, so that no other reading of where a comment ends can matter.
                if let Some(comment) = scan.text.to_mut().get_mut(token.start..token.end) {
                    comment.fill(b' ');
                }
                if scan.tokens.is_empty() && scan.prelude != Prelude::NoLoadBalance {
                    scan.prelude = match forbids_balancing(token.bytes(text)) {
                        true => Prelude::NoLoadBalance,
                        false => Prelude::Comment,
                    };
                }
                continue;
            }
            Shape::Symbol(b',' | b'.' | b';' | b')') => {}
            Shape::Symbol(_) | Shape::Word => scan.terms += 1,
            Shape::QuotedName
            | Shape::Text
            | Shape::PrefixedText
            | Shape::Number
            | Shape::Parameter => {}
        }
        scan.tokens.push(token);
    }
    Ok(scan)
}

impl Scan<'_> {
    fn classify(&self, lore: &Lore<'_>) -> Class {
        let statements: Vec<Statement<'_>> = self
            .tokens
            .split(|token| token.shape == Shape::Symbol(b';'))
            .filter(|tokens| !tokens.is_empty())
            .map(|tokens| Statement { text: &self.text, tokens })
            .collect();
        let class = match statements.as_slice() {
            [] => Class::new(Kind::Empty, Reason::NothingToRun),
            [one] => self.classify_one(one, lore),
            many => self.classify_many(many, lore),
        };
        match (class.kind, self.prelude, lore.comments) {
            (Kind::Read | Kind::Show, Prelude::NoLoadBalance, _) => {
                class.bound(Reason::NoLoadBalance)
            }
            (Kind::Read, Prelude::Comment, Comments::Bind) => class.bound(Reason::CommentBefore),
            _ => class,
        }
    }

    fn classify_many(&self, statements: &[Statement<'_>], lore: &Lore<'_>) -> Class {
        let mut state = StateChange::None;
        for statement in statements {
            let class = self.classify_one(statement, lore);
            state = state.and(class.state);
            // A setting among others cannot be repeated by itself.
            if class.kind == Kind::Setting {
                state = state.and(StateChange::Holds(Hold::Setting));
            }
        }
        Class::leaving(Reason::MultipleStatements { count: statements.len() }, state)
    }

    fn classify_one(&self, statement: &Statement<'_>, lore: &Lore<'_>) -> Class {
        match utility::recognise(statement) {
            Verdict::Known(class) => class,
            Verdict::Query => self.classify_query(statement, lore),
            Verdict::Explain { runs: false, .. } => Class::primary_read(Reason::Explain),
            Verdict::Explain { runs: true, inner } => {
                let inner = self.classify_inner(&inner, lore);
                Class { kind: Kind::Write, reason: Reason::Explain, ..inner }
            }
            Verdict::CopyQuery(query) => {
                let class = self.classify_query(&query, lore);
                if class.kind == Kind::Read {
                    Class { reason: Reason::CopyOut, ..class }
                } else {
                    class
                }
            }
            Verdict::Table(relation) => whole_relation(&relation, Reason::PlainRead, lore),
            Verdict::CopyRelation(relation) => whole_relation(&relation, Reason::CopyOut, lore),
            Verdict::Creates => {
                let reason = Reason::Command { word: "create".into() };
                let inspection = self.inspect(statement, lore);
                Class::leaving(reason, inspection.map_or(StateChange::Unknown, |i| i.state))
            }
            Verdict::Declares(query) => {
                let inner = self.classify_query(&query, lore);
                inner.bound(Reason::Command { word: "declare".into() })
            }
        }
    }

    /// Tells what the statement of an `EXPLAIN` does when it is run.
    fn classify_inner(&self, statement: &Statement<'_>, lore: &Lore<'_>) -> Class {
        match utility::recognise(statement) {
            Verdict::Query => self.classify_query(statement, lore),
            Verdict::Known(class) => class,
            Verdict::Table(relation) => whole_relation(&relation, Reason::PlainRead, lore),
            Verdict::Creates
            | Verdict::Declares(_)
            | Verdict::Explain { .. }
            | Verdict::CopyQuery(_)
            | Verdict::CopyRelation(_) => Class::unknown(Reason::Explain),
        }
    }

    fn classify_query(&self, statement: &Statement<'_>, lore: &Lore<'_>) -> Class {
        let changes_rows = ["insert", "update", "delete", "merge"]
            .iter()
            .any(|word| statement.tokens.first().is_some_and(|t| t.is_word(&self.text, word)));
        let Some(inspection) = self.inspect(statement, lore) else {
            let reason = if self.terms > QUERY_TERMS_MAX {
                Reason::TooComplex { terms: self.terms }
            } else {
                Reason::Unparsable
            };
            return Class::leaving(reason, state_by_tokens(statement, lore));
        };
        let reads = Relations::of(inspection.relations);
        let reason = match inspection.doubt {
            None if changes_rows => Reason::Dml,
            None => match suspicious_words(statement, lore) {
                None => return Class { reads, ..Class::new(Kind::Read, Reason::PlainRead) },
                // The tree does not show it, so what it leaves is not in the inspection either.
                Some(reason) => {
                    return Class::leaving(reason, state_by_tokens(statement, lore));
                }
            },
            Some(reason) => reason,
        };
        // Where the rows of a plain read are, does not make it a write.
        let only_reads = matches!(
            reason,
            Reason::SystemCatalog { .. }
                | Reason::UnloggedRelation { .. }
                | Reason::Sequence { .. }
        );
        let writes = if reason == Reason::SelectInto {
            Relations::Unknown
        } else if only_reads && !changes_rows && inspection.calls.is_empty() {
            Relations::None
        } else {
            let mut names = changed_relations(statement);
            names.extend(inspection.calls);
            Relations::of(names)
        };
        Class { state: inspection.state, reads, writes, ..Class::new(Kind::Write, reason) }
    }

    /// Parses one statement and walks its tree; nothing if it does not parse.
    fn inspect(&self, statement: &Statement<'_>, lore: &Lore<'_>) -> Option<Inspection> {
        let (first, last) = (statement.tokens.first()?, statement.tokens.last()?);
        if self.terms > QUERY_TERMS_MAX {
            return None;
        }
        let mut text = Cow::Borrowed(self.text.get(first.start..last.end)?);
        for only in statement.onlys() {
            // The parser takes this reserved word for the name of a table.
            let range = only.start - first.start..only.end - first.start;
            text.to_mut().get_mut(range)?.fill(b' ');
        }
        // Bytes that are not UTF-8 can only stand in literals and quoted names here.
        let text = String::from_utf8_lossy(&text);
        let dialect = PostgreSqlDialect {};
        let trees = Parser::new(&dialect)
            .with_recursion_limit(NESTING_MAX)
            .try_with_sql(&text)
            .and_then(|mut parser| parser.parse_statements())
            .ok()?;
        let [tree] = trees.as_slice() else { return None };
        Some(tree::inspect(tree, statement.mentions_temporary(), lore))
    }
}

/// Classifies what reads a whole relation.
fn whole_relation(parts: &[String], plain: Reason, lore: &Lore<'_>) -> Class {
    let class = match lore.relation(parts) {
        Some(reason) => Class::primary_read(reason),
        None => Class::new(Kind::Read, plain),
    };
    Class { reads: one_relation(parts), ..class }
}

#[cfg(test)]
mod tests;
