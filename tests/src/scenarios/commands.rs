//! The operator's commands: `failover_command`, `failback_command`, `follow_primary_command`.

use super::failover::{admin_again, is_promoted, other, promote, wait_any_heir, write_at_last};
use super::switchover;
use crate::admin::Admin;
use crate::client::Client;
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{Fate, Setup, Signal, World};

const HEIR: usize = 1;
const OTHER: usize = 2;
const STANDBYS: usize = 2;

/// Commands do everything, and do it well.
#[must_use]
pub fn by_commands() -> Setup {
    promote()
        .set("failover_command = \"{commands}/failover %d %P %m\"")
        .set("failback_command = \"{commands}/note %d is back, %m %P\"")
        .set("follow_primary_command = \"{commands}/follow %d %m\"")
}

/// The same, and what promotes fails.
#[must_use]
pub fn failing() -> Setup {
    by_commands().set("failover_command = \"{commands}/fail %d %P %m\"")
}

/// The same, and what promotes does nothing.
#[must_use]
pub fn lying() -> Setup {
    by_commands().set("failover_command = \"{commands}/note %d %P %m\"")
}

/// The same, and what promotes does not end.
#[must_use]
pub fn hanging() -> Setup {
    by_commands()
        .set("failover_command = \"{commands}/hang %d %P %m\"")
        .set("failover_command_timeout = \"4s\"")
}

/// The same, and what promotes takes its time.
#[must_use]
pub fn late() -> Setup {
    by_commands().set("failover_command = \"{commands}/late %d %P %m\"")
}

/// The same, and what promotes fails when it has promoted.
#[must_use]
pub fn stumbling() -> Setup {
    by_commands().set("failover_command = \"{commands}/stumble %d %P %m\"")
}

/// Commands do everything, and a switchover is undone soon.
#[must_use]
pub fn switching() -> Setup {
    by_commands().set("switchover_timeout = \"2s\"")
}

/// Somebody else promotes.
#[must_use]
pub fn told() -> Setup {
    lying().set("failover_mode = \"off\"")
}

/// The primary dies, and another one takes its place, which the third node follows. Returns who that
/// is, and a session.
fn replace(w: &mut impl World) -> (usize, Client) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    let heir = wait_any_heir(w, PRIMARY);
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    w.wait_truth(other(heir), "select count(*) from t", "1");
    (heir, app)
}

/// The primary dies. The command promotes whom pgherd has chosen, the other one is made to follow,
/// and the old primary's return is told.
pub fn a_command_promotes_and_another_has_the_others_follow(w: &mut impl World) {
    let (heir, app) = replace(w);
    assert_eq!(w.commands().first(), Some(&format!("failover 0 0 {heir}")));
    let follow = format!("follow {} {heir}", other(heir));
    assert!(w.commands().contains(&follow), "{:?}", w.commands());
    if let Some(log) = w.said() {
        let line = format!("failover_command for node 0: failover 0 0 {heir}");
        assert!(log.lines().any(|logged| logged.ends_with(&line)), "{log}");
    }
    w.rejoin(PRIMARY, heir);
    w.wait_up(&app, PRIMARY);
    wait_for(w, &format!("note 0 is back, 0 {heir}"));
    assert_eq!(count(w, "failover"), 1, "{:?}", w.commands());
}

/// Every standby is tried. Reads go on meanwhile, and another command is heeded.
pub fn a_command_that_fails_is_run_for_the_next_one(w: &mut impl World) {
    begin_in_vain(w, "fail");
    mend(w);
}

/// It is looked whether whom it says to have promoted is the primary.
pub fn a_command_that_lies_is_not_believed(w: &mut impl World) {
    begin_in_vain(w, "note");
    mend(w);
}

/// Clients do not wait for it, and it is not waited for longer than it may take.
pub fn a_command_that_hangs_is_ended(w: &mut impl World) {
    let reader = w.connect("reader");
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    wait_for_beginning(w, "hang 0 0");
    for _ in 0..20 {
        w.run(&admin, "show pool_nodes");
        assert_eq!(w.run(&reader, "select count(*) from t").value(), "0");
        assert_eq!(count(w, "hang"), 1);
    }
    for heir in [HEIR, OTHER] {
        wait_for(w, &format!("hang 0 0 {heir}"));
    }
    mend(w);
}

/// Whether it has promoted somebody, a look tells; nobody else is promoted beside.
pub fn a_command_that_fails_after_it_has_promoted(w: &mut impl World) {
    replace(w);
    assert_eq!(count(w, "stumble"), 1, "{:?}", w.commands());
}

/// The primary is lost, and pgherd is killed at the beginning of this command. Returns who takes the
/// primary's place, where a row is written, and a client of whoever is started then.
fn kill_pgherd_at(w: &mut impl World, command: &str) -> (usize, Client) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    wait_for_beginning(w, command);
    w.kill();
    let heir = wait_any_heir(w, PRIMARY);
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    (heir, app)
}

