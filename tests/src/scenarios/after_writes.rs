//! Where reads go after writes, by `disable_load_balance_on_write`, and in transactions that have
//! not written yet, by `transaction_reads`.

use super::balancing::{one_standby, told_node};
use crate::client::Client;
use crate::play::{LIMIT, PRIMARY, Play};
use crate::world::{Fate, Setup, World};

const STANDBY: usize = 1;
const STANDBYS: usize = 2;

fn on_write(value: &str) -> Setup {
    one_standby()
        .set("transaction_reads = \"until_write\"")
        .set(&format!("disable_load_balance_on_write = \"{value}\""))
}

/// Writes make no difference.
#[must_use]
pub fn off() -> Setup {
    on_write("off")
}

/// Writes count until the end of their transaction.
#[must_use]
pub fn transaction() -> Setup {
    on_write("transaction")
}

/// Writes count for all later transactions.
#[must_use]
pub fn trans_transaction() -> Setup {
    on_write("trans_transaction")
}

/// Writes count for ever.
#[must_use]
pub fn always() -> Setup {
    on_write("always")
}

/// What was written counts until the end of the transaction, and what depends on it.
#[must_use]
pub fn dml_adaptive() -> Setup {
    // Functions that may leave anything in their session would bind it to the primary.
    on_write("dml_adaptive")
        .set("stateless_function_list = \"fill, mess\"")
        .set("dml_adaptive_object_relationship_list = \"written:seen_through, fill():filled\"")
}

/// Transactions read on the primary, as by default.
#[must_use]
pub fn primary_reads() -> Setup {
    one_standby()
}

/// Two tables, and a session that has written nothing.
fn begin(w: &mut impl World) -> Client {
    let maker = w.connect("maker");
    w.run(&maker, "create table written (n int)");
    w.run(&maker, "create view seen_through as select n from written");
    w.run(&maker, "create table filled (n int)");
    w.run(&maker, "create function known() returns int language sql stable as 'select 1'");
    w.table(&maker, "other", STANDBYS);
    w.terminate(&maker);
    // Before the catalog is known, no transaction is known to be READ COMMITTED.
    w.wait("the catalog is known", LIMIT, |w| {
        let probe = w.connect("probe");
        let node = told_node(&w.run(&probe, "select known()"));
        w.terminate(&probe);
        node == STANDBY
    });
    w.connect("app")
}

/// Runs statements one after the other, each of which goes to the node in front of it, by simple
/// queries.
fn goes(w: &mut impl World, client: &Client, steps: &[(usize, &str)]) {
    for (number, (node, sql)) in steps.iter().enumerate() {
        assert_eq!(told_node(&w.run(client, sql)), *node, "step {number}, {sql}");
    }
}

/// The same by both protocols, in a session each.
fn goes_by_both(w: &mut impl World, steps: &[(usize, &str)]) {
    let simple = w.connect("simple");
    goes(w, &simple, steps);
    let extended = w.connect("extended");
    for (number, (node, sql)) in steps.iter().enumerate() {
        if ["begin", "commit", "rollback"].contains(sql) {
            w.run(&extended, sql);
        } else {
            let answer = w.extended(&extended, sql, &[]).good();
            assert_eq!(told_node(&answer), *node, "step {number}, {sql} (extended)");
        }
    }
}

const READ: &str = "select count(*) from written";
const READ_OTHER: &str = "select count(*) from other";
const READ_VIEW: &str = "select count(*) from seen_through";
const WRITE: &str = "insert into written values (1)";

/// A transaction by both protocols, of which only what is inside is looked at: where an end goes
/// that nobody has begun is nobody's business.
fn transaction_goes(w: &mut impl World, steps: &[(usize, &str)]) {
    let simple = w.connect("simple");
    transaction_of(w, &simple, steps);
    let extended = w.connect("extended");
    w.run(&extended, "begin");
    for (number, (node, sql)) in steps.iter().enumerate() {
        let answer = w.extended(&extended, sql, &[]).good();
        assert_eq!(told_node(&answer), *node, "step {number}, {sql} (extended)");
        assert_eq!(answer.status, Some(b'T'));
    }
    assert_eq!(w.run(&extended, "commit").status, Some(b'I'));
}

fn transaction_of(w: &mut impl World, client: &Client, steps: &[(usize, &str)]) {
    assert_eq!(w.run(client, "begin").status, Some(b'T'));
    for (number, (node, sql)) in steps.iter().enumerate() {
        let answer = w.run(client, sql);
        assert_eq!(told_node(&answer), *node, "step {number}, {sql}");
        assert_eq!(answer.status, Some(b'T'), "step {number}, {sql}");
    }
    assert_eq!(w.run(client, "commit").status, Some(b'I'));
}

