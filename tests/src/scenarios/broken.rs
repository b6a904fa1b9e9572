//! What went wrong where connections are shared: one scenario for each, with what PostgreSQL does.

use crate::client::{Client, Login, compose};
use crate::play::Play;
use crate::world::World;

pub use super::retry::{shared, standby_only};
pub use super::transaction::{few_shared, one_shared};

fn named(statement: &str) -> Vec<u8> {
    [compose::bind("", statement, &[]), compose::execute("", 0)].concat()
}

fn prepare(w: &mut impl World, client: &Client, name: &str, text: &str) {
    w.post(client, &[compose::parse(name, text), compose::sync()].concat());
    w.finish(client).good();
}

/// A batch that prepares, runs and closes a statement can be sent again and again: `PostgreSQL`
/// knows no such statement when the batch is over.
pub fn a_statement_closed_in_its_own_batch_is_gone(w: &mut impl World) {
    let a = w.connect("a");
    for value in ["1", "2", "3"] {
        let batch = [
            compose::parse("s", &format!("select {value}")),
            named("s"),
            compose::close_statement("s"),
            compose::sync(),
        ];
        w.post(&a, &batch.concat());
        assert_eq!(w.finish(&a).good().value(), value);
    }
    w.post(&a, &[named("s"), compose::sync()].concat());
    assert_eq!(w.finish(&a).code(), "26000", "it is closed");
}

/// The same twice in one batch.
pub fn a_name_is_used_twice_in_one_batch(w: &mut impl World) {
    let a = w.connect("a");
    let once = |value: &str| {
        [compose::parse("s", &format!("select {value}")), named("s"), compose::close_statement("s")]
            .concat()
    };
    w.post(&a, &[once("1"), once("2"), compose::sync()].concat());
    let answer = w.finish(&a).good();
    assert_eq!(answer.rows(), [["1"], ["2"]]);
}

/// A `Close` behind an error is skipped: `PostgreSQL` still knows the statement.
pub fn a_close_that_is_skipped_closes_nothing(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    prepare(w, &a, "s", "select 1");
    let batch =
        [compose::parse("", "select from where"), compose::close_statement("s"), compose::sync()];
    w.post(&a, &batch.concat());
    assert_eq!(w.finish(&a).code(), "42601");
    w.run(&b, "select 1");
    w.post(&a, &[named("s"), compose::sync()].concat());
    assert_eq!(w.finish(&a).good().value(), "1");
}

/// An unnamed statement behind an error is skipped: `PostgreSQL` still knows the one before.
pub fn an_unnamed_statement_that_is_skipped_replaces_nothing(w: &mut impl World) {
    let a = w.connect("a");
    prepare(w, &a, "s", "select 1");
    prepare(w, &a, "", "select 2");
    let batch =
        [compose::bind("", "s", &["too", "many"]), compose::parse("", "select 3"), compose::sync()];
    w.post(&a, &batch.concat());
    assert!(w.finish(&a).failed());
    w.post(&a, &[named(""), compose::sync()].concat());
    assert_eq!(w.finish(&a).good().value(), "2");
}

/// The same where pgherd has asked the server something in between, which ends an unnamed statement
/// there.
pub fn an_unnamed_statement_outlives_a_question(w: &mut impl World) {
    let a = w.connect("a");
    let portal = || compose::execute("nothing", 0);
    let first = [portal(), compose::sync(), compose::parse("", "select 1"), compose::sync()];
    w.post(&a, &first.concat());
    assert_eq!(w.finish(&a).code(), "34000");
    w.finish(&a).good();
    w.post(&a, &[portal(), compose::parse("", "select 2"), compose::sync()].concat());
    assert_eq!(w.finish(&a).code(), "34000");
    w.post(&a, &[named(""), compose::sync()].concat());
    assert_eq!(w.finish(&a).good().value(), "1");
}

