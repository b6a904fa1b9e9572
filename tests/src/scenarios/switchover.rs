//! The primary hands over to a standby, by the operator's word.

use std::time::Duration;

use crate::admin::{Admin, Reply, packet};
use crate::client::Client;
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::scenarios::failover::{admin_again, assert_lost, other, wait_any_heir, write_at_last};
pub use crate::scenarios::failover::{leave_it, promote, promote_shared};
use crate::world::{End, Fate, Setup, Signal, World};

/// Whoever is to take over.
const HEIR: usize = 1;
const STANDBYS: usize = 2;

/// More than fits between a server and a client who does not read, in bytes.
const MEBIBYTES: usize = 2 << 20;

/// Long beside what a message takes.
const PAUSE: Duration = Duration::from_millis(400);

/// A switchover is undone soon.
#[must_use]
pub fn brief() -> Setup {
    promote().set("switchover_timeout = \"2s\"")
}

/// Reads go to the standbys.
#[must_use]
pub fn standbys_read() -> Setup {
    Setup { weights: vec![0.0, 1.0, 1.0], ..promote() }
}

/// While clients write, another node becomes the primary. None of them sees an error, every write is
/// there once, the other standby follows, and the old primary is out of service.
pub fn a_switchover_costs_nobody_an_error(w: &mut impl World) {
    let admin = begin(w);
    let writers: Vec<Client> = (0..5).map(|n| w.connect(&format!("writer {n}"))).collect();
    let mut operator = Admin::enter(w);
    ask(w, &operator, HEIR);
    let mut written = 0;
    let mut said = None;
    w.wait("the switchover is over", LIMIT, |w| {
        for writer in &writers {
            w.query_start(writer, "insert into t values (1)");
        }
        for writer in &writers {
            assert_eq!(w.finish(writer).good().tags(), ["INSERT 0 1"]);
            written += 1;
        }
        said = operator.poll(w, |reply| reply.tag != b'N');
        said.is_some()
    });
    assert_good(&said.expect("waited for"));
    assert_eq!(w.truth(HEIR, "select count(*) from t"), written.to_string());
    w.wait_truth(other(HEIR), "select count(*) from t", &written.to_string());
    let nodes = w.pool_nodes(&admin);
    assert_eq!(
        (nodes[PRIMARY].status.as_str(), nodes[HEIR].role.as_str()),
        ("quarantine", "primary")
    );
}

/// Sessions that keep their connections find the new primary at their next statement, with what they
/// have set.
pub fn sessions_with_connections_of_their_own_move_too(w: &mut impl World) {
    begin(w);
    let sessions: Vec<Client> = (0..4).map(|n| w.connect(&format!("session {n}"))).collect();
    for session in &sessions {
        w.run(session, "set application_name = 'mine'");
        w.run(session, "insert into t values (1)");
    }
    switch(w, HEIR);
    for session in &sessions {
        w.run(session, "insert into t values (1)");
        assert_eq!(w.run(session, "show application_name").value(), "mine");
    }
    assert_eq!(w.truth(HEIR, "select count(*) from t"), "8");
}

/// A transaction that runs is waited for; whoever comes meanwhile waits for the new primary, and it
/// is told how long.
pub fn a_switchover_waits_for_what_is_running(w: &mut impl World) {
    begin(w);
    let late = w.connect("late");
    let (busy, mut operator) = hold_up(w);
    let came = ask_until_held(w, &late);
    w.run(&busy, "insert into t values (3)");
    w.run(&busy, "commit");
    let told = operator.await_notice(w, "the longest stall of a client was");
    let longest = told.rsplit(' ').nth(1).and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
    let longest = longest.unwrap_or_else(|| panic!("{told}"));
    assert!(longest >= PAUSE / 2 && longest <= w.now() - came, "{told}");
    assert_good(&operator.end(w));
    assert_eq!(w.finish(&late).good().tags(), ["UPDATE 0"]);
    assert_eq!(w.truth(HEIR, "select sum(n) from t"), "4");
}

