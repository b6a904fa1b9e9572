//! A recovery by a command is interrupted at every step. Each time it ends in a stated state, and a
//! later one succeeds.

use super::demotion::hand_over;
use super::recovery_command::SLOTS;
pub use super::recovery_command::by_command;
use crate::admin::{Admin, Reply, packet};
use crate::client::Client;
use crate::play::{LIMIT, PRIMARY, Play};
use crate::scenarios::failover::{admin_again, wait_any_heir};
use crate::scenarios::recovery::{LOST, answer, lose, recover};
use crate::world::{Setup, Signal, World};

/// What is told of the steps, in their order.
const STEPS: [&str; 3] = ["makes its replication slot", "recovery_command runs", AWAITED];

/// What is told of the last one. A server may follow a moment later.
const AWAITED: &str = "awaited as a standby";

/// pgherd is killed in the middle: whatever the command made of the node, it serves when it follows, and
/// can be recovered.
pub fn pgherd_is_killed_at_every_step_of_a_recovery(w: &mut impl World) {
    let mut app = lose(w, LOST);
    for step in STEPS {
        begin(w, LOST, step);
        w.kill();
        app = admin_again(w);
        succeeds(w, &app, LOST);
        lose_again(w, &app);
    }
    succeeds(w, &app, LOST);
}

/// pgherd is stopped in the middle, and started again: the command is ended first, and the slot goes.
pub fn pgherd_is_restarted_at_every_step_of_a_recovery(w: &mut impl World) {
    let mut app = lose(w, LOST);
    for step in STEPS {
        begin(w, LOST, step);
        w.restart();
        unless_followed(w, step);
        app = admin_again(w);
        succeeds(w, &app, LOST);
        lose_again(w, &app);
        drop_slot(w, PRIMARY);
    }
    succeeds(w, &app, LOST);
}

/// The primary dies in the middle: who asked hears so, nobody promotes the node, and it is recovered from
/// the next primary.
pub fn the_primary_dies_at_every_step_of_a_recovery(w: &mut impl World) {
    let mut app = lose(w, LOST);
    let mut primary = PRIMARY;
    for step in STEPS {
        let mut admin = begin(w, LOST, step);
        w.crash(primary);
        // Whoever was just asked something there notices first.
        let told = answer(w, &mut admin);
        let heir = wait_any_heir(w, primary);
        if is_interrupted(step, &told, "") {
            assert_ne!(heir, LOST, "a node that is being recovered is not promoted");
        }
        w.terminate(&app);
        app = admin_again(w);
        succeeds(w, &app, LOST);
        succeeds(w, &app, primary);
        // Who has begun to follow may have become the primary.
        if step != AWAITED {
            lose_again(w, &app);
        }
        primary = heir;
    }
}

/// The node is lost once more in the middle: it is awaited in vain, and recovered the next time.
pub fn the_node_is_lost_again_at_every_step_of_a_recovery(w: &mut impl World) {
    let app = lose(w, LOST);
    for step in STEPS {
        let mut admin = begin(w, LOST, step);
        w.crash(LOST);
        let told = answer(w, &mut admin);
        if told.last().is_some_and(Reply::is_error) {
            assert_failed(&told, "within 8 seconds (recovery_timeout)");
            w.wait_truth(PRIMARY, SLOTS, "0");
        }
        if step == AWAITED {
            w.wait_down(&app, LOST);
        }
        succeeds(w, &app, LOST);
        lose_again(w, &app);
        drop_slot(w, PRIMARY);
    }
    succeeds(w, &app, LOST);
}

/// A reload takes the node away: who asked hears so, and the slot goes. Once it is there again, it is
/// recovered.
pub fn a_reload_that_removes_the_node_during_a_recovery(w: &mut impl World) {
    let app = lose(w, LOST);
    for step in STEPS {
        let mut admin = begin(w, LOST, step);
        reload(w, &app, &Setup { standbys: 1, ..by_command() });
        is_interrupted(step, &answer(w, &mut admin), "the configuration has changed");
        unless_followed(w, step);
        reload(w, &app, &by_command());
        succeeds(w, &app, LOST);
        lose_again(w, &app);
        drop_slot(w, PRIMARY);
    }
    succeeds(w, &app, LOST);
}

/// A reload takes the primary away: the same.
pub fn a_reload_that_removes_the_primary_during_a_recovery(w: &mut impl World) {
    const FIRST: usize = 2;
    const NODE: usize = 1;
    let app = w.connect("app");
    w.table(&app, "t", 2);
    hand_over(w, FIRST, "recovery_command makes it");
    w.wait_up(&app, PRIMARY);
    w.run(&app, "insert into t values (1)");
    for step in STEPS {
        w.crash(NODE);
        w.wait_down(&app, NODE);
        let mut admin = begin(w, NODE, step);
        reload(w, &app, &Setup { standbys: 1, ..by_command() });
        is_interrupted(step, &answer(w, &mut admin), "the configuration has changed");
        reload(w, &app, &by_command());
        w.wait_primary(&app, FIRST);
        succeeds(w, &app, NODE);
    }
}

/// Asks for a recovery and waits for one of its steps.
fn begin(w: &mut impl World, node: usize, step: &str) -> Admin {
    let mut admin = Admin::enter(w);
    w.send(admin.conn, &packet(b'O', format!("{node}\0").as_bytes()));
    admin.await_notice(w, step);
    admin
}

/// Tells whether a recovery was interrupted, which it was for this reason, unless the node had come to
/// follow by then.
fn is_interrupted(step: &str, told: &[Reply], why: &str) -> bool {
    let is_done = step == AWAITED && told.last().is_some_and(|last| last.tag == b'c');
    if !is_done {
        assert_failed(told, why);
    }
    !is_done
}

fn assert_failed(told: &[Reply], why: &str) {
    let last = told.last().expect("an answer");
    assert!(last.is_error() && last.field('D').contains(why), "no {why:?} in {told:?}");
}

/// The node is recovered, if it has not come back by itself.
fn succeeds(w: &mut impl World, app: &Client, node: usize) {
    let mut admin = Admin::enter(w);
    w.wait("it is recovered", LIMIT, |w| {
        let told = recover(w, &mut admin, node);
        let last = told.last().expect("an answer");
        if last.is_error() && last.field('S') == "FATAL" {
            admin = Admin::enter(w);
        }
        last.tag == b'c' || w.pool_nodes(app)[node].is_up()
    });
    w.wait_up(app, node);
    w.wait_truth(node, "select count(*) from t where n = 1", "1");
}

/// The slot that was made for the node goes, unless the node may have begun to follow by it.
fn unless_followed(w: &mut impl World, step: &str) {
    if step != AWAITED {
        w.wait_truth(PRIMARY, SLOTS, "0");
    }
}

fn lose_again(w: &mut impl World, app: &Client) {
    w.crash(LOST);
    w.wait_down(app, LOST);
}

/// The operator tidies up, so that the next recovery makes the slot.
fn drop_slot(w: &mut impl World, node: usize) {
    let [drop, _] = pgherd_core::failover::slot::drop("pgherd_2");
    w.wait("the slot is gone", LIMIT, |w| {
        w.sql(node, &drop).expect("the server is well");
        w.truth(node, SLOTS) == "0"
    });
}

fn reload(w: &mut impl World, app: &Client, setup: &Setup) {
    w.configure(setup);
    w.signal(Signal::Reload);
    w.wait("it is in effect", LIMIT, |w| w.pool_nodes(app).len() == setup.standbys + 1);
}
