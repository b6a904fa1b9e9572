//! Many clients and few connections: who is served when, and what happens to those in line.

use super::show::cells;
use crate::client::{Answer, Client, Login, compose};
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{End, ServerAuth, Setup, World};

/// Connections for a crowd.
const FEW: usize = 20;

/// Clients that share those, in every world.
const CROWD: usize = 1000;

/// How often each of them is served.
const ROUNDS: usize = 3;

/// Steps between two looks at them.
const LOOK_PERIOD: usize = 200;

/// Everybody shares some connections to the primary.
#[must_use]
pub fn few() -> Setup {
    // Many logins that prove something would take longer than all the rest.
    shared(FEW).auth(ServerAuth::Trust)
}

/// Everybody shares two.
#[must_use]
pub fn two() -> Setup {
    shared(2)
}

/// Everybody shares four.
#[must_use]
pub fn four() -> Setup {
    shared(4)
}

/// Everybody shares two, and waits for a second.
#[must_use]
pub fn two_in_haste() -> Setup {
    two().set("pool_wait_timeout = \"1s\"")
}

/// Limits of all kinds, of which each is the tightest for somebody.
#[must_use]
pub fn tight() -> Setup {
    Setup::weights(&[1.0, 1.0, 1.0])
        .set("pool_mode = \"transaction\"")
        .set("pool_size_max = 4")
        .set("user_connections_max = 3")
        .set("backend_connections_max = 5")
        .user("alice", "wonderland")
        .user("bob", "builder")
}

fn shared(connections: usize) -> Setup {
    Setup::weights(&[1.0, 0.0, 0.0])
        .set("pool_mode = \"transaction\"")
        .set("worker_threads = 1")
        .set("client_max = 5000")
        .set(&format!("pool_size_max = {connections}"))
}

fn connect_all(w: &mut impl World, count: usize) -> Vec<Client> {
    let login = |n: usize| Login::app(&format!("client {n}"));
    let clients: Vec<Client> = (0..count).map(|n| w.begin_login(&login(n))).collect();
    for client in &clients {
        w.finish_login(client).expect("there is room for everybody");
    }
    clients
}

/// A thousand clients that ask again as soon as they are served: nobody gets ahead of the others
/// by more than what is under way.
pub fn a_crowd_is_served_in_fair_order(w: &mut impl World) {
    let clients = connect_all(w, CROWD);
    let mut served = vec![0; clients.len()];
    for client in &clients {
        w.query_start(client, "select pg_sleep(0.01)");
    }
    let mut left = clients.len();
    w.wait("everybody is served", LIMIT * 2, |w| {
        // Looking at everybody takes its time, too.
        (0..LOOK_PERIOD).for_each(|_| w.step());
        for (client, served) in clients.iter().zip(&mut served) {
            if *served < ROUNDS && w.has_answer(client) {
                w.finish(client).good();
                *served += 1;
                match *served {
                    ROUNDS => left -= 1,
                    _ => w.query_start(client, "select pg_sleep(0.01)"),
                }
            }
        }
        let (least, most) = (served.iter().min(), served.iter().max());
        let spread = most.zip(least).map_or(0, |(most, least)| most - least);
        assert!(spread <= 2, "one was served {spread} times more often than another");
        left == 0
    });
    assert!(w.server_connections(PRIMARY) <= FEW);
}

/// Clients of which each asks only once are served in the order in which they asked.
pub fn whoever_asks_first_is_served_first(w: &mut impl World) {
    let clients = connect_all(w, 40);
    let (holders, others) = clients.split_at(2);
    w.run(&holders[0], "create table line (n serial)");
    for holder in holders {
        w.run(holder, "begin");
    }
    for (n, client) in others.iter().enumerate() {
        w.query_start(client, "select nextval('line_n_seq')");
        let expected = (n + 1).to_string();
        w.wait("it is in line", LIMIT, |w| {
            let pools = w.run(&holders[0], "show pool_pools");
            cells(&pools, &pools.rows(), "pool_waiting").contains(&&*expected)
        });
    }
    // There is one connection for all of them.
    w.run(&holders[1], "commit");
    let places: Vec<u64> = others
        .iter()
        .map(|client| w.finish(client).good().value().parse().expect("a number"))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
    w.run(&holders[0], "commit");
}

/// A client that waited in vain.
fn assert_told(answer: &Answer) {
    assert_eq!(answer.code(), "53300", "{}", answer.trouble());
    let trouble = answer.trouble();
    for words in
        ["user \"postgres\"", "database \"postgres\"", "2 of 2 connections open", "waiting"]
    {
        assert!(trouble.contains(words), "{words} in {trouble:?}");
    }
}

