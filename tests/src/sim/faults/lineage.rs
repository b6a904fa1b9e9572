//! Servers that are of another cluster, and standbys that follow somebody else than the primary.

use std::time::Duration;

use pgherd_sim::{Fault, Obedience};

use super::{HEIR, OTHER, STANDBYS, begin, go_on_switching_in_vain, scenario};
use crate::admin::Admin;
use crate::client::Login;
use crate::play::{PRIMARY, Play, secs};
use crate::scenarios::Scenario;
use crate::scenarios::demotion::count;
use crate::scenarios::failover::{
    admin_again, is_promoted, promote, wait_heir, write_at_last, write_to_heir,
};
use crate::scenarios::{recovery_command, switchover};
use crate::sim::Sim;
use crate::world::{Setup, World};

/// Between two writes to an old primary. More often than anything looks.
const PACE: Duration = Duration::from_millis(100);

/// Lists the scenarios.
pub(super) fn all() -> Vec<Scenario<Sim>> {
    vec![
        Scenario {
            name: "a_primary_of_another_cluster_is_left_alone",
            setup: recovering,
            play: a_primary_of_another_cluster_is_left_alone,
        },
        Scenario {
            name: "a_standby_of_another_cluster_is_not_promoted",
            setup: prefer_other,
            play: a_standby_of_another_cluster_is_not_promoted,
        },
        scenario("the_cluster_is_remembered", the_cluster_is_remembered),
        scenario("of_two_clusters_none_is_served_unasked", of_two_clusters_none_is_served_unasked),
        scenario("a_standby_of_a_rival_serves_nobody", a_standby_of_a_rival_serves_nobody),
        scenario(
            "a_standby_that_turns_to_a_rival_serves_no_longer",
            a_standby_that_turns_to_a_rival_serves_no_longer,
        ),
        Scenario {
            name: "a_standby_of_a_rival_is_not_promoted",
            setup: three,
            play: a_standby_of_a_rival_is_not_promoted,
        },
        Scenario {
            name: "a_standby_of_an_old_primary_holds_nobody_up",
            setup: three,
            play: a_standby_of_an_old_primary_holds_nobody_up,
        },
        scenario(
            "a_switchover_is_undone_beside_another_cluster",
            a_switchover_is_undone_beside_another_cluster,
        ),
        scenario("no_switchover_is_begun_beside_a_rival", no_switchover_is_begun_beside_a_rival),
        scenario(
            "a_cluster_that_is_made_anew_is_attached",
            a_cluster_that_is_made_anew_is_attached,
        ),
        scenario(
            "a_fence_is_forgotten_that_has_no_reason",
            a_fence_is_forgotten_that_has_no_reason,
        ),
        scenario("a_foreign_server_that_starts_first", a_foreign_server_that_starts_first),
    ]
}

/// Three standbys.
fn three() -> Setup {
    Setup { standbys: 3, ..promote() }
}

fn recovering() -> Setup {
    recovery_command::by_command()
}

fn prefer_other() -> Setup {
    promote().of_node(OTHER, "priority = 2")
}

/// Makes a server of its own of a node, of another cluster.
fn make_foreign(w: &mut Sim, node: usize) {
    w.simulation().befall(node, Fault::Secede(PRIMARY));
    w.simulation().befall(node, Fault::Disown);
}

fn wait_quarantine(w: &mut Sim, node: usize) {
    let admin = admin_again(w);
    w.wait("it is in quarantine", secs(30), |w| w.pool_nodes(&admin)[node].status == "quarantine");
    w.terminate(&admin);
}

/// Somebody else's server at the address of a standby: it serves nobody, nobody makes a standby of it,
/// and it is not the next primary. When it is a standby of this cluster, it serves.
fn a_primary_of_another_cluster_is_left_alone(w: &mut Sim) {
    begin(w);
    make_foreign(w, OTHER);
    wait_quarantine(w, OTHER);
    let app = admin_again(w);
    w.never("it serves", secs(20), |w| w.pool_nodes(&app)[OTHER].is_up());
    assert_eq!(count(w, "rebuild"), 0, "{:?}", w.commands());
    w.crash(PRIMARY);
    let app = write_to_heir(w, HEIR, "insert into t values (1)");
    w.never("it serves", secs(20), |w| w.pool_nodes(&app)[OTHER].is_up());
    assert_eq!(w.truth(OTHER, "select count(*) from t"), "0", "nothing is written there");
    assert_eq!(count(w, &format!("rebuild {OTHER}")), 0, "{:?}", w.commands());
    w.rejoin(OTHER, HEIR);
    w.wait_up(&app, OTHER);
    w.wait_truth(OTHER, "select count(*) from t", "1");
}

