//! Scenarios with faults that no real server can be made to have at will.

mod clock;
mod lineage;
mod network;
mod repeats;

use pgherd_sim::{Fault, Obedience};

use super::Sim;
use crate::admin::{Admin, Reply, packet};
use crate::client::Client;
use crate::play::{PRIMARY, Play, secs};
use crate::scenarios::Scenario;
use crate::scenarios::commands::by_commands;
use crate::scenarios::demotion::{FENCES, count, hand_over};
use crate::scenarios::failover::{
    admin_again, is_promoted, other, promote, wait_any_heir, wait_heir, write_at_last,
};
use crate::scenarios::{recovery, recovery_command};
use crate::world::{Fate, Setup, Signal, World};

const HEIR: usize = 1;
const OTHER: usize = 2;
const STANDBYS: usize = 2;

/// A promotion takes no longer than this, and the next server is tried.
const PATIENCE: std::time::Duration = secs(100);

/// Between two writes of somebody who writes all the time.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(300);

/// Lists them.
#[must_use]
pub fn all() -> Vec<Scenario<Sim>> {
    let themes = [of_orders(), network::all(), clock::all(), lineage::all(), repeats::all()];
    themes.into_iter().flatten().collect()
}

fn of_orders() -> Vec<Scenario<Sim>> {
    vec![
        scenario("a_promotion_that_is_refused", a_promotion_that_is_refused),
        scenario("a_promotion_that_hangs", a_promotion_that_hangs),
        scenario("a_promotion_that_is_a_lie", a_promotion_that_is_a_lie),
        scenario("pgherd_is_killed_as_the_heir_obeys", pgherd_is_killed_as_the_heir_obeys),
        scenario("an_heir_that_dies_while_it_is_promoted", an_heir_that_dies_while_it_is_promoted),
        scenario(
            "where_nobody_can_be_promoted_reads_go_on",
            where_nobody_can_be_promoted_reads_go_on,
        ),
        scenario("the_primary_is_back_in_the_middle", the_primary_is_back_in_the_middle),
        scenario("an_heir_that_obeys_late_beside_another", an_heir_that_obeys_late_beside_another),
        scenario("an_heir_that_obeys_late_beside_the_old", an_heir_that_obeys_late_beside_the_old),
        Scenario {
            name: "a_promotion_in_vain_is_no_loss",
            setup: told_of_returns,
            play: a_promotion_in_vain_is_no_loss,
        },
        scenario("a_second_primary_in_the_middle", a_second_primary_in_the_middle),
        Scenario {
            name: "a_promotion_that_is_none",
            setup: starting,
            play: a_promotion_that_is_none,
        },
        Scenario {
            name: "a_command_to_follow_that_fails",
            setup: failing_to_follow,
            play: a_command_to_follow_that_fails,
        },
        scenario("an_heir_that_refuses_to_take_over", an_heir_that_refuses_to_take_over),
        scenario("an_heir_that_hangs_as_it_takes_over", an_heir_that_hangs_as_it_takes_over),
        scenario("an_heir_that_lies_about_taking_over", an_heir_that_lies_about_taking_over),
        scenario("an_heir_that_dies_as_it_takes_over", an_heir_that_dies_as_it_takes_over),
        scenario("both_die_as_one_takes_over", both_die_as_one_takes_over),
        scenario("a_node_that_cannot_leave_stays", a_node_that_cannot_leave_stays),
        scenario("a_primary_that_is_not_heard_and_lives", a_primary_that_is_not_heard_and_lives),
        scenario("a_primary_that_others_demote", a_primary_that_others_demote),
        Scenario {
            name: "an_old_primary_that_is_restarted_loses_its_fence",
            setup: restarting,
            play: an_old_primary_that_is_restarted_loses_its_fence,
        },
        Scenario {
            name: "a_demotion_that_fails_is_left_to_the_operator",
            setup: failing_to_recover,
            play: a_demotion_that_fails_is_left_to_the_operator,
        },
        scenario("a_primary_whose_disk_is_full", a_primary_whose_disk_is_full),
        scenario("a_standby_whose_disk_is_full", a_standby_whose_disk_is_full),
        scenario("a_standby_that_refuses_to_follow", a_standby_that_refuses_to_follow),
    ]
}

