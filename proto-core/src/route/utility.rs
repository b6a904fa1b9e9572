//! The statements that are known by their first words: all but queries and what changes rows.
//!
//! Their grammar is PostgreSQL's own and mostly beyond a general parser, while the words that
//! matter here stand in front. What is not recognised is a doubt, and the primary's.

use super::class::{Access, Class, Isolation, Kind, PoolShow, Reason, StateChange};
use super::tokens::{Shape, Token};

/// The tokens of one statement, without comments.
#[derive(Clone, Copy)]
pub(super) struct Statement<'a> {
    pub(super) text: &'a [u8],
    pub(super) tokens: &'a [Token],
}

impl<'a> Statement<'a> {
    /// Returns the words in lower case and the symbols as they are; all else, quoted names and
    /// literals, as a quote.
    fn words(&self) -> Vec<String> {
        let word = |token: &Token| match token.shape {
            Shape::Word | Shape::Symbol(_) => {
                String::from_utf8_lossy(token.bytes(self.text)).to_ascii_lowercase()
            }
            Shape::QuotedName => "\"".to_owned(),
            Shape::Text
            | Shape::PrefixedText
            | Shape::Number
            | Shape::Parameter
            | Shape::Comment => "'".to_owned(),
        };
        self.tokens.iter().take(WORDS_MAX).map(word).collect()
    }

    fn name(&self, index: usize) -> Option<String> {
        self.tokens.get(index)?.name(self.text)
    }

    fn from(&self, index: usize) -> Statement<'a> {
        Statement { text: self.text, tokens: self.tokens.get(index..).unwrap_or_default() }
    }

    /// Reads the name of a relation, part by part, and tells which token follows it.
    fn relation(&self, start: usize) -> (Vec<String>, usize) {
        let mut at = start;
        let mut parts = Vec::new();
        while let Some(part) = self.name(at) {
            parts.push(part);
            at += 1;
            if self.tokens.get(at).is_none_or(|token| token.shape != Shape::Symbol(b'.')) {
                break;
            }
            at += 1;
        }
        (parts, at)
    }

    /// Tells whether a word occurs anywhere outside of literals and quoted names.
    pub(super) fn has_word(&self, word: &str) -> bool {
        self.tokens.iter().any(|token| token.is_word(self.text, word))
    }

    /// Tells whether temporary relations are spoken of.
    pub(super) fn mentions_temporary(&self) -> bool {
        self.tokens
            .iter()
            .filter_map(|token| token.name(self.text))
            .any(|name| matches!(&*name, "temp" | "temporary") || name.starts_with("pg_temp"))
    }

    /// Tells whether these are the options of a `COPY`, in parentheses or the two common old ones.
    fn is_copy_options(&self) -> bool {
        let words = self.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let options = match words.as_slice() {
            ["with", rest @ ..] | rest => rest,
        };
        match options {
            [] | ["csv" | "binary"] | ["csv", "header"] => true,
            ["(", inner @ .., ")"] if self.tokens.len() == words.len() => {
                let mut before = inner
                    .iter()
                    .scan("", |before, word| Some((std::mem::replace(before, word), *word)));
                before.all(|(before, word)| word != "(" || before.starts_with("force_"))
            }
            _ => false,
        }
    }

    /// Finds the token after the parenthesis that closes the one at `open`.
    fn after_parenthesis(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (index, token) in self.tokens.iter().enumerate().skip(open) {
            match token.shape {
                Shape::Symbol(b'(') => depth += 1,
                Shape::Symbol(b')') => depth = depth.checked_sub(1)?,
                Shape::Symbol(_)
                | Shape::Word
                | Shape::QuotedName
                | Shape::Text
                | Shape::PrefixedText
                | Shape::Number
                | Shape::Parameter
                | Shape::Comment => {}
            }
            if depth == 0 {
                return Some(index + 1);
            }
        }
        None
    }
}

