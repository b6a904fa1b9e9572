//! Attempts to connect to a server.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use crate::dial;

use crate::poller::Incoming;
use crate::socket::Socket;

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
        match dial::unix(path) {
            Ok(stream) => {
                self.socket = Some(Socket::Unix(stream));
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
            match dial::tcp(address) {
                Ok(stream) => {
                    self.socket = Some(Socket::Tcp(stream));
                    return Progress::Dialled;
                }
                Err(error) => last = error,
            }
        }
        Progress::Failed(last)
    }
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
