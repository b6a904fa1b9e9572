//! One connection: its socket, its bytes, and what is known of the kernel's readiness.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

use pgherd_core::buffer::{RecvBuffer, SendQueue};
use pgherd_core::limits;

use crate::socket::Socket;

/// Chunks that are gathered at once.
const CHUNKS: usize = 16;

/// Bytes up to which small chunks are copied together to be sent at once: copying so many costs
/// less than a second system call.
const GATHER_LEN: usize = 16 * 1024;

/// A connection of a machine.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: Socket,
    pub(crate) recv: RecvBuffer,
    pub(crate) send: SendQueue,
    pub(crate) source: Source,
    pub(crate) sink: Sink,
    pub(crate) stay: Stay,
    /// Wakes the connection's task; none until its first turn.
    waker: Option<Waker>,
}

/// What there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nothing; the task is woken when there is.
    Awaited,
    /// Perhaps something, of which nobody will tell.
    Ready,
}

/// Whether the kernel takes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    Open,
    /// Not until the task is woken. Then, and only then, bytes are queued for long.
    Full,
    /// It never will again. What the peer said before may still be read.
    Broken,
}

/// Whether the machine wants to be rid of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    Open,
    /// It closes when the queue is empty.
    Leaving,
}

/// What a read came to.
pub(crate) enum Read {
    Bytes,
    Nothing,
    End,
    Failed(io::Error),
}

/// What has left by a write: from the queue, and of the bytes behind it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Taken {
    pub(crate) queued: usize,
    pub(crate) direct: usize,
}

impl Connection {
    pub(crate) fn new(socket: Socket) -> Self {
        Self {
            socket,
            recv: RecvBuffer::default(),
            send: SendQueue::default(),
            source: Source::Ready,
            sink: Sink::Open,
            stay: Stay::Open,
            waker: None,
        }
    }

    /// Notes which task is the connection's.
    pub(crate) fn remember(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }

    /// Has the task look at the connection again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Reads once, into a buffer that must have been lent.
    pub(crate) fn read(&mut self, hint: usize) -> Read {
        let mut cx = Context::from_waker(self.waker.as_ref().unwrap_or(Waker::noop()));
        let room = self.recv.room(hint, limits::READ_LEN);
        match self.socket.poll_read(&mut cx, room) {
            Poll::Ready(Ok(0)) => Read::End,
            Poll::Ready(Ok(len)) => {
                self.recv.filled(len);
                Read::Bytes
            }
            Poll::Ready(Err(error)) => Read::Failed(error),
            // glommio has nothing before io_uring has told of it, though it may be there.
            Poll::Pending if self.sink == Sink::Broken && !self.socket.has_unread() => Read::End,
            Poll::Pending => {
                self.source = Source::Awaited;
                Read::Nothing
            }
        }
    }

    /// Offers queued bytes to the kernel; returns how many have left the queue.
    pub(crate) fn offer(&mut self, gathered: &mut Vec<u8>) -> usize {
        let before = self.send.len();
        while self.sink == Sink::Open && !self.send.is_empty() {
            let Self { socket, send, sink, waker, .. } = self;
            let mut first = [IoSlice::new(&[]); 1];
            send.fill(&mut first);
            let [first] = first;
            let len = if first.len() == send.len() || first.len() >= GATHER_LEN {
                write(socket, sink, waker.as_ref(), &first)
            } else {
                gather(send, gathered);
                write(socket, sink, waker.as_ref(), gathered)
            };
            send.sent(len);
        }
        if self.sink == Sink::Broken {
            // Nobody will have them, and nobody shall wait for that.
            self.send.sent(self.send.len());
        }
        before - self.send.len()
    }

    /// Offers the queued bytes and, behind them, others: together, if that is worth a copy.
    ///
    /// What is wrong with the stream is for `offer` to find, which is to follow unless all was
    /// taken.
    pub(crate) fn offer_with(&mut self, bytes: &[u8], gathered: &mut Vec<u8>) -> Taken {
        if self.sink != Sink::Open {
            return Taken::default();
        }
        let queued = self.send.len();
        let Self { socket, send, sink, waker, .. } = self;
        if queued == 0 {
            return Taken { queued, direct: write(socket, sink, waker.as_ref(), bytes) };
        }
        if queued + bytes.len() > GATHER_LEN || gather(send, gathered) < queued {
            return Taken::default();
        }
        gathered.extend_from_slice(bytes);
        let len = write(socket, sink, waker.as_ref(), gathered);
        let queued = len.min(queued);
        send.sent(queued);
        Taken { queued, direct: len - queued }
    }
}

/// Writes once.
fn write(socket: &mut Socket, sink: &mut Sink, waker: Option<&Waker>, bytes: &[u8]) -> usize {
    let mut cx = Context::from_waker(waker.unwrap_or(Waker::noop()));
    match socket.poll_write(&mut cx, bytes) {
        Poll::Ready(Ok(len)) if len > 0 => return len,
        Poll::Ready(Ok(_) | Err(_)) => *sink = Sink::Broken,
        Poll::Pending => *sink = Sink::Full,
    }
    0
}

/// Copies the first chunks together, up to a length; returns how many bytes it were.
fn gather(queue: &SendQueue, gathered: &mut Vec<u8>) -> usize {
    gathered.clear();
    let mut chunks = [IoSlice::new(&[]); CHUNKS];
    let count = queue.fill(&mut chunks);
    for chunk in chunks.iter().take(count) {
        if gathered.len() + chunk.len() > GATHER_LEN && !gathered.is_empty() {
            break;
        }
        gathered.extend_from_slice(chunk);
    }
    gathered.len()
}
