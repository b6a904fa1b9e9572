//! What the kernel knows of TCP connections on this machine.

use std::collections::BTreeSet;
use std::fs;

/// `TCP_ESTABLISHED`, as `/proc/net/tcp` writes it (Linux kernel documentation, "proc_net_tcp").
const ESTABLISHED: &str = "01";

/// Lists the local ports of connections that neither side has closed. A server's process, and with
/// it the row in `pg_stat_activity`, may outlive its connection by a moment.
pub(super) fn established() -> BTreeSet<u16> {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux tells of its connections");
    table.lines().skip(1).filter_map(local_port).collect()
}

fn local_port(line: &str) -> Option<u16> {
    let mut words = line.split_whitespace();
    let (_, port) = words.nth(1)?.split_once(':')?;
    let state = words.nth(1)?;
    (state == ESTABLISHED).then(|| u16::from_str_radix(port, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::established;

    #[test]
    fn a_connection_counts_until_it_is_closed() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let port = near.local_addr().unwrap().port();
        let (_far, _) = listener.accept().unwrap();
        assert!(established().contains(&port));
        drop(near);
        assert!(!established().contains(&port));
    }
}