/// By default a transaction reads on the primary from its beginning, and its session on the
/// standby again when it is over.
pub fn transactions_read_on_the_primary(w: &mut impl World) {
    let app = begin(w);
    transaction_of(w, &app, &[(PRIMARY, READ), (PRIMARY, WRITE), (PRIMARY, READ)]);
    goes(w, &app, &[(STANDBY, READ), (PRIMARY, WRITE), (STANDBY, READ)]);
    transaction_goes(w, &[(PRIMARY, READ_OTHER), (PRIMARY, WRITE), (PRIMARY, READ_OTHER)]);
}

/// Reads leave a transaction as long as it has not written, and not after.
pub fn a_transaction_reads_elsewhere_until_it_writes(w: &mut impl World) {
    begin(w);
    let steps = [(STANDBY, READ), (PRIMARY, WRITE), (PRIMARY, READ), (PRIMARY, READ_OTHER)];
    transaction_goes(w, &steps);
    goes_by_both(w, &[(STANDBY, READ), (PRIMARY, WRITE), (STANDBY, READ)]);
    // What a transaction has written counts for no later one.
    let app = w.connect("app");
    transaction_of(w, &app, &steps);
    transaction_of(w, &app, &steps);
}

/// A transaction that has not written does not know that it is none: it ends as it should, and
/// fails as it should.
pub fn a_transaction_that_never_writes_is_one_all_the_same(w: &mut impl World) {
    let app = begin(w);
    transaction_of(w, &app, &[(STANDBY, READ), (STANDBY, READ_OTHER)]);
    transaction_of(w, &app, &[]);
    w.run(&app, "begin");
    assert_eq!(w.run(&app, "rollback").tags(), ["ROLLBACK"]);
    w.run(&app, "begin");
    w.run(&app, READ);
    let failed = w.query(&app, "select nothing from written");
    assert_eq!((failed.code(), failed.status), ("42703", Some(b'E')));
    let after = w.query(&app, READ);
    assert_eq!((after.code(), after.status), ("25P02", Some(b'E')), "it has failed");
    let end = w.run(&app, "commit");
    assert_eq!((end.tags(), end.status), (vec!["ROLLBACK"], Some(b'I')));
    w.run(&app, "begin");
    assert!(!w.run(&app, "begin").notices().is_empty(), "there is one already");
    w.run(&app, "savepoint a");
    w.run(&app, WRITE);
    w.run(&app, "rollback to a");
    w.run(&app, "commit");
    assert_eq!(w.truth(PRIMARY, READ), "0");
    assert_eq!(w.run(&app, READ).value(), "0");
}

/// A transaction of another isolation level has one snapshot, and so one server.
pub fn a_repeatable_read_stays_where_it_is(w: &mut impl World) {
    let app = begin(w);
    for level in ["repeatable read", "serializable"] {
        w.run(&app, &format!("begin isolation level {level}"));
        goes(w, &app, &[(PRIMARY, READ), (PRIMARY, WRITE), (PRIMARY, READ)]);
        w.run(&app, "commit");
    }
}

/// A write makes no difference, even to its own transaction.
pub fn writes_may_make_no_difference(w: &mut impl World) {
    begin(w);
    transaction_goes(w, &[(STANDBY, READ), (PRIMARY, WRITE), (STANDBY, READ)]);
    goes_by_both(w, &[(STANDBY, READ), (PRIMARY, WRITE), (STANDBY, READ)]);
}

/// A transaction after one that has written reads on the primary; a read outside of one does not.
pub fn writes_may_count_for_later_transactions(w: &mut impl World) {
    let app = begin(w);
    goes(w, &app, &[(PRIMARY, WRITE), (STANDBY, READ)]);
    transaction_of(w, &app, &[(STANDBY, READ), (PRIMARY, WRITE), (PRIMARY, READ)]);
    transaction_of(w, &app, &[(PRIMARY, READ), (PRIMARY, READ_OTHER)]);
    goes(w, &app, &[(STANDBY, READ)]);
    transaction_goes(w, &[(STANDBY, READ), (PRIMARY, WRITE), (PRIMARY, READ)]);
}