/// Has a client begin a write that changes nothing, again and again, until one waits; returns since
/// when. Whoever serves the client hears of the hold a moment after the operator does.
fn ask_until_held(w: &mut impl World, client: &Client) -> Duration {
    loop {
        let came = w.now();
        w.query_start(client, "update t set n = 0 where n = 99");
        w.wait("an answer, or a pause", LIMIT, |w| w.has_answer(client) || w.now() - came >= PAUSE);
        if !w.has_answer(client) {
            return came;
        }
        w.finish(client).good();
    }
}

/// One connection for all, in one thread.
#[must_use]
pub fn one_for_all() -> Setup {
    promote_shared().set("pool_size_max = 1").set("worker_threads = 1")
}

/// Those who waited for the new primary are served in the order in which they came.
pub fn those_who_waited_are_served_in_their_order(w: &mut impl World) {
    let admin = begin(w);
    let busy = w.connect("busy");
    let late: Vec<Client> = (0..4).map(|n| w.connect(&format!("late {n}"))).collect();
    w.run(&busy, "begin");
    w.run(&busy, "insert into t values (100)");
    let mut operator = Admin::enter(w);
    ask(w, &operator, HEIR);
    operator.await_notice(w, "new transactions wait");
    // Not in the order in which they connected.
    for client in late.iter().rev() {
        w.query_start(client, "insert into t select count(*) from t returning n");
        // By then it is known to wait.
        for _ in 0..5 {
            w.pool_nodes(&admin);
        }
    }
    w.run(&busy, "commit");
    assert_good(&operator.end(w));
    for (n, client) in late.iter().rev().enumerate() {
        assert_eq!(w.finish(client).good().value(), (n + 1).to_string());
    }
}

/// Reads that standbys serve know nothing of it.
pub fn reads_go_on_during_a_switchover(w: &mut impl World) {
    begin(w);
    let (busy, mut operator) = hold_up(w);
    for _ in 0..5 {
        let reader = w.connect("reader");
        assert_eq!(w.run(&reader, "select count(*) from t").value(), "0");
        w.terminate(&reader);
    }
    w.run(&busy, "commit");
    assert_good(&operator.end(w));
}

/// A transaction that stays open past the deadline is not touched: everything goes on as before.
pub fn a_transaction_that_does_not_end_undoes_a_switchover(w: &mut impl World) {
    let admin = begin(w);
    let late = w.connect("late");
    let (busy, mut operator) = hold_up(w);
    w.query_start(&late, "insert into t values (2)");
    let refused = Admin::enter(w).ask(w, b'D', format!("{HEIR}\0").as_bytes());
    assert_eq!(refused.field('D'), "promote node operation is in progress", "{refused:?}");
    let said = operator.end(w);
    assert!(said.is_error() && said.field('D').contains("did not end"), "{said:?}");
    assert_eq!(w.finish(&late).good().tags(), ["INSERT 0 1"]);
    w.run(&busy, "commit");
    assert_eq!(w.truth(PRIMARY, "select sum(n) from t"), "3");
    w.wait_primary(&admin, PRIMARY);
}

/// What only a session's connection has would be lost with it.
pub fn what_only_a_connection_has_undoes_a_switchover(w: &mut impl World) {
    begin(w);
    let owner = w.connect("owner");
    w.run(&owner, "create temp table mine (n int)");
    w.run(&owner, "insert into mine values (7)");
    let mut operator = Admin::enter(w);
    ask(w, &operator, HEIR);
    let said = operator.end(w);
    assert!(said.is_error() && said.field('D').contains("hold"), "{said:?}");
    assert_eq!(w.run(&owner, "select n from mine").value(), "7");
    w.run(&owner, "drop table mine");
    switch(w, HEIR);
    w.run(&owner, "insert into t values (1)");
    assert_eq!(w.truth(HEIR, "select count(*) from t"), "1");
}