/// Everybody in line is told in time why, with the figures of the pool, by either protocol, and
/// those who did not wait notice nothing.
pub fn waiters_time_out_with_the_figures_of_their_pool(w: &mut impl World) {
    let clients = connect_all(w, 32);
    let (holders, waiters) = clients.split_at(2);
    for holder in holders {
        w.run(holder, "begin");
    }
    let began = w.now();
    for (n, waiter) in waiters.iter().enumerate() {
        match n % 2 {
            0 => w.query_start(waiter, "select 1"),
            _ => {
                w.post(waiter, &[compose::statement("select 1", &[]), compose::sync()].concat());
            }
        }
    }
    for waiter in waiters {
        assert_told(&w.finish(waiter));
    }
    assert!(w.now() >= began + secs(1), "too soon");
    for holder in holders {
        assert_eq!(w.run(holder, "commit").status, Some(b'I'));
    }
    for waiter in waiters.iter().filter(|waiter| waiter.dismissal().is_none()) {
        assert_eq!(w.run(waiter, "select 1").value(), "1", "its session goes on");
    }
    let next = w.connect("next");
    assert_eq!(w.run(&next, "select 1").value(), "1");
}

/// A server that dies under a full line: everybody gets an answer, from the server when it is
/// back, or an error that says what happened.
pub fn a_server_is_lost_with_waiters_in_line(w: &mut impl World) {
    let clients = connect_all(w, 60);
    let (holders, waiters) = clients.split_at(2);
    for holder in holders {
        w.run(holder, "begin");
        w.run(holder, "select 1");
    }
    for waiter in waiters {
        w.query_start(waiter, "select 1");
    }
    w.run(&holders[0], "show pool_version");
    w.crash(PRIMARY);
    w.start(PRIMARY);
    let mut served = 0;
    for waiter in waiters {
        let answer = w.finish(waiter);
        match answer.code() {
            "" => {
                assert_eq!(answer.value(), "1");
                served += 1;
            }
            code => assert!(is_clear(code), "{}", answer.trouble()),
        }
    }
    assert!(served > 0, "nobody got another connection");
    for holder in holders {
        let answer = w.query(holder, "select 1");
        assert!(is_clear(answer.code()), "its transaction is gone: {answer:?}");
    }
    w.wait("all is well again", LIMIT, |w| {
        let next = w.connect("next");
        let answer = w.query(&next, "select 1");
        w.terminate(&next);
        !answer.failed()
    });
    // Whoever asks the server past pgherd has lost a connection too.
    w.wait_truth(PRIMARY, "select 1", "1");
    assert!(w.server_connections(PRIMARY) <= 2);
}

/// Tells whether an error says that a server is lost, or not there.
fn is_clear(code: &str) -> bool {
    matches!(code, "57P01" | "57P02" | "57P03" | "08006" | "08001" | "08003" | "25P02" | "53300")
}

/// As many logins as come, all at once, need no more than the pool has.
pub fn a_storm_of_logins_needs_no_more_than_the_pool(w: &mut impl World) {
    let count = w.scale().crowd;
    let clients: Vec<Client> =
        (0..count).map(|n| w.begin_login(&Login::app(&format!("client {n}")))).collect();
    for (n, client) in clients.iter().enumerate() {
        w.finish_login(client).unwrap_or_else(|fields| panic!("client {n}: {fields}"));
        w.query_start(client, "select 1");
        if n % 50 == 0 {
            assert!(w.server_connections(PRIMARY) <= 4);
        }
    }
    for (n, client) in clients.iter().enumerate() {
        assert_eq!(w.finish(client).value(), "1");
        if n % 50 == 0 {
            assert!(w.server_connections(PRIMARY) <= 4);
        }
    }
    assert!(w.server_connections(PRIMARY) <= 4);
}

/// Clients that take their time with large results keep a connection each, and nobody else waits
/// for them as long as there is another one.
pub fn large_results_starve_nobody(w: &mut impl World) {
    let rows = w.scale().bulk_len / ROW_LEN / 8;
    let clients = connect_all(w, 33);
    let (readers, others) = clients.split_at(3);
    for reader in readers {
        reader.keep_no_data();
        let sql = format!("select repeat('x', {ROW_LEN}) from generate_series(1, {rows}) as g");
        w.query_start(reader, &sql);
        w.wait("the result has begun", LIMIT, |w| {
            w.pump(reader);
            reader.state().data_count > 0
        });
        w.stop_reading(reader.conn);
    }
    for round in 0..5 {
        for (n, other) in others.iter().enumerate() {
            w.query_start(other, &format!("select {}", n + round));
        }
        for (n, other) in others.iter().enumerate() {
            assert_eq!(w.finish(other).value(), (n + round).to_string());
        }
    }
    for reader in readers {
        assert!(reader.state().data_count < rows as u64, "not all of it fits into buffers");
        w.resume_reading(reader.conn);
    }
    for reader in readers {
        assert_eq!(w.finish(reader).tags(), [format!("SELECT {rows}")]);
        assert_eq!(reader.state().data_count, rows as u64);
    }
    assert!(w.server_connections(PRIMARY) <= 4);
}

