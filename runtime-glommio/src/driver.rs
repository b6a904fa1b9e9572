//! Carries out what one machine asks for, and tells it what happened.
//!
//! A driver belongs to one executor, and so does everything in it. It is borrowed by one task at a
//! time, and never while that task waits: each connection's task gives it a turn when there is
//! something to read (`turns`), others bring mail, clients and the time (`rounds`). Bytes are
//! written straight from the buffer into which they were read, as long as the kernel takes them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use pgherd_core::buffer::Stock;
use pgherd_core::config::Config;
use pgherd_core::id::{ConnId, Table};
use pgherd_core::machine::Machine;
use pgherd_core::message::{Arrival, Closed, Message, Peer};
use pgherd_core::output::{Close, Output};
use pgherd_core::time::Instant;
use pgherd_host::mailbox::{Mail, Post};

use crate::connection::{Connection, Sink, Source, Stay};
use crate::driver::connecting::Attempt;
use crate::socket::{Fresh, Socket};

mod connecting;
pub(crate) mod rounds;
mod turns;

/// Drives one machine.
pub(crate) struct Driver<M> {
    machine: M,
    me: Peer,
    start: std::time::Instant,
    /// When the turn began: all that it found happened then.
    now: Instant,
    config: Arc<Config>,
    attempts: Table<Attempt>,
    conns: Table<Connection>,
    /// Whose turn it is.
    turn: Option<ConnId>,
    /// What the machine must hear once it has been drained.
    events: VecDeque<Event>,
    /// Connections with queued bytes that have not been offered to the kernel.
    unflushed: Vec<ConnId>,
    stock: Stock,
    /// Where small chunks are copied together.
    gathered: Vec<u8>,
    post: Post<Fresh>,
    clockwork: Clockwork,
    /// For the tasks of new connections.
    this: Weak<RefCell<Self>>,
}

/// What a driver is started with.
pub(crate) struct Setting {
    pub(crate) me: Peer,
    pub(crate) start: std::time::Instant,
    pub(crate) config: Arc<Config>,
    pub(crate) post: Post<Fresh>,
}

/// The task that keeps the time, and what it knows.
#[derive(Default)]
struct Clockwork {
    waker: Option<Waker>,
    /// When it wakes by itself. Not later than the machine asks for; perhaps earlier.
    armed: Option<Instant>,
}

enum Event {
    Connected(ConnId, Result<(), Closed>),
    Sent(ConnId, usize),
    Reread(ConnId),
    Closed(ConnId, Closed),
}

