//! What pgherd tells of itself: `SHOW pool_…`, `PGPOOL SHOW`, `SET` and `RESET`, `EXPLAIN ROUTE`.

pub use super::routing::standby_only;
use crate::client::{Answer, Client, compose};
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{Setup, World};

const STANDBY: usize = 1;

/// Everything that is shown, and how many columns it has.
const TABLES: [(&str, usize); 10] = [
    ("pool_nodes", 14),
    ("pool_status", 3),
    ("pool_processes", 8),
    ("pool_pools", 31),
    ("pool_version", 1),
    ("pool_cache", 9),
    ("pool_health_check_stats", 20),
    ("pool_backend_stats", 14),
    ("pool_pins", 10),
    ("pool_route_stats", 4),
];

/// Statements are told to the client.
#[must_use]
pub fn told_per_node() -> Setup {
    standby_only().set("notice_per_node_statement = true").set("log_per_node_statement = true")
}

/// The rows of an answer as columns by name.
pub(super) fn cells<'a>(answer: &'a Answer, rows: &'a [Vec<String>], column: &str) -> Vec<&'a str> {
    let at = answer.columns().iter().position(|name| *name == column);
    let at = at.unwrap_or_else(|| panic!("no column {column}: {:?}", answer.columns()));
    rows.iter().map(|row| row[at].as_str()).collect()
}

/// The cell of the row in which another column has a value.
fn cell(answer: &Answer, column: &str, key: &str, value: &str) -> String {
    let rows = answer.rows();
    let at = cells(answer, &rows, key).iter().position(|cell| *cell == value);
    let at = at.unwrap_or_else(|| panic!("no {value} in {key}: {rows:?}"));
    cells(answer, &rows, column)[at].to_owned()
}

/// A number out of a table.
pub(super) fn number(
    w: &mut impl World,
    client: &Client,
    table: &str,
    column: &str,
    node: usize,
) -> u64 {
    let answer = w.run(client, &format!("show {table}"));
    cell(&answer, column, "node_id", &node.to_string()).parse().expect("a number")
}

/// The process number of a client's cancel key.
fn process(client: &Client) -> String {
    client.state().key.clone().expect("it is logged in").0.to_string()
}

/// Every table has the same columns in both protocols, and a row has as many cells.
pub fn every_table_is_shown_by_both_protocols(w: &mut impl World) {
    let app = w.connect("app");
    for (table, columns) in TABLES {
        let simple = w.run(&app, &format!("SHOW {table};"));
        let extended = w.extended(&app, &format!("show \"{table}\""), &[]).good();
        assert_eq!(simple.columns().len(), columns, "{table}");
        assert_eq!(simple.columns(), extended.columns(), "{table}");
        for answer in [&simple, &extended] {
            let rows = answer.rows();
            assert!(rows.iter().all(|row| row.len() == columns), "{table}: {rows:?}");
            assert_eq!(answer.tags(), [format!("SELECT {}", rows.len())], "{table}");
        }
    }
    w.run(&app, "begin");
    assert_eq!(w.run(&app, "show pool_processes").status, Some(b'T'));
    assert!(w.query(&app, "select 1 from nowhere").failed());
    assert_eq!(w.query(&app, "show pool_processes").code(), "25P02");
    assert_eq!(w.query(&app, "pgpool show port").code(), "25P02");
    w.run(&app, "rollback");
}

