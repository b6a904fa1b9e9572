//! A shard with one client and one server, both scripted, and nothing between them but memory.
//!
//! It does what a driver does, in the same order, except for the system calls: what remains to be
//! measured is the core's own time.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use pgherd_core::config::KeyFile;
use pgherd_core::config::{Files, PoolMode, load};
use pgherd_core::entropy::Entropy;
use pgherd_core::id::{BackendId, ConnId, ShardId};
use pgherd_core::limits;
use pgherd_core::machine::Machine as _;
use pgherd_core::message::{Arrival, Closed, Door, Hop, Message, Peer};
use pgherd_core::output::Output;
use pgherd_core::pool::{Lease, Limit};
use pgherd_core::shard::Shard;
use pgherd_core::time::{Instant, WallClock};
use pgherd_core::topology::{Node, Role, Seen, Status, Topology};
use pgherd_core::wire::backend::{Composer, TxStatus};
use pgherd_core::wire::frontend;
use pgherd_core::wire::startup::Params;

/// A shard between a client and a server.
#[derive(Debug)]
pub struct Rig {
    shard: Shard,
    now: Instant,
    client: Side,
    /// The client's, and behind it one that the shard has of its own accord.
    servers: Vec<Side>,
    events: VecDeque<Event>,
}

/// One end of the shard.
#[derive(Debug)]
struct Side {
    id: ConnId,
    unread: Bytes,
    /// Bytes that it has received.
    received: usize,
}

#[derive(Debug)]
enum Event {
    Connected(ConnId),
    Arrived(ConnId, Bytes),
    Sent(ConnId, usize),
    Reread(ConnId),
    Closed(ConnId),
}

impl Rig {
    /// Makes a session that is logged in and has had a server connection before: it holds that
    /// one where sessions keep them.
    #[must_use]
    pub fn new(mode: PoolMode) -> Self {
        let now = Instant::ZERO;
        let file = InMemory(mode);
        let config = load("rig.toml", &file).expect("the rig's configuration is in order");
        let mut config = config.config;
        config.worker_threads = 1;
        let entropy = Entropy::from_seed([7; 32]);
        let clock = WallClock::default();
        let mut shard = Shard::new(ShardId(0), Arc::new(config), entropy, clock, now);
        shard.handle_message(now, Peer::Control, Message::Topology(Arc::new(topology())));
        while shard.poll_output().is_some() {}
        let id =
            shard.handle_accept(now, Arrival { address: None, hop: Hop::None, door: Door::Sql });
        let client = Side { id, unread: Bytes::new(), received: 0 };
        let mut rig = Self { shard, now, client, servers: Vec::new(), events: VecDeque::new() };
        rig.drain();
        let params = [("user", "bench"), ("database", "bench")];
        let params = params.map(|(name, value)| (Bytes::from(name), Bytes::from(value)));
        rig.from_client(frontend::startup(&Params(params.into())));
        let query = frontend::compose_query("SELECT 1");
        let len = query.len();
        let before = rig.received_by_server();
        rig.from_client(query);
        assert!(rig.received_by_server() >= before + len, "the query must have reached the server");
        rig.from_server(answer());
        rig.settle();
        rig
    }

    /// Lets the time pass after which the shard has asked for the catalog of a new database.
    fn settle(&mut self) {
        self.now = self.now + limits::ERRAND_RETRY_DELAY;
        self.shard.handle_timeout(self.now);
        self.drain();
    }

    /// Has the client say something, and returns how many bytes the server has received of it.
    pub fn from_client(&mut self, bytes: Bytes) -> usize {
        let before = self.received_by_server();
        let id = self.client.id;
        self.deliver(id, bytes);
        self.received_by_server() - before
    }

    /// Has the server say something, and returns how many bytes the client has received of it.
    pub fn from_server(&mut self, bytes: Bytes) -> usize {
        let before = self.client.received;
        if let Some(id) = self.servers.first().map(|server| server.id) {
            self.deliver(id, bytes);
        }
        self.client.received - before
    }

    /// Has the control plane say something about the connections that the shard may have to its
    /// server.
    pub fn lease(&mut self, lease: Lease) {
        let message = Message::Lease { limit: Limit::Server(BackendId(0)), lease };
        self.shard.handle_message(self.now, Peer::Control, message);
        self.drain();
    }

    fn received_by_server(&self) -> usize {
        self.servers.first().map_or(0, |server| server.received)
    }

    fn deliver(&mut self, id: ConnId, bytes: Bytes) {
        self.now = self.now + STEP;
        self.events.push_back(Event::Arrived(id, bytes));
        self.drain();
    }

    /// Carries out what the shard asks for, and tells it what comes of it, until there is nothing.
    fn drain(&mut self) {
        loop {
            while let Some(output) = self.shard.poll_output() {
                self.carry_out(output);
            }
            let Some(event) = self.events.pop_front() else { return };
            self.tell(event);
        }
    }

