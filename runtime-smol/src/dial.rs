//! Connecting to a server: by name, by address, or in a socket directory.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use pgherd_core::config::Backend;
use socket2::{Domain, SockAddr, Type};

use crate::poller::Incoming;
use crate::socket::Socket;

/// Where a server is.
pub(crate) enum Place {
    Path(PathBuf),
    Address(SocketAddr),
    /// A name, to be looked up.
    Name(String, u16),
}

impl Place {
    pub(crate) fn of(backend: &Backend) -> Self {
        if backend.hostname.starts_with('/') {
            let name = format!(".s.PGSQL.{}", backend.port);
            return Self::Path(Path::new(&backend.hostname).join(name));
        }
        match backend.hostname.parse::<IpAddr>() {
            Ok(address) => Self::Address(SocketAddr::new(address, backend.port)),
            Err(_) => Self::Name(backend.hostname.clone(), backend.port),
        }
    }
}

/// An attempt to connect.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// What is being connected; none while the name is looked up.
    pub(crate) socket: Option<Socket>,
    /// Addresses that have not been tried, the next one last.
    rest: Vec<SocketAddr>,
}

/// How an attempt goes on.
#[derive(Debug)]
pub(crate) enum Progress {
    /// There is more to know before anything can be done.
    Waiting,
    /// There is another socket, which says when there is more to know.
    Dialled,
    Connected,
    Failed(io::Error),
}

impl Attempt {
    /// Begins with a path; it is decided at once.
    pub(crate) fn path(&mut self, path: &Path) -> Progress {
        match unix(path) {
            Ok(socket) => {
                self.socket = Some(socket);
                Progress::Connected
            }
            Err(error) => Progress::Failed(error),
        }
    }

    /// Begins with addresses, to be tried in order.
    pub(crate) fn addresses(&mut self, mut addresses: Vec<SocketAddr>) -> Progress {
        addresses.reverse();
        self.rest = addresses;
        self.next(io::ErrorKind::NotFound.into())
    }

    /// Goes on after the socket became ready.
    pub(crate) fn go_on(&mut self, incoming: Incoming) -> Progress {
        let Some(socket) = &self.socket else { return Progress::Waiting };
        match outcome(socket, incoming) {
            Progress::Failed(error) => self.next(error),
            progress @ (Progress::Waiting | Progress::Dialled | Progress::Connected) => progress,
        }
    }

    /// Tries the next address, or fails as the last one did.
    fn next(&mut self, mut last: io::Error) -> Progress {
        self.socket = None;
        while let Some(address) = self.rest.pop() {
            match tcp(address) {
                Ok(socket) => {
                    self.socket = Some(socket);
                    return Progress::Dialled;
                }
                Err(error) => last = error,
            }
        }
        Progress::Failed(last)
    }
}

/// Asks the system for a server's addresses; blocks. None if the name is unknown.
pub(crate) fn resolve(name: &str, port: u16) -> Vec<SocketAddr> {
    let found = (name, port).to_socket_addrs();
    found.map(Iterator::collect).unwrap_or_default()
}

fn unix(path: &Path) -> io::Result<Socket> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(Socket::Unix(UnixStream::from(OwnedFd::from(socket))))
}

fn tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if !is_under_way(&error) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let socket = Socket::Tcp(TcpStream::from(socket));
    socket.tune();
    Ok(socket)
}

fn is_under_way(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    errno == Some(rustix::io::Errno::INPROGRESS) || error.kind() == io::ErrorKind::WouldBlock
}

/// What came of connecting a socket.
fn outcome(socket: &Socket, incoming: Incoming) -> Progress {
    let Socket::Tcp(stream) = socket else { return Progress::Connected };
    match stream.take_error() {
        Ok(Some(error)) | Err(error) => return Progress::Failed(error),
        Ok(None) => {}
    }
    match stream.peer_addr() {
        Ok(_) => Progress::Connected,
        Err(error) if error.kind() == io::ErrorKind::NotConnected && incoming != Incoming::End => {
            Progress::Waiting
        }
        Err(error) => Progress::Failed(error),
    }
}
