//! The world as a whole, around a machine that pairs each client with a server and relays bytes.

use std::collections::{BTreeMap, BTreeSet};

use pgherd_core::entropy::Entropy;
use pgherd_core::id::{BackendId, ConnId, ShardId, Slab};
use pgherd_core::machine::Machine;
use pgherd_core::message::{Arrival, Closed, Message, Peer, Shutdown};
use pgherd_core::output::{Close, Output, Outputs};
use pgherd_core::time::{Duration, Instant};

use crate::{Auth, Conn, Fault, Machines, Plan, Simulation};

/// How the relay misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vice {
    None,
    /// Says something of its own inside a message.
    Interrupts,
    /// Sends to a client that is gone.
    SpeaksToTheDead,
    /// Forwards more than there is.
    Invents,
    /// Closes twice.
    ClosesTwice,
    /// Never decides about anything, and wants more.
    Hoards,
    /// Reads on without regard to a receiver that does not.
    Floods,
    /// Asks for a timeout in the past, for ever.
    Spins,
    /// Gives a server's answer to whoever came last.
    Confuses,
    /// Does the same with a copy of its own.
    Repeats,
    /// Has what a client says carried out once more than it was said.
    Doubles,
}

/// Relays between a client and node 0.
pub(crate) struct Relay {
    vice: Vice,
    outputs: Outputs,
    conns: Slab<Option<ConnId>>,
    queued: BTreeMap<ConnId, usize>,
    stopping: Option<Shutdown>,
    dead: Option<ConnId>,
    servers: BTreeSet<ConnId>,
    latest: Option<ConnId>,
}

impl Relay {
    pub(crate) fn new(vice: Vice) -> Self {
        Self {
            vice,
            outputs: Outputs::default(),
            conns: Slab::new(),
            queued: BTreeMap::new(),
            stopping: None,
            dead: None,
            servers: BTreeSet::new(),
            latest: None,
        }
    }

    fn other(&self, conn: ConnId) -> Option<ConnId> {
        self.conns.get(conn).copied().flatten()
    }

    fn is_full(&self, conn: ConnId) -> bool {
        self.vice != Vice::Floods && self.queued.get(&conn).is_some_and(|len| *len > 10_000)
    }
}

impl Machine for Relay {
    fn handle_accept(&mut self, _: Instant, _: Arrival) -> ConnId {
        let client = self.conns.insert(None);
        let server = self.conns.insert(Some(client));
        self.servers.insert(server);
        self.latest = Some(client);
        *self.conns.get_mut(client).unwrap() = Some(server);
        self.outputs.push(Output::Connect { conn: server, to: BackendId(0) });
        client
    }

    fn handle_connect(&mut self, _: Instant, conn: ConnId, result: Result<(), Closed>) {
        let Some(client) = self.other(conn) else { return };
        match result {
            Ok(()) => self.outputs.push(Output::Reread { conn: client }),
            Err(_) => {
                self.conns.remove(conn);
                *self.conns.get_mut(client).unwrap() = None;
                self.outputs.push(Output::Close { conn: client, when: Close::Now });
            }
        }
        self.queued.insert(conn, 0);
        self.queued.insert(client, 0);
    }

    fn handle_read(&mut self, _: Instant, conn: ConnId, unread: &[u8]) {
        let Some(to) = self.other(conn) else { return };
        if !self.queued.contains_key(&conn) || unread.is_empty() {
            return;
        }
        if self.vice == Vice::Hoards {
            return;
        }
        let mixes = matches!(self.vice, Vice::Confuses | Vice::Repeats);
        let to = if mixes && self.servers.contains(&conn) { self.latest.unwrap_or(to) } else { to };
        if self.vice == Vice::Repeats && self.servers.contains(&conn) {
            let bytes = bytes::Bytes::copy_from_slice(unread);
            *self.queued.entry(to).or_default() += bytes.len();
            self.outputs.push(Output::Send { to, bytes });
            self.outputs.push(Output::Skip { from: conn, len: unread.len() });
            return;
        }
        if self.vice == Vice::Doubles && unread.first() == Some(&b'Q') {
            let bytes = bytes::Bytes::copy_from_slice(unread);
            *self.queued.entry(to).or_default() += bytes.len();
            self.outputs.push(Output::Send { to, bytes });
        }
        let len = unread.len() + usize::from(self.vice == Vice::Invents);
        self.outputs.forward(conn, to, len);
        *self.queued.entry(to).or_default() += len;
        if self.vice == Vice::Interrupts && unread.len() > 400 {
            let bytes = bytes::Bytes::from_static(b"Z\0\0\0\x05I");
            self.outputs.push(Output::Send { to, bytes });
        }
    }

