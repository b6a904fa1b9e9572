//! The tables of decisions.

use super::*;

#[test]
fn statements_go_where_they_are_safe() {
    const NONE: Transaction = Transaction::None;
    const PRIMARY: Transaction = Transaction::Open { at: Side::Primary };
    const REPLICA: Transaction = Transaction::Open { at: Side::Replica };
    use Freedom::{Free, Sticky, Unbalanced};
    let to_primary = Some(Side::Primary);
    let to_replica = Some(Side::Replica);
    let cases: &[(&str, Transaction, Freedom, Option<Side>)] = &[
        ("select 1", NONE, Free, to_replica),
        ("select 1", NONE, Sticky, to_primary),
        ("select 1", NONE, Unbalanced, to_primary),
        ("select 1", PRIMARY, Free, to_primary),
        ("select 1", REPLICA, Free, to_replica),
        ("insert into t values (1)", NONE, Free, to_primary),
        ("insert into t values (1)", REPLICA, Free, to_replica),
        ("select random()", REPLICA, Free, to_replica),
        ("begin", NONE, Free, to_primary),
        ("begin read write", NONE, Free, to_primary),
        ("begin read only", NONE, Free, to_replica),
        ("begin read only", NONE, Sticky, to_primary),
        ("begin read only", NONE, Unbalanced, to_primary),
        ("begin isolation level serializable read only", NONE, Free, to_primary),
        ("commit", REPLICA, Free, to_replica),
        ("commit", PRIMARY, Free, to_primary),
        ("commit", NONE, Free, to_primary),
        ("savepoint s", REPLICA, Free, to_replica),
        ("set x to 1", NONE, Free, to_primary),
        ("set local work_mem to 1", REPLICA, Free, to_replica),
        ("show work_mem", NONE, Free, to_replica),
        ("show transaction_read_only", NONE, Free, to_primary),
        ("explain route select 1", NONE, Free, to_primary),
        ("", NONE, Free, to_primary),
        // Locks and state on a standby would be of no use, or would be missed later.
        ("select pg_advisory_lock(1)", REPLICA, Free, None),
        ("select pg_advisory_xact_lock(1)", REPLICA, Free, None),
        ("prepare p as select 1", REPLICA, Free, None),
        ("set role bob", REPLICA, Free, None),
        // What may leave something, or takes something away, is let through.
        ("select f()", REPLICA, Free, to_replica),
        ("deallocate all", REPLICA, Free, to_replica),
        ("declare c cursor with hold for select 1", REPLICA, Free, None),
        ("declare c cursor for select 1", REPLICA, Free, to_replica),
        ("prepare p as select 1", PRIMARY, Free, to_primary),
    ];
    let rules = rules::Rules::default();
    for (text, transaction, freedom, expected) in cases {
        let class = classify::classify(text.as_bytes(), &lore::Lore::bare(&rules));
        let facts = Facts::new(&class, *transaction, *freedom);
        let side = match decide(&facts) {
            Route::Send { side, .. } => Some(side),
            Route::Defer { .. } | Route::Refuse { .. } => None,
        };
        assert_eq!(side, *expected, "{text} in {transaction:?}, {freedom:?}");
    }
}

const PRIMARY: &str = "primary";
const REPLICA: &str = "replica";

/// Plays statements in front of one, and returns where that goes, and the word for why.
fn played(on_write: OnWrite, isolation: Isolation, script: &str) -> (&'static str, String) {
    let rules = rules::Rules::default();
    let dependents = writes::Dependents::read("t:v").unwrap();
    let balancing =
        Balancing { on_write, transaction_reads: TransactionReads::UntilWrite, dependents };
    let mut writes = Writes::default();
    let mut transaction = Transaction::None;
    let mut last = ("nothing", String::new());
    for text in script.split("; ") {
        let class = classify::classify(text.as_bytes(), &lore::Lore::bare(&rules));
        let recent = if text.contains("hot") { Touched::Relation("hot") } else { Touched::Nothing };
        let isolation = Some(isolation);
        let facts = Facts {
            balancing: &balancing,
            writes: &writes,
            recent,
            isolation,
            ..Facts::new(&class, transaction, Freedom::Free)
        };
        let (route, why) = match decide(&facts) {
            Route::Send { side: Side::Primary, why } => (PRIMARY, why),
            Route::Send { side: Side::Replica, why } => (REPLICA, why),
            Route::Defer { why } => ("deferred", why),
            Route::Refuse { why } => ("refused", why),
        };
        last = (route, why.word().to_owned());
        let place = if transaction == Transaction::None {
            writes::Where::Alone
        } else {
            writes::Where::Inside
        };
        transaction = match (class.kind, transaction, route) {
            (Kind::End, _, _) => {
                writes.end_transaction();
                Transaction::None
            }
            (_, _, "deferred") => Transaction::Deferred,
            (Kind::Begin { .. }, _, PRIMARY) => Transaction::Open { at: Side::Primary },
            (Kind::Begin { .. }, _, _) => Transaction::Open { at: Side::Replica },
            (_, Transaction::Deferred, PRIMARY) => Transaction::Loose,
            (_, other, _) => other,
        };
        if route == PRIMARY {
            writes.note(&class, place, &balancing.dependents);
        }
    }
    last
}

