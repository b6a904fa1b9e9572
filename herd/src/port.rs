//! Ports for the nodes: those that were asked for, or free ones.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Mutex, PoisonError};

use socket2::{Domain, Socket, Type};

use crate::trouble::Trouble;

/// Chooses a port for each of `count` nodes, and checks that nothing listens on it.
pub(crate) fn choose(count: usize, base: Option<u16>) -> Result<Vec<u16>, Trouble> {
    let Some(base) = base else {
        // A set, because the same free port could be found twice.
        let mut ports = BTreeSet::new();
        while ports.len() < count {
            ports.insert(free_port()?);
        }
        return Ok(ports.into_iter().collect());
    };
    let ports: Vec<u16> = (base..=u16::MAX).take(count).collect();
    if base == 0 || ports.len() < count {
        return Err(Trouble::PortRange { base, count });
    }
    match ports.iter().find(|&&port| !is_free(port)) {
        Some(&port) => Err(Trouble::PortInUse { port }),
        None => Ok(ports),
    }
}

/// Finds a TCP port on the loopback address that nothing uses right now.
///
/// It is outside the range from which the kernel takes the client ends of connections, if there is
/// room: a server that is down for a while would otherwise find its port taken by a mere client.
/// Another process can take the port before the caller does. This one is given no port twice: whose
/// it is may be down at the moment.
pub fn free_port() -> Result<u16, Trouble> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..GUESSES {
        let width = ephemeral_start().saturating_sub(PORT_MIN);
        let Some(offset) = RandomState::new().hash_one(()).checked_rem(width.into()) else { break };
        let port = PORT_MIN.saturating_add(u16::try_from(offset).unwrap_or_default());
        if is_free(port) && given.insert(port) {
            return Ok(port);
        }
    }
    // The kernel chooses, perhaps one that was given already.
    let trouble = || Trouble::io("find a free port on", crate::HOST.as_ref());
    for _ in 0..GUESSES {
        let port = bind(0).map_err(trouble())?;
        if given.insert(port) {
            return Ok(port);
        }
    }
    Err(trouble()(io::ErrorKind::AddrNotAvailable.into()))
}

/// Whether a server could listen on the port.
fn is_free(port: u16) -> bool {
    bind(port).is_ok()
}

/// Binds a socket for a moment, and returns its port.
///
/// It does not listen. A child that is just being started by another thread inherits it for a moment,
/// and a server that comes in this moment is refused by one that listens and not by one that is merely
/// bound (socket(7), `SO_REUSEADDR`, which servers set).
fn bind(port: u16) -> io::Result<u16> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket.local_addr()?.as_socket().map_or(port, |address| address.port()))
}

/// Returns the first port that the kernel gives to clients.
fn ephemeral_start() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(EPHEMERAL_START)
}

/// Below are the well-known services, PostgreSQL's 5432 and Pgpool-II's 9999 among them.
const PORT_MIN: u16 = 15_000;

/// Where Linux begins unless told otherwise.
const EPHEMERAL_START: u16 = 32_768;

/// How many random ports to try before leaving the choice to the kernel.
const GUESSES: usize = 50;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn free_ports_are_distinct_and_can_be_bound() {
        let ports = choose(20, None).unwrap();
        let distinct: BTreeSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), 20);
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let line = choose(1, Some(port)).unwrap_err().to_string();
        assert_eq!(
            line,
            format!(
                "port {port} on 127.0.0.1 is in use: choose another, or stop what listens there"
            )
        );
    }

    #[test]
    fn numbers_can_run_out() {
        for (base, count) in [(u16::MAX, 2), (0, 1)] {
            let trouble = choose(count, Some(base)).unwrap_err();
            assert!(matches!(trouble, Trouble::PortRange { .. }), "{trouble}");
        }
    }
}
