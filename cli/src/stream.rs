//! Connections that block: by TCP, or by the socket in a directory.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use pgherd_core::limits;
use rustix::net::sockopt;

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Why nobody is connected.
#[derive(Debug)]
pub(crate) enum Unreachable {
    /// The host has no address, for this reason.
    Name(io::Error),
    /// None of the host's addresses answers, the last one for this reason.
    Host(io::Error),
    /// The socket of this name does not answer.
    Socket(String, io::Error),
}

impl Stream {
    /// Connects to a host, or to the socket in a directory if that is named with a `/` in front.
    /// Each address has so much time.
    pub(crate) fn connect(host: &str, port: u16, timeout: Duration) -> Result<Self, Unreachable> {
        if host.starts_with('/') {
            let path = socket(host, port);
            return match UnixStream::connect(&path) {
                Ok(stream) => Ok(Self::Unix(stream)),
                Err(error) => Err(Unreachable::Socket(path, error)),
            };
        }
        let mut last = None;
        for address in (host, port).to_socket_addrs().map_err(Unreachable::Name)? {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => return Ok(Self::Tcp(stream)),
                Err(error) => last = Some(error),
            }
        }
        let none = || Unreachable::Name(io::ErrorKind::NotFound.into());
        Err(last.map_or_else(none, Unreachable::Host))
    }

    /// Sets how long a read may take; none is for ever.
    pub(crate) fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(patience),
            Self::Unix(stream) => stream.set_read_timeout(patience),
        }
    }

    /// Has the kernel find out if the other host is gone, however long a read takes.
    pub(crate) fn keep_alive(&self) -> io::Result<()> {
        let Self::Tcp(stream) = self else { return Ok(()) };
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, limits::ADMIN_KEEPALIVE_TIME)?;
        sockopt::set_tcp_keepintvl(stream, limits::ADMIN_KEEPALIVE_PERIOD)?;
        Ok(sockopt::set_tcp_keepcnt(stream, limits::ADMIN_KEEPALIVE_COUNT)?)
    }
}

/// Names the socket in a directory.
pub(crate) fn socket(directory: &str, port: u16) -> String {
    format!("{directory}/.s.PGSQL.{port}")
}

/// What an error is, without its number.
pub(crate) fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

impl Read for Stream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::Tcp(stream) => stream.read(room),
                Self::Unix(stream) => stream.read(room),
            };
            // A signal has nothing to do with what is read; whoever awaits one looks for it.
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => write!(f, "the host has no address: {}", cause(error)),
            Self::Host(error) => f.write_str(&cause(error)),
            Self::Socket(path, error) => write!(f, "{path}: {}", cause(error)),
        }
    }
}