/// It has as much WAL as the other one, by its numbers, and a greater priority.
fn a_standby_of_another_cluster_is_not_promoted(w: &mut Sim) {
    begin(w);
    w.simulation().befall(OTHER, Fault::Disown);
    wait_quarantine(w, OTHER);
    w.crash(PRIMARY);
    let app = write_to_heir(w, HEIR, "insert into t values (1)");
    w.never("it is used", secs(20), |w| is_promoted(w, OTHER) || w.pool_nodes(&app)[OTHER].is_up());
}

/// A server of another cluster is there when pgherd is started anew, and the primary is not.
fn the_cluster_is_remembered(w: &mut Sim) {
    begin(w);
    make_foreign(w, OTHER);
    wait_quarantine(w, OTHER);
    w.crash(PRIMARY);
    w.kill();
    let app = w.connect("app");
    write_at_last(w, &app, "insert into t values (1)");
    w.wait_truth(HEIR, "select count(*) from t", "1");
    assert_eq!(w.truth(OTHER, "select count(*) from t"), "0");
}

/// Nothing is known of what was served before, as at the very first start: nobody is written to until
/// somebody has decided.
fn of_two_clusters_none_is_served_unasked(w: &mut Sim) {
    begin(w);
    make_foreign(w, OTHER);
    w.crash(PRIMARY);
    w.forget();
    w.kill();
    let admin = admin_again(w);
    w.never("somebody is the primary", secs(20), |w| {
        w.pool_nodes(&admin).iter().any(|node| node.role == "primary")
    });
    w.crash(OTHER);
    w.start(PRIMARY);
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    assert_eq!(w.truth(PRIMARY, "select count(*) from t"), "1");
}

/// Somebody has promoted a standby beside the primary, and another one follows that.
fn a_standby_of_a_rival_serves_nobody(w: &mut Sim) {
    begin(w);
    w.crash(OTHER);
    w.simulation().befall(HEIR, Fault::Promote);
    wait_quarantine(w, HEIR);
    w.simulation().befall(OTHER, Fault::Follow(HEIR));
    wait_quarantine(w, OTHER);
    let app = admin_again(w);
    w.never("it serves", secs(20), |w| w.pool_nodes(&app)[OTHER].is_up());
    w.run(&app, "insert into t values (1)");
    w.rejoin(OTHER, PRIMARY);
    w.wait_up(&app, OTHER);
    w.wait_truth(OTHER, "select count(*) from t", "1");
}

/// The same of one that has served until then: it does not go on.
fn a_standby_that_turns_to_a_rival_serves_no_longer(w: &mut Sim) {
    begin(w);
    let point = format!("alter system set primary_conninfo = 'host=node{HEIR} port=5432'");
    for sql in [point.as_str(), "select pg_reload_conf()"] {
        w.sql(OTHER, sql).expect("the standby is well");
    }
    let app = admin_again(w);
    w.run(&app, "insert into t values (1)");
    w.wait_truth(OTHER, "select count(*) from t", "1");
    w.never("it is out", secs(4), |w| !w.pool_nodes(&app)[OTHER].is_up());
    w.simulation().befall(HEIR, Fault::Promote);
    wait_quarantine(w, OTHER);
    w.never("it serves", secs(20), |w| w.pool_nodes(&app)[OTHER].is_up());
}

/// A server that was started as a primary, on the timeline of the primary, has written more than that.
/// Its standby has most bytes of WAL, and it is of another history.
fn a_standby_of_a_rival_is_not_promoted(w: &mut Sim) {
    const LAST: usize = 3;
    let admin = w.connect("admin");
    w.table(&admin, "t", LAST);
    w.simulation().befall(OTHER, Fault::Secede(PRIMARY));
    wait_quarantine(w, OTHER);
    w.simulation().befall(LAST, Fault::Follow(OTHER));
    wait_quarantine(w, LAST);
    for n in 0..9 {
        w.sql(OTHER, &format!("insert into t values ({n})")).expect("it takes writes");
    }
    w.wait_truth(LAST, "select count(*) from t", "9");
    w.run(&admin, "insert into t values (100)");
    w.wait_truth(HEIR, "select count(*) from t", "1");
    w.crash(OTHER);
    w.crash(PRIMARY);
    let app = write_to_heir(w, HEIR, "insert into t values (101)");
    assert_eq!(w.truth(HEIR, "select sum(n) from t"), "201");
    w.never("it is used", secs(20), |w| is_promoted(w, LAST) || w.pool_nodes(&app)[LAST].is_up());
}

