//! The bell of a mailbox: it wakes a machine that waits for its sockets.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What others ring.
#[derive(Clone, Debug)]
pub struct Bell {
    wire: Arc<Wire>,
}

/// What the machine listens with.
#[derive(Debug)]
pub struct Ear {
    stream: UnixStream,
    wire: Arc<Wire>,
}

#[derive(Debug)]
struct Wire {
    stream: UnixStream,
    /// Whether it has been rung and not yet been heard. At most one byte is on its way, so
    /// ringing never blocks, and a busy machine costs its peers no system calls.
    is_ringing: AtomicBool,
}

/// Makes a bell.
///
/// # Errors
/// There are no more file descriptors.
pub fn hang() -> io::Result<(Bell, Ear)> {
    let (stream, ear) = UnixStream::pair()?;
    stream.set_nonblocking(true)?;
    ear.set_nonblocking(true)?;
    let wire = Arc::new(Wire { stream, is_ringing: AtomicBool::new(false) });
    Ok((Bell { wire: wire.clone() }, Ear { stream: ear, wire }))
}

impl Bell {
    /// Wakes the machine. What it is woken for must be in the mailbox before.
    pub fn ring(&self) {
        if !self.wire.is_ringing.swap(true, Ordering::AcqRel)
            && let Err(error) = (&self.wire.stream).write(&[0])
        {
            log::debug!("a bell does not ring: {error}");
        }
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Ear {
    /// Notes that the bell has been heard. Only what is looked at afterwards has been seen.
    ///
    /// The byte is taken before the bell may be rung anew, or the byte of the next ring might be
    /// taken with it. Should one be left by a slow ringer, its mail is seen now all the same.
    pub fn hush(&self) {
        let mut bytes = [0; 8];
        if let Err(error) = (&self.stream).read(&mut bytes) {
            log::debug!("a bell has rung in vain: {error}");
        }
        self.heard();
    }

    /// Notes that the bell has been heard by whoever took its byte from [`Ear::line`].
    pub fn heard(&self) {
        self.wire.is_ringing.swap(false, Ordering::AcqRel);
    }

    /// The stream on which a byte comes when the bell is rung, for runtimes that own what they
    /// wait for.
    ///
    /// # Errors
    /// There are no more file descriptors.
    pub fn line(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_rings_once_until_it_is_heard() {
        let (bell, ear) = hang().unwrap();
        let bytes = || {
            let mut buffer = [0; 8];
            (&ear.stream).read(&mut buffer).unwrap_or(0)
        };
        bell.ring();
        bell.ring();
        assert_eq!(bytes(), 1);
        bell.ring();
        assert_eq!(bytes(), 0, "it is ringing already");
        ear.hush();
        bell.ring();
        assert_eq!(bytes(), 1);
    }
}
