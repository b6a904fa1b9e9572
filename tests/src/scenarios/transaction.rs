//! Connections that are given back between transactions: who shares them, what follows a session
//! from one to the next, and what binds it to one.

use std::time::Duration;

use crate::client::{Client, Login, compose};
use crate::play::Play;
use crate::world::{Setup, World};

const PRIMARY: usize = 0;

/// One connection for everybody.
pub fn one_shared() -> Setup {
    Setup::weights(&[1.0, 0.0, 0.0])
        .set("pool_mode = \"transaction\"")
        .set("pool_size_max = 1")
        .set("worker_threads = 1")
}

/// A few connections for everybody.
pub fn few_shared() -> Setup {
    Setup::weights(&[1.0, 0.0, 0.0])
        .set("pool_mode = \"transaction\"")
        .set("pool_size_max = 3")
        .set("worker_threads = 1")
}

/// The same, for one more user.
pub fn few_shared_by_one() -> Setup {
    few_shared().user("one", "one")
}

/// Reads go to a standby.
pub fn shared_standby() -> Setup {
    Setup::weights(&[0.0, 1.0, 0.0])
        .set("pool_mode = \"transaction\"")
        .set("pool_size_max = 2")
        .set("worker_threads = 1")
}

/// A connection is given back after every statement.
pub fn statement_mode() -> Setup {
    Setup::weights(&[1.0, 0.0, 0.0])
        .set("pool_mode = \"statement\"")
        .set("pool_size_max = 1")
        .set("worker_threads = 1")
}

fn pid(w: &mut impl World, client: &Client) -> String {
    w.run(client, "select pg_backend_pid()").value()
}

/// Two clients at once over one connection, and a third that waits for a transaction.
pub fn many_clients_share_one_connection(w: &mut impl World) {
    let clients: Vec<Client> = (0..20).map(|i| w.connect(&format!("client {i}"))).collect();
    let first = pid(w, &clients[0]);
    for client in &clients {
        assert_eq!(pid(w, client), first);
    }
    assert_eq!(w.server_connections(PRIMARY), 1);
    w.run(&clients[0], "begin");
    w.query_start(&clients[1], "select 1");
    w.query_start(&clients[2], "select 2");
    w.run(&clients[0], "select 0");
    assert!(!w.has_answer(&clients[1]), "the connection is inside a transaction");
    w.run(&clients[0], "commit");
    assert_eq!(w.finish(&clients[1]).value(), "1");
    assert_eq!(w.finish(&clients[2]).value(), "2");
}

/// What a session sets holds for it on whichever connection, and for nobody else.
pub fn settings_follow_their_session(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    let normal = w.run(&a, "show work_mem").value();
    w.run(&a, "set work_mem = '5MB'");
    assert_eq!(w.run(&b, "show work_mem").value(), normal);
    w.run(&b, "set work_mem = '6MB'");
    assert_eq!(w.run(&a, "show work_mem").value(), "5MB");
    assert_eq!(w.run(&b, "show work_mem").value(), "6MB");
    w.run(&a, "reset work_mem");
    assert_eq!(w.run(&a, "show work_mem").value(), normal);
    assert_eq!(w.run(&b, "show work_mem").value(), "6MB");
    for (client, name) in [(&a, "a"), (&b, "b"), (&a, "a")] {
        assert_eq!(w.run(client, "show application_name").value(), name);
    }
    w.run(&b, "discard all");
    assert_eq!(w.run(&b, "show work_mem").value(), normal);
    assert_eq!(w.run(&b, "show application_name").value(), "b");
    assert_eq!(w.server_connections(PRIMARY), 1, "nobody was pinned");
}

