//! Reads that a server has been sent, kept until it has begun to answer.
//!
//! Where the server goes away instead, they are sent to another one.
//!
//! A text does not show everything that a statement does. Where a standby refuses one because it
//! is a standby, and nothing of the answer has passed, it is sent again to the primary. For the
//! same reason what a lost primary was sent is repeated by a standby alone: it may have written
//! before it was lost, and a standby cannot write it twice.

use std::collections::VecDeque;

use crate::id::BackendId;
use crate::limits;
use crate::wire::backend::tag;
use crate::wire::error::Fields;
use crate::wire::frame::HEADER_LEN;
use crate::wire::word;

/// SQLSTATEs with which a standby refuses what the primary may well do (PostgreSQL docs, "Hot
/// Standby", User's Overview, and "Handling Query Conflicts"): it would write; it uses a relation
/// or a feature that a standby does not have; it asks for what only a server out of recovery can
/// tell; it conflicts with what is being replayed. Where the primary says the same, the client
/// hears it from there.
const REFUSALS: [&str; 4] = ["25006", "0A000", "55000", "40001"];

/// What has been sent to one server, oldest first.
#[derive(Debug, Default)]
pub struct Kept {
    /// The client's messages.
    bytes: Vec<u8>,
    /// How long each statement's are: everything that one `ReadyForQuery` answers.
    lens: VecDeque<usize>,
    front: Front,
    leans: Leans,
    turn: Turn,
    against: Against,
}

/// What something is kept against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Against {
    /// The server is a standby: it may refuse it, or be lost.
    #[default]
    Refusal,
    /// The server is the primary, which can only be lost.
    Loss,
}

/// Whether any of it was sent elsewhere before, where the server went away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    First,
    /// It was, perhaps to this one, which was the primary.
    Last(Option<BackendId>),
}

/// Whether any of it uses the unnamed statement that an earlier one has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Leans {
    #[default]
    No,
    Yes,
}

/// Whether the oldest one can still be sent elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Front {
    /// Nothing of its answer has passed.
    #[default]
    Open,
    /// Something has.
    Begun,
    /// Something is under way that is not kept, so that the order could not be held.
    Off,
}

/// What the beginning of an answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omen<'a> {
    /// Nothing before so many bytes are in view.
    Need(usize),
    /// The server carries it out.
    Good,
    /// The server ends the connection instead, with this body of an error.
    Farewell(&'a [u8]),
    /// The server refuses it because it is a standby, with this SQLSTATE.
    Refused(&'static str),
}

impl Kept {
    /// Keeps a statement's messages; nothing more can be kept until the link is quiet if they do
    /// not fit.
    pub fn push(&mut self, bytes: &[u8], against: Against) {
        if self.front == Front::Off {
            return;
        }
        if self.bytes.len() + bytes.len() > limits::RETRY_LEN_MAX {
            return self.give_up();
        }
        if self.lens.is_empty() {
            self.front = Front::Open;
            self.leans = Leans::No;
            self.turn = Turn::First;
            self.against = against;
        }
        self.bytes.extend_from_slice(bytes);
        self.lens.push_back(bytes.len());
    }

    /// What was kept last uses an unnamed statement that it does not make itself.
    pub fn lean(&mut self) {
        self.leans = Leans::Yes;
    }

    /// What was kept last was sent to a server before that went away. Should this one go away as
    /// well, it may be the statement that they cannot bear, and a third one is not tried. The first
    /// one may have been the primary, which is named.
    pub fn repeat(&mut self, primary: Option<BackendId>) {
        self.turn = Turn::Last(primary);
    }

    /// The lost primary to which this was sent before, if there is one.
    #[must_use]
    pub fn lost_at(&self) -> Option<BackendId> {
        match self.turn {
            Turn::First => None,
            Turn::Last(primary) => primary,
        }
    }

    /// What it is kept against.
    #[must_use]
    pub fn against(&self) -> Against {
        self.against
    }

    /// Takes everything, if it is all that the server owes and nothing of it has been answered.
    pub fn take_whole(&mut self, owed: usize) -> Option<Vec<u8>> {
        (self.is_open()
            && self.leans == Leans::No
            && self.turn == Turn::First
            && self.lens.len() == owed)
            .then(|| self.take())
    }

    /// Tells whether the unnamed statement must stay what it is, to send again what is kept. For the
    /// rare case that the primary is lost nobody is kept waiting.
    #[must_use]
    pub fn leans(&self) -> bool {
        self.leans == Leans::Yes && self.against == Against::Refusal && !self.lens.is_empty()
    }

    /// Something is sent that is not kept.
    pub fn give_up(&mut self) {
        self.bytes.clear();
        self.lens.clear();
        self.front = Front::Off;
    }

    /// Nothing is under way any more.
    pub fn rest(&mut self) {
        self.bytes.clear();
        self.lens.clear();
        self.front = Front::Open;
    }

    /// Tells whether the oldest statement could still be sent elsewhere.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.front == Front::Open && !self.lens.is_empty()
    }

    /// The answer to the oldest one has begun to pass.
    pub fn begin(&mut self) {
        if self.front == Front::Open {
            self.front = Front::Begun;
        }
    }

    /// The oldest one has been answered.
    pub fn answered(&mut self) {
        if let Some(len) = self.lens.pop_front() {
            self.bytes.drain(..len.min(self.bytes.len()));
            self.front = Front::Open;
        }
    }

    /// Takes everything that is to be sent elsewhere.
    pub fn take(&mut self) -> Vec<u8> {
        self.lens.clear();
        std::mem::take(&mut self.bytes)
    }
}

