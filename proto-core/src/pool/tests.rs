//! Who gets which connection, case by case, and whatever happens.

use super::*;
use crate::config::{PoolMode, Pooling};
use crate::id::Slab;
use crate::time::Duration;
use crate::topology::{Node, Role, Seen, Status};

mod lease;
mod whatever;

const BACKEND: BackendId = BackendId(0);

fn key(user: &'static str) -> Arc<PoolKey> {
    Arc::new(PoolKey { user: Bytes::from_static(user.as_bytes()), ..PoolKey::default() })
}

fn startup(options: &'static str) -> Arc<Params> {
    let options = Bytes::from_static(options.as_bytes());
    Arc::new(Params(vec![(Bytes::from_static(b"options"), options)]))
}

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn node(id: u8, role: Role) -> Node {
    Node {
        id: BackendId(id),
        status: Status::Up,
        role,
        seen: Seen::Up,
        server_role: role,
        lag: None,
        lag_time: None,
        replication_state: String::new(),
        sync_state: String::new(),
        changed: crate::time::WallTime(0),
    }
}

/// A view in which node 0 is the primary.
fn topology() -> Topology {
    let nodes = vec![node(0, Role::Primary), node(1, Role::Standby), node(2, Role::Primary)];
    Topology { epoch: Epoch(7), primary: Some(BACKEND), nodes, ..Topology::default() }
}

/// Pools of one server, and names for its connections and sessions.
struct Herd {
    pools: Pools,
    policy: PoolPolicy,
    names: Slab<()>,
    topology: Topology,
    now: Instant,
}

impl Herd {
    fn new(policy: &PoolPolicy, backend_connections_max: usize) -> Self {
        let policy = PoolPolicy { backend_connections_max, ..policy.clone() };
        let pools = Pools::new(&policy, 1, ShardId(0));
        Self { pools, policy, names: Slab::new(), topology: topology(), now: Instant::ZERO }
    }

    /// The server may have more connections, or fewer.
    fn allow(&mut self, backend_connections_max: usize) {
        self.policy.backend_connections_max = backend_connections_max;
        self.pools.set_policy(&self.policy, 1, ShardId(0));
    }

    fn put_back(&mut self, key: &Arc<PoolKey>, link: ConnId, startup: &Arc<Params>) {
        self.pools.put_back(key, link, startup.clone(), self.now);
    }

    fn sized(size_max: usize, quota: usize) -> Self {
        let defaults = Pooling { size_max, ..Pooling::default() };
        Self::new(&PoolPolicy { defaults, ..PoolPolicy::default() }, quota)
    }

    fn waiter(&mut self, startup: &Arc<Params>) -> Waiter {
        let ticket = Ticket { epoch: Epoch(7), backend: BACKEND, purpose: Purpose::Read };
        let session = self.names.insert(());
        Waiter { session, startup: startup.clone(), ticket, since: self.now }
    }

    /// A client asks; what it gets, and who it is.
    fn asks(&mut self, key: &Arc<PoolKey>, startup: &Arc<Params>) -> (Answer, ConnId) {
        let waiter = self.waiter(startup);
        let session = waiter.session;
        (self.pools.ask(key, waiter, self.now), session)
    }

    fn turn(&mut self) -> Option<Turn> {
        self.pools.next_turn(BACKEND, &self.topology, self.now)
    }

    /// Whose turn it is, and what they get.
    fn served(&mut self) -> Vec<(ConnId, Given)> {
        let mut served = Vec::new();
        while let Some(turn) = self.turn() {
            match turn {
                Turn::Lent(link, waiter) => served.push((waiter.session, Given::Lent(link))),
                Turn::Open(_, waiter) => served.push((waiter.session, Given::Open)),
                Turn::Evict(link) => served.push((link, Given::Evicted)),
                Turn::Stale(waiter) => served.push((waiter.session, Given::Stale)),
                Turn::Lease(limit, lease) => panic!("{lease:?} of {limit:?} for one shard"),
            }
        }
        served
    }
}

#[derive(Debug, PartialEq)]
enum Given {
    Lent(ConnId),
    Open,
    Evicted,
    Stale,
}

