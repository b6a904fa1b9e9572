//! Which server a read goes to: what the catalog, the operator's lists and the servers' delays have
//! to do with it.
//!
//! Where a statement went is told by a notice in front of its answer.

use std::collections::BTreeSet;

use crate::client::{Answer, Client, Login, compose};
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{Fate, Setup, World};

const STANDBY: usize = 1;
const OTHER_STANDBY: usize = 2;
const STANDBYS: usize = 2;

/// Clients hear where their statements go; weights of the nodes.
pub(super) fn told(weights: &[f64]) -> Setup {
    Setup::weights(weights).set("worker_threads = 1").set("notice_per_node_statement = true")
}

/// Reads go to one standby.
#[must_use]
pub fn one_standby() -> Setup {
    told(&[0.0, 1.0, 0.0])
}

/// Each statement goes wherever it likes.
#[must_use]
pub fn by_statement() -> Setup {
    told(&[1.0, 1.0, 1.0]).set("statement_level_load_balance = true")
}

/// Sessions read wherever they like.
#[must_use]
pub fn by_session() -> Setup {
    told(&[1.0, 1.0, 1.0])
}

/// Comments in front of a statement do not matter.
#[must_use]
pub fn with_comments() -> Setup {
    one_standby().set("allow_sql_comments = true")
}

/// The operator says which functions read.
#[must_use]
pub fn with_readers() -> Setup {
    one_standby().set("read_only_function_list = \"look_.*, peek\"")
}

/// The operator says which functions write.
#[must_use]
pub fn with_writers() -> Setup {
    one_standby().set("write_function_list = \"look_up, poke\"")
}

/// The operator says which texts are for the primary.
#[must_use]
pub fn with_patterns() -> Setup {
    one_standby().set("primary_routing_query_pattern_list = \".*precious.*;select 4[0-9]\"")
}

/// Everybody reads at the other standby, and an application does not.
#[must_use]
pub fn redirected() -> Setup {
    by_session()
        .set("database_redirect_preference_list = \"postgres:2\"")
        .set("app_name_redirect_preference_list = \"batch:primary, report.*:1\"")
        .set("user_redirect_preference_list = \"alice:1, bob:primary\"")
        .user("alice", "wonderland")
        .user("bob", "builder")
}

/// Users have their servers, and nothing else has.
#[must_use]
pub fn redirected_users() -> Setup {
    by_session()
        .set("user_redirect_preference_list = \"alice:1, bob:standby\"")
        .user("alice", "wonderland")
        .user("bob", "builder")
}

/// An application never reads at a server.
#[must_use]
pub fn redirected_away() -> Setup {
    by_session().set("app_name_redirect_preference_list = \"shy:1(0.0), bold:1(1.0)\"")
}

/// A standby that is behind leaves its reads to the least delayed one.
#[must_use]
pub fn prefer_lower_delay() -> Setup {
    told(&[0.0, 1.0, 0.001]).set("delay_threshold = 100").set("prefer_lower_delay_standby = true")
}

/// A standby that is behind by some time gets no reads.
#[must_use]
pub fn by_time() -> Setup {
    let setup = one_standby().set("delay_threshold_by_time = \"500ms\"");
    // By this name the primary tells of it.
    setup.of_node(STANDBY, &format!("application_name = \"node{STANDBY}\""))
}

/// The node that a statement went to first.
pub(super) fn told_node(answer: &Answer) -> usize {
    let notices = answer.notices();
    let rest = notices.first().and_then(|notice| notice.strip_prefix("DB node id: "));
    let node = rest.and_then(|rest| rest.split(' ').next()).and_then(|node| node.parse().ok());
    node.unwrap_or_else(|| panic!("nobody told where it went: {answer:?}"))
}

/// Runs a statement and returns the node that it went to; it goes to the same by both protocols.
fn node_of(w: &mut impl World, client: &Client, sql: &str) -> usize {
    let simple = told_node(&w.run(client, sql));
    assert_eq!(told_node(&w.extended(client, sql, &[]).good()), simple, "{sql}");
    simple
}

fn goes_to(w: &mut impl World, client: &Client, node: usize, statements: &[&str]) {
    for sql in statements {
        assert_eq!(node_of(w, client, sql), node, "{sql}");
    }
}