/// An heir that stands still is given up; the old primary takes writes again.
pub fn an_heir_that_does_not_replay_undoes_a_switchover(w: &mut impl World) {
    let admin = begin(w);
    w.befall(HEIR, Fate::PauseReplay);
    w.run(&admin, "insert into t values (1)");
    let mut operator = Admin::enter(w);
    ask(w, &operator, HEIR);
    operator.await_notice(w, "replays what is left");
    let late = w.connect("late");
    w.query_start(&late, "insert into t values (2)");
    let said = operator.end(w);
    assert!(said.is_error() && said.field('D').contains("did not replay"), "{said:?}");
    assert_eq!(w.finish(&late).good().tags(), ["INSERT 0 1"]);
    assert_eq!(w.truth(PRIMARY, "select sum(n) from t"), "3");
    w.befall(HEIR, Fate::ResumeReplay);
    switch(w, HEIR);
    w.run(&late, "insert into t values (3)");
    assert_eq!(w.truth(HEIR, "select sum(n) from t"), "6");
}

/// An heir that dies when the old primary takes no writes any more is given up likewise.
pub fn an_heir_that_dies_undoes_a_switchover(w: &mut impl World) {
    let admin = begin(w);
    w.befall(HEIR, Fate::PauseReplay);
    w.run(&admin, "insert into t values (1)");
    let mut operator = Admin::enter(w);
    ask(w, &operator, HEIR);
    operator.await_notice(w, "replays what is left");
    w.crash(HEIR);
    let said = operator.end(w);
    assert!(said.is_error(), "{said:?}");
    w.run(&admin, "insert into t values (2)");
    assert_eq!(w.truth(PRIMARY, "select sum(n) from t"), "3");
}

/// A primary that dies while it hands over is a lost one: the best standby takes its place.
pub fn the_primary_dies_before_it_hands_over(w: &mut impl World) {
    begin(w);
    let late = w.connect("late");
    let (_busy, mut operator) = hold_up(w);
    w.query_start(&late, "insert into t values (2)");
    w.crash(PRIMARY);
    let said = operator.end(w);
    assert!(said.is_error(), "{said:?}");
    let heir = wait_any_heir(w, PRIMARY);
    let answer = w.finish(&late);
    if answer.failed() {
        // It had begun before its thread heard that it was to wait.
        assert_lost(&answer);
    } else {
        assert_eq!(w.truth(heir, "select sum(n) from t"), "2");
    }
}

/// Little patience without a server, and more with a switchover.
#[must_use]
pub fn impatient() -> Setup {
    promote().set("failover_wait_timeout = \"10s\"").set("switchover_timeout = \"20s\"")
}

/// The time that a switchover has taken is not counted when the primary dies in it: whoever waited
/// has all of its patience for the next one.
pub fn a_wait_for_a_switchover_is_no_wait_for_a_primary(w: &mut impl World) {
    begin(w);
    let late = w.connect("late");
    let (_busy, mut operator) = hold_up(w);
    w.never("pgherd ends", secs(1), |w| w.exit_code().is_some());
    w.query_start(&late, "insert into t values (2)");
    w.never("it is answered", secs(11), |w| {
        w.pump(&late);
        late.has_answer()
    });
    w.crash(PRIMARY);
    let said = operator.end(w);
    assert!(said.is_error(), "{said:?}");
    assert_eq!(w.finish(&late).good().tags(), ["INSERT 0 1"]);
    let heir = wait_any_heir(w, PRIMARY);
    assert_eq!(w.truth(heir, "select sum(n) from t"), "2");
}

/// One node, and little patience.
#[must_use]
pub fn alone() -> Setup {
    Setup { standbys: 0, ..promote() }.set("failover_wait_timeout = \"1s\"")
}

/// Where the only node ends what it is at before it leaves, new reads wait as writes do.
pub fn reads_wait_for_the_only_node_that_leaves(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", 0);
    let (busy, reader) = (w.connect("busy"), w.connect("reader"));
    w.run(&busy, "begin");
    w.run(&busy, "insert into t values (1)");
    let mut operator = Admin::enter(w);
    w.send(operator.conn, &packet(b'd', format!("{PRIMARY}\0").as_bytes()));
    operator.await_notice(w, "nothing new begins there");
    w.never("pgherd ends", secs(1), |w| w.exit_code().is_some());
    w.query_start(&reader, "select count(*) from t");
    w.never("it is answered", secs(4), |w| {
        w.pump(&reader);
        reader.has_answer()
    });
    w.run(&busy, "commit");
    assert_good(&operator.end(w));
    assert_eq!(w.finish(&reader).code(), "57P03", "there is no other");
}

