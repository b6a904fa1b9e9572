//! The primary is lost, and another server takes its place.

use crate::client::{Answer, Client, Login, compose};
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{Fate, Setup, World};

/// The standby that is promoted where both have as much.
const HEIR: usize = 1;
const OTHER: usize = 2;
const STANDBYS: usize = 2;

/// pgherd promotes, and looks at servers often.
#[must_use]
pub fn promote() -> Setup {
    Setup::default()
        .set("failover_mode = \"promote\"")
        .set("sr_check_period = \"1s\"")
        .set("health_check_timeout = \"2s\"")
        .set("health_check_max_retries = 1")
        .set("health_check_retry_delay = \"1s\"")
}

/// The same, and nothing that is known to be written may be lost.
#[must_use]
pub fn lose_nothing() -> Setup {
    promote().set("failover_max_lag = 0")
}

/// The same with connections that are given back between transactions.
#[must_use]
pub fn promote_shared() -> Setup {
    promote().set("pool_mode = \"transaction\"")
}

/// Reads go to the standby that is not promoted.
#[must_use]
pub fn read_from_other() -> Setup {
    Setup { weights: vec![0.0, 0.0, 1.0], ..promote() }
}

/// Nobody is promoted by pgherd.
#[must_use]
pub fn leave_it() -> Setup {
    Setup { settings: Vec::new(), ..Setup::default() }
        .set("failover_mode = \"off\"")
        .set("failover_wait_timeout = \"3s\"")
}

/// A primary dies. A standby takes its place and the other follows it; whoever comes then finds
/// everything that was written.
pub fn the_primary_dies_and_a_standby_takes_its_place(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.run(&admin, "insert into t values (1)");
    wait_everywhere(w, "1");
    w.crash(PRIMARY);
    let heir = wait_any_heir(w, PRIMARY);
    let next = w.connect("next");
    w.run(&next, "insert into t values (2)");
    assert_eq!(w.truth(heir, "select count(*) from t"), "2");
    w.wait_truth(other(heir), "select count(*) from t", "2");
    let nodes = w.pool_nodes(&next);
    assert_eq!(
        (nodes[PRIMARY].status.as_str(), nodes[other(heir)].role.as_str()),
        ("down", "standby")
    );
}

/// Sessions between transactions stay, with what they have set and prepared, and find the new primary at
/// their next statement.
pub fn sessions_outlive_a_failover(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    let sessions: Vec<Client> = (0..6).map(|n| w.connect(&format!("session {n}"))).collect();
    for (n, session) in sessions.iter().enumerate() {
        w.run(session, &format!("set work_mem to '{}MB'", 10 + n));
        w.post(session, &[compose::parse("s", INSERT), compose::sync()].concat());
        w.finish(session).good();
        insert_prepared(w, session, n);
        w.run(session, "select count(*) from t");
    }
    wait_everywhere(w, "6");
    w.crash(PRIMARY);
    let heir = wait_any_heir(w, PRIMARY);
    for (n, session) in sessions.iter().enumerate() {
        assert!(!w.is_gone(session), "session {n} is gone");
        if n % 2 == 0 {
            insert_prepared(w, session, 7);
        } else {
            w.run(session, "insert into t values (7)");
            insert_prepared(w, session, 8);
        }
        assert_eq!(w.run(session, "show work_mem").value(), format!("{}MB", 10 + n));
        // At whichever server it reads now.
        assert_eq!(
            w.run(session, "select current_setting('work_mem')").value(),
            format!("{}MB", 10 + n)
        );
    }
    assert_eq!(w.truth(heir, "select count(*) from t where n = 7"), "6");
    assert_eq!(w.truth(heir, "select count(*) from t where n = 8"), "3");
}

const INSERT: &str = "insert into t values ($1)";

