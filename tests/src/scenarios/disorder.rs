//! Several things go wrong at once, or somebody else lends a hand.

pub use super::failover::promote;
use super::failover::{
    admin_again, is_promoted, other, wait_any_heir, wait_heir, write_at_last, write_to_heir,
};
pub use super::fences::only_the_first;
use crate::admin::{Admin, packet};
use crate::client::Client;
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::World;

const HEIR: usize = 1;
const OTHER: usize = 2;
const STANDBYS: usize = 2;

/// The standby that is left takes over, also if it is not the first one in line.
pub fn the_primary_and_a_standby_die_at_once(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.run(&admin, "insert into t values (1)");
    w.wait_truth(OTHER, "select count(*) from t", "1");
    w.crash(HEIR);
    w.crash(PRIMARY);
    write_to_heir(w, OTHER, "insert into t values (2)");
    assert_eq!(w.truth(OTHER, "select sum(n) from t"), "3");
    w.start(HEIR);
    w.wait_truth(HEIR, "select sum(n) from t", "3");
}

/// A primary that dies again and again is at last replaced or left alone: there is one primary, and
/// nothing that a standby had is lost.
pub fn a_primary_that_comes_and_goes(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "t", STANDBYS);
    let mut primary = PRIMARY;
    for round in 1..=4 {
        let app = admin_again(w);
        write_at_last(w, &app, "insert into t values (1)");
        primary = wait_any_primary(w);
        for node in 0..=STANDBYS {
            if is_standby(w, node) && w.pool_nodes(&app)[node].is_up() {
                w.wait_truth(node, "select count(*) from t", &round.to_string());
            }
        }
        w.crash(primary);
        w.start(primary);
    }
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    let last = wait_any_primary(w);
    assert_eq!(w.truth(last, "select count(*) from t"), "5", "after {primary}, {last}");
}

/// A standby that answers and receives nothing any more, because its disk is full for example, is
/// not the one that is promoted.
pub fn a_standby_that_receives_nothing_is_not_the_heir(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    write_past(w, &admin, HEIR);
    w.wait_truth(OTHER, "select count(*) from t", "1");
    w.crash(PRIMARY);
    write_to_heir(w, OTHER, "insert into t values (2)");
    assert_eq!(w.truth(OTHER, "select sum(n) from t"), "3");
    assert!(!is_promoted(w, HEIR));
}

/// The standby that has most is lost before the primary is, and another one is promoted that lacks a
/// little. When the first one is back, it has WAL from beyond the place where the new timeline began:
/// it cannot follow, serves nobody, and is not the next primary.
pub fn a_standby_with_wal_from_beyond_the_fork(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    write_past(w, &admin, HEIR);
    w.wait_truth(OTHER, "select count(*) from t", "1");
    w.crash(OTHER);
    w.crash(PRIMARY);
    let app = write_to_heir(w, HEIR, "insert into t values (2)");
    w.start(OTHER);
    w.wait("it is in quarantine", LIMIT, |w| w.pool_nodes(&app)[OTHER].status == "quarantine");
    w.never("it serves", secs(8), |w| w.pool_nodes(&app)[OTHER].is_up());
    assert_eq!(w.truth(OTHER, "select sum(n) from t"), "1", "what it has is left alone");
    w.crash(HEIR);
    w.never("it is promoted", secs(8), |w| is_promoted(w, OTHER));
    w.start(HEIR);
    wait_heir(w, HEIR);
    w.rejoin(OTHER, HEIR);
    let app = admin_again(w);
    w.wait_up(&app, OTHER);
    w.wait_truth(OTHER, "select sum(n) from t", "2");
}

/// Somebody promotes a standby, and the primary goes on to write: the two have come apart. When the
/// primary dies, now or after a restart of pgherd, the one who has its writes takes over.
pub fn a_rival_does_not_take_over_what_it_lacks(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.sql(OTHER, "select pg_promote(false)").expect("it can be promoted");
    w.wait("it is in quarantine", LIMIT, |w| w.pool_nodes(&admin)[OTHER].status == "quarantine");
    w.run(&admin, "insert into t values (1)");
    w.wait_truth(HEIR, "select count(*) from t", "1");
    w.never("it serves", secs(4), |w| w.pool_nodes(&admin)[OTHER].is_up());
    w.restart();
    wait_heir(w, PRIMARY);
    w.crash(PRIMARY);
    let app = write_to_heir(w, HEIR, "insert into t values (2)");
    assert_eq!(w.truth(HEIR, "select sum(n) from t"), "3");
    assert!(!w.pool_nodes(&app)[OTHER].is_up());
}

/// The last primary is beyond what may be lost, or none may be promoted by itself: the operator's word
/// counts, also while an older primary answers.
pub fn a_word_counts_beside_an_old_primary(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    let app = write_to_heir(w, HEIR, "insert into t values (1)");
    w.wait_truth(OTHER, "select count(*) from t", "1");
    w.wait_up(&app, OTHER);
    w.start(PRIMARY);
    w.wait("it is in quarantine", LIMIT, |w| w.pool_nodes(&app)[PRIMARY].status == "quarantine");
    w.crash(HEIR);
    w.wait("there is no primary", LIMIT, |w| {
        w.pool_nodes(&app).iter().all(|node| node.role != "primary")
    });
    let mut operator = Admin::enter(w);
    w.send(operator.conn, &packet(b'J', format!("{OTHER} \0n").as_bytes()));
    let said = operator.end(w);
    assert!(!said.is_error(), "{said:?}");
    write_to_heir(w, OTHER, "insert into t values (2)");
    assert_eq!(w.truth(OTHER, "select sum(n) from t"), "3");
}

