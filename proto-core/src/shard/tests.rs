use std::collections::VecDeque;

use super::*;
use crate::config::{Files, KeyFile, load};
use crate::message::{Door, Hop};
use crate::topology::{Node, Role, Status};
use crate::wire::frontend;
use crate::wire::startup::Params;

/// A configuration of so many servers.
struct InMemory(usize);

impl Files for InMemory {
    fn read(&self, _path: &str) -> Result<String, String> {
        let backend = "[[backends]]\nhostname = \"server\"\nport = 543";
        let backends = (0..self.0).map(|digit| format!("{backend}{digit}\n")).collect::<String>();
        Ok(format!("auth_method = \"trust\"\nsr_check_user = \"bo\"\n{backends}"))
    }

    fn exists(&self, _path: &str) -> bool {
        true
    }

    fn key_file(&self) -> Option<KeyFile> {
        None
    }
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

fn outputs(shard: &mut Shard) -> Vec<Output> {
    std::iter::from_fn(|| shard.poll_output()).collect()
}

/// The connection that the shard wants to be made.
fn wanted(outputs: &[Output]) -> Option<ConnId> {
    outputs.iter().find_map(|output| {
        if let Output::Connect { conn, .. } = output { Some(*conn) } else { None }
    })
}

fn has_drained(outputs: &[Output]) -> bool {
    let is_it = |message: &Message| matches!(message, Message::Drained);
    outputs.iter().any(|output| matches!(output, Output::Post { message, .. } if is_it(message)))
}

/// Whatever the last connection comes to, the control plane waits for no shard that has none.
#[test]
fn a_shutdown_ends_with_the_last_connection_even_if_it_fails() {
    for how in [Shutdown::Smart, Shutdown::Fast, Shutdown::Immediate] {
        let now = Instant::ZERO;
        let mut config = load("test.toml", &InMemory(1)).unwrap().config;
        config.worker_threads = 1;
        let (entropy, clock) = (Entropy::from_seed([7; 32]), WallClock::default());
        let mut shard = Shard::new(ShardId(0), Arc::new(config), entropy, clock, now);
        let tell = |shard: &mut Shard, message| {
            shard.handle_message(now, Peer::Control, message);
            outputs(shard)
        };
        tell(&mut shard, Message::Topology(Arc::new(topology())));
        let client =
            shard.handle_accept(now, Arrival { address: None, hop: Hop::None, door: Door::Sql });
        outputs(&mut shard);
        let params = [("user", "bo"), ("database", "bo")];
        let params = params.map(|(name, value)| (name.into(), value.into()));
        shard.handle_read(now, client, &frontend::startup(&Params(params.into())));
        let link = wanted(&outputs(&mut shard)).expect("it has no connection");
        let said = tell(&mut shard, Message::Shutdown(how));
        assert!(!has_drained(&said), "{how:?}: the client is still there");
        shard.handle_close(now, client, Closed::ByUs);
        assert!(!has_drained(&outputs(&mut shard)), "{how:?}: a connection is being made");
        shard.handle_connect(now, link, Err(Closed::Refused));
        assert!(has_drained(&outputs(&mut shard)), "{how:?}");
        assert!(shard.is_finished());
    }
}

/// A server that hangs over a setting whose client has left loses the connection, and its place
/// with it.
#[test]
fn a_connection_that_is_given_back_is_not_waited_for_without_end() {
    let now = Instant::ZERO;
    let mut config = load("test.toml", &InMemory(1)).unwrap().config;
    config.worker_threads = 1;
    config.pool.defaults.mode = crate::config::PoolMode::Transaction;
    let (entropy, clock) = (Entropy::from_seed([7; 32]), WallClock::default());
    let mut shard = Shard::new(ShardId(0), Arc::new(config), entropy, clock, now);
    shard.handle_message(now, Peer::Control, Message::Topology(Arc::new(topology())));
    outputs(&mut shard);
    let client =
        shard.handle_accept(now, Arrival { address: None, hop: Hop::None, door: Door::Sql });
    outputs(&mut shard);
    let params = [("user", "bo"), ("database", "bo"), ("work_mem", "5MB")];
    let params = params.map(|(name, value)| (name.into(), value.into()));
    shard.handle_read(now, client, &frontend::startup(&Params(params.into())));
    let link = wanted(&outputs(&mut shard)).expect("it has no connection");
    shard.handle_connect(now, link, Ok(()));
    outputs(&mut shard);
    shard.handle_read(now, link, b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I");
    let mut asked = false;
    for _ in 0..3 {
        asked |= outputs(&mut shard).into_iter().any(|output| {
            matches!(output, Output::Send { to, bytes } if to == link && bytes.starts_with(b"Q"))
        });
        shard.handle_read(now, client, b"");
    }
    outputs(&mut shard);
    assert!(asked, "the parameter is to be set");
    shard.handle_close(now, client, Closed::ByPeer);
    outputs(&mut shard);
    let later = now + limits::RESET_TIMEOUT;
    shard.handle_timeout(later);
    let is_closed = |output: &Output| matches!(output, Output::Close { conn, .. } if *conn == link);
    assert!(outputs(&mut shard).iter().any(is_closed));
}

/// A shard of two servers that let everybody in, and a client of it.
struct Stage {
    shard: Shard,
    client: ConnId,
    unread: Vec<u8>,
    links: Vec<(ConnId, BackendId)>,
    /// The connections over which something was asked.
    asked: Vec<ConnId>,
    queue: VecDeque<Output>,
}

impl Stage {
    fn new() -> Self {
        let mut config = load("test.toml", &InMemory(2)).unwrap().config;
        config.worker_threads = 1;
        let (entropy, clock) = (Entropy::from_seed([7; 32]), WallClock::default());
        let mut shard = Shard::new(ShardId(0), Arc::new(config), entropy, clock, Instant::ZERO);
        shard.handle_message(
            Instant::ZERO,
            Peer::Control,
            Message::Topology(Arc::new(Self::topology(&[]))),
        );
        outputs(&mut shard);
        let arrival = Arrival { address: None, hop: Hop::None, door: Door::Sql };
        let client = shard.handle_accept(Instant::ZERO, arrival);
        let (unread, links, asked) = (Vec::new(), Vec::new(), Vec::new());
        let mut stage = Self { shard, client, unread, links, asked, queue: VecDeque::new() };
        let params = [("user", "bo"), ("database", "bo")];
        let params = params.map(|(name, value)| (name.into(), value.into()));
        stage.sends(&frontend::startup(&Params(params.into())));
        stage
    }

    /// A primary and a standby, of which these are down.
    fn topology(down: &[BackendId]) -> Topology {
        let mut topology = topology();
        let mut standby = topology.nodes[0].clone();
        (standby.id, standby.role) = (BackendId(1), Role::Standby);
        standby.server_role = Role::Standby;
        topology.nodes.push(standby);
        topology.primary = topology.primary.filter(|id| !down.contains(id));
        for node in topology.nodes.iter_mut().filter(|node| down.contains(&node.id)) {
            (node.status, node.seen) = (Status::Down, Seen::Down);
        }
        topology
    }

    fn sends(&mut self, bytes: &[u8]) {
        self.unread.extend(bytes);
        self.reread();
        self.carry_out();
    }

    fn reread(&mut self) {
        self.shard.handle_read(Instant::ZERO, self.client, &self.unread);
    }

    fn tell(&mut self, message: Message) {
        self.shard.handle_message(Instant::ZERO, Peer::Control, message);
        self.carry_out();
    }

    /// A server ends a connection.
    fn ends(&mut self, link: ConnId, code: &str) {
        let body = format!("SFATAL\0VFATAL\0C{code}\0Mno more\0\0");
        let len = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        let words = [b"E".as_slice(), &len, body.as_bytes()].concat();
        self.shard.handle_read(Instant::ZERO, link, &words);
        self.carry_out();
        self.shard.handle_close(Instant::ZERO, link, Closed::ByPeer);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        self.queue.extend(outputs(&mut self.shard));
        while let Some(output) = self.queue.pop_front() {
            if let Output::Connect { conn, to } = output {
                self.links.push((conn, to));
                self.shard.handle_connect(Instant::ZERO, conn, Ok(()));
                self.queue.extend(outputs(&mut self.shard));
                self.shard.handle_read(Instant::ZERO, conn, b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I");
            } else if let Output::Reread { conn } = output
                && conn == self.client
            {
                self.reread();
            } else if let Output::Forward { from, to, len } = output
                && from == self.client
            {
                self.unread.drain(..len);
                self.asked.push(to);
            } else if let Output::Skip { from, len } = output
                && from == self.client
            {
                self.unread.drain(..len);
            } else if let Output::Send { to, bytes } = output
                && bytes.starts_with(b"Q")
            {
                self.asked.push(to);
            }
            self.queue.extend(outputs(&mut self.shard));
        }
    }

    fn node_of(&self, link: ConnId) -> BackendId {
        self.links.iter().find(|(conn, _)| *conn == link).unwrap().1
    }
}

/// Whoever waits to hear whom a server meant reads elsewhere as soon as that server is out of service.
#[test]
fn nobody_waits_for_word_of_a_server_that_is_out_of_service() {
    let mut stage = Stage::new();
    stage.sends(&frontend::compose_query("SELECT 7"));
    let link = stage.asked[0];
    let node = stage.node_of(link);
    stage.ends(link, "57P01");
    stage.tell(Message::Topology(Arc::new(Stage::topology(&[]))));
    assert_eq!(stage.asked, [link], "it may have meant this session");
    stage.tell(Message::Topology(Arc::new(Stage::topology(&[node]))));
    assert_eq!(stage.asked.len(), 2);
    assert_ne!(stage.node_of(stage.asked[1]), node);
}