/// Inserts by the statement that the session has prepared.
fn insert_prepared(w: &mut impl World, session: &Client, n: usize) {
    let bind = compose::bind("", "s", &[&n.to_string()]);
    w.post(session, &[bind, compose::execute("", 0), compose::sync()].concat());
    assert_eq!(w.finish(session).good().tags(), ["INSERT 0 1"]);
}

/// A transaction that was open on the lost primary has failed: its client is told so, and goes on
/// in the same session.
pub fn a_transaction_in_flight_fails_and_its_session_goes_on(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    let app = w.connect("app");
    w.run(&app, "begin");
    w.run(&app, "insert into t values (1)");
    w.crash(PRIMARY);
    let answer = w.query(&app, "insert into t values (2)");
    assert_lost(&answer);
    let rolled_back = w.query(&app, "rollback");
    assert_eq!(rolled_back.status, Some(b'I'), "{}", rolled_back.trouble());
    w.run(&app, "insert into t values (3)");
    let heir = wait_any_heir(w, PRIMARY);
    assert_eq!(w.truth(heir, "select sum(n) from t"), "3");
}

/// A write that comes while there is no primary waits for the next one.
pub fn a_write_waits_for_the_next_primary(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    let watcher = admin_again(w);
    w.wait_down(&watcher, PRIMARY);
    let writers: Vec<Client> = (0..4).map(|n| w.connect(&format!("writer {n}"))).collect();
    for writer in &writers {
        w.query_start(writer, "insert into t values (1)");
    }
    for writer in &writers {
        assert_eq!(w.finish(writer).good().tags(), ["INSERT 0 1"]);
    }
    let heir = wait_any_heir(w, PRIMARY);
    assert_eq!(w.truth(heir, "select count(*) from t"), "4", "each once");
}

/// Reads go on at the standbys while there is no primary.
pub fn reads_go_on_while_there_is_no_primary(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    let end = w.now() + secs(8);
    while w.now() < end {
        let reader = w.connect("reader");
        assert_eq!(w.run(&reader, "select count(*) from t").value(), "0");
        w.terminate(&reader);
    }
    wait_any_heir(w, PRIMARY);
}

/// A primary that hangs is replaced. When it answers again it is a second primary: nobody is
/// served by it, and nothing is written there.
pub fn a_primary_that_hangs_is_replaced(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.befall(PRIMARY, Fate::Freeze);
    let heir = wait_any_heir(w, PRIMARY);
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    w.befall(PRIMARY, Fate::Thaw);
    w.never("the old primary serves", secs(5), |w| w.pool_nodes(&app)[PRIMARY].is_up());
    w.run(&app, "insert into t values (2)");
    assert_eq!(w.truth(heir, "select count(*) from t"), "2");
    assert_eq!(w.truth(PRIMARY, "select count(*) from t"), "0", "nothing is written there");
}

/// The standby that has received most is promoted, although the other one has the lesser number.
pub fn the_standby_with_the_most_wal_is_promoted(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(HEIR);
    w.run(&admin, "insert into t values (1)");
    w.wait_truth(OTHER, "select count(*) from t", "1");
    w.crash(PRIMARY);
    w.start(HEIR);
    wait_heir(w, OTHER);
    let next = w.connect("next");
    w.run(&next, "insert into t values (2)");
    assert_eq!(w.truth(OTHER, "select count(*) from t"), "2");
    w.wait_truth(HEIR, "select count(*) from t", "2");
}

/// What a standby has received and not replayed counts, and is there when it is promoted.
pub fn what_is_received_and_not_replayed_is_not_lost(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    for node in [HEIR, OTHER] {
        w.befall(node, Fate::DelayReplay(secs(3600)));
    }
    let written = write_until_unreplayed(w, &admin);
    w.crash(PRIMARY);
    let heir = wait_any_heir(w, PRIMARY);
    assert_eq!(w.truth(heir, "select count(*) from t"), written);
}