    fn tell(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Connected(id) => self.shard.handle_connect(now, id, Ok(())),
            Event::Sent(id, len) => self.shard.handle_sent(now, id, len),
            Event::Closed(id) => self.shard.handle_close(now, id, Closed::ByUs),
            Event::Arrived(id, bytes) => {
                if let Some(side) = self.side(id) {
                    side.unread = match side.unread.is_empty() {
                        true => bytes,
                        false => [side.unread.as_ref(), &bytes].concat().into(),
                    };
                }
                self.read(id);
            }
            Event::Reread(id) => self.read(id),
        }
    }

    fn read(&mut self, id: ConnId) {
        let sides = std::iter::once(&self.client).chain(&self.servers);
        if let Some(side) = sides.into_iter().find(|side| side.id == id) {
            self.shard.handle_read(self.now, id, &side.unread);
        }
    }

    fn side(&mut self, id: ConnId) -> Option<&mut Side> {
        std::iter::once(&mut self.client).chain(&mut self.servers).find(|side| side.id == id)
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Forward { from, to, len } => {
                self.consume(from, len);
                self.receive(to, len);
            }
            Output::Copy { to, len, .. } => self.receive(to, len),
            Output::Skip { from, len } => self.consume(from, len),
            Output::Send { to, bytes } => {
                let received = self.servers.iter().find(|s| s.id == to).map(|s| s.received);
                self.receive(to, bytes.len());
                if received == Some(0) {
                    self.events.push_back(Event::Arrived(to, welcome()));
                } else if received.is_some() && bytes.first() == Some(&frontend::tag::QUERY) {
                    // A setting or a question of the shard's own.
                    self.events.push_back(Event::Arrived(to, done()));
                }
            }
            Output::Reread { conn } => self.events.push_back(Event::Reread(conn)),
            Output::Connect { conn, .. } => {
                self.servers.push(Side { id: conn, unread: Bytes::new(), received: 0 });
                self.events.push_back(Event::Connected(conn));
            }
            Output::Close { conn, .. } => {
                self.servers.retain(|server| server.id != conn);
                self.events.push_back(Event::Closed(conn));
            }
            Output::Move { .. }
            | Output::Post { .. }
            | Output::Run { .. }
            | Output::Recall { .. } => {}
        }
    }

    fn consume(&mut self, from: ConnId, len: usize) {
        if let Some(side) = self.side(from) {
            side.unread.advance(len.min(side.unread.len()));
        }
    }

    fn receive(&mut self, to: ConnId, len: usize) {
        if let Some(side) = self.side(to) {
            side.received += len;
        }
        self.events.push_back(Event::Sent(to, len));
    }
}

/// Composes the answer to a query of one column and one row.
#[must_use]
pub fn answer() -> Bytes {
    let mut composer = Composer::new();
    composer
        .row_description(&["abalance"])
        .data_row(["0"].into_iter())
        .command_complete("SELECT 1")
        .ready(TxStatus::Idle);
    composer.finish()
}

/// Composes what a server says that asks for no password.
fn welcome() -> Bytes {
    let mut composer = Composer::new();
    composer
        .authentication(0, b"")
        .parameter_status(b"server_version", b"15.0")
        .parameter_status(b"client_encoding", b"UTF8")
        .key_data(1, &[1, 2, 3, 4])
        .ready(TxStatus::Idle);
    composer.finish()
}

/// Composes the answer to a query that has no rows.
fn done() -> Bytes {
    let mut composer = Composer::new();
    composer.command_complete("SET").ready(TxStatus::Idle);
    composer.finish()
}

fn topology() -> Topology {
    let node = Node {
        id: BackendId(0),
        status: Status::Up,
        role: Role::Primary,
        seen: Seen::Up,
        server_role: Role::Primary,
        lag: Some(0),
        lag_time: None,
        replication_state: String::new(),
        sync_state: String::new(),
        changed: WallClock::default().start,
    };
    Topology { primary: Some(BackendId(0)), nodes: vec![node], ..Topology::default() }
}

struct InMemory(PoolMode);

impl Files for InMemory {
    fn read(&self, _path: &str) -> Result<String, String> {
        Ok(format!("pool_mode = \"{}\"\n{CONFIG}", self.0.name()))
    }

    fn exists(&self, _path: &str) -> bool {
        true
    }

    fn key_file(&self) -> Option<KeyFile> {
        None
    }
}

const CONFIG: &str = "\
auth_method = \"trust\"
sr_check_user = \"bench\"
[[backends]]
hostname = \"server\"
port = 5432
[users]
bench = \"bench\"
";

/// Time between two inputs.
const STEP: pgherd_core::time::Duration = pgherd_core::time::Duration::from_micros(20);
