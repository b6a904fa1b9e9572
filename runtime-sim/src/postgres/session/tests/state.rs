//! What a session holds, as its statements say and as it says itself when it is asked. What is
//! expected here is what PostgreSQL 15.18 has answered to the same statements.

use pgherd_core::backend::audit;
use pgherd_core::route::catalog;

use super::*;

/// What is answered by messages' types, errors and warnings by their SQLSTATEs.
fn told(bench: &mut Bench, sql: &str) -> String {
    let (_, bytes) = bench.sql(sql);
    let word = |(tag, body): &(char, Vec<u8>)| {
        let text = String::from_utf8_lossy(body).into_owned();
        let field =
            |name| text.split('\0').find_map(|f: &str| f.strip_prefix(name)).map(str::to_owned);
        match tag {
            'E' | 'N' => field('C').unwrap_or_default(),
            'C' => text.trim_end_matches('\0').to_owned(),
            'S' => text.replacen('\0', "=", 1).trim_end_matches('\0').to_owned(),
            other => other.to_string(),
        }
    };
    messages(&bytes).iter().map(word).collect::<Vec<_>>().join(" ")
}

fn play(bench: &mut Bench, cases: &[(&str, &str)]) {
    for (sql, expected) in cases {
        assert_eq!(told(bench, sql), *expected, "{sql}");
    }
}

/// The answer to the audit, a null as nothing.
fn held(bench: &mut Bench) -> String {
    bench.values(audit::QUERY).join(" ")
}

#[test]
fn what_a_session_holds_is_what_it_says_it_holds() {
    let mut bench = Bench::ready();
    let nothing = "0 0 0 0 0  f postgres";
    assert_eq!(held(&mut bench), nothing);
    let cases = [
        ("listen a; listen b; listen a", "2 0 0 0 0  f postgres", "unlisten *"),
        (
            "create temp table t (id serial primary key, v text)",
            "0 3 0 0 0  f postgres",
            "drop table t",
        ),
        ("create temp table t (v text)", "0 1 0 0 0  f postgres", "discard temp"),
        ("declare c cursor with hold for select 1", "0 0 1 0 0  f postgres", "close c"),
        (
            "select pg_advisory_lock(1), pg_advisory_lock(1, 2)",
            "0 0 0 2 0  f postgres",
            "select pg_advisory_unlock_all()",
        ),
        (
            "select pg_try_advisory_lock_shared(1)",
            "0 0 0 1 0  f postgres",
            "select pg_advisory_unlock_shared(1)",
        ),
        ("prepare p as select 1", "0 0 0 0 1  f postgres", "deallocate p"),
        (
            "set work_mem = '1MB'; set DateStyle = german",
            "0 0 0 0 0 datestyle,work_mem f postgres",
            "reset all",
        ),
        (
            "select set_config('jit', 'off', false)",
            "0 0 0 0 0 jit f postgres",
            "set jit to default",
        ),
        ("set role app", "0 0 0 0 0  t postgres", "reset role"),
        ("set session authorization app", "0 0 0 0 0  f app", "reset session authorization"),
        ("set my.own = 1", nothing, "reset my.own"),
        (
            "begin; create temp table x (a int) on commit drop; set local jit = off; listen a; rollback",
            nothing,
            "",
        ),
        (
            "begin; create temp table x (a int) on commit drop; set local jit = off; commit",
            nothing,
            "",
        ),
        (
            "begin; select pg_advisory_xact_lock(4); declare c cursor for select 1; commit",
            nothing,
            "",
        ),
        (
            "begin; set work_mem = '1MB'; create temp table x (a int); declare c cursor with hold for select 1; rollback",
            nothing,
            "",
        ),
    ];
    for (sql, expected, end) in cases {
        assert!(!bench.sql(sql).0.contains('E'), "{sql}");
        assert_eq!(held(&mut bench), expected, "{sql}");
        bench.sql(end);
        assert_eq!(held(&mut bench), nothing, "{sql}; {end}");
        bench.sql(sql);
        bench.sql("discard all");
        assert_eq!(held(&mut bench), nothing, "{sql}; discard all");
    }
}

#[test]
fn the_catalog_is_told_by_database() {
    let mut bench = Bench::ready();
    bench.sql("create function c() returns int language sql immutable as 'select 1'");
    bench.sql("create function v() returns int language sql as 'select 1'");
    bench.sql(
        "create function s() returns text language sql stable as $$select set_config('a.b', '1', false)$$",
    );
    bench.sql("create unlogged table u (a int); create table l (a int)");
    bench.sql("set default_transaction_isolation = 'serializable'");
    assert_eq!(
        bench.values(catalog::QUERY),
        ["f", "c", "", "f", "s", "s", "f", "v", "v", "u", "u", "", "i", "serializable", ""]
    );
    bench.sql("drop function s(); drop table u; reset all");
    bench.sql("create database other");
    assert_eq!(
        bench.values(catalog::QUERY),
        ["f", "c", "", "f", "v", "v", "i", "read committed", ""]
    );
    bench.session.context.own.database = "other".to_owned();
    assert_eq!(bench.values(catalog::QUERY), ["i", "read committed", ""]);
    assert_eq!(bench.code("select v()"), "42883");
}

