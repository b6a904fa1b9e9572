//! Limits of connections, and connections that are kept although nobody uses them.

use super::pool::Waiter;
use crate::client::Login;
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{Fate, Setup, Signal, World};

/// The primary serves everything, for three users.
pub fn roomy() -> Setup {
    Setup::weights(&[1.0, 0.0, 0.0]).user("alice", "wonderland").user("bob", "builder")
}

/// Two connections a user.
pub fn two_a_user() -> Setup {
    roomy().set("user_connections_max = 2")
}

/// Two connections a database.
pub fn two_a_database() -> Setup {
    roomy().set("database_connections_max = 2")
}

/// One connection in all.
pub fn one_in_all() -> Setup {
    // Between threads the order is kept but for what a message on its way has yet to tell.
    in_one_thread().set("backend_connections_max = 1")
}

/// The same in one thread.
pub fn in_one_thread() -> Setup {
    roomy().set("worker_threads = 1")
}

/// A connection, and one more for those who have waited.
pub fn reserve() -> Setup {
    in_one_thread()
        .set("pool_size_max = 1")
        .set("pool_reserve_size = 1")
        .set("pool_reserve_timeout = \"2s\"")
}

/// A connection, and a line of one.
pub fn short_line() -> Setup {
    in_one_thread().set("pool_size_max = 1").set("pool_queue_max = 1")
}

/// Two connections are kept ready on each server, although idle ones live for a second.
pub fn kept_ready() -> Setup {
    in_one_thread()
        .set("pool_database0 = \"postgres\"")
        .set("pool_user0 = \"alice\"")
        .set("pool_size_min0 = 2")
        .set("connection_life_time = \"1s\"")
}

/// Connections live for two seconds.
pub fn short_lived() -> Setup {
    in_one_thread().set("pool_size_max = 1").set("pool_connection_age_max = \"2s\"")
}

fn alice() -> Login {
    Login::user("alice", "wonderland")
}

fn bob() -> Login {
    Login::user("bob", "builder")
}

/// A user at its limit waits, and is in nobody's way.
pub fn a_user_at_its_limit_waits_alone(w: &mut impl World) {
    let first = w.connect_as(&alice());
    w.run(&first, "select 1");
    let second = w.connect_as(&alice());
    w.run(&second, "select 1");
    let mut third = Waiter::begin(w, &alice());
    let other = w.connect_as(&bob());
    w.run(&other, "select 1");
    // Whoever was here before may have left an idle one.
    let count = w.server_connections(PRIMARY);
    w.never("a third connection is opened", secs(1), |w| {
        third.is_served(w) || w.server_connections(PRIMARY) > count
    });
    w.terminate(&first);
    w.wait("the third has its turn", LIMIT, |w| third.is_served(w));
    assert!(w.server_connections(PRIMARY) <= count);
}

/// What is idle of one user makes room for another one in the same database.
pub fn a_database_at_its_limit_makes_room(w: &mut impl World) {
    let first = w.connect_as(&alice());
    w.run(&first, "select 1");
    let second = w.connect_as(&bob());
    w.run(&second, "select 1");
    let mut third = Waiter::begin(w, &Login::app("third"));
    w.never("a third connection is opened", secs(1), |w| {
        third.is_served(w) || w.server_connections(PRIMARY) > 2
    });
    w.terminate(&first);
    w.wait("the third has its turn", LIMIT, |w| {
        assert!(w.server_connections(PRIMARY) <= 2);
        third.is_served(w)
    });
}

/// Clients of several users get a full server in the order in which they came.
pub fn users_share_a_full_server_in_order(w: &mut impl World) {
    let holder = w.connect("holder");
    w.run(&holder, "select 1");
    let mut line = Vec::new();
    for login in [alice(), bob(), Login::app("third"), alice(), bob()] {
        let mut waiter = Waiter::begin(w, &login);
        // A place in the line is had once pgherd has read what asks for it.
        w.never("a waiter is served", secs(1), |w| waiter.is_served(w));
        line.push(waiter);
    }
    w.terminate(&holder);
    while !line.is_empty() {
        let mut first = line.remove(0);
        w.wait("the first in line is served", LIMIT, |w| {
            assert!(w.server_connections(PRIMARY) <= 1);
            first.is_served(w)
        });
        for later in &mut line {
            assert!(!later.is_served(w), "one who came later was served earlier");
        }
        w.finish(&first.client).good();
        w.terminate(&first.client);
    }
}

