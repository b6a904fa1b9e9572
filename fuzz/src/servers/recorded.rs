//! A server that says what it once said, when it hears what it then heard.

use std::collections::VecDeque;

use pgherd_core::id::{BackendId, ConnId};

use super::{Servers, Word, first_packet};

/// A recorded server, for one connection.
#[derive(Debug)]
pub struct Recorded {
    /// What it said at login.
    login: Option<Vec<u8>>,
    /// What it says, each when so many bytes have been heard behind the startup packet.
    replies: VecDeque<(usize, Vec<u8>)>,
    conn: Option<ConnId>,
    startup: Option<Vec<u8>>,
    /// What was heard behind the startup packet.
    pub heard: Vec<u8>,
}

impl Recorded {
    /// Makes one from its answer to the startup packet and its later replies.
    pub fn new(login: Vec<u8>, replies: impl IntoIterator<Item = (usize, Vec<u8>)>) -> Self {
        Self {
            login: Some(login),
            replies: replies.into_iter().collect(),
            conn: None,
            startup: Some(Vec::new()),
            heard: Vec::new(),
        }
    }
}

impl Servers for Recorded {
    fn opened(&mut self, conn: ConnId, _to: BackendId) {
        assert_eq!(self.conn.replace(conn), None, "one connection was recorded");
    }

    fn hear(&mut self, _conn: ConnId, bytes: &[u8]) {
        let Some(startup) = &mut self.startup else { return self.heard.extend(bytes) };
        startup.extend(bytes);
        if let Some((_, len)) = first_packet(startup) {
            self.heard.extend(startup.drain(len..));
            self.startup = None;
        }
    }

    fn speak(&mut self) -> Option<(ConnId, Word)> {
        let conn = self.conn?;
        if self.startup.is_some() {
            return None;
        }
        if let Some(login) = self.login.take() {
            return Some((conn, Word::Bytes(login)));
        }
        let (after, _) = self.replies.front()?;
        if *after > self.heard.len() {
            return None;
        }
        let (_, bytes) = self.replies.pop_front()?;
        Some((conn, Word::Bytes(bytes)))
    }

    fn closed(&mut self, _conn: ConnId) {}
}