#[test]
fn settings_reach_as_far_as_they_should() {
    play(
        &mut Bench::ready(),
        &[
            ("set role nobody", "22023 Z"),
            (
                "set role app; select current_user, session_user",
                "SET T D SELECT 1 is_superuser=off Z",
            ),
            ("reset all; reset role", "RESET RESET is_superuser=on Z"),
            ("set session authorization app", "SET is_superuser=off session_authorization=app Z"),
            ("discard all", "DISCARD ALL is_superuser=on session_authorization=postgres Z"),
            (
                "begin; set application_name to x; set timezone to utc",
                "BEGIN SET SET application_name=x TimeZone=UTC Z",
            ),
            ("rollback", "ROLLBACK application_name= TimeZone=Etc/UTC Z"),
            (
                "set application_name to x; select 1; set application_name to y",
                "SET T D SELECT 1 SET application_name=y Z",
            ),
            ("reset all", "RESET application_name= Z"),
            (
                "begin; set application_name = q; savepoint a; set application_name = r",
                "BEGIN SET SAVEPOINT SET application_name=r Z",
            ),
            ("rollback to a", "ROLLBACK application_name=q Z"),
            ("rollback", "ROLLBACK application_name= Z"),
            ("set local work_mem = '1MB'", "25P01 SET Z"),
            ("set work_mem = 1000; select 1/0", "SET 22012 Z"),
            ("abort; discard all", "25P01 ROLLBACK 25001 Z"),
            ("begin; discard all", "BEGIN 25001 Z"),
            ("rollback; discard temp", "ROLLBACK DISCARD TEMP Z"),
            ("discard plans; discard sequences", "DISCARD PLANS DISCARD SEQUENCES Z"),
            ("select current_setting('my.w')", "42704 Z"),
            ("select current_setting('my.w', true)", "T D SELECT 1 Z"),
            ("begin; set my.v = '1'; rollback; show my.v", "BEGIN SET ROLLBACK T D SHOW Z"),
        ],
    );
    let mut bench = Bench::ready();
    assert_eq!(bench.values("show work_mem"), ["4MB"]);
    assert_eq!(
        bench.values("select set_config('work_mem', '1MB', false), set_config('app.x', 'y', true)"),
        ["1MB", "y"]
    );
    assert_eq!(
        bench.values("select current_setting('work_mem'), current_setting('app.x')"),
        ["1MB", ""]
    );
}

#[test]
fn cursors_and_statements_of_sql_are_as_in_postgresql() {
    play(
        &mut Bench::ready(),
        &[
            ("declare c cursor for select 1", "25P01 Z"),
            ("declare c cursor with hold for select generate_series(1, 3)", "DECLARE CURSOR Z"),
            ("declare c cursor with hold for select 1", "42P03 Z"),
            ("fetch 2 from c", "T D D FETCH 2 Z"),
            ("fetch c; fetch c", "T D FETCH 1 T FETCH 0 Z"),
            ("close c", "CLOSE CURSOR Z"),
            ("close c", "34000 Z"),
            ("fetch c", "34000 Z"),
            ("close all", "CLOSE CURSOR ALL Z"),
            (
                "begin; declare d cursor for select 1; fetch all d; move d; commit",
                "BEGIN DECLARE CURSOR T D FETCH 1 MOVE 0 COMMIT Z",
            ),
            ("fetch d", "34000 Z"),
            ("prepare p as select $1::int; execute p", "PREPARE 42601 Z"),
            ("execute p(1)", "T D SELECT 1 Z"),
            ("deallocate q", "26000 Z"),
            ("prepare p as select 1", "42P05 Z"),
            ("deallocate p; deallocate all", "DEALLOCATE DEALLOCATE ALL Z"),
            ("savepoint x", "25P01 Z"),
            ("begin; rollback to x", "BEGIN 3B001 Z"),
            ("rollback", "ROLLBACK Z"),
            (
                "listen a; notify a, 'p'; notify a, 'p'; notify a",
                "LISTEN NOTIFY NOTIFY NOTIFY A A Z",
            ),
            (
                "begin; notify a; rollback; unlisten a; notify a",
                "BEGIN NOTIFY ROLLBACK UNLISTEN NOTIFY Z",
            ),
            ("select pg_advisory_unlock(1)", "01000 T D SELECT 1 Z"),
        ],
    );
}