#[test]
fn reads_go_where_writes_allow() {
    use Isolation::{ReadCommitted as RC, RepeatableRead as RR, Serializable};
    use OnWrite::{Always, DmlAdaptive as Dml, DmlAdaptiveGlobal as Global, Off, TransTransaction};
    const W: &str = "insert into t values (1)";
    type Case<'a> = (OnWrite, Isolation, &'a str, &'static str, &'a str);
    let default = OnWrite::Transaction;
    let cases: &[Case<'_>] = &[
        (default, RC, "begin", "deferred", "begin_deferred"),
        (default, RC, "begin read write", "deferred", "begin_deferred"),
        (default, RC, "begin read only", REPLICA, "begin_read_only"),
        (default, RR, "begin", PRIMARY, "begin_read_write"),
        (default, Serializable, "begin", PRIMARY, "begin_serializable"),
        (default, Serializable, "begin read only", PRIMARY, "begin_serializable"),
        (default, RR, "begin isolation level read committed", "deferred", "begin_deferred"),
        (default, RC, "begin; select 1", REPLICA, "before_write"),
        (default, RC, "begin; show work_mem", REPLICA, "show"),
        (default, RC, "begin; savepoint a", PRIMARY, "transaction_control"),
        (default, RC, "begin; set work_mem to 1", PRIMARY, "set"),
        (default, RC, "begin; savepoint a; select 1", REPLICA, "before_write"),
        (default, RC, "begin; savepoint a; show work_mem", PRIMARY, "in_transaction"),
        (default, RC, "begin; W; select 1", PRIMARY, "after_write"),
        (default, RC, "begin; W; commit; select 1", REPLICA, "read"),
        (default, RC, "begin; W; commit; begin; select 1", REPLICA, "before_write"),
        (default, RC, "begin; W; W", PRIMARY, "in_transaction"),
        (default, RR, "begin; select 1", PRIMARY, "in_transaction"),
        (default, RC, "W; select 1", REPLICA, "read"),
        (Off, RC, "begin; W; select * from t", REPLICA, "despite_write"),
        (TransTransaction, RC, "W; begin; select 1", REPLICA, "before_write"),
        (TransTransaction, RC, "begin; W; select 1", PRIMARY, "after_write"),
        (TransTransaction, RC, "begin; W; commit; begin", PRIMARY, "after_write_transaction"),
        (TransTransaction, RC, "begin; W; commit; select 1", REPLICA, "read"),
        (Always, RC, "select 1; select 1", REPLICA, "read"),
        (Always, RC, "W; select 1", PRIMARY, "after_any_write"),
        (Always, RC, "W; begin", PRIMARY, "after_any_write"),
        (Always, RC, "begin; W; select 1", PRIMARY, "after_any_write"),
        (Dml, RC, "begin; W; select * from u", REPLICA, "despite_write"),
        (Dml, RC, "begin; W; select * from u, s.t", PRIMARY, "written_in_transaction"),
        (Dml, RC, "begin; W; select * from v", PRIMARY, "written_in_transaction"),
        (Dml, RC, "begin; W; commit; select * from t", REPLICA, "read"),
        (Dml, RC, "select * from hot", REPLICA, "read"),
        (Global, RC, "select * from hot", PRIMARY, "written_lately"),
        (Global, RC, "select * from t", REPLICA, "read"),
        (Global, RC, "begin; W; select * from t", PRIMARY, "written_in_transaction"),
    ];
    for (on_write, isolation, script, route, word) in cases {
        let found = played(*on_write, *isolation, &script.replace('W', W));
        assert_eq!(found, (*route, (*word).to_owned()), "{on_write:?}, {isolation:?}: {script}");
    }
}

#[test]
fn a_bound_session_stays_on_the_primary() {
    let rules = rules::Rules::default();
    let read = classify::classify(b"select 1", &lore::Lore::bare(&rules));
    for transaction in [Transaction::None, Transaction::Deferred, Transaction::Loose] {
        let facts = Facts::new(&read, transaction, Freedom::Sticky);
        assert_eq!(decide(&facts), Route::Send { side: Side::Primary, why: Why::Sticky });
        let facts = Facts::new(&read, transaction, Freedom::Unbalanced);
        assert_eq!(decide(&facts), Route::Send { side: Side::Primary, why: Why::Unbalanced });
    }
}
