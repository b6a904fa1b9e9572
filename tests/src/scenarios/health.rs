//! How servers are watched: what is a loss and what is not, and how a server comes back.

use super::failover::{
    admin_again, is_promoted, wait_any_heir, wait_heir, write_at_last, write_to_heir,
};
pub use super::failover::{leave_it, promote};
use super::show::number;
use crate::admin::Admin;
use crate::client::Client;
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{Fate, Setup, Signal, World};

const HEIR: usize = 1;
const OTHER: usize = 2;
const STANDBYS: usize = 2;

/// One standby is looked at more patiently than all others, which are not at all.
#[must_use]
pub fn patient_with_one() -> Setup {
    Setup::default()
        .set("sr_check_period = \"1s\"")
        .set("health_check_max_retries = 0")
        .of_node(HEIR, "health_check_max_retries = 2")
        .of_node(HEIR, "health_check_retry_delay = \"1s\"")
        .of_node(HEIR, "health_check_timeout = \"3s\"")
}

/// A server that says that it stops is believed.
#[must_use]
pub fn believe_goodbyes() -> Setup {
    promote()
        .set("failover_on_backend_shutdown = true")
        .set("health_check_max_retries = 20")
        .set("health_check_retry_delay = \"10s\"")
}

/// Connections that break make nobody look sooner.
#[must_use]
pub fn unhurried() -> Setup {
    promote().set("failover_on_backend_error = false")
}

/// Only the operator lets a server in that was lost.
#[must_use]
pub fn by_hand() -> Setup {
    Setup::default().set("auto_failback = false")
}

/// A server that has come back may go and come again soon.
#[must_use]
pub fn flapping() -> Setup {
    promote().set("auto_failback_interval = \"3s\"")
}

/// Nobody is promoted in the place of node 0.
#[must_use]
pub fn disallowed() -> Setup {
    promote().of_node(PRIMARY, "flag = \"DISALLOW_TO_FAILOVER\"")
}

/// The last node is the one that is promoted.
#[must_use]
pub fn prefer_the_last() -> Setup {
    promote().of_node(OTHER, "priority = 2")
}

/// What a file says of one node holds for that one.
pub fn a_node_is_watched_as_is_said_of_it(w: &mut impl World) {
    let app = w.connect("app");
    let shown = w.run(&app, "pgpool show health_check").rows();
    let said = |name: &str| shown.iter().any(|row| row[0] == name && row[1] == "2");
    assert!(said("health_check_max_retries1"), "{shown:?}");
    for node in [HEIR, OTHER] {
        w.crash(node);
        w.wait_down(&app, node);
    }
    let most =
        |w: &mut _, node| number(w, &app, "pool_health_check_stats", "max_retry_count", node);
    assert_eq!((most(w, HEIR), most(w, OTHER)), (2, 0));
}

/// A hundred sessions ended by an administrator are no lost server, nor is the end of pgherd's own.
pub fn ended_sessions_start_no_failover(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "ended", STANDBYS);
    for round in 0..6 {
        let clients: Vec<Client> = (0..4).map(|n| w.connect(&format!("client {n}"))).collect();
        for client in &clients {
            // A connection whose end is still on its way looks as good as any other.
            w.query_start(client, &format!("insert into ended values ({round})"));
        }
        w.befall(PRIMARY, Fate::TerminateSessions);
        w.befall(HEIR, Fate::TerminateSessions);
        for client in &clients {
            if w.is_gone(client) {
                continue;
            }
            w.finish(client);
        }
    }
    let watcher = admin_again(w);
    w.never("the primary is lost", secs(6), |w| {
        !w.pool_nodes(&watcher)[PRIMARY].is_up() || is_promoted(w, HEIR) || is_promoted(w, OTHER)
    });
    let writer = admin_again(w);
    write_at_last(w, &writer, "insert into ended values (7)");
    assert_eq!(w.truth(PRIMARY, "select count(*) from ended where n = 7"), "1");
}

/// The same where goodbyes are believed: a fresh look shows that the server is there.
pub fn ended_sessions_are_no_goodbye(w: &mut impl World) {
    ended_sessions_start_no_failover(w);
}

/// A server that says that it stops is replaced long before every look at it has failed.
pub fn a_server_that_stops_is_replaced_at_once(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "stops", STANDBYS);
    w.befall(PRIMARY, Fate::Stop);
    is_replaced(w, "stops");
}

/// Where broken connections make nobody look sooner, the checks find the loss all the same.
pub fn a_loss_is_found_by_checks_alone(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "found", STANDBYS);
    w.crash(PRIMARY);
    is_replaced(w, "found");
}