/// Writes rows until one of them is not replayed by the standbys, and returns how many there are. A real
/// server takes up that it is to delay its replay a moment after it was told.
fn write_until_unreplayed(w: &mut impl World, app: &Client) -> String {
    let end = w.now() + LIMIT;
    let mut n = 0;
    while w.now() < end {
        n += 1;
        w.run(app, &format!("insert into t values ({n})"));
        let (rows, since) = (n.to_string(), w.now());
        let mut is_replayed = false;
        w.wait("it is replayed, or is not", LIMIT, |w| {
            let mut has = |node| w.truth(node, "select count(*) from t") == rows;
            is_replayed = has(HEIR) || has(OTHER);
            is_replayed || w.now() - since >= secs(3)
        });
        if !is_replayed {
            return rows;
        }
    }
    panic!("standbys replay whatever is written");
}

/// Where more would be lost than may be, nobody is promoted; the primary is waited for.
pub fn beyond_the_budget_nobody_is_promoted(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    for node in [HEIR, OTHER] {
        w.crash(node);
    }
    w.run(&admin, "insert into t values (1)");
    // pgherd has to see that it was written.
    w.never("pgherd ends", secs(5), |w| w.exit_code().is_some());
    w.crash(PRIMARY);
    for node in [HEIR, OTHER] {
        w.start(node);
    }
    w.never("somebody is promoted", secs(15), |w| is_promoted(w, HEIR) || is_promoted(w, OTHER));
    w.start(PRIMARY);
    let app = admin_again(w);
    w.wait_primary(&app, PRIMARY);
    w.run(&app, "insert into t values (2)");
    assert_eq!(w.truth(PRIMARY, "select count(*) from t"), "2");
}

/// A primary that is back at once stays the primary.
pub fn a_primary_that_is_back_at_once_stays(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    w.start(PRIMARY);
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    w.never("somebody is promoted", secs(10), |w| is_promoted(w, HEIR) || is_promoted(w, OTHER));
    assert_eq!(w.truth(PRIMARY, "select count(*) from t"), "1");
}

/// A primary that comes back late serves nobody, until it was made a standby.
pub fn a_primary_that_comes_back_late_serves_again_as_a_standby(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    let heir = wait_any_heir(w, PRIMARY);
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    w.start(PRIMARY);
    w.never("the old primary serves", secs(6), |w| w.pool_nodes(&app)[PRIMARY].is_up());
    w.rejoin(PRIMARY, heir);
    w.wait_up(&app, PRIMARY);
    assert_eq!(w.pool_nodes(&app)[PRIMARY].role, "standby");
    w.run(&app, "insert into t values (2)");
    w.wait_truth(PRIMARY, "select count(*) from t", "2");
}

/// Without standbys nobody can be promoted; the primary is waited for.
pub fn without_standbys_the_primary_is_waited_for(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    for node in [HEIR, OTHER, PRIMARY] {
        w.crash(node);
    }
    w.never("pgherd ends", secs(12), |w| w.exit_code().is_some());
    for node in [PRIMARY, HEIR, OTHER] {
        w.start(node);
    }
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    assert_eq!(w.truth(PRIMARY, "select count(*) from t"), "1");
}

/// All standbys are away when the primary dies; the first one that is back is promoted.
pub fn a_standby_that_comes_back_is_promoted(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(HEIR);
    w.crash(OTHER);
    w.wait_down(&admin, OTHER);
    w.crash(PRIMARY);
    w.never("pgherd ends", secs(8), |w| w.exit_code().is_some());
    w.start(OTHER);
    wait_heir(w, OTHER);
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
}

/// The one that would be promoted dies as well: the other one is.
pub fn the_heir_dies_too(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    let watcher = admin_again(w);
    w.wait_down(&watcher, PRIMARY);
    w.crash(HEIR);
    let app = w.connect("app");
    write_at_last(w, &app, "insert into t values (1)");
    // It may have become the primary before it died; then it is lost like the first one.
    wait_heir(w, OTHER);
    w.run(&app, "insert into t values (2)");
    assert_eq!(w.truth(OTHER, "select count(*) from t where n = 2"), "1");
}

