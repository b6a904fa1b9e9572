//! Simple queries.

use crate::client::compose;
use crate::play::Play;
use crate::world::World;

/// One `Query`, several results, one `ReadyForQuery`.
pub fn several_statements_in_one_query(w: &mut impl World) {
    let app = w.connect("app");
    let answer = w.run(&app, "select 1; select 2; create table several (n int); select 3");
    assert_eq!(answer.rows(), [["1"], ["2"], ["3"]]);
    assert_eq!(answer.tags(), ["SELECT 1", "SELECT 1", "CREATE TABLE", "SELECT 1"]);
    assert_eq!(w.run(&app, "begin; select 4").status, Some(b'T'));
    assert_eq!(w.run(&app, "select 5; commit; select 6").rows(), [["5"], ["6"]]);
}

/// The statements behind the error are not executed, those in front of it are undone.
pub fn an_error_among_several_statements(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table among (n int)");
    let sql = "insert into among values (1); select 1/0; insert into among values (2)";
    let answer = w.query(&app, sql);
    assert_eq!((answer.code(), answer.status), ("22012", Some(b'I')));
    assert_eq!(answer.tags(), ["INSERT 0 1"]);
    assert_eq!(w.truth(0, "select count(*) from among"), "0");
}

/// Nothing is answered with `EmptyQueryResponse`.
pub fn an_empty_query(w: &mut impl World) {
    let app = w.connect("app");
    for sql in ["", ";", "  ", "-- nothing"] {
        let answer = w.run(&app, sql);
        assert_eq!((answer.shape().as_str(), answer.status), ("I", Some(b'I')), "{sql:?}");
    }
    assert_eq!(w.extended(&app, "", &[]).good().shape(), "12nI");
}

/// A client may send queries without waiting; each is answered, in order.
pub fn queries_sent_ahead_are_answered_in_order(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table ahead (n int)");
    let count = 50;
    let mut burst = Vec::new();
    for n in 0..count {
        burst.extend(compose::query(&format!("insert into ahead values ({n})")));
        burst.extend(compose::query(&format!("select {n}")));
        burst.extend(compose::query("select 1/0"));
    }
    w.post(&app, &burst);
    for n in 0..count {
        assert_eq!(w.finish(&app).good().tags(), ["INSERT 0 1"]);
        assert_eq!(w.finish(&app).good().value(), n.to_string());
        assert_eq!(w.finish(&app).code(), "22012");
    }
    assert_eq!(w.truth(0, "select count(*) from ahead"), count.to_string());
}

/// What was done before a savepoint survives an error behind it.
pub fn savepoints_survive_an_error(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table saved (n int)");
    w.run(&app, "begin");
    w.run(&app, "insert into saved values (1)");
    w.run(&app, "savepoint s");
    assert_eq!(w.query(&app, "select 1/0").status, Some(b'E'));
    assert_eq!(w.run(&app, "rollback to s").status, Some(b'T'));
    w.run(&app, "insert into saved values (2)");
    assert_eq!(w.run(&app, "commit").tags(), ["COMMIT"]);
    assert_eq!(w.truth(0, "select count(*) from saved"), "2");
}

/// After an error everything is refused until the transaction ends, and then nothing is.
pub fn a_failed_transaction_stays_failed_until_rolled_back(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "begin");
    assert_eq!(w.query(&app, "select 1/0").status, Some(b'E'));
    for _ in 0..3 {
        let answer = w.query(&app, "select 1");
        assert_eq!((answer.code(), answer.status), ("25P02", Some(b'E')));
    }
    assert_eq!(w.run(&app, "commit").tags(), ["ROLLBACK"]);
    assert_eq!(w.run(&app, "select 1").status, Some(b'I'));
}

/// The old function call interface passes through.
pub fn a_function_call(w: &mut impl World) {
    let app = w.connect("app");
    w.post(&app, &compose::function_call(PG_BACKEND_PID, &[]));
    let answer = w.finish(&app).good();
    assert_eq!(answer.shape(), "V");
    w.run(&app, "select 1");
}

/// A statement longer than anything that pgherd looks at is executed all the same.
pub fn a_long_statement_passes(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table long_statement (n int)");
    let sql = format!("insert into long_statement values (1) -- {}", "x".repeat(LONG));
    assert_eq!(w.run(&app, &sql).tags(), ["INSERT 0 1"]);
    let sql = format!("select 1 -- {}", "x".repeat(LONG));
    assert_eq!(w.run(&app, &sql).value(), "1");
}

/// The object id of `pg_backend_pid()`, a function without arguments.
const PG_BACKEND_PID: u32 = 2026;

/// Longer than a read, a view and a queue, in bytes.
const LONG: usize = 600_000;
