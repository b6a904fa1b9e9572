//! Whatever sessions and connections do, in whatever order.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A client asks for a connection of a pool, with one of two ways to begin.
    Ask { pool: usize, startup: usize },
    /// A connection that was being opened is there.
    Opened(usize),
    /// A connection that was being opened failed.
    Failed(usize),
    /// A client gives its connection back.
    PutBack(usize),
    /// A connection of a client dies.
    Dies(usize),
    /// An idle connection dies.
    IdleDies(usize),
    /// A connection that was closed has ended.
    Ended(usize),
    /// A client gives up waiting.
    Forget(usize),
    /// Time passes.
    Wait(u64),
    /// The server may have more connections, or fewer.
    Quota(usize),
    /// pgherd wants a connection of its own accord.
    Spare(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let any = 0..1000_usize;
    prop_oneof![
        8 => (0..POOLS.len(), 0..2_usize).prop_map(|(pool, startup)| Event::Ask { pool, startup }),
        6 => any.clone().prop_map(Event::Opened),
        1 => any.clone().prop_map(Event::Failed),
        6 => any.clone().prop_map(Event::PutBack),
        1 => any.clone().prop_map(Event::Dies),
        1 => any.clone().prop_map(Event::IdleDies),
        4 => any.clone().prop_map(Event::Ended),
        2 => any.prop_map(Event::Forget),
        2 => (0..9000_u64).prop_map(Event::Wait),
        1 => (0..8_usize).prop_map(Event::Quota),
        1 => (0..POOLS.len()).prop_map(Event::Spare),
    ]
}

/// Databases and users of the pools.
const POOLS: [(&str, &str); 6] =
    [("x", "a"), ("x", "b"), ("y", "a"), ("y", "b"), ("z", "c"), ("x", "c")];

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Opening { by: Option<ConnId> },
    Lent { by: ConnId },
    Idle,
    Closing,
}

/// The world as it should be.
struct Model {
    herd: Herd,
    policy: PoolPolicy,
    links: BTreeMap<ConnId, (usize, usize, Place)>,
    /// Who waits: the pool, how they began, and how many had asked before.
    waiting: BTreeMap<ConnId, (usize, usize, usize)>,
    asked: usize,
    startups: [Arc<Params>; 2],
    quota_max: usize,
}

impl Model {
    fn new(policy: PoolPolicy, quota: usize) -> Self {
        Self {
            herd: Herd::new(&policy, quota),
            policy,
            links: BTreeMap::new(),
            waiting: BTreeMap::new(),
            asked: 0,
            startups: [startup("psql"), startup("jdbc")],
            quota_max: quota,
        }
    }

    fn key(pool: usize) -> Arc<PoolKey> {
        let (database, user) = POOLS[pool];
        Arc::new(PoolKey { backend: BACKEND, database: database.into(), user: user.into() })
    }

    fn pool_of(key: &PoolKey) -> usize {
        (0..POOLS.len()).find(|pool| *Self::key(*pool) == *key).unwrap()
    }

    /// One of the connections in a place, by lot.
    fn pick(&self, lot: usize, is_meant: impl Fn(Place) -> bool) -> Option<ConnId> {
        let meant: Vec<ConnId> =
            self.links.iter().filter(|(_, (_, _, p))| is_meant(*p)).map(|(id, _)| *id).collect();
        (!meant.is_empty()).then(|| meant[lot % meant.len()])
    }

    fn open(&mut self, pool: usize, startup: usize, by: Option<ConnId>) {
        let link = self.herd.names.insert(());
        self.links.insert(link, (pool, startup, Place::Opening { by }));
    }

    fn place(&mut self, link: ConnId, place: Place) {
        self.links.get_mut(&link).unwrap().2 = place;
    }

    fn evicted(&mut self, link: ConnId) {
        assert_eq!(self.links[&link].2, Place::Idle, "only an idle connection makes room");
        self.place(link, Place::Closing);
    }

    fn lent(&mut self, link: ConnId, by: ConnId, pool: usize) {
        let (of, _, place) = self.links[&link];
        assert_eq!((of, place), (pool, Place::Idle), "lent from its own pool");
        self.place(link, Place::Lent { by });
    }

