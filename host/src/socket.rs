//! One kind of stream over TCP and Unix sockets: it only moves bytes.

use std::io::{self, IoSlice, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{RecvFlags, SendFlags, recv, send};

/// Reads after which a peer that talks on at its end is left to its fate.
const RUBBISH_READS_MAX: usize = 64;

/// A peer that has left is an error, never a signal.
#[cfg(not(target_vendor = "apple"))]
const SILENTLY: SendFlags = SendFlags::NOSIGNAL;

#[cfg(target_vendor = "apple")]
const SILENTLY: SendFlags = SendFlags::empty();

/// A stream that never blocks.
#[derive(Debug)]
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Within the host.
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
    /// Reads once. This and [`Socket::write`] are a query's system calls, and go to the kernel
    /// without the C library, whose wrappers prepare for threads that are cancelled.
    pub(crate) fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        let (len, _) = recv(self, room, RecvFlags::empty())?;
        Ok(len)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self, bytes, SILENTLY)?)
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
        for _ in 0..RUBBISH_READS_MAX {
            if ended.is_err() || !self.read(&mut rubbish).is_ok_and(|len| len > 0) {
                return;
            }
        }
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
