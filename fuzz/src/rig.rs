//! A driver for one shard: a client or two, and servers that a script plays.
//!
//! It keeps the driver's side of the contract, checks the core's, and has no clock, socket or
//! chance of its own: where reads are cut is told by [`Cuts`], so that a run can be repeated to
//! the byte.

mod conn;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use pgherd_core::config::{Config, Files, KeyFile, load};
use pgherd_core::entropy::Entropy;
use pgherd_core::id::{BackendId, ConnId, Epoch, ShardId};
use pgherd_core::inquiry::Sheet;
use pgherd_core::limits;
use pgherd_core::machine::Machine;
use pgherd_core::message::{Arrival, Closed, Door, Hop, Message, Peer, Shutdown};
use pgherd_core::output::{Close, Output};
use pgherd_core::shard::Shard;
use pgherd_core::time::{Duration, Instant, WallClock, WallTime};
use pgherd_core::topology::{Node, Role, Seen, Status, Topology};

use super::servers::{Servers, Word};
pub use conn::Cuts;
use conn::{Conn, Gate, Reader};

/// As many rounds of reading and answering as no conversation of these sizes needs.
const ROUNDS_MAX: usize = 4_000_000;

/// Bytes that a driver may have to hold for one connection: what a decision needs in view, and a
/// read on top.
const UNREAD_LEN_MAX: usize = limits::VIEW_LEN_MAX + limits::READ_LEN;

/// Bytes that may be queued to one connection: up to the mark, then what one more read of its
/// source brings, then what pgherd has to say itself.
const QUEUED_LEN_MAX: usize = limits::QUEUE_LEN_HIGH + UNREAD_LEN_MAX + limits::READ_LEN;

/// One shard with everything around it.
pub struct Rig<S> {
    shard: Shard,
    now: Instant,
    conns: BTreeMap<ConnId, Conn>,
    events: VecDeque<Event>,
    /// Who plays the servers.
    pub servers: S,
    cuts: Cuts,
    /// Bytes that a client takes in one round, if it is slow.
    pace: Option<usize>,
    trace: Option<Vec<String>>,
}

/// What the machine must hear once it has been drained.
enum Event {
    Connected(ConnId),
    Sent(ConnId, usize),
    Reread(ConnId),
    Closed(ConnId, Closed),
    Message(Peer, Message),
}

/// What a rig begins with.
#[derive(Default)]
pub struct Setting {
    /// Standbys beside the primary.
    pub standbys: u8,
    /// Where reads are cut.
    pub cuts: Cuts,
    /// Bytes that a client takes at a time, if it is slow.
    pub pace: Option<usize>,
    /// Whether the outputs are written down.
    pub is_traced: bool,
}

struct Text(String);

impl Files for Text {
    fn read(&self, _path: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }

    fn exists(&self, _path: &str) -> bool {
        true
    }

    fn key_file(&self) -> Option<KeyFile> {
        None
    }
}

fn config(standbys: u8) -> Arc<Config> {
    let mut text = "auth_method = \"trust\"\nworker_threads = 1\npool_passwd = \"\"\n\
                    sr_check_user = \"pgherd\"\nsr_check_password = \"secret\"\n"
        .to_owned();
    for node in 0..=standbys {
        // With a standby, all reads go there: what passes between the two is to be seen.
        let weight = u8::from(node > 0 || standbys == 0);
        text.push_str(&format!(
            "[[backends]]\nhostname = \"node{node}\"\nport = 5432\nweight = {weight}\n"
        ));
    }
    let loaded = load("pgherd.toml", &Text(text)).expect("the rig's configuration is in order");
    Arc::new(loaded.config)
}