/// A primary that has no room for whoever looks at it (53300) lives, and stays the primary.
pub fn a_full_server_is_not_lost(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "crammed", STANDBYS);
    w.befall(PRIMARY, Fate::TurnAway);
    w.run(&app, "insert into crammed values (1)");
    end_looks(w, PRIMARY);
    w.never("somebody is promoted", secs(10), |w| is_promoted(w, HEIR) || is_promoted(w, OTHER));
    assert!(w.pool_nodes(&app)[PRIMARY].is_up());
    w.run(&app, "insert into crammed values (1)");
    w.befall(PRIMARY, Fate::Admit);
    let writer = admin_again(w);
    write_at_last(w, &writer, "insert into crammed values (2)");
    assert_eq!(w.truth(PRIMARY, "select count(*) from crammed where n = 2"), "1");
}

/// A statement that fails because a disk is full (53100) fails, and nothing else does.
pub fn a_full_disk_is_the_statements_trouble(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "disk", STANDBYS);
    for _ in 0..5 {
        let answer = w.query(&app, "do $$begin raise sqlstate '53100'; end$$");
        assert_eq!(answer.code(), "53100", "{}", answer.trouble());
    }
    w.never("the primary is lost", secs(4), |w| !w.pool_nodes(&app)[PRIMARY].is_up());
    w.run(&app, "insert into disk values (1)");
    assert_eq!(w.truth(PRIMARY, "select count(*) from disk"), "1");
}

/// The node of a flag that disallows it is waited for.
pub fn a_node_that_disallows_it_is_not_replaced(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "disallowed", STANDBYS);
    w.crash(PRIMARY);
    w.never("somebody is promoted", secs(12), |w| is_promoted(w, HEIR) || is_promoted(w, OTHER));
    w.start(PRIMARY);
    let writer = admin_again(w);
    write_at_last(w, &writer, "insert into disallowed values (1)");
    assert_eq!(w.truth(PRIMARY, "select count(*) from disallowed"), "1");
}

/// A standby that comes and goes disturbs nobody, and serves in the end.
pub fn a_standby_that_comes_and_goes(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "flaps", STANDBYS);
    let writer = w.connect("writer");
    for round in 0..4 {
        w.crash(HEIR);
        w.run(&writer, &format!("insert into flaps values ({round})"));
        w.start(HEIR);
        w.wait("it answers", LIMIT, |w| w.pool_nodes(&app)[HEIR].seen == "up");
        let nodes = w.pool_nodes(&app);
        assert_eq!((&nodes[PRIMARY].role[..], nodes[PRIMARY].is_up()), ("primary", true));
    }
    w.wait_up(&app, HEIR);
    assert_eq!(w.truth(PRIMARY, "select count(*) from flaps"), "4");
    assert!(!is_promoted(w, HEIR) && !is_promoted(w, OTHER));
}

/// A standby that is back and follows nobody serves nobody: what it has grows old.
pub fn a_standby_that_follows_nobody_is_kept_out(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "alone", STANDBYS);
    let conninfo = quarantine_heir(w, &app);
    let told = Admin::enter(w).list(w, b'I', b"1\0");
    let node = told.iter().find(|reply| reply.texts[0] == "NodeInfo").expect("a node");
    assert_eq!((&node.texts[3][..], &node.texts[4][..]), ("3", "1"), "{node:?}");
    w.never("it serves", secs(4), |w| w.pool_nodes(&app)[HEIR].is_up());
    follow(w, HEIR, &conninfo);
    w.wait_up(&app, HEIR);
}

/// Nor does it when there is no primary any more beside which it could be proved; others go on.
pub fn a_standby_that_is_not_proved_is_kept_out_without_a_primary(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "doubtful", STANDBYS);
    quarantine_heir(w, &app);
    w.crash(PRIMARY);
    let watcher = admin_again(w);
    w.wait_down(&watcher, PRIMARY);
    w.never("it serves", secs(6), |w| w.pool_nodes(&watcher)[HEIR].is_up());
    let reader = w.connect("reader");
    assert_eq!(w.run(&reader, "select count(*) from doubtful").value(), "0");
    w.crash(HEIR);
    w.start(HEIR);
    w.never("it serves", secs(6), |w| w.pool_nodes(&watcher)[HEIR].is_up());
    w.start(PRIMARY);
    write_at_last(w, &watcher, "insert into doubtful values (1)");
}

/// The first standby goes before the other where both have as much.
#[must_use]
pub fn prefer_the_first() -> Setup {
    promote().of_node(HEIR, "priority = 2")
}