impl<M: Machine + 'static> Driver<M> {
    pub(crate) fn new(machine: M, setting: Setting) -> Rc<RefCell<Self>> {
        let Setting { me, start, config, post } = setting;
        Rc::new_cyclic(|this| {
            RefCell::new(Self {
                machine,
                me,
                start,
                now: Instant::ZERO,
                config,
                attempts: Table::new(),
                conns: Table::new(),
                turn: None,
                events: VecDeque::new(),
                unflushed: Vec::new(),
                stock: Stock::default(),
                gathered: Vec::new(),
                post,
                clockwork: Clockwork::default(),
                this: this.clone(),
            })
        })
    }

    /// A client has connected, or has been moved here.
    fn accept(&mut self, fresh: Fresh, unread: &[u8], arrival: Arrival) {
        let id = self.machine.handle_accept(self.now, arrival);
        let mut conn = Connection::new(Socket::Fresh(fresh));
        if !unread.is_empty() {
            conn.recv.extend(unread);
            self.events.push_back(Event::Reread(id));
        }
        self.conns.insert(id, conn);
        // Control moves most of its connections away at once; those never become this executor's.
        while let Some(output) = self.machine.poll_output() {
            self.carry_out(output);
        }
        if let Some(conn) = self.conns.get_mut(id) {
            conn.socket.settle();
            self.attend(id);
        }
        self.pump();
    }

    /// Takes what was in the mailbox.
    fn receive(&mut self, mail: Mail<Fresh>) {
        match mail {
            Mail::Message { from, message } => {
                if let Message::Reload(config) = message.as_ref() {
                    self.config = config.clone();
                }
                self.machine.handle_message(self.now, from, *message);
                self.pump();
            }
            Mail::Moved { socket, unread, arrival } => self.accept(socket, &unread, arrival),
            Mail::Resolved { conn, addresses } => self.on_resolved(conn, addresses),
        }
    }

    /// Carries out everything that the machine asks for, and what follows from it.
    fn pump(&mut self) {
        loop {
            while let Some(output) = self.machine.poll_output() {
                self.carry_out(output);
            }
            if let Some(event) = self.events.pop_front() {
                self.tell(&event);
            } else if let Some(id) = self.unflushed.pop() {
                self.flush(id);
            } else {
                break;
            }
        }
        self.wind();
    }

    fn tell(&mut self, event: &Event) {
        match *event {
            Event::Connected(id, result) => self.establish(id, result),
            Event::Sent(id, len) => {
                self.machine.handle_sent(self.now, id, len);
                self.line_up(id);
            }
            Event::Closed(id, why) => self.machine.handle_close(self.now, id, why),
            Event::Reread(id) => {
                if let Some(conn) = self.conns.get(id)
                    && conn.stay == Stay::Open
                {
                    self.machine.handle_read(self.now, id, conn.recv.unread());
                    self.line_up(id);
                }
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Forward { from, to, len } => self.forward(from, to, len),
            Output::Copy { from, to, len } => {
                let unread = self.conns.get(from).map(|conn| conn.recv.unread());
                let bytes = unread.and_then(|unread| unread.get(..len)).unwrap_or_default();
                let bytes = Bytes::copy_from_slice(bytes);
                self.queue(to, bytes);
            }
            Output::Skip { from, len } => {
                if let Some(conn) = self.conns.get_mut(from) {
                    conn.recv.consume(len);
                    self.stock.take_back(&mut conn.recv);
                }
            }
            Output::Send { to, bytes } => self.queue(to, bytes),
            Output::Reread { conn } => self.events.push_back(Event::Reread(conn)),
            Output::Connect { conn, to } => self.connect(conn, to),
            Output::Close { conn, when } => self.close(conn, when),
            Output::Move { conn, to, arrival } => self.hand_over(conn, Peer::Shard(to), arrival),
            Output::Post { to, message } => {
                self.post.send(to, Mail::Message { from: self.me, message });
            }
        }
    }

    fn hand_over(&mut self, id: ConnId, to: Peer, arrival: Arrival) {
        let Some(conn) = self.conns.remove(id) else { return };
        match conn.socket {
            Socket::Fresh(socket) => {
                let unread = conn.recv.unread().to_vec();
                let returned = self.post.offer(to, Mail::Moved { socket, unread, arrival });
                returned.into_iter().for_each(dismiss);
            }
            // glommio gives no descriptor back. Machines move clients before they are read.
            Socket::Tcp(_) | Socket::Unix(_) => {
                log::error!("{id} cannot move any more, and is closed");
            }
        }
    }

    /// Writes bytes straight from the buffer that they came in; queues what the kernel refuses.
    fn forward(&mut self, from: ConnId, to: ConnId, len: usize) {
        let Some(source) = self.conns.get_mut(from) else { return };
        let mut recv = std::mem::take(&mut source.recv);
        let mut rest = Bytes::new();
        if let Some(bytes) = recv.unread().get(..len) {
            let sink = self.conns.get_mut(to);
            let taken = sink.map(|sink| sink.offer_with(bytes, &mut self.gathered));
            let taken = taken.unwrap_or_default();
            recv.consume(taken.direct);
            if taken.direct < len {
                rest = recv.split(len - taken.direct);
            }
            if taken.queued + taken.direct > 0 {
                self.events.push_back(Event::Sent(to, taken.queued + taken.direct));
            }
        }
        self.stock.take_back(&mut recv);
        if let Some(source) = self.conns.get_mut(from) {
            source.recv = recv;
        }
        self.queue(to, rest);
    }

    /// Queues bytes; they are offered to the kernel once the machine has been drained.
    fn queue(&mut self, to: ConnId, bytes: Bytes) {
        if let Some(conn) = self.conns.get_mut(to)
            && !bytes.is_empty()
        {
            conn.send.push(bytes);
            self.unflushed.push(to);
        }
    }

    /// Offers queued bytes to the kernel, and lets go of a connection that waited for that.
    fn flush(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let len = conn.offer(&mut self.gathered);
        let (sink, stay, is_done) = (conn.sink, conn.stay, conn.send.is_empty());
        if len > 0 {
            self.events.push_back(Event::Sent(id, len));
        }
        match (sink, stay) {
            (_, Stay::Leaving) if is_done => self.let_go(id),
            (Sink::Broken, _) => self.rouse(id),
            (Sink::Full | Sink::Open, _) => {}
        }
    }

    fn close(&mut self, id: ConnId, when: Close) {
        if let Some(attempt) = self.attempts.remove(id) {
            attempt.wake();
            self.events.push_back(Event::Closed(id, Closed::ByUs));
            return;
        }
        if when == Close::AfterFlush {
            self.flush(id);
        }
        let Some(conn) = self.conns.get_mut(id) else { return };
        match when {
            Close::AfterFlush if !conn.send.is_empty() => conn.stay = Stay::Leaving,
            Close::AfterFlush | Close::Now => self.let_go(id),
        }
    }

    /// Closes a connection in good order: nothing unread is left behind, which would make the
    /// kernel reset the connection and lose what was written.
    fn let_go(&mut self, id: ConnId) {
        let Some(mut conn) = self.conns.remove(id) else { return };
        conn.socket.settle();
        conn.socket.finish();
        conn.wake();
        self.stock.discard(std::mem::take(&mut conn.recv));
        self.events.push_back(Event::Closed(id, Closed::ByUs));
        if conn.socket.has_unread() {
            glommio::spawn_local(turns::part(conn.socket)).detach();
        }
    }

    /// Drops a connection that has ended and tells the machine.
    fn forget(&mut self, id: ConnId, why: Closed) {
        if let Some(conn) = self.conns.remove(id) {
            conn.wake();
            self.stock.discard(conn.recv);
            self.events.push_back(Event::Closed(id, why));
        }
    }

    /// Has a connection's task look at it, if there is something that nobody else tells of.
    fn line_up(&self, id: ConnId) {
        if self.turn != Some(id)
            && let Some(conn) = self.conns.get(id)
            && (conn.source == Source::Ready || conn.sink == Sink::Broken)
        {
            conn.wake();
        }
    }

    /// Has a connection's task look at it.
    fn rouse(&self, id: ConnId) {
        if self.turn != Some(id)
            && let Some(conn) = self.conns.get(id)
        {
            conn.wake();
        }
    }
}

/// Closes the connection that a piece of mail brings, if any, because nobody will have it.
fn dismiss(mail: Mail<Fresh>) {
    if let Mail::Moved { socket, .. } = mail {
        Socket::Fresh(socket).settle();
    }
}

#[cfg(test)]
mod tests;