#[test]
fn temporary_tables_hide_lasting_ones_and_are_nobody_elses() {
    let mut bench = Bench::ready();
    bench.sql("create table t (a int); insert into t values (1)");
    bench.sql("create temp table t (a int); insert into t values (2), (3)");
    assert_eq!(bench.values("select * from t"), ["2", "3"]);
    assert_eq!(bench.code("create temp table t (a int)"), "42P07");
    bench.sql("begin; update t set a = 9; rollback");
    assert_eq!(bench.values("select * from t"), ["2", "3"]);
    let mut other = Bench::new(Role::Primary);
    other.session.context.process = 8;
    other.say(&startup());
    std::mem::swap(&mut bench.engine, &mut other.engine);
    assert_eq!(other.values("select * from t"), ["1"]);
    std::mem::swap(&mut bench.engine, &mut other.engine);
    bench.sql("drop table t");
    assert_eq!(bench.values("select * from t"), ["1"]);
    assert_eq!(bench.code("begin read only; create temp table x (a int)"), "25006");
    bench.sql("rollback; create temp table x (a int)");
    assert_eq!(told(&mut bench, "begin read only; insert into x values (1)"), "BEGIN INSERT 0 1 Z");
    assert_eq!(bench.code("drop table x"), "25006");
}

#[test]
fn functions_and_views_do_what_they_say() {
    let mut bench = Bench::ready();
    bench.sql("create table t (a int)");
    play(
        &mut bench,
        &[
            ("create function f() returns int language sql as 'select 1'", "CREATE FUNCTION Z"),
            ("create function f() returns int language sql as 'select 1'", "42723 Z"),
            (
                "create or replace function f() returns int language sql as 'select 2'",
                "CREATE FUNCTION Z",
            ),
            (
                "create function w() returns int language plpgsql as $$begin insert into t values (1); return 7; end$$",
                "CREATE FUNCTION Z",
            ),
            (
                "create function bad() returns int language sql stable as 'insert into t values (1) returning a'",
                "CREATE FUNCTION Z",
            ),
            (
                "create function cfg(text) returns void language sql as $$select set_config('app.x', $1, false)$$",
                "CREATE FUNCTION Z",
            ),
            ("select bad()", "0A000 Z"),
            ("select cfg('mine')", "T D SELECT 1 Z"),
            ("create view v as select w() as n, f()", "CREATE VIEW Z"),
            ("create view v as select 1", "42P07 Z"),
            ("drop table v", "42809 Z"),
            ("drop view t", "42809 Z"),
            ("select nofunc(1, 'x')", "42883 Z"),
            ("drop function nof()", "42883 Z"),
        ],
    );
    assert_eq!(bench.values("select * from v"), ["7", "2"]);
    assert_eq!(bench.values("select count(*) from t; show app.x"), ["1", "mine"]);

    bench.engine.role = Role::Standby(Replay::Running);
    bench.engine.commit("postgres", Vec::new());
    assert_eq!(bench.values("select f()"), ["2"]);
    let cases = [
        ("select w()", "25006"),
        ("select * from v", "25006"),
        ("select n from v where n > 1", "25006"),
        ("create temp table x (a int)", "25006"),
        ("listen a", "25006"),
        ("select pg_notify('a', 'b')", "25006"),
        ("lock table t", "25006"),
        ("select nextval('s')", "25006"),
        ("select txid_current()", "25006"),
        ("select * from t for update", "25006"),
        ("begin read write", "0A000"),
    ];
    for (sql, code) in cases {
        assert_eq!(bench.code(sql), code, "{sql}");
    }
    assert_eq!(
        told(&mut bench, "unlisten a; select pg_advisory_lock(1)"),
        "UNLISTEN T D SELECT 1 Z"
    );
    bench.engine.conflicts = 1;
    assert_eq!(bench.code("select 1"), "40001");
    assert_eq!(bench.values("select 1"), ["1"]);
}

#[test]
fn a_standby_has_no_unlogged_tables() {
    let mut bench = Bench::ready();
    bench.sql("create unlogged table u (a int); insert into u values (1)");
    bench.engine.role = Role::Standby(Replay::Running);
    let (_, bytes) = bench.sql("select * from u");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(
        text.contains("C0A000\0Mcannot access temporary or unlogged relations during recovery")
    );
    assert_eq!(bench.code("insert into u values (1)"), "25006");
    let bind = [parse_message("", "select * from u"), bind_message("", "", &[]), sync()];
    assert_eq!(bench.say(&bind.concat()).0, "1EZ");
}

#[test]
fn advisory_locks_are_waited_for_once() {
    let mut one = Bench::ready();
    one.sql("select pg_advisory_lock(2)");
    let mut other = Bench::new(Role::Primary);
    other.session.context.process = 8;
    other.say(&startup());
    std::mem::swap(&mut one.engine, &mut other.engine);
    assert_eq!(other.sql("select pg_advisory_lock(1), pg_advisory_lock(2)").0, "");
    assert_eq!(other.session.pump(&mut other.engine, other.now, &mut || [0; 40]), Rest::Blocked);
    std::mem::swap(&mut one.engine, &mut other.engine);
    assert_eq!(one.values("select pg_try_advisory_lock(1)"), ["f"]);
    assert_eq!(one.values("select pg_advisory_unlock(2)"), ["t"]);
    std::mem::swap(&mut one.engine, &mut other.engine);
    assert_eq!(other.go_on().0, "TDCZ");
    assert_eq!(other.values("select pg_advisory_unlock(1)"), ["t"]);
    assert_eq!(other.values("select pg_advisory_unlock(1)"), ["f"], "it was taken once");
}
