//! Nodes that are out of service are made standbys again, by the scripts of Pgpool-II's extension.

use crate::admin::{Admin, Reply, packet};
use crate::client::Client;
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::scenarios::failover::{admin_again, other, promote, wait_any_heir};
use crate::world::{End, Fate, Scripts, Setup, Signal, World};

/// The node that is lost.
pub const LOST: usize = 2;
const STANDBYS: usize = 2;

/// Recovery is set up as for Pgpool-II, and pgherd promotes.
#[must_use]
pub fn recovering() -> Setup {
    promote()
        .set("recovery_user = \"postgres\"")
        .set("recovery_password = \"postgres\"")
        .set("recovery_1st_stage_command = \"recovery_1st_stage\"")
        .set("recovery_timeout = \"30s\"")
}

/// The same with a node that is not waited for.
#[must_use]
pub fn impatient() -> Setup {
    recovering().set("recovery_timeout = \"5s\"")
}

/// The same with a copy that must not take long.
#[must_use]
pub fn hasty() -> Setup {
    recovering().set("recovery_command_timeout = \"3s\"")
}

/// A standby is lost with its data, and comes back by a request: who asks hears how it goes on and
/// is answered when the node serves again.
pub fn a_lost_node_is_recovered(w: &mut impl World) {
    let app = lose(w, LOST);
    w.befall(PRIMARY, Fate::Scripts(Scripts::Work));
    let mut admin = Admin::enter(w);
    let told = recover(w, &mut admin, LOST);
    assert_eq!(told.last().map(|last| (last.tag, last.texts.len())), Some((b'c', 1)), "{told:?}");
    let notices = notices(&told);
    let runs = "node 2: base backup runs (recovery_1st_stage_command), 0 s so far";
    for what in [runs, "node 2: its server is started", "node 2: awaited as a standby"] {
        assert!(notices.iter().any(|line| line.starts_with(what)), "no {what} in {notices:?}");
    }
    w.wait_up(&app, LOST);
    w.wait_truth(LOST, "select count(*) from t", "1");
    w.run(&app, "insert into t values (2)");
    w.wait_truth(LOST, "select count(*) from t", "2");
    // The session goes on.
    assert_eq!(admin.ask(w, b'L', b"").texts, ["CommandComplete", "3"]);
}

/// What cannot be recovered is not touched, and whoever asks hears why.
pub fn what_cannot_be_recovered_is_refused(w: &mut impl World) {
    let app = w.connect("app");
    let mut admin = Admin::enter(w);
    let said = |w: &mut _, admin: &mut Admin, payload: &[u8]| {
        let reply = admin.ask(w, b'O', payload);
        assert_eq!(reply.field('S'), "ERROR", "{reply:?}");
        (reply.field('M').to_owned(), reply.field('D').to_owned())
    };
    let failed = "process recovery request failed";
    let (message, detail) = said(w, &mut admin, b"0\0");
    assert_eq!(message, failed);
    assert_eq!(detail, "primary server cannot be recovered by online recovery.");
    let (message, detail) = said(w, &mut admin, b"9\0");
    assert_eq!((&message[..], &detail[..]), (failed, "node id 9 is not valid"));
    let (message, _) = said(w, &mut admin, b"1\0");
    assert_eq!(message, "node recovery failed, node id: 1 is alive");
    // Where there is no extension, a node is as it was.
    w.crash(LOST);
    w.wait_down(&app, LOST);
    let told = recover(w, &mut admin, LOST);
    let last = told.last().expect("an answer");
    assert!(last.field('D').contains("CREATE EXTENSION pgpool_recovery"), "{told:?}");
    w.start(LOST);
    w.wait_up(&app, LOST);
}

/// The plan is told and nothing is done.
pub fn a_plan_is_told(w: &mut impl World) {
    let app = lose(w, LOST);
    w.befall(PRIMARY, Fate::Scripts(Scripts::Work));
    let mut admin = Admin::enter(w);
    w.send(admin.conn, &packet(b'O', b"2\0dry-run\0"));
    let told = answer(w, &mut admin);
    let notices = notices(&told);
    let calls = ["SELECT pgpool_recovery('recovery_1st_stage', ", "SELECT pgpool_remote_start("];
    for call in calls {
        assert!(notices.iter().any(|line| line.contains(call)), "no {call} in {notices:?}");
    }
    assert_eq!(told.last().map(|last| last.tag), Some(b'c'));
    w.never("anything is done", secs(12), |w| w.pool_nodes(&app)[LOST].is_up());
    let wrong = admin.ask(w, b'O', b"2\0maybe\0");
    assert!(wrong.field('D').contains("dry-run"), "{wrong:?}");
}

