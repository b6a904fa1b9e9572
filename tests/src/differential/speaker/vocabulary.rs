//! The statements that conversations are made of.
//!
//! `{t}` is the client's own table, `{k}` a small number, `{key}` one of the client's own keys for
//! advisory locks, `{channel}` its own channel, `{name}` one of a few names for statements.
//! Whatever is said here has the same answer every time: no clocks, no process numbers, no rows
//! without an order.

use super::super::conversation::Effect::{self, None as Neither, Reads, Writes};
use Dialect::{Full, Simulated};

/// Which SQL is understood where a conversation is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// By the simulated servers, and by real ones.
    Simulated,
    /// By real servers only.
    Full,
}

/// A statement: what it does to data, who understands it, and its text.
pub(super) type Line = (Effect, Dialect, &'static str);

/// Reads.
pub(super) const READS: &[Line] = &[
    (Neither, Simulated, "select 1"),
    (Neither, Simulated, "select 'a' as x, 2 as y, null as z"),
    (Neither, Simulated, "select g from generate_series(1, {k}) as g"),
    (Neither, Simulated, "select repeat('x', 20000)"),
    (Neither, Simulated, "select repeat('y', 300) from generate_series(1, 200) as g"),
    (Neither, Simulated, "select upper('abc') || 'd', length('four')"),
    (Neither, Simulated, "values (1, 'v')"),
    (Neither, Simulated, "select"),
    (Neither, Simulated, "select current_user"),
    (Neither, Simulated, "select current_setting('TimeZone')"),
    (Neither, Simulated, "select current_setting('DateStyle')"),
    (Neither, Simulated, "select current_setting('work_mem')"),
    (Neither, Simulated, "/* a comment */ select 2"),
    (Reads, Simulated, "select id, n, s from {t} order by id"),
    (Reads, Simulated, "select count(*) from {t}"),
    (Reads, Simulated, "select sum(n), min(s) from {t}"),
    (Reads, Simulated, "select * from {t} where id = {k}"),
    (Reads, Simulated, "select s from {t} where n > 1{k} order by id desc limit 2"),
    (Reads, Simulated, "copy (select id, s from {t} order by id) to stdout"),
    (Neither, Full, "select 1.50::numeric(5,2), 1e10::float8, 'x'::char(3)"),
    (Neither, Full, "select date '2020-01-02', interval '1 day 2 hours'"),
    (Neither, Full, "select timestamptz '2020-01-01 00:00:00+00'"),
    (Neither, Full, "select array[1,2,null], row(1,'a'), '{\"a\": 1}'::jsonb"),
    (Neither, Full, "select 0.1::float8 + 0.2::float8"),
    (Neither, Full, "explain (costs off) select 1"),
    (Reads, Full, "select a.id, b.n from {t} a join {t} b using (id) order by 1"),
    (Reads, Full, "with x as (select * from {t} where n is not null) select max(n) from x"),
    (Reads, Full, "select array_agg(n order by id) from {t}"),
    (Reads, Full, "select n, count(*) from {t} group by n having count(*) > 0 order by n"),
    (Reads, Full, "select case when n > 20 then 'big' end from {t} order by id"),
    (Reads, Full, "select id from {t} union all select 0 order by 1"),
    (Reads, Full, "copy (select * from {t} order by id) to stdout (format csv, header)"),
    (Reads, Full, "copy (select id from {t} order by id) to stdout (format binary)"),
    (Reads, Full, "select exists (select from {t} where id = {k})"),
];

/// Statements that write, or lock.
pub(super) const WRITES: &[Line] = &[
    (Writes, Simulated, "insert into {t} values (1{k}, {k}, 'new')"),
    (Writes, Simulated, "insert into {t} (id, s) values (2{k}, 'a'), (3{k}, 'b')"),
    (Writes, Simulated, "insert into {t} values (4{k}, 0, 'r') returning id, s"),
    (Writes, Simulated, "insert into {t} values ({k}, 1, 'c') on conflict do nothing"),
    (Writes, Simulated, "insert into {t} select id + 50, n, s from {t} where id = {k}"),
    (Writes, Simulated, "update {t} set n = {k} where id = {k}"),
    (Writes, Simulated, "update {t} set s = 'changed' where id = 1 returning *"),
    (Writes, Simulated, "delete from {t} where id = {k}"),
    (Writes, Simulated, "delete from {t} where id = {k} returning n"),
    (Writes, Simulated, "select id from {t} where id = {k} for update"),
    (Writes, Simulated, "truncate {t}"),
    (Writes, Full, "with w as (update {t} set n = 7 where id = {k} returning id) select * from w"),
    (
        Writes,
        Full,
        "merge into {t} using (values ({k})) v (k) on id = k when matched then \
         update set n = 99 when not matched then insert values (k, 1, 'merged')",
    ),
    (Writes, Full, "select id into temp made_{k} from {t}"),
    (Writes, Full, "explain (analyze, costs off, timing off, summary off) delete from {t}"),
    (Writes, Full, "alter table {t} add column if not exists extra_{k} int default 3"),
    (Writes, Full, "create index on {t} (n)"),
    (Writes, Full, "create or replace view {t}_view as select id from {t}"),
    (Writes, Full, "drop view if exists {t}_view"),
];

/// Statements that fail.
pub(super) const ERRORS: &[Line] = &[
    (Neither, Simulated, "select 1/0"),
    (Neither, Simulated, "select no_such_column"),
    (Reads, Simulated, "select no_such_column from {t}"),
    (Reads, Simulated, "select * from no_such_table"),
    (Neither, Simulated, "select 'a'::int"),
    (Writes, Simulated, "insert into {t} values (1, 1, 'double')"),
    (Writes, Simulated, "insert into no_such_table values (1)"),
    (Neither, Full, "select 1 from generate_series(1, 3) g where 1/(g-2) > 0"),
    (Reads, Full, "select s::int from {t} order by id"),
    (Writes, Full, "insert into {t} values (default, 1)"),
];

/// Statements that fail, and of which pgherd cannot know whether they leave something behind.
pub(super) const RUBBISH: &[Line] = &[
    (Neither, Simulated, "selec 1"),
    (Neither, Simulated, "select 'not ended"),
    (Neither, Simulated, "select 1 from"),
    (Neither, Simulated, "show no_such_parameter"),
    (Neither, Full, "select 1 @@@ 2"),
];

/// Statements in which there is nothing.
pub(super) const EMPTY: &[Line] = &[
    (Neither, Simulated, ""),
    (Neither, Simulated, ";"),
    (Neither, Simulated, " ; ; "),
    (Neither, Simulated, "-- nothing"),
    (Neither, Simulated, "/* nothing */"),
];

/// Settings.
pub(super) const SETTINGS: &[Line] = &[
    (Neither, Simulated, "set work_mem = '2MB'"),
    (Neither, Simulated, "set work_mem to default"),
    (Neither, Simulated, "set DateStyle = 'German'"),
    (Neither, Simulated, "set datestyle to 'ISO'"),
    (Neither, Simulated, "set time zone 'Asia/Tokyo'"),
    (Neither, Simulated, "set TimeZone = 'Europe/Berlin'"),
    (Neither, Simulated, "set application_name = 'renamed {k}'"),
    (Neither, Simulated, "set local work_mem = '3MB'"),
    (Neither, Simulated, "set local TimeZone = 'America/Lima'"),
    (Neither, Simulated, "set my.own = '{k}'"),
    (Neither, Simulated, "set no_such_parameter = 1"),
    (Neither, Simulated, "set server_version = 1"),
    (Neither, Simulated, "reset work_mem"),
    (Neither, Simulated, "reset TimeZone"),
    (Neither, Simulated, "reset all"),
    (Neither, Simulated, "show work_mem"),
    (Neither, Simulated, "show TimeZone"),
    (Neither, Simulated, "show DateStyle"),
    (Neither, Simulated, "show application_name"),
    (Neither, Simulated, "show transaction_isolation"),
    (Neither, Simulated, "set client_min_messages = warning"),
    (Neither, Simulated, "set client_encoding = 'LATIN1'"),
    (Neither, Simulated, "set statement_timeout = '1min'"),
    (Neither, Full, "set search_path = public, pg_catalog"),
    (Neither, Full, "set intervalstyle = 'iso_8601'"),
    (Neither, Full, "set extra_float_digits = 0"),
    (Neither, Full, "set bytea_output = 'escape'"),
    (Neither, Full, "select set_config('work_mem', '5MB', false)"),
    (Neither, Full, "select set_config('my.own', 'c', true)"),
    (Neither, Full, "set names 'UTF8'"),
    (Neither, Full, "set session work_mem = '6MB'"),
    (Neither, Full, "set role none"),
    (Neither, Full, "show search_path"),
    (Neither, Full, "set DateStyle = 'nonsense'"),
];

/// What is done to a transaction, open or not.
pub(super) const TRANSACTIONS: &[Line] = &[
    (Neither, Simulated, "savepoint a"),
    (Neither, Simulated, "savepoint b"),
    (Writes, Simulated, "rollback to a"),
    (Writes, Simulated, "rollback to savepoint b"),
    (Neither, Simulated, "release a"),
    (Neither, Simulated, "release savepoint b"),
    (Neither, Full, "set transaction read write"),
    (Neither, Full, "set constraints all deferred"),
];

/// What begins a transaction.
pub(super) const BEGINNINGS: &[Line] = &[
    (Neither, Simulated, "begin"),
    (Neither, Simulated, "start transaction"),
    (Neither, Simulated, "begin work"),
    (Neither, Simulated, "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
    (Neither, Simulated, "begin isolation level serializable"),
    (Neither, Simulated, "begin read write"),
];

/// What ends one.
pub(super) const ENDS: &[Line] = &[
    (Writes, Simulated, "commit"),
    (Writes, Simulated, "end"),
    (Writes, Simulated, "COMMIT WORK"),
    (Writes, Simulated, "rollback"),
    (Writes, Simulated, "abort"),
];

/// What leaves something in the session, or takes it away.
pub(super) const SESSION: &[Line] = &[
    (Neither, Simulated, "prepare {name} as select 1"),
    (Neither, Simulated, "prepare {name} (int) as select $1 + 1"),
    (Reads, Simulated, "prepare {name} (int) as select n, s from {t} where id = $1"),
    (Writes, Simulated, "prepare {name} (int) as update {t} set n = $1 where id = 1"),
    (Writes, Simulated, "execute {name}"),
    (Writes, Simulated, "execute {name}({k})"),
    (Neither, Simulated, "execute never_prepared"),
    (Writes, Simulated, "do $$ begin raise exception 'raised'; end $$"),
    (Neither, Simulated, "select no_such_function(1)"),
    (Neither, Simulated, "deallocate {name}"),
    (Neither, Simulated, "deallocate all"),
    (Reads, Simulated, "declare c1 cursor for select id, s from {t} order by id"),
    (Neither, Simulated, "declare c2 cursor for select g from generate_series(1, 9) as g"),
    (Reads, Simulated, "fetch 2 from c1"),
    (Reads, Simulated, "fetch all from c2"),
    (Reads, Simulated, "fetch c1"),
    (Neither, Simulated, "close c1"),
    (Neither, Simulated, "close all"),
    (Neither, Simulated, "listen {channel}"),
    (Writes, Simulated, "notify {channel}, 'payload {k}'"),
    (Writes, Simulated, "notify {channel}"),
    (Neither, Simulated, "unlisten {channel}"),
    (Neither, Simulated, "unlisten *"),
    (Writes, Simulated, "select pg_notify('{channel}', 'called {k}')"),
    (Neither, Simulated, "create temp table kept (a int, b text)"),
    (Neither, Simulated, "create temp table if not exists kept (a int, b text)"),
    (Neither, Simulated, "insert into kept values ({k}, 'temporary')"),
    (Neither, Simulated, "select a, b from kept order by a"),
    (Neither, Simulated, "drop table kept"),
    (Neither, Simulated, "drop table if exists kept"),
    (Neither, Simulated, "select pg_advisory_lock({key})"),
    (Neither, Simulated, "select pg_advisory_unlock({key})"),
    (Neither, Simulated, "select pg_advisory_unlock_all()"),
    (Neither, Simulated, "select pg_advisory_xact_lock({key})"),
    (Writes, Simulated, "do $$ begin raise notice 'noticed'; end $$"),
    (Writes, Simulated, "do $$ begin raise warning 'warned'; end $$"),
    (Neither, Simulated, "discard all"),
    (Neither, Simulated, "discard plans"),
    (Neither, Simulated, "discard temp"),
    (Writes, Simulated, "lock table {t}"),
    (Reads, Full, "declare c1 cursor with hold for select id, s from {t} order by id"),
    (Reads, Full, "declare c2 scroll cursor for select id from {t} order by id"),
    (Reads, Full, "fetch backward 1 from c2"),
    (Reads, Full, "move 2 in c1"),
    (Writes, Full, "create temp sequence counting"),
    (Neither, Full, "select nextval('counting')"),
    (Neither, Full, "select currval('counting')"),
    (Neither, Full, "select lastval()"),
    (Neither, Full, "discard sequences"),
    (Neither, Full, "create temp table gone (a int) on commit drop"),
    (Reads, Full, "create temp view {name}_view as select count(*) from {t}"),
    (Writes, Full, "do $$ begin perform set_config('work_mem', '7MB', false); end $$"),
    (Neither, Full, "select pg_try_advisory_xact_lock({key})"),
    (Neither, Full, "select pg_advisory_lock_shared({key})"),
    (Neither, Full, "load 'plpgsql'"),
];

/// A statement with parameters, for the extended protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Template {
    /// Its effect, its dialect and its text.
    pub(super) line: Line,
    /// Its parameters.
    pub(super) params: &'static [Param],
    /// How many columns its result has.
    pub(super) columns: usize,
}

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Param {
    /// `int`.
    Int,
    /// `text`.
    Text,
}

const fn template(line: Line, params: &'static [Param], columns: usize) -> Template {
    Template { line, params, columns }
}

use Param::{Int, Text};

/// Statements with parameters.
pub(super) const TEMPLATES: &[Template] = &[
    template((Neither, Simulated, "select $1::int + 1"), &[Int], 1),
    template((Neither, Simulated, "select $1::text || 'x', $2::int"), &[Text, Int], 2),
    // Four letters that are sent as an int are a great number.
    template(
        (Neither, Simulated, "select g from generate_series(1, $1::int % 300) as g"),
        &[Int],
        1,
    ),
    template((Neither, Simulated, "select 1 as one"), &[], 1),
    template((Neither, Simulated, "select current_setting($1)"), &[Text], 1),
    template((Reads, Simulated, "select id, n, s from {t} order by id"), &[], 3),
    template((Reads, Simulated, "select n, s from {t} where id = $1"), &[Int], 2),
    template((Reads, Simulated, "select count(*) from {t} where n > $1"), &[Int], 1),
    template((Writes, Simulated, "insert into {t} values ($1, $2, $3)"), &[Int, Int, Text], 0),
    template((Writes, Simulated, "update {t} set n = $1 where id = $2"), &[Int, Int], 0),
    template((Writes, Simulated, "update {t} set s = $1 where id = 2 returning id"), &[Text], 1),
    template((Writes, Simulated, "delete from {t} where id = $1"), &[Int], 0),
    template((Neither, Simulated, "select 10 / $1::int"), &[Int], 1),
    template((Neither, Simulated, ""), &[], 0),
    template((Writes, Simulated, "notify {channel}, 'extended'"), &[], 0),
    template((Neither, Simulated, "show work_mem"), &[], 1),
    template((Neither, Simulated, "set work_mem = '8MB'"), &[], 0),
    template((Neither, Simulated, "set time zone 'Asia/Tokyo'"), &[], 0),
    template((Neither, Simulated, "savepoint a"), &[], 0),
    template((Writes, Simulated, "rollback to a"), &[], 0),
    template((Reads, Simulated, "copy (select id from {t} order by id) to stdout"), &[], 0),
    template((Writes, Simulated, "do $$ begin raise notice 'noticed'; end $$"), &[], 0),
    template((Neither, Full, "select $1, $2::text"), &[Text, Text], 2),
    template((Neither, Full, "select interval '3 hours', date '2021-12-31'"), &[], 2),
    template(
        (Reads, Full, "select s from {t} where id = any(array[$1, 2]) order by id"),
        &[Int],
        1,
    ),
    template(
        (
            Writes,
            Full,
            "insert into {t} values ($1, 1) on conflict (id) do update \
         set n = excluded.n + 1 returning n",
        ),
        &[Int],
        1,
    ),
    template((Reads, Full, "declare c1 cursor for select id from {t} order by id"), &[], 0),
    template((Reads, Full, "fetch 1 from c1"), &[], 1),
    template((Neither, Full, "values (1, 'a'), (2, 'b'), (3, 'c')"), &[], 2),
];