/// As [`goes_to`], each by a session of its own, as what may leave something in a session holds it
/// on the primary for a while.
fn alone_goes_to(w: &mut impl World, node: usize, statements: &[&str]) {
    for sql in statements {
        let clients = [w.connect("simple"), w.connect("extended")];
        assert_eq!(told_node(&w.run(&clients[0], sql)), node, "{sql}");
        assert_eq!(told_node(&w.extended(&clients[1], sql, &[]).good()), node, "{sql}");
        clients.iter().for_each(|client| w.terminate(client));
    }
}

/// Makes functions that read, each of another volatility.
fn define(w: &mut impl World, client: &Client) {
    for (name, volatility) in [
        ("look_up", "stable"),
        ("look_hard", "immutable"),
        ("peek", "volatile"),
        ("poke", "stable"),
    ] {
        w.run(
            client,
            &format!(
                "create function {name}() returns int language sql {volatility} as 'select 7'"
            ),
        );
    }
    w.table(client, "made_after", STANDBYS);
}

/// Until the catalog is known, every function may do anything; then those that only read are
/// balanced, and those that are volatile are not.
pub fn functions_are_balanced_as_the_catalog_says(w: &mut impl World) {
    let app = w.connect("app");
    define(w, &app);
    // Nobody has looked since.
    assert_eq!(told_node(&w.run(&app, "select look_up()")), PRIMARY);
    w.wait("the catalog is known", LIMIT, |w| {
        idle_link(w);
        told_node(&w.run(&app, "select look_up()")) == STANDBY
    });
    alone_goes_to(w, STANDBY, &["select look_up()", "select look_hard() + 1"]);
    alone_goes_to(w, STANDBY, &["select 1 from made_after where n = look_up()"]);
    alone_goes_to(w, PRIMARY, &["select peek()", "select look_up(), peek()"]);
    alone_goes_to(w, PRIMARY, &["select poke() from made_after where n = peek()"]);
    // What changes in the catalog is heard of.
    w.run(
        &app,
        "create or replace function look_up() returns int language sql volatile as 'select 8'",
    );
    w.wait("the change is known", LIMIT, |w| {
        idle_link(w);
        let reader = w.connect("reader");
        let node = told_node(&w.run(&reader, "select look_up()"));
        w.terminate(&reader);
        node == PRIMARY
    });
}

/// Leaves a connection idle, over which pgherd can ask for the catalog.
fn idle_link(w: &mut impl World) {
    let brief = w.connect("brief");
    w.run(&brief, "select 1");
    w.terminate(&brief);
}

/// No standby has the rows of an unlogged table, and a sequence is ahead of its time there.
pub fn unlogged_tables_and_sequences_are_the_primarys(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create unlogged table fleeting (n int)");
    w.run(&app, "create table lasting (n serial)");
    w.wait_truth(STANDBY, "select count(*) from lasting", "0");
    w.run(&app, "insert into fleeting values (1)");
    w.wait("the catalog is known", LIMIT, |w| {
        idle_link(w);
        w.run(&app, "explain route select * from fleeting").rows()[0][0].starts_with("node 0 ")
    });
    goes_to(w, &app, PRIMARY, &["select n from fleeting"]);
    assert_eq!(w.run(&app, "select count(*) from fleeting").value(), "1");
    goes_to(w, &app, PRIMARY, &["select nextval('lasting_n_seq')"]);
    goes_to(w, &app, STANDBY, &["select n from lasting"]);
}

/// With a list of functions that read, all others write, whatever the catalog says.
pub fn functions_that_read_are_listed(w: &mut impl World) {
    let app = w.connect("app");
    define(w, &app);
    alone_goes_to(w, STANDBY, &["select look_up()", "select look_hard()", "select peek()"]);
    alone_goes_to(w, PRIMARY, &["select poke()", "select look_up() + poke()"]);
}

/// With a list of functions that write, all others read, whatever the catalog says.
pub fn functions_that_write_are_listed(w: &mut impl World) {
    let app = w.connect("app");
    define(w, &app);
    alone_goes_to(w, PRIMARY, &["select look_up()", "select poke()", "select peek() + poke()"]);
    alone_goes_to(w, STANDBY, &["select peek()", "select look_hard()"]);
}