/// A script that fails leaves the node out of service, and the next attempt succeeds.
pub fn a_failed_copy_leaves_the_node_out(w: &mut impl World) {
    let app = lose(w, LOST);
    fails(w, &app, Scripts::CopyFails, "recovery_1st_stage_command failed");
    succeeds(w, &app);
}

/// The node's server is not started: by a script that says so, and by one that does not.
pub fn a_node_that_is_not_started_stays_out(w: &mut impl World) {
    let app = lose(w, LOST);
    fails(w, &app, Scripts::StartFails, "pgpool_remote_start failed");
    fails(w, &app, Scripts::StartLies, "does not answer within 5 seconds (recovery_timeout)");
    succeeds(w, &app);
}

/// The node's server is started and follows nobody: a copy that takes writes serves no client.
pub fn a_node_that_follows_nobody_stays_out(w: &mut impl World) {
    let app = lose(w, LOST);
    fails(w, &app, Scripts::StartsAlone, "is no standby within 5 seconds (recovery_timeout)");
    w.run(&app, "insert into t values (7)");
    assert_eq!(w.truth(LOST, "select count(*) from t where n = 7"), "0");
    let mut admin = Admin::enter(w);
    assert!(admin.ask(w, b'C', b"2\0").is_error(), "it takes writes beside the primary");
    succeeds(w, &app);
}

/// A script that never ends is not waited for, nor run twice at the same time.
pub fn a_copy_that_hangs_is_given_up(w: &mut impl World) {
    let app = lose(w, LOST);
    fails(w, &app, Scripts::CopyHangs, "may still run on node 0");
    let mut admin = Admin::enter(w);
    let told = recover(w, &mut admin, LOST);
    let last = told.last().expect("an answer");
    assert!(last.field('D').contains("an earlier recovery still runs on node 0"), "{last:?}");
    w.configure(&recovering());
    w.signal(Signal::Reload);
    w.befall(PRIMARY, Fate::Scripts(Scripts::Work));
    w.wait("it has ended", LIMIT, |w| {
        let told = recover(w, &mut admin, LOST);
        told.last().is_some_and(|last| last.tag == b'c')
    });
    w.wait_up(&app, LOST);
}

/// One at a time: a second request is refused, and so is whatever else is asked for the node.
pub fn a_second_recovery_is_refused(w: &mut impl World) {
    let app = lose(w, LOST);
    w.befall(PRIMARY, Fate::Scripts(Scripts::CopyHangs));
    let mut first = begin(w, LOST);
    let mut second = Admin::enter(w);
    let said = second.ask(w, b'O', b"2\0");
    assert_eq!(said.field('S'), "FATAL", "{said:?}");
    assert!(said.field('D').contains("already processing another recovery"), "{said:?}");
    assert_eq!(second.next(w), None, "it is over");
    let mut third = Admin::enter(w);
    let said = third.ask(w, b'C', b"2\0");
    assert_eq!(said.field('D'), "online recovery is in progress", "{said:?}");
    let told = answer(w, &mut first);
    assert!(told.last().is_some_and(Reply::is_error), "{told:?}");
    succeeds(w, &app);
}

/// Whoever has asked leaves: the node is recovered all the same.
pub fn an_asker_that_leaves_is_not_missed(w: &mut impl World) {
    let app = lose(w, LOST);
    w.befall(PRIMARY, Fate::Scripts(Scripts::Work));
    let admin = begin(w, LOST);
    w.close(admin.conn, End::Reset);
    w.wait_up(&app, LOST);
    w.wait_truth(LOST, "select count(*) from t", "1");
}