/// Bytes of a row of a large result.
const ROW_LEN: usize = 8192;

/// A transaction, message by message, in both protocols.
fn transaction(n: usize) -> Vec<u8> {
    let insert = format!("insert into half_done values ({n})");
    [
        compose::query("begin"),
        compose::query(&insert),
        compose::parse("s", "insert into half_done values ($1::int)"),
        compose::bind("", "s", &[&n.to_string()]),
        compose::execute("", 0),
        compose::sync(),
        compose::query("select count(*) from half_done"),
        compose::query("commit"),
    ]
    .concat()
}

/// Clients leave at every point of a transaction, inside of messages too: it is done as a whole or
/// not at all, and its connection serves the next as well as ever.
pub fn clients_die_at_every_point_of_a_transaction(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table half_done (n int)");
    let len = transaction(0).len();
    let commit = compose::query("commit").len();
    for (n, sent) in (0..=len).step_by(STRIDE).chain([len - 1, len]).enumerate() {
        let dying = w.connect("dying");
        let bytes = transaction(n);
        // The text with the number has a digit more from the tenth on.
        let sent = sent.min(bytes.len());
        w.send(dying.conn, &bytes[..sent]);
        w.wait("all of it has left", LIMIT, |w| w.unsent(dying.conn) == 0);
        if n % 2 == 0 {
            // Some die when they have seen what they had asked for so far.
            w.run(&app, "select 1");
        }
        w.close(dying.conn, if n % 3 == 0 { End::Orderly } else { End::Reset });
        let question = format!("select count(*) from half_done where n = {n}");
        let count = w.run(&app, &question).value();
        match count.as_str() {
            "0" => {}
            "2" => assert!(sent >= bytes.len() - commit, "it had not asked for a commit"),
            _ => panic!("half of it is there: {count}"),
        }
    }
    w.run(&app, "begin; lock table half_done; rollback");
    let answer = w.run(&app, "select 1");
    assert_eq!((answer.value(), answer.status), ("1".to_owned(), Some(b'I')));
    for n in 0..4 {
        let next = w.connect("next");
        let whole = transaction(1000 + n);
        w.post(&next, &whole);
        for status in [b'T', b'T', b'T', b'T', b'I'] {
            assert_eq!(w.finish(&next).good().status, Some(status));
        }
    }
    assert!(w.server_connections(PRIMARY) <= 2);
}

/// Bytes between two points at which a client dies.
const STRIDE: usize = 9;

/// Clients of three users read and write on three servers, and no limit is exceeded at any time.
pub fn limits_are_never_exceeded(w: &mut impl World) {
    let logins =
        [Login::app("app"), Login::user("alice", "wonderland"), Login::user("bob", "builder")];
    for (n, login) in logins.iter().enumerate() {
        let owner = w.connect_as(login);
        w.table(&owner, &format!("busy{n}"), 2);
        w.terminate(&owner);
    }
    let clients: Vec<Client> =
        (0..60).map(|n: usize| w.begin_login(&logins[n % logins.len()])).collect();
    for client in &clients {
        w.finish_login(client).expect("there is room for everybody");
    }
    for round in 0..4 {
        for (n, client) in clients.iter().enumerate() {
            let table = format!("busy{}", n % logins.len());
            let sql = match (n / logins.len() + round) % 3 {
                0 => format!("insert into {table} values (1)"),
                1 => format!("select count(*) from {table}"),
                _ => format!("begin; insert into {table} values (1); commit"),
            };
            w.query_start(client, &sql);
        }
        for (n, client) in clients.iter().enumerate() {
            w.finish(client).good();
            if n % 8 == 0 {
                within_limits(w);
            }
        }
    }
    let written = (0..logins.len()).map(|n| {
        let count = w.truth(PRIMARY, &format!("select count(*) from busy{n}"));
        count.parse::<usize>().expect("a count")
    });
    assert_eq!(written.sum::<usize>(), 60 * 4 - READS, "everything was done once");
}

/// Reads among those: in each round those of every third of twenty clients of a user.
const READS: usize = 3 * (7 + 7 + 6 + 7);

fn within_limits(w: &mut impl World) {
    for node in 0..3 {
        let count = w.server_connections(node);
        assert!(count <= 5, "{count} connections to node {node}");
        for user in ["postgres", "alice", "bob"] {
            // Node by node, since nothing else is counted by one moment.
            let sql = format!(
                "select count(*) from pg_stat_activity where usename = '{user}' \
                 and datname = 'postgres' and application_name <> 'pgherd probe'"
            );
            let open = w.truth(node, &sql).parse::<usize>().expect("a count");
            let spare = if user == "postgres" { OWN } else { 0 };
            assert!(open <= 3 + spare, "{open} connections of {user} to node {node}");
        }
    }
}

/// Connections of the superuser that are not for clients: the scenario's own, and probes.
const OWN: usize = 4;