/// A setting that the server does not repeat keeps the statement behind it from being carried out,
/// for as long as that is so; then the session goes on with what it has set.
pub fn a_setting_that_cannot_be_repeated_stops_its_statement(w: &mut impl World) {
    const CREATE: &str = "create access method other type table handler heap_tableam_handler";
    const DROP: &str = "drop access method other";
    let insert = compose::query("insert into marks values (1)");
    w.sql(PRIMARY, "create table marks (n int)").expect("the primary is well");
    let (a, b) = (w.connect("a"), w.connect("b"));
    for end in ["nothing", "set default_table_access_method = 'heap'", "discard all"] {
        w.sql(PRIMARY, CREATE).expect("the primary is well");
        w.run(&a, "set work_mem = '5MB'");
        w.run(&a, "set default_table_access_method = 'other'");
        assert_eq!(w.run(&b, "show default_table_access_method").value(), "heap");
        w.sql(PRIMARY, DROP).expect("nothing uses it");
        w.post(&a, &insert.repeat(2));
        let mut answers = vec![w.finish(&a), w.finish(&a)];
        answers.push(w.extended(&a, "insert into marks values (1)", &[]));
        answers.push(w.query(&a, "begin"));
        for answer in answers {
            assert_eq!((answer.code(), answer.status), ("22023", Some(b'I')), "{end}");
            let trouble = answer.trouble();
            assert!(trouble.contains("default_table_access_method"), "{trouble}");
        }
        assert_eq!(w.truth(PRIMARY, "select count(*) from marks"), "0");
        assert_ne!(w.run(&b, "show work_mem").value(), "5MB");
        if end == "nothing" {
            w.sql(PRIMARY, CREATE).expect("the primary is well");
            assert_eq!(w.run(&a, "show default_table_access_method").value(), "other");
            w.run(&b, "select 1");
            w.sql(PRIMARY, DROP).expect("nothing uses it");
        } else {
            w.run(&a, end);
            assert_eq!(w.run(&a, "show default_table_access_method").value(), "heap");
            assert_eq!(w.run(&a, "show work_mem").value() == "5MB", end != "discard all");
        }
    }
    w.run(&a, "insert into marks values (2)");
    assert_eq!(w.truth(PRIMARY, "select count(*) from marks"), "1");
    assert_eq!(w.server_connections(PRIMARY), 1, "nobody was pinned");
}

/// What is set in a transaction holds if it commits.
pub fn settings_in_a_transaction_hold_if_it_commits(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    let normal = w.run(&a, "show work_mem").value();
    w.run(&a, "begin");
    w.run(&a, "set work_mem = '5MB'");
    w.run(&a, "rollback");
    assert_eq!(w.run(&b, "show work_mem").value(), normal);
    assert_eq!(w.run(&a, "show work_mem").value(), normal);
    w.run(&a, "begin");
    w.run(&a, "set work_mem = '5MB'");
    w.run(&a, "commit");
    assert_eq!(w.run(&b, "show work_mem").value(), normal);
    assert_eq!(w.run(&a, "show work_mem").value(), "5MB");
    w.run(&a, "begin");
    w.run(&a, "set work_mem = '6MB'");
    assert!(w.query(&a, "select 1/0").failed());
    w.query(&a, "commit");
    assert_eq!(w.run(&b, "show work_mem").value(), normal);
    assert_eq!(w.run(&a, "show work_mem").value(), "5MB");
}

/// Clients that ask for different things at login share connections all the same.
pub fn clients_of_different_libraries_share_connections(w: &mut impl World) {
    let login = |name: &str, value: &str| Login::app("a").with(name, value);
    let a = w.connect_as(&login("DateStyle", "German"));
    let b = w.connect_as(&login("options", "-c work_mem=7MB"));
    let c = w.connect("c");
    assert_eq!(w.run(&a, "show datestyle").value(), "German, DMY");
    assert_eq!(w.run(&b, "show work_mem").value(), "7MB");
    assert_ne!(w.run(&c, "show datestyle").value(), "German, DMY");
    assert_ne!(w.run(&c, "show work_mem").value(), "7MB");
    w.run(&b, "set work_mem = '8MB'");
    w.run(&b, "reset work_mem");
    assert_eq!(w.run(&b, "show work_mem").value(), "7MB", "what it began with");
    w.run(&a, "discard all");
    assert_eq!(w.run(&a, "show datestyle").value(), "German, DMY");
    assert_eq!(w.server_connections(PRIMARY), 1);
}