/// Nobody takes over who cannot, and nothing is held up for them.
pub fn a_standby_that_is_unfit_is_refused(w: &mut impl World) {
    let admin = begin(w);
    w.crash(HEIR);
    w.wait_down(&admin, HEIR);
    let mut operator = Admin::enter(w);
    ask(w, &operator, HEIR);
    let said = operator.end(w);
    assert!(said.field('D').contains("does not answer"), "{said:?}");
    let said = operator.ask(w, b'J', b"9 \0s");
    assert_eq!(said.field('D'), "node id 9 is not valid", "{said:?}");
    let said = operator.ask(w, b'J', format!("{} \0n", other(HEIR)).as_bytes());
    assert!(said.field('D').contains("switchover"), "{said:?}");
    ask(w, &operator, PRIMARY);
    assert_eq!(operator.end(w).field('M'), "invalid promote request");
    assert_eq!(operator.next(w), None, "which ends the session");
    w.run(&admin, "insert into t values (1)");
}

/// The old primary serves again once it is a standby, and may become the primary once more: it takes
/// writes then.
pub fn there_and_back_again(w: &mut impl World) {
    let admin = begin(w);
    switch(w, HEIR);
    w.run(&admin, "insert into t values (1)");
    w.crash(PRIMARY);
    w.rejoin(PRIMARY, HEIR);
    w.wait_up(&admin, PRIMARY);
    // Asked for gracefully, it is the same: every switchover waits for what runs.
    let mut operator = Admin::enter(w);
    w.send(operator.conn, &packet(b'j', format!("{PRIMARY} \0s").as_bytes()));
    assert_good(&operator.end(w));
    w.run(&admin, "insert into t values (2)");
    assert_eq!(w.truth(PRIMARY, "select sum(n) from t"), "3");
    w.wait_truth(other(HEIR), "select sum(n) from t", "3");
}

/// The operator may ask where pgherd promotes nobody of its own accord; the others follow then, too.
pub fn a_switchover_is_asked_for_where_others_promote(w: &mut impl World) {
    let admin = begin(w);
    switch(w, HEIR);
    w.run(&admin, "insert into t values (1)");
    w.wait_truth(other(HEIR), "select count(*) from t", "1");
}

/// Where there is no primary and pgherd promotes nobody, the operator names the next one.
pub fn the_operator_promotes_while_there_is_no_primary(w: &mut impl World) {
    begin(w);
    w.crash(PRIMARY);
    let watcher = admin_again(w);
    w.wait_down(&watcher, PRIMARY);
    let mut operator = Admin::enter(w);
    w.send(operator.conn, &packet(b'J', format!("{HEIR} \0n").as_bytes()));
    assert_good(&operator.end(w));
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    assert_eq!(w.truth(HEIR, "select count(*) from t"), "1");
    w.wait_truth(other(HEIR), "select count(*) from t", "1");
}

/// A node that is no longer configured is nobody's heir.
pub fn a_reload_that_removes_the_heir_undoes_a_switchover(w: &mut impl World) {
    let admin = begin(w);
    w.befall(other(HEIR), Fate::PauseReplay);
    w.run(&admin, "insert into t values (1)");
    let mut operator = Admin::enter(w);
    ask(w, &operator, other(HEIR));
    operator.await_notice(w, "replays what is left");
    w.configure(&Setup { standbys: 1, ..brief() });
    w.signal(Signal::Reload);
    let said = operator.end(w);
    assert!(said.is_error(), "{said:?}");
    write_at_last(w, &admin, "insert into t values (2)");
    assert_eq!(w.truth(PRIMARY, "select sum(n) from t"), "3");
}