#[test]
fn a_connection_takes_on_another_application_name() {
    let params = |name: &'static [u8]| {
        let name = Bytes::from_static(name);
        Arc::new(Params(vec![(Bytes::from_static(b"application_name"), name)]))
    };
    let mut herd = Herd::sized(2, 2);
    let (key, psql, app) = (key("a"), params(b"psql"), params(b"app"));
    let (one, two) = (herd.names.insert(()), herd.names.insert(()));
    assert_eq!(herd.asks(&key, &psql).0, Answer::Open);
    assert_eq!(herd.asks(&key, &app).0, Answer::Open);
    herd.put_back(&key, one, &psql);
    herd.put_back(&key, two, &app);
    assert_eq!(herd.asks(&key, &psql).0, Answer::Lent(one), "its own first");
    assert_eq!(herd.asks(&key, &psql).0, Answer::Lent(two));
}

#[test]
fn limits_hold_and_idle_connections_make_room() {
    let (a, b, psql, jdbc) = (key("a"), key("b"), startup("psql"), startup("jdbc"));
    let mut herd = Herd::sized(2, 0);
    let (answer, early) = herd.asks(&a, &psql);
    assert_eq!(answer, Answer::Queued(None), "nothing is granted");
    herd.allow(3);
    assert_eq!(herd.served(), [(early, Given::Open)]);
    let (one, two) = (herd.names.insert(()), herd.names.insert(()));
    assert_eq!(herd.asks(&a, &psql).0, Answer::Open);
    let (answer, session) = herd.asks(&a, &psql);
    assert_eq!(answer, Answer::Queued(None), "the pool is full");
    herd.pools.forget(&a, session);
    herd.put_back(&a, one, &psql);
    herd.put_back(&a, two, &psql);
    assert_eq!(herd.asks(&a, &psql).0, Answer::Lent(two));
    let (answer, session) = herd.asks(&a, &jdbc);
    assert_eq!(answer, Answer::Queued(Some(one)));
    herd.pools.free(&a, one);
    assert_eq!(herd.served(), [(session, Given::Open)]);
    herd.put_back(&a, two, &psql);
    assert_eq!(herd.asks(&b, &psql).0, Answer::Open);
    let (answer, session) = herd.asks(&b, &psql);
    assert_eq!(answer, Answer::Queued(Some(two)), "quota");
    herd.pools.free(&a, two);
    assert_eq!(herd.served(), [(session, Given::Open)]);
    assert_eq!(herd.pools.figures(&b).node, Occupancy { open: 3, quota: 3, max: 3 });
}

#[test]
fn those_of_one_instant_are_served_in_the_order_in_which_they_came() {
    let (a, psql) = (key("a"), startup("psql"));
    let mut herd = Herd::sized(1, 1);
    let (link, gone) = (herd.names.insert(()), herd.names.insert(()));
    assert_eq!(herd.asks(&a, &psql).0, Answer::Open);
    let (_, first) = herd.asks(&a, &psql);
    herd.names.remove(gone);
    let (_, second) = herd.asks(&a, &psql);
    assert!(second < first, "it is called as somebody was who came earlier");
    for session in [first, second] {
        herd.put_back(&a, link, &psql);
        assert_eq!(herd.served(), [(session, Given::Lent(link))]);
    }
}

#[test]
fn whoever_waits_longest_is_next() {
    let (a, b, psql) = (key("a"), key("b"), startup("psql"));
    let mut herd = Herd::sized(2, 1);
    assert_eq!(herd.asks(&a, &psql).0, Answer::Open);
    let link = herd.names.insert(());
    let wait = |herd: &mut Herd, key: &Arc<PoolKey>, millis| {
        herd.now = at(millis);
        let (answer, session) = herd.asks(key, &psql);
        assert_eq!(answer, Answer::Queued(None));
        session
    };
    let late = wait(&mut herd, &a, 30);
    let early = wait(&mut herd, &a, 10);
    let middle = wait(&mut herd, &b, 20);
    let gone = wait(&mut herd, &a, 5);
    herd.pools.forget(&a, gone);
    herd.put_back(&a, link, &psql);
    assert_eq!(herd.served(), [(early, Given::Lent(link))]);
    herd.put_back(&a, link, &psql);
    assert_eq!(herd.served(), [(link, Given::Evicted)], "for the other pool, whose turn it is");
    herd.pools.free(&a, link);
    assert_eq!(herd.served(), [(middle, Given::Open)]);
    herd.pools.free(&b, herd.names.insert(()));
    assert_eq!(herd.served(), [(late, Given::Open)]);
    assert_eq!(herd.pools.iter().count(), 1);
}