fn topology(standbys: u8) -> Arc<Topology> {
    let node = |id: u8| {
        let role = if id == 0 { Role::Primary } else { Role::Standby };
        Node {
            id: BackendId(id),
            status: Status::Up,
            role,
            seen: Seen::Up,
            server_role: role,
            lag: Some(0),
            lag_time: None,
            replication_state: String::new(),
            sync_state: String::new(),
            changed: WallTime(0),
        }
    };
    let nodes = (0..=standbys).map(node).collect();
    Arc::new(Topology {
        epoch: Epoch(1),
        primary: Some(BackendId(0)),
        nodes,
        ..Topology::default()
    })
}

impl<S: Servers> Rig<S> {
    /// Makes a shard that knows its servers, and has no client yet.
    pub fn new(setting: Setting, servers: S) -> Self {
        let now = Instant::ZERO;
        let entropy = Entropy::from_seed([7; 32]);
        let clock = WallClock::default();
        let shard = Shard::new(ShardId(0), config(setting.standbys), entropy, clock, now);
        let mut rig = Self {
            shard,
            now,
            conns: BTreeMap::new(),
            events: VecDeque::new(),
            servers,
            cuts: setting.cuts,
            pace: setting.pace,
            trace: setting.is_traced.then(Vec::new),
        };
        let topology = Message::Topology(topology(setting.standbys));
        rig.events.push_back(Event::Message(Peer::Control, topology));
        rig.pump();
        rig
    }

    /// A client connects.
    pub fn accept(&mut self) -> ConnId {
        let id = self
            .shard
            .handle_accept(self.now, Arrival { address: None, hop: Hop::None, door: Door::Sql });
        let is_new = self.conns.insert(id, Conn::client(self.pace)).is_none();
        assert!(is_new, "{id} names two connections");
        self.pump();
        id
    }

