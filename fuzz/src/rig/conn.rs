//! One connection of the rig, and where its reads are cut.

use std::collections::VecDeque;

/// Whether a connection carries bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Connecting,
    Open,
    /// It ends when its peer has taken what is queued.
    Closing,
    Closed,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Client,
    Server,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    kind: Kind,
    pub(super) gate: Gate,
    /// Sent by the peer, and not yet read.
    pub(super) coming: VecDeque<u8>,
    /// Whether the peer closes after that.
    pub(super) ends: bool,
    /// Read, and not yet taken by an output.
    pub(super) unread: Vec<u8>,
    /// On its way to the peer.
    pub(super) queued: VecDeque<u8>,
    /// What a client has received.
    pub(super) received: Vec<u8>,
    pub(super) pace: Option<usize>,
    pub(super) reader: Reader,
}

/// Whether the driver asks if the connection may be read. Once the answer was no, it asks again
/// only after an input for the connection or a `Reread`, as the contract says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Awake,
    Asleep,
}

impl Conn {
    pub(super) fn client(pace: Option<usize>) -> Self {
        Self { kind: Kind::Client, gate: Gate::Open, pace, ..Self::server() }
    }

    pub(super) const fn server() -> Self {
        Self {
            kind: Kind::Server,
            gate: Gate::Connecting,
            coming: VecDeque::new(),
            ends: false,
            unread: Vec::new(),
            queued: VecDeque::new(),
            received: Vec::new(),
            pace: None,
            reader: Reader::Awake,
        }
    }

    pub(super) fn is_client(&self) -> bool {
        self.kind == Kind::Client
    }

    /// Takes bytes that an output names, which must be there.
    pub(super) fn take_unread(&mut self, len: usize) -> Vec<u8> {
        assert!(len <= self.unread.len(), "an output takes more than is unread");
        self.unread.drain(..len).collect()
    }

    /// The peer takes what is queued, as much of it as it takes at a time.
    pub(super) fn take(&mut self) -> usize {
        let len = self.queued.len().min(self.pace.unwrap_or(usize::MAX));
        self.received.extend(self.queued.drain(..len));
        len
    }
}

/// Where reads are cut: lengths that are used in turn, over and over; none is never.
#[derive(Clone, Debug, Default)]
pub struct Cuts {
    lens: Vec<usize>,
    at: usize,
}

impl Cuts {
    /// Makes cuts of these lengths; zero is one.
    pub fn new(lens: &[usize]) -> Self {
        Self { lens: lens.to_vec(), at: 0 }
    }

    /// How many of `len` bytes are read at once.
    pub(super) fn next(&mut self, len: usize) -> usize {
        let Some(cut) = self.lens.get(self.at % self.lens.len().max(1)) else { return len };
        self.at += 1;
        len.min((*cut).max(1))
    }
}
