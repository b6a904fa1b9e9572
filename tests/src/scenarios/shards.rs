//! Threads that share limits of connections.

use super::spread::thread_of;
use crate::client::Client;
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{Setup, Signal, World};

/// Clients of two threads take turns with four connections.
pub fn four_for_two() -> Setup {
    shared(2, 4)
}

/// Clients of two threads take turns with one connection.
pub fn one_for_two() -> Setup {
    shared(2, 1)
}

/// Clients of four threads take turns with two connections.
pub fn two_for_four() -> Setup {
    shared(4, 2)
}

fn shared(threads: usize, size_max: usize) -> Setup {
    Setup::weights(&[1.0, 0.0, 0.0])
        .set(&format!("worker_threads = {threads}"))
        .set("pool_mode = \"transaction\"")
        .set(&format!("pool_size_max = {size_max}"))
}

/// So many clients of each thread, one of each after another.
fn clients(w: &mut impl World, threads: usize, each: usize) -> Vec<Client> {
    let mut of_threads: Vec<Vec<Client>> = (0..threads).map(|_| Vec::new()).collect();
    let mut count = 0;
    while of_threads.iter().any(|own| own.len() < each) {
        assert!(count < 4 * threads * each, "a thread gets no clients");
        count += 1;
        let client = w.connect(&format!("client {count}"));
        match of_threads.get_mut(thread_of(&client)) {
            Some(own) if own.len() < each => own.push(client),
            Some(_) | None => w.terminate(&client),
        }
    }
    let mut clients = Vec::new();
    for _ in 0..each {
        clients.extend(of_threads.iter_mut().filter_map(Vec::pop));
    }
    clients
}

/// Begins a transaction for each of some clients, and waits until all have their connections.
fn all_begin<'a>(w: &mut impl World, clients: impl Iterator<Item = &'a Client>, limit: usize) {
    let clients: Vec<&Client> = clients.collect();
    for client in &clients {
        w.query_start(client, "begin");
    }
    w.wait("all have connections", secs(5), |w| {
        assert!(w.server_connections(PRIMARY) <= limit);
        clients.iter().all(|client| w.has_answer(client))
    });
    for client in &clients {
        w.finish(client).good();
    }
}

/// The clients of one thread get all connections, and those of the other one after them.
pub fn one_thread_may_have_every_connection(w: &mut impl World) {
    let clients = clients(w, 2, 4);
    for _ in 0..2 {
        for odd in [0, 1] {
            let of_one = || clients.iter().skip(odd).step_by(2);
            all_begin(w, of_one(), 4);
            for client in of_one() {
                w.run(client, "commit");
            }
        }
    }
    assert!(w.server_connections(PRIMARY) <= 4);
}

/// A client of a thread without a connection is served although another thread has always
/// somebody in line.
pub fn a_thread_without_connections_has_its_turn(w: &mut impl World) {
    let clients = clients(w, 2, 3);
    let busy: Vec<&Client> = clients.iter().step_by(2).collect();
    for client in &busy {
        w.query_start(client, "select 1");
    }
    for waiting in clients.iter().skip(1).step_by(2) {
        w.query_start(waiting, "select 2");
        w.wait("it has its turn", secs(5), |w| {
            assert!(w.server_connections(PRIMARY) <= 1);
            for client in &busy {
                if w.has_answer(client) {
                    w.finish(client).good();
                    w.query_start(client, "select 1");
                }
            }
            w.has_answer(waiting)
        });
        w.finish(waiting).good();
    }
    for client in &busy {
        w.finish(client).good();
    }
}

/// With more threads than connections, everybody is served.
pub fn more_threads_than_connections(w: &mut impl World) {
    let clients = clients(w, 4, 3);
    for _ in 0..3 {
        for client in &clients {
            w.query_start(client, "select 1");
        }
        w.wait("all are served", LIMIT, |w| {
            assert!(w.server_connections(PRIMARY) <= 2);
            clients.iter().all(|client| w.has_answer(client))
        });
        for client in &clients {
            w.finish(client).good();
        }
    }
}

/// A limit is lowered and raised while one thread has all of it.
pub fn a_limit_changes_while_it_is_lent(w: &mut impl World) {
    let clients = clients(w, 2, 6);
    let of_one = || clients.iter().step_by(2);
    all_begin(w, of_one().take(4), 4);
    w.configure(&shared(2, 2));
    w.signal(Signal::Reload);
    w.never("a connection is opened", secs(1), |w| w.server_connections(PRIMARY) > 4);
    for client in of_one().take(4) {
        w.run(client, "commit");
    }
    w.wait("two are closed", LIMIT, |w| w.server_connections(PRIMARY) <= 2);
    for odd in [0, 1] {
        let of_one = || clients.iter().skip(odd).step_by(2).take(2);
        all_begin(w, of_one(), 2);
        for client in of_one() {
            w.run(client, "commit");
        }
    }
    w.configure(&shared(2, 6));
    w.signal(Signal::Reload);
    all_begin(w, of_one(), 6);
    for client in of_one() {
        w.run(client, "commit");
    }
}