const fn scenario(name: &'static str, play: fn(&mut Sim)) -> Scenario<Sim> {
    Scenario { name, setup: promote, play }
}

fn failing_to_follow() -> Setup {
    by_commands().set("follow_primary_command = \"{commands}/fail %d %m\"")
}

fn starting() -> Setup {
    promote().set("failover_command = \"{commands}/note %m\"")
}

fn restarting() -> Setup {
    recovery_command::running("restart")
}

fn failing_to_recover() -> Setup {
    recovery_command::failing()
}

fn told_of_returns() -> Setup {
    promote().set("failback_command = \"{commands}/note %d is back\"")
}

fn obey(w: &mut Sim, node: usize, obedience: Obedience) {
    w.simulation().befall(node, Fault::Obey(obedience));
}

/// The primary is lost, and of an order to promote this becomes at every standby. Returns a session that
/// asks pgherd.
fn lose_where_none_obeys(w: &mut Sim, obedience: Obedience) -> Client {
    begin(w);
    for node in [HEIR, OTHER] {
        obey(w, node, obedience);
    }
    w.crash(PRIMARY);
    let admin = admin_again(w);
    w.wait_down(&admin, PRIMARY);
    admin
}

fn begin(w: &mut Sim) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
}

/// The next one is promoted at once.
fn a_promotion_that_is_refused(w: &mut Sim) {
    begin(w);
    obey(w, HEIR, Obedience::Refused);
    w.crash(PRIMARY);
    wait_heir(w, OTHER);
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    w.wait_truth(HEIR, "select count(*) from t", "1");
    w.wait_up(&app, HEIR);
}

/// The next one is promoted when there is no more hope of the first.
fn a_promotion_that_hangs(w: &mut Sim) {
    begin(w);
    obey(w, HEIR, Obedience::Hangs);
    w.crash(PRIMARY);
    let admin = admin_again(w);
    w.wait("another one is promoted", PATIENCE, |w| w.pool_nodes(&admin)[OTHER].role == "primary");
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    w.wait_truth(HEIR, "select count(*) from t", "1");
}

/// A standby that could not be promoted was not lost, so that it serves again is no return.
fn a_promotion_in_vain_is_no_loss(w: &mut Sim) {
    begin(w);
    obey(w, HEIR, Obedience::Refused);
    w.crash(PRIMARY);
    wait_heir(w, OTHER);
    let app = w.connect("app");
    w.wait_up(&app, HEIR);
    w.never("it is told", secs(3), |w| !w.commands().is_empty());
    w.rejoin(PRIMARY, OTHER);
    w.wait_up(&app, PRIMARY);
    w.wait("it is told of the old primary", secs(5), |w| w.commands() == ["note 0 is back"]);
}

/// It is looked whether who says so is the primary.
fn a_promotion_that_is_a_lie(w: &mut Sim) {
    begin(w);
    obey(w, HEIR, Obedience::Lies);
    w.crash(PRIMARY);
    wait_heir(w, OTHER);
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    w.wait_truth(HEIR, "select count(*) from t", "1");
}

/// It is not waited for as long as for one that lives.
fn an_heir_that_dies_while_it_is_promoted(w: &mut Sim) {
    begin(w);
    obey(w, HEIR, Obedience::Hangs);
    w.crash(PRIMARY);
    let admin = admin_again(w);
    w.wait_down(&admin, PRIMARY);
    w.never("the other one is promoted", secs(3), |w| {
        w.pool_nodes(&admin)[OTHER].role == "primary"
    });
    w.crash(HEIR);
    w.wait("the other one is promoted", secs(15), |w| {
        w.pool_nodes(&admin)[OTHER].role == "primary"
    });
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
}

