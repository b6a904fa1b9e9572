//! Carries out what one machine asks for, and tells it what happened.
//!
//! A task a connection waits for its socket; whatever it does, it does through the driver, which
//! is borrowed only between awaits. Bytes are written straight from the buffer into which they
//! were read, as long as the kernel takes them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use pgherd_core::buffer::{RecvBuffer, SendQueue};
use pgherd_core::config::Config;
use pgherd_core::id::{BackendId, ConnId, Table};
use pgherd_core::limits;
use pgherd_core::machine::Machine;
use pgherd_core::message::{Arrival, Closed, Message, Peer};
use pgherd_core::output::{Close, Output};
use pgherd_core::time::Instant;
use smol::{Async, LocalExecutor, Task};

use crate::alarm::Alarm;
use crate::mailbox::{Mail, Post};
use crate::socket::{self, Socket};

/// Chunks that are written at once.
const SLICES: usize = 16;

/// Drives one machine.
pub(crate) struct Driver<M> {
    machine: M,
    me: Peer,
    start: std::time::Instant,
    config: Arc<Config>,
    conns: Table<Conn>,
    /// What the machine must hear once it has been drained.
    events: VecDeque<Event>,
    /// Connections with queued bytes that have not been offered to the kernel.
    unflushed: Vec<ConnId>,
    spare: Vec<BytesMut>,
    post: Post,
    executor: Rc<LocalExecutor<'static>>,
    listeners: Vec<Task<()>>,
    pub(crate) alarm: Alarm,
    finished: Option<async_channel::Sender<()>>,
    /// For the tasks that it spawns.
    this: Weak<RefCell<Self>>,
}

struct Conn {
    /// None while the connection is being made.
    socket: Option<Rc<Async<Socket>>>,
    recv: RecvBuffer,
    send: SendQueue,
    waker: Option<Waker>,
    closing: Option<Close>,
    sink: Sink,
}

/// Whether the kernel takes bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sink {
    Open,
    /// It never will again. What the peer said before may still be read.
    Broken,
}

enum Event {
    Sent(ConnId, usize),
    Reread(ConnId),
    Closed(ConnId, Closed),
}

/// What a turn of a connection's task came to.
enum Turn {
    Again,
    Wait,
    Over,
}

