//! One connection of a machine, as its driver holds it.

use std::collections::VecDeque;

use pgherd_core::limits;

use crate::check::Outgoing;
use crate::check::crowding::Account;
use crate::check::framing::Sender;
use crate::end::End;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Asked for.
    Connecting,
    /// Usable.
    Open,
    /// Broken by the network; `handle_close` is on its way, and until it is there the machine
    /// cannot know.
    Lost,
    /// Closed by the machine once the queue has been sent.
    Flushing,
    /// Closed by the machine; `handle_close` is on its way.
    Closed,
}

/// Whether the machine wanted reads when it was last asked by right: after an input for the
/// connection or a `Reread`. A machine that forgets a `Reread` is never read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    None,
    Wanted,
}

/// Whether a read is on the agenda.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextRead {
    None,
    Scheduled,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) end: Option<End>,
    pub(crate) phase: Phase,
    /// The server that it goes to; none for a client's.
    pub(crate) to: Option<usize>,
    /// Bytes that no output has taken yet.
    pub(crate) unread: Vec<u8>,
    /// Bytes that the kernel has not taken yet.
    pub(crate) queue: VecDeque<u8>,
    pub(crate) interest: Interest,
    pub(crate) next_read: NextRead,
    /// Bytes read from the kernel.
    /// `read == taken + unread.len()`
    pub(crate) read: u64,
    /// Bytes forwarded or skipped.
    pub(crate) taken: u64,
    /// What has been sent there.
    pub(crate) outgoing: Outgoing,
}

/// What a send queue may hold: the high-water mark, and what one decision about one full buffer
/// may add to it twice over, for a message that is rewritten and one that is copied.
pub(crate) const QUEUE_LEN_MAX: usize =
    limits::QUEUE_LEN_HIGH + 2 * (limits::READ_LEN + limits::VIEW_LEN_MAX);

impl Socket {
    /// Makes a connection that was accepted.
    pub(crate) const fn open(end: End, sender: Sender) -> Self {
        Self {
            end: Some(end),
            phase: Phase::Open,
            to: None,
            unread: Vec::new(),
            queue: VecDeque::new(),
            interest: Interest::None,
            next_read: NextRead::None,
            read: 0,
            taken: 0,
            outgoing: Outgoing::new(sender),
        }
    }

    /// Makes a connection that was asked for.
    pub(crate) const fn connecting(end: Option<End>, to: usize) -> Self {
        Self {
            end,
            phase: Phase::Connecting,
            to: Some(to),
            unread: Vec::new(),
            queue: VecDeque::new(),
            interest: Interest::None,
            next_read: NextRead::None,
            read: 0,
            taken: 0,
            outgoing: Outgoing::new(Sender::Frontend),
        }
    }

    /// Returns its end, if it goes to a server.
    pub(crate) const fn server(&self) -> Option<End> {
        if self.to.is_some() { self.end } else { None }
    }

    /// Returns its end, if it is a client's.
    pub(crate) const fn client(&self) -> Option<End> {
        if self.to.is_none() { self.end } else { None }
    }

    /// Tells whether the machine may still send to it or take from it.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Lost)
    }

    /// Returns whom its session is for, if it is a session's connection to a server.
    pub(crate) fn session_on(&self, node: usize) -> Option<&Account> {
        self.outgoing.account().filter(|_| self.to == Some(node))
    }

    /// Checks that every byte was forwarded once, skipped once or is unread.
    pub(crate) fn balance(&self) -> Result<(), String> {
        if self.read == self.taken + self.unread.len() as u64 {
            return Ok(());
        }
        Err(format!(
            "{} bytes were read, {} forwarded or skipped, {} are unread",
            self.read,
            self.taken,
            self.unread.len()
        ))
    }
}
