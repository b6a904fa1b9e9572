//! Reaching a server: by name, by address, or in a socket directory.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use pgherd_core::config::Backend;
use socket2::{Domain, SockAddr, Type};

/// Where a server is.
#[derive(Debug)]
pub enum Place {
    /// A socket in a directory.
    Path(PathBuf),
    /// An address and a port.
    Address(SocketAddr),
    /// A name, to be looked up.
    Name(String, u16),
}

impl Place {
    /// Reads a place from the configuration.
    #[must_use]
    pub fn of(backend: &Backend) -> Self {
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

/// Asks the system for a server's addresses; blocks. None if the name is unknown.
#[must_use]
pub fn resolve(name: &str, port: u16) -> Vec<SocketAddr> {
    let found = (name, port).to_socket_addrs();
    found.map(Iterator::collect).unwrap_or_default()
}

/// Connects to a path, which is decided at once. The socket never blocks.
///
/// # Errors
/// Nobody listens there, or nobody can be reached.
pub fn unix(path: &Path) -> io::Result<UnixStream> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}

/// Begins to connect to an address. The socket never blocks; it becomes writable when it is
/// decided. Small messages leave at once.
///
/// # Errors
/// It is known already that nobody can be reached.
pub fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if !is_under_way(&error) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

fn is_under_way(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    errno == Some(rustix::io::Errno::INPROGRESS) || error.kind() == io::ErrorKind::WouldBlock
}
