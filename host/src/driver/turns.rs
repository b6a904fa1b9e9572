//! A connection's turn: it is read until there is nothing, or until the others wait.

use crate::verdict;
use pgherd_core::id::ConnId;
use pgherd_core::limits;
use pgherd_core::machine::Machine;
use pgherd_core::message::Closed;

use super::Driver;
use crate::connection::{Read, Sink, Source, Stay, Turn};

/// What to do with a connection.
enum Step {
    Read,
    Rest,
    End,
}

impl<M: Machine> Driver<M> {
    pub(super) fn turn(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.turn = Turn::None;
        }
        for _ in 0..limits::READS_PER_TURN {
            match self.step(id) {
                Step::Read => self.read(id),
                Step::Rest => return self.rest(id),
                Step::End => return self.end(id, Closed::ByPeer),
            }
        }
        // The others have their turn first.
        self.line_up(id);
        self.rest(id);
    }

    fn step(&self, id: ConnId) -> Step {
        let Some(conn) = self.conns.get(id) else { return Step::Rest };
        if conn.source == Source::Drained && conn.sink != Sink::Broken {
            return Step::Rest;
        }
        let is_wanted = conn.stay == Stay::Open && self.machine.wants_read(id);
        match conn.sink {
            Sink::Open | Sink::Full | Sink::Broken if is_wanted => Step::Read,
            Sink::Open | Sink::Full => Step::Rest,
            Sink::Broken => Step::End,
        }
    }

    fn read(&mut self, id: ConnId) {
        let hint = self.machine.read_hint(id);
        let Some(conn) = self.conns.get_mut(id) else { return };
        self.stock.lend(&mut conn.recv);
        match conn.read(hint) {
            Read::Bytes => {
                self.machine.handle_read(self.now, id, conn.recv.unread());
                self.pump();
            }
            Read::Nothing => {}
            Read::End => self.end(id, Closed::ByPeer),
            Read::Failed(error) => self.end(id, verdict::closed(&error)),
        }
    }

    /// Leaves a connection no more memory than it needs while it waits.
    fn rest(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            match conn.turn {
                Turn::None => self.stock.rest(&mut conn.recv),
                Turn::Due => self.stock.take_back(&mut conn.recv),
            }
        }
    }

    /// A connection has ended by itself.
    fn end(&mut self, id: ConnId, why: Closed) {
        let stay = self.conns.get(id).map(|conn| conn.stay);
        let why = if stay == Some(Stay::Leaving) { Closed::ByUs } else { why };
        self.forget(id, why);
        self.pump();
    }
}
