use super::*;
use crate::config::KeyFile;
use crate::config::{Files, load};
use crate::message::{Door, Hop};
use crate::topology::{Node, Role, Status};
use crate::wire::frontend;
use crate::wire::startup::Params;

struct InMemory;

impl Files for InMemory {
    fn read(&self, _path: &str) -> Result<String, String> {
        Ok("auth_method = \"trust\"\nsr_check_user = \"bo\"\n[[backends]]\nhostname = \"server\"\n\
            port = 5432\n"
            .to_owned())
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
        let mut config = load("test.toml", &InMemory).unwrap().config;
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
    let mut config = load("test.toml", &InMemory).unwrap().config;
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