/// Servers that refuse to be promoted serve reads; when the primary is back, it serves again.
fn where_nobody_can_be_promoted_reads_go_on(w: &mut Sim) {
    let admin = lose_where_none_obeys(w, Obedience::Refused);
    w.never("pgherd ends", secs(20), |w| w.exit_code().is_some());
    let reader = w.connect("reader");
    assert_eq!(w.run(&reader, "select count(*) from t").value(), "0");
    w.start(PRIMARY);
    w.wait_primary(&admin, PRIMARY);
    let app = w.connect("app");
    write_at_last(w, &app, "insert into t values (1)");
}

/// A primary that returns while others are told to take its place, and do not, serves again in
/// the end.
fn the_primary_is_back_in_the_middle(w: &mut Sim) {
    let admin = lose_where_none_obeys(w, Obedience::Hangs);
    w.never("pgherd ends", secs(5), |w| w.exit_code().is_some());
    w.start(PRIMARY);
    w.never("it serves while another may take its place", secs(20), |w| {
        w.pool_nodes(&admin)[PRIMARY].is_up()
    });
    w.wait("it serves again", PATIENCE + PATIENCE, |w| w.pool_nodes(&admin)[PRIMARY].is_up());
    w.wait_primary(&admin, PRIMARY);
    let app = w.connect("app");
    write_at_last(w, &app, "insert into t values (1)");
}

/// One that was given up becomes a primary when another already is: it serves nobody, also after a
/// start, and not when that one dies.
fn an_heir_that_obeys_late_beside_another(w: &mut Sim) {
    begin(w);
    obey(w, HEIR, Obedience::Hangs);
    w.crash(PRIMARY);
    let admin = admin_again(w);
    w.wait("another one is promoted", PATIENCE, |w| w.pool_nodes(&admin)[OTHER].role == "primary");
    w.simulation().befall(HEIR, Fault::Promote);
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    w.wait("it is in quarantine", secs(20), |w| w.pool_nodes(&app)[HEIR].status == "quarantine");
    w.rejoin(PRIMARY, OTHER);
    w.wait_up(&app, PRIMARY);
    w.kill();
    wait_heir(w, OTHER);
    w.crash(OTHER);
    serves_nobody(w, HEIR);
    wait_heir(w, PRIMARY);
    assert_eq!(w.truth(PRIMARY, "select count(*) from t"), "1");
}

/// The same where the old primary is back.
fn an_heir_that_obeys_late_beside_the_old(w: &mut Sim) {
    let admin = lose_where_none_obeys(w, Obedience::Hangs);
    w.start(PRIMARY);
    w.wait("it serves again", PATIENCE + PATIENCE, |w| w.pool_nodes(&admin)[PRIMARY].is_up());
    w.simulation().befall(HEIR, Fault::Promote);
    w.wait("it is in quarantine", secs(20), |w| w.pool_nodes(&admin)[HEIR].status == "quarantine");
    let app = w.connect("app");
    write_at_last(w, &app, "insert into t values (1)");
    w.kill();
    wait_heir(w, PRIMARY);
    w.crash(PRIMARY);
    serves_nobody(w, HEIR);
}

/// Whoever has writes that the cluster lacks, or lacks its writes, is not used.
fn serves_nobody(w: &mut Sim, node: usize) {
    let watcher = admin_again(w);
    w.never("it serves", secs(8), |w| w.pool_nodes(&watcher)[node].is_up());
}

/// A primary that hung answers again while another takes its place: nothing is written to it.
fn a_second_primary_in_the_middle(w: &mut Sim) {
    begin(w);
    w.befall(PRIMARY, Fate::Freeze);
    let writers: Vec<_> = (0..4).map(|n| w.connect(&format!("writer {n}"))).collect();
    for writer in &writers {
        w.query_start(writer, "insert into t values (1)");
    }
    let admin = admin_again(w);
    w.wait_down(&admin, PRIMARY);
    w.wait("the heir is told", PATIENCE, |w| w.simulation().is_taking_over(HEIR));
    w.befall(PRIMARY, Fate::Thaw);
    for writer in &writers {
        w.finish(writer);
    }
    wait_heir(w, HEIR);
    let app = w.connect("app");
    w.run(&app, "insert into t values (2)");
    assert_eq!(w.truth(PRIMARY, "select count(*) from t where n = 2"), "0");
    w.rejoin(PRIMARY, HEIR);
    w.wait_up(&admin, PRIMARY);
    w.wait_truth(PRIMARY, "select count(*) from t where n = 2", "1");
}

