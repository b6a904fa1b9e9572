//! Servers that carry a fence of pgherd's, by which their writes are stopped: who lifts it, and when.

use pgherd_core::failover::fence;

pub use super::failover::promote;
use super::failover::{admin_again, other, wait_any_heir, wait_heir, write_at_last, write_to_heir};
use super::switchover::switch;
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{Setup, World};

const HEIR: usize = 1;
const OTHER: usize = 2;
const STANDBYS: usize = 2;

/// The first standby is the one that can be promoted.
#[must_use]
pub fn only_the_first() -> Setup {
    promote().of_node(OTHER, "priority = 0")
}

/// One primary, one standby.
#[must_use]
pub fn two() -> Setup {
    Setup { standbys: 1, ..promote() }
}

/// A former primary that was made a standby as it was, and carries its fence still, is promoted: it
/// takes writes then.
pub fn a_standby_with_a_fence_is_promoted(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "fenced", STANDBYS);
    raise(w, HEIR);
    w.crash(PRIMARY);
    wait_heir(w, HEIR);
    let app = w.connect("app");
    w.run(&app, "insert into fenced values (1)");
    w.wait_truth(OTHER, "select count(*) from fenced", "1");
}

/// A standby takes no writes, so a fence that is found there is lifted.
pub fn a_fence_on_a_standby_is_lifted(w: &mut impl World) {
    raise(w, HEIR);
    w.wait("it is lifted", LIMIT, |w| !is_fenced(w, HEIR));
}

/// A primary whose writes another pgherd has stopped dies: a standby takes its place.
pub fn a_primary_that_others_have_fenced_is_replaced(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "stopped", STANDBYS);
    raise(w, PRIMARY);
    w.wait("it is the primary no more", LIMIT, |w| w.pool_nodes(&admin)[PRIMARY].role != "primary");
    is_replaced(w);
}

/// The same where the fence is older than this pgherd.
pub fn a_primary_that_was_fenced_before_the_start_is_replaced(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "stopped", STANDBYS);
    raise(w, PRIMARY);
    w.restart();
    let watcher = admin_again(w);
    w.wait("it is known", LIMIT, |w| w.pool_nodes(&watcher)[PRIMARY].seen == "up");
    is_replaced(w);
}

/// The primary dies, and a standby takes its place, which the other one follows.
fn is_replaced(w: &mut impl World) {
    w.crash(PRIMARY);
    let heir = wait_any_heir(w, PRIMARY);
    let app = admin_again(w);
    write_at_last(w, &app, "insert into stopped values (1)");
    w.wait_truth(other(heir), "select count(*) from stopped", "1");
}

/// A fence that is found after a start, beside the primary that has taken over, stays: the old
/// one takes no writes. Nor does it when the new one is not there to be seen.
pub fn a_fence_beside_a_later_primary_stays(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "handed", 1);
    switch(w, HEIR);
    w.run(&admin, "insert into handed values (1)");
    w.restart();
    wait_heir(w, HEIR);
    w.never("the old one takes writes", secs(8), |w| takes_writes(w, "handed"));
    w.crash(HEIR);
    w.restart();
    w.never("the old one takes writes", secs(12), |w| takes_writes(w, "handed"));
    w.start(HEIR);
    let app = write_to_heir(w, HEIR, "insert into handed values (2)");
    assert_eq!(w.truth(HEIR, "select sum(n) from handed"), "3");
    w.crash(PRIMARY);
    w.rejoin(PRIMARY, HEIR);
    w.wait_up(&app, PRIMARY);
    switch(w, PRIMARY);
    w.run(&app, "insert into handed values (4)");
    assert_eq!(w.truth(PRIMARY, "select sum(n) from handed"), "7");
}

/// Stops the writes of a server as pgherd does in a switchover.
fn raise(w: &mut impl World, node: usize) {
    for sql in fence::RAISE {
        w.sql(node, sql).expect("the server is well");
    }
}

fn is_fenced(w: &mut impl World, node: usize) -> bool {
    w.truth(node, "show default_transaction_read_only") == "on"
}

/// Whether the first node takes writes, past pgherd.
fn takes_writes(w: &mut impl World, table: &str) -> bool {
    w.sql(PRIMARY, &format!("insert into {table} values (0)")).is_ok()
}