/// Named statements of the protocol work on whichever connection, for each client its own.
pub fn prepared_statements_follow_their_session(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    let prepare = |w: &mut dyn FnMut(&Client, Vec<u8>), client: &Client, text: &str| {
        w(client, [compose::parse("s", text), compose::sync()].concat());
    };
    let mut post = |client: &Client, bytes: Vec<u8>| {
        w.post(client, &bytes);
        w.finish(client).good();
    };
    prepare(&mut post, &a, "select 1");
    prepare(&mut post, &b, "select 2");
    let run = [compose::bind("", "s", &[]), compose::execute("", 0), compose::sync()].concat();
    for _ in 0..3 {
        for (client, value) in [(&a, "1"), (&b, "2")] {
            w.post(client, &run);
            assert_eq!(w.finish(client).value(), value);
        }
    }
    w.post(&a, &[compose::parse("s", "select 3"), compose::sync()].concat());
    assert_eq!(w.finish(&a).code(), "42P05", "it exists already");
    w.post(&a, &[compose::close_statement("s"), compose::sync()].concat());
    w.finish(&a).good();
    w.post(&a, &run);
    assert_eq!(w.finish(&a).code(), "26000", "it is closed");
    w.post(&b, &run);
    assert_eq!(w.finish(&b).value(), "2", "the other's is not");
    assert_eq!(w.server_connections(PRIMARY), 1, "nobody was pinned");
}

/// The unnamed statement of one client is never taken for that of another.
pub fn unnamed_statements_follow_their_session(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    let run = [compose::bind("", "", &[]), compose::execute("", 0), compose::sync()].concat();
    w.post(&a, &[compose::parse("", "select 1"), compose::sync()].concat());
    w.finish(&a).good();
    w.post(&b, &run);
    assert_eq!(w.finish(&b).code(), "26000", "it has none");
    w.post(&b, &[compose::parse("", "select 2"), compose::sync()].concat());
    w.finish(&b).good();
    w.post(&a, &run);
    assert_eq!(w.finish(&a).value(), "1");
    w.post(&b, &run);
    assert_eq!(w.finish(&b).value(), "2");
    w.run(&a, "select 3");
    w.post(&a, &run);
    assert_eq!(w.finish(&a).code(), "26000", "a simple query has ended it");
}

/// Whoever leaves something in its connection keeps it until it is undone.
fn pinned(w: &mut impl World, bind: &[&str], undo: &[&str]) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    for statement in bind {
        w.run(&a, statement);
    }
    // It may have got another one than for what it ran before.
    let mine = pid(w, &a);
    w.wait("the other has a connection of its own", Duration::from_secs(30), |w| {
        pid(w, &b) != mine
    });
    assert_eq!(pid(w, &a), mine);
    assert_ne!(pid(w, &b), mine);
    for statement in undo {
        w.run(&a, statement);
    }
    let other = pid(w, &b);
    w.wait("both share a connection again", Duration::from_secs(30), |w| {
        w.run(&a, "begin");
        let one = pid(w, &a);
        w.run(&a, "commit");
        w.run(&b, "begin");
        let two = pid(w, &b);
        w.run(&b, "commit");
        one == two
    });
    assert!(!other.is_empty());
}

/// `LISTEN` binds until `UNLISTEN`.
pub fn listening_pins(w: &mut impl World) {
    pinned(w, &["listen one", "listen two"], &["unlisten one", "unlisten two"]);
}

/// A temporary table binds until it is dropped.
pub fn a_temporary_table_pins(w: &mut impl World) {
    pinned(w, &["create temp table mine (n int)"], &["drop table mine"]);
}

/// So does one that a transaction leaves.
pub fn a_temporary_table_of_a_transaction_pins(w: &mut impl World) {
    pinned(
        w,
        &["begin", "create temp table mine (n int)", "commit"],
        &["begin", "drop table mine", "commit"],
    );
}

/// A cursor `WITH HOLD` binds until it is closed.
pub fn a_held_cursor_pins(w: &mut impl World) {
    let bind = ["begin", "declare c cursor with hold for select 1", "commit"];
    pinned(w, &bind, &["close c"]);
}

/// An advisory lock of the session binds until it is given up.
pub fn an_advisory_lock_pins(w: &mut impl World) {
    pinned(w, &["select pg_advisory_lock(4713)"], &["select pg_advisory_unlock(4713)"]);
}

/// SQL's `PREPARE` binds until `DEALLOCATE`.
pub fn sql_prepare_pins(w: &mut impl World) {
    pinned(w, &["prepare p as select 1"], &["deallocate p"]);
}

