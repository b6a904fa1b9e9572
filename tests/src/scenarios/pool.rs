//! Server connections, and the clients who share them.

use crate::client::{Client, Login, compose};
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{End, Setup, World};

/// One connection to the primary, which serves everything, in one thread.
#[must_use]
pub fn one_connection() -> Setup {
    Setup::weights(&[1.0, 0.0, 0.0]).set("pool_size_max = 1").set("worker_threads = 1")
}

/// The same, and little patience.
#[must_use]
pub fn short_wait() -> Setup {
    one_connection().set("pool_wait_timeout = \"1s\"")
}

/// A few connections for a crowd.
#[must_use]
pub fn small_pool() -> Setup {
    Setup::default().set(&format!("pool_size_max = {SMALL_POOL}"))
}

/// The next client gets the connection that the one before gave back.
pub fn a_connection_is_used_again(w: &mut impl World) {
    let first = w.connect("first");
    let pid = w.run(&first, "select pg_backend_pid()").value();
    w.terminate(&first);
    for _ in 0..5 {
        let next = w.connect("next");
        assert_eq!(w.run(&next, "select pg_backend_pid()").value(), pid);
        assert_eq!(w.server_connections(PRIMARY), 1);
        w.terminate(&next);
    }
}

/// Settings, temporary tables, prepared statements, listening, locks: all gone.
pub fn nothing_of_a_client_is_left_for_the_next(w: &mut impl World) {
    let first = w.connect("first");
    let pid = w.run(&first, "select pg_backend_pid()").value();
    let normal = w.run(&first, "show work_mem").value();
    w.run(&first, "set work_mem = '5MB'");
    w.run(&first, "create temp table left_behind (n int)");
    w.run(&first, "prepare left_prepared as select 1");
    w.post(&first, &[compose::parse("left_parsed", "select 1"), compose::sync()].concat());
    w.finish(&first).good();
    w.run(&first, "listen left_channel");
    w.run(&first, "select pg_advisory_lock(4712)");
    w.terminate(&first);

    let next = w.connect("next");
    assert_eq!(w.run(&next, "select pg_backend_pid()").value(), pid, "the same connection");
    assert_eq!(w.run(&next, "show work_mem").value(), normal);
    assert_eq!(w.run(&next, "show application_name").value(), "next");
    assert_eq!(w.query(&next, "select count(*) from left_behind").code(), "42P01");
    assert_eq!(w.query(&next, "execute left_prepared").code(), "26000");
    w.post(&next, &[compose::bind("", "left_parsed", &[]), compose::sync()].concat());
    assert_eq!(w.finish(&next).code(), "26000");
    w.sql(PRIMARY, "notify left_channel, 'for nobody'").expect("the primary is well");
    w.run(&next, "select 1");
    assert!(next.state().notifications.is_empty());
    // Whoever asks for the lock now gets it.
    w.sql(PRIMARY, "select pg_advisory_lock(4712)").expect("the lock is free");
    w.sql(PRIMARY, "select pg_advisory_unlock(4712)").expect("the primary is well");
}

/// Clients get the connection in the order in which they asked for it.
pub fn clients_wait_in_line(w: &mut impl World) {
    let holder = w.connect("holder");
    w.run(&holder, "select 1");
    let mut line: Vec<Waiter> = Vec::new();
    for n in 0..4 {
        let mut waiter = Waiter::begin(w, &Login::app(&format!("waiter {n}")));
        // A place in the line is had once pgherd has read what asks for it.
        w.never("a waiter is served", secs(1), |w| waiter.is_served(w));
        line.push(waiter);
    }
    assert_eq!(w.server_connections(PRIMARY), 1);
    w.terminate(&holder);
    while !line.is_empty() {
        let mut first = line.remove(0);
        w.wait("the first in line is served", LIMIT, |w| first.is_served(w));
        for later in &mut line {
            assert!(!later.is_served(w), "one who came later was served earlier");
        }
        w.finish(&first.client).good();
        w.terminate(&first.client);
    }
    assert_eq!(w.server_connections(PRIMARY), 1);
}

/// A client in line. Whether it waits with its login or with its first query is all the same.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) client: Client,
    stage: Waiting,
}

#[derive(Debug, PartialEq)]
enum Waiting {
    ForLogin,
    ForAnswer,
}

impl Waiter {
    pub(super) fn begin(w: &mut impl World, login: &Login) -> Self {
        Self { client: w.begin_login(login), stage: Waiting::ForLogin }
    }