/// The old primary is back, is written to past pgherd, and a standby still follows it. That does not
/// mean that the primary lives, when the next one dies.
fn a_standby_of_an_old_primary_holds_nobody_up(w: &mut Sim) {
    const LAST: usize = 3;
    let admin = w.connect("admin");
    w.table(&admin, "t", LAST);
    w.crash(LAST);
    w.crash(PRIMARY);
    write_to_heir(w, HEIR, "insert into t values (1)");
    w.wait_truth(OTHER, "select count(*) from t", "1");
    w.start(PRIMARY);
    wait_quarantine(w, PRIMARY);
    w.simulation().befall(LAST, Fault::Resist);
    w.start(LAST);
    wait_quarantine(w, LAST);
    w.crash(HEIR);
    let mut next = w.now();
    w.wait("another is promoted", secs(60), |w| {
        if w.now() >= next {
            w.sql(PRIMARY, "insert into t values (7)").expect("it takes writes");
            next = w.now() + PACE;
        }
        is_promoted(w, OTHER)
    });
    write_to_heir(w, OTHER, "insert into t values (2)");
    assert_eq!(w.truth(OTHER, "select sum(n) from t"), "3");
}

/// A server of another cluster does not keep the old primary from taking writes again.
fn a_switchover_is_undone_beside_another_cluster(w: &mut Sim) {
    begin(w);
    make_foreign(w, OTHER);
    wait_quarantine(w, OTHER);
    go_on_switching_in_vain(w, Obedience::Refused);
}

/// It could not be undone.
fn no_switchover_is_begun_beside_a_rival(w: &mut Sim) {
    begin(w);
    w.simulation().befall(OTHER, Fault::Promote);
    wait_quarantine(w, OTHER);
    let mut operator = Admin::enter(w);
    switchover::ask(w, &operator, HEIR);
    let said = operator.end(w);
    assert!(said.is_error() && said.field('D').contains("make that a standby first"), "{said:?}");
    let app = admin_again(w);
    w.run(&app, "insert into t values (1)");
}

/// All servers are restored from elsewhere while pgherd runs. They are strangers to it, until the
/// operator lets the primary in.
fn a_cluster_that_is_made_anew_is_attached(w: &mut Sim) {
    begin(w);
    let admin = w.connect("admin");
    for node in 0..=STANDBYS {
        w.simulation().befall(node, Fault::Disown);
    }
    for node in 0..=STANDBYS {
        w.wait("it is a stranger", secs(30), |w| w.pool_nodes(&admin)[node].status == "quarantine");
    }
    let mut operator = Admin::enter(w);
    let said = operator.ask(w, b'C', format!("{HEIR}\0").as_bytes());
    assert!(said.is_error(), "a standby is not what is to be served: {said:?}");
    let said = operator.ask(w, b'C', format!("{PRIMARY}\0").as_bytes());
    assert!(!said.is_error(), "{said:?}");
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    for node in 1..=STANDBYS {
        w.wait_up(&app, node);
        w.wait_truth(node, "select count(*) from t", "1");
    }
}

/// When machine and servers start, somebody else's is there before all others. It is not the primary.
fn a_foreign_server_that_starts_first(w: &mut Sim) {
    begin(w);
    make_foreign(w, OTHER);
    wait_quarantine(w, OTHER);
    w.crash(HEIR);
    w.crash(PRIMARY);
    w.kill();
    w.never("it lets somebody in", secs(20), |w| w.try_connect(&Login::app("early")).is_ok());
    w.start(PRIMARY);
    w.start(HEIR);
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    assert_eq!(w.truth(PRIMARY, "select count(*) from t"), "1");
    w.never("it serves", secs(8), |w| w.pool_nodes(&app)[OTHER].is_up());
}

/// An old primary was kept out. While pgherd is away, somebody makes it the primary again and has the
/// others follow it: it serves.
fn a_fence_is_forgotten_that_has_no_reason(w: &mut Sim) {
    begin(w);
    w.crash(PRIMARY);
    wait_heir(w, HEIR);
    w.start(PRIMARY);
    wait_quarantine(w, PRIMARY);
    w.simulation().befall(PRIMARY, Fault::Secede(HEIR));
    w.rejoin(HEIR, PRIMARY);
    w.rejoin(OTHER, PRIMARY);
    w.kill();
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    assert_eq!(w.truth(PRIMARY, "select count(*) from t"), "1");
    w.wait_truth(OTHER, "select count(*) from t", "1");
}
