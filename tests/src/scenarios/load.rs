//! Many at once, and much at once.

use crate::client::{Client, Login};
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{ServerAuth, Setup, World};

/// Twenty connections for a crowd. Clients prove who they are in a way that costs them little.
#[must_use]
pub fn twenty_shared() -> Setup {
    Setup::weights(&[1.0, 0.0, 0.0])
        .set("pool_mode = \"transaction\"")
        .set(&format!("pool_size_max = {TWENTY}"))
        .auth(ServerAuth::Md5)
}

/// One thread for everybody.
#[must_use]
pub fn one_thread() -> Setup {
    Setup::weights(&[1.0, 0.0, 0.0])
        .set("pool_mode = \"transaction\"")
        .set("pool_size_max = 4")
        .set("worker_threads = 1")
}

/// Everybody comes at once, is let in, asks at once, and is answered over a few connections.
pub fn a_storm_of_logins_and_queries(w: &mut impl World) {
    let login = Login::app("storm");
    let crowd: Vec<Client> = (0..w.scale().crowd).map(|_| w.begin_login(&login)).collect();
    wait_for_all(w, &crowd, "everybody is let in");
    for client in &crowd {
        w.finish_login(client).expect("there is room");
    }
    for (n, client) in crowd.iter().enumerate() {
        w.query_start(client, &format!("select {n}"));
    }
    wait_for_all(w, &crowd, "everybody is answered");
    for (n, client) in crowd.iter().enumerate() {
        assert_eq!(w.finish(client).value(), n.to_string());
    }
    let count = w.server_connections(PRIMARY);
    assert!(count <= TWENTY, "{count} connections");
}

/// Results without end on some connections of a thread; on another of them, questions that are
/// answered all the while.
pub fn small_answers_pass_beside_large_ones(w: &mut impl World) {
    let scale = w.scale();
    let (rows, before) = (scale.bulk_len / LARGE / ROW_LEN, w.memory());
    let large: Vec<Client> = (0..LARGE).map(|n| w.connect(&format!("large {n}"))).collect();
    let small = w.connect("small");
    w.run(&small, "select 1");
    for client in &large {
        client.keep_no_data();
        let row = format!("select repeat('x', {ROW_LEN})");
        w.query_start(client, &format!("{row} from generate_series(1, {rows})"));
    }
    let (mut answers, mut asked, mut peak) = (0, None, 0);
    w.wait("the large results have come", BULK_LIMIT, |w| {
        match asked {
            None => {
                w.query_start(&small, "select 7");
                asked = Some(w.now());
            }
            Some(since) if w.has_answer(&small) => {
                assert_eq!(w.finish(&small).value(), "7");
                let waited = w.now() - since;
                assert!(waited < SMALL_LIMIT, "an answer took {waited:?}");
                peak = peak.max(w.memory());
                answers += 1;
                asked = None;
            }
            Some(_) => {}
        }
        large.iter().all(|client| w.has_answer(client))
    });
    for client in &large {
        assert_eq!(w.finish(client).good().tags(), [format!("SELECT {rows}")]);
        assert_eq!(client.state().data_count, rows as u64);
    }
    assert!(answers >= SMALL_MIN, "{answers} small answers beside the large ones");
    assert!(peak < before + scale.growth_len_max, "{before} grew to {peak}");
}

/// Waits until every client has an answer.
fn wait_for_all(w: &mut impl World, clients: &[Client], what: &str) {
    let mut waiting: Vec<&Client> = clients.iter().collect();
    w.wait(what, LIMIT, |w| {
        waiting.retain(|client| !w.has_answer(client));
        waiting.is_empty()
    });
}

/// Connections for a crowd.
const TWENTY: usize = 20;
/// Large results at once.
const LARGE: usize = 2;
/// Characters of a row of theirs.
const ROW_LEN: usize = 1000;
/// Small answers that come meanwhile, at least: a result that kept others waiting would let one by.
const SMALL_MIN: usize = 5;
/// How long a small answer may take: much less than the large ones, and enough for a busy machine.
const SMALL_LIMIT: std::time::Duration = secs(10);
/// A gigabyte through a build without optimisation on a busy machine.
const BULK_LIMIT: std::time::Duration = secs(600);