    fn handle_sent(&mut self, _: Instant, conn: ConnId, len: usize) {
        let Some(queued) = self.queued.get_mut(&conn) else { return };
        let before = *queued;
        *queued = queued.checked_sub(len).expect("no more is sent than was queued");
        if before > 10_000
            && *queued <= 10_000
            && let Some(from) = self.other(conn)
        {
            self.outputs.push(Output::Reread { conn: from });
        }
    }

    fn handle_close(&mut self, _: Instant, conn: ConnId, _: Closed) {
        self.queued.remove(&conn);
        let Some(other) = self.conns.remove(conn).flatten() else { return };
        if let Some(back) = self.conns.get_mut(other) {
            *back = None;
            self.outputs.push(Output::Close { conn: other, when: Close::AfterFlush });
            if self.vice == Vice::ClosesTwice {
                self.outputs.push(Output::Close { conn: other, when: Close::AfterFlush });
            }
        }
        if self.vice == Vice::SpeaksToTheDead {
            self.outputs.push(Output::Skip { from: conn, len: 0 });
            self.dead = Some(conn);
        }
    }

    fn handle_message(&mut self, _: Instant, _: Peer, message: Message) {
        if let Message::Shutdown(how) = message {
            self.stopping = Some(how);
            let all: Vec<_> = self.conns.iter().map(|(conn, _)| conn).collect();
            for conn in all {
                *self.conns.get_mut(conn).unwrap() = None;
                self.outputs.push(Output::Close { conn, when: Close::Now });
            }
        }
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (self.vice == Vice::Spins).then_some(Instant::ZERO)
    }

    fn wants_read(&self, conn: ConnId) -> bool {
        self.queued.contains_key(&conn)
            && self.other(conn).is_some_and(|other| !self.is_full(other))
    }

    fn read_hint(&self, _: ConnId) -> usize {
        1
    }

    fn is_accepting(&self) -> bool {
        self.stopping.is_none()
    }

    fn is_finished(&self) -> bool {
        self.stopping.is_some() && self.conns.is_empty()
    }
}

fn relays(vice: Vice) -> impl Fn(Peer, Entropy, Instant) -> Option<Box<dyn Machine>> {
    move |name, _, _| match name {
        Peer::Shard(ShardId(_)) => Some(Box::new(Relay::new(vice)) as Box<dyn Machine>),
        Peer::Control | Peer::Operator => None,
    }
}

pub(crate) fn world(seed: u64, vice: Vice) -> Simulation {
    let plan = Plan { seed, scenario: "relay".to_owned(), auth: Auth::Trust, ..Plan::default() };
    let machines: &Machines = &relays(vice);
    Simulation::new(plan, machines)
}

pub(crate) fn startup() -> Vec<u8> {
    let params = b"user\0postgres\0database\0postgres\0\0";
    let len = u32::try_from(params.len() + 8).unwrap();
    [&len.to_be_bytes()[..], &(3u32 << 16).to_be_bytes(), params].concat()
}

pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &len.to_be_bytes(), body].concat()
}

pub(crate) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

/// Cuts bytes into messages.
pub(crate) fn messages(mut bytes: &[u8]) -> Vec<(char, Vec<u8>)> {
    let mut messages = Vec::new();
    while bytes.len() >= 5 {
        let len = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
        if bytes.len() < len + 1 {
            break;
        }
        messages.push((char::from(bytes[0]), bytes[5..=len].to_vec()));
        bytes = &bytes[len + 1..];
    }
    messages
}

