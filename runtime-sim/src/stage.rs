//! What everybody in the world shares: the clock, the network, chance, the trace and the verdicts.

use std::collections::BTreeMap;

use pgherd_core::id::ConnId;
use pgherd_core::message::Peer;
use pgherd_core::time::Instant;

use crate::agenda::{Agenda, Event};
use crate::chance::Chance;
use crate::check::Checks;
use crate::end::{Address, Answer, End};
use crate::net::{Net, Read, Write};
use crate::trace::Trace;

/// Who holds an end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A client.
    Client(usize),
    /// A machine of the proxy.
    Machine(Peer, ConnId),
    /// A session of a server.
    Session {
        /// The server.
        node: usize,
        /// The session's process.
        process: u32,
    },
}

/// The shared part of the world.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) now: Instant,
    pub(crate) agenda: Agenda,
    pub(crate) net: Net,
    pub(crate) chance: Chance,
    pub(crate) trace: Trace,
    pub(crate) checks: Checks,
    pub(crate) owners: BTreeMap<End, Owner>,
}

impl Stage {
    /// Makes the world's beginning.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            agenda: Agenda::default(),
            net: Net::default(),
            chance: Chance::new(seed),
            trace: Trace::new(seed),
            checks: Checks::default(),
            owners: BTreeMap::new(),
        }
    }

    /// Lets an event happen after `low` to `high` microseconds.
    pub(crate) fn soon(&mut self, low: usize, high: usize, event: Event) {
        let delay = self.chance.micros(low, high);
        self.agenda.after(self.now, delay, event);
    }

    /// Begins or ends to listen.
    pub(crate) fn listen(&mut self, address: Address, answer: Answer) {
        self.net.listen(address, answer);
    }

    /// Asks for a connection.
    pub(crate) fn connect(&mut self, to: Address, owner: Owner) -> End {
        let end = self.net.connect(self.now, to, &mut self.chance, &mut self.agenda);
        self.owners.insert(end, owner);
        end
    }

    /// Offers bytes to the kernel.
    pub(crate) fn write(&mut self, end: End, bytes: &[u8]) -> Write {
        self.net.write(self.now, end, bytes, &mut self.chance, &mut self.agenda)
    }

    /// Reads from the kernel.
    pub(crate) fn read(&mut self, end: End, len_max: usize, into: &mut Vec<u8>) -> Read {
        self.net.read(self.now, end, len_max, into, &mut self.chance, &mut self.agenda)
    }

    /// Closes an end in order.
    pub(crate) fn close(&mut self, end: End) {
        self.owners.remove(&end);
        self.net.close(self.now, end, &mut self.chance, &mut self.agenda);
    }

    /// Resets an end.
    pub(crate) fn reset(&mut self, end: End) {
        self.owners.remove(&end);
        self.net.reset(self.now, end, &mut self.chance, &mut self.agenda);
    }

    /// Adds a line to the trace.
    pub(crate) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.now, what);
    }
}
