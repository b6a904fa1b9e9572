//! Where clients come in: addresses and paths to listen on, once for each thread that listens.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// Listens on an address, as often as asked for: the kernel spreads clients over the listeners,
/// where it can. Where it cannot, they are one, and whoever is first accepts.
///
/// # Errors
/// The address is taken, or is none of this host.
pub fn tcp(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let first = socket(address)?;
    first.bind(&address.into())?;
    first.listen(limits::LISTEN_BACKLOG)?;
    // Only now is the address shared: nobody else has it, be it a process that would share it, too.
    let others = match join(&first, count.saturating_sub(1)) {
        Ok(others) => others,
        Err(error) => {
            log::debug!("{address}: the threads have one listener: {error}");
            copies(count, || first.try_clone())?
        }
    };
    Ok(std::iter::once(first).chain(others).map(Into::into).collect())
}

/// Makes further listeners beside one, on its address and port.
#[cfg(target_os = "linux")]
fn join(first: &socket2::Socket, count: usize) -> io::Result<Vec<socket2::Socket>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    first.set_reuse_port(true)?;
    let address = first.local_addr()?;
    let place = address.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let another = |_| {
        let socket = socket(place)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address)?;
        socket.listen(limits::LISTEN_BACKLOG)?;
        Ok(socket)
    };
    (0..count).map(another).collect()
}

/// Other systems share a port for other purposes: the last to come gets all clients, for one.
#[cfg(not(target_os = "linux"))]
fn join(_: &socket2::Socket, count: usize) -> io::Result<Vec<socket2::Socket>> {
    if count == 0 { Ok(Vec::new()) } else { Err(io::ErrorKind::Unsupported.into()) }
}

fn socket(address: SocketAddr) -> io::Result<socket2::Socket> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Further handles of one listener, for threads beside the first.
fn copies<T>(count: usize, copy: impl Fn() -> io::Result<T>) -> io::Result<Vec<T>> {
    (1..count).map(|_| copy()).collect()
}

/// Listens at a path, which everybody may connect to, with as many handles of one listener as asked
/// for. The file goes with the last of them.
///
/// # Errors
/// Somebody listens there, or the directory cannot be written to.
pub fn unix(path: &Path, count: usize) -> io::Result<Vec<(UnixListener, Arc<SocketFile>)>> {
    clear(path)?;
    let first = UnixListener::bind(path)?;
    let file = Arc::new(SocketFile(path.to_owned()));
    admit_all(path)?;
    let others = copies(count, || first.try_clone())?;
    Ok(std::iter::once(first).chain(others).map(|listener| (listener, file.clone())).collect())
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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};

    use super::*;
    use crate::puppet::Place;

    fn any(host: impl Into<std::net::IpAddr>) -> SocketAddr {
        SocketAddr::new(host.into(), 0)
    }

    #[test]
    fn all_listeners_of_an_address_have_its_port() {
        for host in [any(Ipv4Addr::LOCALHOST), any(Ipv6Addr::LOCALHOST)] {
            let listeners = tcp(host, 3).unwrap();
            let ports: Vec<u16> =
                listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
            assert_eq!(ports.len(), 3);
            assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
        }
    }

    /// Also by a process of the same user that would share it.
    #[test]
    fn an_address_that_is_listened_on_is_taken() {
        for (ours, theirs) in [(1, 1), (1, 3), (3, 1), (3, 3)] {
            let listeners = tcp(any(Ipv4Addr::LOCALHOST), ours).unwrap();
            let address = listeners[0].local_addr().unwrap();
            let refused = tcp(address, theirs).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::AddrInUse, "{ours} and {theirs}");
            drop(listeners);
            tcp(address, theirs).expect("nobody listens any more");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_spreads_clients_over_listeners() {
        let listeners = tcp(any(Ipv4Addr::LOCALHOST), 3).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let clients: Vec<TcpStream> =
            (0..90).map(|_| TcpStream::connect(address).unwrap()).collect();
        let accepted = listeners.iter().map(|listener| {
            listener.set_nonblocking(true).unwrap();
            std::iter::from_fn(|| listener.accept().ok()).count()
        });
        let accepted: Vec<usize> = accepted.collect();
        assert_eq!(accepted.iter().sum::<usize>(), clients.len());
        // One that gets none of ninety by chance is one in 10^15.
        assert!(accepted.iter().all(|count| *count > 0), "{accepted:?}");
    }

    #[test]
    fn the_file_of_a_socket_goes_with_the_last_who_listens() {
        let place = Place::new("doors");
        let mut listeners = unix(&place.door(), 3).unwrap();
        assert_eq!(unix(&place.door(), 1).unwrap_err().kind(), ErrorKind::AddrInUse);
        listeners.truncate(1);
        UnixStream::connect(place.door()).expect("one listens");
        listeners.clear();
        assert!(place.is_empty());
    }
}
