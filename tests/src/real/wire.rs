//! One TCP connection of a scenario, and the bytes on either side of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use rustix::event::PollFlags;

/// A connection, open or not.
#[derive(Debug)]
pub struct Wire {
    /// None once it is of no more use.
    stream: Option<TcpStream>,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// `0 <= sent <= outbox.len()`: what the kernel took.
    sent: usize,
    reading: Reading,
    writing: Writing,
}

/// What becomes of what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// It is read.
    Kept,
    /// It stays where it is.
    Stopped,
    /// It is read and dropped: the scenario has closed the connection.
    Dropped,
}

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    /// More may come.
    Open,
    /// The end is told after everything else.
    Ending,
    /// The end was told.
    Ended,
}

impl Wire {
    /// Connects to a port of this machine. One that is refused is a wire that is closed.
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok().filter(|stream| {
            stream.set_nonblocking(true).is_ok() && stream.set_nodelay(true).is_ok()
        });
        Self {
            stream,
            inbox: Vec::new(),
            outbox: Vec::new(),
            sent: 0,
            reading: Reading::Kept,
            writing: Writing::Open,
        }
    }

    /// Queues bytes, and sends what can be sent at once.
    pub fn send(&mut self, bytes: &[u8]) {
        if self.writing == Writing::Open && self.stream.is_some() {
            self.outbox.drain(..self.sent);
            self.sent = 0;
            self.outbox.extend_from_slice(bytes);
            self.write();
        }
    }

    /// Takes what has come.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.inbox)
    }

    /// Tells whether the other side has ended the connection and all was taken.
    pub fn is_closed(&self) -> bool {
        self.stream.is_none() && self.inbox.is_empty()
    }

    /// Tells whether nobody has any use for it.
    pub fn is_done(&self) -> bool {
        self.is_closed() && self.reading == Reading::Dropped
    }

    /// How many of the queued bytes have not yet left.
    pub fn unsent(&self) -> usize {
        if self.stream.is_some() { self.outbox.len() - self.sent } else { 0 }
    }

    /// Ends it after everything queued; what still comes is dropped.
    pub fn close(&mut self) {
        self.reading = Reading::Dropped;
        self.inbox.clear();
        if self.writing == Writing::Open {
            self.writing = Writing::Ending;
            self.write();
        }
    }

    /// Ends it at once, as a crashed machine does.
    pub fn reset(self) {
        if let Some(stream) = &self.stream {
            rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))
                .expect("a socket can linger for no time");
        }
    }

    /// From now on nothing is read.
    pub fn stop_reading(&mut self) {
        self.reading = Reading::Stopped;
    }

    /// Reads again.
    pub fn resume_reading(&mut self) {
        self.reading = Reading::Kept;
    }

    /// The socket, while there is one.
    pub fn stream(&self) -> Option<&TcpStream> {
        self.stream.as_ref()
    }

    /// What to wait for.
    pub fn interest(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        if self.stream.is_none() {
            return flags;
        }
        if self.reading != Reading::Stopped && self.inbox.len() < INBOX_LEN_MAX {
            flags |= PollFlags::IN;
        }
        if self.sent < self.outbox.len() {
            flags |= PollFlags::OUT;
        }
        flags
    }

    /// Does what can be done now.
    pub fn progress(&mut self) {
        self.write();
        self.read();
    }

    fn read(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        if self.reading == Reading::Stopped || self.inbox.len() >= INBOX_LEN_MAX {
            return;
        }
        let before = self.inbox.len();
        self.inbox.resize(before + READ_LEN, 0);
        let (len, ended) = match stream.read(&mut self.inbox[before..]) {
            Ok(len) => (len, len == 0),
            Err(error) => (0, !is_for_later(error.kind())),
        };
        self.inbox.truncate(before + len);
        if self.reading == Reading::Dropped {
            self.inbox.clear();
        }
        if ended {
            self.stream = None;
        }
    }

    fn write(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        while self.sent < self.outbox.len() {
            match stream.write(&self.outbox[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) if is_for_later(error.kind()) => return,
                // What came before the other side went away can still be read.
                Err(_) => self.sent = self.outbox.len(),
            }
        }
        if self.writing == Writing::Ending {
            self.writing = Writing::Ended;
            // The other side may have gone first.
            drop(stream.shutdown(Shutdown::Write));
        }
    }
}

fn is_for_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Bytes read at once.
const READ_LEN: usize = 256 * 1024;

/// A scenario that does not take what comes is read no further, in bytes.
const INBOX_LEN_MAX: usize = 64 << 20;