/// `DISCARD ALL` undoes everything.
pub fn discard_all_unpins(w: &mut impl World) {
    pinned(w, &["listen one", "create temp table mine (n int)"], &["discard all"]);
}

/// What is rolled back binds nobody.
pub fn what_is_rolled_back_pins_nobody(w: &mut impl World) {
    pinned(
        w,
        &["listen one"],
        &["begin", "create temp table mine (n int)", "rollback", "unlisten *"],
    );
}

/// A role that every login of a user takes on is nothing that its session did. Another one binds.
pub fn a_role_of_every_login_pins_nobody(w: &mut impl World) {
    w.sql(PRIMARY, "alter role one in database postgres set role = 'one'")
        .expect("the primary is well");
    let login = |name| Login { user: "one".into(), password: "one".into(), ..Login::app(name) };
    let (a, b) = (w.connect_as(&login("a")), w.connect_as(&login("b")));
    assert_eq!(w.run(&a, "show role").value(), "one");
    for sql in ["listen c", "unlisten c", "select pg_advisory_lock(1)", "select 1"] {
        w.run(&a, sql);
    }
    w.run(&a, "select pg_advisory_unlock(1)");
    w.wait("both share a connection again", Duration::from_secs(30), |w| pid(w, &a) == pid(w, &b));
    w.run(&a, "set role none");
    let mine = pid(w, &a);
    assert_eq!(w.run(&b, "show role").value(), "one", "the other's role is its own");
    assert_ne!(pid(w, &b), mine);
    assert_eq!(w.run(&a, "show role").value(), "none");
    w.run(&a, "reset role");
    w.wait("both share a connection again", Duration::from_secs(30), |w| pid(w, &a) == pid(w, &b));
    w.sql(PRIMARY, "alter role one in database postgres reset role").expect("the primary is well");
}

/// Where connections are given back after every statement, there are no transactions.
pub fn statement_mode_has_no_transactions(w: &mut impl World) {
    let (a, b) = (w.connect("a"), w.connect("b"));
    assert_eq!(w.query(&a, "begin").code(), "0A000");
    assert_eq!(w.extended(&a, "begin", &[]).code(), "0A000");
    assert_eq!(w.run(&a, "select 1").value(), "1");
    assert_eq!(w.run(&b, "select 2").value(), "2");
    assert_eq!(w.server_connections(PRIMARY), 1);
}

/// Reads go to a standby and writes to the primary, and no connection is kept in between.
pub fn both_connections_are_given_back(w: &mut impl World) {
    let clients: Vec<Client> = (0..10).map(|i| w.connect(&format!("client {i}"))).collect();
    w.table(&clients[0], "shared_t", 1);
    for (n, client) in clients.iter().enumerate() {
        w.run(client, &format!("insert into shared_t values ({n})"));
        w.run(client, "select 1");
    }
    w.wait_truth(1, "select count(*) from shared_t", "10");
    for client in &clients {
        assert_eq!(w.run(client, "select count(*) from shared_t").value(), "10");
    }
    assert!(w.server_connections(0) <= 2);
    assert!(w.server_connections(1) <= 2);
}

/// Clients that are asked for their passwords and keep silent have no server connections.
pub fn clients_that_keep_silent_at_their_login_hold_nothing(w: &mut impl World) {
    let silent: Vec<Client> = (0..3).map(|_| w.begin_login(&Login::app("silent"))).collect();
    let app = w.connect("app");
    w.run(&app, "select 1");
    w.terminate(&app);
    for client in &silent {
        w.finish_login(client).expect("their turn has come");
        w.run(client, "select 1");
        w.terminate(client);
    }
}

/// A client that leaves while what it has set is repeated leaves a connection that is as good as
/// any: nobody waits for the answers that were meant for it, or finds its settings.
pub fn a_client_that_leaves_while_its_settings_are_repeated(w: &mut impl World) {
    let b = w.connect("b");
    let normal = w.run(&b, "show work_mem").value();
    for steps in 0..24 {
        let a = w.connect("a");
        w.run(&a, "set work_mem = '5MB'");
        w.run(&b, "select 1");
        w.query_start(&a, "select 2");
        for _ in 0..steps {
            w.step();
        }
        w.vanish(&a);
        assert_eq!(w.run(&b, "show work_mem").value(), normal);
    }
}