/// Every parameter, Pgpool-II's first, secrets hidden, the nodes' with their state.
pub fn parameters_are_shown_with_their_values(w: &mut impl World) {
    let app = w.connect("app");
    let status = w.run(&app, "show pool_status");
    let value = |item: &str| cell(&status, "value", "item", item);
    let rows = status.rows();
    let items = cells(&status, &rows, "item");
    assert_eq!(items.first(), Some(&"backend_clustering_mode"));
    assert_eq!(items.last(), Some(&"cpu_affinity"));
    assert_eq!(value("backend_clustering_mode"), "1");
    assert_eq!(value("load_balance_mode"), "1");
    assert!(matches!(&*value("sr_check_password"), "" | "*****"));
    assert_eq!(value("client_idle_limit"), "0");
    assert_ne!(value("worker_threads"), "0", "the number in effect");
    assert_eq!(value("cpu_affinity"), "");
    assert_eq!(value("backend_weight1"), "0.333333");
    assert!(matches!(&*value("backend_status1"), "up" | "waiting"));
    let of_node = |name: &str| items.iter().position(|item| *item == name).expect(name);
    assert!(of_node("backend_status0") < of_node("backend_hostname1"), "node by node");
    assert!(of_node("memqcache_method") < of_node("backend_hostname0"));

    let all = w.run(&app, "pgpool show all");
    assert_eq!(cell(&all, "value", "item", "load_balance_mode"), "on");
    assert_eq!(cell(&all, "value", "item", "authentication_timeout"), "1min");
    assert!(
        all.rows()
            .iter()
            .chain(&rows)
            .all(|row| row[1] != "postgres" || row[0] != "sr_check_password")
    );
    let ports = w.run(&app, "pgpool show backend_port");
    assert_eq!(ports.rows().len(), 3);
    let weights = w.run(&app, "pgpool show backend_weight");
    let weights = weights.rows();
    assert!(weights.iter().all(|row| row[1] == "1"), "as written, and no share: {weights:?}");
    let one = w.run(&app, "PGPOOL SHOW backend_port1");
    assert_eq!((one.columns(), one.value()), (vec!["backend_port1"], ports.rows()[1][1].clone()));
    let checks = w.run(&app, "pgpool show health_check");
    assert_eq!(checks.rows()[0][0], "health_check_period");
    assert_eq!(w.query(&app, "pgpool show fax_number").code(), "XX000");
}

/// A row for each session, with the number that its client knows.
pub fn sessions_are_shown_with_what_they_do(w: &mut impl World) {
    let (idle, busy, admin) = (w.connect("idle"), w.connect("busy"), w.connect("admin"));
    w.run(&idle, "select 1");
    w.run(&busy, "begin");
    let answer = w.run(&admin, "show pool_processes");
    let status = |client: &Client| cell(&answer, "status", "pool_pid", &process(client));
    assert_eq!(status(&idle), "Idle");
    assert_eq!(status(&busy), "Idle in transaction");
    assert_eq!(status(&admin), "Execute command");
    assert_eq!(cell(&answer, "username", "pool_pid", &process(&idle)), "postgres");
    w.run(&busy, "commit");
    let gone = process(&busy);
    w.terminate(&busy);
    w.wait("the session has ended", LIMIT, |w| {
        let answer = w.run(&admin, "show pool_processes");
        let rows = answer.rows();
        !cells(&answer, &rows, "pool_pid").contains(&&*gone)
    });
}

/// A row for each server connection: whose it is, and what it is at the server.
pub fn connections_are_shown_with_their_pools(w: &mut impl World) {
    let (app, admin) = (w.connect("app"), w.connect("admin"));
    w.run(&app, "begin");
    let server = w.run(&app, "select pg_backend_pid()").value();
    let answer = w.run(&admin, "show pool_pools");
    let of = |column: &str| cell(&answer, column, "pool_backendpid", &server);
    assert_eq!(of("pool_pid"), process(&app));
    assert_eq!((of("pool_connected"), of("pool_state")), ("1".into(), "lent".into()));
    assert_eq!((of("backend_id"), of("status")), ("0".into(), "Idle in transaction".into()));
    assert_eq!((of("username"), of("pool_mode")), ("postgres".into(), "session".into()));
    assert_eq!(of("client_host"), "127.0.0.1");
    assert!(of("client_port").parse::<u16>().is_ok_and(|port| port > 0), "{}", of("client_port"));
    assert_eq!(of("statement"), "", "what clients say is not kept");
    w.run(&app, "commit");
    w.terminate(&app);
    w.wait("the connection is in its pool", LIMIT, |w| {
        let answer = w.run(&admin, "show pool_pools");
        cell(&answer, "pool_state", "pool_backendpid", &server) == "idle"
    });
}

