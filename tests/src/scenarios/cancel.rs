//! Cancel requests.

pub use super::pool::one_connection;
use crate::client::Client;
use crate::play::{Play, secs};
use crate::world::World;

/// Of two sleepers the one who is named wakes up.
pub fn a_cancel_reaches_its_session_and_no_other(w: &mut impl World) {
    let (one, other) = (w.connect("one"), w.connect("other"));
    w.query_start(&one, "select pg_sleep(600)");
    w.query_start(&other, "select pg_sleep(5)");
    cancel_until_answered(w, &one);
    assert_eq!(w.finish(&one).code(), "57014");
    assert!(!w.has_answer(&other), "the other sleeps on");
    w.finish(&other).good();
    for client in [&one, &other] {
        assert_eq!(w.run(client, "select 1").value(), "1");
    }
}

/// Among many sleepers exactly those are woken who are named.
pub fn cancels_under_load_reach_whom_they_name(w: &mut impl World) {
    let clients: Vec<Client> = (0..CROWD).map(|n| w.connect(&format!("app {n}"))).collect();
    for (n, client) in clients.iter().enumerate() {
        let span = if n % 2 == 0 { 600 } else { 10 };
        w.query_start(client, &format!("select pg_sleep({span})"));
    }
    for client in clients.iter().step_by(2) {
        cancel_until_answered(w, client);
    }
    for (n, client) in clients.iter().enumerate() {
        let expected = if n % 2 == 0 { "57014" } else { "" };
        assert_eq!(w.finish(client).code(), expected, "client {n}");
    }
    for client in &clients {
        w.run(client, "select 1");
    }
}

/// Whoever does not know the key cannot cancel, and learns nothing.
pub fn a_cancel_with_a_wrong_key_does_nothing(w: &mut impl World) {
    let app = w.connect("app");
    w.query_start(&app, "select pg_sleep(2)");
    let (process, mut secret) = app.state().key.clone().expect("logged in");
    secret[0] ^= 1;
    w.cancel_key(process, &secret);
    secret[0] ^= 1;
    w.cancel_key(process.wrapping_add(1), &secret);
    w.cancel_key(process, &secret[..1]);
    w.finish(&app).good();
}

/// A cancel that comes after its client has left must not hit the client who has the server
/// connection now.
pub fn a_late_cancel_does_not_hit_the_next_client(w: &mut impl World) {
    let gone = w.connect("gone");
    w.run(&gone, "select 1");
    let (process, secret) = gone.state().key.clone().expect("logged in");
    w.terminate(&gone);
    let next = w.connect("next");
    w.query_start(&next, "select pg_sleep(2)");
    for _ in 0..3 {
        w.cancel_key(process, &secret);
    }
    w.finish(&next).good();
}

/// Cancels until there is an answer: a cancel that comes before its query is run does nothing, as
/// with any server.
fn cancel_until_answered(w: &mut impl World, client: &Client) {
    while !w.has_answer(client) {
        w.cancel(client);
        let end = w.now() + secs(1);
        while w.now() < end && !w.has_answer(client) {
            w.step();
        }
    }
}

/// How many sleep at once.
const CROWD: usize = 12;
