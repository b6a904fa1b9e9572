//! A connection's turn: it is read until there is nothing, or until the others wait.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll};

use futures_lite::future::yield_now;
use pgherd_core::id::ConnId;
use pgherd_core::limits;
use pgherd_core::machine::Machine;
use pgherd_core::message::Closed;
use pgherd_host::verdict;

use super::Driver;
use crate::connection::{Read, Sink, Source, Stay};
use crate::socket::Socket;

/// Reads after which a peer that talks on at its end is left to its fate.
const RUBBISH_READS_MAX: usize = 64;

/// What to do with a connection.
enum Step {
    Read,
    Rest,
    End,
}

impl<M: Machine + 'static> Driver<M> {
    /// Gives a connection a task of its own, which ends when the connection has ended.
    pub(super) fn attend(&self, id: ConnId) {
        if let Some(driver) = self.this.upgrade() {
            let task = async move {
                // glommio runs a task where it is spawned, and the driver is borrowed there.
                yield_now().await;
                poll_fn(|cx| driver.borrow_mut().turn(id, cx)).await;
            };
            glommio::spawn_local(task).detach();
        }
    }

    pub(super) fn turn(&mut self, id: ConnId, cx: &mut Context<'_>) -> Poll<()> {
        self.now = self.clock();
        self.turn = Some(id);
        self.advance(id, cx);
        let is_due = self.look(id, cx);
        self.turn = None;
        if is_due {
            // The others have their turn first.
            cx.waker().wake_by_ref();
        }
        let is_there = self.conns.get(id).is_some() || self.attempts.get(id).is_some();
        if is_there { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Writes and reads what there is; whether there may be more.
    fn look(&mut self, id: ConnId, cx: &mut Context<'_>) -> bool {
        let Some(conn) = self.conns.get_mut(id) else { return false };
        conn.remember(cx.waker());
        conn.source = Source::Ready;
        if conn.sink == Sink::Full {
            conn.sink = Sink::Open;
            self.flush(id);
            self.pump();
        }
        for _ in 0..limits::READS_PER_TURN {
            match self.step(id) {
                Step::Read => {
                    if !self.read(id) {
                        self.rest(id);
                        return false;
                    }
                }
                Step::Rest => {
                    self.rest(id);
                    return false;
                }
                Step::End => {
                    self.end(id, Closed::ByPeer);
                    return false;
                }
            }
        }
        self.rest(id);
        true
    }

    fn step(&self, id: ConnId) -> Step {
        let Some(conn) = self.conns.get(id) else { return Step::Rest };
        let is_wanted = conn.stay == Stay::Open && self.machine.wants_read(id);
        match conn.sink {
            Sink::Open | Sink::Full | Sink::Broken if is_wanted => Step::Read,
            Sink::Open | Sink::Full => Step::Rest,
            Sink::Broken => Step::End,
        }
    }

    /// Reads once; whether there may be more.
    fn read(&mut self, id: ConnId) -> bool {
        let hint = self.machine.read_hint(id);
        let Some(conn) = self.conns.get_mut(id) else { return false };
        self.stock.lend(&mut conn.recv);
        match conn.read(hint) {
            Read::Bytes => {
                self.machine.handle_read(self.now, id, conn.recv.unread());
                self.pump();
                return true;
            }
            Read::Nothing => {}
            Read::End => self.end(id, Closed::ByPeer),
            Read::Failed(error) => self.end(id, verdict::closed(&error)),
        }
        false
    }

    /// Leaves a connection no more memory than it needs while it waits.
    fn rest(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            self.stock.rest(&mut conn.recv);
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

/// Reads what a peer has said before it could know that nobody listens any more, then closes.
pub(super) fn part(mut socket: Socket) -> impl Future<Output = ()> {
    let mut reads = 0;
    poll_fn(move |cx| {
        let mut rubbish = [0; 4096];
        while reads < RUBBISH_READS_MAX {
            match socket.poll_read(cx, &mut rubbish) {
                Poll::Ready(Ok(1..)) => reads += 1,
                // What is there has not been noticed yet, or there is no more.
                Poll::Pending if socket.has_unread() => return Poll::Pending,
                Poll::Ready(_) | Poll::Pending => break,
            }
        }
        Poll::Ready(())
    })
}