/// A failed batch brings no unnamed statement to the connection either, and takes none away that is
/// another client's.
pub fn an_unnamed_statement_is_nobody_elses_behind_a_failed_batch(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    let divides = || {
        [compose::close_statement("d"), compose::parse("d", "select 1 / 0"), named("d")].concat()
    };
    let fails = |behind: &[u8]| {
        [(compose::execute("nothing", 0), "34000"), (divides(), "22012")].map(|(reason, code)| {
            ([reason, named(""), behind.to_vec(), compose::sync()].concat(), code)
        })
    };
    for behind in [Vec::new(), compose::parse("", "select 2")] {
        for (batch, code) in fails(&behind) {
            prepare(w, &a, "", "select 1");
            w.run(&b, "select 3");
            w.post(&a, &batch);
            assert_eq!(w.finish(&a).code(), code);
            w.post(&a, &[named(""), compose::sync()].concat());
            assert_eq!(w.finish(&a).good().value(), "1");
        }
    }
    for (batch, code) in fails(&[]) {
        prepare(w, &a, "", "select 1");
        w.post(&b, &batch);
        assert_eq!(w.finish(&b).code(), code);
        w.post(&b, &[named(""), compose::sync()].concat());
        assert_eq!(w.finish(&b).code(), "26000", "after {code}");
    }
}

/// A statement that a failed batch would have brought to the connection is brought by the next.
pub fn a_batch_behind_a_failed_one_finds_its_statement(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    prepare(w, &a, "s", "select 1");
    w.run(&b, "discard all");
    let failing = [compose::parse("", "select from where"), named("s"), compose::sync()].concat();
    let next = [named("s"), compose::sync()].concat();
    w.post(&a, &[failing, next].concat());
    assert_eq!(w.finish(&a).code(), "42601");
    assert_eq!(w.finish(&a).good().value(), "1");
}

/// A statement too long to be shared is its client's alone: `PostgreSQL` says 26000 to the other.
pub fn a_long_statement_is_nobody_elses(w: &mut impl World) {
    let a = w.connect("a");
    let long = format!("select 1 /* {} */", "x".repeat(300_000));
    prepare(w, &a, "s", &long);
    w.terminate(&a);
    let b = w.connect("b");
    w.post(&b, &[named("s"), compose::sync()].concat());
    assert_eq!(w.finish(&b).code(), "26000");
    prepare(w, &b, "s", &long);
}

/// `DEALLOCATE` of a statement of the protocol: `PostgreSQL` makes no difference.
pub fn deallocate_of_a_statement_of_the_protocol(w: &mut impl World) {
    let a = w.connect("a");
    prepare(w, &a, "s", "select 1");
    assert!(!w.query(&a, "deallocate s").failed());
    w.post(&a, &[named("s"), compose::sync()].concat());
    assert_eq!(w.finish(&a).code(), "26000");
}

/// `DEALLOCATE ALL` beside another statement harms no other client.
pub fn deallocate_all_beside_another_harms_nobody(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    prepare(w, &b, "s", "select 1");
    w.query(&a, "select 1; deallocate all");
    w.post(&b, &[named("s"), compose::sync()].concat());
    assert_eq!(w.finish(&b).good().value(), "1");
}

/// `DISCARD ALL` by a named statement harms no other client.
pub fn discard_all_by_name_harms_nobody(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    prepare(w, &b, "s", "select 1");
    prepare(w, &a, "d", "discard all");
    w.post(&a, &[named("d"), compose::sync()].concat());
    w.finish(&a);
    w.post(&b, &[named("s"), compose::sync()].concat());
    assert_eq!(w.finish(&b).good().value(), "1");
}

/// A lock taken behind a `Flush` is as held as any other: `PostgreSQL` keeps it for the session.
pub fn what_comes_behind_a_flush_pins(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    w.post(&a, &[compose::statement("select 1", &[]), compose::flush()].concat());
    w.wait("the first is answered", std::time::Duration::from_secs(5), |w| {
        w.pump(&a);
        true
    });
    w.post(&a, &[compose::statement("listen c", &[]), compose::sync()].concat());
    w.finish(&a).good();
    let mine = w.run(&a, "select pg_backend_pid()").value();
    assert_ne!(w.run(&b, "select pg_backend_pid()").value(), mine, "it listens");
}

