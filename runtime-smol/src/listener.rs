//! Where clients connect.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use pgherd_core::config::Config;
use pgherd_core::limits;
use pgherd_core::machine::Machine;
use pgherd_core::message::{Arrival, Room};
use smol::{Async, Timer};
use socket2::{Domain, Protocol, Type};

use crate::driver::Driver;
use crate::socket::Socket;
use crate::trouble::StartError;

/// An address or a path that clients connect to.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Drop for Listener {
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
            let listener = tcp(address).map_err(|error| StartError::listen(address, &error))?;
            log::info!("listening on {address}");
            listeners.push(Listener::Tcp(listener));
        }
    }
    for directory in &config.unix_socket_directories {
        let path = Path::new(directory).join(format!(".s.PGSQL.{}", config.port));
        let listener = unix(&path).map_err(|error| StartError::listen(path.display(), &error))?;
        log::info!("listening on {}", path.display());
        listeners.push(Listener::Unix(listener, path));
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

/// Accepts clients for as long as it is not dropped.
pub(crate) async fn run<M: Machine + 'static>(
    driver: Rc<RefCell<Driver<M>>>,
    listener: Listener,
) -> io::Result<()> {
    match &listener {
        Listener::Tcp(tcp) => {
            let tcp = Async::new(tcp.try_clone()?)?;
            loop {
                let accepted = tcp.accept().await.and_then(|(stream, address)| {
                    Ok((Socket::Tcp(stream.into_inner()?), Some(address.ip())))
                });
                accept(&driver, accepted).await;
            }
        }
        Listener::Unix(unix, _) => {
            let unix = Async::new(unix.try_clone()?)?;
            loop {
                let accepted = unix.accept().await;
                let accepted =
                    accepted.and_then(|(stream, _)| Ok((Socket::Unix(stream.into_inner()?), None)));
                accept(&driver, accepted).await;
            }
        }
    }
}

async fn accept<M: Machine + 'static>(
    driver: &Rc<RefCell<Driver<M>>>,
    accepted: io::Result<(Socket, Option<std::net::IpAddr>)>,
) {
    match accepted {
        Ok((socket, address)) => {
            socket.tune();
            let arrival = Arrival { address, room: Room::Free };
            driver.borrow_mut().accept(socket, &[], arrival);
        }
        Err(error) => {
            log::warn!("a client could not be accepted: {error}");
            Timer::after(limits::ACCEPT_RETRY_DELAY).await;
        }
    }
}
