//! Commits that wait for a standby, and what is left of them when the primary is lost.

use super::failover::{
    admin_again, assert_lost, is_promoted, promote, wait_any_heir, wait_heir, write_at_last,
};
use crate::client::Client;
use crate::play::{PRIMARY, Play, secs};
use crate::world::{Fate, Setup, World};

const HEIR: usize = 1;
const OTHER: usize = 2;
const STANDBYS: usize = 2;

/// pgherd promotes, and knows by which names standbys confirm commits.
#[must_use]
pub fn confirmed() -> Setup {
    (0..=STANDBYS).fold(promote(), |setup, node| {
        setup.of_node(node, &format!("application_name = \"node{node}\""))
    })
}

/// The standby that has confirmed what clients were told takes over, although the other one has the
/// lesser number; nothing that a client was told is lost.
pub fn the_standby_that_confirms_commits_takes_over(w: &mut impl World) {
    let admin = begin(w);
    w.befall(HEIR, Fate::Freeze);
    w.run(&admin, "insert into t values (1)");
    w.crash(PRIMARY);
    wait_heir(w, OTHER);
    w.befall(HEIR, Fate::Thaw);
    let app = w.connect("app");
    assert_eq!(w.truth(OTHER, "select count(*) from t"), "1");
    w.run(&app, "insert into t values (2)");
    w.wait_truth(HEIR, "select sum(n) from t", "3");
}

/// While the standby that confirmed commits is silent, the other one may lack some of them: it is not
/// promoted, and the log says why.
pub fn nobody_takes_over_while_the_one_that_confirms_is_silent(w: &mut impl World) {
    let admin = begin(w);
    w.run(&admin, "insert into t values (1)");
    w.befall(OTHER, Fate::Freeze);
    w.crash(PRIMARY);
    let watcher = admin_again(w);
    w.wait_down(&watcher, PRIMARY);
    w.never("somebody is promoted", secs(10), |w| is_promoted(w, HEIR));
    if let Some(said) = w.said() {
        let why = "node 1 may lack commits of one that confirmed them and is silent";
        assert!(said.contains(why), "{said}");
    }
    w.befall(OTHER, Fate::Thaw);
    let heir = wait_any_heir(w, PRIMARY);
    let app = w.connect("app");
    write_at_last(w, &app, "insert into t values (2)");
    assert_eq!(w.truth(heir, "select sum(n) from t"), "3");
}

/// A client whose commit waits for its standby when the primary dies is told that it is in doubt, and
/// it is there once or not at all.
pub fn a_commit_that_waits_for_a_standby_is_in_doubt(w: &mut impl World) {
    begin(w);
    let writer = w.connect("writer");
    w.run(&writer, "select 1");
    w.befall(OTHER, Fate::Freeze);
    w.query_start(&writer, "insert into t values (7)");
    w.never("it is confirmed", secs(1), |w| w.has_answer(&writer));
    w.crash(PRIMARY);
    assert_lost(&w.finish(&writer));
    w.befall(OTHER, Fate::Thaw);
    let heir = wait_any_heir(w, PRIMARY);
    let app = w.connect("app");
    write_at_last(w, &app, "insert into t values (1)");
    let count: usize = w.truth(heir, "select count(*) from t where n = 7").parse().expect("count");
    assert!(count <= 1, "it was executed again");
}

/// One primary after the other dies, where any standby may confirm: whatever clients were told is
/// there in the end.
pub fn what_any_standby_confirmed_outlives_its_primaries(w: &mut impl World) {
    let admin = begin(w);
    for node in 0..=STANDBYS {
        confirm(w, node, "ANY 1 (*)");
    }
    w.run(&admin, "insert into t values (1)");
    let mut primary = PRIMARY;
    for _ in 0..2 {
        w.crash(primary);
        let heir = wait_any_heir(w, primary);
        let app = w.connect("app");
        write_at_last(w, &app, "insert into t values (1)");
        w.rejoin(primary, heir);
        w.wait_up(&app, primary);
        primary = heir;
    }
    assert_eq!(w.truth(primary, "select count(*) from t"), "3");
}

/// Makes a table, and has commits confirmed by the second standby, as pgherd has seen.
fn begin(w: &mut impl World) -> Client {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    confirm(w, PRIMARY, "FIRST 1 (node2)");
    w.wait("pgherd knows who confirms", secs(10), |w| {
        w.pool_nodes(&admin)[OTHER].sync_state == "sync"
    });
    admin
}

fn confirm(w: &mut impl World, node: usize, names: &str) {
    let set = format!("alter system set synchronous_standby_names = '{names}'");
    for sql in [&set, "select pg_reload_conf()"] {
        w.sql(node, sql).expect("the server is well");
    }
}