/// A setting made behind a `Flush` is its session's alone.
pub fn a_setting_behind_a_flush_is_its_sessions(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    let normal = w.run(&b, "show work_mem").value();
    w.post(&a, &[compose::statement("select 1", &[]), compose::flush()].concat());
    w.post(&a, &[compose::statement("set work_mem = '5MB'", &[]), compose::sync()].concat());
    w.finish(&a).good();
    assert_eq!(w.run(&b, "show work_mem").value(), normal);
    assert_eq!(w.run(&a, "show work_mem").value(), "5MB");
}

/// A setting by a named statement beside another statement of the batch is its session's alone.
pub fn a_setting_by_name_in_a_longer_batch(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    let normal = w.run(&b, "show work_mem").value();
    prepare(w, &a, "q", "select 1");
    prepare(w, &a, "s", "set work_mem = '5MB'");
    w.run(&a, "reset all");
    w.post(&a, &[named("q"), named("s"), compose::sync()].concat());
    w.finish(&a).good();
    assert_eq!(w.run(&b, "show work_mem").value(), normal);
    assert_eq!(w.run(&a, "show work_mem").value(), "5MB");
}

/// A setting by a named statement that is being prepared is as good as any other, also of what its
/// client asked for at login.
pub fn a_setting_by_a_name_that_is_being_prepared(w: &mut impl World) {
    let a = w.connect_as(&Login::app("a").with("TimeZone", "Europe/Berlin"));
    let b = w.connect("b");
    let normal = w.run(&b, "show timezone").value();
    let prepare = [compose::parse("s", "set time zone 'Asia/Tokyo'"), compose::sync()].concat();
    let run = [named("s"), compose::sync()].concat();
    w.post(&a, &[prepare, run].concat());
    w.finish(&a).good();
    w.finish(&a).good();
    assert_eq!(w.run(&b, "show timezone").value(), normal);
    assert_eq!(w.run(&a, "show timezone").value(), "Asia/Tokyo");
}

/// A parameter that is followed and then set in another way has the later value.
pub fn a_followed_setting_set_in_another_way(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    let normal = w.run(&b, "show work_mem").value();
    w.run(&a, "set work_mem = '5MB'");
    w.query(&a, "set work_mem = '6MB'; select 1");
    assert_eq!(w.run(&b, "show work_mem").value(), normal);
    assert_eq!(w.run(&a, "show work_mem").value(), "6MB");
}

/// The same with what a client asked for at login.
pub fn a_setting_of_login_set_in_another_way(w: &mut impl World) {
    let a = w.connect_as(&Login::app("a").with("options", "-c work_mem=5MB"));
    w.query(&a, "set work_mem = '6MB'; select 1");
    let b = w.connect("b");
    w.run(&b, "select 1");
    assert_eq!(w.run(&a, "show work_mem").value(), "6MB");
}

/// A comment in front of a `COMMIT` changes nothing.
pub fn a_commit_behind_a_comment_commits_settings(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    let normal = w.run(&b, "show work_mem").value();
    w.run(&a, "begin");
    w.run(&a, "set work_mem = '5MB'");
    w.run(&a, "/* app:shop */ commit");
    assert_eq!(w.run(&b, "show work_mem").value(), normal);
    assert_eq!(w.run(&a, "show work_mem").value(), "5MB");
}

/// Nor does one in front of a `SET`, whatever its words.
pub fn a_set_behind_a_comment_sets(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    let normal = w.run(&b, "show work_mem").value();
    w.run(&a, "/* reset it */ set work_mem = '5MB'");
    assert_eq!(w.run(&b, "show work_mem").value(), normal);
    assert_eq!(w.run(&a, "show work_mem").value(), "5MB");
}

/// `SET … TO DEFAULT` gives a parameter the value that the client asked for at login.
pub fn a_default_is_what_was_asked_for_at_login(w: &mut impl World) {
    let a = w.connect_as(&Login::app("a").with("options", "-c work_mem=5MB"));
    w.run(&a, "set work_mem = '6MB'");
    w.run(&a, "set work_mem to default");
    assert_eq!(w.run(&a, "show work_mem").value(), "5MB");
}

