//! Where statements go: reads by weight, writes to the primary, transactions to one place.
//!
//! Where a statement went is seen from the data: replay on the standbys is paused, so that they
//! know a table but not what was written to it since.

use crate::client::{Client, compose};
use crate::play::{LIMIT, PRIMARY, Play};
use crate::world::{Fate, Setup, World};

const STANDBY: usize = 1;
const OTHER_STANDBY: usize = 2;
const STANDBYS: usize = 2;

/// Reads go to one standby, unless it is far behind.
#[must_use]
pub fn standby_in_time() -> Setup {
    Setup::weights(&[0.0, 1.0, 0.0]).set("delay_threshold = 100").set("sr_check_period = \"1s\"")
}

/// Reads go everywhere.
#[must_use]
pub fn spread() -> Setup {
    Setup::weights(&[1.0, 1.0, 2.0])
}

/// Reads go to the primary.
#[must_use]
pub fn primary_only() -> Setup {
    Setup::weights(&[1.0, 0.0, 0.0])
}

/// Reads go to one standby, however far behind.
#[must_use]
pub fn standby_only() -> Setup {
    Setup::weights(&[0.0, 1.0, 0.0]).set("delay_threshold = 0")
}

/// Every node serves some reads, none serves them all.
pub fn reads_are_spread_by_weight(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "spread", STANDBYS);
    let before = w.pool_nodes(&admin);
    for _ in 0..SESSIONS {
        let app = w.connect("app");
        assert_eq!(w.run(&app, "select count(*) from spread").value(), "0");
        w.terminate(&app);
    }
    let after = w.pool_nodes(&admin);
    let served: Vec<u64> =
        before.iter().zip(&after).map(|(b, a)| a.select_count - b.select_count).collect();
    assert_eq!(served.iter().sum::<u64>(), SESSIONS, "each read is counted once: {served:?}");
    assert!(served.iter().all(|count| *count > 0), "{served:?}");
    assert!((after[OTHER_STANDBY].weight - 0.5).abs() < 1e-6, "{after:?}");
}

/// With all of the weight on the primary, standbys serve nothing.
pub fn a_node_of_weight_zero_serves_no_reads(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "weight_zero", STANDBYS);
    for _ in 0..10 {
        let app = w.connect("app");
        w.run(&app, "select count(*) from weight_zero");
        w.terminate(&app);
    }
    let nodes = w.pool_nodes(&app);
    assert_eq!((nodes[STANDBY].select_count, nodes[OTHER_STANDBY].select_count), (0, 0));
    assert!(nodes[PRIMARY].select_count >= 10, "{nodes:?}");
}

/// What is written is on the primary at once, and read from the standby when it arrives there.
pub fn writes_go_to_the_primary_and_reads_to_a_standby(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "split", STANDBYS);
    w.befall(STANDBY, Fate::PauseReplay);
    w.run(&app, "insert into split values (1), (2), (3)");
    assert_eq!(w.truth(PRIMARY, "select count(*) from split"), "3");
    assert_eq!(w.run(&app, "select count(*) from split").value(), "0", "the standby's view");
    let by_extended = w.extended(&app, "select count(*) from split", &[]).good();
    assert_eq!(by_extended.value(), "0", "the standby's view");
    assert_eq!(w.run(&app, "update split set n = 9 where n = 3").tags(), ["UPDATE 1"]);
    assert_eq!(w.run(&app, "delete from split where n = 9").tags(), ["DELETE 1"]);
    w.befall(STANDBY, Fate::ResumeReplay);
    w.wait("the standby catches up", LIMIT, |w| {
        w.run(&app, "select count(*) from split").value() == "2"
    });
}

/// A standby would refuse each of these; none is refused.
pub fn nothing_that_writes_reaches_a_standby(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "nowhere_else", STANDBYS);
    let statements = [
        "insert into nowhere_else values (1) returning n",
        "INSERT INTO nowhere_else SELECT generate_series(2, 10)",
        "update nowhere_else set n = 11 where n = 10",
        "delete from nowhere_else where n = 11",
        "create table nowhere_else_too (n int)",
        "drop table nowhere_else_too",
        "create temp table nowhere_else_temp (n int)",
        "insert into nowhere_else_temp values (1)",
        "begin; insert into nowhere_else values (12); commit",
        "select 1; insert into nowhere_else values (13)",
        "begin; lock table nowhere_else; rollback",
        "select pg_advisory_lock(4711)",
        "select pg_advisory_unlock(4711)",
        "truncate nowhere_else",
    ];
    for sql in statements {
        w.run(&app, sql);
    }
    for (number, sql) in statements.iter().enumerate() {
        // Several statements, and an explicit transaction in one text, are for simple queries.
        if !sql.contains(';') && !sql.contains("temp") {
            let answer = w.extended(&app, sql, &[]);
            assert!(!answer.failed(), "statement {number}, {sql}: {}", answer.trouble());
        }
    }
    let copied = w.copy_in(&app, "copy nowhere_else from stdin", b"1\n", 5).good();
    assert_eq!(copied.tags(), ["COPY 5"]);
    assert_eq!(w.truth(PRIMARY, "select count(*) from nowhere_else"), "5");
}