/// A session that has written reads on the primary from then on, whether in a transaction or not;
/// others do not.
pub fn writes_may_count_for_ever(w: &mut impl World) {
    let app = begin(w);
    transaction_of(w, &app, &[(STANDBY, READ)]);
    goes_by_both(w, &[(STANDBY, READ), (PRIMARY, WRITE), (PRIMARY, READ), (PRIMARY, READ_OTHER)]);
    transaction_of(w, &app, &[(STANDBY, READ), (PRIMARY, WRITE), (PRIMARY, READ)]);
    goes(w, &app, &[(PRIMARY, READ)]);
    transaction_of(w, &app, &[(PRIMARY, READ)]);
    let other = w.connect("other");
    goes(w, &other, &[(STANDBY, READ)]);
    // One that has written sees what it wrote, however late the standby is.
    w.befall(STANDBY, Fate::PauseReplay);
    let before: u64 = w.run(&app, READ).value().parse().expect("a count");
    w.run(&app, WRITE);
    assert_eq!(w.run(&app, READ).value(), (before + 1).to_string());
    w.befall(STANDBY, Fate::ResumeReplay);
}

/// Only what was written in a transaction, and what is known to depend on it, is read on the
/// primary, until the transaction ends.
pub fn writes_may_count_by_table(w: &mut impl World) {
    let app = begin(w);
    let steps = [
        (STANDBY, READ),
        (STANDBY, READ_VIEW),
        (PRIMARY, WRITE),
        (PRIMARY, READ),
        (PRIMARY, READ_VIEW),
        (STANDBY, READ_OTHER),
        (PRIMARY, "update other set n = 1"),
        (PRIMARY, READ_OTHER),
    ];
    transaction_goes(w, &steps);
    transaction_of(w, &app, &steps);
    goes(w, &app, &[(PRIMARY, WRITE), (STANDBY, READ), (STANDBY, READ_VIEW)]);
    transaction_of(w, &app, &steps);
}

/// A function writes what the list says; one that is not in the list may write anything.
pub fn functions_count_for_what_they_write(w: &mut impl World) {
    let app = begin(w);
    for name in ["fill", "mess"] {
        w.run(
            &app,
            &format!(
                "create function {name}() returns int language sql volatile \
                 as 'insert into filled values (1) returning n'"
            ),
        );
    }
    let listed = [
        (PRIMARY, "select fill()"),
        (PRIMARY, "select count(*) from filled"),
        (STANDBY, READ_OTHER),
    ];
    let other = w.connect("other");
    transaction_of(w, &other, &listed);
    let unlisted = [(STANDBY, READ_OTHER), (PRIMARY, "select mess()"), (PRIMARY, READ_OTHER)];
    let other = w.connect("another");
    transaction_of(w, &other, &unlisted);
}

/// A read that waits for its settings on the standby when its transaction is lost on the primary is
/// told of that loss, and no later statement hears that the standby could not repeat them.
pub fn a_refused_setting_is_told_to_its_own_statement(w: &mut impl World) {
    begin(w);
    w.sql(PRIMARY, CREATE_OTHER).expect("the primary is well");
    w.wait("the standby has it", LIMIT, |w| w.sql(STANDBY, SET_OTHER).is_ok());
    for steps in 0..24 {
        let app = w.connect("app");
        w.run(&app, SET_OTHER);
        w.run(&app, "begin");
        w.sql(PRIMARY, DROP_OTHER).expect("nothing uses it");
        w.wait("the standby has it no more", LIMIT, |w| w.sql(STANDBY, SET_OTHER).is_err());
        w.query_start(&app, READ);
        for _ in 0..steps {
            w.step();
        }
        w.befall(PRIMARY, Fate::TerminateSessions);
        let read = w.finish(&app);
        w.sql(PRIMARY, CREATE_OTHER).expect("the primary is well");
        w.wait("the standby has it", LIMIT, |w| w.sql(STANDBY, SET_OTHER).is_ok());
        let end = w.query(&app, "rollback");
        assert_eq!(end.status, Some(b'I'), "{steps}: {} {}", read.trouble(), end.trouble());
        let mut write = w.query(&app, WRITE);
        if write.code() == "57P01" {
            // The transaction was over before its session was terminated.
            write = w.query(&app, WRITE);
        }
        assert!(!write.failed(), "{steps}: {}, after {}", write.trouble(), read.trouble());
        w.terminate(&app);
    }
    w.sql(PRIMARY, DROP_OTHER).expect("nothing uses it");
}

const CREATE_OTHER: &str = "create access method other type table handler heap_tableam_handler";
const SET_OTHER: &str = "set default_table_access_method = 'other'";
const DROP_OTHER: &str = "drop access method other";