/// Everything is as before.
fn an_heir_that_refuses_to_take_over(w: &mut Sim) {
    switch_in_vain(w, Obedience::Refused);
}

/// Everything is as before, once there is no hope any more.
fn an_heir_that_hangs_as_it_takes_over(w: &mut Sim) {
    switch_in_vain(w, Obedience::Hangs);
}

/// It is looked whether who says so is the primary.
fn an_heir_that_lies_about_taking_over(w: &mut Sim) {
    switch_in_vain(w, Obedience::Lies);
}

fn switch_in_vain(w: &mut Sim, obedience: Obedience) {
    begin(w);
    go_on_switching_in_vain(w, obedience);
}

fn go_on_switching_in_vain(w: &mut Sim, obedience: Obedience) {
    obey(w, HEIR, obedience);
    let late = w.connect("late");
    let mut operator = ask_for_heir(w);
    w.query_start(&late, "insert into t values (1)");
    let said = end_patiently(w, &mut operator);
    assert!(said.is_error() && said.field('D').contains("has not become"), "{said:?}");
    w.wait("the write that waited is done", PATIENCE, |w| {
        w.pump(&late);
        late.has_answer()
    });
    assert_eq!(late.take_answer().expect("waited for").good().tags(), ["INSERT 0 1"]);
    assert_eq!(w.truth(PRIMARY, "select count(*) from t"), "1");
    w.run(&late, "insert into t values (2)");
    w.wait_truth(HEIR, "select count(*) from t", "2");
}

/// The old primary takes writes again: the heir took none.
fn an_heir_that_dies_as_it_takes_over(w: &mut Sim) {
    begin(w);
    obey(w, HEIR, Obedience::Hangs);
    let late = w.connect("late");
    let mut operator = ask_for_heir(w);
    operator.await_notice(w, "is promoted");
    w.query_start(&late, "insert into t values (1)");
    w.crash(HEIR);
    let said = operator.end(w);
    assert!(said.is_error(), "{said:?}");
    assert_eq!(w.finish(&late).good().tags(), ["INSERT 0 1"]);
    assert_eq!(w.truth(PRIMARY, "select count(*) from t"), "1");
}

/// The standby that is left takes over.
fn both_die_as_one_takes_over(w: &mut Sim) {
    begin(w);
    obey(w, HEIR, Obedience::Hangs);
    let mut operator = ask_for_heir(w);
    operator.await_notice(w, "is promoted");
    w.crash(HEIR);
    w.crash(PRIMARY);
    let said = operator.end(w);
    assert!(said.is_error(), "{said:?}");
    wait_heir(w, OTHER);
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    assert_eq!(w.truth(OTHER, "select count(*) from t"), "1");
}

/// What does not end keeps a node in service.
fn a_node_that_cannot_leave_stays(w: &mut Sim) {
    begin(w);
    let busy = w.connect("busy");
    w.run(&busy, "begin");
    w.run(&busy, "insert into t values (1)");
    let mut operator = Admin::enter(w);
    w.send(operator.conn, &packet(b'd', format!("{PRIMARY}\0").as_bytes()));
    let said = end_patiently(w, &mut operator);
    assert!(said.is_error() && said.field('D').contains("did not end"), "{said:?}");
    w.run(&busy, "commit");
    let late = w.connect("late");
    w.run(&late, "insert into t values (2)");
    assert_eq!(w.truth(PRIMARY, "select sum(n) from t"), "3");
}

fn ask_for_heir(w: &mut Sim) -> Admin {
    let operator = Admin::enter(w);
    w.send(operator.conn, &packet(b'J', format!("{HEIR} \0s").as_bytes()));
    operator
}

