//! How a machine waits: for its sockets, its mail and its timer, in one system call.
//!
//! A poller says that something *has become* ready, once, and whoever hears it remembers it until
//! the kernel refuses: a query costs no registration. Linux tells of changes by itself (`epoll`,
//! edge-triggered). Elsewhere `poll` is given, for each wait, what its caller does not know to be
//! ready; that comes to the same, at a price that grows with the number of connections.

use std::os::fd::BorrowedFd;

use pgherd_core::id::ConnId;

#[cfg(target_os = "linux")]
mod epoll;
#[cfg(any(test, not(target_os = "linux")))]
mod poll;

#[cfg(target_os = "linux")]
pub(crate) use epoll::Poller;
#[cfg(not(target_os = "linux"))]
pub(crate) use poll::Poller;

/// Whom an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The mailbox.
    Bell,
    /// A listener, by its place.
    Listener(u32),
    /// A connection, or the attempt to make one.
    Conn(ConnId),
}

/// What one wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Reads,
    Writes,
    Both,
    /// Of clients at a listener, to which other machines may listen, too: one that is idle hears of
    /// them, and not all.
    Clients,
}

/// Something to wait for: where, by which name, and for what.
pub(crate) type Watch<'a> = (BorrowedFd<'a>, Key, Interest);

/// What has become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) key: Key,
    pub(crate) incoming: Incoming,
    pub(crate) is_writable: bool,
}

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Nothing,
    Bytes,
    /// The stream's end or an error, possibly behind bytes. No further event may follow, so it
    /// must be read up to there.
    End,
}

#[cfg(test)]
mod tests;
