//! The rounds of a driver: wait, note what is ready, give everyone a turn.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use pgherd_core::id::ConnId;
use pgherd_core::limits;
use pgherd_core::machine::Machine;
use pgherd_core::message::{Arrival, Hop};
use pgherd_core::time::Instant;

use super::{Driver, Found, Letters};
use crate::connection::Sink;
use crate::listener::{Accepted, Backlog, Listener};
use crate::poller::{Event, Interest, Key, Watch};

/// Clients accepted, and pieces of mail taken, before the connections have their turn.
const ARRIVALS_PER_ROUND: usize = 64;

impl<M: Machine> Driver<M> {
    /// Does what the machine wants done from the start.
    pub(crate) fn begin(&mut self) {
        self.now = self.clock();
        self.pump();
    }

    /// Whether everything has ended after a shutdown. A client who was moved here meanwhile is let in
    /// first, to be told.
    pub(crate) fn is_finished(&mut self) -> bool {
        if self.machine.is_finished() {
            self.mail = Letters::Some;
            self.take_mail();
        }
        self.machine.is_finished() && self.mail == Letters::None
    }

    fn clock(&self) -> Instant {
        let micros = self.start.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// How long there is nothing to do, unless something comes; for ever if it says nothing.
    ///
    /// It is counted from the end of the last wait, so that the clock is read once a round. What is
    /// due may be late by as long as a round takes.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let backlogs = || self.listeners.iter().map(|listener| listener.backlog);
        if !self.line.is_empty()
            || self.mail == Letters::Some
            || backlogs().any(|backlog| backlog == Backlog::Ready)
        {
            return Some(Duration::ZERO);
        }
        let pauses = backlogs().filter_map(|backlog| match backlog {
            Backlog::Paused { until } => Some(until),
            Backlog::Empty | Backlog::Ready => None,
        });
        let due = pauses.chain(self.machine.poll_timeout()).min()?;
        Some(due.since(self.now))
    }

    /// Waits as long as it may, then does what there is to do, once around.
    pub(crate) fn round(&mut self, patience: Option<Duration>) -> io::Result<Found> {
        let mut found = std::mem::take(&mut self.found);
        self.wait(patience, &mut found)?;
        let outcome = if found.is_empty() { Found::Nothing } else { Found::Something };
        self.now = self.clock();
        // All of it is noted before anything is read: a read may rely on it.
        for event in found.drain(..) {
            self.note(&event);
        }
        self.found = found;
        if self.machine.poll_timeout().is_some_and(|due| due <= self.now) {
            self.machine.handle_timeout(self.now);
            self.pump();
        }
        self.take_mail();
        for place in 0..self.listeners.len() {
            self.accept_some(place);
        }
        for _ in 0..self.line.len() {
            if let Some(id) = self.line.pop_front() {
                self.turn(id);
            }
        }
        Ok(outcome)
    }

    fn wait(&mut self, patience: Option<Duration>, found: &mut Vec<Event>) -> io::Result<()> {
        let bell: Watch<'_> = (self.mailbox.ear.as_fd(), Key::Bell, Interest::Reads);
        let listeners = self.listeners.iter().zip(0u32..).filter_map(|(listener, place)| {
            let is_quiet = listener.backlog == Backlog::Empty;
            is_quiet.then(|| (listener.as_fd(), Key::Listener(place), Interest::Clients))
        });
        let attempts = self.attempts.iter().filter_map(|(id, attempt)| {
            Some((attempt.socket.as_ref()?.as_fd(), Key::Conn(id), Interest::Writes))
        });
        let conns = self
            .conns
            .iter()
            .filter_map(|(id, conn)| Some((conn.socket.as_fd(), Key::Conn(id), conn.interest()?)));
        let watches = std::iter::once(bell).chain(listeners).chain(attempts).chain(conns);
        self.poller.wait(patience, watches, found)
    }

    fn note(&mut self, event: &Event) {
        match event.key {
            Key::Bell => {
                self.mailbox.ear.hush();
                self.mail = Letters::Some;
            }
            Key::Listener(place) => {
                if let Some(listener) = self.listeners.get_mut(place as usize) {
                    listener.note();
                }
            }
            Key::Conn(id) => self.note_connection(id, event),
        }
    }

    fn note_connection(&mut self, id: ConnId, event: &Event) {
        if let Some(conn) = self.conns.get_mut(id) {
            let was_full = conn.sink == Sink::Full;
            conn.note(event);
            if was_full && conn.sink == Sink::Open {
                self.flush(id);
                self.pump();
            }
            self.line_up(id);
        } else {
            self.on_answer(id, event.incoming);
        }
    }

    /// Takes some of the mail. What is left is for the next round.
    fn take_mail(&mut self) {
        if self.mail == Letters::None {
            return;
        }
        for _ in 0..ARRIVALS_PER_ROUND {
            match self.mailbox.take() {
                Some(mail) => self.receive(mail),
                None => {
                    self.mail = Letters::None;
                    return;
                }
            }
        }
    }

    /// Accepts some of the clients who wait. Whoever is left is for the next round.
    fn accept_some(&mut self, place: usize) {
        for _ in 0..ARRIVALS_PER_ROUND {
            // The machine may have stopped accepting meanwhile.
            let Some(listener) = self.listeners.get_mut(place) else { return };
            let door = listener.door;
            match listener.accept(self.now) {
                Accepted::Client(socket, address) => {
                    socket.tune();
                    self.accept(socket, &[], Arrival { address, hop: Hop::None, door });
                }
                Accepted::Gone => {}
                Accepted::Nobody => return,
                Accepted::Failed(error) => {
                    log::warn!("a client could not be accepted: {error}");
                    listener.backlog =
                        Backlog::Paused { until: self.now + limits::ACCEPT_RETRY_DELAY };
                    return;
                }
            }
        }
    }
    /// Closes the doors. Whoever has come so far is accepted, to be told: the kernel would only reset
    /// its connection.
    pub(super) fn close_doors(&mut self) {
        for mut listener in std::mem::take(&mut self.listeners) {
            // Others may have it still, and they are to hear of clients.
            if let Err(error) = self.poller.remove(&listener) {
                log::debug!("a listener that closes is still watched: {error}");
            }
            listener.hasten();
            self.accept_last(&mut listener);
        }
    }

    fn accept_last(&mut self, listener: &mut Listener) {
        for _ in 0..limits::LISTEN_BACKLOG {
            match listener.accept(self.now) {
                Accepted::Client(socket, address) => {
                    let arrival = Arrival { address, hop: Hop::None, door: listener.door };
                    self.accept(socket, &[], arrival);
                }
                Accepted::Gone => {}
                Accepted::Nobody => return,
                Accepted::Failed(error) => {
                    return log::debug!("a client could not be accepted at last: {error}");
                }
            }
        }
    }
}