/// What the first words tell.
pub(super) enum Verdict<'a> {
    /// All there is to know.
    Known(Class),
    /// A query, or a statement that changes rows: its tree decides.
    Query,
    /// Plans, and perhaps runs, the statement.
    Explain { runs: bool, inner: Statement<'a> },
    /// Copies to the client what the query in parentheses returns.
    CopyQuery(Statement<'a>),
    /// Reads a whole relation; its name, part by part.
    Table(Vec<String>),
    /// Copies a relation to the client; its name, part by part.
    CopyRelation(Vec<String>),
    /// Data definition that runs a query which the tree shows.
    Creates,
}

/// Recognises a statement by its first words.
pub(super) fn recognise<'a>(statement: &Statement<'a>) -> Verdict<'a> {
    let words = statement.words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let class = match words.as_slice() {
        [] => Class::new(Kind::Empty, Reason::NothingToRun),
        ["table", ..] => {
            // The parser knows TABLE only inside of other queries.
            let (relation, after) = statement.relation(1);
            let is_all = after == statement.tokens.len() && !relation.is_empty();
            return if is_all { Verdict::Table(relation) } else { Verdict::Query };
        }
        ["(" | "select" | "values" | "with", ..]
        | ["insert" | "update" | "delete" | "merge", ..] => return Verdict::Query,
        ["begin", rest @ ..] | ["start", "transaction", rest @ ..] => begin(rest),
        ["commit" | "rollback" | "end" | "abort" | "savepoint" | "release", ..]
        | ["prepare", "transaction", ..] => transaction(&words),
        ["set", "constraints" | "transaction", ..] => {
            Class::new(Kind::Transaction, Reason::TransactionControl)
        }
        ["set", ..] => set(statement, &words),
        ["reset", ..] => reset(statement, &words),
        ["show", ..] => show(statement),
        ["discard", "all"] => Class::new(Kind::DiscardAll, Reason::DiscardsState),
        ["discard", "plans" | "sequences" | "temp" | "temporary"] => command("discard"),
        ["explain" | "analyze" | "analyse", ..] => return explain(statement, &words),
        ["copy", rest @ ..] => return copy(statement, rest),
        ["create", rest @ ..] => return create(statement, rest),
        ["declare", ..] if statement.has_word("hold") => session_command("declare"),
        [word, ..] if COMMANDS.contains(word) => command(word),
        [word @ ("prepare" | "execute" | "listen" | "load" | "do" | "call"), ..] => {
            session_command(word)
        }
        _ => Class::untracked(Reason::Unparsable),
    };
    Verdict::Known(class)
}

fn command(word: &str) -> Class {
    Class::write(Reason::Command { word: word.into() })
}

fn session_command(word: &str) -> Class {
    Class::untracked(Reason::SessionCommand { word: word.into() })
}

/// Reads the modes after `BEGIN` or `START TRANSACTION`. The last of each wins, as in PostgreSQL.
fn begin(modes: &[&str]) -> Class {
    let (mut access, mut isolation) = (Access::Unstated, None);
    let mut rest = match modes {
        ["work" | "transaction", rest @ ..] | rest => rest,
    };
    loop {
        rest = match rest {
            [] => break,
            ["read", "only", rest @ ..] => {
                access = Access::ReadOnly;
                rest
            }
            ["read", "write", rest @ ..] => {
                access = Access::ReadWrite;
                rest
            }
            ["isolation", "level", rest @ ..] => {
                let Some((level, rest)) = isolation_level(rest) else {
                    return Class::untracked(Reason::Unparsable);
                };
                isolation = Some(level);
                rest
            }
            [",", rest @ ..] | ["not", "deferrable", rest @ ..] | ["deferrable", rest @ ..] => rest,
            _ => return Class::untracked(Reason::Unparsable),
        };
    }
    Class::new(Kind::Begin { access, isolation }, Reason::TransactionControl)
}