fn end_patiently(w: &mut Sim, operator: &mut Admin) -> Reply {
    let mut end = None;
    w.wait("an answer", PATIENCE, |w| {
        end = operator.poll(w, |reply| reply.tag != b'N');
        end.is_some()
    });
    end.expect("waited for")
}

/// What pgherd says arrives at the primary, and no answer comes back, while others write there: the
/// standbys receive that, so nobody is promoted.
fn a_primary_that_is_not_heard_and_lives(w: &mut Sim) {
    begin(w);
    let admin = w.connect("admin");
    w.simulation().befall(PRIMARY, Fault::Mute);
    w.wait_down(&admin, PRIMARY);
    for _ in 0..40 {
        w.sql(PRIMARY, "insert into t values (1)").expect("it lives");
        w.never("somebody is promoted", PAUSE, |w| is_promoted(w, HEIR) || is_promoted(w, OTHER));
    }
    w.simulation().befall(PRIMARY, Fault::Unmute);
    w.wait_primary(&admin, PRIMARY);
    let app = w.connect("app");
    write_at_last(w, &app, "insert into t values (2)");
}

/// A primary that somebody else has made a standby is not replaced: whoever does that has a plan.
fn a_primary_that_others_demote(w: &mut Sim) {
    begin(w);
    let admin = w.connect("admin");
    w.simulation().befall(PRIMARY, Fault::Demote);
    w.wait("it is seen as a standby", secs(20), |w| {
        let nodes = w.pool_nodes(&admin);
        nodes[PRIMARY].seen == "up" && nodes[PRIMARY].role == "standby"
    });
    w.never("somebody is promoted", secs(8), |w| is_promoted(w, HEIR) || is_promoted(w, OTHER));
    w.simulation().befall(OTHER, Fault::Promote);
    w.wait_primary(&admin, OTHER);
    let app = w.connect("app");
    write_at_last(w, &app, "insert into t values (1)");
}

/// A full disk is no loss: whoever is in goes on, nobody is promoted, and others are let in again when
/// there is room.
fn a_primary_whose_disk_is_full(w: &mut Sim) {
    begin(w);
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    w.simulation().befall(PRIMARY, Fault::FillDisk);
    w.never("the primary is given up", secs(20), |w| {
        !w.pool_nodes(&app)[PRIMARY].is_up() || is_promoted(w, HEIR) || is_promoted(w, OTHER)
    });
    w.run(&app, "insert into t values (2)");
    w.simulation().befall(PRIMARY, Fault::Admit);
    let next = w.connect("next");
    w.run(&next, "insert into t values (3)");
    assert_eq!(w.truth(PRIMARY, "select sum(n) from t"), "6");
}

/// The same holds for a standby; it is still one that can be promoted when there is room again.
fn a_standby_whose_disk_is_full(w: &mut Sim) {
    begin(w);
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    w.simulation().befall(HEIR, Fault::FillDisk);
    w.never("the standby is given up", secs(20), |w| !w.pool_nodes(&app)[HEIR].is_up());
    w.crash(PRIMARY);
    wait_heir(w, OTHER);
    write_at_last(w, &app, "insert into t values (2)");
    w.simulation().befall(HEIR, Fault::Admit);
    w.wait_truth(HEIR, "select sum(n) from t", "3");
    w.wait_up(&app, HEIR);
}

/// A standby that may not be told whom to follow is soon kept out of service, because what it has grows
/// old, until it may.
fn a_standby_that_refuses_to_follow(w: &mut Sim) {
    begin(w);
    w.simulation().befall(OTHER, Fault::Resist);
    w.crash(PRIMARY);
    wait_heir(w, HEIR);
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    w.wait("it is kept out", PATIENCE, |w| !w.pool_nodes(&app)[OTHER].is_up());
    w.never("it serves", secs(10), |w| w.pool_nodes(&app)[OTHER].is_up());
    assert_eq!(w.truth(OTHER, "select count(*) from t"), "0");
    w.simulation().befall(OTHER, Fault::Yield);
    w.wait_truth(OTHER, "select count(*) from t", "1");
    w.wait_up(&app, OTHER);
}

