//! Where clients connect.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;

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
    /// Goes when the listener goes.
    _file: Option<SocketFile>,
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
    fn open(door: Door, spot: &Spot) -> io::Result<Self> {
        let (acceptor, file) = match spot {
            Spot::Tcp(address) => {
                let listener = door::tcp(*address)?;
                listener.set_nonblocking(true)?;
                (Acceptor::Tcp(listener), None)
            }
            Spot::Unix(path) => {
                let listener = door::unix(path)?;
                listener.set_nonblocking(true)?;
                (Acceptor::Unix(listener), Some(SocketFile(path.clone())))
            }
        };
        Ok(Self { acceptor, door, backlog: Backlog::Empty, _file: file })
    }

    /// Somebody has come. A pause is not cut short by that.
    pub(crate) fn note(&mut self) {
        if self.backlog == Backlog::Empty {
            self.backlog = Backlog::Ready;
        }
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

/// Opens everything that the configuration asks for.
pub(crate) fn open(config: &Config) -> Result<Vec<Listener>, StartError> {
    door::spots(config)?
        .into_iter()
        .map(|(door, spot)| {
            let opened = Listener::open(door, &spot);
            opened.map_err(|error| StartError::listen(&spot, &error)).inspect(|_| match door {
                Door::Sql => log::info!("listening on {spot}"),
                Door::Pcp => log::info!("listening for PCP on {spot}"),
            })
        })
        .collect()
}