/// A text that matches a pattern is for the primary.
pub fn texts_for_the_primary_are_listed(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "precious", STANDBYS);
    w.table(&app, "common", STANDBYS);
    goes_to(w, &app, PRIMARY, &["select n from precious", "select 41"]);
    goes_to(w, &app, STANDBY, &["select n from common", "select 51"]);
}

/// A comment in front of a statement keeps it on the primary, unless it may be ignored; one that
/// says so keeps it there anyhow.
pub fn a_comment_keeps_a_statement_on_the_primary(w: &mut impl World) {
    let app = w.connect("app");
    goes_to(w, &app, STANDBY, &["select 1", "select /*NO LOAD BALANCE*/ 1"]);
    goes_to(w, &app, PRIMARY, &["/*NO LOAD BALANCE*/ select 1", "/* why */ select 1"]);
    // The session may say otherwise for itself.
    w.run(&app, "pgpool set allow_sql_comments to on");
    goes_to(w, &app, STANDBY, &["/* why */ select 1"]);
    goes_to(w, &app, PRIMARY, &["/*NO LOAD BALANCE*/ select 1"]);
}

/// As it is set for everybody.
pub fn comments_may_be_allowed(w: &mut impl World) {
    let app = w.connect("app");
    goes_to(w, &app, STANDBY, &["/* why */ select 1", "-- why\nselect 1"]);
    goes_to(w, &app, PRIMARY, &["/*NO LOAD BALANCE*/ select 1", "/* no load balance */ select 2"]);
}

/// Nodes at which a session reads.
fn nodes_read(w: &mut impl World, client: &Client, count: usize) -> BTreeSet<usize> {
    (0..count).map(|_| told_node(&w.run(client, "select 1"))).collect()
}

/// Enough that each of three nodes is left out only once in 10 million times.
const MANY: usize = 40;

/// A session that draws for each statement reads everywhere.
pub fn statements_are_balanced_each(w: &mut impl World) {
    let app = w.connect("app");
    assert_eq!(nodes_read(w, &app, MANY).len(), 3);
    let ahead: Vec<u8> = (0..MANY)
        .flat_map(|_| [compose::statement("select 1", &[]), compose::sync()].concat())
        .collect();
    w.post(&app, &ahead);
    let nodes: BTreeSet<usize> = (0..MANY).map(|_| told_node(&w.finish(&app).good())).collect();
    assert_eq!(nodes.len(), 3, "sent ahead of their answers");
    w.run(&app, "begin read only");
    assert_eq!(nodes_read(w, &app, MANY).len(), 1, "a transaction is in one place");
    w.run(&app, "commit");
}

/// A session that draws once reads in one place, and another one in another.
pub fn sessions_are_balanced_each(w: &mut impl World) {
    let mut all = BTreeSet::new();
    for _ in 0..MANY {
        let app = w.connect("app");
        let nodes = nodes_read(w, &app, 3);
        assert_eq!(nodes.len(), 1, "a session reads in one place");
        all.extend(nodes);
        w.terminate(&app);
    }
    assert_eq!(all.len(), 3, "all nodes are read");
}

/// Where sessions of a login read.
fn nodes_of(w: &mut impl World, login: &Login, count: usize) -> BTreeSet<usize> {
    let mut nodes = BTreeSet::new();
    for _ in 0..count {
        let client = w.connect_as(login);
        nodes.insert(told_node(&w.run(&client, "select 1")));
        w.terminate(&client);
    }
    nodes
}

fn only(node: usize) -> BTreeSet<usize> {
    BTreeSet::from([node])
}

/// An application's preference counts for more than a database's, and that for more than a
/// user's.
pub fn lists_prefer_servers_in_their_order(w: &mut impl World) {
    let (alice, bob) = (Login::user("alice", "wonderland"), Login::user("bob", "builder"));
    for login in [Login::app("any"), alice.clone(), bob.clone()] {
        assert_eq!(nodes_of(w, &login, 12), only(OTHER_STANDBY), "by database");
    }
    for login in [Login::app("batch"), alice.with("application_name", "batch")] {
        assert_eq!(nodes_of(w, &login, 12), only(PRIMARY), "by application");
    }
    for login in [Login::app("report"), bob.with("application_name", "reports of today")] {
        assert_eq!(nodes_of(w, &login, 12), only(STANDBY), "by application");
    }
    let writer = w.connect("report");
    assert_eq!(told_node(&w.run(&writer, "create table redirected (n int)")), PRIMARY);
}

