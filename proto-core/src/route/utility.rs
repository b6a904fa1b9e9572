//! The statements that are known by their first words: all but queries and what changes rows.
//!
//! Their grammar is PostgreSQL's own and mostly beyond a general parser, while the words that
//! matter here stand in front. What is not recognised is a doubt, and the primary's.

use super::asks;
use super::class::{Access, Ask, Class, Hold, Kind, Reason, StateChange};
use super::settings::{isolation_level, reset, set, show};
use super::statement::Statement;
use super::tokens::{Shape, Token};

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
    /// Declares a cursor that ends with its transaction, for this query.
    Declares(Statement<'a>),
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
        ["show", ..] => show(statement, &words),
        ["discard", "all"] => Class {
            state: StateChange::Undoes,
            ..Class::new(Kind::DiscardAll, Reason::DiscardsState)
        },
        ["discard", "plans" | "sequences" | "temp" | "temporary"] => undoing("discard"),
        ["explain", "route", _, ..] => {
            Class::new(Kind::Pgherd(Ask::ExplainRoute), Reason::AsksPgherd)
        }
        ["pgpool", ..] if asks::read_statement(statement).is_some() => {
            Class::new(Kind::Pgherd(Ask::Pgpool), Reason::AsksPgherd)
        }
        ["explain" | "analyze" | "analyse", ..] => return explain(statement, &words),
        ["copy", rest @ ..] => return copy(statement, rest),
        ["create", rest @ ..] => return create(statement, rest),
        ["declare", ..] if holds(statement) => {
            session_command("declare", StateChange::Holds(Hold::HeldCursor))
        }
        ["declare", ..] => return declare(statement),
        [word @ ("close" | "deallocate" | "drop" | "unlisten"), ..] => undoing(word),
        [word, ..] if COMMANDS.contains(word) => command(word),
        ["prepare", ..] => session_command("prepare", StateChange::Holds(Hold::Prepared)),
        ["listen", ..] => session_command("listen", StateChange::Holds(Hold::Listen)),
        // What a library does to its process, no question to the server brings to light.
        ["load", ..] => session_command("load", StateChange::Holds(Hold::Setting)),
        ["do", ..] => session_command("do", do_block(statement)),
        [word @ ("execute" | "call"), ..] => session_command(word, StateChange::Unknown),
        _ => Class::unknown(Reason::Unparsable),
    };
    Verdict::Known(class)
}

fn command(word: &str) -> Class {
    Class::write(Reason::Command { word: word.into() })
}

fn undoing(word: &str) -> Class {
    Class::leaving(Reason::Command { word: word.into() }, StateChange::Undoes)
}

fn session_command(word: &str, state: StateChange) -> Class {
    Class::leaving(Reason::SessionCommand { word: word.into() }, state)
}

/// Tells what a `DO` may leave behind.
///
/// A parameter with a dot in its name is what the server may not tell of when asked, so the body is
/// searched for what sets one. A body in plain quotes is not: the memo takes all of those for one.
fn do_block(statement: &Statement<'_>) -> StateChange {
    let sets = statement.tokens.iter().any(|token| match token.shape {
        Shape::Text => true,
        Shape::PrefixedText => sets_parameters(token.bytes(statement.text)),
        Shape::Word
        | Shape::QuotedName
        | Shape::Number
        | Shape::Parameter
        | Shape::Comment
        | Shape::Symbol(_) => false,
    });
    if sets { StateChange::Holds(Hold::Setting) } else { StateChange::Unknown }
}

/// Tells whether the body of a block speaks of `set_config`, or of `SET` with a dotted name.
fn sets_parameters(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body).to_ascii_lowercase();
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '"' | '$');
    let words: Vec<&str> = body.split(|c| !is_part(c)).filter(|word| !word.is_empty()).collect();
    let sets_dotted = |pair: &[&str]| matches!(pair, ["set" | "session" | "local", name, ..] if name.contains('.'));
    body.contains("set_config") || words.windows(2).any(sets_dotted)
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
                    return Class::unknown(Reason::Unparsable);
                };
                isolation = Some(level);
                rest
            }
            [",", rest @ ..] | ["not", "deferrable", rest @ ..] | ["deferrable", rest @ ..] => rest,
            _ => return Class::unknown(Reason::Unparsable),
        };
    }
    Class::new(Kind::Begin { access, isolation }, Reason::TransactionControl)
}

fn transaction(words: &[&str]) -> Class {
    let inside = match words {
        ["commit" | "rollback", "prepared", ..] => return command("two-phase commit"),
        ["savepoint" | "release" | "prepare", ..]
        | ["rollback", "to", ..]
        | ["rollback", "work" | "transaction", "to", ..] => true,
        [_] | [_, "work" | "transaction" | "and", ..] => false,
        _ => return Class::unknown(Reason::Unparsable),
    };
    let kind = if inside { Kind::Transaction } else { Kind::End };
    Class::new(kind, Reason::TransactionControl)
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
            Some(_) | None => Verdict::Known(Class::unknown(Reason::Copy)),
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
        let state = StateChange::Holds(Hold::TemporaryTable);
        return Verdict::Known(session_command("create temporary", state));
    }
    let holds_relation = matches!(words, ["table" | "unlogged" | "materialized", ..]);
    if holds_relation && statement.has_word("as") {
        return Verdict::Creates;
    }
    Verdict::Known(command("create"))
}

/// Tells whether a cursor outlives its transaction.
fn holds(statement: &Statement<'_>) -> bool {
    let is = |token: &Token, word| token.is_word(statement.text, word);
    let mut pairs = statement.tokens.iter().zip(statement.tokens.iter().skip(1));
    pairs.any(|(one, next)| is(one, "with") && is(next, "hold"))
}

/// Finds the query of a cursor, behind the last `FOR` in front of it.
fn declare<'a>(statement: &Statement<'a>) -> Verdict<'a> {
    let is_for = |index: usize| {
        let is = |at: usize, word| {
            statement.tokens.get(at).is_some_and(|token| token.is_word(statement.text, word))
        };
        is(index, "for") && ["select", "with", "values", "table"].iter().any(|w| is(index + 1, w))
    };
    match (0..statement.tokens.len()).find(|index| is_for(*index)) {
        Some(at) => Verdict::Declares(statement.from(at + 1)),
        None => Verdict::Known(Class::unknown(Reason::Command { word: "declare".into() })),
    }
}

/// Commands that change the database or the server and leave the session as it was.
const COMMANDS: &[&str] = &[
    "alter",
    "checkpoint",
    "cluster",
    "comment",
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
    "vacuum",
];
