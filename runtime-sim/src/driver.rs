//! Drives machines exactly as the contract says, and reports every machine that breaks its part.
//!
//! A [`Process`] is one pgherd: several shards and a control plane, each a [`Machine`] with its
//! sockets, one timer, and mailboxes to the others. What a real driver may do, this one does,
//! as the seed says: it delays reads, timers and messages, and never their order.

mod outputs;
mod socket;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use pgherd_core::id::ConnId;
use pgherd_core::limits;
use pgherd_core::machine::Machine;
use pgherd_core::message::{Arrival, Closed, Door, Hop, Message, Peer};
use pgherd_core::time::{Duration, Instant};

use self::socket::{Interest, NextRead, Phase, Socket};
use crate::agenda::Event;
use crate::check::crowding::Account;
use crate::check::framing::Sender;
use crate::end::{Answer, End};
use crate::net::Read;
use crate::stage::{Owner, Stage};

/// Inputs in a row that one event may cause in one machine before it counts as running in a
/// circle.
const INPUTS_MAX: usize = 100_000;

/// Timeouts in a row that leave the next one overdue before the machine counts as running in a circle.
const TIMEOUTS_MAX: u32 = 1000;

/// What happens to a machine: its methods, one to one.
#[derive(Debug)]
pub(crate) enum Input {
    Accept(End, Arrival),
    Connect(ConnId, Result<(), Closed>),
    Read(ConnId),
    Sent(ConnId, usize),
    Close(ConnId, Closed),
    Message(Peer, Box<Message>),
    /// A connection that another machine gave away, with its unread bytes.
    Adopt(Box<Socket>, Arrival),
    Timeout,
}

/// What goes through a mailbox.
#[derive(Debug)]
pub(crate) enum Letter {
    Message(Box<Message>),
    Socket(Box<Socket>, Arrival),
}

/// One machine and what its driver holds for it.
pub(crate) struct Host {
    name: Peer,
    machine: Box<dyn Machine>,
    sockets: BTreeMap<ConnId, Socket>,
    inputs: VecDeque<Input>,
    letters: Vec<(Peer, Letter)>,
    /// Connections for which something was queued since the last flush.
    dirty: Vec<ConnId>,
    /// Connections to servers that end with the input that is being carried out.
    over: Vec<End>,
    timer: Option<Instant>,
    timeouts: u32,
}

impl Host {
    /// Takes a machine into service.
    pub(crate) fn new(name: Peer, machine: Box<dyn Machine>) -> Self {
        Self {
            name,
            machine,
            sockets: BTreeMap::new(),
            inputs: VecDeque::new(),
            letters: Vec::new(),
            dirty: Vec::new(),
            over: Vec::new(),
            timer: None,
            timeouts: 0,
        }
    }

    /// Gives the machine an input and everything that follows from it at once.
    pub(crate) fn run(&mut self, stage: &mut Stage, input: Input) {
        self.inputs.push_back(input);
        let mut count = 0;
        while let Some(input) = self.inputs.pop_front() {
            if stage.checks.broken().is_some() {
                return;
            }
            count += 1;
            if count > INPUTS_MAX {
                return self.report(stage, "the machine does not come to rest");
            }
            self.over.extend(self.server_of(&input));
            let about = self.tell(stage, input);
            self.carry_out(stage);
            for server in std::mem::take(&mut self.over) {
                stage.checks.provenance.forget(server);
                stage.checks.stays.forget(server);
            }
            self.flush_all(stage);
            if let Some(conn) = about {
                self.look(stage, conn);
            }
        }
        self.arm_timer(stage);
    }

    /// The connection to a server whose end an input tells of.
    fn server_of(&self, input: &Input) -> Option<End> {
        match input {
            Input::Close(conn, _) => self.sockets.get(conn)?.server(),
            Input::Accept(..)
            | Input::Connect(..)
            | Input::Read(_)
            | Input::Sent(..)
            | Input::Message(..)
            | Input::Adopt(..)
            | Input::Timeout => None,
        }
    }