/// One that is not proved becomes the primary only where no other has as much.
pub fn a_standby_that_is_not_proved_goes_behind(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "behind", STANDBYS);
    quarantine_heir(w, &app);
    w.crash(PRIMARY);
    wait_heir(w, OTHER);
    let writer = admin_again(w);
    write_at_last(w, &writer, "insert into behind values (1)");
    assert_eq!(w.truth(OTHER, "select count(*) from behind"), "1");
}

/// Starts the first standby anew, so that it follows nobody.
fn quarantine_heir(w: &mut impl World, app: &Client) -> String {
    let conninfo = w.truth(HEIR, "select current_setting('primary_conninfo')");
    follow(w, HEIR, "");
    w.crash(HEIR);
    w.wait_down(app, HEIR);
    w.start(HEIR);
    w.wait("it is in quarantine", LIMIT, |w| w.pool_nodes(app)[HEIR].status == "quarantine");
    conninfo
}

/// The operator may let a standby in that follows nobody.
pub fn a_standby_that_follows_nobody_is_attached(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "attached", STANDBYS);
    let conninfo = quarantine_heir(w, &app);
    let mut admin = Admin::enter(w);
    assert_eq!(admin.ask(w, b'C', b"1\0").texts, ["CommandComplete"]);
    w.wait_up(&app, HEIR);
    w.never("it is thrown out", secs(3), |w| !w.pool_nodes(&app)[HEIR].is_up());
    follow(w, HEIR, &conninfo);
}

/// With `auto_failback` off, a server that was lost stays out until it is attached.
pub fn a_lost_server_waits_for_the_operator(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "by_hand", STANDBYS);
    w.crash(HEIR);
    w.wait_down(&app, HEIR);
    w.start(HEIR);
    w.wait("it answers", LIMIT, |w| w.pool_nodes(&app)[HEIR].seen == "up");
    w.never("it serves", secs(5), |w| w.pool_nodes(&app)[HEIR].status != "down");
    let mut admin = Admin::enter(w);
    assert_eq!(admin.ask(w, b'C', b"1\0").texts, ["CommandComplete"]);
    w.wait_up(&app, HEIR);
}

/// An old primary that answers is in quarantine until it follows the new one.
pub fn an_old_primary_is_in_quarantine(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "old", STANDBYS);
    w.crash(PRIMARY);
    let heir = wait_any_heir(w, PRIMARY);
    let app = w.connect("app");
    assert_eq!(w.pool_nodes(&app)[PRIMARY].status, "down");
    w.start(PRIMARY);
    w.wait("it is in quarantine", LIMIT, |w| w.pool_nodes(&app)[PRIMARY].status == "quarantine");
    w.rejoin(PRIMARY, heir);
    w.wait_up(&app, PRIMARY);
}

/// An old primary that nobody has seen beside the new one is not taken when that one is lost.
pub fn an_old_primary_is_not_taken_when_the_next_one_is_lost(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "older", STANDBYS);
    w.crash(PRIMARY);
    let heir = wait_any_heir(w, PRIMARY);
    let app = w.connect("app");
    w.run(&app, "insert into older values (1)");
    for node in [HEIR, OTHER] {
        w.crash(node);
    }
    w.start(PRIMARY);
    w.wait("it answers", LIMIT, |w| w.pool_nodes(&app)[PRIMARY].seen == "up");
    w.never("it serves", secs(5), |w| w.pool_nodes(&app)[PRIMARY].is_up());
    w.start(heir);
    write_to_heir(w, heir, "insert into older values (2)");
    assert_eq!(w.truth(heir, "select count(*) from older where n = 1"), "1");
}

/// A primary that others have made a standby of the next one is not mourned.
pub fn a_primary_that_others_replace(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "moved", STANDBYS);
    w.befall(PRIMARY, Fate::Stop);
    w.sql(HEIR, "select pg_promote(false)").expect("it can be promoted");
    w.wait("it is promoted", LIMIT, |w| is_promoted(w, HEIR));
    w.rejoin(PRIMARY, HEIR);
    let app = write_to_heir(w, HEIR, "insert into moved values (1)");
    assert!(!is_promoted(w, OTHER), "one is enough");
    w.wait_up(&app, PRIMARY);
}

