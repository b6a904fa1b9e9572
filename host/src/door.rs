//! Where clients come in: addresses and paths to listen on.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use pgherd_core::config::Config;
use pgherd_core::limits;
use pgherd_core::message::Door;
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

/// Finds out where the configuration asks to listen, and what is spoken there.
///
/// # Errors
/// A name is unknown, or there is no place at all.
pub fn spots(config: &Config) -> Result<Vec<(Door, Spot)>, StartError> {
    let clients = spots_of(&config.listen_addresses, &config.unix_socket_directories, config.port)?;
    if clients.is_empty() {
        return Err(StartError::Nowhere);
    }
    let pcp = &config.pcp;
    let programs = if pcp.is_served() {
        spots_of(&pcp.listen_addresses, &pcp.socket_directories, pcp.port)?
    } else {
        Vec::new()
    };
    let clients = clients.into_iter().map(|spot| (Door::Sql, spot));
    Ok(clients.chain(programs.into_iter().map(|spot| (Door::Pcp, spot))).collect())
}

/// The addresses, and the sockets in the directories, of one port. All are named alike.
fn spots_of(
    addresses: &[String],
    directories: &[String],
    port: u16,
) -> Result<Vec<Spot>, StartError> {
    let mut spots = Vec::new();
    for address in addresses {
        spots.extend(resolve(address, port)?.into_iter().map(Spot::Tcp));
    }
    for directory in directories {
        spots.push(Spot::Unix(Path::new(directory).join(format!(".s.PGSQL.{port}"))));
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