/// Whoever has waited for long enough gets a connection beyond the limit, which is not kept.
pub fn the_reserve_is_for_those_who_wait(w: &mut impl World) {
    let holder = w.connect("holder");
    w.run(&holder, "select 1");
    let mut waiter = Waiter::begin(w, &Login::app("waiter"));
    w.never("the reserve is used at once", secs(1), |w| waiter.is_served(w));
    w.wait("the reserve is used", LIMIT, |w| waiter.is_served(w));
    assert_eq!(w.server_connections(PRIMARY), 2);
    let mut late = Waiter::begin(w, &Login::app("late"));
    w.never("the reserve is exceeded", secs(3), |w| late.is_served(w));
    w.terminate(&holder);
    w.wait("somebody has left", LIMIT, |w| late.is_served(w));
    for client in [&waiter.client, &late.client] {
        w.finish(client).good();
        w.terminate(client);
    }
    w.wait("one connection is left", LIMIT, |w| w.server_connections(PRIMARY) == 1);
}

/// Where the line is full, the next client is told so at once, with the figures of the pool.
pub fn a_full_line_is_told_with_its_figures(w: &mut impl World) {
    let holder = w.connect("holder");
    w.run(&holder, "select 1");
    let mut first = Waiter::begin(w, &Login::app("first"));
    w.never("the first in line is served", secs(1), |w| first.is_served(w));
    let refused = w.begin_login(&Login::app("refused"));
    let before = w.now();
    let mut answer = w.finish(&refused);
    // Whether the login is refused or the first query is all the same.
    if !answer.failed() {
        answer = w.query(&refused, "select 1");
    }
    assert_eq!(answer.code(), "53300", "{}", answer.trouble());
    assert!(w.now() < before + secs(5), "it waited");
    let trouble = answer.trouble().to_lowercase();
    for words in ["database \"postgres\"", "1 of 1 connections", "1 of 1 clients waiting"] {
        assert!(trouble.contains(words), "{words} in {trouble:?}");
    }
    w.terminate(&holder);
    w.wait("the first in line is served", LIMIT, |w| first.is_served(w));
}

/// What is to be kept ready is there before anybody asks, and again after it was lost.
pub fn connections_are_kept_ready(w: &mut impl World) {
    for node in 0..3 {
        w.wait("two are ready", LIMIT, |w| w.server_connections(node) == 2);
    }
    w.never("idle ones are closed", secs(3), |w| w.server_connections(PRIMARY) != 2);
    w.befall(1, Fate::TerminateSessions);
    w.wait("they are lost", LIMIT, |w| w.server_connections(1) < 2);
    w.wait("two are ready again", LIMIT, |w| w.server_connections(1) == 2);
    let client = w.connect_as(&alice());
    assert_eq!(w.run(&client, "select 1").value(), "1");
}

/// A connection serves whoever has it for as long as they want, and nobody after it has grown old.
pub fn an_old_connection_is_replaced(w: &mut impl World) {
    let first = w.connect("first");
    let pid = w.run(&first, "select pg_backend_pid()").value();
    w.never("a connection in use is closed", secs(3), |w| w.is_gone(&first));
    assert_eq!(w.run(&first, "select pg_backend_pid()").value(), pid);
    w.terminate(&first);
    let next = w.connect("next");
    assert_ne!(w.run(&next, "select pg_backend_pid()").value(), pid);
    w.terminate(&next);
    w.wait("idle ones grow old", LIMIT, |w| w.server_connections(PRIMARY) == 0);
}

/// A limit that is lowered closes what is idle beyond it.
pub fn a_lowered_limit_closes_what_is_idle(w: &mut impl World) {
    let clients = [w.connect("one"), w.connect("two"), w.connect("three")];
    for client in &clients {
        w.run(client, "select 1");
    }
    assert_eq!(w.server_connections(PRIMARY), 3);
    let [one, two, three] = clients;
    w.terminate(&one);
    w.terminate(&two);
    w.configure(&in_one_thread().set("pool_size_max = 2"));
    w.signal(Signal::Reload);
    w.wait("one is closed", LIMIT, |w| w.server_connections(PRIMARY) == 2);
    w.run(&three, "select 1");
    w.terminate(&three);
    let next = w.connect("next");
    w.run(&next, "select 1");
    assert!(w.server_connections(PRIMARY) <= 2);
}
