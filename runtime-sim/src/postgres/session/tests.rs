//! A session, driven with raw bytes.

use pgherd_core::time::{Duration, Instant};

use super::*;
use crate::plan::Plan;
use crate::postgres::engine::{Replay, Role};
use crate::tests::{message, messages, query, startup};

struct Bench {
    engine: Engine,
    session: Session,
    now: Instant,
}

impl Bench {
    fn new(role: Role) -> Self {
        let accounts = Accounts { auth: Auth::Trust };
        let users = ["postgres", "app"].map(|name| (name.to_owned(), name.to_owned()));
        let plan = Plan { probe: "the probe".to_owned(), users: users.into(), ..Plan::default() };
        let engine = Engine::new(role, &plan);
        let session = Session::new(7, 0, [1, 2, 3, 4], accounts, Door::Open);
        Self { engine, session, now: Instant::ZERO }
    }

    fn ready() -> Self {
        let mut bench = Self::new(Role::Primary);
        assert!(bench.say(&startup()).0.ends_with("KZ"));
        bench
    }

    /// Says something; returns the types of the answer's messages, and the answer.
    fn say(&mut self, bytes: &[u8]) -> (String, Vec<u8>) {
        self.session.receive(bytes);
        self.go_on()
    }

    fn go_on(&mut self) -> (String, Vec<u8>) {
        let mut answer = Vec::new();
        loop {
            let rest = self.session.pump(&mut self.engine, self.now, &mut || [5; 40]);
            answer.extend_from_slice(self.session.out.leaving());
            self.session.out.left(self.session.out.leaving().len());
            if rest != Rest::Full {
                return (messages(&answer).iter().map(|(tag, _)| *tag).collect(), answer);
            }
        }
    }

    fn sql(&mut self, sql: &str) -> (String, Vec<u8>) {
        self.say(&query(sql))
    }

    /// The SQLSTATE that a statement fails with.
    fn code(&mut self, sql: &str) -> String {
        let (_, bytes) = self.sql(sql);
        let error = messages(&bytes).into_iter().find(|(tag, _)| *tag == 'E');
        let body = error.unwrap_or_else(|| panic!("{sql} succeeds")).1;
        let text = String::from_utf8(body).unwrap();
        text.split('\0').find_map(|field| field.strip_prefix('C')).unwrap().to_owned()
    }

    /// The values of the rows that a statement gives.
    fn values(&mut self, sql: &str) -> Vec<String> {
        let (tags, bytes) = self.sql(sql);
        assert!(!tags.contains('E'), "{sql}: {}", String::from_utf8_lossy(&bytes));
        crate::postgres::rows(&bytes).unwrap().concat()
    }
}

fn parse_message(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

fn bind_message(portal: &str, name: &str, params: &[&str]) -> Vec<u8> {
    let mut body = format!("{portal}\0{name}\0").into_bytes();
    body.extend([0, 0]);
    body.extend(u16::try_from(params.len()).unwrap().to_be_bytes());
    for param in params {
        body.extend(u32::try_from(param.len()).unwrap().to_be_bytes());
        body.extend(param.as_bytes());
    }
    body.extend([0, 0]);
    message(b'B', &body)
}

fn execute_message(portal: &str, limit: u32) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), b"\0", &limit.to_be_bytes()].concat())
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

#[test]
fn logins_are_answered_as_by_a_server() {
    let mut bench = Bench::new(Role::Primary);
    assert_eq!(bench.say(b"\0\0\0\x08\x04\xd2\x16\x2f").1, b"N");
    let (tags, bytes) = bench.say(&startup());
    assert_eq!(tags, "RSSSSSSSSSSSSSKZ");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("server_version\x0015.18\0") && text.contains("in_hot_standby\0off\0"));

    let mut standby = Bench::new(Role::Standby(Replay::Running));
    let text = String::from_utf8_lossy(&standby.say(&startup()).1).into_owned();
    assert!(text.contains("in_hot_standby\0on\0"));
    assert_eq!(standby.code("create table t (a int)"), "25006");
    assert_eq!(standby.values("select pg_is_in_recovery()"), ["t"]);
}