/// Statements and errors are counted by node, and so are the reasons.
pub fn statements_are_counted_by_node(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "counted", 2);
    let count = |w: &mut _, column, node| number(w, &app, "pool_backend_stats", column, node);
    let columns = ["select_cnt", "insert_cnt", "update_cnt", "delete_cnt", "ddl_cnt", "error_cnt"];
    let before: Vec<u64> = columns.iter().map(|column| count(w, column, PRIMARY)).collect();
    let reads = count(w, "select_cnt", STANDBY);
    w.run(&app, "insert into counted values (1)");
    w.extended(&app, "insert into counted values (2)", &[]).good();
    w.run(&app, "update counted set n = 3");
    w.run(&app, "delete from counted");
    w.run(&app, "create table counted_too (n int)");
    assert!(w.query(&app, "insert into nowhere values (1)").failed());
    w.run(&app, "select 1");
    w.extended(&app, "select 2", &[]).good();
    let after: Vec<u64> = columns.iter().map(|column| count(w, column, PRIMARY)).collect();
    let more: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    assert_eq!(more, [0, 3, 1, 1, 1, 1], "{columns:?}");
    assert_eq!(count(w, "select_cnt", STANDBY) - reads, 2);

    let answer = w.run(&app, "show pool_route_stats");
    let routed = |node: usize, reason: &str| {
        let node = node.to_string();
        let is_it = |row: &&Vec<String>| row[..3] == [node.clone(), "routed".into(), reason.into()];
        let rows = answer.rows();
        rows.iter().find(is_it).map_or(0, |row| row[3].parse::<u64>().expect("a number"))
    };
    assert!(routed(PRIMARY, "dml") >= 5, "{answer:?}");
    assert!(routed(STANDBY, "read") >= 2, "{answer:?}");
    assert!(answer.rows().iter().any(|row| row[1] == "memo" && row[2] == "misses"));
}

/// Rounds that succeed and rounds that fail are counted by node.
pub fn checks_are_counted_by_node(w: &mut impl World) {
    let app = w.connect("app");
    let count = |w: &mut _, column| number(w, &app, "pool_health_check_stats", column, STANDBY);
    assert!(count(w, "success_count") >= 1);
    let before = count(w, "fail_count");
    w.crash(STANDBY);
    w.wait("a check has failed", LIMIT, |w| count(w, "fail_count") > before);
    let answer = w.run(&app, "show pool_health_check_stats");
    let of = |column: &str| cell(&answer, column, "node_id", "1");
    assert_eq!(of("status"), "down");
    let sum = |a: &str, b: &str| of(a).parse::<u64>().unwrap() + of(b).parse::<u64>().unwrap();
    assert_eq!(of("total_count"), sum("success_count", "fail_count").to_string());
    assert!(!of("last_failed_health_check").is_empty());
    assert_eq!(of("last_skip_health_check"), "");
}

/// A session sets a parameter for itself; the others, and the next one, know nothing of it.
pub fn a_session_sets_a_parameter_for_itself(w: &mut impl World) {
    let (app, other) = (w.connect("app"), w.connect("other"));
    let reads = |w: &mut _| number(w, &other, "pool_nodes", "select_cnt", STANDBY);
    let before = reads(w);
    w.run(&app, "/* a comment */ select 1");
    assert_eq!(reads(w), before, "it binds the statement to the primary");
    let set = w.run(&app, "PGPOOL SET allow_sql_comments TO on");
    assert_eq!(set.tags(), ["SET"]);
    w.run(&app, "/* a comment */ select 1");
    assert_eq!(reads(w), before + 1);
    w.run(&other, "/* a comment */ select 1");
    assert_eq!(reads(w), before + 1, "another session's business");
    assert_eq!(w.run(&app, "pgpool show allow_sql_comments").value(), "on");
    assert_eq!(w.run(&other, "pgpool show allow_sql_comments").value(), "off");
    let reset = w.extended(&app, "pgpool reset allow_sql_comments", &[]).good();
    assert_eq!((reset.shape(), reset.tags()), ("12nC".into(), vec!["SET"]));
    assert_eq!(w.run(&app, "pgpool show allow_sql_comments").value(), "off");
    w.extended(&app, "pgpool set client_idle_limit = 300", &[]).good();
    assert_eq!(w.extended(&app, "pgpool show client_idle_limit", &[]).good().value(), "5min");
    assert_eq!(w.run(&app, "pgpool reset all").tags(), ["RESET"]);
    assert_eq!(w.run(&app, "pgpool show client_idle_limit").value(), "0");

    let warned = w.run(&app, "pgpool set client_min_messages to error");
    assert_eq!(warned.notices(), ["\"client_min_messages\" has no effect on a session"]);
    let cases = [
        ("pgpool set port to 1", "invalid Context, value for parameter \"port\" cannot be changed"),
        ("pgpool set fax_number to 1", "config variable \"fax_number\" not found"),
        (
            "pgpool set client_idle_limit to soon",
            "invalid value for parameter \"client_idle_limit\": \"soon\"",
        ),
    ];
    for (text, message) in cases {
        let answer = w.query(&app, text);
        let said = answer.error().expect(text);
        assert_eq!((said.code(), said.message()), ("XX000", message));
        assert_eq!(w.extended(&app, text, &[]).error().map(|said| said.message()), Some(message));
    }
    w.run(&app, "select 1");
}

