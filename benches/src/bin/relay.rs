//! `pgherd-relay`: passes bytes between clients and a server, and looks at none of them.
//!
//! It is the floor that proxies are compared to: for every client a connection of its own, for
//! every read a write, and one wait for all. One thread and level-triggered `epoll`, as plain as
//! can be; Linux only.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use clap::Parser;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};

/// Pass bytes between clients and a server, and look at none of them
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen
    #[arg(value_name = "HOST:PORT")]
    listen: String,
    /// Where the server listens
    #[arg(value_name = "HOST:PORT")]
    server: String,
}

fn main() -> ExitCode {
    match serve(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pgherd-relay: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> io::Result<()> {
    let listener = TcpListener::bind(&args.listen)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let buffer = vec![0; READ_LEN];
    let mut relay = Relay { epoll, ends: BTreeMap::new(), buffer, next: LISTENER + 1 };
    let mut events = Vec::with_capacity(EVENTS_PER_WAIT);
    loop {
        events.clear();
        match epoll::wait(&relay.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            match event.data.u64() {
                LISTENER => relay.accept(&listener, &args.server),
                key => relay.serve(key),
            }
        }
    }
}

/// Clients and their connections to the server.
struct Relay {
    epoll: OwnedFd,
    ends: BTreeMap<u64, End>,
    buffer: Vec<u8>,
    next: u64,
}

/// One end of a pair.
struct End {
    stream: TcpStream,
    peer: u64,
    /// What it could not take at once. While there is something, nothing is read for it.
    unsent: Vec<u8>,
}

impl End {
    fn is_behind(&self) -> bool {
        !self.unsent.is_empty()
    }
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener, server: &str) {
        while let Ok((client, _)) = listener.accept() {
            if let Err(error) = self.join(client, server) {
                eprintln!("pgherd-relay: {error}");
            }
        }
    }

    /// Connects a client with the server, which is waited for: it is on this machine.
    fn join(&mut self, client: TcpStream, server: &str) -> io::Result<()> {
        let server = TcpStream::connect(server)?;
        let (first, second) = (self.next, self.next + 1);
        self.next += 2;
        for (key, peer, stream) in [(first, second, client), (second, first, server)] {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            epoll::add(&self.epoll, &stream, EventData::new_u64(key), EventFlags::IN)?;
            self.ends.insert(key, End { stream, peer, unsent: Vec::new() });
        }
        Ok(())
    }

    fn serve(&mut self, key: u64) {
        if matches!(self.flush(key).and_then(|()| self.pass(key)), Err(error) if is_over(&error)) {
            // Whatever is wrong with one end, there is no use in the other.
            if let Some(end) = self.ends.remove(&key) {
                self.ends.remove(&end.peer);
            }
        }
    }

    /// Writes what an end could not take before; then its peer is read from again.
    fn flush(&mut self, key: u64) -> io::Result<()> {
        let Some(end) = self.ends.get_mut(&key) else { return Ok(()) };
        if end.unsent.is_empty() {
            return Ok(());
        }
        let sent = end.stream.write(&end.unsent)?;
        end.unsent.drain(..sent);
        let (is_done, peer) = (end.unsent.is_empty(), end.peer);
        if is_done {
            self.watch(key)?;
            self.watch(peer)?;
        }
        Ok(())
    }

    /// Reads once, and writes what has come to the other end.
    fn pass(&mut self, key: u64) -> io::Result<()> {
        let Some(peer) = self.ends.get(&key).map(|end| end.peer) else { return Ok(()) };
        if self.ends.get(&peer).is_some_and(End::is_behind) {
            return Ok(());
        }
        let Some(end) = self.ends.get_mut(&key) else { return Ok(()) };
        let len = end.stream.read(&mut self.buffer)?;
        let read = self.buffer.get(..len).unwrap_or_default();
        if read.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let Some(other) = self.ends.get_mut(&peer) else { return Ok(()) };
        let sent = match other.stream.write(read) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            sent => sent?,
        };
        if sent < len {
            other.unsent.extend(read.iter().skip(sent));
            self.watch(key)?;
            self.watch(peer)?;
        }
        Ok(())
    }

    /// Waits for what an end can do next.
    fn watch(&self, key: u64) -> io::Result<()> {
        let Some(end) = self.ends.get(&key) else { return Ok(()) };
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, !self.ends.get(&end.peer).is_some_and(End::is_behind));
        flags.set(EventFlags::OUT, end.is_behind());
        Ok(epoll::modify(&self.epoll, end.stream.as_fd(), EventData::new_u64(key), flags)?)
    }
}

fn is_over(error: &io::Error) -> bool {
    error.kind() != ErrorKind::WouldBlock && error.kind() != ErrorKind::Interrupted
}

/// The listener's key; ends have those above.
const LISTENER: u64 = 0;

/// What is read at once, in bytes: as much as proxies do.
const READ_LEN: usize = 65_536;

/// Events that are taken at once.
const EVENTS_PER_WAIT: usize = 256;
