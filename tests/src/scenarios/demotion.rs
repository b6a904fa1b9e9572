//! Former primaries are made standbys without anybody asking for it.

pub use super::recovery_command::by_command;
use crate::admin::{Admin, packet};
use crate::client::Client;
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::scenarios::failover::{admin_again, other, wait_any_heir, write_at_last};
use crate::scenarios::recovery::recover;
use crate::scenarios::switchover;
use crate::world::{Fate, Setup, World};

const HEIR: usize = 1;
const STANDBYS: usize = 2;

/// A former primary is left to the operator.
#[must_use]
pub fn by_hand() -> Setup {
    by_command().set("auto_recovery = false")
}

/// Whoever takes writes beside the primary is left as it is.
#[must_use]
pub fn tolerant() -> Setup {
    by_command().set("detach_false_primary = false")
}

/// Who hands over is recovered and serves, its fence is gone, and it can take over again.
pub fn an_old_primary_is_demoted_after_a_switchover(w: &mut impl World) {
    let app = begin(w);
    w.run(&app, "insert into t values (1)");
    hand_over(w, HEIR, "recovery_command makes it a standby of node 1 (auto_recovery)");
    w.run(&app, "insert into t values (2)");
    w.wait_up(&app, PRIMARY);
    w.wait_truth(PRIMARY, "select count(*) from t", "2");
    assert_eq!(w.truth(PRIMARY, FENCES), "0");
    assert_eq!(count(w, "rebuild 0 1 "), 1, "{:?}", w.commands());
    hand_over(w, PRIMARY, "recovery_command makes it a standby of node 0 (auto_recovery)");
    w.run(&app, "insert into t values (3)");
    w.wait_up(&app, HEIR);
    w.wait_truth(HEIR, "select count(*) from t", "3");
    assert_eq!(count(w, "rebuild"), 2, "{:?}", w.commands());
}

/// A primary that was lost and returns takes writes that nobody knows of: it is recovered as well.
pub fn a_primary_that_returns_as_a_second_one_is_demoted(w: &mut impl World) {
    let heir = return_as_second(w);
    let app = admin_again(w);
    w.wait_up(&app, PRIMARY);
    write_at_last(w, &app, "insert into t values (1)");
    w.wait_truth(PRIMARY, "select count(*) from t", "1");
    assert_eq!(count(w, &format!("rebuild 0 {heir} ")), 1, "{:?}", w.commands());
}

/// Without `auto_recovery` nothing is done that nobody has asked for, and the answer to a switchover
/// says so. When the operator asks, it is done.
pub fn without_auto_recovery_an_old_primary_is_left(w: &mut impl World) {
    let app = begin(w);
    hand_over(w, HEIR, "it is left to you: make it a standby of node 1");
    w.never("a command is run", secs(5), |w| !w.commands().is_empty());
    recover_by_hand(w, &app, PRIMARY);
    assert_eq!(w.truth(PRIMARY, FENCES), "0");
}

/// With `detach_false_primary` off a second primary is left as it is.
pub fn a_second_primary_may_be_left_as_it_is(w: &mut impl World) {
    return_as_second(w);
    w.never("a command is run", secs(5), |w| !w.commands().is_empty());
    let app = admin_again(w);
    assert!(!w.pool_nodes(&app)[PRIMARY].is_up());
    recover_by_hand(w, &app, PRIMARY);
}

/// Whom the operator has detached nobody touches.
pub fn a_node_that_the_operator_detached_is_not_demoted(w: &mut impl World) {
    let app = begin(w);
    w.terminate(&app);
    w.crash(PRIMARY);
    wait_any_heir(w, PRIMARY);
    let mut operator = Admin::enter(w);
    let said = operator.ask(w, b'D', b"0\0");
    assert!(!said.is_error(), "{said:?}");
    w.start(PRIMARY);
    w.never("a command is run", secs(8), |w| !w.commands().is_empty());
    let app = admin_again(w);
    recover_by_hand(w, &app, PRIMARY);
}

/// While one is recovered, nobody is switched over to or promoted by the operator's word.
pub fn a_switchover_during_a_recovery_is_refused(w: &mut impl World) {
    let app = begin(w);
    hand_over(w, HEIR, "recovery_command makes it");
    w.wait("it is recovered", LIMIT, |w| count(w, "rebuild") == 1);
    for payload in [&b"2 \0s"[..], b"2 \0n"] {
        let mut operator = Admin::enter(w);
        w.send(operator.conn, &packet(b'J', payload));
        assert!(operator.end(w).is_error());
    }
    w.wait_up(&app, PRIMARY);
    hand_over(w, other(HEIR), "recovery_command makes it");
    w.run(&app, "insert into t values (1)");
    w.wait_up(&app, HEIR);
}

/// The primary is lost, and is there again when another has taken its place.
fn return_as_second(w: &mut impl World) -> usize {
    let app = begin(w);
    w.terminate(&app);
    w.crash(PRIMARY);
    let heir = wait_any_heir(w, PRIMARY);
    w.befall(PRIMARY, Fate::Start);
    let app = admin_again(w);
    w.wait("it answers", LIMIT, |w| w.pool_nodes(&app)[PRIMARY].status != "down");
    w.terminate(&app);
    heir
}

fn begin(w: &mut impl World) -> Client {
    let app = w.connect("app");
    w.table(&app, "t", STANDBYS);
    app
}

/// Has a node take over, and sees what is said of the old primary.
pub fn hand_over(w: &mut impl World, heir: usize, words: &str) {
    let mut operator = Admin::enter(w);
    switchover::ask(w, &operator, heir);
    operator.await_notice(w, words);
    let said = operator.end(w);
    assert!(!said.is_error(), "{said:?}");
}

fn recover_by_hand(w: &mut impl World, app: &Client, node: usize) {
    let mut operator = Admin::enter(w);
    let told = recover(w, &mut operator, node);
    assert_eq!(told.last().map(|last| last.tag), Some(b'c'), "{told:?}");
    w.wait_up(app, node);
}

/// How many commands were run that begin like this.
pub fn count(w: &mut impl World, command: &str) -> usize {
    w.commands().iter().filter(|line| line.starts_with(command)).count()
}

/// Asks a server for its fence.
pub const FENCES: &str =
    "select count(*) from pg_replication_slots where slot_name = 'pgherd_fence'";
