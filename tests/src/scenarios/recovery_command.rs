//! Online recovery by a command of the operator's.

use crate::admin::{Admin, Reply, packet};
use crate::client::Client;
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::scenarios::failover::promote;
use crate::scenarios::recovery::{LOST, answer, lose, notices, recover};
use crate::world::{Setup, Signal, World};

/// Nodes are recovered by a command, with a replication slot of their own.
#[must_use]
pub fn by_command() -> Setup {
    running("rebuild").set("recovery_slot = \"pgherd_%d\"")
}

/// The same without slots.
#[must_use]
pub fn without_slots() -> Setup {
    running("rebuild")
}

/// A command that stops the node and fails.
#[must_use]
pub fn failing() -> Setup {
    by_command().set(&line("break"))
}

/// A command that never ends, and is not waited for.
#[must_use]
pub fn hanging() -> Setup {
    by_command().set(&line("hang")).set("recovery_command_timeout = \"4s\"")
}

/// A command that does nothing and says that it has succeeded.
#[must_use]
pub fn lying() -> Setup {
    by_command().set(&line("note"))
}

/// A command that starts the node as a server of its own.
#[must_use]
pub fn seceding() -> Setup {
    by_command().set(&line("alone"))
}

/// A program recovers nodes.
#[must_use]
pub fn running(program: &str) -> Setup {
    let setup = promote()
        .set("recovery_user = \"postgres\"")
        .set("recovery_password = \"postgres\"")
        .set("recovery_timeout = \"8s\"")
        .set(&line(program));
    (0..3).fold(setup, |setup, node| {
        setup.of_node(node, &format!("application_name = \"node{node}\""))
    })
}

/// Has a program recover nodes.
#[must_use]
pub fn line(program: &str) -> String {
    format!("recovery_command = \"{{commands}}/{program} %d %m %D %a %s\"")
}

/// A standby is lost, and a command makes it one again: who asks hears how it goes on, and is answered
/// when the node serves. The primary has its replication slot by then.
pub fn a_lost_node_is_recovered_by_a_command(w: &mut impl World) {
    let app = lose(w, LOST);
    let mut admin = Admin::enter(w);
    let told = recover(w, &mut admin, LOST);
    assert_eq!(told.last().map(|last| (last.tag, last.texts.len())), Some((b'c', 1)), "{told:?}");
    let notices = notices(&told);
    for what in ["node 2: recovery_command runs, 0 s so far", "node 2: awaited as a standby"] {
        assert!(notices.iter().any(|line| line.starts_with(what)), "no {what} in {notices:?}");
    }
    w.wait_up(&app, LOST);
    w.wait_truth(LOST, "select count(*) from t", "1");
    w.run(&app, "insert into t values (2)");
    w.wait_truth(LOST, "select count(*) from t", "2");
    assert_eq!(w.truth(PRIMARY, SLOTS), "1");
    let commands = w.commands();
    assert!(commands.len() == 1 && commands[0].starts_with("rebuild 2 0 "), "{commands:?}");
    assert!(commands[0].ends_with(" node2 pgherd_2"), "{commands:?}");
    // The session goes on.
    assert_eq!(admin.ask(w, b'L', b"").texts, ["CommandComplete", "3"]);
}

/// Where there are no slots, none is made.
pub fn a_node_is_recovered_without_a_slot(w: &mut impl World) {
    let app = lose(w, LOST);
    succeeds(w, &app, &without_slots());
    assert_eq!(w.truth(PRIMARY, SLOTS), "0");
}

/// The plan is told and nothing is done.
pub fn the_plan_of_a_command_is_told(w: &mut impl World) {
    let app = lose(w, LOST);
    let mut admin = Admin::enter(w);
    w.send(admin.conn, &packet(b'O', b"2\0dry-run\0"));
    let told = answer(w, &mut admin);
    let notices = notices(&told);
    for what in
        ["on node 0: SELECT pg_create_physical_replication_slot('pgherd_2'", "/rebuild 2 0 "]
    {
        assert!(notices.iter().any(|line| line.contains(what)), "no {what} in {notices:?}");
    }
    assert_eq!(told.last().map(|last| last.tag), Some(b'c'));
    w.never("anything is done", secs(3), |w| w.pool_nodes(&app)[LOST].is_up());
    assert_eq!((w.commands().len(), w.truth(PRIMARY, SLOTS)), (0, "0".to_owned()));
}

/// A command that fails leaves the node out of service and no slot, and the next attempt succeeds.
pub fn a_command_that_fails_leaves_the_node_out(w: &mut impl World) {
    fails(w, "recovery_command failed: exit status 1");
}

/// A command that hangs is ended.
pub fn a_recovery_whose_command_hangs_is_given_up(w: &mut impl World) {
    fails(w, "recovery_command failed: it took too long and was ended");
}

/// A command that says that it has succeeded, and has not, is found out.
pub fn a_command_that_lies_is_found_out(w: &mut impl World) {
    fails(w, "does not answer within 8 seconds (recovery_timeout)");
}

/// A node that the command has started as a server of its own serves no client.
pub fn a_command_that_starts_a_node_alone(w: &mut impl World) {
    let app = fails(w, "is no standby within 8 seconds (recovery_timeout)");
    w.run(&app, "insert into t values (8)");
    w.wait_truth(LOST, "select count(*) from t where n = 8", "1");
}

/// A recovery fails for a reason, the node stays out of service, the slot is gone, and the next
/// recovery succeeds.
fn fails(w: &mut impl World, why: &str) -> Client {
    let app = lose(w, LOST);
    let mut admin = Admin::enter(w);
    let told = recover(w, &mut admin, LOST);
    assert_failed(&told, why);
    w.never("it serves", secs(2), |w| w.pool_nodes(&app)[LOST].is_up());
    w.wait_truth(PRIMARY, SLOTS, "0");
    succeeds(w, &app, &by_command());
    app
}

fn assert_failed(told: &[Reply], why: &str) {
    let last = told.last().expect("an answer");
    assert_eq!(last.field('M'), "node recovery failed, node id: 2", "{told:?}");
    assert!(last.field('D').contains(why), "no {why:?} in {last:?}");
}

/// The next recovery succeeds, with this configuration.
fn succeeds(w: &mut impl World, app: &Client, setup: &Setup) {
    w.configure(setup);
    w.signal(Signal::Reload);
    let mut admin = Admin::enter(w);
    w.wait("it is recovered", LIMIT, |w| {
        recover(w, &mut admin, LOST).last().is_some_and(|last| last.tag == b'c')
    });
    w.wait_up(app, LOST);
    w.wait_truth(LOST, "select count(*) from t where n = 1", "1");
}

/// Asks a server for the slot of the lost node.
pub const SLOTS: &str = "select count(*) from pg_replication_slots where slot_name = 'pgherd_2'";
