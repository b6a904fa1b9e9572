//! pgherd is killed in the middle of what it does to the servers, and started again.

use crate::admin::{Admin, packet};
use crate::client::{Client, Login};
use crate::play::{LIMIT, PRIMARY, Play};
use crate::scenarios::failover::is_promoted;
pub use crate::scenarios::failover::promote;
use crate::world::World;

const NODES: usize = 3;

/// What a switchover tells of its stages, in their order.
const STAGES: [&str; 5] = [
    "comes up to",
    "new transactions wait",
    "takes no more writes",
    "replays what is left",
    "is promoted",
];

/// Whom a standby follows, or is to.
const CONNINFO: &str = "select current_setting('primary_conninfo')";

/// Moments after the loss of a primary: while it is looked at again, while standbys are looked at and
/// listened to, while one is promoted, while the other is told to follow.
const MOMENTS: [u64; 5] = [0, 1500, 3200, 3600, 4500];

/// Whatever stage a switchover was in, the herd has one primary afterwards that takes writes, and the
/// others follow it, or can be made to.
pub fn pgherd_is_killed_at_every_step_of_a_switchover(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", NODES - 1);
    let mut primary = PRIMARY;
    for (n, stage) in STAGES.into_iter().enumerate() {
        let heir = (primary + 1) % NODES;
        let mut operator = Admin::enter(w);
        w.send(operator.conn, &packet(b'J', format!("{heir} \0s").as_bytes()));
        operator.await_notice(w, stage);
        w.kill();
        let next = write_somewhere(w, n);
        assert!([primary, heir].contains(&next), "{stage}: node {next} was not asked for");
        mend(w, primary, next);
        primary = next;
    }
    have_all(w, STAGES.len());
}

/// Whatever stage a failover was in, another server is the primary afterwards.
pub fn pgherd_is_killed_at_every_step_of_a_failover(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "t", NODES - 1);
    let mut primary = PRIMARY;
    for (n, moment) in MOMENTS.into_iter().enumerate() {
        w.crash(primary);
        let until = w.now() + std::time::Duration::from_millis(moment);
        w.wait("the moment", LIMIT, |w| w.now() >= until);
        primary = is_replaced(w, primary, n, &format!("{moment} ms"));
    }
    have_all(w, MOMENTS.len());
}

/// What a failover has done, as its servers show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// The primary is known to be lost.
    Known,
    /// A standby is promoted.
    Promoted,
    /// The other one has been told whom to follow.
    Told,
    /// It follows.
    Followed,
}

/// The same as soon as each thing is done that a failover does: what is left is done by the next pgherd.
pub fn pgherd_is_killed_after_every_deed_of_a_failover(w: &mut impl World) {
    const DEEDS: [Deed; 4] = [Deed::Known, Deed::Promoted, Deed::Told, Deed::Followed];
    let admin = w.connect("admin");
    w.table(&admin, "t", NODES - 1);
    let mut primary = PRIMARY;
    for (n, deed) in DEEDS.into_iter().enumerate() {
        let watcher = connect_at_last(w);
        let others: Vec<usize> = (0..NODES).filter(|node| *node != primary).collect();
        let before: Vec<String> = others.iter().map(|node| w.truth(*node, CONNINFO)).collect();
        w.crash(primary);
        w.wait(&format!("{deed:?}"), LIMIT, |w| match deed {
            Deed::Known => w.pool_nodes(&watcher)[primary].status == "down",
            Deed::Promoted => others.iter().any(|node| is_promoted(w, *node)),
            Deed::Told => {
                let now: Vec<String> = others.iter().map(|node| w.truth(*node, CONNINFO)).collect();
                now != before
            }
            Deed::Followed => others.iter().any(|node| {
                is_promoted(w, *node)
                    && w.truth(*node, "select count(*) from pg_stat_replication") == "1"
            }),
        });
        primary = is_replaced(w, primary, n, &format!("{deed:?}"));
    }
    have_all(w, DEEDS.len());
}

/// Kills pgherd. The lost primary is replaced all the same, and made a standby; returns the next one.
fn is_replaced(w: &mut impl World, lost: usize, n: usize, when: &str) -> usize {
    w.kill();
    let next = write_somewhere(w, n);
    assert_ne!(next, lost, "{when}");
    mend(w, lost, next);
    next
}

/// Every server has all rows.
fn have_all(w: &mut impl World, rows: usize) {
    for node in 0..NODES {
        w.wait_truth(node, "select count(*) from t", &rows.to_string());
    }
}

/// Writes once there is a primary, and tells which node that is.
fn write_somewhere(w: &mut impl World, n: usize) -> usize {
    let app = connect_at_last(w);
    w.wait("a write succeeds", LIMIT, |w| {
        !w.query(&app, &format!("insert into t values ({n})")).failed()
    });
    let nodes = w.pool_nodes(&app);
    w.terminate(&app);
    nodes.iter().position(|node| node.role == "primary").expect("it has just taken a write")
}

/// Makes a former primary a standby, and waits until everybody serves.
fn mend(w: &mut impl World, old: usize, primary: usize) {
    if old != primary {
        w.crash(old);
        w.rejoin(old, primary);
    }
    let app = connect_at_last(w);
    for node in 0..NODES {
        w.wait_up(&app, node);
    }
    w.terminate(&app);
}

fn connect_at_last(w: &mut impl World) -> Client {
    let mut app = None;
    w.wait("a login", LIMIT, |w| {
        app = w.try_connect(&Login::app("app")).ok();
        app.is_some()
    });
    app.expect("waited for")
}