    fn gone(&mut self, link: ConnId) {
        let (pool, ..) = self.links.remove(&link).unwrap();
        self.herd.pools.free(&Self::key(pool), link);
        self.herd.names.remove(link);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask { pool, startup } => self.ask(pool, startup),
            Event::Opened(lot) => {
                let is_opening = |place| matches!(place, Place::Opening { .. });
                let Some(link) = self.pick(lot, is_opening) else { return };
                let (pool, startup, place) = self.links[&link];
                match place {
                    Place::Opening { by: Some(by) } => self.place(link, Place::Lent { by }),
                    Place::Opening { by: None }
                    | Place::Lent { .. }
                    | Place::Idle
                    | Place::Closing => {
                        self.place(link, Place::Idle);
                        self.herd.put_back(&Self::key(pool), link, &self.startups[startup]);
                    }
                }
            }
            Event::Failed(lot) => {
                let is_opening = |place| matches!(place, Place::Opening { .. });
                self.pick(lot, is_opening).into_iter().for_each(|link| self.gone(link));
            }
            Event::PutBack(lot) => {
                let is_lent = |place| matches!(place, Place::Lent { .. });
                let Some(link) = self.pick(lot, is_lent) else { return };
                let (pool, startup, _) = self.links[&link];
                self.place(link, Place::Idle);
                self.herd.put_back(&Self::key(pool), link, &self.startups[startup]);
            }
            Event::Dies(lot) => {
                let is_lent = |place| matches!(place, Place::Lent { .. });
                self.pick(lot, is_lent).into_iter().for_each(|link| self.gone(link));
            }
            Event::IdleDies(lot) => {
                let idle = self.pick(lot, |place| place == Place::Idle);
                idle.into_iter().for_each(|link| self.gone(link));
            }
            Event::Ended(lot) => {
                let closing = self.pick(lot, |place| place == Place::Closing);
                closing.into_iter().for_each(|link| self.gone(link));
            }
            Event::Forget(lot) => {
                let sessions: Vec<ConnId> = self.waiting.keys().copied().collect();
                let Some(session) = sessions.get(lot % sessions.len().max(1)) else { return };
                let (pool, ..) = self.waiting.remove(session).unwrap();
                self.herd.pools.forget(&Self::key(pool), *session);
            }
            Event::Wait(millis) => {
                self.herd.now = self.herd.now + Duration::from_millis(millis);
                self.herd.pools.rouse_for_reserve(self.herd.now);
            }
            Event::Quota(quota) => {
                self.quota_max = self.quota_max.max(quota);
                self.herd.allow(quota);
            }
            Event::Spare(pool) => {
                if self.herd.pools.spare(&Self::key(pool)) {
                    assert!(self.waiting.values().all(|(of, ..)| *of != pool), "a client waits");
                    self.open(pool, 0, None);
                }
            }
        }
    }

    fn ask(&mut self, pool: usize, startup: usize) {
        let waiter = self.herd.waiter(&self.startups[startup]);
        let session = waiter.session;
        self.asked += 1;
        match self.herd.pools.ask(&Self::key(pool), waiter, self.herd.now) {
            Answer::Lent(link) => {
                assert!(self.waiting.values().all(|(of, ..)| *of != pool), "overtaken");
                self.lent(link, session, pool);
            }
            Answer::Open => {
                assert!(self.waiting.values().all(|(of, ..)| *of != pool), "overtaken");
                self.open(pool, startup, Some(session));
            }
            Answer::Queued(victim) => {
                self.waiting.insert(session, (pool, startup, self.asked));
                victim.into_iter().for_each(|link| self.evicted(link));
            }
            Answer::Full => {
                let waiting = self.waiting.values().filter(|(of, ..)| *of == pool).count();
                assert_eq!(waiting, self.policy.queue_max, "the line is full");
            }
        }
    }

    /// Serves those in line, and checks that nobody of the same pool came earlier.
    fn serve(&mut self) {
        while let Some(turn) = self.herd.turn() {
            match turn {
                Turn::Lent(link, waiter) => {
                    let (pool, startup) = self.first(&waiter);
                    assert_eq!(self.links[&link].1, startup, "one that began alike");
                    self.lent(link, waiter.session, pool);
                }
                Turn::Open(key, waiter) => {
                    let (pool, startup) = self.first(&waiter);
                    assert_eq!(Self::pool_of(&key), pool);
                    self.open(pool, startup, Some(waiter.session));
                }
                Turn::Evict(link) => self.evicted(link),
                Turn::Stale(_) | Turn::Lease(..) => panic!("{turn:?} for one shard in one view"),
            }
        }
    }

    fn first(&mut self, waiter: &Waiter) -> (usize, usize) {
        let (pool, startup, asked) = self.waiting.remove(&waiter.session).expect("it waits");
        let mut others = self.waiting.values().filter(|(of, ..)| *of == pool);
        assert!(others.all(|(.., other)| asked < *other), "first come, first served");
        (pool, startup)
    }

    fn check(&mut self) {
        let count = |is_meant: &dyn Fn(usize) -> bool| {
            self.links.values().filter(|(pool, ..)| is_meant(*pool)).count()
        };
        for (pool, (database, user)) in POOLS.iter().enumerate() {
            let key = Self::key(pool);
            let figures = self.herd.pools.figures(&key);
            let own = self.policy.of(database.as_bytes(), user.as_bytes());
            let open = count(&|other| other == pool);
            assert_eq!(figures.pool.open, open, "{key:?}");
            assert!(open <= own.size_max + own.reserve_size, "{key:?}: {open} connections");
            assert_eq!(figures.waiting, self.waiting.values().filter(|w| w.0 == pool).count());
            let idle =
                |(of, _, place): &&(usize, usize, Place)| (*of, *place) == (pool, Place::Idle);
            assert_eq!(figures.idle, self.links.values().filter(idle).count());
            let of_user = count(&|other| POOLS[other].1 == *user);
            assert!(of_user <= self.policy.user_connections_max.unwrap());
            let of_database = count(&|other| POOLS[other].0 == *database);
            assert!(of_database <= self.policy.database_connections_max.unwrap());
        }
        assert_eq!(self.herd.pools.figures(&Self::key(0)).node.open, self.links.len());
        assert!(self.links.len() <= self.quota_max, "{} connections", self.links.len());
        // Nobody is kept waiting whom looking at once more would serve; while connections are on
        // their way out, whoever is behind another one may yet have to have one more closed.
        let is_closing = self.links.values().any(|(.., place)| *place == Place::Closing);
        self.herd.pools.rouse_all(BACKEND);
        while let Some(turn) = self.herd.turn() {
            match turn {
                Turn::Evict(link) if is_closing => self.evicted(link),
                Turn::Lent(..)
                | Turn::Open(..)
                | Turn::Evict(_)
                | Turn::Stale(_)
                | Turn::Lease(..) => {
                    panic!("{turn:?} was possible: {:?} {:?}", self.links, self.waiting)
                }
            }
        }
    }
}