#[test]
fn statements_give_what_they_should() {
    let mut bench = Bench::ready();
    let cases: &[(&str, &str)] = &[
        ("", "IZ"),
        ("create table t (id int primary key, v text)", "CZ"),
        ("insert into t values (1, 'a'), (2, 'b')", "CZ"),
        ("select 1; select 2; insert into t values (3, null)", "TDCTDCCZ"),
        ("update t set v = v || 'x' where id < 3 returning id", "TDDCZ"),
        ("select * from t order by id desc", "TDDDCZ"),
        ("insert into t values (4, 'd'); select 1/0; select 1", "CEZ"),
        ("create table if not exists t (a int)", "NCZ"),
        ("set application_name to 'x'", "CSZ"),
        ("do $$begin raise notice 'hey'; end$$", "NCZ"),
        ("listen c; notify c, 'p'", "CCAZ"),
        ("copy t to stdout", "HdddcCZ"),
        ("copy (select 1) to stdout; select 2", "HdcCTDCZ"),
        ("discard all", "CSZ"),
        ("the probe", "TDCZ"),
    ];
    for (sql, expected) in cases {
        assert_eq!(bench.sql(sql).0, *expected, "{sql}");
    }
    assert_eq!(bench.values("select count(*), sum(id), max(v) from t"), ["3", "6", "bx"]);
    assert_eq!(
        bench.values("select $1 + 1, 'a' || 2; ".replace("$1", "41").as_str()),
        ["42", "a2"]
    );
}

#[test]
fn errors_have_their_codes() {
    let mut bench = Bench::ready();
    bench.sql("create table t (id int primary key); insert into t values (1)");
    let cases = [
        ("selec 1", "42601"),
        ("select * from nowhere", "42P01"),
        ("select nothing from t", "42703"),
        ("select 1/0", "22012"),
        ("select 'x'::int", "22P02"),
        ("insert into t values (1)", "23505"),
        ("create table t (a int)", "42P07"),
        ("execute nobody", "26000"),
        ("prepare p as select 1; prepare p as select 1", "42P05"),
        ("set nonsense to 1", "42704"),
        ("do $$begin raise exception 'no'; end$$", "P0001"),
        ("begin read only; insert into t values (2)", "25006"),
        ("select 1", "25P02"),
        ("rollback; select no_such_function()", "42883"),
        ("lock table t", "25P01"),
    ];
    for (sql, code) in cases {
        assert_eq!(bench.code(sql), code, "{sql}");
    }
}

#[test]
fn transactions_are_done_or_not_done() {
    let mut bench = Bench::ready();
    bench.sql("create table t (id int)");
    let status = |answer: (String, Vec<u8>)| char::from(*answer.1.last().unwrap());
    assert_eq!(status(bench.sql("begin")), 'T');
    bench.sql("insert into t values (1)");
    bench.sql("savepoint a; insert into t values (2)");
    assert_eq!(status(bench.sql("select 1/0")), 'E');
    assert_eq!(status(bench.sql("rollback to a")), 'T');
    assert_eq!(status(bench.sql("commit")), 'I');
    assert_eq!(bench.values("select * from t"), ["1"]);
    bench.sql("begin; insert into t values (3); set work_mem to '1MB'; set local jit to off");
    bench.sql("rollback");
    assert_eq!(bench.values("select * from t"), ["1"]);
    assert_eq!(bench.values("show work_mem"), ["4MB"]);
    bench.sql("begin; set local jit to off; set work_mem to '2MB'; commit");
    assert_eq!(
        bench.values("select current_setting('jit'), current_setting('work_mem')"),
        ["on", "2MB"]
    );
    bench.sql("create temp table x (a int); insert into x values (5)");
    assert_eq!(bench.values("select * from x"), ["5"]);
    bench.sql("discard all");
    assert_eq!(bench.code("select * from x"), "42P01");
}