    pub(super) fn is_served(&mut self, w: &mut impl World) -> bool {
        if self.stage == Waiting::ForLogin && w.has_answer(&self.client) {
            w.finish_login(&self.client).expect("a place in the line");
            w.query_start(&self.client, "select 1");
            self.stage = Waiting::ForAnswer;
        }
        self.stage == Waiting::ForAnswer && w.has_answer(&self.client)
    }
}

/// Who waits for too long is told which pool is exhausted.
pub fn waiting_in_line_ends_with_a_clear_error(w: &mut impl World) {
    let holder = w.connect("holder");
    w.run(&holder, "select 1");
    let waiter = w.begin_login(&Login::app("waiter"));
    let mut answer = w.finish(&waiter);
    // Whether the login waits or the first query is all the same.
    if !answer.failed() {
        answer = w.query(&waiter, "select 1");
    }
    assert_eq!(answer.code(), "53300", "{}", answer.trouble());
    let trouble = answer.trouble().to_lowercase();
    for word in ["pool", "postgres"] {
        assert!(trouble.contains(word), "{word} in {trouble:?}");
    }
    w.run(&holder, "select 1");
    w.terminate(&holder);
    let next = w.connect("next");
    w.run(&next, "select 1");
}

/// What an unfinished transaction did is undone, its locks are gone, and its connection is as
/// good as new.
pub fn a_client_that_dies_in_a_transaction(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table unfinished (n int)");
    for end in [End::Reset, End::Orderly] {
        let dying = if end == End::Reset { &app } else { &w.connect("app") };
        w.run(dying, "begin");
        w.run(dying, "insert into unfinished values (1)");
        w.run(dying, "lock table unfinished");
        w.close(dying.conn, end);
        let next = w.connect("next");
        assert_eq!(w.run(&next, "select count(*) from unfinished").value(), "0", "{end:?}");
        w.run(&next, "begin; lock table unfinished; rollback");
        assert_eq!(w.run(&next, "select 1").status, Some(b'I'));
        w.terminate(&next);
    }
}

/// Half a pipeline, and half a message, end with their client.
pub fn a_client_that_dies_in_a_pipeline(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table half_sent (n int)");
    w.terminate(&app);
    let pipeline = [
        compose::parse("half", "insert into half_sent values (1)"),
        compose::bind("", "half", &[]),
        compose::execute("", 0),
    ]
    .concat();
    let message = compose::query("insert into half_sent values (2)");
    for bytes in [pipeline, message[..20].to_vec(), vec![b'Q'], vec![b'Q', 0, 0, 1, 0, b'x']] {
        let dying = w.connect("dying");
        w.send(dying.conn, &bytes);
        w.wait("all of it has left", LIMIT, |w| w.unsent(dying.conn) == 0);
        w.vanish(&dying);
        let next = w.connect("next");
        assert_eq!(w.run(&next, "select count(*) from half_sent").value(), "0");
        w.post(&next, &[compose::parse("half", "select 1"), compose::sync()].concat());
        w.finish(&next).good();
        w.terminate(&next);
    }
}

/// Who leaves the line holds nobody up.
pub fn a_client_that_dies_in_line(w: &mut impl World) {
    let holder = w.connect("holder");
    w.run(&holder, "select 1");
    for _ in 0..5 {
        let waiter = w.begin_login(&Login::app("waiter"));
        w.never("a waiter is served", secs(1), |w| {
            w.pump(&waiter);
            false
        });
        w.vanish(&waiter);
    }
    let last = w.begin_login(&Login::app("last"));
    w.terminate(&holder);
    w.finish_login(&last).expect("the line moves on");
    w.run(&last, "select 1");
    assert_eq!(w.server_connections(PRIMARY), 1);
}

/// A crowd that comes and goes without a word leaves nothing behind.
pub fn clients_that_open_and_reset_leave_nothing(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "select 1");
    let (scale, before) = (w.scale(), w.memory());
    for n in 0..scale.crowd {
        let conn = w.open();
        let packet = Login::app("crowd").packet();
        match n % 4 {
            0 => {}
            1 => w.send(conn, &packet[..packet.len() / 2]),
            2 => w.send(conn, &packet),
            _ => w.send(conn, &compose::ssl_request()),
        }
        w.step();
        w.close(conn, if n % 2 == 0 { End::Reset } else { End::Orderly });
    }
    let next = w.connect("next");
    assert_eq!(w.run(&next, "select 1").value(), "1");
    w.run(&app, "select 1");
    w.wait("memory is given back", LIMIT, |w| w.memory() < before + scale.growth_len_max);
    for node in 0..3 {
        let count = w.server_connections(node);
        assert!(count <= SMALL_POOL, "{count} connections to node {node}");
    }
}

/// Connections to each server.
const SMALL_POOL: usize = 4;