fn policy() -> impl Strategy<Value = PoolPolicy> {
    let modes = prop_oneof![Just(PoolMode::Session), Just(PoolMode::Transaction)];
    let sizes = (0..2_usize, 1..5_usize, 0..3_usize);
    (modes, sizes, 1..6_usize, 1..6_usize, 0..9_usize).prop_map(
        |(mode, (size_min, size_max, reserve_size), user, database, queue_max)| PoolPolicy {
            defaults: Pooling { mode, size_min, size_max, reserve_size },
            user_connections_max: Some(user),
            database_connections_max: Some(database),
            queue_max,
            ..PoolPolicy::default()
        },
    )
}

proptest! {
    /// No limit is ever exceeded, nobody in line is forgotten or overtaken by one of the same
    /// pool, and nobody waits for what is there.
    #[test]
    fn limits_hold_and_nobody_is_forgotten(
        policy in policy(),
        quota in 0..8_usize,
        events in prop::collection::vec(event(), 0..200),
    ) {
        let mut model = Model::new(policy, quota);
        for event in events {
            model.happen(event);
            model.serve();
            model.check();
        }
    }

    /// When all clients give back what they were lent, everybody in line is served in the end.
    #[test]
    fn everybody_is_served_in_the_end(
        policy in policy(),
        quota in 1..8_usize,
        events in prop::collection::vec(event(), 0..100),
    ) {
        let mut model = Model::new(policy, quota);
        for event in events {
            model.happen(event);
            model.serve();
        }
        model.herd.allow(quota);
        for _ in 0..1000 {
            model.serve();
            for next in [Event::Ended(0), Event::Opened(0), Event::PutBack(0), Event::Wait(100)] {
                model.happen(next);
                model.serve();
            }
        }
        prop_assert!(model.waiting.is_empty(), "{:?} wait", model.waiting);
    }
}
