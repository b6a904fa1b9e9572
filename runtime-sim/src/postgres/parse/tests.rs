use super::*;

#[test]
fn statements_are_read() {
    let fine = [
        "",
        ";;",
        "select 1",
        "select 1, 'a' as b, $1::int + 2 from t where id = $2 order by id desc limit 3 for update",
        "select count(*), sum(x) from t where a = 1 and not b is null or c in (1, 2)",
        "select generate_series(1, 10)",
        "select repeat('x', 100) from generate_series(1, 5) as g(n)",
        "insert into t (a, b) values (1, default), ($1, 'x') on conflict do nothing returning *",
        "insert into t select generate_series(1, 3)",
        "insert into t default values",
        "update t set c = c + 1, d = 'x' where id = 1 returning c",
        "delete from t",
        "create table if not exists public.t (id serial primary key, v varchar(10) not null)",
        "create temp table x as select 1 as a",
        "drop table if exists t, u cascade",
        "begin isolation level serializable, read only",
        "start transaction read write; commit work; end; abort; rollback to savepoint a",
        "set x = 'a, b'; set session y to default; set local z to 1; set time zone 'UTC'",
        "set my.variable to -1; set names 'utf8'; reset all; discard all; show time zone",
        "set session characteristics as transaction read only; set transaction read write",
        "set session authorization default; reset session authorization",
        "prepare p (int) as select $1; execute p (1); deallocate prepare p; deallocate all",
        "declare c no scroll cursor for select 1; fetch 10 from c; fetch all in c; close c",
        "lock table t in exclusive mode; copy t from stdin with (format text)",
        "copy t (a) from stdin; copy (select 1) to stdout; copy t to stdout",
        "listen a; notify a, 'b'; unlisten *; do $$begin raise notice 'x'; end$$",
        "truncate table t, u restart identity; checkpoint; explain select 1",
        "values (1, 2); table t; select a from (select 1 as a) x",
    ];
    for sql in fine {
        assert!(parse(sql).is_ok(), "{sql}: {:?}", parse(sql));
    }
    let wrong =
        ["selec 1", "select 1 2 3", "select from from", "insert t", "set x", "1", "begin x"];
    for sql in wrong {
        assert_eq!(parse(sql).map_err(|error| error.code), Err("42601"), "{sql}");
    }
    assert_eq!(parse("select 1; select 2;").unwrap().len(), 2);
}