    /// A peer sends bytes; they arrive when the shard wants to read them.
    pub fn send(&mut self, id: ConnId, bytes: &[u8]) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.coming.extend(bytes);
        }
    }

    /// What a client has received, from its first byte.
    pub fn received(&self, id: ConnId) -> &[u8] {
        self.conns.get(&id).map(|conn| &conn.received[..]).unwrap_or_default()
    }

    /// Whether a connection has ended.
    pub fn is_closed(&self, id: ConnId) -> bool {
        self.conns.get(&id).is_none_or(|conn| conn.gate == Gate::Closed)
    }

    /// A peer closes its end, with nothing left to say.
    pub fn hang_up(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(&id)
            && conn.gate == Gate::Open
        {
            conn.gate = Gate::Closed;
            self.events.push_back(Event::Closed(id, Closed::ByPeer));
        }
        self.pump();
    }

    /// The outputs so far, as text.
    pub fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// Lets everything happen that can happen without time passing.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut progress = self.take_words();
            let ids: Vec<ConnId> = self.conns.keys().copied().collect();
            for id in ids {
                progress |= self.read(id);
                progress |= self.drain(id);
            }
            if !progress {
                return;
            }
        }
        panic!("it goes on for ever");
    }

    /// Lets time pass, one deadline after the other.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..1000 {
            self.settle();
            match self.shard.poll_timeout().filter(|due| *due <= end) {
                Some(due) => self.now = self.now.max(due),
                None => {
                    self.now = end;
                    return;
                }
            }
            self.shard.handle_timeout(self.now);
            self.pump();
        }
        panic!("deadline follows deadline without end");
    }

    /// Ends everything: the clients leave, the shard is told to stop, and nothing may be left.
    pub fn finish(mut self) {
        let clients = self.conns.iter().filter(|(_, conn)| conn.is_client());
        let clients: Vec<ConnId> = clients.map(|(id, _)| *id).collect();
        for id in clients {
            self.hang_up(id);
        }
        self.settle();
        self.events.push_back(Event::Message(Peer::Operator, Message::Shutdown(Shutdown::Fast)));
        self.pump();
        self.pass(Duration::from_secs(600));
        assert!(self.shard.is_finished(), "the shard has not finished");
        let left: Vec<&ConnId> =
            self.conns.iter().filter(|(_, c)| c.gate != Gate::Closed).map(|(id, _)| id).collect();
        assert!(left.is_empty(), "connections are left: {left:?}");
    }

    /// Takes what the servers say.
    fn take_words(&mut self) -> bool {
        let mut progress = false;
        while let Some((id, word)) = self.servers.speak() {
            progress = true;
            match word {
                Word::Bytes(bytes) => self.send(id, &bytes),
                Word::Close => {
                    if let Some(conn) = self.conns.get_mut(&id) {
                        conn.ends = true;
                    }
                }
            }
        }
        progress
    }

    /// Reads once from a connection, if its bytes are wanted.
    fn read(&mut self, id: ConnId) -> bool {
        let Some(conn) = self.conns.get_mut(&id) else { return false };
        if conn.gate != Gate::Open || conn.reader == Reader::Asleep {
            return false;
        }
        if !self.shard.wants_read(id) {
            conn.reader = Reader::Asleep;
            return false;
        }
        if conn.coming.is_empty() {
            if conn.ends {
                self.hang_up(id);
                return true;
            }
            return false;
        }
        let len = self.cuts.next(conn.coming.len().min(limits::READ_LEN));
        conn.unread.extend(conn.coming.drain(..len));
        assert!(conn.unread.len() <= UNREAD_LEN_MAX, "{id}: unread bytes pile up");
        self.shard.handle_read(self.now, id, &conn.unread);
        self.pump();
        true
    }

    /// A slow client takes a few bytes.
    fn drain(&mut self, id: ConnId) -> bool {
        let Some(conn) = self.conns.get_mut(&id) else { return false };
        let len = conn.take();
        if len > 0 && conn.gate != Gate::Closed {
            if conn.gate == Gate::Closing && conn.queued.is_empty() {
                conn.gate = Gate::Closed;
                self.events.push_back(Event::Closed(id, Closed::ByUs));
            }
            self.events.push_front(Event::Sent(id, len));
            self.pump();
        }
        len > 0
    }

    /// Carries out what the shard asks for, and what follows from it.
    fn pump(&mut self) {
        loop {
            while let Some(output) = self.shard.poll_output() {
                if let Some(trace) = &mut self.trace {
                    trace.push(format!("{output:?}"));
                }
                self.carry_out(output);
            }
            let Some(event) = self.events.pop_front() else { break };
            self.tell(event);
        }
        for (id, conn) in self.conns.iter().filter(|(_, conn)| conn.gate == Gate::Open) {
            let hint = self.shard.read_hint(*id);
            assert!(hint <= limits::VIEW_LEN_MAX, "{id}: {hint} bytes are wanted at once");
            let is_stuck = self.shard.wants_read(*id) && !conn.unread.is_empty();
            assert!(
                !is_stuck || hint > conn.unread.len(),
                "{id}: {} bytes are in view, {hint} are enough, and nothing is decided",
                conn.unread.len()
            );
        }
    }

    fn tell(&mut self, event: Event) {
        if let Event::Sent(id, _) | Event::Reread(id) = event
            && let Some(conn) = self.conns.get_mut(&id)
        {
            conn.reader = Reader::Awake;
        }
        match event {
            Event::Connected(id) => {
                if let Some(conn) = self.conns.get_mut(&id)
                    && conn.gate == Gate::Connecting
                {
                    conn.gate = Gate::Open;
                    self.shard.handle_connect(self.now, id, Ok(()));
                }
            }
            Event::Sent(id, len) => self.shard.handle_sent(self.now, id, len),
            Event::Reread(id) => {
                if let Some(conn) = self.conns.get(&id)
                    && conn.gate == Gate::Open
                {
                    self.shard.handle_read(self.now, id, &conn.unread);
                }
            }
            Event::Closed(id, why) => {
                self.servers.closed(id);
                self.shard.handle_close(self.now, id, why);
            }
            Event::Message(from, message) => self.shard.handle_message(self.now, from, message),
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Forward { from, to, len } => {
                let bytes = self.known(from).take_unread(len);
                self.deliver(to, &bytes);
            }
            Output::Copy { from, to, len } => {
                let bytes = self.known(from).unread.get(..len).map(<[u8]>::to_vec);
                self.deliver(to, &bytes.expect("what is copied is unread"));
            }
            Output::Skip { from, len } => drop(self.known(from).take_unread(len)),
            Output::Send { to, bytes } => self.deliver(to, &bytes),
            Output::Reread { conn } => self.events.push_back(Event::Reread(conn)),
            Output::Connect { conn, to } => {
                let before = self.conns.insert(conn, Conn::server());
                assert!(before.is_none(), "{conn} names two connections");
                self.servers.opened(conn, to);
                self.events.push_back(Event::Connected(conn));
            }
            Output::Close { conn, when } => self.close(conn, when),
            Output::Move { conn, .. } => panic!("{conn} moves, and there is nowhere to go"),
            Output::Post { to, message } => self.post(to, *message),
            Output::Run { id, .. } | Output::Recall { id } => {
                panic!("job {id} is run, and no shard runs any")
            }
        }
    }

    /// The connection that an output is about, which must be there.
    fn known(&mut self, id: ConnId) -> &mut Conn {
        self.conns.get_mut(&id).unwrap_or_else(|| panic!("an output is about {id}, an unknown one"))
    }

    fn deliver(&mut self, to: ConnId, bytes: &[u8]) {
        let conn = self.known(to);
        match conn.gate {
            Gate::Open => {}
            Gate::Connecting => panic!("{to} is sent bytes before it is connected"),
            // The shard need not have heard of the end yet.
            Gate::Closing | Gate::Closed => return,
        }
        conn.queued.extend(bytes);
        assert!(conn.queued.len() <= QUEUED_LEN_MAX, "{to}: queued bytes pile up");
        if conn.is_client() {
            if conn.pace.is_none() {
                let len = conn.take();
                self.events.push_back(Event::Sent(to, len));
            }
        } else {
            let len = conn.queued.len();
            conn.queued.clear();
            self.servers.hear(to, bytes);
            self.events.push_back(Event::Sent(to, len));
        }
    }

    fn close(&mut self, id: ConnId, when: Close) {
        let conn = self.known(id);
        if conn.gate == Gate::Closed {
            return;
        }
        if when == Close::AfterFlush && !conn.queued.is_empty() {
            conn.gate = Gate::Closing;
            return;
        }
        conn.gate = Gate::Closed;
        self.events.push_back(Event::Closed(id, Closed::ByUs));
    }

    fn post(&mut self, to: Peer, message: Message) {
        let (from, answer) = match message {
            Message::Ask { asker, .. } => {
                (Peer::Control, Message::Answer { asker, sheet: Sheet::default() })
            }
            Message::Cancel { .. }
            | Message::Cancelled { .. }
            | Message::Vacate { .. }
            | Message::Catalog { .. }
            | Message::CatalogStale { .. } => {
                assert_eq!(to, Peer::Shard(ShardId(0)), "there is one shard");
                (to, message)
            }
            Message::Topology(_)
            | Message::Reload(_)
            | Message::Shutdown(_)
            | Message::Lease { .. }
            | Message::Suspect { .. }
            | Message::Meant { .. }
            | Message::InUse { .. }
            | Message::Quiet { .. }
            | Message::Waited { .. }
            | Message::Headcount(_)
            | Message::Roll(_)
            | Message::Places(_)
            | Message::Collect { .. }
            | Message::Collected { .. }
            | Message::Answer { .. }
            | Message::Wish(_)
            | Message::Drained
            | Message::Ended { .. } => {
                assert_eq!(to, Peer::Control, "{message:?} goes astray");
                return;
            }
        };
        self.events.push_back(Event::Message(from, answer));
    }
}