#[test]
fn the_least_recently_used_goes_first_and_what_is_to_be_kept_last() {
    let rule = crate::config::PoolRule {
        database: None,
        user: Some("kept".to_owned()),
        pooling: Pooling { size_min: 1, size_max: 9, ..Pooling::default() },
    };
    let policy = PoolPolicy { rules: vec![rule], ..PoolPolicy::default() };
    let mut herd = Herd::new(&policy, 3);
    let psql = startup("psql");
    let mut links = Vec::new();
    for user in ["kept", "b", "c"] {
        assert_eq!(herd.asks(&key(user), &psql).0, Answer::Open);
        links.push(herd.names.insert(()));
        herd.put_back(&key(user), links[links.len() - 1], &psql);
    }
    for (n, link, of) in [("1", links[1], "b"), ("2", links[2], "c"), ("3", links[0], "kept")] {
        let (answer, session) = herd.asks(&key(n), &psql);
        assert_eq!(answer, Answer::Queued(Some(link)), "{of}");
        herd.pools.free(&key(of), link);
        assert_eq!(herd.served(), [(session, Given::Open)]);
    }
    assert_eq!(herd.pools.balance(&key("kept")), (1, 0));
    assert!(!herd.pools.spare(&key("kept")), "there is no room");
    herd.allow(4);
    assert!(herd.pools.spare(&key("kept")));
    assert_eq!(herd.pools.balance(&key("kept")), (0, 0));
}

#[test]
fn users_and_databases_have_limits() {
    let on = |database: &'static str, user: &'static str| {
        let database = Bytes::from_static(database.as_bytes());
        Arc::new(PoolKey { database, ..(*key(user)).clone() })
    };
    let policy = PoolPolicy {
        user_connections_max: Some(2),
        database_connections_max: Some(3),
        ..PoolPolicy::default()
    };
    let mut herd = Herd::new(&policy, 9);
    let psql = startup("psql");
    assert_eq!(herd.asks(&on("x", "a"), &psql).0, Answer::Open);
    assert_eq!(herd.asks(&on("y", "a"), &psql).0, Answer::Open);
    let (answer, third) = herd.asks(&on("y", "a"), &psql);
    assert_eq!(answer, Answer::Queued(None), "the user's limit");
    assert_eq!(herd.asks(&on("x", "b"), &psql).0, Answer::Open);
    assert_eq!(herd.asks(&on("x", "c"), &psql).0, Answer::Open);
    let (answer, fourth) = herd.asks(&on("x", "d"), &psql);
    assert_eq!(answer, Answer::Queued(None), "the database's limit");
    let figures = herd.pools.figures(&on("x", "a"));
    assert_eq!(figures.user, Some(Occupancy { open: 2, quota: 2, max: 2 }));
    assert_eq!(figures.database, Some(Occupancy { open: 3, quota: 3, max: 3 }));
    // What is idle in the same database, and of the same user, makes room.
    let link = herd.names.insert(());
    herd.put_back(&on("x", "a"), link, &psql);
    assert_eq!(herd.served(), [(link, Given::Evicted)]);
    herd.pools.free(&on("x", "a"), link);
    assert_eq!(herd.served(), [(third, Given::Open), (fourth, Given::Open)]);
}