fn isolation_level<'a, 'b>(words: &'a [&'b str]) -> Option<(Isolation, &'a [&'b str])> {
    match words {
        ["serializable", rest @ ..] => Some((Isolation::Serializable, rest)),
        ["repeatable", "read", rest @ ..] => Some((Isolation::RepeatableRead, rest)),
        ["read", "committed", rest @ ..] => Some((Isolation::ReadCommitted, rest)),
        ["read", "uncommitted", rest @ ..] => Some((Isolation::ReadUncommitted, rest)),
        _ => None,
    }
}

fn transaction(words: &[&str]) -> Class {
    let inside = match words {
        ["commit" | "rollback", "prepared", ..] => return command("two-phase commit"),
        ["savepoint" | "release" | "prepare", ..]
        | ["rollback", "to", ..]
        | ["rollback", "work" | "transaction", "to", ..] => true,
        [_] | [_, "work" | "transaction" | "and", ..] => false,
        _ => return Class::untracked(Reason::Unparsable),
    };
    let kind = if inside { Kind::Transaction } else { Kind::End };
    Class::new(kind, Reason::TransactionControl)
}

fn set(statement: &Statement<'_>, words: &[&str]) -> Class {
    let at = match words {
        // A parameter may itself be called session or local.
        ["set", "local", "=" | "to", ..] | ["set", "session", "=" | "to", ..] => 1,
        ["set", "local", ..] => return Class::write(Reason::LocalParameter),
        ["set", "session", "characteristics", ..] => {
            return sticky_parameter("session characteristics");
        }
        ["set", "session", ..] => 2,
        _ => 1,
    };
    match words.get(at..).unwrap_or_default() {
        ["time", "zone", _, ..] | ["names", ..] | ["schema" | "catalog", "'"] => {
            Class::new(Kind::Setting, Reason::SetsParameter)
        }
        ["role", ..] => sticky_parameter("role"),
        ["authorization", ..] => sticky_parameter("session_authorization"),
        ["xml", "option", ..] => Class::new(Kind::Setting, Reason::SetsParameter),
        [_, ".", _, "=" | "to", _, ..] | [_, "=" | "to", _, ..] => match statement.name(at) {
            Some(name) => setting(&name),
            None => Class::untracked(Reason::Unparsable),
        },
        _ => Class::untracked(Reason::Unparsable),
    }
}

fn reset(statement: &Statement<'_>, words: &[&str]) -> Class {
    match words {
        ["reset", "all"] | ["reset", "time", "zone"] => {
            Class::new(Kind::Setting, Reason::SetsParameter)
        }
        ["reset", "session", "authorization"] => sticky_parameter("session_authorization"),
        ["reset", "transaction", "isolation", "level"] => sticky_parameter("transaction_isolation"),
        ["reset", _] | ["reset", _, ".", _] => match statement.name(1) {
            Some(name) => setting(&name),
            None => Class::untracked(Reason::Unparsable),
        },
        _ => Class::untracked(Reason::Unparsable),
    }
}

/// Tells whether setting a parameter can be repeated on the session's other connection.
fn setting(name: &str) -> Class {
    // Parameter names do not mind case, even in double quotes.
    let name = name.to_ascii_lowercase();
    let is_sticky = name.starts_with("transaction_")
        || name.starts_with("default_transaction_")
        || STICKY_PARAMETERS.contains(&&*name);
    if is_sticky {
        return sticky_parameter(&name);
    }
    Class::new(Kind::Setting, Reason::SetsParameter)
}

fn sticky_parameter(name: &str) -> Class {
    Class::untracked(Reason::StickyParameter { name: name.into() })
}

fn show(statement: &Statement<'_>) -> Class {
    let own = match statement.tokens {
        [_, _] => statement.name(1).and_then(|name| PoolShow::from_name(&name)),
        _ => None,
    };
    match own {
        Some(show) => Class::new(Kind::Pgherd(show), Reason::AsksPgherd),
        None => Class::new(Kind::Show, Reason::ShowsParameter),
    }
}

