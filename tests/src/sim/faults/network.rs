//! The way to the servers is slow, or leads in one direction only; and a server has no more room.

use std::time::Duration;

use pgherd_sim::{Fault, Pace};

use super::{HEIR, OTHER, STANDBYS, begin, end_patiently, scenario};
use crate::admin::Admin;
use crate::play::{PRIMARY, Play, secs};
use crate::scenarios::Scenario;
use crate::scenarios::failover::{
    admin_again, is_promoted, wait_any_heir, wait_heir, write_at_last,
};
use crate::scenarios::switchover::ask;
use crate::sim::Sim;
use crate::world::World;

/// A way around half the world: a login with a password takes less than the two seconds for which
/// the scenarios wait.
const SLOW: Pace = Pace { latency: Duration::from_millis(120), window_len: 16 * 1024 };

/// Lists the scenarios.
pub(super) fn all() -> Vec<Scenario<Sim>> {
    vec![
        scenario("a_slow_network_costs_no_server", a_slow_network_costs_no_server),
        scenario("a_loss_is_found_over_a_slow_network", a_loss_is_found_over_a_slow_network),
        scenario("a_switchover_over_a_slow_network", a_switchover_over_a_slow_network),
        scenario("one_slow_standby_slows_nobody_else", one_slow_standby_slows_nobody_else),
        scenario("a_primary_that_nothing_reaches", a_primary_that_nothing_reaches),
        scenario("a_standby_that_nothing_reaches", a_standby_that_nothing_reaches),
        scenario("a_standby_that_is_not_heard", a_standby_that_is_not_heard),
        scenario("a_standby_that_is_full", a_standby_that_is_full),
    ]
}

fn slow_down(w: &mut Sim) {
    for node in 0..=STANDBYS {
        w.simulation().befall(node, Fault::Pace(Some(SLOW)));
    }
}

/// Servers that answer late answer: nobody is lost, also while large answers are on their way.
fn a_slow_network_costs_no_server(w: &mut Sim) {
    begin(w);
    slow_down(w);
    let (admin, reader) = (w.connect("admin"), w.connect("reader"));
    w.query_start(&reader, "select repeat('x', 1000) from generate_series(1, 60)");
    w.never("a server is lost", secs(15), |w| {
        w.pool_nodes(&admin).iter().any(|node| !node.is_up()) || is_promoted(w, HEIR)
    });
    assert_eq!(w.finish(&reader).good().tags(), ["SELECT 60"]);
    w.run(&admin, "insert into t values (1)");
    assert!(!is_promoted(w, OTHER));
}

/// It takes a little longer, and no more.
fn a_loss_is_found_over_a_slow_network(w: &mut Sim) {
    begin(w);
    slow_down(w);
    let writer = w.connect("writer");
    w.run(&writer, "insert into t values (1)");
    w.wait_truth(HEIR, "select count(*) from t", "1");
    w.crash(PRIMARY);
    let heir = wait_any_heir(w, PRIMARY);
    write_at_last(w, &writer, "insert into t values (2)");
    assert_eq!(w.truth(heir, "select sum(n) from t"), "3");
}

/// It is over within its time, one way or the other, and costs nobody an error.
fn a_switchover_over_a_slow_network(w: &mut Sim) {
    begin(w);
    slow_down(w);
    let late = w.connect("late");
    let mut operator = Admin::enter(w);
    ask(w, &operator, HEIR);
    operator.await_notice(w, "new transactions wait");
    w.query_start(&late, "insert into t values (1)");
    let said = end_patiently(w, &mut operator);
    assert_eq!(w.finish(&late).good().tags(), ["INSERT 0 1"]);
    let primary = if said.is_error() { PRIMARY } else { HEIR };
    w.run(&late, "insert into t values (2)");
    assert_eq!(w.truth(primary, "select sum(n) from t"), "3", "{said:?}");
}

/// Whoever has nothing to do with a slow server waits for nothing.
fn one_slow_standby_slows_nobody_else(w: &mut Sim) {
    begin(w);
    let pace = Pace { latency: Duration::from_millis(900), ..SLOW };
    w.simulation().befall(OTHER, Fault::Pace(Some(pace)));
    let writer = w.connect("writer");
    for _ in 0..20 {
        let began = w.now();
        w.run(&writer, "insert into t values (1)");
        assert!(w.now() - began < Duration::from_millis(500), "a write waits for a standby");
    }
    for node in [HEIR, OTHER] {
        w.wait_truth(node, "select count(*) from t", "20");
    }
    w.crash(PRIMARY);
    wait_heir(w, HEIR);
    write_at_last(w, &writer, "insert into t values (1)");
    assert!(!is_promoted(w, OTHER));
}

/// What it says arrives, and nothing reaches it: it is lost for pgherd, and for nobody else. As long
/// as others write there, the standbys receive that, and nobody is promoted.
fn a_primary_that_nothing_reaches(w: &mut Sim) {
    begin(w);
    let admin = w.connect("admin");
    w.simulation().befall(PRIMARY, Fault::Deafen);
    w.wait_down(&admin, PRIMARY);
    for _ in 0..40 {
        w.sql(PRIMARY, "insert into t values (1)").expect("it lives");
        w.never("somebody is promoted", super::PAUSE, |w| {
            is_promoted(w, HEIR) || is_promoted(w, OTHER)
        });
    }
    w.simulation().befall(PRIMARY, Fault::Undeafen);
    w.wait_primary(&admin, PRIMARY);
    let app = w.connect("app");
    write_at_last(w, &app, "insert into t values (2)");
}

/// It is left alone until it is reached again.
fn a_standby_that_nothing_reaches(w: &mut Sim) {
    is_left_alone(w, Fault::Deafen, Fault::Undeafen);
}

/// It is left alone until it is heard again.
fn a_standby_that_is_not_heard(w: &mut Sim) {
    is_left_alone(w, Fault::Mute, Fault::Unmute);
}

fn is_left_alone(w: &mut Sim, fault: Fault, end: Fault) {
    begin(w);
    let admin = w.connect("admin");
    w.simulation().befall(HEIR, fault);
    w.wait_down(&admin, HEIR);
    for n in 0..4 {
        let app = w.connect("app");
        w.run(&app, &format!("insert into t values ({n})"));
        w.run(&app, "select count(*) from t");
    }
    assert!(w.pool_nodes(&admin)[PRIMARY].is_up());
    w.simulation().befall(HEIR, end);
    w.wait_up(&admin, HEIR);
    assert!(!is_promoted(w, HEIR) && !is_promoted(w, OTHER));
}

/// A standby that has no room for whoever looks at it (53300) lives; the sessions for whom it has none
/// read elsewhere.
fn a_standby_that_is_full(w: &mut Sim) {
    begin(w);
    let admin = w.connect("admin");
    w.simulation().befall(HEIR, Fault::TurnAway);
    w.simulation().befall(HEIR, Fault::TerminateSessions);
    w.never("a node is lost", secs(8), |w| {
        let nodes = w.pool_nodes(&admin);
        !nodes[PRIMARY].is_up() || !nodes[OTHER].is_up()
    });
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    w.simulation().befall(HEIR, Fault::Admit);
    w.wait_up(&admin, HEIR);
    assert!(!is_promoted(w, HEIR) && !is_promoted(w, OTHER));
}
