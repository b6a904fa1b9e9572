//! A conversation of pgherd's own with a server: a login, then one query after the other.
//!
//! An error ends it: what pgherd asks is meant to succeed, and a fresh connection is the sure way
//! back to a known state.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::auth::answer::Answer;
use crate::backend::login::{Failure, Login, Step};
use crate::limits;
use crate::wire::backend::{LOOKS, tag};
use crate::wire::error::{Fields, Violation};
use crate::wire::frame::{Frame, Framer};
use crate::wire::frontend;
use crate::wire::startup::Params;

/// The rows of an answer, as texts; NULL is empty.
pub type Rows = Vec<Vec<String>>;

/// What came of reading.
#[derive(Debug)]
pub enum Event {
    /// Send this to the server.
    Send(Bytes),
    /// It has answered the query.
    Answered(Rows),
    /// It will not answer on this connection.
    Failed(Trouble),
}

/// Why a server will not answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The login failed.
    Login(Failure),
    /// The query failed, with the body of the error.
    Query(Bytes),
    /// The server broke the protocol, or gave an answer of another shape.
    Violation(Violation),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Login(failure) => write!(f, "login {failure}"),
            Self::Query(body) => {
                let fields = Fields::read(body);
                write!(
                    f,
                    "query refused: {} ({})",
                    String::from_utf8_lossy(fields.message),
                    String::from_utf8_lossy(fields.code)
                )
            }
            Self::Violation(violation) => violation.fmt(f),
        }
    }
}

enum State {
    LoggingIn {
        login: Box<Login>,
        /// What is asked as soon as that is done.
        first: Bytes,
    },
    /// Logged in; nothing is asked.
    Idle,
    /// A query has been sent.
    Asked {
        rows: Rows,
    },
    Failed,
}

/// A conversation with one server, over one connection.
pub struct Dialogue {
    state: State,
    framer: Framer,
    hint: usize,
    events: VecDeque<Event>,
}

impl std::fmt::Debug for Dialogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialogue").field("hint", &self.hint).finish_non_exhaustive()
    }
}

impl Dialogue {
    /// Begins on a fresh connection, and asks `first` when it has logged in; the first event is the
    /// startup packet.
    #[must_use]
    pub fn new(params: &Params, answer: Answer, first: Bytes) -> Self {
        Self {
            state: State::LoggingIn { login: Box::new(Login::new(answer)), first },
            framer: Framer::default(),
            hint: 0,
            events: VecDeque::from([Event::Send(frontend::startup(params))]),
        }
    }

    /// Sends a `Query` message, on a connection that has answered before.
    pub fn ask(&mut self, query: Bytes) {
        if matches!(self.state, State::Idle) {
            self.state = State::Asked { rows: Vec::new() };
            self.events.push_back(Event::Send(query));
        }
    }

    /// Reads what the server says and returns how many bytes were taken.
    pub fn handle_read(&mut self, unread: &[u8]) -> usize {
        let mut at = 0;
        while let Some(rest) = unread.get(at..)
            && !matches!(self.state, State::Failed)
        {
            match self.framer.peek(rest, &LOOKS) {
                Ok(Frame::Need(hint)) => {
                    self.hint = hint;
                    break;
                }
                Ok(Frame::Middle { len }) => {
                    self.framer.take_middle(len);
                    at += len;
                }
                // Rows pass elsewhere by their headers alone; here they are read.
                Ok(Frame::Start { tag, len, body }) => {
                    if len > rest.len() && len <= limits::VIEW_LEN_MAX {
                        self.hint = len;
                        break;
                    }
                    self.on_message(tag, body);
                    at += self.framer.take(len, rest.len());
                }
                Err(violation) => self.fail(Trouble::Violation(violation)),
            }
        }
        at
    }

    /// Takes the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How many unread bytes the next message needs.
    #[must_use]
    pub const fn read_hint(&self) -> usize {
        self.hint
    }

    fn fail(&mut self, trouble: Trouble) {
        self.state = State::Failed;
        self.events.push_back(Event::Failed(trouble));
    }

    fn on_message(&mut self, tag: u8, body: &[u8]) {
        match &mut self.state {
            State::LoggingIn { login, first } => match login.handle_message(tag, body) {
                Step::Wait => {}
                Step::Send(bytes) => self.events.push_back(Event::Send(bytes)),
                Step::Done(_) => {
                    let first = std::mem::take(first);
                    self.state = State::Idle;
                    self.ask(first);
                }
                Step::Failed(failure) => self.fail(Trouble::Login(failure)),
            },
            State::Asked { rows } => match tag {
                tag::DATA_ROW => match row(body) {
                    Some(row) if rows.len() < limits::PROBE_ROWS_MAX => rows.push(row),
                    Some(_) => {}
                    None => self.fail(Trouble::Violation(Violation::Malformed { tag })),
                },
                tag::ERROR => self.fail(Trouble::Query(Bytes::copy_from_slice(body))),
                tag::READY => {
                    let rows = std::mem::take(rows);
                    self.state = State::Idle;
                    self.events.push_back(Event::Answered(rows));
                }
                _ => {}
            },
            State::Idle if tag == tag::ERROR => {
                self.fail(Trouble::Query(Bytes::copy_from_slice(body)));
            }
            State::Idle | State::Failed => {}
        }
    }
}

/// Reads a `DataRow` of texts; NULL is empty.
fn row(body: &[u8]) -> Option<Vec<String>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let count = usize::from(u16::from_be_bytes(*count));
    if count > limits::PROBE_COLUMNS_MAX {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let (len, after) = rest.split_first_chunk::<4>()?;
        let len = usize::try_from(i32::from_be_bytes(*len)).unwrap_or(0);
        let (value, after) = after.split_at_checked(len)?;
        values.push(String::from_utf8_lossy(value).into_owned());
        rest = after;
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_row_is_refused() {
        let body = b"\0\x01\0\0\0\x02ab";
        assert_eq!(row(body), Some(vec!["ab".to_owned()]));
        assert_eq!(row(&body[..7]), None);
        assert_eq!(row(b"\0\x01\xff\xff\xff\xff"), Some(vec![String::new()]));
        assert_eq!(row(b""), None);
    }
}