#[test]
fn the_extended_protocol_is_spoken_in_full() {
    let mut bench = Bench::ready();
    bench.sql("create table t (id int)");
    let describe = message(b'D', b"Ss\0");
    let answer = bench.say(&[parse_message("s", "select $1::int + 1"), describe, sync()].concat());
    assert_eq!(answer.0, "1tTZ");
    let run = [bind_message("", "s", &["41"]), execute_message("", 0), sync()].concat();
    let (tags, bytes) = bench.say(&run);
    assert_eq!(tags, "2DCZ");
    assert_eq!(crate::postgres::rows(&bytes).unwrap(), [["42"]]);

    let rows = [
        parse_message("", "select generate_series(1, 5)"),
        bind_message("p", "", &[]),
        execute_message("p", 2),
        execute_message("p", 2),
        execute_message("p", 2),
        sync(),
    ];
    assert_eq!(bench.say(&rows.concat()).0, "12DDsDDsDCZ");

    // An error skips to Sync, and takes back what the pipeline has done.
    let failing = [
        parse_message("", "insert into t values (1)"),
        bind_message("", "", &[]),
        execute_message("", 0),
        parse_message("", "selec"),
        bind_message("", "", &[]),
        query("select 1"),
        sync(),
        query("select 2"),
    ];
    assert_eq!(bench.say(&failing.concat()).0, "12CEZTDCZ");
    assert_eq!(bench.values("select count(*) from t"), ["0"]);

    // Nothing is said before Flush or Sync.
    assert_eq!(bench.say(&parse_message("f", "select 1")).0, "");
    assert_eq!(bench.say(&message(b'H', b"")).0, "1");
    assert_eq!(bench.say(&[parse_message("f", "select 1"), sync()].concat()).0, "EZ");
    assert_eq!(
        bench.say(&[message(b'C', b"Sf\0"), bind_message("", "f", &[]), sync()].concat()).0,
        "3EZ"
    );
}

#[test]
fn copy_in_takes_rows_or_fails() {
    let mut bench = Bench::ready();
    bench.sql("create table t (id int, v text)");
    assert_eq!(bench.sql("copy t from stdin").0, "G");
    let data = [message(b'd', b"1\ta\n2\t"), message(b'S', b""), message(b'd', b"\\N\n")];
    assert_eq!(bench.say(&data.concat()).0, "");
    assert_eq!(bench.say(&message(b'c', b"")).0, "CZ");
    assert_eq!(bench.values("select id from t where v is null"), ["2"]);
    assert_eq!(bench.sql("copy t from stdin").0, "G");
    assert_eq!(bench.say(&message(b'f', b"changed my mind\0")).0, "EZ");
    assert_eq!(bench.values("select count(*) from t"), ["2"]);
}

#[test]
fn what_sleeps_wakes_up_or_is_cancelled() {
    let mut bench = Bench::ready();
    assert_eq!(bench.sql("select pg_sleep(2), 1").0, "");
    bench.now = bench.now + Duration::from_secs(1);
    assert_eq!(bench.go_on().0, "");
    bench.now = bench.now + Duration::from_secs(1);
    assert_eq!(bench.go_on().0, "TDCZ");
    assert_eq!(bench.sql("select pg_sleep(2)").0, "");
    bench.session.cancelled = Cancelled::Yes;
    let (tags, bytes) = bench.go_on();
    assert_eq!(tags, "EZ");
    assert!(String::from_utf8_lossy(&bytes).contains("C57014\0"));
    // A cancel request that comes too late does nothing.
    bench.session.cancelled = Cancelled::Yes;
    assert_eq!(bench.sql("select 1").0, "TDCZ");
}

#[test]
fn sessions_wait_for_each_others_rows() {
    let mut one = Bench::ready();
    one.sql("create table t (id int, n int); insert into t values (1, 0)");
    let mut other = Bench::new(Role::Primary);
    other.session.context.process = 8;
    other.say(&startup());
    one.sql("begin; update t set n = n + 1 where id = 1");
    std::mem::swap(&mut one.engine, &mut other.engine);
    assert_eq!(other.sql("update t set n = n + 1 where id = 1").0, "");
    assert_eq!(other.session.pump(&mut other.engine, other.now, &mut || [0; 40]), Rest::Blocked);
    std::mem::swap(&mut one.engine, &mut other.engine);
    one.sql("commit");
    std::mem::swap(&mut one.engine, &mut other.engine);
    assert_eq!(other.go_on().0, "CZ");
    assert_eq!(other.values("select n from t"), ["2"]);
}

mod protocol;
mod state;