    /// Calls one method of the machine; returns the connection that the input was about.
    fn tell(&mut self, stage: &mut Stage, input: Input) -> Option<ConnId> {
        let now = stage.now;
        match input {
            Input::Accept(end, arrival) => {
                let conn = self.machine.handle_accept(now, arrival);
                stage.note(format_args!("{:?} accepts {conn}", self.name));
                stage.owners.insert(end, Owner::Machine(self.name, conn));
                let sender = match arrival.door {
                    Door::Sql => Sender::Backend,
                    Door::Pcp => Sender::Admin,
                };
                let socket = Socket::open(end, sender);
                self.adopt(stage, conn, socket);
                Some(conn)
            }
            Input::Adopt(socket, arrival) => Some(self.on_adopt(stage, *socket, arrival)),
            Input::Connect(conn, result) => self.on_answer(stage, conn, result),
            Input::Read(conn) => {
                let socket = self.sockets.get(&conn).filter(|s| s.phase == Phase::Open)?;
                stage.note(format_args!(
                    "{:?} sees {} bytes of {conn}",
                    self.name,
                    socket.unread.len()
                ));
                self.machine.handle_read(now, conn, &socket.unread);
                Some(conn)
            }
            Input::Sent(conn, len) => {
                let phase = self.sockets.get(&conn)?.phase;
                if phase == Phase::Closed {
                    return None;
                }
                stage.note(format_args!("{:?} sent {len} bytes to {conn}", self.name));
                self.machine.handle_sent(now, conn, len);
                Some(conn)
            }
            Input::Close(conn, why) => {
                let socket = self.sockets.remove(&conn)?;
                stage.note(format_args!("{:?} loses {conn}: {why}", self.name));
                if let Err(what) = socket.balance() {
                    self.report(stage, &format!("connection {conn}: {what}"));
                }
                if let Some(end) = socket.end {
                    stage.close(end);
                }
                self.machine.handle_close(now, conn, why);
                None
            }
            Input::Message(from, message) => {
                stage.note(format_args!("{:?} receives {message:?} of {from:?}", self.name));
                self.machine.handle_message(now, from, *message);
                None
            }
            Input::Timeout => {
                stage.note(format_args!("{:?} wakes up", self.name));
                self.machine.handle_timeout(now);
                None
            }
        }
    }

    fn on_adopt(&mut self, stage: &mut Stage, socket: Socket, arrival: Arrival) -> ConnId {
        let conn = self.machine.handle_accept(stage.now, arrival);
        stage.note(format_args!("{:?} adopts {conn}", self.name));
        if let Some(end) = socket.end {
            stage.owners.insert(end, Owner::Machine(self.name, conn));
        }
        if !socket.unread.is_empty() {
            self.inputs.push_back(Input::Read(conn));
        }
        self.adopt(stage, conn, socket);
        conn
    }

    fn on_answer(
        &mut self,
        stage: &mut Stage,
        conn: ConnId,
        result: Result<(), Closed>,
    ) -> Option<ConnId> {
        let socket = self.sockets.get_mut(&conn).filter(|s| s.phase == Phase::Connecting)?;
        stage.note(format_args!("{:?} connects {conn}: {result:?}", self.name));
        match result {
            Ok(()) => socket.phase = Phase::Open,
            Err(_) => {
                // The name is void: there is nothing that could end.
                let socket = self.sockets.remove(&conn)?;
                if let Some(end) = socket.end {
                    stage.owners.remove(&end);
                }
            }
        }
        self.machine.handle_connect(stage.now, conn, result);
        result.is_ok().then_some(conn)
    }

    fn adopt(&mut self, stage: &mut Stage, conn: ConnId, socket: Socket) {
        if self.sockets.insert(conn, socket).is_some() {
            self.report(stage, &format!("connection {conn} was named twice"));
        }
    }

    /// After an input for a connection: may it be read now?
    fn look(&mut self, stage: &mut Stage, conn: ConnId) {
        let wants = self.machine.wants_read(conn);
        let Some(socket) = self.sockets.get_mut(&conn) else { return };
        if socket.phase != Phase::Open {
            return;
        }
        socket.interest = if wants { Interest::Wanted } else { Interest::None };
        self.schedule_read(stage, conn);
    }

    /// Lets a read happen soon if the machine wants it and the kernel has something.
    pub(crate) fn schedule_read(&mut self, stage: &mut Stage, conn: ConnId) {
        let name = self.name;
        let Some(socket) = self.sockets.get_mut(&conn) else { return };
        let readable = socket.end.is_some_and(|end| stage.net.is_readable(end));
        if socket.interest == Interest::Wanted
            && socket.next_read == NextRead::None
            && readable
            && socket.phase == Phase::Open
        {
            socket.next_read = NextRead::Scheduled;
            stage.soon(1, 30, Event::Read(name, conn));
        }
    }

