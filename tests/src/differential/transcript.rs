//! What a client heard, and what of it may be different through pgherd.
//!
//! # What is masked, and why
//!
//! - `BackendKeyData`: both numbers are pgherd's own, since a session has no one server process.
//! - `Authentication…` but the `AuthenticationOk`: salts and nonces are random, and pgherd may ask
//!   for another method than the servers do.
//! - The `AuthenticationOk` of a login that is refused after all: pgherd says that a client is in
//!   when it has a server that agrees, and a server looks for the database only after it has said
//!   so. The fields of such an error that tell where in PostgreSQL's sources it is from: pgherd
//!   passes on what is for people.
//! - The process number of a `NotificationResponse`: it is that of a server process, and another
//!   connection has another.
//! - The same fields of 25P02: in a failed transaction pgherd has a statement refused when it
//!   prepares it where it is missing, a server when it binds it.
//! - The name of a prepared statement in the text of an error, where clients share connections:
//!   there pgherd has given it a name of its own, because another client may use the same.
//! - The table numbers of a `RowDescription`: a table that is made again has another. They are
//!   counted in the order in which they come, so that which columns are of one table is compared.
//!
//! Nothing else is: not the order of messages, not another word of an error, not a byte of a row.

use std::collections::BTreeMap;
use std::fmt;

use crate::client::message;

/// Whether clients have connections of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each has its own, as with `pool_mode = session`.
    Own,
    /// They take turns, transaction by transaction.
    Shared,
}

/// One message of a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its type.
    pub tag: u8,
    /// Its content.
    pub body: Vec<u8>,
}

/// What came, from the login to the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// What came of the login, and then of every unit.
    pub turns: Vec<Vec<Heard>>,
    /// Whether the server has ended the connection.
    pub end: End,
}

/// How it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It goes on.
    #[default]
    Open,
    /// The server has closed the connection.
    Closed,
}

