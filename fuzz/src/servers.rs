//! Servers that a script plays: honest ones, one that says what it is given, and one that says
//! what it once said.

use std::collections::{BTreeMap, VecDeque};

use pgherd_core::id::{BackendId, ConnId};
use pgherd_core::wire::backend::{Composer, TxStatus};
use pgherd_core::wire::startup::{Look, Packet, read};

mod honest;
mod recorded;

pub use honest::Honest;
pub use recorded::{Act, Recorded};

/// All the servers of a rig.
pub trait Servers {
    /// A connection is made.
    fn opened(&mut self, conn: ConnId, to: BackendId);
    /// Bytes arrive at the server.
    fn hear(&mut self, conn: ConnId, bytes: &[u8]);
    /// What one of the servers does next; none if all wait.
    fn speak(&mut self) -> Option<(ConnId, Word)>;
    /// A connection has ended.
    fn closed(&mut self, conn: ConnId);
}

/// What a server does.
#[derive(Debug)]
pub enum Word {
    /// It sends bytes.
    Bytes(Vec<u8>),
    /// It closes the connection when its bytes have been read.
    Close,
}

/// How many bytes the first packet has, or none if it is not all there; it must be a startup or a
/// cancel request.
fn first_packet(bytes: &[u8]) -> Option<(Packet, usize)> {
    match read(bytes).unwrap_or_else(|violation| panic!("a server was sent nonsense: {violation}"))
    {
        Look::Need(_) => None,
        Look::Whole(packet, len) => Some((packet, len)),
    }
}

/// What a trusting server says to a startup packet.
pub fn welcome() -> Vec<u8> {
    let mut composer = Composer::new();
    composer
        .authentication(0, &[])
        .parameter_status(b"server_version", b"15.4")
        .parameter_status(b"client_encoding", b"UTF8")
        .parameter_status(b"in_hot_standby", b"off")
        .key_data(4711, b"key!")
        .ready(TxStatus::Idle);
    composer.finish().to_vec()
}

/// Servers of which the first connection says what it is given, and all others are honest.
#[derive(Debug)]
pub struct Wild {
    words: Option<Vec<u8>>,
    after: usize,
    heard: usize,
    first: Option<ConnId>,
    said: VecDeque<(ConnId, Word)>,
    honest: Honest,
}

impl Wild {
    /// The first connection says `words` once bytes have reached it for more than `after` times,
    /// of which it answers the first, the startup packet, well if `after` is not 0; then it closes.
    pub fn new(words: &[u8], after: usize) -> Self {
        Self {
            words: Some(words.to_vec()),
            after,
            heard: 0,
            first: None,
            said: VecDeque::new(),
            honest: Honest::default(),
        }
    }
}

impl Servers for Wild {
    fn opened(&mut self, conn: ConnId, to: BackendId) {
        if self.first.is_none() {
            self.first = Some(conn);
        } else {
            self.honest.opened(conn, to);
        }
    }

    fn hear(&mut self, conn: ConnId, bytes: &[u8]) {
        if self.first != Some(conn) {
            return self.honest.hear(conn, bytes);
        }
        if self.heard == 0 && self.after > 0 {
            self.said.push_back((conn, Word::Bytes(welcome())));
        }
        self.heard += 1;
        if self.heard > self.after
            && let Some(words) = self.words.take()
        {
            self.said.push_back((conn, Word::Bytes(words)));
            self.said.push_back((conn, Word::Close));
        }
    }

    fn speak(&mut self) -> Option<(ConnId, Word)> {
        self.said.pop_front().or_else(|| self.honest.speak())
    }

    fn closed(&mut self, conn: ConnId) {
        self.said.retain(|(id, _)| *id != conn);
        self.honest.closed(conn);
    }
}

/// The bytes that each connection has heard and not yet understood.
type Ears = BTreeMap<ConnId, Vec<u8>>;