/// An idle limit that a session sets for itself ends that session and no other.
pub fn a_session_limits_its_own_idleness(w: &mut impl World) {
    let (app, other) = (w.connect("app"), w.connect("other"));
    w.run(&app, "pgpool set client_idle_limit to 1");
    w.wait("the session has ended", secs(30), |w| w.is_gone(&app));
    w.run(&other, "select 1");
}

/// Where a statement would go, why, and what that depends on; it does not go there.
pub fn a_route_is_explained_and_not_taken(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "explained", 2);
    let read = w.run(&app, "explain route select 1");
    assert_eq!(read.columns(), ["server", "reason", "depends_on"]);
    let rows = read.rows();
    assert!(rows.iter().all(|row| row[0].starts_with("node 1 (standby, ")), "{rows:?}");
    assert_eq!(rows[0][1], "it only reads");
    let extended = w.extended(&app, "explain route select 1", &[]).good();
    assert_eq!(extended.rows(), rows);
    let write = w.run(&app, "explain route insert into explained values (1)").rows();
    assert!(write[0][0].starts_with("node 0 (primary, "), "{write:?}");
    assert_eq!(
        w.run(&app, "select count(*) from explained").value(),
        "0",
        "it was not carried out"
    );
    w.run(&app, "begin");
    let inside = w.run(&app, "explain route select 1").rows();
    assert_eq!((&*inside[0][1], &*inside[0][2]), ("its transaction is there", "the transaction"));
    w.run(&app, "commit");
    assert_eq!(w.run(&app, "explain route show pool_nodes").rows()[0][0], "pgherd");
}

/// What pgherd answers cannot stand beside other statements, and it says so.
pub fn a_question_beside_other_statements_is_refused(w: &mut impl World) {
    let app = w.connect("app");
    for text in
        ["show pool_nodes; select 1", "select 1; pgpool show port", "begin; show pool_pools"]
    {
        let answer = w.query(&app, text);
        assert_eq!((answer.code(), answer.status), ("0A000", Some(b'I')), "{text}");
    }
    w.run(&app, "begin");
    let answer = w.query(&app, "show pool_nodes; select 1");
    assert_eq!((answer.code(), answer.status), ("0A000", Some(b'E')));
    w.run(&app, "rollback");
    assert_eq!(w.run(&app, "select 1; select 2").rows().len(), 2);
}

/// Each statement is told to its client with the node that it goes to, in front of its answer.
pub fn statements_are_told_with_their_node(w: &mut impl World) {
    let app = w.connect("app");
    let prefix = |node: usize| format!("DB node id: {node} backend pid: ");
    let primary = w.run(&app, "select pg_backend_pid()");
    let expected = format!("{}{} statement: select pg_backend_pid()", prefix(0), primary.value());
    assert_eq!(primary.notices(), [expected]);
    let simple = w.run(&app, "select 1");
    assert!(simple.notices()[0].starts_with(&prefix(1)), "{simple:?}");
    assert_eq!(simple.shape(), "NTDC", "in front of the answer");
    let write = w.run(&app, "create table told (n int)");
    assert!(write.notices()[0].starts_with(&prefix(0)), "{write:?}");
    let extended = w.extended(&app, "select 1", &[]).good();
    assert!(extended.notices()[0].ends_with(" statement: Parse: select 1"), "{extended:?}");
    w.run(&app, "pgpool set notice_per_node_statement to off");
    assert!(w.run(&app, "select 1").notices().is_empty());
    // Statements sent ahead are each told in front of their own answer.
    w.run(&app, "pgpool reset all");
    w.post(&app, &[compose::query("select 1"), compose::query("select 2")].concat());
    for n in 1..=2 {
        let answer = w.finish(&app);
        assert!(answer.notices()[0].ends_with(&format!(" statement: select {n}")), "{answer:?}");
    }
}

