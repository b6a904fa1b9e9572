//! Waiting on Linux: edge-triggered `epoll`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use pgherd_core::id::ConnId;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::{Event, Incoming, Interest, Key, Watch};

/// Events taken at once: what a busy thread finds after a turn, many times over. Others wait in
/// the kernel.
const EVENTS: usize = 256;

/// The longest wait. The system call counts milliseconds in 31 bits, and waking up for nothing
/// once an hour costs nothing.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Waits for what it was once told of.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll })
    }

    /// What an executor waits for: it is readable whenever `wait` would find something.
    pub(crate) fn alert(&self) -> io::Result<OwnedFd> {
        self.epoll.try_clone()
    }

    /// Starts to watch. What is ready already is an event, too.
    pub(crate) fn add(&self, fd: impl AsFd, key: Key, interest: Interest) -> io::Result<()> {
        let data = EventData::new_u64(key.to_bits());
        Ok(epoll::add(&self.epoll, fd, data, flags(interest))?)
    }

    /// Watches for something else. What is ready already is an event, too.
    pub(crate) fn change(&self, fd: impl AsFd, key: Key, interest: Interest) -> io::Result<()> {
        let data = EventData::new_u64(key.to_bits());
        Ok(epoll::modify(&self.epoll, fd, data, flags(interest))?)
    }

    /// Stops to watch something that is not going to be closed. (What is closed is forgotten.)
    pub(crate) fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Waits until there are events, the time is up or a signal comes.
    pub(crate) fn wait<'a>(
        &mut self,
        timeout: Option<Duration>,
        _: impl Iterator<Item = Watch<'a>>,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        let timeout = timeout.map(|timeout| timeout.min(WAIT_MAX));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut room = [const { MaybeUninit::uninit() }; EVENTS];
        match epoll::wait(&self.epoll, &mut room, timeout.as_ref()) {
            Ok((found, _)) => {
                events.extend(found.iter().map(|found| event(found.data.u64(), found.flags)));
                Ok(())
            }
            Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn flags(interest: Interest) -> EventFlags {
    EventFlags::ET
        | match interest {
            Interest::Reads => EventFlags::IN | EventFlags::RDHUP,
            Interest::Writes => EventFlags::OUT,
            Interest::Both => EventFlags::IN | EventFlags::RDHUP | EventFlags::OUT,
            Interest::Clients => EventFlags::IN | EventFlags::EXCLUSIVE,
        }
}

fn event(bits: u64, flags: EventFlags) -> Event {
    let is_over = flags.intersects(EventFlags::HUP | EventFlags::ERR);
    let incoming = if is_over || flags.contains(EventFlags::RDHUP) {
        Incoming::End
    } else if flags.contains(EventFlags::IN) {
        Incoming::Bytes
    } else {
        Incoming::Nothing
    };
    let is_writable = is_over || flags.contains(EventFlags::OUT);
    Event { key: Key::from_bits(bits), incoming, is_writable }
}

/// The upper half of a key that is no connection's: a machine has fewer than 2^32 - 1.
const NO_CONN: u64 = 0xffff_ffff_0000_0000;

/// The lower half of the bell's key.
const BELL: u64 = 0xffff_ffff;

impl Key {
    /// The word that the kernel hands back.
    const fn to_bits(self) -> u64 {
        match self {
            Self::Bell => NO_CONN | BELL,
            Self::Listener(place) => NO_CONN | place as u64,
            Self::Conn(id) => id.to_bits(),
        }
    }

    const fn from_bits(bits: u64) -> Self {
        if bits & NO_CONN != NO_CONN {
            Self::Conn(ConnId::from_bits(bits))
        } else if bits & BELL == BELL {
            Self::Bell
        } else {
            Self::Listener((bits & BELL) as u32)
        }
    }
}

#[cfg(test)]
mod tests {
    use pgherd_core::id::Slab;

    use super::*;

    #[test]
    fn a_key_survives_the_kernel() {
        let mut slab = Slab::new();
        let first = slab.insert(());
        slab.remove(first);
        let (second, third) = (slab.insert(()), slab.insert(()));
        let keys = [
            Key::Bell,
            Key::Listener(0),
            Key::Listener(7),
            Key::Conn(first),
            Key::Conn(second),
            Key::Conn(third),
        ];
        for key in keys {
            assert_eq!(Key::from_bits(key.to_bits()), key);
        }
    }
}
