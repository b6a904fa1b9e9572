//! One kind of stream over TCP and Unix sockets, on the executor that owns it.

use std::io;
use std::net::{self, SocketAddr};
use std::os::unix;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::{AcceptedTcpStream, AcceptedUnixStream, TcpStream, UnixStream};

/// A stream that may be polled by one task at a time.
#[derive(Debug)]
pub(crate) enum Socket {
    /// Accepted, and not yet of any executor: it may move to another.
    Fresh(Fresh),
    /// Whatever the driver connected by itself is here, over a Unix socket too.
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A socket that was accepted and may go to another thread.
///
/// Whoever has it must make a [`Socket`] of it and use that: before, dropping it closes nothing.
#[derive(Debug)]
pub(crate) enum Fresh {
    Tcp(AcceptedTcpStream),
    Unix(AcceptedUnixStream),
}

impl From<net::TcpStream> for Socket {
    fn from(stream: net::TcpStream) -> Self {
        Self::Tcp(TcpStream::from(socket2::Socket::from(stream)))
    }
}

impl From<unix::net::UnixStream> for Socket {
    fn from(stream: unix::net::UnixStream) -> Self {
        // glommio makes Unix streams of paths only; what it does to a stream it does to any.
        Self::Tcp(TcpStream::from(socket2::Socket::from(stream)))
    }
}

impl Fresh {
    /// Where it comes from; none for a Unix socket.
    ///
    /// # Errors
    /// The client has left, and the socket is gone with it.
    pub(crate) fn address(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Tcp(accepted) => Ok(Some(accepted.peer_addr()?)),
            Self::Unix(_) => Ok(None),
        }
    }
}

impl Socket {
    /// Makes a socket that was accepted one of this executor.
    pub(crate) fn settle(&mut self) {
        let Self::Fresh(fresh) = self else { return };
        *self = match fresh {
            Fresh::Tcp(accepted) => {
                let stream = accepted.bind_to_executor();
                // Small messages leave at once.
                if let Err(error) = stream.set_nodelay(true) {
                    log::debug!("TCP_NODELAY: {error}");
                }
                Self::Tcp(stream)
            }
            Fresh::Unix(accepted) => Self::Unix(accepted.bind_to_executor()),
        };
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Fresh(_) => Poll::Pending,
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, room),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, room),
        }
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Fresh(_) => Poll::Pending,
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    /// Says that nothing more will be written: everything that was written arrives.
    pub(crate) fn finish(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        let ended = match self {
            Self::Fresh(_) => return,
            Self::Tcp(stream) => Pin::new(stream).poll_close(cx),
            Self::Unix(stream) => Pin::new(stream).poll_close(cx),
        };
        if let Poll::Ready(Err(error)) = ended {
            log::debug!("a stream was not ended: {error}");
        }
    }

    /// Whether there is something to read that the machine has not seen.
    pub(crate) fn has_unread(&self) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut byte = [0];
        let peeked = match self {
            Self::Fresh(_) => return false,
            Self::Tcp(stream) => pin!(stream.peek(&mut byte)).poll(cx).map_err(drop),
            Self::Unix(stream) => pin!(stream.peek(&mut byte)).poll(cx).map_err(drop),
        };
        matches!(peeked, Poll::Ready(Ok(1..)))
    }
}