/// Others promote both standbys: the history forks on one timeline. The one that is the primary for
/// clients stays it, and nothing is written to the other one until it is made a standby.
pub fn two_standbys_are_promoted_by_others(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    for node in [HEIR, OTHER] {
        w.sql(node, "select pg_promote(false)").expect("it can be promoted");
    }
    for node in [HEIR, OTHER] {
        w.wait("it is promoted", LIMIT, |w| is_promoted(w, node));
    }
    w.crash(OTHER);
    let app = write_to_heir(w, HEIR, "insert into t values (1)");
    w.start(OTHER);
    w.wait("it is in quarantine", LIMIT, |w| w.pool_nodes(&app)[OTHER].status == "quarantine");
    w.never("both serve", secs(5), |w| w.pool_nodes(&app)[OTHER].is_up());
    w.run(&app, "insert into t values (2)");
    assert_eq!(w.truth(OTHER, "select count(*) from t"), "0", "nothing is written there");
    w.crash(OTHER);
    w.rejoin(OTHER, HEIR);
    w.wait_up(&app, OTHER);
    w.wait_truth(OTHER, "select sum(n) from t", "3");
}

/// Somebody promotes a standby while the primary is well. Whatever was a client's is written to one
/// of them only, and the other one serves nobody.
pub fn a_standby_that_others_promote_beside_the_primary(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.sql(OTHER, "select pg_promote(false)").expect("it can be promoted");
    w.wait("it is promoted", LIMIT, |w| is_promoted(w, OTHER));
    w.wait("it is in quarantine", LIMIT, |w| w.pool_nodes(&admin)[OTHER].status == "quarantine");
    for n in 1..=4 {
        w.run(&admin, &format!("insert into t values ({n})"));
    }
    w.never("it serves", secs(4), |w| w.pool_nodes(&admin)[OTHER].is_up());
    assert_eq!(w.truth(PRIMARY, "select sum(n) from t"), "10");
    assert_eq!(w.truth(OTHER, "select count(*) from t"), "0");
    w.crash(OTHER);
    w.rejoin(OTHER, PRIMARY);
    w.wait_up(&admin, OTHER);
    w.wait_truth(OTHER, "select sum(n) from t", "10");
}

/// The operator detaches the standby that would be promoted, or is: the other one is the primary in
/// the end.
pub fn a_candidate_is_detached_in_a_failover(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.run(&admin, "insert into t values (1)");
    for node in [HEIR, OTHER] {
        w.wait_truth(node, "select count(*) from t", "1");
    }
    w.crash(PRIMARY);
    let mut operator = Admin::enter(w);
    let said = operator.ask(w, b'D', b"1\0");
    assert_eq!(said.texts, ["CommandComplete"]);
    let app = write_to_heir(w, OTHER, "insert into t values (2)");
    assert_eq!(w.truth(OTHER, "select sum(n) from t"), "3");
    w.never("it serves", secs(3), |w| w.pool_nodes(&app)[HEIR].is_up());
}

/// The operator detaches what is lost already: another one takes its place all the same, and the lost
/// one stays out, also as a standby, until it is attached.
pub fn the_lost_primary_is_detached_in_a_failover(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    let mut operator = Admin::enter(w);
    assert_eq!(operator.ask(w, b'D', b"0\0").texts, ["CommandComplete"]);
    let heir = wait_any_heir(w, PRIMARY);
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    w.wait_truth(other(heir), "select count(*) from t", "1");
    w.rejoin(PRIMARY, heir);
    w.wait("it answers", LIMIT, |w| w.pool_nodes(&app)[PRIMARY].seen == "up");
    w.never("it serves", secs(4), |w| w.pool_nodes(&app)[PRIMARY].is_up());
    assert_eq!(operator.ask(w, b'C', b"0\0").texts, ["CommandComplete"]);
    w.wait_up(&app, PRIMARY);
}

/// Tells whether a server is in recovery.
fn is_standby(w: &mut impl World, node: usize) -> bool {
    w.sql(node, "select pg_is_in_recovery()").is_ok_and(|rows| rows == [["t".to_owned()]])
}

/// Waits until some node is the primary for clients, and tells which.
fn wait_any_primary(w: &mut impl World) -> usize {
    wait_any_heir(w, usize::MAX)
}

/// Writes a row that one of two standbys does not receive.
fn write_past(w: &mut impl World, app: &Client, node: usize) {
    for sql in ["alter system set primary_conninfo = ''", "select pg_reload_conf()"] {
        w.sql(node, sql).expect("the standby is well");
    }
    w.wait_truth(PRIMARY, "select count(*) from pg_stat_replication", "1");
    w.run(app, "insert into t values (1)");
}
