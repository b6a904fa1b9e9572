//! Clients and the threads that serve them: who comes to which, and how many there may be.

use std::time::Duration;

use pgherd_core::limits;

use crate::client::{Client, Login};
use crate::play::{LIMIT, Play};
use crate::world::{ServerAuth, Setup, Signal, World};

const THREADS: usize = 4;

/// Longer than it takes until every thread knows how many clients the others have.
const NEWS_TIME: Duration = Duration::from_millis(150);

/// Four threads that share connections.
#[must_use]
pub fn four_threads() -> Setup {
    Setup::weights(&[1.0, 0.0, 0.0])
        .auth(ServerAuth::Trust)
        .set("pool_mode = \"transaction\"")
        .set("pool_size_max = 8")
        .set(&format!("worker_threads = {THREADS}"))
}

/// Four threads for ten clients.
#[must_use]
pub fn ten_for_four() -> Setup {
    at_most(10)
}

/// One thread for ten clients.
#[must_use]
pub fn ten_for_one() -> Setup {
    at_most(10).set("worker_threads = 1")
}

fn at_most(clients: usize) -> Setup {
    four_threads().set(&format!("client_max = {clients}"))
}

/// The number of the thread that serves a client. The upper bits of its cancel key say so.
pub(super) fn thread_of(client: &Client) -> usize {
    let (process, _) = client.state().key.clone().expect("the client is logged in");
    usize::try_from(process >> 20).expect("it is small") - 1
}

fn numbers(clients: &[Client]) -> Vec<usize> {
    let of = |thread| clients.iter().filter(|client| thread_of(client) == thread).count();
    (0..THREADS).map(of).collect()
}

/// Lets as much time pass as threads need to hear of one another.
fn news_spread(w: &mut impl World, clients: &[Client]) {
    w.never("somebody is sent away", NEWS_TIME, |w| clients.iter().any(|client| w.is_gone(client)));
}

/// Whichever door a client comes by, it is served where the fewest are; also where all have left.
pub fn a_client_goes_to_the_thread_with_the_fewest(w: &mut impl World) {
    let mut clients = Vec::new();
    for n in 0..3 * THREADS {
        clients.push(w.connect(&format!("client {n}")));
        news_spread(w, &clients);
        let numbers = numbers(&clients);
        let (most, least) = (numbers.iter().max(), numbers.iter().min());
        assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{numbers:?}");
    }
    for thread in [2, 0] {
        let (gone, left): (Vec<_>, Vec<_>) =
            clients.into_iter().partition(|client| thread_of(client) == thread);
        gone.iter().for_each(|client| w.terminate(client));
        clients = left;
        for n in 0..gone.len() {
            news_spread(w, &clients);
            let client = w.connect(&format!("another {n}"));
            assert_eq!(thread_of(&client), thread, "{:?}", numbers(&clients));
            clients.push(client);
        }
    }
    for (n, client) in clients.iter().enumerate() {
        assert_eq!(w.run(client, &format!("select {n}")).value(), n.to_string());
    }
}

/// Clients who come all at once are spread evenly, before any thread has heard of another.
pub fn a_crowd_is_spread_over_all_threads(w: &mut impl World) {
    let login = |n: usize| Login::app(&format!("client {n}"));
    let count = w.scale().crowd;
    let clients: Vec<Client> = (0..count).map(|n| w.begin_login(&login(n))).collect();
    for client in &clients {
        w.finish_login(client).expect("there is room for everybody");
    }
    let numbers = numbers(&clients);
    let apart = numbers.iter().max().zip(numbers.iter().min()).map(|(most, least)| most - least);
    // A busy machine lets a thread run late, and meanwhile it neither hears nor tells.
    let late = count / 20;
    let most = limits::CLIENTS_APART_MAX + limits::HEADCOUNT_STEP + THREADS + late;
    assert!(apart.is_some_and(|apart| apart <= most), "{numbers:?}");
}

/// Of more clients than there may be, as many get in as may, whatever threads they come to; whoever
/// comes when others have left gets in, and no more than have left.
pub fn client_max_is_kept_across_threads(w: &mut impl World) {
    keeps_client_max(w);
}

/// The same in one thread.
pub fn client_max_is_kept_in_one_thread(w: &mut impl World) {
    keeps_client_max(w);
}

fn keeps_client_max(w: &mut impl World) {
    let mut clients = storm(w, 30, 10);
    // Of all threads, of some, and all of them.
    for leave in [1, 4, 10] {
        let gone: Vec<Client> = clients.drain(..leave).collect();
        gone.iter().for_each(|client| w.terminate(client));
        clients.extend((0..leave).map(|_| let_in(w)));
        assert_full(w);
    }
    // Whoever has the thread of its own to thank for a place leaves it to others.
    let thread = thread_of(&clients[0]);
    let (gone, left): (Vec<_>, Vec<_>) =
        clients.into_iter().partition(|client| thread_of(client) == thread);
    gone.iter().for_each(|client| w.terminate(client));
    let mut clients = left;
    clients.extend((0..gone.len()).map(|_| let_in(w)));
    assert_full(w);
    for (n, client) in clients.iter().enumerate() {
        assert_eq!(w.run(client, &format!("select {n}")).value(), n.to_string());
    }
}

/// A lower limit sends nobody away, and lets nobody in until as many have left as are too many; a
/// higher one lets in the difference.
pub fn another_client_max_takes_effect(w: &mut impl World) {
    let mut clients = storm(w, 12, 10);
    w.configure(&at_most(4));
    w.signal(Signal::Reload);
    news_spread(w, &clients);
    for _ in 0..6 {
        assert_full(w);
        w.terminate(&clients.pop().expect("there are ten"));
    }
    news_spread(w, &clients);
    assert_full(w);
    w.terminate(&clients.pop().expect("there are four"));
    clients.push(let_in(w));
    assert_full(w);
    w.configure(&at_most(7));
    w.signal(Signal::Reload);
    clients.extend((0..3).map(|_| let_in(w)));
    assert_full(w);
    for client in &clients {
        assert_eq!(w.run(client, "select 1").value(), "1");
    }
}

/// So many clients come at once, of whom so many get in, and the others are told.
fn storm(w: &mut impl World, count: usize, room: usize) -> Vec<Client> {
    let login = |n: usize| Login::app(&format!("client {n}"));
    let clients: Vec<Client> = (0..count).map(|n| w.begin_login(&login(n))).collect();
    let mut inside = Vec::new();
    for client in clients {
        match w.finish_login(&client) {
            Ok(()) => inside.push(client),
            Err(fields) => assert_eq!(fields.code(), "53300", "{fields}"),
        }
    }
    assert_eq!(inside.len(), room);
    inside
}

/// Comes again and again until there is room.
fn let_in(w: &mut impl World) -> Client {
    let mut inside = None;
    w.wait("somebody gets in", LIMIT, |w| {
        inside = w.try_connect(&Login::app("another")).ok();
        inside.is_some()
    });
    inside.expect("waited for")
}

fn assert_full(w: &mut impl World) {
    let refused = w.try_connect(&Login::app("one too many")).expect_err("nobody has left");
    assert_eq!(refused.code(), "53300", "{refused}");
}