impl Heard {
    /// Tells whether this ends the part of an answer that one message of the extended protocol
    /// has: [`Saying::is_answered`](super::saying::Saying::is_answered).
    #[must_use]
    pub fn completes(&self) -> bool {
        b"123TnCsI".contains(&self.tag)
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match message::parse(self.tag, &self.body) {
            Ok(message::Message::Error(fields)) => write!(f, "Error {}", shown(&fields)),
            Ok(message::Message::Notice(fields)) => write!(f, "Notice {}", shown(&fields)),
            Ok(message::Message::DataRow(values)) => {
                write!(f, "DataRow")?;
                for value in values {
                    match value {
                        Some(value) => write!(f, " '{}'", value.escape_ascii())?,
                        None => write!(f, " null")?,
                    }
                }
                Ok(())
            }
            Ok(message::Message::ReadyForQuery(status)) => {
                write!(f, "ReadyForQuery {}", char::from(status))
            }
            Ok(message) => write!(f, "{message:?}"),
            Err(wrong) => write!(f, "{wrong}: {}", self.body.escape_ascii()),
        }
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn shown(fields: &message::Fields) -> String {
    let fields = fields.0.iter().filter(|(field, _)| !b"VFLR".contains(field));
    let fields = fields.map(|(field, value)| match field {
        b'S' | b'C' => format!("{value} "),
        b'M' => value.clone(),
        field => format!(" [{} {value}]", char::from(*field)),
    });
    fields.collect()
}

impl Transcript {
    /// The same without what may be different; see the module.
    #[must_use]
    pub fn masked(&self, sharing: Sharing) -> Self {
        let mut tables = BTreeMap::new();
        let turn = |turn: &Vec<Heard>| {
            let refused = turn.iter().any(|heard| heard.tag == b'E');
            let kept = turn.iter().filter(|heard| heard.tag != b'R' || !refused);
            kept.filter_map(|heard| masked(heard, &mut tables)).collect()
        };
        let turns = self.turns.iter().map(turn);
        let mut masked = Self { turns: turns.collect(), end: self.end };
        for (turn, heard) in masked.turns.iter_mut().enumerate().flat_map(in_turn) {
            if heard.tag == b'E' && (turn == 0 || is_failed_transaction(&heard.body)) {
                heard.body = without_source(&heard.body);
            }
        }
        if sharing == Sharing::Shared {
            let errors = masked.turns.iter_mut().flatten().filter(|heard| heard.tag == b'E');
            for heard in errors {
                heard.body = without_name(&heard.body);
            }
            // In a failed transaction nothing can be prepared on a connection that lacks it, so that
            // what would fail for a reason of its own fails for that one.
            let mut has_failed = false;
            for heard in masked.turns.iter_mut().flatten() {
                match heard.tag {
                    b'Z' => has_failed = heard.body == b"E",
                    b'E' if has_failed => heard.body.clear(),
                    _ => {}
                }
            }
        }
        masked
    }

    /// The first turn that is not the same.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> Option<usize> {
        let len = self.turns.len().max(other.turns.len());
        let turn = (0..len).find(|at| self.turns.get(*at) != other.turns.get(*at));
        turn.or_else(|| (self.end != other.end).then(|| len.saturating_sub(1)))
    }
}

fn masked(heard: &Heard, tables: &mut BTreeMap<[u8; 4], u32>) -> Option<Heard> {
    let Heard { tag, mut body } = heard.clone();
    match tag {
        b'R' if body != [0; 4] => return None,
        b'K' => body.fill(0),
        b'A' => {
            if let Some(process) = body.first_chunk_mut::<4>() {
                *process = [0; 4];
            }
        }
        b'T' => number_tables(&mut body, tables),
        _ => {}
    }
    Some(Heard { tag, body })
}

/// An error without the name of the prepared statement that it is about.
fn without_name(body: &[u8]) -> Vec<u8> {
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|at| at == what);
    let Some(begin) = find(body, STATEMENT).map(|at| at + STATEMENT.len()) else {
        return body.to_vec();
    };
    let (before, rest) = body.split_at(begin);
    let end = find(rest, b"\"").unwrap_or(rest.len());
    [before, &rest[end..]].concat()
}

/// What stands in front of a prepared statement's name.
const STATEMENT: &[u8] = b"prepared statement \"";

fn in_turn((turn, heard): (usize, &mut Vec<Heard>)) -> impl Iterator<Item = (usize, &mut Heard)> {
    heard.iter_mut().map(move |heard| (turn, heard))
}

fn is_failed_transaction(body: &[u8]) -> bool {
    body.split(|byte| *byte == 0).any(|field| field == b"C25P02")
}

/// The fields of an error but file, line and routine.
fn without_source(body: &[u8]) -> Vec<u8> {
    let fields = body.split(|byte| *byte == 0);
    let kept = fields.filter(|field| !field.first().is_some_and(|name| b"FLR".contains(name)));
    kept.collect::<Vec<_>>().join(&0)
}

/// Replaces the table numbers of a `RowDescription` by their order; a malformed one is left.
fn number_tables(body: &mut [u8], tables: &mut BTreeMap<[u8; 4], u32>) {
    let mut at = 2;
    while let Some(len) = body.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0)) {
        at += len + 1;
        let Some(table) = body.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<4>) else {
            return;
        };
        if *table != [0; 4] {
            let next = u32::try_from(tables.len()).expect("a conversation has few tables") + 1;
            *table = tables.entry(*table).or_insert(next).to_be_bytes();
        }
        at += COLUMN_LEN;
    }
}