/// Finds the statement that an `EXPLAIN` is about.
fn explain<'a>(statement: &Statement<'a>, words: &[&str]) -> Verdict<'a> {
    if !matches!(words, ["explain", ..]) {
        return Verdict::Known(command("analyze"));
    }
    let mut at = 1;
    let mut runs = false;
    if matches!(words, ["explain", "(", ..]) {
        // The parenthesis holds options, or it is the query's own; both may begin a query.
        let after = statement.after_parenthesis(1).unwrap_or(1);
        let is_options = !matches!(words, ["explain", "(", "select" | "values" | "with" | "(", ..]);
        if is_options {
            at = after;
            runs = true;
        }
    }
    while let Some("analyze" | "analyse" | "verbose") = words.get(at).copied() {
        runs = true;
        at += 1;
    }
    Verdict::Explain { runs, inner: statement.from(at) }
}

/// Recognises `COPY … TO STDOUT`; every other `COPY` is the primary's.
fn copy<'a>(statement: &Statement<'a>, words: &[&str]) -> Verdict<'a> {
    let is_stdout = |after: usize| {
        let word = |index: usize, word| {
            statement.tokens.get(index).is_some_and(|token| token.is_word(statement.text, word))
        };
        word(after, "to")
            && word(after + 1, "stdout")
            && statement.from(after + 2).is_copy_options()
    };
    if words.first() == Some(&"(") {
        let inner = |after: usize| {
            let tokens = statement.tokens.get(2..after - 1).unwrap_or_default();
            Statement { text: statement.text, tokens }
        };
        return match statement.after_parenthesis(1) {
            Some(after) if is_stdout(after) => Verdict::CopyQuery(inner(after)),
            // It may run a function on its way to a file.
            Some(_) | None => Verdict::Known(Class::untracked(Reason::Copy)),
        };
    }
    let (relation, mut at) = statement.relation(1);
    if words.get(at - 1) == Some(&"(") {
        at = statement.after_parenthesis(at).unwrap_or(at);
    }
    if is_stdout(at) && !relation.is_empty() {
        return Verdict::CopyRelation(relation);
    }
    Verdict::Known(Class::write(Reason::Copy))
}

fn create<'a>(statement: &Statement<'a>, words: &[&str]) -> Verdict<'a> {
    let words = match words {
        ["or", "replace", rest @ ..] | rest => rest,
    };
    let words = match words {
        ["global" | "local", rest @ ..] | rest => rest,
    };
    let is_temporary = matches!(words, ["temp" | "temporary", ..])
        || statement.tokens.iter().any(|token| {
            token.name(statement.text).is_some_and(|name| name.starts_with("pg_temp"))
        });
    if is_temporary {
        return Verdict::Known(session_command("create temporary"));
    }
    let holds_relation = matches!(words, ["table" | "unlogged" | "materialized", ..]);
    if holds_relation && statement.has_word("as") {
        return Verdict::Creates;
    }
    Verdict::Known(command("create"))
}

/// Turns what runs on the way into a reason and a state of the statement around it.
pub(super) fn around(reason: Reason, state: StateChange) -> Class {
    Class { kind: Kind::Write, reason, state }
}

/// Words of a statement that are looked at from its front. Longer than any transaction's modes.
const WORDS_MAX: usize = 32;

/// Commands that change the database or the server and leave the session as it was.
const COMMANDS: &[&str] = &[
    "alter",
    "checkpoint",
    "close",
    "cluster",
    "comment",
    "deallocate",
    "declare",
    "drop",
    "fetch",
    "grant",
    "import",
    "lock",
    "move",
    "notify",
    "reassign",
    "refresh",
    "reindex",
    "revoke",
    "security",
    "truncate",
    "unlisten",
    "vacuum",
];

/// Parameters that decide what a connection may do, or how its texts are read, so that a session
/// that sets them stays on the one connection.
const STICKY_PARAMETERS: &[&str] = &[
    "role",
    "session_authorization",
    "session_replication_role",
    "standard_conforming_strings",
    "seed",
];