/// It is carried out for the herd, not for whoever asked.
pub fn whoever_asked_leaves_and_the_switchover_goes_on(w: &mut impl World) {
    let admin = begin(w);
    let (busy, operator) = hold_up(w);
    w.close(operator.conn, End::Reset);
    w.run(&busy, "commit");
    w.wait_primary(&admin, HEIR);
    w.run(&busy, "insert into t values (2)");
    assert_eq!(w.truth(HEIR, "select sum(n) from t"), "3");
}

/// Reads of node 1 alone.
#[must_use]
pub fn one_reads() -> Setup {
    Setup { weights: vec![0.0, 1.0, 0.0], ..promote() }
}

/// A standby that is detached gracefully ends what it is at; nothing new begins there.
pub fn a_standby_ends_what_it_is_at_before_it_leaves(w: &mut impl World) {
    let admin = begin(w);
    let reader = w.connect("reader");
    w.stop_reading(reader.conn);
    let rows = (w.scale().bulk_len / 16).max(MEBIBYTES) / 1000;
    let sql = format!("select repeat('x', 1000) from generate_series(1, {rows})");
    w.query_start(&reader, &sql);
    w.wait("the standby reads", LIMIT, |w| w.pool_nodes(&admin)[HEIR].select_count == 1);
    let mut operator = Admin::enter(w);
    w.send(operator.conn, &packet(b'd', format!("{HEIR}\0").as_bytes()));
    operator.await_notice(w, "nothing new begins there");
    let other = w.connect("other");
    assert_eq!(w.run(&other, "select count(*) from t").value(), "0");
    assert!(w.pool_nodes(&admin)[HEIR].is_up(), "it is waited for");
    w.resume_reading(reader.conn);
    assert_eq!(w.finish(&reader).good().tags(), [format!("SELECT {rows}")]);
    assert_good(&operator.end(w));
    w.wait_down(&admin, HEIR);
}

/// A primary that is detached gracefully ends what it is at; then another one takes its place.
pub fn a_primary_ends_what_it_is_at_before_it_leaves(w: &mut impl World) {
    begin(w);
    let (busy, late) = (w.connect("busy"), w.connect("late"));
    w.run(&busy, "begin");
    w.run(&busy, "insert into t values (1)");
    let mut operator = Admin::enter(w);
    w.send(operator.conn, &packet(b'd', format!("{PRIMARY}\0").as_bytes()));
    operator.await_notice(w, "nothing new begins there");
    w.query_start(&late, "insert into t values (2)");
    w.run(&busy, "insert into t values (3)");
    w.run(&busy, "commit");
    assert_good(&operator.end(w));
    assert_eq!(w.finish(&late).good().tags(), ["INSERT 0 1"]);
    let heir = wait_any_heir(w, PRIMARY);
    assert_eq!(w.truth(heir, "select sum(n) from t"), "6");
}

/// A session that administers, and a table everywhere.
fn begin(w: &mut impl World) -> Client {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    admin
}

/// Asks for a switchover that a transaction holds up, in which 1 is written.
fn hold_up(w: &mut impl World) -> (Client, Admin) {
    let busy = w.connect("busy");
    w.run(&busy, "begin");
    w.run(&busy, "insert into t values (1)");
    let mut operator = Admin::enter(w);
    ask(w, &operator, HEIR);
    operator.await_notice(w, "new transactions wait");
    (busy, operator)
}

/// Has a node take over, and waits for it.
pub(crate) fn switch(w: &mut impl World, heir: usize) {
    let mut operator = Admin::enter(w);
    ask(w, &operator, heir);
    assert_good(&operator.end(w));
    w.send(operator.conn, &packet(b'X', b""));
}

/// Asks for a switchover.
pub(crate) fn ask(w: &mut impl World, operator: &Admin, heir: usize) {
    w.send(operator.conn, &packet(b'J', format!("{heir} \0s").as_bytes()));
}

fn assert_good(said: &Reply) {
    let first = said.texts.first().map(String::as_str);
    assert_eq!((said.tag, first), (b'd', Some("CommandComplete")), "{said:?}");
}