/// What follows the name of a column in a `RowDescription`, in bytes.
const COLUMN_LEN: usize = 4 + 2 + 4 + 2 + 4 + 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(tag: u8, body: &[u8]) -> Heard {
        Heard { tag, body: body.to_vec() }
    }

    fn of(messages: &[Heard]) -> Transcript {
        Transcript { turns: vec![messages.to_vec()], end: End::Open }
    }

    fn row(table: u8) -> Heard {
        let mut body = b"\0\x02a\0\0\0\0.\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0".to_vec();
        body.extend(b"b\0\0\0\0.\0\x02\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0");
        for byte in &mut body {
            if *byte == b'.' {
                *byte = table;
            }
        }
        heard(b'T', &body)
    }

    #[test]
    fn only_what_may_differ_is_masked() {
        let data = |value: u8| heard(b'D', &[0, 1, 0, 0, 0, 1, value]);
        let note = |process: u8, text: &[u8]| heard(b'A', &[&[0, 0, 0, process], text].concat());
        let mut other_format = row(7);
        *other_format.body.last_mut().unwrap() = 1;
        let cases = [
            ("keys", heard(b'K', &[1; 8]), heard(b'K', &[2; 8]), true),
            ("keys of other lengths", heard(b'K', &[1; 8]), heard(b'K', &[1; 9]), false),
            ("processes", note(1, b"a\0b\0"), note(2, b"a\0b\0"), true),
            ("payloads", note(1, b"a\0b\0"), note(1, b"a\0c\0"), false),
            ("tables", row(7), row(8), true),
            ("a table and none", row(7), row(0), false),
            ("formats", row(7), other_format, false),
            ("rows", data(1), data(2), false),
            ("types", heard(b'1', b""), heard(b'2', b""), false),
        ];
        for (name, one, other, same) in cases {
            let (one, other) = (of(&[one]).masked(Sharing::Own), of(&[other]).masked(Sharing::Own));
            assert_eq!(one.differs_from(&other).is_none(), same, "{name}");
        }
    }

    #[test]
    fn names_of_statements_are_masked_where_they_are_pgherds() {
        let error = |name: &str| {
            let text = format!("SERROR\0Mprepared statement \"{name}\" does not exist\0\0");
            of(&[heard(b'2', b""), heard(b'E', text.as_bytes())])
        };
        let (one, other) = (error("s1"), error("pgherd_7"));
        for (sharing, same) in [(Sharing::Own, false), (Sharing::Shared, true)] {
            let difference = one.masked(sharing).differs_from(&other.masked(sharing));
            assert_eq!(difference.is_none(), same, "{sharing:?}");
        }
    }

    #[test]
    fn tables_are_told_apart() {
        let (one, other) = (of(&[row(7), row(8)]), of(&[row(9), row(9)]));
        assert_eq!(one.masked(Sharing::Own).differs_from(&other.masked(Sharing::Own)), Some(0));
        let other = of(&[row(1), row(2)]);
        assert_eq!(one.masked(Sharing::Own).differs_from(&other.masked(Sharing::Own)), None);
    }

    #[test]
    fn an_end_is_a_difference() {
        let one = of(&[]);
        let other = Transcript { end: End::Closed, ..one.clone() };
        assert_eq!(one.differs_from(&other), Some(0));
    }

    #[test]
    fn a_login_is_compared_from_its_success_on() {
        let ask = heard(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        let ok = heard(b'R', &[0; 4]);
        let (asked, told) = (of(&[ask, ok.clone()]), of(&[ok]));
        assert_eq!(asked.masked(Sharing::Own).differs_from(&told.masked(Sharing::Own)), None);
        assert_eq!(of(&[]).masked(Sharing::Own).differs_from(&told.masked(Sharing::Own)), Some(0));
        let (long, short) = (b"SFATAL\0Mno\0Fa.c\0L9\0Rf\0\0", b"SFATAL\0Mno\0\0");
        let late = of(&[heard(b'R', &[0; 4]), heard(b'E', long)]);
        let early = of(&[heard(b'E', short)]);
        assert_eq!(late.masked(Sharing::Own).differs_from(&early.masked(Sharing::Own)), None);
        // Later errors are compared to the byte.
        let later = |bytes: &[u8]| {
            Transcript { turns: vec![Vec::new(), vec![heard(b'E', bytes)]], end: End::Open }
                .masked(Sharing::Own)
        };
        assert_eq!(later(long).differs_from(&later(short)), Some(1));
    }
}