/// So it is at once, inside a transaction too.
pub fn a_reset_in_a_transaction_takes_effect_at_once(w: &mut impl World) {
    let a = w.connect_as(&Login::app("a").with("options", "-c work_mem=5MB"));
    w.run(&a, "set work_mem = '6MB'");
    w.run(&a, "begin");
    w.run(&a, "reset work_mem");
    assert_eq!(w.run(&a, "show work_mem").value(), "5MB");
    w.run(&a, "commit");
}

/// Where what a client asked for at login cannot be repeated behind its `RESET`, the statement behind
/// is not carried out with another value, and its session is told why.
pub fn a_reset_to_what_cannot_be_repeated_stops_what_is_behind(w: &mut impl World) {
    const CREATE: &str = "create access method other type table handler heap_tableam_handler";
    const DROP: &str = "drop access method other";
    const INSERT: &str = "insert into marks values (1)";
    w.sql(0, "create table marks (n int)").expect("the primary is well");
    w.sql(0, CREATE).expect("the primary is well");
    let login = Login::app("a").with("options", "-c default_table_access_method=other");
    let a = w.connect_as(&login);
    let b = w.connect("b");
    let resets = ["reset default_table_access_method", "reset all", "discard all"];
    for reset in resets {
        w.run(&a, "set default_table_access_method = 'heap'");
        w.sql(0, DROP).expect("nothing uses it");
        w.post(&a, &[compose::query(reset), compose::query(INSERT)].concat());
        w.finish(&a).good();
        let behind = w.finish(&a);
        assert_eq!((behind.code(), behind.status), ("22023", Some(b'I')), "{reset}");
        let trouble = behind.trouble();
        assert!(trouble.contains("default_table_access_method"), "{trouble}");
        assert_eq!(w.truth(0, "select count(*) from marks"), "0", "{reset}");
        assert_eq!(w.run(&b, "show default_table_access_method").value(), "heap");
        w.sql(0, CREATE).expect("the primary is well");
        assert_eq!(w.run(&a, "show default_table_access_method").value(), "other");
    }
    for end in ["commit", "rollback"] {
        w.run(&a, "set default_table_access_method = 'heap'");
        // A server may not see in a transaction what has been dropped since it began.
        w.sql(0, DROP).expect("nothing uses it");
        w.run(&a, "begin");
        let messages = ["reset default_table_access_method", INSERT, "select 1", end];
        w.post(&a, &messages.map(compose::query).concat());
        w.finish(&a).good();
        let behind = w.finish(&a);
        assert_eq!((behind.code(), behind.status), ("22023", Some(b'E')), "{end}");
        let after = w.finish(&a);
        assert_eq!((after.code(), after.status), ("25P02", Some(b'E')), "it has failed");
        assert_eq!(w.finish(&a).status, Some(b'I'));
        assert_eq!(w.truth(0, "select count(*) from marks"), "0");
        assert_eq!(w.run(&a, "show default_table_access_method").value(), "heap");
        w.sql(0, CREATE).expect("the primary is well");
        assert_eq!(w.run(&b, "show default_table_access_method").value(), "heap");
    }
    w.run(&a, "reset default_table_access_method");
    assert_eq!(w.run(&a, "show default_table_access_method").value(), "other");
    assert_eq!(w.server_connections(0), 1, "nobody was pinned");
    w.sql(0, DROP).expect("nothing uses it");
}

/// What the client is told of a parameter after `RESET` is what holds.
pub fn a_reset_is_told_with_what_holds(w: &mut impl World) {
    let a = w.connect_as(&Login::app("a").with("DateStyle", "German"));
    w.run(&a, "set datestyle = 'ISO, MDY'");
    w.run(&a, "reset datestyle");
    let shown = w.run(&a, "show datestyle").value();
    let told = a.state().parameters.get("DateStyle").cloned();
    assert_eq!(told, Some(shown));
}

/// A setting of a transaction that pgherd itself had to roll back never was.
pub fn a_setting_of_a_transaction_that_pgherd_ends(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    let normal = w.run(&b, "show work_mem").value();
    w.run(&a, "begin");
    w.run(&a, "set work_mem = '5MB'");
    assert!(w.query(&a, "pgpool show no_such_parameter").failed());
    w.query(&a, "rollback");
    w.run(&a, "begin");
    w.run(&a, "select 1");
    w.run(&a, "commit");
    assert_eq!(w.run(&b, "show work_mem").value(), normal);
    assert_eq!(w.run(&a, "show work_mem").value(), normal);
}