/// pgherd is killed while its command promotes, and the command goes on. Whoever is started then finds
/// the one that it promotes, and promotes nobody beside.
pub fn pgherd_is_killed_while_its_command_promotes(w: &mut impl World) {
    let (heir, _) = kill_pgherd_at(w, "late 0 0");
    let stray = other(heir);
    w.never("there is a second one", secs(10), |w| is_promoted(w, stray));
    assert_eq!(w.truth(heir, "select count(*) from t"), "1");
    w.wait_truth(stray, "select count(*) from t", "1");
}

/// pgherd is killed as its command has a standby follow. Whoever is started then sees to it that the
/// standby does.
pub fn pgherd_is_killed_while_its_command_has_a_standby_follow(w: &mut impl World) {
    let (heir, app) = kill_pgherd_at(w, "follow");
    w.wait_truth(other(heir), "select count(*) from t", "1");
    w.wait_up(&app, other(heir));
    assert!(!is_promoted(w, other(heir)));
    assert_eq!(count(w, "failover"), 1, "{:?}", w.commands());
}

/// Who is being promoted, and whom it replaces, are not detached meanwhile, and the operator is told
/// why; whoever has no part in it is.
pub fn a_node_is_detached_during_a_failover(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    wait_for_beginning(w, &format!("late 0 0 {HEIR}"));
    let mut operator = Admin::enter(w);
    for node in [PRIMARY, HEIR] {
        let said = operator.ask(w, b'D', format!("{node}\0").as_bytes());
        assert!(said.is_error(), "node {node}: {said:?}");
        assert!(said.field('D').contains("failover is in progress"), "node {node}: {said:?}");
    }
    let said = operator.ask(w, b'D', format!("{OTHER}\0").as_bytes());
    assert!(!said.is_error(), "{said:?}");
    let heir = wait_any_heir(w, PRIMARY);
    assert_eq!(heir, HEIR);
    let app = w.connect("app");
    write_at_last(w, &app, "insert into t values (1)");
    assert_eq!(w.pool_nodes(&app)[OTHER].status, "down", "it is detached");
    // It is run for the node that was detached as well, which promotes nobody.
    assert_eq!(count(w, "late 0"), 1, "{:?}", w.commands());
    let mut operator = Admin::enter(w);
    let said = operator.ask(w, b'C', format!("{OTHER}\0").as_bytes());
    assert!(!said.is_error(), "{said:?}");
    w.wait_up(&app, OTHER);
    w.wait_truth(OTHER, "select count(*) from t", "1");
}

/// It is `%P`, although pgherd has not seen it since the start: with -1 there, scripts may take any loss
/// for the primary's.
pub fn a_command_replaces_a_primary_lost_before_the_start(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    w.restart();
    let heir = wait_any_heir(w, PRIMARY);
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    assert_eq!(w.commands().first(), Some(&format!("failover 0 0 {heir}")));
    w.wait_truth(other(heir), "select count(*) from t", "1");
    assert_eq!(count(w, "failover"), 1, "{:?}", w.commands());
}

/// Scripts tell by `%d` and `%P` that nobody is to be promoted.
pub fn the_loss_and_the_return_of_a_standby_are_told(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(OTHER);
    w.wait_down(&admin, OTHER);
    wait_for(w, "failover 2 0 0");
    w.run(&admin, "insert into t values (1)");
    w.start(OTHER);
    w.wait_up(&admin, OTHER);
    wait_for(w, "note 2 is back, 0 0");
    assert_eq!(w.commands().len(), 2, "{:?}", w.commands());
    assert_eq!(w.pool_nodes(&admin)[PRIMARY].role, "primary");
}

/// Commands do everything, but two nodes may not fail over.
#[must_use]
pub fn disallowed() -> Setup {
    by_commands()
        .of_node(PRIMARY, "flag = \"DISALLOW_TO_FAILOVER\"")
        .of_node(OTHER, "flag = \"DISALLOW_TO_FAILOVER\"")
}

/// As in Pgpool-II nothing is run for a node that may not fail over: neither when it is lost nor
/// when it is back.
pub fn of_a_node_that_may_not_fail_over_nothing_is_told(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(OTHER);
    w.wait_down(&admin, OTHER);
    w.start(OTHER);
    w.wait_up(&admin, OTHER);
    w.crash(PRIMARY);
    let watcher = admin_again(w);
    w.wait_down(&watcher, PRIMARY);
    w.never("a command is run", secs(6), |w| !w.commands().is_empty());
    w.start(PRIMARY);
    write_at_last(w, &watcher, "insert into t values (1)");
    w.never("a command is run", secs(3), |w| !w.commands().is_empty());
}

/// A node that is always the primary, whose loss is only told.
#[must_use]
pub fn always_primary() -> Setup {
    lying().of_node(PRIMARY, "flag = \"ALLOW_TO_FAILOVER|ALWAYS_PRIMARY\"")
}

