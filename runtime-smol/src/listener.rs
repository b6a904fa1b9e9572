//! Where clients connect.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use pgherd_core::config::Config;
use pgherd_core::limits;
use pgherd_core::time::Instant;
use socket2::{Domain, Protocol, Type};

use crate::socket::Socket;
use crate::trouble::StartError;

/// An address or a path that clients connect to.
#[derive(Debug)]
pub(crate) struct Listener {
    door: Door,
    pub(crate) backlog: Backlog,
}

#[derive(Debug)]
enum Door {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
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
    fn new(door: Door) -> io::Result<Self> {
        match &door {
            Door::Tcp(listener) => listener.set_nonblocking(true)?,
            Door::Unix(listener, _) => listener.set_nonblocking(true)?,
        }
        Ok(Self { door, backlog: Backlog::Empty })
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
        match self.door.accept() {
            Ok((socket, address)) => Accepted::Client(socket, address),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.backlog = Backlog::Empty;
                Accepted::Nobody
            }
            Err(error) if is_gone(&error) => Accepted::Gone,
            Err(error) => Accepted::Failed(error),
        }
    }
}

/// Tells whether another client may be accepted all the same.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted)
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.door {
            Door::Tcp(listener) => listener.as_fd(),
            Door::Unix(listener, _) => listener.as_fd(),
        }
    }
}

impl Door {
    fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok((Socket::Tcp(stream), Some(address)))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok((Socket::Unix(stream), None))
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self
            && let Err(error) = std::fs::remove_file(&*path)
        {
            log::debug!("{}: {error}", path.display());
        }
    }
}

/// Opens everything that the configuration asks for.
pub(crate) fn open(config: &Config) -> Result<Vec<Listener>, StartError> {
    let mut listeners = Vec::new();
    for address in &config.listen_addresses {
        for address in resolve(address, config.port)? {
            let opened = tcp(address).and_then(|tcp| Listener::new(Door::Tcp(tcp)));
            listeners.push(opened.map_err(|error| StartError::listen(address, &error))?);
            log::info!("listening on {address}");
        }
    }
    for directory in &config.unix_socket_directories {
        let path = Path::new(directory).join(format!(".s.PGSQL.{}", config.port));
        let opened = unix(&path).and_then(|unix| Listener::new(Door::Unix(unix, path.clone())));
        listeners.push(opened.map_err(|error| StartError::listen(path.display(), &error))?);
        log::info!("listening on {}", path.display());
    }
    if listeners.is_empty() {
        return Err(StartError::Nowhere);
    }
    Ok(listeners)
}

fn resolve(address: &str, port: u16) -> Result<Vec<SocketAddr>, StartError> {
    if address == "*" {
        return Ok(vec![SocketAddr::from(([0; 4], port)), SocketAddr::from(([0u16; 8], port))]);
    }
    let found = (address, port).to_socket_addrs();
    Ok(found.map_err(|error| StartError::listen(address, &error))?.collect())
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(limits::LISTEN_BACKLOG)?;
    Ok(socket.into())
}

fn unix(path: &Path) -> io::Result<UnixListener> {
    // A file that nobody answers at is left over from a process that was killed.
    if path.exists() && UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
    Ok(listener)
}