/// Many ask at once; some have left before they hear the answer.
pub fn askers_that_leave_harm_nobody(w: &mut impl World) {
    let admin = w.connect("admin");
    let askers: Vec<Client> = (0..10).map(|n| w.connect(&format!("asker{n}"))).collect();
    for asker in &askers {
        for (table, _) in TABLES {
            w.query_start(asker, &format!("show {table}"));
        }
    }
    for asker in &askers[5..] {
        w.vanish(asker);
    }
    for asker in &askers[..5] {
        for (table, columns) in TABLES {
            let answer = w.finish(asker).good();
            assert_eq!(answer.columns().len(), columns, "{table}");
        }
    }
    let left: Vec<String> = askers[5..].iter().map(process).collect();
    w.wait("they have left", LIMIT, |w| {
        let answer = w.run(&admin, "show pool_processes");
        let rows = answer.rows();
        !cells(&answer, &rows, "pool_pid").iter().any(|pid| left.iter().any(|left| left == pid))
    });
}

/// Two connections that all sessions share.
#[must_use]
pub fn shared() -> Setup {
    Setup::weights(&[1.0])
        .set("pool_mode = \"transaction\"")
        .set("pool_size_max = 2")
        .set("worker_threads = 1")
}

/// What binds a session to its connection is shown as long as it does, and counted for ever.
pub fn pins_are_shown_with_their_causes(w: &mut impl World) {
    let (app, admin) = (w.connect("app"), w.connect("admin"));
    let of = |w: &mut _, cause: &str, column: &str| {
        let answer = Play::run(w, &admin, "show pool_pins");
        cell(&answer, column, "cause", cause)
    };
    w.run(&app, "listen somebody");
    w.run(&app, "create temporary table bound (n int)");
    w.wait("both causes are known", LIMIT, |w| {
        let answer = w.run(&admin, "show pool_pins");
        let rows = answer.rows();
        let causes = cells(&answer, &rows, "cause");
        causes.contains(&"listen") && causes.contains(&"temporary_table")
    });
    for cause in ["listen", "temporary_table"] {
        assert_eq!(of(w, cause, "pool_pid"), process(&app));
        assert_eq!((of(w, cause, "sessions"), of(w, cause, "total")), ("1".into(), "1".into()));
        assert_eq!(of(w, cause, "backend_id"), "0");
        assert!(!of(w, cause, "since").is_empty());
    }
    let server = of(w, "listen", "pool_backendpid");
    assert_eq!(w.run(&app, "select pg_backend_pid()").value(), server);
    let pools = w.run(&admin, "show pool_pools");
    let pool = |column: &str| cell(&pools, column, "pool_backendpid", &server);
    assert_eq!((pool("pool_state"), pool("pool_mode")), ("pinned".into(), "transaction".into()));
    assert_eq!(pool("pins"), "listen,temporary_table");

    w.run(&app, "unlisten *");
    w.run(&app, "drop table bound");
    w.wait("nothing binds it any more", LIMIT, |w| of(w, "listen", "sessions") == "0");
    assert_eq!((of(w, "listen", "total"), of(w, "listen", "pool_pid")), ("1".into(), "".into()));
}

/// Who waits for a connection is shown so, and so is the length of the line.
pub fn waiting_sessions_are_shown(w: &mut impl World) {
    let admin = w.connect("admin");
    let holders: Vec<Client> = (0..2).map(|n| w.connect(&format!("holder{n}"))).collect();
    for holder in &holders {
        w.run(holder, "begin");
    }
    let waiter = w.connect("waiter");
    w.query_start(&waiter, "select pg_backend_pid()");
    let waiting = process(&waiter);
    w.wait("it is in line", LIMIT, |w| {
        let answer = w.run(&admin, "show pool_processes");
        cell(&answer, "status", "pool_pid", &waiting) == "Wait for server connection"
    });
    let pools = w.run(&admin, "show pool_pools");
    let rows = pools.rows();
    assert!(cells(&pools, &rows, "pool_waiting").contains(&"1"), "{rows:?}");
    for holder in &holders {
        w.run(holder, "commit");
    }
    w.finish(&waiter).good();
}