/// Lets time pass until the client has so many `ReadyForQuery`; returns the messages' types and
/// the bytes.
pub(crate) fn until_ready(world: &mut Simulation, conn: Conn, count: usize) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let deadline = world.now() + Duration::from_secs(60);
    loop {
        bytes.extend(world.take(conn));
        let tags: String = messages(&bytes).iter().map(|(tag, _)| *tag).collect();
        if tags.matches('Z').count() >= count {
            return (tags, bytes);
        }
        assert_eq!(world.failure(), None);
        assert!(!world.is_closed(conn), "closed after {tags}");
        assert!(world.now() < deadline, "{tags} after a minute");
        world.step();
    }
}

fn ask(world: &mut Simulation, conn: Conn, sql: &str) -> (String, Vec<u8>) {
    world.send(conn, &query(sql));
    until_ready(world, conn, 1)
}

fn login(world: &mut Simulation) -> Conn {
    let conn = world.open();
    world.send(conn, &startup());
    until_ready(world, conn, 1);
    conn
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_session_passes_through_the_relay_for_any_seed() {
    for seed in 0..24 {
        let mut world = world(seed, Vice::None);
        let conn = login(&mut world);
        assert_eq!(ask(&mut world, conn, "create table t (a int)").0, "CZ", "seed {seed}");
        assert_eq!(ask(&mut world, conn, "insert into t values (1), (2)").0, "CZ");
        assert_eq!(ask(&mut world, conn, "select * from t").0, "TDDCZ");
        let (tags, _) =
            ask(&mut world, conn, "select repeat('x', 100) from generate_series(1, 5000)");
        assert_eq!(tags.matches('D').count(), 5000);
        world.run(Duration::from_secs(1));
        assert_eq!(world.sql(1, "select count(*) from t"), Ok(vec![vec!["2".to_owned()]]));
        assert_eq!(world.server_connections(0), 1);
        world.close(conn);
        world.run(Duration::from_secs(1));
        assert_eq!(world.server_connections(0), 0);
        assert_eq!(world.failure(), None);
    }
}

#[test]
fn a_seed_is_played_the_same_way_twice_and_another_seed_differently() {
    let play = |seed| {
        let mut world = world(seed, Vice::None);
        let conns: Vec<_> = (0..5).map(|_| login(&mut world)).collect();
        for conn in &conns {
            world.send(*conn, &query("select repeat('x', 50) from generate_series(1, 500)"));
        }
        world.run(Duration::from_millis(2));
        world.befall(0, Fault::Crash);
        world.run(Duration::from_millis(200));
        world.befall(0, Fault::Start);
        world.run(Duration::from_secs(1));
        login(&mut world);
        assert_eq!(world.failure(), None);
        world.trace_hash()
    };
    for seed in 0..8 {
        assert_eq!(play(seed), play(seed), "seed {seed}");
    }
    assert_ne!(play(1), play(2));
}

#[test]
fn a_client_that_does_not_read_stops_the_server_and_not_the_world() {
    for seed in 0..8 {
        let mut world = world(seed, Vice::None);
        let conn = login(&mut world);
        world.stop_reading(conn);
        world.send(conn, &query("select repeat('x', 1000) from generate_series(1, 3000)"));
        world.run(Duration::from_secs(5));
        assert!(world.memory() < 200_000, "{} bytes are held", world.memory());
        let other = login(&mut world);
        assert_eq!(ask(&mut world, other, "select 1").0, "TDCZ");
        world.resume_reading(conn);
        let (tags, _) = until_ready(&mut world, conn, 1);
        assert_eq!(tags.matches('D').count(), 3000, "seed {seed}");
    }
}

#[test]
fn faults_do_to_sessions_what_they_do_in_service() {
    let mut world = world(7, Vice::None);
    let conn = login(&mut world);
    world.send(conn, &query("create table t (a int)"));
    until_ready(&mut world, conn, 1);

    world.befall(0, Fault::Freeze);
    world.send(conn, &query("insert into t values (1)"));
    world.run(Duration::from_secs(30));
    assert_eq!(world.take(conn), b"");
    assert!(world.sql(0, "select 1").is_err());
    world.befall(0, Fault::Thaw);
    assert_eq!(until_ready(&mut world, conn, 1).0, "CZ");

    world.befall(0, Fault::TerminateSessions);
    world.run(Duration::from_secs(1));
    assert!(text(&world.take(conn)).contains("57P01"));
    assert!(world.is_closed(conn));

    world.befall(0, Fault::Crash);
    let refused = world.open();
    world.run(Duration::from_secs(1));
    assert!(world.is_closed(refused));
    world.befall(0, Fault::Start);
    let early = world.open_direct(0);
    world.send(early, &startup());
    world.run(Duration::from_millis(10));
    assert!(text(&world.take(early)).contains("57P03"));
    world.run(Duration::from_secs(1));
    assert_eq!(world.sql(0, "select a from t"), Ok(vec![vec!["1".to_owned()]]));
    assert_eq!(world.failure(), None);
}

#[test]
fn a_standby_is_late_when_replay_is_paused_and_refuses_writes() {
    let mut world = world(3, Vice::None);
    world.sql(0, "create table t (a int)").unwrap();
    world.run(Duration::from_secs(1));
    world.befall(1, Fault::PauseReplay);
    world.sql(0, "insert into t values (1)").unwrap();
    world.run(Duration::from_secs(1));
    let count = |world: &mut Simulation, node| world.sql(node, "select count(*) from t").unwrap();
    assert_eq!(count(&mut world, 1), [["0"]]);
    assert_eq!(count(&mut world, 2), [["1"]]);
    world.befall(1, Fault::ResumeReplay);
    world.run(Duration::from_secs(1));
    assert_eq!(count(&mut world, 1), [["1"]]);
    let refused = world.sql(1, "insert into t values (2)").unwrap_err();
    assert_eq!(refused, "25006: cannot execute INSERT in a read-only transaction");
    world.befall(1, Fault::Promote);
    assert!(world.sql(1, "insert into t values (2)").is_ok());
}

#[test]
fn the_process_ends_when_its_machines_have() {
    let mut world = world(3, Vice::None);
    let conn = login(&mut world);
    world.shutdown(Shutdown::Fast);
    world.run(Duration::from_secs(1));
    assert_eq!(world.exit_code(), Some(0));
    world.take(conn);
    assert!(world.is_closed(conn));
    let late = world.open();
    world.run(Duration::from_secs(1));
    assert!(world.is_closed(late));
}

#[test]
fn machines_that_break_their_part_of_the_contract_are_found_out() {
    let cases = [
        (Vice::Interrupts, "inside a message"),
        (Vice::SpeaksToTheDead, "which is closed"),
        (Vice::Invents, "are unread"),
        (Vice::ClosesTwice, "is closed twice"),
        (Vice::Hoards, "nothing is decided"),
        (Vice::Floods, "bytes are queued"),
        (Vice::Spins, "for ever"),
    ];
    for (vice, expected) in cases {
        let found = (0..40).any(|seed| {
            let mut world = world(seed, vice);
            let conn = world.open();
            world.send(conn, &startup());
            world.run(Duration::from_millis(100));
            world.stop_reading(conn);
            world.send(conn, &query(&format!("select '{}'", "y".repeat(100_000))));
            world.send(conn, &query("select repeat('x', 1000) from generate_series(1, 3000)"));
            world.run(Duration::from_secs(2));
            world.reset(conn);
            world.run(Duration::from_secs(2));
            world.befall(0, Fault::Crash);
            world.run(Duration::from_secs(2));
            world.failure().is_some_and(|failure| failure.what.contains(expected))
        });
        assert!(found, "{vice:?}");
    }
}

#[test]
fn a_failure_says_how_to_see_it_again() {
    let mut world = world(0x5eed, Vice::None);
    world.run(Duration::from_micros(3_207_000));
    world.fail("two primaries in epoch 4");
    assert_eq!(
        world.failure().unwrap().to_string(),
        "scenario relay, seed 0x5eed, at 3.207000s: two primaries in epoch 4\n\
         replay: PGHERD_SEED=0x5eed cargo test -p pgherd-tests --test sim relay"
    );
}

mod isolation;
mod repetition;
mod synchrony;
