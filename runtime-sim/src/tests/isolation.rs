//! Nothing that a server says to one client reaches another, whatever happens: many clients over
//! few connections, cancels, clients and servers that die between messages and inside them.
//!
//! Two checkers watch. One knows whose statement every byte answers, whatever its content; the
//! other looks for the marks that clients put into their statements.

use std::sync::Arc;

use pgherd_core::config::{Config, Files, KeyFile, load};
use pgherd_core::control::Control;
use pgherd_core::health::probe;
use pgherd_core::shard::Shard;
use pgherd_core::time::{WallClock, WallTime};

use super::*;
use crate::chance::Chance;

/// Clients at any moment.
const CROWD: usize = 24;

/// What each seed does, in turns of a few statements and one mishap.
const TURNS: usize = 50;

struct OneFile(String);

impl Files for OneFile {
    fn read(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }

    fn exists(&self, path: &str) -> bool {
        path == "pgherd.toml"
    }

    fn key_file(&self) -> Option<KeyFile> {
        None
    }
}

/// A configuration with few connections.
fn config(pool_mode: &str) -> Arc<Config> {
    let mut text = format!(
        "pool_mode = \"{pool_mode}\"\nworker_threads = 2\npool_size_max = 4\n\
         pool_wait_timeout = \"20s\"\nsr_check_user = \"postgres\"\nsr_check_period = \"1s\"\n\
         health_check_timeout = \"5s\"\nhealth_check_max_retries = 1\n\
         health_check_retry_delay = \"1s\"\n"
    );
    for node in 0..3 {
        text += &format!("[[backends]]\nhostname = \"node{node}\"\nport = 5432\n");
    }
    text += "[users]\npostgres = \"postgres\"\n";
    let loaded = load("pgherd.toml", &OneFile(text));
    let mut config = loaded.unwrap_or_else(|rejected| panic!("{:#?}", rejected.mistakes)).config;
    config.settle_threads(2);
    Arc::new(config)
}

fn pgherd(seed: u64, config: &Arc<Config>) -> Simulation {
    let plan = Plan {
        seed,
        scenario: "isolation".to_owned(),
        auth: Auth::Trust,
        probe: probe::QUERY.to_owned(),
        pools: config.pool.clone(),
        patience: Some(Duration::from_secs(120)),
        ..Plan::default()
    };
    let clock = WallClock { start: WallTime(1_767_225_600), offset: 0 };
    let config = Arc::clone(config);
    let machines = move |name, entropy, now| -> Option<Box<dyn Machine>> {
        let config = Arc::clone(&config);
        match name {
            Peer::Shard(id) => Some(Box::new(Shard::new(id, config, entropy, clock, now))),
            Peer::Control => Some(Box::new(Control::new(config, entropy, clock, now))),
            Peer::Operator => None,
        }
    };
    let mut world = Simulation::new(plan, &machines);
    world.run(Duration::from_secs(2));
    world.sql(0, "create table t (a text); create unlogged table u (a text)").unwrap();
    world.run(Duration::from_millis(200));
    world
}

/// A client that says one thing after the other, and does not wait for answers.
struct Marked {
    conn: Conn,
    text: String,
    /// What came, as far as its messages are not yet looked at.
    bytes: Vec<u8>,
    key: Vec<u8>,
}

impl Marked {
    fn arrive(world: &mut Simulation, mark: u32) -> Self {
        let conn = world.open();
        let text = world.mark(conn, mark);
        world.send(conn, &startup());
        Self { conn, text, bytes: Vec::new(), key: Vec::new() }
    }

    /// Looks at what came; keeps the cancel key.
    fn look(&mut self, world: &mut Simulation) {
        self.bytes.extend(world.take(self.conn));
        let mut len = 0;
        for (tag, body) in messages(&self.bytes) {
            len += body.len() + 5;
            if tag == 'K' {
                self.key = body;
            }
        }
        self.bytes.drain(..len);
    }

    /// Says something with its mark in it.
    fn speak(&self, world: &mut Simulation, chance: &mut Chance) {
        let Self { conn, text, .. } = self;
        let said = statement(text, chance);
        if chance.happens(1, 4) {
            world.send(*conn, &said);
            world.send(*conn, &message(b'X', b""));
            world.close(*conn);
        } else if chance.happens(1, 12) {
            // It dies in the middle of what it says.
            let len = chance.between(1, said.len() - 1);
            world.send(*conn, &said[..len]);
            world.reset_after(*conn, chance.between(1, 40));
            if chance.happens(1, 2) {
                world.close(*conn);
            }
        } else {
            world.send(*conn, &said);
        }
    }
}