/// The primary dies while it is copied: who asks hears so, and the node is recovered from the next
/// primary.
pub fn a_primary_dies_while_it_is_copied(w: &mut impl World) {
    let app = lose(w, LOST);
    w.befall(PRIMARY, Fate::Scripts(Scripts::CopyHangs));
    let mut admin = begin(w, LOST);
    w.crash(PRIMARY);
    let told = answer(w, &mut admin);
    let last = told.last().expect("an answer");
    assert_eq!(last.field('M'), "node recovery failed, node id: 2", "{told:?}");
    let heir = wait_any_heir(w, PRIMARY);
    assert_eq!(other(heir), LOST, "a node that is being recovered is not promoted");
    w.terminate(&app);
    let app = admin_again(w);
    assert!(!w.pool_nodes(&app)[LOST].is_up());
    w.befall(heir, Fate::Scripts(Scripts::Work));
    for node in [LOST, PRIMARY] {
        let told = recover(w, &mut admin, node);
        assert_eq!(told.last().map(|last| last.tag), Some(b'c'), "{told:?}");
        w.wait_up(&app, node);
        w.wait_truth(node, "select count(*) from t", "1");
    }
}

/// pgherd is stopped in the middle: who asks hears so.
pub fn a_shutdown_ends_a_recovery(w: &mut impl World) {
    let app = lose(w, LOST);
    w.befall(PRIMARY, Fate::Scripts(Scripts::CopyHangs));
    let mut admin = begin(w, LOST);
    w.signal(Signal::Smart);
    let told = answer(w, &mut admin);
    let last = told.last().expect("an answer");
    assert!(last.field('D').starts_with("pgherd is stopping"), "{told:?}");
    w.terminate(&app);
    w.wait("pgherd ends", LIMIT, |w| w.exit_code().is_some());
    assert_eq!(w.exit_code(), Some(0));
}

/// Makes a table with a row, and has a standby die.
///
/// # Panics
/// That does not succeed.
pub fn lose(w: &mut impl World, node: usize) -> Client {
    let app = w.connect("app");
    w.table(&app, "t", STANDBYS);
    w.run(&app, "insert into t values (1)");
    for standby in 1..=STANDBYS {
        w.wait_truth(standby, "select count(*) from t", "1");
    }
    w.crash(node);
    w.wait_down(&app, node);
    app
}

/// Asks for a recovery and waits until its copy is under way.
fn begin(w: &mut impl World, node: usize) -> Admin {
    let mut admin = Admin::enter(w);
    w.send(admin.conn, &packet(b'O', format!("{node}\0").as_bytes()));
    loop {
        let reply = admin.next(w).expect("news or an answer");
        assert_eq!(reply.tag, b'N', "{reply:?}");
        if reply.field('M').contains("base backup runs") {
            return admin;
        }
    }
}

/// Asks for a recovery; everything that is told until its end.
///
/// # Panics
/// There is no answer.
pub fn recover(w: &mut impl World, admin: &mut Admin, node: usize) -> Vec<Reply> {
    w.send(admin.conn, &packet(b'O', format!("{node}\0").as_bytes()));
    answer(w, admin)
}

/// Everything that is told until the answer, which comes last.
///
/// # Panics
/// There is none.
pub fn answer(w: &mut impl World, admin: &mut Admin) -> Vec<Reply> {
    let mut told = Vec::new();
    while told.last().is_none_or(|last: &Reply| last.tag == b'N') {
        told.push(admin.next(w).expect("news or an answer"));
    }
    told
}

/// What is told on the way to an answer.
#[must_use]
pub fn notices(told: &[Reply]) -> Vec<&str> {
    told.iter().filter(|reply| reply.tag == b'N').map(|reply| reply.field('M')).collect()
}

/// A recovery fails for a reason, and leaves the node out of service.
fn fails(w: &mut impl World, app: &Client, scripts: Scripts, why: &str) {
    w.befall(PRIMARY, Fate::Scripts(scripts));
    let mut admin = Admin::enter(w);
    let told = recover(w, &mut admin, LOST);
    let last = told.last().expect("an answer");
    assert_eq!(last.field('M'), "node recovery failed, node id: 2", "{told:?}");
    assert!(last.field('D').contains(why), "no {why:?} in {last:?}");
    w.never("it serves", secs(2), |w| w.pool_nodes(app)[LOST].is_up());
}

/// The next recovery succeeds.
fn succeeds(w: &mut impl World, app: &Client) {
    w.befall(PRIMARY, Fate::Scripts(Scripts::Work));
    let mut admin = Admin::enter(w);
    w.wait("nothing of the last attempt runs", LIMIT, |w| {
        let told = recover(w, &mut admin, LOST);
        told.last().is_some_and(|last| last.tag == b'c')
    });
    w.wait_up(app, LOST);
    w.wait_truth(LOST, "select count(*) from t where n = 1", "1");
}