/// One primary after the other dies, and comes back as a standby.
pub fn one_failover_after_another(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    let mut primary = PRIMARY;
    for round in 0..3 {
        wait_everywhere_written(w, primary, round);
        w.crash(primary);
        let heir = wait_any_heir(w, primary);
        let app = w.connect("app");
        write_at_last(w, &app, &format!("insert into t values ({round})"));
        w.rejoin(primary, heir);
        w.wait_up(&app, primary);
        primary = heir;
    }
    assert_eq!(w.truth(primary, "select count(*) from t"), "3");
}

/// Two primaries die one after the other, and stay away.
pub fn two_primaries_die(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    let heir = wait_any_heir(w, PRIMARY);
    let last = other(heir);
    let app = w.connect("app");
    w.run(&app, "insert into t values (1)");
    w.wait_truth(last, "select count(*) from t", "1");
    w.crash(heir);
    write_to_heir(w, last, "insert into t values (2)");
    assert_eq!(w.truth(last, "select count(*) from t"), "2");
}

/// Where pgherd is to leave it to others, it does, and finds the one that they promote.
pub fn a_primary_that_others_promote_is_found(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    let app = admin_again(w);
    w.wait_down(&app, PRIMARY);
    w.never("somebody is promoted", secs(8), |w| is_promoted(w, HEIR) || is_promoted(w, OTHER));
    w.sql(OTHER, "select pg_promote(false)").expect("it can be promoted");
    w.wait_primary(&app, OTHER);
    w.run(&app, "insert into t values (1)");
    assert_eq!(w.truth(OTHER, "select count(*) from t"), "1");
}

/// An old primary that still runs is not taken for the next one when the one that took its place
/// dies: what was written there would be lost.
pub fn an_old_primary_is_not_the_next_one(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    w.crash(PRIMARY);
    let app = admin_again(w);
    w.wait_down(&app, PRIMARY);
    w.sql(OTHER, "select pg_promote(false)").expect("it can be promoted");
    w.wait_primary(&app, OTHER);
    w.run(&app, "insert into t values (1)");
    w.start(PRIMARY);
    w.wait("the old primary answers", LIMIT, |w| w.pool_nodes(&app)[PRIMARY].seen == "up");
    w.crash(OTHER);
    let asker = admin_again(w);
    w.never("the old one is the primary", secs(6), |w| {
        w.pool_nodes(&asker)[PRIMARY].role == "primary"
    });
    w.start(OTHER);
    w.wait_primary(&asker, OTHER);
    w.run(&asker, "insert into t values (2)");
    assert_eq!(w.truth(OTHER, "select count(*) from t"), "2");
}

/// A reload that leaves it to others is heeded while candidates are still looked for.
pub fn a_reload_calls_a_failover_off(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    for node in [HEIR, OTHER] {
        w.befall(node, Fate::Freeze);
    }
    w.crash(PRIMARY);
    w.never("pgherd ends", secs(6), |w| w.exit_code().is_some());
    w.configure(&leave_it());
    w.signal(crate::world::Signal::Reload);
    w.never("pgherd ends", secs(2), |w| w.exit_code().is_some());
    for node in [HEIR, OTHER] {
        w.befall(node, Fate::Thaw);
    }
    w.never("somebody is promoted", secs(12), |w| is_promoted(w, HEIR) || is_promoted(w, OTHER));
    w.start(PRIMARY);
    let app = admin_again(w);
    w.wait_primary(&app, PRIMARY);
}