    /// Reads a connection, if the machine still wants it.
    pub(crate) fn on_read(&mut self, stage: &mut Stage, conn: ConnId) {
        let (wants, hint) = (self.machine.wants_read(conn), self.machine.read_hint(conn));
        let Some(socket) = self.sockets.get_mut(&conn) else { return };
        socket.next_read = NextRead::None;
        if !(socket.interest == Interest::Wanted && wants && socket.phase == Phase::Open) {
            return;
        }
        if hint > limits::VIEW_LEN_MAX.max(limits::STARTUP_PACKET_LEN_MAX) {
            return self.report(stage, &format!("read_hint of {conn} is {hint} bytes"));
        }
        let Some(end) = socket.end else { return };
        let room = limits::READ_LEN.max(hint).saturating_sub(socket.unread.len());
        if room == 0 {
            let what = format!("{conn} is wanted, its buffer is full and nothing is decided");
            return self.report(stage, &what);
        }
        match stage.read(end, room, &mut socket.unread) {
            Read::Bytes(len) => {
                socket.read += len as u64;
                let old = socket.unread.len() - len;
                stage.trace.bytes(socket.unread.get(old..).unwrap_or_default());
                self.run(stage, Input::Read(conn));
            }
            Read::Nothing => {}
            Read::End => self.run(stage, Input::Close(conn, Closed::ByPeer)),
            Read::Broken => self.run(stage, Input::Close(conn, Closed::Broken)),
        }
    }

    /// Tells the machine that its timer has come, if it has.
    pub(crate) fn on_timer(&mut self, stage: &mut Stage) {
        // A stale event of a timer that was set anew is a spurious timeout, which must not harm.
        let due = self.timer.is_some_and(|at| at <= stage.now);
        if !due && !stage.chance.happens(1, 4) {
            return;
        }
        if due {
            self.timer = None;
        }
        self.run(stage, Input::Timeout);
    }

    fn arm_timer(&mut self, stage: &mut Stage) {
        let Some(at) = self.machine.poll_timeout() else {
            self.timer = None;
            return;
        };
        if self.timer == Some(at) {
            return;
        }
        self.timeouts = if at <= stage.now { self.timeouts + 1 } else { 0 };
        if self.timeouts > TIMEOUTS_MAX {
            return self.report(stage, "the machine asks for a timeout in the past for ever");
        }
        self.timer = Some(at);
        // Timers are late, as on a busy host, and never early.
        let late = stage.chance.micros(0, 200);
        stage.agenda.at(at.max(stage.now) + late, Event::Timer(self.name));
    }

    /// What came of a connection request.
    pub(crate) fn on_connected(&mut self, stage: &mut Stage, conn: ConnId, answer: Answer) {
        let result = match answer {
            Answer::Accepted => Ok(()),
            Answer::Refused => Err(Closed::Refused),
        };
        self.run(stage, Input::Connect(conn, result));
    }

    /// The kernel has room again.
    pub(crate) fn on_writable(&mut self, stage: &mut Stage, conn: ConnId) {
        self.flush(stage, conn);
        if let Some(input) = self.inputs.pop_front() {
            self.run(stage, input);
        }
    }

    fn report(&self, stage: &mut Stage, what: &str) {
        stage.checks.report(format!("{:?}: {what}", self.name));
    }

    /// Arms the machine's first timer and does what it wants done from the start.
    pub(crate) fn start(&mut self, stage: &mut Stage) {
        self.carry_out(stage);
        self.arm_timer(stage);
    }

    /// Checks the byte accounts of all connections.
    pub(crate) fn balance(&self, stage: &mut Stage) {
        for (conn, socket) in &self.sockets {
            if let Err(what) = socket.balance() {
                self.report(stage, &format!("connection {conn}: {what}"));
            }
        }
    }

    /// Takes what is to be posted.
    pub(crate) fn letters(&mut self) -> Vec<(Peer, Letter)> {
        std::mem::take(&mut self.letters)
    }

    /// Lists the sessions that are open to a server, and whom they are for.
    pub(crate) fn sessions(&self, node: usize) -> impl Iterator<Item = (ConnId, &Account)> {
        self.sockets
            .iter()
            .filter_map(move |(conn, socket)| Some((*conn, socket.session_on(node)?)))
    }

    /// Counts the bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.sockets.values().map(|socket| socket.unread.len() + socket.queue.len()).sum()
    }

    pub(crate) fn machine(&self) -> &dyn Machine {
        self.machine.as_ref()
    }

    /// Ends with the process: every socket is closed by the operating system.
    pub(crate) fn end(self, stage: &mut Stage) {
        for socket in self.sockets.into_values() {
            if let Some(end) = socket.end {
                stage.close(end);
            }
        }
    }
}

/// How long a letter is on its way between two machines.
pub(crate) fn post_delay(stage: &mut Stage) -> Duration {
    let slow = stage.chance.happens(1, 16);
    stage.chance.micros(1, if slow { 5_000 } else { 100 })
}

/// Where all clients come from.
const CLIENTS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 50_000));

/// Makes an arrival.
pub(crate) const fn arrival(hop: Hop, door: Door) -> Arrival {
    Arrival { address: Some(CLIENTS), hop, door }
}

#[cfg(test)]
mod tests;
