//! A server that says what it once said, when it hears what it then heard.

use std::collections::VecDeque;

use pgherd_core::id::{BackendId, ConnId};
use pgherd_core::wire::frame::{Frame, Framer};
use pgherd_core::wire::frontend::{LOOKS, tag};

use super::{Servers, Word, first_packet};

/// What happened at a recorded server behind the startup packet.
#[derive(Clone, Debug)]
pub enum Act {
    /// It heard a message of its client.
    Hear(Vec<u8>),
    /// It said something.
    Say(Vec<u8>),
}

/// A recorded server, for one connection. Panics if it hears anything else than it then heard.
#[derive(Debug)]
pub struct Recorded {
    /// What it said at login.
    login: Option<Vec<u8>>,
    acts: VecDeque<Act>,
    conn: Option<ConnId>,
    stage: Stage,
    /// What was heard and not yet understood.
    ear: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Startup,
    Script,
    /// What pgherd says to make the connection clean was not recorded.
    Over,
}

/// `ReadyForQuery`, outside of a transaction, in one, or in a failed one.
const READY: [&[u8]; 3] = [b"Z\0\0\0\x05I", b"Z\0\0\0\x05T", b"Z\0\0\0\x05E"];

impl Recorded {
    /// Makes one from its answer to the startup packet and what happened then.
    pub fn new(login: Vec<u8>, acts: impl IntoIterator<Item = Act>) -> Self {
        Self {
            login: Some(login),
            acts: acts.into_iter().collect(),
            conn: None,
            stage: Stage::Startup,
            ear: Vec::new(),
        }
    }

    /// Whether everything has been heard and said, but for `Sync`s that pgherd has answered.
    pub fn is_over(&self) -> bool {
        self.acts.iter().all(|act| match act {
            Act::Hear(message) => is_sync(message),
            Act::Say(bytes) => bytes.chunks(6).all(|chunk| READY.contains(&chunk)),
        })
    }

    /// Takes a message out of what was heard, if one is whole.
    fn message(&mut self) -> Option<Vec<u8>> {
        let frame = Framer::default().peek(&self.ear, &LOOKS);
        match frame.unwrap_or_else(|v| panic!("a server was sent nonsense: {v}")) {
            Frame::Start { len, .. } if len <= self.ear.len() => {
                Some(self.ear.drain(..len).collect())
            }
            Frame::Start { .. } | Frame::Need(_) | Frame::Middle { .. } => None,
        }
    }

    /// Drops the answer to a `Sync` that pgherd has answered itself, as it may when nothing else
    /// is under way.
    fn drop_ready(&mut self) {
        let says = self.acts.iter_mut();
        let mut says =
            says.filter_map(|act| if let Act::Say(bytes) = act { Some(bytes) } else { None });
        let bytes = says.next().expect("a Sync is answered");
        let ready: Vec<u8> = bytes.drain(..6).collect();
        assert!(READY.contains(&&ready[..]), "a Sync was withheld while others were under way");
    }

    /// Goes on in the script; returns what the server says next.
    fn act(&mut self) -> Option<Vec<u8>> {
        let mut heard = None;
        while let Some(act) = self.acts.pop_front() {
            match act {
                Act::Say(bytes) if bytes.is_empty() => {}
                Act::Say(bytes) => {
                    assert_eq!(heard, None, "the server hears it before it has said {bytes:?}");
                    return Some(bytes);
                }
                Act::Hear(expected) => {
                    let Some(message) = heard.take().or_else(|| self.message()) else {
                        self.acts.push_front(Act::Hear(expected));
                        return None;
                    };
                    if expected != message {
                        let text = message.escape_ascii();
                        assert!(is_sync(&expected), "the server hears {text}");
                        self.drop_ready();
                        heard = Some(message);
                    }
                }
            }
        }
        self.stage = Stage::Over;
        None
    }
}

fn is_sync(message: &[u8]) -> bool {
    message.first() == Some(&tag::SYNC)
}

impl Servers for Recorded {
    fn opened(&mut self, conn: ConnId, _to: BackendId) {
        assert_eq!(self.conn.replace(conn), None, "one connection was recorded");
    }

    fn hear(&mut self, _conn: ConnId, bytes: &[u8]) {
        match self.stage {
            Stage::Startup => {
                self.ear.extend(bytes);
                if let Some((_, len)) = first_packet(&self.ear) {
                    self.ear.drain(..len);
                    self.stage = Stage::Script;
                }
            }
            Stage::Script => self.ear.extend(bytes),
            Stage::Over => {}
        }
    }

    fn speak(&mut self) -> Option<(ConnId, Word)> {
        let conn = self.conn?;
        let bytes = match self.stage {
            Stage::Script => match self.login.take() {
                Some(login) => login,
                None => self.act()?,
            },
            Stage::Startup | Stage::Over => return None,
        };
        Some((conn, Word::Bytes(bytes)))
    }

    fn closed(&mut self, _conn: ConnId) {}
}