/// Reads the beginning of an answer to a statement, as far as it is in view.
#[must_use]
pub fn omen(unread: &[u8]) -> Omen<'_> {
    let mut at = 0;
    loop {
        let rest = unread.get(at..).unwrap_or_default();
        let (Some(kind), Some(word)) = (rest.first(), word(rest, 1)) else {
            return need(at + HEADER_LEN);
        };
        let len = usize::try_from(word).unwrap_or(usize::MAX).saturating_add(1);
        match *kind {
            tag::PARSE_COMPLETE
            | tag::BIND_COMPLETE
            | tag::CLOSE_COMPLETE
            | tag::PARAMETER_DESCRIPTION
            | tag::ROW_DESCRIPTION
            | tag::NO_DATA => {
                if rest.len() < len {
                    return need(at.saturating_add(len));
                }
                at += len;
            }
            tag::ERROR | tag::NOTICE => {
                let Some(body) = rest.get(HEADER_LEN..len) else {
                    return need(at.saturating_add(len));
                };
                let fields = Fields::read(body);
                match *kind {
                    tag::NOTICE if !is_last_warning(&fields) => return Omen::Good,
                    tag::NOTICE => at += len,
                    _ if fields.is_fatal() => return Omen::Farewell(body),
                    _ => return refusal(&fields).map_or(Omen::Good, Omen::Refused),
                }
            }
            _ => return Omen::Good,
        }
    }
}

/// Finds the refusal in an error.
fn refusal(fields: &Fields<'_>) -> Option<&'static str> {
    REFUSALS.into_iter().find(|refusal| refusal.as_bytes() == fields.code)
}

/// Tells whether a server may say nothing more after a notice: a server that stops at once, or starts
/// anew because one of its processes has crashed, warns its sessions and is gone.
fn is_last_warning(fields: &Fields<'_>) -> bool {
    matches!(fields.code, b"57P01" | b"57P02")
}

/// Asks for more, up to what is held back at most.
const fn need(len: usize) -> Omen<'static> {
    if len > limits::WITHHELD_LEN_MAX { Omen::Good } else { Omen::Need(len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        crate::wire::frontend::compose(tag, body).to_vec()
    }

    #[test]
    fn the_first_message_that_counts_decides() {
        let refused = message(b'E', b"VERROR\0C25006\0Mcannot\0\0");
        let failed = message(b'E', b"VERROR\0C42P01\0Mno such\0\0");
        let parsed = message(b'1', b"");
        let columns = message(b'T', &[0; 40]);
        let row = message(b'D', b"\0\0");
        let words = b"VFATAL\0C57P01\0Mgoodbye\0\0";
        let ended = message(b'E', words);
        let notice = message(b'N', b"VNOTICE\0C00000\0Mby the way\0\0");
        let warning = message(b'N', b"VWARNING\0C57P02\0Manother has crashed\0\0");
        let cases: &[(&str, Vec<u8>, Omen<'_>)] = &[
            ("nothing yet", vec![], Omen::Need(5)),
            ("half of it", parsed[..3].to_vec(), Omen::Need(5)),
            ("only the beginning", parsed.clone(), Omen::Need(10)),
            ("a row", row.clone(), Omen::Good),
            ("columns and a row", [columns.clone(), row.clone()].concat(), Omen::Good),
            ("half the columns", columns[..9].to_vec(), Omen::Need(columns.len())),
            ("a refusal", refused.clone(), Omen::Refused("25006")),
            ("after a while", [parsed.clone(), refused.clone()].concat(), Omen::Refused("25006")),
            ("half a refusal", refused[..9].to_vec(), Omen::Need(refused.len())),
            ("another error", failed, Omen::Good),
            ("an end", ended.clone(), Omen::Farewell(words)),
            ("an end in the middle", [columns.clone(), ended].concat(), Omen::Farewell(words)),
            ("a notice", notice, Omen::Good),
            ("a last warning", warning.clone(), Omen::Need(warning.len() + 5)),
            ("no last one", [warning, parsed.clone(), row.clone()].concat(), Omen::Good),
            ("long columns", b"T\x7f\xff\xff\xff".to_vec(), Omen::Good),
        ];
        for (name, bytes, expected) in cases {
            assert_eq!(omen(bytes), *expected, "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_ends_the_keeping() {
        let mut kept = Kept::default();
        assert!(!kept.is_open());
        kept.push(b"one", Against::Refusal);
        kept.push(b"two!", Against::Refusal);
        assert!(kept.is_open());
        kept.begin();
        assert!(!kept.is_open(), "part of the first answer has passed");
        kept.answered();
        assert!(kept.is_open(), "nothing of the second one has");
        assert_eq!(kept.take(), b"two!");
        kept.push(b"three", Against::Refusal);
        kept.push(&[0; limits::RETRY_LEN_MAX], Against::Refusal);
        assert!(!kept.is_open());
        kept.push(b"four", Against::Refusal);
        assert!(!kept.is_open(), "not before the link is quiet");
        kept.rest();
        kept.push(b"five", Against::Refusal);
        assert!(kept.is_open());
    }
}