/// A user's preference, where nothing else is preferred.
pub fn users_have_their_servers(w: &mut impl World) {
    assert_eq!(nodes_of(w, &Login::user("alice", "wonderland"), 12), only(STANDBY));
    let of_bob = nodes_of(w, &Login::user("bob", "builder"), MANY);
    assert_eq!(of_bob, BTreeSet::from([STANDBY, OTHER_STANDBY]), "any standby");
    assert_eq!(nodes_of(w, &Login::app("any"), MANY).len(), 3);
}

/// A ratio of nothing is never, and one of 1 is always.
pub fn preferences_have_their_ratio(w: &mut impl World) {
    assert_eq!(nodes_of(w, &Login::app("bold"), 12), only(STANDBY));
    let of_shy = nodes_of(w, &Login::app("shy"), MANY);
    assert_eq!(of_shy, BTreeSet::from([PRIMARY, OTHER_STANDBY]));
}

/// Writes something that a standby may lack, again and again until it is known to be behind.
fn fall_behind(w: &mut impl World, app: &Client, reader: &Client, instead: usize) {
    w.wait("the delay is known", LIMIT, |w| {
        w.run(app, "insert into delayed values (1)");
        told_node(&w.run(reader, "select count(*) from delayed")) == instead
    });
}

/// The reads of a standby that is behind go to the other one, and not to the primary, as long as
/// that keeps up.
pub fn the_least_delayed_standby_takes_over(w: &mut impl World) {
    let (app, reader) = (w.connect("app"), w.connect("reader"));
    w.table(&app, "delayed", STANDBYS);
    w.wait("the standby keeps up", LIMIT, |w| {
        told_node(&w.run(&reader, "select count(*) from delayed")) == STANDBY
    });
    w.befall(STANDBY, Fate::PauseReplay);
    fall_behind(w, &app, &reader, OTHER_STANDBY);
    w.befall(OTHER_STANDBY, Fate::PauseReplay);
    fall_behind(w, &app, &reader, PRIMARY);
    w.befall(STANDBY, Fate::ResumeReplay);
    w.befall(OTHER_STANDBY, Fate::ResumeReplay);
    w.wait("the standby has caught up", LIMIT, |w| {
        told_node(&w.run(&reader, "select count(*) from delayed")) == STANDBY
    });
}

/// A standby that replays late gets no reads as long as it does.
pub fn a_standby_that_is_late_serves_no_reads(w: &mut impl World) {
    let (app, reader) = (w.connect("app"), w.connect("reader"));
    w.table(&app, "delayed", STANDBYS);
    assert_eq!(told_node(&w.run(&reader, "select count(*) from delayed")), STANDBY);
    w.befall(STANDBY, Fate::DelayReplay(secs(3)));
    fall_behind(w, &app, &reader, PRIMARY);
    // Where time counts, time is shown.
    w.wait("it is shown how late it is", LIMIT, |w| {
        w.run(&app, "insert into delayed values (1)");
        let nodes = w.pool_nodes(&app);
        assert_eq!(nodes[PRIMARY].delay, "0");
        // Until the primary tells for how long, it is bytes.
        let Some((seconds, unit)) = nodes[STANDBY].delay.split_once(' ') else { return false };
        let seconds: f64 = seconds.parse().expect("a number");
        assert_eq!(unit, if seconds < 2.0 { "second" } else { "seconds" });
        seconds >= 0.5
    });
    w.befall(STANDBY, Fate::DelayReplay(secs(0)));
    w.wait("the standby is in time again", LIMIT, |w| {
        w.run(&app, "insert into delayed values (1)");
        let why = w.run(&reader, "explain route select count(*) from delayed").rows();
        let mut cells = why.iter().flatten();
        cells.any(|cell| cell.contains("delay_threshold_by_time (500)"))
            && told_node(&w.run(&reader, "select count(*) from delayed")) == STANDBY
    });
}
