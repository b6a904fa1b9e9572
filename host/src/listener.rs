//! Where clients connect.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use crate::door::{self, SocketFile, Spot};
use crate::trouble::StartError;
use pgherd_core::config::Config;
use pgherd_core::message::Door;
use pgherd_core::time::Instant;

use crate::socket::Socket;

/// An address or a path that clients connect to.
#[derive(Debug)]
pub(crate) struct Listener {
    acceptor: Acceptor,
    /// What is spoken here.
    pub(crate) door: Door,
    pub(crate) backlog: Backlog,
    /// Goes when the last listener there goes.
    _file: Option<Arc<SocketFile>>,
}

#[derive(Debug)]
enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Who waits to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backlog {
    /// Nobody, until the poller says otherwise.
    Empty,
    /// Perhaps somebody.
    Ready,
    /// Perhaps somebody, who cannot be accepted just now.
    Paused { until: Instant },
}

/// What accepting came to.
pub(crate) enum Accepted {
    Client(Socket, Option<SocketAddr>),
    /// A client that did not wait.
    Gone,
    Nobody,
    Failed(io::Error),
}

impl Listener {
    /// Listens at a place, for so many threads.
    fn open(door: Door, spot: &Spot, count: usize) -> io::Result<Vec<Self>> {
        let new = |acceptor, file| Self { acceptor, door, backlog: Backlog::Empty, _file: file };
        match spot {
            Spot::Tcp(address) => {
                let listeners = door::tcp(*address, count)?.into_iter();
                let make = |listener: TcpListener| {
                    listener.set_nonblocking(true)?;
                    Ok(new(Acceptor::Tcp(listener), None))
                };
                listeners.map(make).collect()
            }
            Spot::Unix(path) => {
                let listeners = door::unix(path, count)?.into_iter();
                let make = |(listener, file): (UnixListener, Arc<SocketFile>)| {
                    listener.set_nonblocking(true)?;
                    Ok(new(Acceptor::Unix(listener), Some(file)))
                };
                listeners.map(make).collect()
            }
        }
    }

    /// Somebody has come. A pause is not cut short by that.
    pub(crate) fn note(&mut self) {
        if self.backlog == Backlog::Empty {
            self.backlog = Backlog::Ready;
        }
    }

    /// Nobody will be told again of those who wait now.
    pub(crate) fn hasten(&mut self) {
        self.backlog = Backlog::Ready;
    }

    /// Accepts a client, if one waits and may be accepted.
    pub(crate) fn accept(&mut self, now: Instant) -> Accepted {
        match self.backlog {
            Backlog::Empty => return Accepted::Nobody,
            Backlog::Paused { until } if now < until => return Accepted::Nobody,
            Backlog::Ready | Backlog::Paused { .. } => self.backlog = Backlog::Ready,
        }
        match self.acceptor.accept() {
            Ok((socket, address)) => Accepted::Client(socket, address),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.backlog = Backlog::Empty;
                Accepted::Nobody
            }
            Err(error) if door::is_gone(&error) => Accepted::Gone,
            Err(error) => Accepted::Failed(error),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.acceptor {
            Acceptor::Tcp(listener) => listener.as_fd(),
            Acceptor::Unix(listener) => listener.as_fd(),
        }
    }
}

impl Acceptor {
    fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok((Socket::Tcp(stream), Some(address)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok((Socket::Unix(stream), None))
            }
        }
    }
}

/// The listeners of a process.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// For clients, each shard's own.
    pub(crate) shards: Vec<Vec<Listener>>,
    /// For administrators.
    pub(crate) control: Vec<Listener>,
}

/// Opens everything that the configuration asks for, for so many shards.
pub(crate) fn open(config: &Config, shards: usize) -> Result<Listeners, StartError> {
    let mut opened =
        Listeners { shards: (0..shards).map(|_| Vec::new()).collect(), control: Vec::new() };
    for (door, spot) in door::spots(config)? {
        let count = match door {
            Door::Sql => shards,
            Door::Pcp => 1,
        };
        let listeners = Listener::open(door, &spot, count);
        let listeners = listeners.map_err(|error| StartError::listen(&spot, &error))?;
        match door {
            Door::Sql => {
                log::info!("listening on {spot}");
                let shards = opened.shards.iter_mut().zip(listeners);
                shards.for_each(|(own, listener)| own.push(listener));
            }
            Door::Pcp => {
                log::info!("listening for PCP on {spot}");
                opened.control.extend(listeners);
            }
        }
    }
    Ok(opened)
}
