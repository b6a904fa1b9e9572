//! One connection: its socket, its bytes, and what is known of the kernel's readiness.

use std::io::{self, IoSlice};

use crate::verdict;
use pgherd_core::buffer::{RecvBuffer, SendQueue};
use pgherd_core::limits;

use crate::poller::{Event, Incoming, Interest};
use crate::socket::Socket;

/// Chunks that are written at once.
const SLICES: usize = 16;

/// A connection of a machine.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: Socket,
    pub(crate) recv: RecvBuffer,
    pub(crate) send: SendQueue,
    pub(crate) source: Source,
    pub(crate) sink: Sink,
    pub(crate) watched: Watched,
    pub(crate) stay: Stay,
    pub(crate) turn: Turn,
}

/// What there is to read.
///
/// The poller tells of each change once, so this outlasts a machine that does not want to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nothing, until the poller says otherwise.
    Drained,
    /// Perhaps something.
    Ready,
    /// Everything up to the stream's end or an error, of which the poller may not tell again.
    Ending,
}

/// Whether the kernel takes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    Open,
    /// Not until the poller says otherwise. Then, and only then, bytes are queued for long.
    Full,
    /// It never will again. What the peer said before may still be read.
    Broken,
}

/// What the poller looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    No,
    Reads,
    /// Since the kernel first refused bytes. A Unix socket tells of every message that its peer
    /// has read, which would wake the machine for nothing.
    Both,
}

/// Whether the machine wants to be rid of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    Open,
    /// It closes when the queue is empty.
    Leaving,
}

/// Whether the connection stands in line for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    None,
    Due,
}

/// What a read came to.
pub(crate) enum Read {
    Bytes,
    Nothing,
    End,
    Failed(io::Error),
}

impl Connection {
    pub(crate) fn new(socket: Socket) -> Self {
        Self {
            socket,
            recv: RecvBuffer::default(),
            send: SendQueue::default(),
            source: Source::Drained,
            sink: Sink::Open,
            watched: Watched::No,
            stay: Stay::Open,
            turn: Turn::None,
        }
    }

    /// What is not known to be ready.
    pub(crate) fn interest(&self) -> Option<Interest> {
        match (self.source, self.sink) {
            (Source::Drained, Sink::Full) => Some(Interest::Both),
            (Source::Drained, Sink::Open | Sink::Broken) => Some(Interest::Reads),
            (Source::Ready | Source::Ending, Sink::Full) => Some(Interest::Writes),
            (Source::Ready | Source::Ending, Sink::Open | Sink::Broken) => None,
        }
    }

    /// Notes what has become ready.
    pub(crate) fn note(&mut self, event: &Event) {
        self.source = match (event.incoming, self.source) {
            (Incoming::Nothing, source) => source,
            (Incoming::Bytes, Source::Drained) => Source::Ready,
            (Incoming::Bytes, source) => source,
            (Incoming::End, _) => Source::Ending,
        };
        if event.is_writable && self.sink == Sink::Full {
            self.sink = Sink::Open;
        }
    }

    /// Reads once, into a buffer that must have been lent.
    pub(crate) fn read(&mut self, hint: usize) -> Read {
        let room = self.recv.room(hint, limits::READ_LEN);
        let asked = room.len();
        match self.socket.read(room) {
            Ok(0) => Read::End,
            Ok(len) => {
                self.recv.filled(len);
                // A stream gives less than was asked for only if it has no more; what comes later
                // is an event. Of an end that has been told of there is none. (A peer that sends
                // urgent data or descriptors may cut a read short, and waits for itself.)
                if len < asked && self.source == Source::Ready {
                    self.source = Source::Drained;
                }
                Read::Bytes
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Read::Nothing,
            Err(error) if verdict::is_passing(&error) => match self.sink {
                Sink::Open | Sink::Full => {
                    self.source = Source::Drained;
                    Read::Nothing
                }
                Sink::Broken => Read::End,
            },
            Err(error) => Read::Failed(error),
        }
    }

    /// Offers queued bytes to the kernel; returns how many have left the queue.
    pub(crate) fn offer(&mut self) -> usize {
        let before = self.send.len();
        while self.sink == Sink::Open && !self.send.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.send.fill(&mut slices);
            match self.socket.write_vectored(slices.get(..count).unwrap_or_default()) {
                Ok(0) => self.sink = Sink::Broken,
                Ok(len) => self.send.sent(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if verdict::is_passing(&error) => self.sink = Sink::Full,
                Err(_) => self.sink = Sink::Broken,
            }
        }
        if self.sink == Sink::Broken {
            // Nobody will have them, and nobody shall wait for that.
            self.send.sent(self.send.len());
        }
        before - self.send.len()
    }

    /// Offers the queued bytes and, behind them, others; returns how many of both were taken.
    ///
    /// An error is for `offer` to find, which is to follow unless all was taken.
    pub(crate) fn offer_with(&self, bytes: &[u8]) -> usize {
        if self.sink != Sink::Open {
            return 0;
        }
        if self.send.is_empty() {
            return self.socket.write(bytes).unwrap_or(0);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.send.fill(slices.split_last_mut().map_or(&mut [], |(_, queued)| queued));
        let queued: usize = slices.iter().map(|slice| slice.len()).sum();
        if queued < self.send.len() {
            return 0;
        }
        if let Some(slice) = slices.get_mut(count) {
            *slice = IoSlice::new(bytes);
        }
        self.socket.write_vectored(slices.get(..=count).unwrap_or_default()).unwrap_or(0)
    }
}