/// A transaction sees what was committed before, wherever other reads go.
pub fn a_transaction_stays_on_the_primary(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "stays", STANDBYS);
    w.befall(STANDBY, Fate::PauseReplay);
    w.run(&app, "insert into stays values (1)");
    for begin in ["begin", "start transaction", "begin read write"] {
        assert_eq!(w.run(&app, begin).status, Some(b'T'));
        assert_eq!(w.run(&app, "select count(*) from stays").value(), "1", "after {begin}");
        assert_eq!(w.run(&app, "commit").status, Some(b'I'));
    }
    assert_eq!(w.run(&app, "select count(*) from stays").value(), "0", "and afterwards not");
    w.run(&app, "begin");
    w.run(&app, "insert into stays values (2)");
    assert_eq!(w.run(&app, "select count(*) from stays").value(), "2", "its own write");
    w.run(&app, "rollback");
    assert_eq!(w.truth(PRIMARY, "select count(*) from stays"), "1");
}

/// A transaction that says it only reads is served by the standby, from its first statement on.
pub fn a_read_only_transaction_leaves_the_primary(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "leaves", STANDBYS);
    w.befall(STANDBY, Fate::PauseReplay);
    w.run(&app, "insert into leaves values (1)");
    for begin in ["begin read only", "start transaction read only"] {
        assert_eq!(w.run(&app, begin).status, Some(b'T'));
        assert_eq!(w.run(&app, "select count(*) from leaves").value(), "0", "after {begin}");
        assert_eq!(w.run(&app, "commit").status, Some(b'I'));
    }
    assert_eq!(w.run(&app, "begin").status, Some(b'T'));
    assert_eq!(w.run(&app, "select count(*) from leaves").value(), "1");
    w.run(&app, "commit");
}

/// Who promised to read only is held to it, and the transaction fails as on any server.
pub fn a_write_in_a_read_only_transaction_is_refused(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "promised", STANDBYS);
    w.run(&app, "begin read only");
    let answer = w.query(&app, "insert into promised values (1)");
    assert_eq!((answer.code(), answer.status), ("25006", Some(b'E')));
    assert_eq!(w.run(&app, "rollback").status, Some(b'I'));
    w.post(
        &app,
        &[compose::statement("select count(*) from promised", &[]), compose::sync()].concat(),
    );
    assert_eq!(w.finish(&app).good().value(), "0");
}

/// A standby that falls behind is left alone until it has caught up, by new sessions and by those
/// that read there before.
pub fn a_standby_that_lags_serves_no_reads(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "lagging", STANDBYS);
    w.wait("the standby has caught up", LIMIT, |w| lag(w, &app) == 0);
    let before = w.pool_nodes(&app)[STANDBY].select_count;
    assert_eq!(w.run(&app, "select count(*) from lagging").value(), "0");
    assert_eq!(w.pool_nodes(&app)[STANDBY].select_count, before + 1, "read at the standby");
    w.befall(STANDBY, Fate::PauseReplay);
    for _ in 0..WRITES {
        w.run(&app, "insert into lagging values (1)");
    }
    w.wait("the standby is known to lag", LIMIT, |w| lag(w, &app) > DELAY_THRESHOLD);
    let reader = w.connect("reader");
    for client in [&app, &reader] {
        let read = w.run(client, "select count(*) from lagging").value();
        assert_eq!(read, WRITES.to_string(), "the primary's view");
    }
    assert_eq!(w.pool_nodes(&app)[STANDBY].select_count, before + 1, "nothing was read there");
    w.befall(STANDBY, Fate::ResumeReplay);
    w.wait("the standby is known to have caught up", LIMIT, |w| lag(w, &app) == 0);
    let reader = w.connect("later reader");
    let read = w.run(&reader, "select count(*) from lagging").value();
    assert_eq!(read, WRITES.to_string(), "it has everything");
    assert_eq!(w.pool_nodes(&app)[STANDBY].select_count, before + 2, "read at the standby again");
}

/// How far the standby is behind, as `SHOW pool_nodes` has it.
fn lag(w: &mut impl World, client: &Client) -> u64 {
    w.pool_nodes(client)[STANDBY].delay.parse().expect("so many bytes")
}

/// `delay_threshold` of [`standby_in_time`].
const DELAY_THRESHOLD: u64 = 100;

/// Writes that are far more than that.
const WRITES: u64 = 50;

/// Enough that a node which gets a quarter of them gets none only once in 100,000 times.
const SESSIONS: u64 = 40;