impl<M: Machine + 'static> Driver<M> {
    pub(crate) fn new(
        machine: M,
        me: Peer,
        start: std::time::Instant,
        config: Arc<Config>,
        post: Post,
        executor: Rc<LocalExecutor<'static>>,
        finished: async_channel::Sender<()>,
    ) -> Rc<RefCell<Self>> {
        Rc::new_cyclic(|this| {
            RefCell::new(Self {
                machine,
                me,
                start,
                config,
                conns: Table::new(),
                events: VecDeque::new(),
                unflushed: Vec::new(),
                spare: Vec::new(),
                post,
                executor,
                listeners: Vec::new(),
                alarm: Alarm::default(),
                finished: Some(finished),
                this: this.clone(),
            })
        })
    }

    fn now(&self) -> Instant {
        let micros = self.start.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    pub(crate) fn listen(&mut self, task: Task<()>) {
        self.listeners.push(task);
    }

    /// A client has connected.
    pub(crate) fn accept(&mut self, socket: Socket, unread: &[u8], arrival: Arrival) {
        match Async::new(socket) {
            Ok(socket) => {
                let id = self.machine.handle_accept(self.now(), arrival);
                let mut recv = self.buffer();
                if !unread.is_empty() {
                    recv.extend(unread);
                    self.events.push_back(Event::Reread(id));
                }
                self.insert(id, socket, recv);
                self.pump();
            }
            Err(error) => log::warn!("a client could not be served: {error}"),
        }
    }

    /// Takes what is in the mailbox.
    pub(crate) fn receive(&mut self, mail: Mail) {
        match mail {
            Mail::Message { from, message } => {
                if let Message::Reload(config) = message.as_ref() {
                    self.config = config.clone();
                }
                self.machine.handle_message(self.now(), from, *message);
                self.pump();
            }
            Mail::Moved { socket, unread, arrival } => self.accept(socket, &unread, arrival),
        }
    }

    pub(crate) fn on_timeout(&mut self) {
        self.machine.handle_timeout(self.now());
        self.pump();
    }

    /// Carries out everything that the machine asks for, and what follows from it.
    pub(crate) fn pump(&mut self) {
        let now = self.now();
        loop {
            while let Some(output) = self.machine.poll_output() {
                self.carry_out(output);
            }
            if let Some(event) = self.events.pop_front() {
                self.tell(now, &event);
            } else if let Some(id) = self.unflushed.pop() {
                self.flush(id);
            } else {
                break;
            }
        }
        let due = self.machine.poll_timeout();
        let due = due.map(|at| self.start + (at - Instant::ZERO));
        self.alarm.require(due);
        if !self.machine.is_accepting() {
            self.listeners.clear();
        }
        if self.machine.is_finished() {
            self.finished = None;
        }
    }

    fn tell(&mut self, now: Instant, event: &Event) {
        match *event {
            Event::Sent(id, len) => self.machine.handle_sent(now, id, len),
            Event::Closed(id, why) => self.machine.handle_close(now, id, why),
            Event::Reread(id) => {
                if let Some(conn) = self.conns.get_mut(id)
                    && conn.closing.is_none()
                {
                    self.machine.handle_read(now, id, conn.recv.unread());
                    if let Some(waker) = &conn.waker {
                        waker.wake_by_ref();
                    }
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
            }
            Output::Send { to, bytes } => self.queue(to, bytes),
            Output::Reread { conn } => self.events.push_back(Event::Reread(conn)),
            Output::Connect { conn, to } => self.connect(conn, to),
            Output::Close { conn, when } => self.close(conn, when),
            Output::Move { conn, to, arrival } => {
                if let Some(mut moved) = self.conns.remove(conn)
                    && let Some(socket) = moved.socket.take()
                {
                    let unread = moved.recv.unread().to_vec();
                    let mail = Rc::try_unwrap(socket).map(Async::into_inner);
                    match mail {
                        Ok(Ok(socket)) => {
                            let mail = Mail::Moved { socket, unread, arrival };
                            self.post.send(Peer::Shard(to), mail);
                        }
                        Ok(Err(_)) | Err(_) => log::error!("a connection could not be moved"),
                    }
                }
            }
            Output::Post { to, message } => {
                self.post.send(to, Mail::Message { from: self.me, message });
            }
        }
    }

    /// Writes bytes straight from the buffer that they came in; queues what the kernel refuses.
    fn forward(&mut self, from: ConnId, to: ConnId, len: usize) {
        self.flush(to);
        let mut sent = 0;
        if let (Some(source), Some(sink)) = (self.conns.get(from), self.conns.get(to))
            && sink.send.is_empty()
            && let Some(socket) = &sink.socket
            && let Some(bytes) = source.recv.unread().get(..len)
        {
            sent = socket.get_ref().write(bytes).unwrap_or(0);
        }
        if let Some(source) = self.conns.get_mut(from) {
            source.recv.consume(sent);
            if sent < len {
                let rest = source.recv.split(len - sent);
                self.enqueue(to, rest);
            }
        }
        if sent > 0 {
            self.events.push_back(Event::Sent(to, sent));
        }
    }

    /// Queues bytes; they are offered to the kernel once the machine has been drained.
    fn queue(&mut self, to: ConnId, bytes: Bytes) {
        if let Some(conn) = self.conns.get_mut(to) {
            conn.send.push(bytes);
            self.unflushed.push(to);
        }
    }

    /// Queues bytes that the kernel has refused; the connection's task offers them again.
    fn enqueue(&mut self, to: ConnId, bytes: Bytes) {
        if let Some(conn) = self.conns.get_mut(to) {
            conn.send.push(bytes);
            if let Some(waker) = &conn.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Offers queued bytes to the kernel.
    fn flush(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(socket) = &conn.socket else { return };
        let mut total = 0;
        while !conn.send.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = conn.send.fill(&mut slices);
            match socket.get_ref().write_vectored(slices.get(..count).unwrap_or_default()) {
                Ok(len) if len > 0 => {
                    conn.send.sent(len);
                    total += len;
                }
                Ok(_) => break,
                Err(error) if is_passing(&error) => break,
                Err(_) => {
                    conn.sink = Sink::Broken;
                    let len = conn.send.len();
                    conn.send.sent(len);
                    total += len;
                    if let Some(waker) = &conn.waker {
                        waker.wake_by_ref();
                    }
                }
            }
        }
        if !conn.send.is_empty()
            && let Some(waker) = &conn.waker
        {
            waker.wake_by_ref();
        }
        if total > 0 {
            self.events.push_back(Event::Sent(id, total));
        }
    }

    fn close(&mut self, id: ConnId, when: Close) {
        if when == Close::AfterFlush {
            self.flush(id);
        }
        let Some(conn) = self.conns.get_mut(id) else { return };
        match when {
            Close::AfterFlush if conn.socket.is_some() && !conn.send.is_empty() => {
                conn.closing = Some(when);
                if let Some(waker) = &conn.waker {
                    waker.wake_by_ref();
                }
            }
            Close::AfterFlush | Close::Now => {
                if let Some(socket) = &conn.socket {
                    socket.get_ref().finish();
                }
                self.forget(id, Closed::ByUs);
            }
        }
    }

    /// Drops a connection and tells the machine.
    fn forget(&mut self, id: ConnId, why: Closed) {
        if let Some(mut conn) = self.conns.remove(id) {
            conn.recv.consume(usize::MAX);
            self.reclaim(&mut conn.recv);
            if let Some(waker) = conn.waker.take() {
                waker.wake();
            }
            self.events.push_back(Event::Closed(id, why));
        }
    }

    fn connect(&mut self, id: ConnId, to: BackendId) {
        let conn = Conn {
            socket: None,
            recv: RecvBuffer::default(),
            send: SendQueue::default(),
            waker: None,
            closing: None,
            sink: Sink::Open,
        };
        self.conns.insert(id, conn);
        let backend = self.config.backend(to).cloned();
        let this = self.this.clone();
        let task = async move {
            let result = socket::connect(backend).await;
            if let Some(driver) = this.upgrade() {
                driver.borrow_mut().on_connected(id, result);
            }
        };
        self.executor.spawn(task).detach();
    }

    fn on_connected(&mut self, id: ConnId, result: Result<Async<Socket>, Closed>) {
        if self.conns.remove(id).is_none() {
            return; // It was closed meanwhile.
        }
        let now = self.now();
        match result {
            Ok(socket) => {
                let recv = self.buffer();
                self.insert(id, socket, recv);
                self.machine.handle_connect(now, id, Ok(()));
            }
            Err(why) => self.machine.handle_connect(now, id, Err(why)),
        }
        self.pump();
    }

    fn buffer(&mut self) -> RecvBuffer {
        self.spare.pop().map(RecvBuffer::with_storage).unwrap_or_default()
    }

    fn reclaim(&mut self, recv: &mut RecvBuffer) {
        if self.spare.len() < limits::SPARE_BUFFERS_MAX
            && recv.capacity() == limits::READ_LEN
            && let Some(storage) = recv.give_storage()
        {
            self.spare.push(storage);
        } else if recv.is_empty() {
            *recv = RecvBuffer::default();
        }
    }

    fn insert(&mut self, id: ConnId, socket: Async<Socket>, recv: RecvBuffer) {
        let socket = Some(Rc::new(socket));
        let conn = Conn {
            socket,
            recv,
            send: SendQueue::default(),
            waker: None,
            closing: None,
            sink: Sink::Open,
        };
        self.conns.insert(id, conn);
        let this = self.this.clone();
        let task = std::future::poll_fn(move |cx| match this.upgrade() {
            Some(driver) => driver.borrow_mut().poll(id, cx),
            None => Poll::Ready(()),
        });
        self.executor.spawn(task).detach();
    }

    /// One turn of a connection's task.
    fn poll(&mut self, id: ConnId, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..limits::READS_PER_TURN {
            match self.turn(id, cx) {
                Turn::Again => {}
                Turn::Wait => return Poll::Pending,
                Turn::Over => return Poll::Ready(()),
            }
        }
        // The others have their turn first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn turn(&mut self, id: ConnId, cx: &mut Context<'_>) -> Turn {
        let Some(conn) = self.conns.get_mut(id) else { return Turn::Over };
        let Some(socket) = conn.socket.clone() else { return Turn::Over };
        if !conn.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            conn.waker = Some(cx.waker().clone());
        }
        if !conn.send.is_empty() {
            match socket.poll_writable(cx) {
                Poll::Pending => {}
                Poll::Ready(Err(error)) => return self.end(id, socket::closed(&error)),
                Poll::Ready(Ok(())) => return self.write_on(id),
            }
        }
        let Some(conn) = self.conns.get(id) else { return Turn::Over };
        let is_broken = conn.sink == Sink::Broken;
        if is_broken && (conn.closing.is_some() || !self.machine.wants_read(id)) {
            return self.end(id, Closed::ByPeer);
        }
        if is_broken {
            return self.read(id, &socket);
        }
        if conn.closing.is_some() || !self.machine.wants_read(id) {
            return Turn::Wait;
        }
        match socket.poll_readable(cx) {
            Poll::Pending => {
                self.lend_out(id);
                Turn::Wait
            }
            Poll::Ready(Err(error)) => self.end(id, socket::closed(&error)),
            Poll::Ready(Ok(())) => self.read(id, &socket),
        }
    }

    /// Gives an idle connection's buffer to whoever needs one.
    fn lend_out(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id)
            && conn.recv.is_empty()
            && conn.recv.capacity() > 0
        {
            let mut recv = std::mem::take(&mut conn.recv);
            self.reclaim(&mut recv);
        }
    }

    fn write_on(&mut self, id: ConnId) -> Turn {
        self.flush(id);
        if let Some(conn) = self.conns.get(id)
            && conn.closing.is_some()
            && conn.send.is_empty()
        {
            self.close(id, Close::AfterFlush);
        }
        self.pump();
        Turn::Again
    }

    fn read(&mut self, id: ConnId, socket: &Async<Socket>) -> Turn {
        let hint = self.machine.read_hint(id);
        let spare = match self.conns.get(id) {
            Some(conn) if conn.recv.capacity() == 0 => Some(self.buffer()),
            Some(_) => None,
            None => return Turn::Over,
        };
        let Some(conn) = self.conns.get_mut(id) else { return Turn::Over };
        if let Some(spare) = spare {
            conn.recv = spare;
        }
        let room = conn.recv.room(hint, limits::READ_LEN);
        match socket.get_ref().read(room) {
            Ok(0) => self.end(id, Closed::ByPeer),
            Ok(len) => {
                conn.recv.filled(len);
                let now = self.now();
                if let Some(conn) = self.conns.get(id) {
                    self.machine.handle_read(now, id, conn.recv.unread());
                }
                self.pump();
                Turn::Again
            }
            Err(error) if is_passing(&error) => match conn.sink {
                Sink::Open => Turn::Again,
                Sink::Broken => self.end(id, Closed::ByPeer),
            },
            Err(error) => self.end(id, socket::closed(&error)),
        }
    }

    fn end(&mut self, id: ConnId, why: Closed) -> Turn {
        let why = match self.conns.get(id) {
            Some(Conn { closing: Some(_), .. }) => Closed::ByUs,
            Some(_) | None => why,
        };
        self.forget(id, why);
        self.pump();
        Turn::Over
    }
}

/// Tells whether an error says no more than "not now".
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
