//! Carries out what one machine asks for, and tells it what happened.
//!
//! A driver belongs to one thread at a time, and so does everything in it. It waits in one place
//! (`rounds`), for everything at once; between two waits it gives each connection that has
//! something to read its turn (`turns`). Bytes are written straight from the buffer into which they
//! were read, as long as the kernel takes them.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::mailbox::{Mail, Mailbox, Post};
use bytes::Bytes;
use pgherd_core::buffer::Stock;
use pgherd_core::config::Config;
use pgherd_core::id::{ConnId, Table};
use pgherd_core::machine::Machine;
use pgherd_core::message::{Arrival, Closed, Message, Peer};
use pgherd_core::output::{Close, Output};
use pgherd_core::time::Instant;

use crate::attempt::Attempt;
use crate::command::Commands;
use crate::connection::{Connection, Sink, Source, Stay, Turn, Watched};
use crate::listener::Listener;
use crate::poller::{self, Interest, Key, Poller};
use crate::socket::Socket;

mod connecting;
mod rounds;
mod turns;

/// Drives one machine.
pub(crate) struct Driver<M> {
    machine: M,
    me: Peer,
    start: std::time::Instant,
    /// When the last wait ended: all that was found there happened then.
    now: Instant,
    config: Arc<Config>,
    poller: Poller,
    found: Vec<poller::Event>,
    listeners: Vec<Listener>,
    attempts: Table<Attempt>,
    conns: Table<Connection>,
    /// Who is to have a turn.
    line: VecDeque<ConnId>,
    /// What the machine must hear once it has been drained.
    events: VecDeque<Event>,
    /// Connections with queued bytes that have not been offered to the kernel.
    unflushed: Vec<ConnId>,
    stock: Stock,
    mailbox: Mailbox,
    mail: Letters,
    post: Post,
    commands: Commands,
}

/// What a driver is started with.
pub(crate) struct Setting {
    pub(crate) me: Peer,
    pub(crate) start: std::time::Instant,
    pub(crate) config: Arc<Config>,
    pub(crate) poller: Poller,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) mailbox: Mailbox,
    pub(crate) post: Post,
}

impl Setting {
    /// Makes the poller watch what is there from the start.
    pub(crate) fn watch(self) -> io::Result<Self> {
        self.poller.add(&self.mailbox.ear, Key::Bell, Interest::Reads)?;
        for (listener, place) in self.listeners.iter().zip(0u32..) {
            self.poller.add(listener, Key::Listener(place), Interest::Clients)?;
        }
        Ok(self)
    }
}

/// Whether a wait has found anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Something,
    Nothing,
}

/// Whether there may be mail of which the bell does not tell again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Letters {
    None,
    Some,
}

enum Event {
    Connected(ConnId, Result<(), Closed>),
    Sent(ConnId, usize),
    Reread(ConnId),
    Closed(ConnId, Closed),
}

impl<M: Machine> Driver<M> {
    pub(crate) fn new(machine: M, setting: Setting) -> Self {
        let Setting { me, start, config, poller, listeners, mailbox, post } = setting;
        Self {
            machine,
            me,
            start,
            now: Instant::ZERO,
            config,
            poller,
            found: Vec::new(),
            listeners,
            attempts: Table::new(),
            conns: Table::new(),
            line: VecDeque::new(),
            events: VecDeque::new(),
            unflushed: Vec::new(),
            stock: Stock::default(),
            mailbox,
            mail: Letters::None,
            commands: Commands::default(),
            post,
        }
    }

    /// A client has connected, or has been moved here.
    fn accept(&mut self, socket: Socket, unread: &[u8], arrival: Arrival) {
        let id = self.machine.handle_accept(self.now, arrival);
        let mut conn = Connection::new(socket);
        if !unread.is_empty() {
            conn.recv.extend(unread);
            self.events.push_back(Event::Reread(id));
        }
        self.conns.insert(id, conn);
        self.pump();
        // Whoever has been moved on at once is not watched here.
        self.watch(id, Interest::Reads);
        self.pump();
    }