/// pgherd is killed when its order has arrived at the heir, and nobody has heard the answer.
fn pgherd_is_killed_as_the_heir_obeys(w: &mut Sim) {
    begin(w);
    w.crash(PRIMARY);
    w.wait("an heir is told", PATIENCE, |w| {
        w.simulation().is_taking_over(HEIR) || w.simulation().is_taking_over(OTHER)
    });
    w.kill();
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    let heir = wait_any_heir(w, PRIMARY);
    w.wait_truth(other(heir), "select count(*) from t", "1");
}

/// A command that is to promote starts the server as a primary instead, on the timeline of the lost one:
/// it takes writes, and who has lost the old primary serves no more until it follows the new one.
fn a_promotion_that_is_none(w: &mut Sim) {
    begin(w);
    w.crash(PRIMARY);
    w.wait("the command is run", PATIENCE, |w| count(w, "note") > 0);
    let heir = usize::from(w.commands().concat().ends_with('2')) + 1;
    w.simulation().befall(heir, Fault::Secede(heir));
    wait_heir(w, heir);
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    let bereft = other(heir);
    w.wait("it is kept out", PATIENCE, |w| w.pool_nodes(&app)[bereft].status == "quarantine");
    w.never("it serves", secs(20), |w| w.pool_nodes(&app)[bereft].is_up());
    w.rejoin(bereft, heir);
    w.wait_up(&app, bereft);
    w.wait_truth(bereft, "select count(*) from t", "1");
}

/// It is run again after a while, but not for ever; the standby is kept out of service until the
/// operator has made it follow.
fn a_command_to_follow_that_fails(w: &mut Sim) {
    const RUNS: usize = 3;
    begin(w);
    w.crash(PRIMARY);
    let heir = wait_any_heir(w, PRIMARY);
    let stray = other(heir);
    let line = format!("fail {stray} {heir}");
    let runs = |w: &mut Sim| w.commands().iter().filter(|run| **run == line).count();
    w.wait("it is given up", PATIENCE + PATIENCE, |w| runs(w) == RUNS);
    let app = w.connect("app");
    assert!(!w.pool_nodes(&app)[stray].is_up(), "what it serves grows old");
    w.never("it is run once more", PATIENCE + PATIENCE, |w| runs(w) > RUNS);
    w.rejoin(stray, heir);
    w.wait_up(&app, stray);
}

/// A command that only restarts it as a standby leaves the fence, which goes once it follows.
fn an_old_primary_that_is_restarted_loses_its_fence(w: &mut Sim) {
    begin(w);
    let app = w.connect("app");
    for (node, old) in [(HEIR, PRIMARY), (PRIMARY, HEIR)] {
        hand_over(w, node, "recovery_command makes it a standby");
        w.wait_up(&app, old);
        w.wait_truth(old, FENCES, "0");
        w.run(&app, "insert into t values (1)");
    }
    w.wait_truth(HEIR, "select count(*) from t", "2");
    assert_eq!(count(w, "restart"), 2, "{:?}", w.commands());
}

/// It is tried a few times, with pauses. Then it is the operator's affair, who can recover it.
fn a_demotion_that_fails_is_left_to_the_operator(w: &mut Sim) {
    const TRIES: usize = 3;
    begin(w);
    let app = w.connect("app");
    hand_over(w, HEIR, "recovery_command makes it a standby");
    w.wait("it is given up", PATIENCE + PATIENCE, |w| count(w, "break") == TRIES);
    w.never("it is tried once more", PATIENCE, |w| count(w, "break") > TRIES);
    assert!(!w.pool_nodes(&app)[PRIMARY].is_up());
    w.configure(&recovery_command::by_command());
    w.signal(Signal::Reload);
    let mut operator = Admin::enter(w);
    // The request may be there before the new configuration is.
    w.wait("it is recovered", PATIENCE, |w| {
        let told = recovery::recover(w, &mut operator, PRIMARY);
        told.last().is_some_and(|last| last.tag == b'c')
    });
    w.wait_up(&app, PRIMARY);
}