#[test]
fn the_reserve_is_for_those_who_have_waited() {
    let defaults = Pooling { size_max: 1, reserve_size: 1, ..Pooling::default() };
    let policy = PoolPolicy { defaults, ..PoolPolicy::default() };
    let mut herd = Herd::new(&policy, 9);
    let (a, psql) = (key("a"), startup("psql"));
    assert_eq!(herd.asks(&a, &psql).0, Answer::Open);
    let (_, first) = herd.asks(&a, &psql);
    herd.now = at(1);
    let (_, second) = herd.asks(&a, &psql);
    assert_eq!(herd.pools.reserve_at(&a, Instant::ZERO), Some(at(5000)));
    herd.now = at(4999);
    assert_eq!(herd.pools.rouse_for_reserve(herd.now), Some(at(5000)));
    assert_eq!(herd.served(), []);
    herd.now = at(5000);
    assert_eq!(herd.pools.rouse_for_reserve(herd.now), None, "before it is known who is next");
    assert_eq!(herd.served(), [(first, Given::Open)]);
    herd.now = at(5001);
    herd.pools.rouse_for_reserve(herd.now);
    assert_eq!(herd.served(), [], "the reserve is used up");
    let link = herd.names.insert(());
    herd.put_back(&a, link, &psql);
    assert_eq!(herd.served(), [(second, Given::Lent(link))]);
    herd.put_back(&a, link, &psql);
    assert_eq!(herd.pools.surplus(&a), Some(link), "the reserve is not for good");
    herd.pools.withdraw(&a, link);
    assert_eq!(herd.pools.surplus(&a), None);
}

#[test]
fn a_line_has_an_end() {
    let policy = PoolPolicy {
        defaults: Pooling { size_max: 1, ..Pooling::default() },
        queue_max: 1,
        ..PoolPolicy::default()
    };
    let mut herd = Herd::new(&policy, 9);
    let (a, psql) = (key("a"), startup("psql"));
    assert_eq!(herd.asks(&a, &psql).0, Answer::Open);
    assert_eq!(herd.asks(&a, &psql).0, Answer::Queued(None));
    assert_eq!(herd.asks(&a, &psql).0, Answer::Full);
    assert_eq!(herd.asks(&key("b"), &psql).0, Answer::Open, "each pool has its own line");
    let figures = herd.pools.figures(&a);
    assert_eq!((figures.waiting, figures.queue_max), (1, 1));
}

/// Where connections change hands all the time, two busy pools do not take them from one another,
/// until somebody is in danger of waiting in vain.
#[test]
fn busy_pools_leave_one_another_their_share() {
    for mode in [PoolMode::Session, PoolMode::Transaction] {
        let policy = PoolPolicy {
            defaults: Pooling { mode, size_max: 9, ..Pooling::default() },
            wait_timeout: Duration::from_secs(30),
            ..PoolPolicy::default()
        };
        let mut herd = Herd::new(&policy, 2);
        let (a, b, psql) = (key("a"), key("b"), startup("psql"));
        let link = herd.names.insert(());
        assert_eq!(herd.asks(&a, &psql).0, Answer::Open);
        assert_eq!(herd.asks(&b, &psql).0, Answer::Open);
        let (_, of_b) = herd.asks(&b, &psql);
        herd.now = at(1);
        let (_, of_a) = herd.asks(&a, &psql);
        herd.put_back(&a, link, &psql);
        if mode == PoolMode::Session {
            assert_eq!(herd.served(), [(link, Given::Evicted)]);
            continue;
        }
        assert_eq!(herd.served(), [(of_a, Given::Lent(link))]);
        herd.asks(&a, &psql);
        herd.now = at(15_000);
        herd.put_back(&a, link, &psql);
        assert_eq!(herd.served(), [(link, Given::Evicted)]);
        herd.pools.free(&a, link);
        assert_eq!(herd.served(), [(of_b, Given::Open)]);
    }
}

