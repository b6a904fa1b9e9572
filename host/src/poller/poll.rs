//! Waiting where there is no `epoll`: `poll`, told anew each time what to wait for.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Event, Incoming, Interest, Key, Watch};

/// The longest wait. Some systems count milliseconds in 31 bits, and waking up for nothing once an
/// hour costs nothing.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Waits for what it is told of.
#[derive(Debug)]
pub(crate) struct Poller;

#[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with epoll")]
impl Poller {
    pub(crate) const fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) fn add(&self, _: impl AsFd, _: Key, _: Interest) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn change(&self, _: impl AsFd, _: Key, _: Interest) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn remove(&self, _: impl AsFd) -> io::Result<()> {
        Ok(())
    }

    /// Waits until there are events, the time is up or a signal comes.
    ///
    /// What is known to be ready must not be among `watches`, or this returns at once, for ever.
    pub(crate) fn wait<'a>(
        &mut self,
        timeout: Option<Duration>,
        watches: impl Iterator<Item = Watch<'a>>,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        let timeout = timeout.map(|timeout| timeout.min(WAIT_MAX));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let (keys, mut fds): (Vec<Key>, Vec<PollFd<'a>>) = watches
            .map(|(fd, key, interest)| (key, PollFd::from_borrowed_fd(fd, flags(interest))))
            .unzip();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let found = keys.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        events.extend(found.map(|(key, fd)| event(key, fd.revents())));
        Ok(())
    }
}

fn flags(interest: Interest) -> PollFlags {
    match interest {
        Interest::Reads | Interest::Clients => PollFlags::IN,
        Interest::Writes => PollFlags::OUT,
        Interest::Both => PollFlags::IN | PollFlags::OUT,
    }
}

fn event(key: Key, flags: PollFlags) -> Event {
    let is_over = flags.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
    let incoming = if is_over {
        Incoming::End
    } else if flags.contains(PollFlags::IN) {
        Incoming::Bytes
    } else {
        Incoming::Nothing
    };
    Event { key, incoming, is_writable: is_over || flags.contains(PollFlags::OUT) }
}