/// A primary that is taken out of the configuration goes on to take writes where pgherd does not
/// see it, so nobody is promoted in its place. It is found again when it is back.
pub fn a_reload_without_the_primary_promotes_nobody(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "removed", STANDBYS);
    w.crash(PRIMARY);
    wait_heir(w, OTHER);
    w.rejoin(PRIMARY, OTHER);
    let app = w.connect("app");
    w.wait_up(&app, PRIMARY);
    w.configure(&Setup { standbys: 1, ..prefer_the_last() });
    w.signal(Signal::Reload);
    let watcher = admin_again(w);
    w.wait("the node is gone", LIMIT, |w| w.pool_nodes(&watcher).len() == STANDBYS);
    w.never("somebody is promoted", secs(8), |w| is_promoted(w, PRIMARY) || is_promoted(w, HEIR));
    w.configure(&prefer_the_last());
    w.signal(Signal::Reload);
    w.wait("the node is back", LIMIT, |w| w.pool_nodes(&watcher).len() > STANDBYS);
    w.wait_primary(&watcher, OTHER);
    let app = admin_again(w);
    write_at_last(w, &app, "insert into removed values (1)");
    assert_eq!(w.truth(OTHER, "select count(*) from removed"), "1");
}

/// A primary that was lost before pgherd was started is replaced: it is the only node that does not
/// answer, and all others have lost it.
pub fn a_primary_lost_before_the_start_is_replaced(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "before", STANDBYS);
    w.crash(PRIMARY);
    w.restart();
    is_replaced(w, "before");
}

/// Where another one is missing too, nobody knows what that one has.
pub fn of_a_primary_lost_before_the_start_little_is_known(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "little", STANDBYS);
    w.crash(PRIMARY);
    w.crash(OTHER);
    w.restart();
    w.never("somebody is promoted", secs(10), |w| is_promoted(w, HEIR));
    w.start(OTHER);
    is_replaced(w, "little");
}

/// What the operator has detached stays so, whoever is started anew.
pub fn a_detached_node_stays_so_over_a_restart(w: &mut impl World) {
    let mut admin = Admin::enter(w);
    assert_eq!(admin.ask(w, b'D', b"2\0").texts, ["CommandComplete"]);
    let app = w.connect("app");
    w.wait_down(&app, OTHER);
    w.restart();
    let app = admin_again(w);
    w.wait("the others serve", LIMIT, |w| w.pool_nodes(&app)[HEIR].is_up());
    w.never("it serves", secs(4), |w| w.pool_nodes(&app)[OTHER].is_up());
    let mut admin = Admin::enter(w);
    assert_eq!(admin.ask(w, b'C', b"2\0").texts, ["CommandComplete"]);
    w.wait_up(&app, OTHER);
    w.restart();
    let app = admin_again(w);
    w.wait_up(&app, OTHER);
}

/// Also where it is the last one, so that none is left that serves.
pub fn the_last_node_that_is_detached_stays_so(w: &mut impl World) {
    let mut admin = Admin::enter(w);
    let app = w.connect("app");
    for node in [HEIR, OTHER, PRIMARY] {
        assert_eq!(admin.ask(w, b'D', format!("{node}\0").as_bytes()).texts, ["CommandComplete"]);
        w.wait_down(&app, node);
    }
    w.restart();
    let asker = w.begin_login(&crate::client::Login::app("asker"));
    w.never("somebody is let in", secs(6), |w| {
        w.pump(&asker);
        asker.is_logged_in()
    });
    let mut admin = Admin::enter(w);
    assert_eq!(admin.ask(w, b'C', b"0\0").texts, ["CommandComplete"]);
    let app = admin_again(w);
    w.wait_primary(&app, PRIMARY);
}

/// What was down is used after a start if it is well, whatever was written down.
pub fn a_node_that_was_down_serves_after_a_restart(w: &mut impl World) {
    let app = w.connect("app");
    w.crash(OTHER);
    w.wait_down(&app, OTHER);
    w.restart();
    w.start(OTHER);
    let app = admin_again(w);
    w.wait_up(&app, OTHER);
}

/// Ends the sessions by which a node is looked at, so that fresh ones are needed.
fn end_looks(w: &mut impl World, node: usize) {
    w.sql(
        node,
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgherd'",
    )
    .expect("the server is well");
}

/// Has a standby follow somebody else.
fn follow(w: &mut impl World, node: usize, conninfo: &str) {
    let quoted = conninfo.replace('\'', "''");
    for sql in
        [&format!("alter system set primary_conninfo = '{quoted}'"), "select pg_reload_conf()"]
    {
        w.wait("it is told", LIMIT, |w| w.sql(node, sql).is_ok());
    }
}

/// Waits for the next primary, which takes what is written to a table that was empty.
fn is_replaced(w: &mut impl World, table: &str) {
    let heir = wait_any_heir(w, PRIMARY);
    let writer = admin_again(w);
    write_at_last(w, &writer, &format!("insert into {table} values (1)"));
    assert_eq!(w.truth(heir, &format!("select count(*) from {table}")), "1");
}