#[test]
fn whoever_waits_for_a_server_that_is_lost_leaves_the_line() {
    let mut herd = Herd::sized(1, 1);
    let (a, psql) = (key("a"), startup("psql"));
    assert_eq!(herd.asks(&a, &psql).0, Answer::Open);
    let (_, reader) = herd.asks(&a, &psql);
    let mut writer = herd.waiter(&psql);
    writer.ticket.purpose = Purpose::Write;
    let wrote = writer.session;
    assert_eq!(herd.pools.ask(&a, writer, herd.now), Answer::Queued(None));
    herd.topology.epoch = Epoch(8);
    let sessions = |waiters: Vec<Waiter>| waiters.iter().map(|w| w.session).collect::<Vec<_>>();
    assert_eq!(sessions(herd.pools.expel(BACKEND, &herd.topology)), [wrote]);
    assert_eq!(herd.served(), []);
    herd.topology.nodes[0].status = Status::Down;
    herd.put_back(&a, wrote, &psql);
    assert_eq!(herd.served(), [(reader, Given::Stale)]);
    assert_eq!(herd.pools.figures(&a).waiting, 0);
}

#[test]
fn another_policy_holds_at_once() {
    let mut herd = Herd::sized(1, 9);
    let (a, psql) = (key("a"), startup("psql"));
    assert_eq!(herd.asks(&a, &psql).0, Answer::Open);
    let (_, waiting) = herd.asks(&a, &psql);
    let sized = |size_max| PoolPolicy {
        defaults: Pooling { size_max, ..Pooling::default() },
        ..PoolPolicy::default()
    };
    herd.pools.set_policy(&sized(4), 2, ShardId(1));
    assert_eq!(herd.served(), [(waiting, Given::Open)]);
    assert_eq!(herd.pools.figures(&a).pool.quota, 2, "one of two parts");
    let links = [herd.names.insert(()), herd.names.insert(())];
    links.iter().for_each(|link| herd.put_back(&a, *link, &psql));
    assert_eq!(herd.pools.surplus(&a), None);
    herd.pools.set_policy(&sized(1), 1, ShardId(0));
    assert_eq!(herd.pools.surplus(&a), Some(links[0]));
}

/// Were every connection that is given back to cost a walk through the line, this would take
/// minutes.
#[test]
fn a_crowd_is_served_in_order() {
    let mut herd = Herd::sized(20, 20);
    let psql = startup("psql");
    let a = key("a");
    let links: Vec<ConnId> = (0..20).map(|_| herd.names.insert(())).collect();
    for _ in &links {
        assert_eq!(herd.asks(&a, &psql).0, Answer::Open);
    }
    let mut line = std::collections::VecDeque::new();
    let joins = |herd: &mut Herd, n: u64| {
        herd.now = Instant::from_micros(n);
        let (answer, session) = herd.asks(&a, &psql);
        assert_eq!(answer, Answer::Queued(None));
        session
    };
    for n in 0..10_000 {
        line.push_back(joins(&mut herd, n));
    }
    for n in 10_000..210_000 {
        let link = links[usize::try_from(n).unwrap() % links.len()];
        herd.put_back(&a, link, &psql);
        assert_eq!(herd.served(), [(line.pop_front().unwrap(), Given::Lent(link))]);
        line.push_back(joins(&mut herd, n));
        let gone = line.remove(5000).unwrap();
        herd.pools.forget(&a, gone);
        line.push_back(joins(&mut herd, n));
    }
    assert_eq!(herd.pools.figures(&a).waiting, line.len());
}

#[test]
fn a_write_passes_only_to_the_primary_of_the_current_epoch() {
    let cases = [
        ("a write on the primary", 7, 0, Purpose::Write, Ok(())),
        ("with an older ticket", 6, 0, Purpose::Write, Err(Stale)),
        ("on a standby", 7, 1, Purpose::Write, Err(Stale)),
        ("on a second primary", 7, 2, Purpose::Write, Err(Stale)),
        ("a read on a standby", 6, 1, Purpose::Read, Ok(())),
        ("a read on the primary", 6, 0, Purpose::Read, Ok(())),
        ("a read on a second primary", 7, 2, Purpose::Read, Err(Stale)),
        ("a read on nobody", 7, 9, Purpose::Read, Err(Stale)),
    ];
    for (name, epoch, backend, purpose, expected) in cases {
        let ticket = Ticket { epoch: Epoch(epoch), backend: BackendId(backend), purpose };
        assert_eq!(Pools::admit(&topology(), ticket), expected, "{name}");
    }
}
