//! What an operator does: look, reload, shut down.

pub use super::routing::primary_only;
use crate::client::Login;
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{Setup, Signal, World};

const STANDBYS: usize = 2;

/// The nodes, by the simple and by the extended protocol, and also in a transaction.
pub fn show_pool_nodes_by_both_protocols(w: &mut impl World) {
    let app = w.connect("app");
    for node in 0..=STANDBYS {
        w.wait_up(&app, node);
    }
    let nodes = w.pool_nodes(&app);
    assert_eq!(nodes.len(), STANDBYS + 1);
    let roles: Vec<&str> = nodes.iter().map(|node| node.role.as_str()).collect();
    assert_eq!(roles, ["primary", "standby", "standby"]);
    let sum: f64 = nodes.iter().map(|node| node.weight).sum();
    assert!((sum - 1.0).abs() < 1e-3, "weights are shares: {nodes:?}");

    let simple = w.run(&app, "SHOW pool_nodes;");
    let extended = w.extended(&app, "show pool_nodes", &[]).good();
    assert_eq!(extended.shape(), format!("12T{}C", "D".repeat(nodes.len())));
    assert_eq!(simple.columns(), extended.columns());
    assert_eq!(simple.columns()[0], "node_id");
    w.run(&app, "begin");
    let inside = w.run(&app, "show pool_nodes");
    assert_eq!((inside.status, inside.rows().len()), (Some(b'T'), nodes.len()));
    w.run(&app, "commit");
}

/// The version.
pub fn show_pool_version(w: &mut impl World) {
    let app = w.connect("app");
    let simple = w.run(&app, "show pool_version");
    assert_eq!(simple.columns(), ["pool_version"]);
    assert!(simple.value().contains("pgherd"), "{}", simple.value());
    assert_eq!(w.extended(&app, "show pool_version", &[]).good().value(), simple.value());
}

/// What pgherd does not know may be a setting of the server's.
pub fn an_unknown_show_is_refused_by_the_server(w: &mut impl World) {
    let app = w.connect("app");
    assert_eq!(w.query(&app, "show pool_party").code(), "42704");
    w.run(&app, "show work_mem");
}

/// SIGTERM: nobody new comes in, what is under way is finished, then pgherd ends.
pub fn a_smart_shutdown_lets_a_transaction_finish(w: &mut impl World) {
    let busy = w.connect("busy");
    w.run(&busy, "create table finished (n int)");
    w.run(&busy, "begin");
    w.run(&busy, "insert into finished values (1)");
    w.signal(Signal::Smart);
    w.wait("nobody new comes in", LIMIT, |w| {
        let late = w.begin_login(&Login::app("late"));
        let answer = w.finish(&late);
        w.vanish(&late);
        answer.status.is_none()
    });
    assert_eq!(w.exit_code(), None, "a transaction is under way");
    w.run(&busy, "insert into finished values (2)");
    assert_eq!(w.run(&busy, "commit").tags(), ["COMMIT"]);
    w.wait("pgherd ends", LIMIT, |w| w.exit_code().is_some());
    assert_eq!(w.exit_code(), Some(0));
    assert_eq!(w.truth(PRIMARY, "select count(*) from finished"), "2");
}

/// SIGINT: transactions are rolled back, and the clients are told why.
pub fn a_fast_shutdown_tells_the_clients(w: &mut impl World) {
    let (busy, idle) = (w.connect("busy"), w.connect("idle"));
    w.run(&busy, "create table interrupted (n int)");
    w.run(&busy, "begin");
    w.run(&busy, "insert into interrupted values (1)");
    w.signal(Signal::Fast);
    w.wait("pgherd ends", LIMIT, |w| w.exit_code().is_some());
    assert_eq!(w.exit_code(), Some(0));
    for client in [&busy, &idle] {
        w.wait("the connection is closed", LIMIT, |w| w.is_gone(client));
        let fields = client.dismissal().expect("the client is told");
        assert_eq!(fields.code(), "57P01", "{fields}");
    }
    w.wait_truth(PRIMARY, "select count(*) from interrupted", "0");
}

/// A smart shutdown that is not patient for long.
#[must_use]
pub fn short_shutdown() -> Setup {
    Setup::default().set("shutdown_timeout = \"2s\"")
}

/// SIGTERM, and a transaction that does not end: at the limit it is rolled back, and its client
/// told why.
pub fn a_smart_shutdown_gives_up_at_its_limit(w: &mut impl World) {
    let busy = w.connect("busy");
    w.run(&busy, "create table given_up (n int)");
    w.run(&busy, "begin");
    w.run(&busy, "insert into given_up values (1)");
    w.signal(Signal::Smart);
    let asked = w.now();
    w.wait("the connection is closed", LIMIT, |w| w.is_gone(&busy));
    assert!(w.now() - asked >= secs(2), "it has its time: {:?}", w.now() - asked);
    let fields = busy.dismissal().expect("the client is told");
    assert_eq!(fields.code(), "57P01", "{fields}");
    w.wait("pgherd ends", LIMIT, |w| w.exit_code().is_some());
    assert_eq!(w.exit_code(), Some(0));
    w.wait_truth(PRIMARY, "select count(*) from given_up", "0");
}

/// SIGQUIT: no client is waited for, not even one in the middle of a transaction.
pub fn an_immediate_shutdown_ends_at_once(w: &mut impl World) {
    let (busy, idle) = (w.connect("busy"), w.connect("idle"));
    w.run(&busy, "create table cut_off (n int)");
    w.run(&busy, "begin");
    w.run(&busy, "insert into cut_off values (1)");
    w.signal(Signal::Immediate);
    w.wait("pgherd ends", LIMIT, |w| w.exit_code().is_some());
    assert_eq!(w.exit_code(), Some(0));
    for client in [&busy, &idle] {
        w.wait("the connection is closed", LIMIT, |w| w.is_gone(client));
    }
    w.wait_truth(PRIMARY, "select count(*) from cut_off", "0");
}

/// A weight that changes takes effect for new sessions; those that are there stay.
pub fn a_reload_changes_a_weight(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "reloaded", STANDBYS);
    assert!(w.pool_nodes(&app)[1].weight.abs() < 1e-6);
    w.configure(&Setup::weights(&[0.0, 1.0, 0.0]));
    w.signal(Signal::Reload);
    w.wait("the weight has changed", LIMIT, |w| (w.pool_nodes(&app)[1].weight - 1.0).abs() < 1e-6);
    let before = w.pool_nodes(&app)[1].select_count;
    // Each thread hears of it in its own time.
    w.wait("new sessions read there", LIMIT, |w| {
        let reader = w.connect("reader");
        w.run(&reader, "select count(*) from reloaded");
        w.terminate(&reader);
        w.pool_nodes(&app)[1].select_count > before
    });
    w.run(&app, "select count(*) from reloaded");
}
