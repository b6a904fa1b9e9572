//! pgherd does not get the processor for a while, as when its host is suspended: its clock has jumped
//! when it goes on, and everything that it waited for seems to be late.

use super::failover::{admin_again, is_promoted, promote, wait_any_heir, write_at_last};
use super::switchover::ask;
pub use super::switchover::brief;
use crate::admin::Admin;
use crate::client::Client;
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{Setup, World};

const HEIR: usize = 1;
const OTHER: usize = 2;
const STANDBYS: usize = 2;

/// Longer than anything is waited for that may end in a loss.
const ABSENCE: std::time::Duration = secs(6);

/// Whoever does not answer once is lost.
#[must_use]
pub fn hasty() -> Setup {
    promote().set("health_check_max_retries = 0")
}

/// Servers that are well stay in service, whatever the clock says, and sessions with them.
pub fn a_pgherd_that_was_stopped_replaces_nobody(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    let sessions: Vec<Client> = (0..4).map(|n| w.connect(&format!("session {n}"))).collect();
    for round in 0..2 {
        for session in &sessions {
            w.query_start(session, "insert into t values (1)");
        }
        w.suspend(ABSENCE);
        for session in &sessions {
            assert_eq!(w.finish(session).good().tags(), ["INSERT 0 1"], "round {round}");
        }
        w.never("a node is lost", secs(3), |w| {
            w.pool_nodes(&admin).iter().any(|node| !node.is_up()) || is_promoted(w, HEIR)
        });
    }
    assert!(!is_promoted(w, OTHER));
    assert_eq!(w.truth(PRIMARY, "select count(*) from t"), "8", "each once");
}

/// A primary that dies meanwhile is replaced afterwards.
pub fn a_pgherd_that_was_stopped_finds_a_loss(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    w.suspend(ABSENCE);
    is_replaced(w);
}

/// A failover that has begun goes on.
pub fn a_pgherd_that_was_stopped_in_a_failover_ends_it(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    let watcher = admin_again(w);
    w.wait_down(&watcher, PRIMARY);
    w.suspend(ABSENCE);
    is_replaced(w);
}

/// A switchover that has begun is over soon, one way or the other, and nobody sees an error.
pub fn a_pgherd_that_was_stopped_in_a_switchover_ends_it(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    let late = w.connect("late");
    let mut operator = Admin::enter(w);
    ask(w, &operator, HEIR);
    operator.await_notice(w, "new transactions wait");
    w.query_start(&late, "insert into t values (1)");
    w.suspend(ABSENCE);
    let said = operator.end(w);
    assert_eq!(w.finish(&late).good().tags(), ["INSERT 0 1"]);
    let primary = if said.is_error() { PRIMARY } else { HEIR };
    w.wait_primary(&admin, primary);
    w.run(&late, "insert into t values (2)");
    assert_eq!(w.truth(primary, "select sum(n) from t"), "3", "{said:?}");
}

fn is_replaced(w: &mut impl World) {
    let heir = wait_any_heir(w, PRIMARY);
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    w.wait("it is there", LIMIT, |w| w.truth(heir, "select count(*) from t") == "1");
}
