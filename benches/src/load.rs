//! Clients that ask again as soon as they have their answer, all on one thread, and how long each
//! of their transactions took.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pgherd_core::wire::frontend;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;

use crate::client::{BUFFER_LEN_SMALL, Client};
use crate::scenario::SHORT;

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// How long each transaction took, in microseconds, the shortest first.
    pub latencies: Vec<u64>,
    /// How long all of it took.
    pub elapsed: Duration,
    /// Transactions of the client that had fewest, for each of the one that had most.
    pub fairness: f64,
}

impl Outcome {
    /// Returns the latency in microseconds that so many percent of the transactions stay under.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Option<u64> {
        let place = (self.latencies.len() * percent).div_ceil(100).saturating_sub(1);
        self.latencies.get(place).copied()
    }
}

/// Lets clients ask for some time.
pub fn run(host: &str, port: u16, clients: usize, time: Duration) -> io::Result<Outcome> {
    let mut load = Load::start(host, port, clients)?;
    let start = Instant::now();
    let end = start + time;
    for place in 0..load.clients.len() {
        load.ask(place)?;
    }
    let mut events = Vec::with_capacity(EVENTS_PER_WAIT);
    while load.waiting > 0 {
        events.clear();
        let patience = Timespec { tv_sec: PATIENCE_SECONDS, tv_nsec: 0 };
        match epoll::wait(&load.epoll, spare_capacity(&mut events), Some(&patience)) {
            Ok(0) => return Err(ErrorKind::TimedOut.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let place = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            if load.read(place)? && Instant::now() < end {
                load.ask(place)?;
            }
        }
    }
    Ok(load.outcome(start.elapsed()))
}

struct Load {
    epoll: OwnedFd,
    clients: Vec<Asker>,
    query: Bytes,
    /// Clients that have no answer yet.
    waiting: usize,
    latencies: Vec<u64>,
}

struct Asker {
    stream: TcpStream,
    asked: Instant,
    /// What has come of an answer.
    answer: Vec<u8>,
    answers: u32,
}

impl Load {
    fn start(host: &str, port: u16, count: usize) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let clients = log_in(host, port, count)?;
        let clients = clients.into_iter().zip(0..).map(|(client, key)| {
            let stream = client.into_stream();
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, EventData::new_u64(key), EventFlags::IN)?;
            Ok(Asker { stream, asked: Instant::now(), answer: Vec::new(), answers: 0 })
        });
        let clients = clients.collect::<io::Result<_>>()?;
        let query = frontend::compose_query(SHORT);
        Ok(Self { epoll, clients, query, waiting: 0, latencies: Vec::new() })
    }

    fn ask(&mut self, place: usize) -> io::Result<()> {
        let Some(client) = self.clients.get_mut(place) else { return Ok(()) };
        client.asked = Instant::now();
        // So few bytes always fit into a socket that has nothing else to send.
        client.stream.write_all(&self.query)?;
        self.waiting += 1;
        Ok(())
    }

    /// Reads what has come for a client, and tells whether that completes an answer.
    fn read(&mut self, place: usize) -> io::Result<bool> {
        let Some(client) = self.clients.get_mut(place) else { return Ok(false) };
        let mut buffer = [0; BUFFER_LEN_SMALL];
        let len = match client.stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            len => len?,
        };
        let read = buffer.get(..len).unwrap_or_default();
        if read.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        client.answer.extend_from_slice(read);
        if client.answer.first() == Some(&b'E') {
            return Err(io::Error::other(String::from_utf8_lossy(&client.answer).into_owned()));
        }
        if !client.answer.ends_with(READY) {
            return Ok(false);
        }
        client.answer.clear();
        client.answers += 1;
        self.waiting -= 1;
        let latency = client.asked.elapsed().as_micros();
        self.latencies.push(u64::try_from(latency).unwrap_or(u64::MAX));
        Ok(true)
    }

    fn outcome(mut self, elapsed: Duration) -> Outcome {
        self.latencies.sort_unstable();
        let counts = || self.clients.iter().map(|client| f64::from(client.answers));
        let fairness = counts().fold(f64::INFINITY, f64::min) / counts().fold(0.0, f64::max);
        Outcome { latencies: self.latencies, elapsed, fairness }
    }
}

/// Has clients log in, all at once.
pub fn log_in(host: &str, port: u16, count: usize) -> io::Result<Vec<Client>> {
    let open = |_| Client::open(host, port, BUFFER_LEN_SMALL);
    let mut clients = (0..count).map(open).collect::<io::Result<Vec<_>>>()?;
    clients.iter_mut().try_for_each(Client::prove)?;
    clients.iter_mut().try_for_each(Client::enter)?;
    Ok(clients)
}

/// `ReadyForQuery` outside a transaction: the end of an answer.
const READY: &[u8] = b"Z\0\0\0\x05I";

/// How long all clients together may wait for something to come, in seconds.
const PATIENCE_SECONDS: i64 = 60;

/// Events that are taken at once.
const EVENTS_PER_WAIT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let outcome = |count| Outcome { latencies: (1..=count).collect(), ..Outcome::default() };
        let cases = [(0, 50, None), (1, 99, Some(1)), (100, 50, Some(50)), (100, 99, Some(99))];
        for (count, percent, expected) in cases {
            assert_eq!(outcome(count).percentile(percent), expected, "{percent} of {count}");
        }
    }
}