    /// Takes what was in the mailbox.
    fn receive(&mut self, mail: Mail) {
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
        if !self.listeners.is_empty() && !self.machine.is_accepting() {
            self.close_doors();
        }
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
                }
                self.take_back(from);
            }
            Output::Send { to, bytes } => self.queue(to, bytes),
            Output::Reread { conn } => self.events.push_back(Event::Reread(conn)),
            Output::Connect { conn, to } => self.connect(conn, to),
            Output::Close { conn, when } => self.close(conn, when),
            Output::Move { conn, to, arrival } => self.hand_over(conn, Peer::Shard(to), arrival),
            Output::Post { to, message } => {
                self.post.send(to, Mail::Message { from: self.me, message });
            }
            Output::Run { id, job } => self.commands.start(id, *job, self.me, &self.post),
            Output::Recall { id } => self.commands.recall(id),
        }
    }

    fn hand_over(&mut self, id: ConnId, to: Peer, arrival: Arrival) {
        let Some(conn) = self.conns.remove(id) else { return };
        if conn.watched != Watched::No
            && let Err(error) = self.poller.remove(&conn.socket)
        {
            log::debug!("a connection that moves is still watched: {error}");
        }
        let unread = conn.recv.unread().to_vec();
        let mail = Mail::Moved { socket: conn.socket, unread, arrival };
        // A client whom nobody would tell anything any more comes back, to be served or told here.
        if let Some(returned) = self.post.offer(to, mail) {
            self.post.send(self.me, returned);
        }
    }

    /// Writes bytes straight from the buffer that they came in; queues what the kernel refuses.
    fn forward(&mut self, from: ConnId, to: ConnId, len: usize) {
        let mut written = 0;
        let mut direct = 0;
        if let Some(source) = self.conns.get(from)
            && let Some(bytes) = source.recv.unread().get(..len)
            && let Some(sink) = self.conns.get(to)
        {
            written = sink.offer_with(bytes);
            direct = written.saturating_sub(sink.send.len());
        }
        if direct < written
            && let Some(sink) = self.conns.get_mut(to)
        {
            sink.send.sent(written - direct);
        }
        if written > 0 {
            self.events.push_back(Event::Sent(to, written));
        }
        if let Some(source) = self.conns.get_mut(from) {
            source.recv.consume(direct);
            if direct < len {
                let rest = source.recv.split(len - direct);
                self.queue(to, rest);
            }
        }
        self.take_back(from);
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
        let len = conn.offer();
        let (sink, stay, is_done) = (conn.sink, conn.stay, conn.send.is_empty());
        if len > 0 {
            self.events.push_back(Event::Sent(id, len));
        }
        match (sink, stay) {
            (_, Stay::Leaving) if is_done => self.let_go(id),
            (Sink::Full, _) => self.watch(id, Interest::Both),
            (Sink::Broken, _) => self.line_up(id),
            (Sink::Open, _) => {}
        }
    }

    fn close(&mut self, id: ConnId, when: Close) {
        if self.attempts.remove(id).is_some() {
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

    /// Closes a connection in good order.
    fn let_go(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get(id) {
            conn.socket.finish();
        }
        self.forget(id, Closed::ByUs);
    }

    /// Drops a connection and tells the machine. The poller forgets it by itself.
    fn forget(&mut self, id: ConnId, why: Closed) {
        if let Some(conn) = self.conns.remove(id) {
            self.stock.discard(conn.recv);
            self.events.push_back(Event::Closed(id, why));
        }
    }

    /// Makes sure that the poller tells of a connection what is asked for.
    fn watch(&mut self, id: ConnId, interest: Interest) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let watched = if interest == Interest::Reads { Watched::Reads } else { Watched::Both };
        let key = Key::Conn(id);
        let result = match (conn.watched, watched) {
            (Watched::Both, _) | (Watched::Reads, Watched::Reads | Watched::No) => return,
            (Watched::No, _) => self.poller.add(&conn.socket, key, interest),
            (Watched::Reads, Watched::Both) => self.poller.change(&conn.socket, key, interest),
        };
        conn.watched = watched;
        if let Err(error) = result {
            log::warn!("a connection cannot be watched: {error}");
            self.forget(id, Closed::Broken);
        }
    }

    /// Gives a connection a turn if it could have use for one.
    fn line_up(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id)
            && conn.turn == Turn::None
            && (conn.source != Source::Drained || conn.sink == Sink::Broken)
        {
            conn.turn = Turn::Due;
            self.line.push_back(id);
        }
    }

    /// Takes an empty buffer back.
    fn take_back(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            self.stock.take_back(&mut conn.recv);
        }
    }
}

#[cfg(test)]
mod tests;
