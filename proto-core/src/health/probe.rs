//! A look at one server: a conversation of one query over a connection that is kept.
//!
//! The query tells whether the server is a primary or a standby, how far its WAL has come and on
//! which timeline; a primary also lists its standbys. Columns of other roles' backends in
//! `pg_stat_replication` are only shown to members of `pg_monitor`.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::auth::answer::Answer;
use crate::backend::login::{Failure, Login, Step};
use crate::limits;
use crate::time::Duration;
use crate::topology::Role;
use crate::wire::backend::{LOOKS, tag};
use crate::wire::error::{Fields, Violation};
use crate::wire::frame::{Frame, Framer};
use crate::wire::frontend;
use crate::wire::startup::Params;

/// What a server is asked. One row a standby, or one row with empty names. No operator needs a
/// conversion, for the reason that `backend::audit` has.
pub const QUERY: &str = "SELECT pg_is_in_recovery() AS is_in_recovery, \
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END \
    AS lsn, \
    CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint()) \
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END \
    AS timeline, \
    coalesce(r.application_name, '') AS application_name, \
    coalesce(r.state, '') AS state, \
    coalesce(r.sync_state, '') AS sync_state, \
    (extract(epoch FROM r.replay_lag) * '1000000')::bigint AS replay_lag \
    FROM (SELECT 1) AS one LEFT JOIN pg_stat_replication AS r ON true";

/// What a server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// What it is.
    pub role: Role,
    /// How far its WAL has come: written on a primary, replayed on a standby; in bytes.
    pub lsn: Option<u64>,
    /// Its timeline.
    pub timeline: u32,
    /// The standbys that follow it.
    pub standbys: Vec<Standby>,
}

/// A standby, as its primary sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standby {
    /// `application_name`.
    pub name: String,
    /// `state`.
    pub state: String,
    /// `sync_state`.
    pub sync_state: String,
    /// `replay_lag`; zero where the primary knows of none, because the standby has everything and
    /// nothing was written lately.
    pub replay_lag: Duration,
}

/// What came of reading.
#[derive(Debug)]
pub enum Event {
    /// Send this to the server.
    Send(Bytes),
    /// It has answered.
    Seen(Sighting),
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
    LoggingIn(Box<Login>),
    /// Logged in; nothing is asked.
    Idle,
    /// The query has been sent.
    Asked {
        rows: Vec<Vec<String>>,
    },
    Failed,
}

/// A connection for looking at one server.
pub struct Probe {
    state: State,
    framer: Framer,
    hint: usize,
    events: VecDeque<Event>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("hint", &self.hint).finish_non_exhaustive()
    }
}

impl Probe {
    /// Begins on a fresh connection; the first event is the startup packet.
    #[must_use]
    pub fn new(params: &Params, answer: Answer) -> Self {
        Self {
            state: State::LoggingIn(Box::new(Login::new(answer))),
            framer: Framer::default(),
            hint: 0,
            events: VecDeque::from([Event::Send(frontend::startup(params))]),
        }
    }

    /// Asks, on a connection that has answered before.
    pub fn ask(&mut self) {
        if matches!(self.state, State::Idle) {
            self.state = State::Asked { rows: Vec::new() };
            self.events.push_back(Event::Send(frontend::compose_query(QUERY)));
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
            State::LoggingIn(login) => match login.handle_message(tag, body) {
                Step::Wait => {}
                Step::Send(bytes) => self.events.push_back(Event::Send(bytes)),
                Step::Done(_) => {
                    self.state = State::Idle;
                    self.ask();
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
                    let sighting = sighting(rows);
                    self.state = State::Idle;
                    match sighting {
                        Some(sighting) => self.events.push_back(Event::Seen(sighting)),
                        None => {
                            let tag = tag::DATA_ROW;
                            self.fail(Trouble::Violation(Violation::Malformed { tag }));
                        }
                    }
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

fn sighting(rows: &[Vec<String>]) -> Option<Sighting> {
    let mut sighting = Sighting::default();
    for row in rows {
        let [in_recovery, lsn, timeline, name, state, sync_state, replay_lag] = row.as_slice()
        else {
            return None;
        };
        sighting.role = match in_recovery.as_str() {
            "t" => Role::Standby,
            "f" => Role::Primary,
            _ => return None,
        };
        sighting.lsn = read_lsn(lsn);
        sighting.timeline = timeline.parse().ok()?;
        if !state.is_empty() {
            sighting.standbys.push(Standby {
                name: name.clone(),
                state: state.clone(),
                sync_state: sync_state.clone(),
                replay_lag: Duration::from_micros(replay_lag.parse().unwrap_or(0)),
            });
        }
    }
    (!rows.is_empty()).then_some(sighting)
}

/// Reads a WAL position: two hexadecimal numbers of 32 bits, `16/B374D848`.
fn read_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let high = u32::from_str_radix(high, 16).ok()?;
    let low = u32::from_str_radix(low, 16).ok()?;
    Some(u64::from(high) << 32 | u64::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sighting_is_read_from_rows() {
        let rows = |rows: &[[&str; 7]]| {
            rows.iter().map(|row| row.map(String::from).to_vec()).collect::<Vec<_>>()
        };
        let standby = Standby {
            name: "node1".into(),
            state: "streaming".into(),
            sync_state: "async".into(),
            replay_lag: Duration::from_millis(1500),
        };
        let primary = Sighting {
            role: Role::Primary,
            lsn: Some(0x1_0000_0010),
            timeline: 2,
            standbys: vec![standby],
        };
        let cases = [
            (
                "a primary",
                rows(&[["f", "1/10", "2", "node1", "streaming", "async", "1500000"]]),
                Some(primary),
            ),
            (
                "a standby that has replayed nothing",
                rows(&[["t", "", "1", "", "", "", ""]]),
                Some(Sighting { role: Role::Standby, timeline: 1, ..Sighting::default() }),
            ),
            ("no row", rows(&[]), None),
            ("nonsense", rows(&[["x", "0/0", "1", "", "", "", ""]]), None),
            ("no timeline", rows(&[["t", "0/0", "", "", "", "", ""]]), None),
        ];
        for (name, rows, expected) in cases {
            assert_eq!(sighting(&rows), expected, "{name}");
        }
    }

    #[test]
    fn a_cut_row_is_refused() {
        let body = b"\0\x01\0\0\0\x02ab";
        assert_eq!(row(body), Some(vec!["ab".to_owned()]));
        assert_eq!(row(&body[..7]), None);
        assert_eq!(row(b"\0\x01\xff\xff\xff\xff"), Some(vec![String::new()]));
        assert_eq!(row(b""), None);
    }
}
