//! What errors of the operating system mean.

use std::io;

use pgherd_core::message::Closed;

/// What an error of the operating system means to a machine.
#[must_use]
pub fn closed(error: &io::Error) -> Closed {
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

/// Tells whether an error says no more than "not now".
#[must_use]
pub fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