/// A login with a parameter that the server refuses ends as at the server.
pub fn a_login_with_an_invalid_parameter_fails(w: &mut impl World) {
    for (name, value, code) in [("work_mem", "much", "22023"), ("no_such_parameter", "1", "42704")]
    {
        let login = Login::app("a").with("options", &format!("-c {name}={value}"));
        let error = w.try_connect(&login).expect_err("it is refused");
        assert_eq!(error.code(), code, "{name}");
        assert!(error.is_fatal(), "{name}");
    }
    let b = w.connect("b");
    w.run(&b, "select 1");
}

/// A view that looks like a table and inserts a row whenever it is read.
fn looks_harmless(w: &mut impl World, client: &Client) {
    w.table(client, "seen", 1);
    w.run(
        client,
        "create function note_seen() returns int language sql volatile \
         as 'insert into seen values (1) returning n'",
    );
    w.run(client, "create view looks_harmless as select note_seen() as n");
    w.table(client, "made_after", 1);
}

/// A refused batch runs the unnamed statement that was its own when it was sent, not a later one.
pub fn a_refused_batch_runs_its_own_unnamed_statement(w: &mut impl World) {
    let a = w.connect("a");
    looks_harmless(w, &a);
    prepare(w, &a, "", "select n from looks_harmless");
    let first = [named(""), compose::sync()].concat();
    let second = [compose::parse("", "select 7"), named(""), compose::sync()].concat();
    w.post(&a, &[first, second].concat());
    assert_eq!(w.finish(&a).good().value(), "1");
    assert_eq!(w.finish(&a).good().value(), "7");
}

/// A refused batch finds the statement that it closes itself.
pub fn a_refused_batch_that_closes_its_statement(w: &mut impl World) {
    let a = w.connect("a");
    looks_harmless(w, &a);
    prepare(w, &a, "s", "select n from looks_harmless");
    let batch = [named("s"), compose::close_statement("s"), compose::sync()].concat();
    w.post(&a, &batch);
    assert_eq!(w.finish(&a).good().value(), "1");
}

/// A refused batch finds the statement that the next query or batch ends.
pub fn a_refused_batch_before_a_query(w: &mut impl World) {
    let a = w.connect("a");
    looks_harmless(w, &a);
    prepare(w, &a, "", "select n from looks_harmless");
    w.post(&a, &[named(""), compose::sync(), compose::query("select 7")].concat());
    assert_eq!(w.finish(&a).good().value(), "1");
    assert_eq!(w.finish(&a).good().value(), "7");
}

/// A name that was closed and given to another text means the other text, on whichever server.
pub fn a_name_given_anew_means_the_new_text(w: &mut impl World) {
    let a = w.connect("a");
    let batch = [
        compose::parse("s", "select 1"),
        named("s"),
        compose::close_statement("s"),
        compose::sync(),
    ];
    w.post(&a, &batch.concat());
    w.finish(&a).good();
    w.post(&a, &[compose::parse("s", "select 2"), named("s"), compose::sync()].concat());
    assert_eq!(w.finish(&a).good().value(), "2");
    w.run(&a, "begin");
    w.post(&a, &[named("s"), compose::sync()].concat());
    assert_eq!(w.finish(&a).good().value(), "2");
    w.run(&a, "commit");
    w.post(&a, &[named("s"), compose::sync()].concat());
    assert_eq!(w.finish(&a).good().value(), "2");
}

/// What a client has set in a way that cannot be followed stays when it calls a function that
/// may leave anything: the server is asked, and its answer takes nothing away.
pub fn a_question_takes_no_setting_away(w: &mut impl World) {
    let a = w.connect("a");
    w.run(&a, "set work_mem = '5MB'; select 1");
    w.run(&a, "select pg_advisory_lock(4714)");
    w.run(&a, "select pg_advisory_unlock(4714)");
    assert_eq!(w.run(&a, "show work_mem").value(), "5MB");
}
