//! Where clients come in: addresses and paths to listen on.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use pgherd_core::config::Config;
use pgherd_core::limits;
use socket2::{Domain, Protocol, Type};

use crate::trouble::StartError;

/// A place to listen at.
#[derive(Clone, Debug)]
pub enum Spot {
    /// An address.
    Tcp(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

/// Finds out where the configuration asks to listen.
///
/// # Errors
/// A name is unknown, or there is no place at all.
pub fn spots(config: &Config) -> Result<Vec<Spot>, StartError> {
    let mut spots = Vec::new();
    for address in &config.listen_addresses {
        spots.extend(resolve(address, config.port)?.into_iter().map(Spot::Tcp));
    }
    for directory in &config.unix_socket_directories {
        let name = format!(".s.PGSQL.{}", config.port);
        spots.push(Spot::Unix(Path::new(directory).join(name)));
    }
    if spots.is_empty() {
        return Err(StartError::Nowhere);
    }
    Ok(spots)
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// The file of a Unix socket, which goes with it.
#[derive(Debug)]
pub struct SocketFile(pub PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            log::debug!("{}: {error}", self.0.display());
        }
    }
}

/// Tells whether another client may be accepted all the same.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted)
}

fn resolve(address: &str, port: u16) -> Result<Vec<SocketAddr>, StartError> {
    if address == "*" {
        return Ok(vec![SocketAddr::from(([0; 4], port)), SocketAddr::from(([0u16; 8], port))]);
    }
    let found = (address, port).to_socket_addrs();
    Ok(found.map_err(|error| StartError::listen(address, &error))?.collect())
}

/// Listens on an address.
///
/// # Errors
/// The address is taken, or is none of this host.
pub fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
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

/// Listens at a path, which everybody may connect to.
///
/// # Errors
/// Somebody listens there, or the directory cannot be written to.
pub fn unix(path: &Path) -> io::Result<UnixListener> {
    clear(path)?;
    let listener = UnixListener::bind(path)?;
    admit_all(path)?;
    Ok(listener)
}

/// Removes a file that nobody answers at: it is left over from a process that was killed.
///
/// # Errors
/// The directory cannot be written to.
pub fn clear(path: &Path) -> io::Result<()> {
    if path.exists() && UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Lets everybody connect to a path.
///
/// # Errors
/// The file is somebody else's.
pub fn admit_all(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
}
