//! One kind of stream over TCP and Unix sockets: it only moves bytes.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use pgherd_core::config::Backend;
use pgherd_core::message::Closed;
use smol::Async;

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Socket {
    pub(crate) fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).read(room),
            Self::Unix(stream) => (&*stream).read(room),
        }
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).write(bytes),
            Self::Unix(stream) => (&*stream).write(bytes),
        }
    }

    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).write_vectored(slices),
            Self::Unix(stream) => (&*stream).write_vectored(slices),
        }
    }

    /// Ends the stream in good order: everything written arrives, and nothing unread is left
    /// behind, which would make the kernel reset the connection and lose what was written.
    pub(crate) fn finish(&self) {
        let ended = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
        let mut rubbish = [0; 4096];
        while ended.is_ok() && self.read(&mut rubbish).is_ok_and(|len| len > 0) {}
    }

    /// Small messages leave at once.
    pub(crate) fn tune(&self) {
        if let Self::Tcp(stream) = self
            && let Err(error) = stream.set_nodelay(true)
        {
            log::debug!("TCP_NODELAY: {error}");
        }
    }
}

/// What an error of the operating system means to a machine.
pub(crate) fn closed(error: &io::Error) -> Closed {
    let kind = error.kind();
    if matches!(kind, io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) {
        Closed::Refused
    } else if kind == io::ErrorKind::TimedOut {
        Closed::TimedOut
    } else if matches!(kind, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) {
        Closed::ByPeer
    } else {
        Closed::Broken
    }
}

/// Connects to a server: by name, by address, or in a socket directory.
pub(crate) async fn connect(backend: Option<Backend>) -> Result<Async<Socket>, Closed> {
    let Some(backend) = backend else { return Err(Closed::Unresolved) };
    let connected = if backend.hostname.starts_with('/') {
        let name = format!(".s.PGSQL.{}", backend.port);
        let path = PathBuf::from(&backend.hostname).join(name);
        let stream = Async::<UnixStream>::connect(path).await;
        stream.and_then(Async::into_inner).map(Socket::Unix)
    } else {
        connect_tcp(&backend).await?
    };
    let socket = connected.and_then(Async::new).map_err(|error| closed(&error))?;
    socket.get_ref().tune();
    Ok(socket)
}

async fn connect_tcp(backend: &Backend) -> Result<io::Result<Socket>, Closed> {
    let addresses = match backend.hostname.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, backend.port)],
        Err(_) => {
            let name = (backend.hostname.clone(), backend.port);
            smol::net::resolve(name).await.map_err(|_| Closed::Unresolved)?
        }
    };
    let mut last = Err(io::ErrorKind::NotFound.into());
    for address in addresses {
        last = Async::<TcpStream>::connect(address).await;
        if last.is_ok() {
            break;
        }
    }
    Ok(last.and_then(Async::into_inner).map(Socket::Tcp))
}