/// One of the things that a client may say.
fn statement(text: &str, chance: &mut Chance) -> Vec<u8> {
    let extended = |name: &str, sql: &str| {
        let parse = message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes());
        let param = format!("{text}p");
        let len = u32::try_from(param.len()).unwrap().to_be_bytes();
        let mut bind = format!("\0{name}\0\0\0\0\x01").into_bytes();
        bind.extend_from_slice(&len);
        bind.extend_from_slice(param.as_bytes());
        bind.extend_from_slice(&[0, 0]);
        let describe = message(b'D', b"P\0");
        let execute = message(b'E', b"\0\0\0\0\0");
        [parse, message(b'B', &bind), describe, execute, message(b'S', b"")].concat()
    };
    match chance.between(0, 15) {
        0 => query(&format!("select '{text}'")),
        1 => query(&format!("select repeat('{text}', 40) from generate_series(1, 200)")),
        2 => query(&format!("insert into t values ('{text}') returning a")),
        3 => query(&format!("begin; select '{text}' from t for update limit 1")),
        4 => query("commit"),
        5 => query(&format!("select '{text}'; select '{text}'::int; select 1")),
        6 => query(&format!("set application_name to '{text}'; show application_name")),
        7 => query(&format!("select '{text}', pg_sleep(0.05)")),
        8 => query(&format!("listen \"{text}\"; notify \"{text}\", '{text}'")),
        9 => query(&format!("create temp table if not exists own as select '{text}' as a")),
        10 => query("select * from own"),
        11 => query(&format!("copy (select '{text}' from generate_series(1, 50)) to stdout")),
        12 => extended("", "select $1::text"),
        13 => [
            extended("", "insert into t values ($1) returning a"),
            extended("", "select $1::text, repeat($1, 30) from generate_series(1, 20)"),
        ]
        .concat(),
        14 => [message(b'C', b"Snamed\0"), extended("named", "select $1::text || 'x'")].concat(),
        _ => query(&format!("do $$begin raise notice '{text}'; raise exception '{text}'; end$$")),
    }
}

/// Something goes wrong.
fn mishap(world: &mut Simulation, crowd: &[Marked], chance: &mut Chance) {
    let victim = &crowd[chance.between(0, crowd.len() - 1)];
    let node = chance.between(0, 2);
    match chance.between(0, 19) {
        0 => world.reset(victim.conn),
        1 => world.close(victim.conn),
        2 => world.reset_after(victim.conn, chance.between(1, 2000)),
        3..=9 => world.befall(node, Fault::CutSession(chance.between(1, 600))),
        10 => world.befall(node, Fault::TerminateSessions),
        11..=12 => world.befall(node, Fault::Conflict),
        13..=18 if !victim.key.is_empty() => {
            let other = world.open();
            let body = [&80_877_102u32.to_be_bytes()[..], &victim.key].concat();
            let len = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
            world.send(other, &[&len[..], &body].concat());
        }
        _ => {
            world.befall(node, Fault::Crash);
            world.run(Duration::from_millis(chance.between(1, 300) as u64));
            world.befall(node, Fault::Start);
            world.run(Duration::from_secs(1));
        }
    }
}

fn storm(seed: u64, config: &Arc<Config>) -> Simulation {
    let mut world = pgherd(seed, config);
    let mut chance = Chance::new(seed ^ 0x5eed);
    let mut marks = 0..;
    let mut crowd: Vec<Marked> = Vec::new();
    for _ in 0..TURNS {
        crowd.retain_mut(|client| {
            client.look(&mut world);
            !world.is_closed(client.conn)
        });
        while crowd.len() < CROWD {
            crowd.push(Marked::arrive(&mut world, marks.next().unwrap()));
        }
        for client in &mut crowd {
            if chance.happens(1, 2) {
                client.speak(&mut world, &mut chance);
            }
        }
        world.run(Duration::from_micros(chance.between(100, 60_000) as u64));
        mishap(&mut world, &crowd, &mut chance);
        world.run(Duration::from_micros(chance.between(100, 10_000) as u64));
    }
    for client in crowd {
        world.reset(client.conn);
    }
    world.run(Duration::from_secs(2));
    world
}

/// Tells which seed it was when a machine panics.
struct Playing(u64);

impl Drop for Playing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it was seed {}", self.0);
        }
    }
}

fn swarm(pool_mode: &str, seeds: std::ops::Range<u64>) {
    let config = config(pool_mode);
    for seed in seeds {
        let playing = Playing(seed);
        let world = storm(playing.0, &config);
        assert_eq!(world.failure(), None, "{pool_mode}, seed {seed}");
        // A storm in which nobody hears anything proves nothing.
        assert!(world.marks_seen() > 10_000, "{} marks with seed {seed}", world.marks_seen());
    }
}

#[test]
fn clients_hear_only_their_own_answers_in_session_mode() {
    swarm("session", 0..24);
}

#[test]
fn clients_hear_only_their_own_answers_in_transaction_mode() {
    swarm("transaction", 100..124);
}

#[test]
fn clients_hear_only_their_own_answers_in_statement_mode() {
    swarm("statement", 200..208);
}

/// A relay that lends one client's server to another is found out: by whose the answer is, and,
/// where it speaks in the client's place, by the mark.
#[test]
fn a_proxy_that_mixes_up_its_clients_is_found_out() {
    let cases = [(Vice::Confuses, "what a server said to"), (Vice::Repeats, "the mark of")];
    for (vice, expected) in cases {
        let found = (0..20).any(|seed| {
            let mut world = world(seed, vice);
            for mark in 0..4 {
                let conn = world.open();
                let text = world.mark(conn, mark);
                world.send(conn, &startup());
                for _ in 0..4 {
                    world.send(conn, &query(&format!("select '{text}'")));
                }
            }
            world.run(Duration::from_secs(1));
            world.failure().is_some_and(|failure| failure.what.contains(expected))
        });
        assert!(found, "{vice:?}");
    }
}