/// Clients write all the time while the primary dies: what was acknowledged is there afterwards,
/// and nothing twice.
pub fn what_was_acknowledged_is_there_after_a_failover(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", STANDBYS);
    let mut writers: Vec<Client> = (0..4).map(|n| w.connect(&format!("writer {n}"))).collect();
    let mut acknowledged = Vec::new();
    for round in 0..40 {
        if round == 20 {
            // Nothing is under way, and the standbys have what was acknowledged.
            w.wait_truth(HEIR, "select count(*) from t", &acknowledged.len().to_string());
            w.crash(PRIMARY);
        }
        for (n, writer) in writers.iter().enumerate() {
            w.query_start(writer, &format!("insert into t values ({})", round * 10 + n));
        }
        for (n, writer) in writers.iter_mut().enumerate() {
            let answer = w.finish(writer);
            if answer.failed() {
                assert_lost(&answer);
                if w.is_gone(writer) {
                    *writer = w.connect("writer again");
                }
            } else {
                acknowledged.push(round * 10 + n);
            }
        }
    }
    let heir = wait_any_heir(w, PRIMARY);
    let rows = w.sql(heir, "select n from t").expect("it is the primary");
    let mut there: Vec<usize> = rows.iter().map(|row| row.concat().parse().unwrap()).collect();
    there.sort_unstable();
    for n in &acknowledged {
        assert_eq!(there.iter().filter(|m| *m == n).count(), 1, "{n} was acknowledged");
    }
    there.dedup();
    assert_eq!(there.len(), rows.len(), "nothing is there twice");
}

/// Waits until another node than the lost one takes writes for pgherd's clients. Both may have equally much WAL,
/// and one has replayed a little more of it.
pub(crate) fn wait_any_heir(w: &mut impl World, lost: usize) -> usize {
    let admin = admin_again(w);
    let mut heir = None;
    w.wait("another node is the primary", LIMIT, |w| {
        let nodes = w.pool_nodes(&admin);
        heir = nodes.iter().position(|node| node.is_up() && node.role == "primary");
        heir.is_some_and(|heir| heir != lost)
    });
    w.terminate(&admin);
    heir.expect("waited for")
}

/// The standby beside this one.
pub(crate) const fn other(heir: usize) -> usize {
    HEIR + OTHER - heir
}

/// Waits until a node takes writes for pgherd's clients and the other one follows it.
pub(crate) fn wait_heir(w: &mut impl World, heir: usize) {
    let admin = admin_again(w);
    w.wait_primary(&admin, heir);
    w.terminate(&admin);
}

/// Waits for this heir and writes there, in a session that is returned.
pub(crate) fn write_to_heir(w: &mut impl World, heir: usize, sql: &str) -> Client {
    wait_heir(w, heir);
    let app = admin_again(w);
    write_at_last(w, &app, sql);
    app
}

/// A session that asks pgherd what it knows.
pub(crate) fn admin_again(w: &mut impl World) -> Client {
    let mut admin = None;
    w.wait("a login", LIMIT, |w| {
        admin = w.try_connect(&Login::app("admin again")).ok();
        admin.is_some()
    });
    admin.expect("waited for")
}

/// Repeats a write until it succeeds, which it must do in the same session.
pub(crate) fn write_at_last(w: &mut impl World, client: &Client, sql: &str) {
    w.wait("a write succeeds", LIMIT, |w| {
        let answer = w.query(client, sql);
        if answer.failed() {
            assert_lost(&answer);
        }
        !answer.failed()
    });
}

/// What was lost with a server was told by a class of error that drivers take for it.
pub(crate) fn assert_lost(answer: &Answer) {
    let code = answer.code();
    assert!(code.starts_with("08") || code.starts_with("57P"), "{}", answer.trouble());
}

/// Tells whether a server takes writes.
pub(crate) fn is_promoted(w: &mut impl World, node: usize) -> bool {
    w.sql(node, "select pg_is_in_recovery()").is_ok_and(|rows| rows == [["f".to_owned()]])
}

fn wait_everywhere(w: &mut impl World, count: &str) {
    for node in [HEIR, OTHER] {
        w.wait_truth(node, "select count(*) from t", count);
    }
}

fn wait_everywhere_written(w: &mut impl World, primary: usize, count: usize) {
    for node in [PRIMARY, HEIR, OTHER] {
        if node != primary {
            w.wait_truth(node, "select count(*) from t", &count.to_string());
        }
    }
}