/// As in Pgpool-II the command is told of the loss of a node that is always the primary, and nobody
/// is promoted.
pub fn the_loss_of_one_that_is_always_the_primary_is_told(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    wait_for(w, "note 0 0 1");
    w.never("it is run again", secs(8), |w| count(w, "note 0") > 1);
    w.start(PRIMARY);
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    wait_for(w, "note 0 is back, 0 0");
}

/// Commands do everything, and whoever was lost waits for the operator.
#[must_use]
pub fn by_hand() -> Setup {
    by_commands().set("auto_failback = false")
}

/// A standby that a command has made follow was not lost, whatever the command has done to it; the
/// old primary was, and waits.
pub fn who_follows_by_a_command_was_not_lost(w: &mut impl World) {
    let (heir, app) = replace(w);
    w.wait_up(&app, other(heir));
    w.rejoin(PRIMARY, heir);
    w.wait("it answers", LIMIT, |w| w.pool_nodes(&app)[PRIMARY].seen == "up");
    w.never("it serves", secs(4), |w| w.pool_nodes(&app)[PRIMARY].is_up());
    let mut operator = Admin::enter(w);
    assert_eq!(operator.ask(w, b'C', b"0\0").texts, ["CommandComplete"]);
    w.wait_up(&app, PRIMARY);
}

/// Where pgherd leaves promotions to others, it says what has happened and waits.
pub fn where_others_promote_a_command_is_only_told(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    wait_for(w, "note 0 0 1");
    w.never("it is run again", secs(8), |w| count(w, "note 0") > 1);
    w.sql(OTHER, "select pg_promote(false)").expect("it can be promoted");
    let app = admin_again(w);
    w.wait_primary(&app, OTHER);
    wait_for(w, "follow 1 2");
    write_at_last(w, &app, "insert into t values (1)");
    w.wait_truth(HEIR, "select count(*) from t", "1");
}

/// Who hands over is `%d` and `%P`, as if it were lost. Of a switchover that is undone nothing is told.
pub fn a_switchover_promotes_by_the_command(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.befall(HEIR, Fate::PauseReplay);
    w.run(&admin, "insert into t values (1)");
    let mut operator = Admin::enter(w);
    switchover::ask(w, &operator, HEIR);
    let said = operator.end(w);
    assert!(said.is_error() && said.field('D').contains("did not replay"), "{said:?}");
    w.befall(HEIR, Fate::ResumeReplay);
    switchover::switch(w, HEIR);
    assert_eq!(w.commands().first().map(String::as_str), Some("failover 0 0 1"));
    w.run(&admin, "insert into t values (2)");
    w.wait_truth(OTHER, "select sum(n) from t", "3");
    assert!(w.commands().contains(&"follow 2 1".to_owned()), "{:?}", w.commands());
    w.crash(PRIMARY);
    w.rejoin(PRIMARY, HEIR);
    w.wait_up(&admin, PRIMARY);
    wait_for(w, "note 0 is back, 0 1");
    assert_eq!((count(w, "failover"), count(w, "note")), (1, 1), "{:?}", w.commands());
}

/// A promotion is not cut off in the middle.
pub fn a_stop_waits_for_a_command(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.terminate(&admin);
    w.crash(PRIMARY);
    wait_for_beginning(w, "hang 0 0");
    w.signal(Signal::Fast);
    w.never("pgherd ends", secs(2), |w| w.exit_code().is_some());
    w.wait("pgherd ends", LIMIT, |w| w.exit_code() == Some(0));
    assert_eq!(count(w, "hang"), 1, "{:?}", w.commands());
}

/// The primary dies, and the command that is to promote another, and does not, is run for each.
fn begin_in_vain(w: &mut impl World, program: &str) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    for heir in [HEIR, OTHER] {
        wait_for(w, &format!("{program} 0 0 {heir}"));
    }
    let reader = w.connect("reader");
    assert_eq!(w.run(&reader, "select count(*) from t").value(), "0");
}

/// The operator writes a better command.
fn mend(w: &mut impl World) {
    w.configure(&by_commands());
    w.signal(Signal::Reload);
    let heir = wait_any_heir(w, PRIMARY);
    let app: Client = w.connect("app");
    write_at_last(w, &app, "insert into t values (1)");
    w.wait_truth(other(heir), "select count(*) from t", "1");
}

fn wait_for(w: &mut impl World, command: &str) {
    w.wait(command, LIMIT, |w| w.commands().iter().any(|line| line == command));
}

fn wait_for_beginning(w: &mut impl World, command: &str) {
    w.wait(command, LIMIT, |w| count(w, command) > 0);
}

/// How many commands were run that begin like this.
fn count(w: &mut impl World, command: &str) -> usize {
    w.commands().iter().filter(|line| line.starts_with(command)).count()
}
