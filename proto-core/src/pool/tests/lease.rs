//! Several shards that share limits, and whatever happens to their messages.

use super::*;
use crate::control::ledger::Ledger;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A client asks a shard for a connection of a pool.
    Ask {
        shard: usize,
        pool: usize,
    },
    /// A client of a shard gives its connection back.
    PutBack(usize),
    /// A connection of a shard ends that was closed, or one that was in use.
    Ended(usize),
    /// A client of a shard gives up waiting.
    Forget(usize),
    /// The oldest message between a shard and `Control` arrives.
    FromShard(usize),
    ToShard(usize),
    /// Time passes.
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let shard = 0..SHARDS;
    prop_oneof![
        6 => (shard.clone(), 0..POOLS.len()).prop_map(|(shard, pool)| Event::Ask { shard, pool }),
        6 => shard.clone().prop_map(Event::PutBack),
        4 => shard.clone().prop_map(Event::Ended),
        1 => shard.clone().prop_map(Event::Forget),
        6 => shard.clone().prop_map(Event::FromShard),
        6 => shard.prop_map(Event::ToShard),
        2 => (0..200_u64).prop_map(Event::Wait),
    ]
}

const SHARDS: usize = 3;

/// Databases and users of the pools.
const POOLS: [(&str, &str); 4] = [("x", "a"), ("x", "b"), ("y", "a"), ("y", "c")];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Lent,
    Idle,
    Closing,
}

/// One shard: its pools, its connections, and who waits.
struct Member {
    herd: Herd,
    links: BTreeMap<ConnId, (usize, Place)>,
    waiting: BTreeMap<ConnId, usize>,
}

/// Shards, `Control`, and the messages between them.
struct Town {
    policy: PoolPolicy,
    members: Vec<Member>,
    ledger: Ledger,
    up: Vec<VecDeque<(Limit, Lease)>>,
    down: Vec<VecDeque<(Limit, Lease)>>,
    now: Instant,
    startup: Arc<Params>,
    /// Messages that were posted.
    posted: usize,
}

fn pool_key(pool: usize) -> Arc<PoolKey> {
    let (database, user) = POOLS[pool];
    Arc::new(PoolKey { backend: BACKEND, database: database.into(), user: user.into() })
}

impl Town {
    fn new(policy: PoolPolicy) -> Self {
        let member = |shard| {
            let mut herd = Herd::new(&policy, policy.backend_connections_max);
            herd.pools = Pools::new(&policy, SHARDS, ShardId(shard));
            Member { herd, links: BTreeMap::new(), waiting: BTreeMap::new() }
        };
        Self {
            members: (0..).take(SHARDS).map(member).collect(),
            ledger: Ledger::new(&policy, SHARDS),
            up: vec![VecDeque::new(); SHARDS],
            down: vec![VecDeque::new(); SHARDS],
            now: Instant::ZERO + Duration::from_secs(1),
            startup: startup("psql"),
            posted: 0,
            policy,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask { shard, pool } => self.ask(shard, pool),
            Event::PutBack(shard) => {
                let member = &mut self.members[shard];
                let lent = member.links.iter().find(|(_, (_, place))| *place == Place::Lent);
                let Some((link, (pool, _))) = lent.map(|(id, at)| (*id, *at)) else { return };
                member.links.insert(link, (pool, Place::Idle));
                member.herd.now = self.now;
                member.herd.put_back(&pool_key(pool), link, &self.startup);
            }
            Event::Ended(shard) => {
                let member = &mut self.members[shard];
                let ended = member.links.iter().find(|(_, (_, place))| *place == Place::Closing);
                let Some((link, (pool, _))) = ended.map(|(id, at)| (*id, *at)) else { return };
                member.links.remove(&link);
                member.herd.pools.free(&pool_key(pool), link);
            }
            Event::Forget(shard) => {
                let member = &mut self.members[shard];
                let Some((session, pool)) = member.waiting.pop_first() else { return };
                member.herd.pools.forget(&pool_key(pool), session);
            }
            Event::FromShard(shard) => {
                let Some((limit, lease)) = self.up[shard].pop_front() else { return };
                let from = ShardId(u16::try_from(shard).unwrap());
                self.ledger.handle_lease(from, limit, lease);
                while let Some((to, limit, lease)) = self.ledger.poll_output() {
                    self.posted += 1;
                    self.down[to.index()].push_back((limit, lease));
                }
            }
            Event::ToShard(shard) => {
                let Some((limit, lease)) = self.down[shard].pop_front() else { return };
                self.members[shard].herd.pools.handle_lease(&limit, lease);
            }
            Event::Wait(millis) => {
                self.now = self.now + Duration::from_millis(millis);
                for member in &mut self.members {
                    member.herd.pools.rouse_for_reserve(self.now);
                    member.herd.pools.rouse_leases();
                }
            }
        }
        self.serve();
    }

    fn ask(&mut self, shard: usize, pool: usize) {
        let member = &mut self.members[shard];
        member.herd.now = self.now;
        let waiter = member.herd.waiter(&self.startup);
        let session = waiter.session;
        match member.herd.pools.ask(&pool_key(pool), waiter, self.now) {
            Answer::Lent(link) => {
                member.links.insert(link, (pool, Place::Lent));
            }
            Answer::Open => {
                let link = member.herd.names.insert(());
                member.links.insert(link, (pool, Place::Lent));
            }
            Answer::Queued(victim) => {
                member.waiting.insert(session, pool);
                if let Some(link) = victim {
                    member.links.get_mut(&link).unwrap().1 = Place::Closing;
                }
            }
            Answer::Full => {}
        }
    }

    fn serve(&mut self) {
        for (shard, member) in self.members.iter_mut().enumerate() {
            member.herd.now = self.now;
            while let Some(turn) = member.herd.turn() {
                match turn {
                    Turn::Lent(link, waiter) => {
                        member.waiting.remove(&waiter.session).expect("it waits");
                        member.links.get_mut(&link).unwrap().1 = Place::Lent;
                    }
                    Turn::Open(_, waiter) => {
                        let pool = member.waiting.remove(&waiter.session).expect("it waits");
                        let link = member.herd.names.insert(());
                        member.links.insert(link, (pool, Place::Lent));
                    }
                    Turn::Evict(link) => {
                        let place = &mut member.links.get_mut(&link).unwrap().1;
                        assert_eq!(*place, Place::Idle, "only an idle connection makes room");
                        *place = Place::Closing;
                    }
                    Turn::Stale(waiter) => panic!("{waiter:?} can be served"),
                    Turn::Lease(limit, lease) => {
                        self.posted += 1;
                        self.up[shard].push_back((limit, lease));
                    }
                }
            }
        }
    }

    /// Checks that no limit is exceeded.
    fn check(&self) {
        let count = |is_meant: &dyn Fn(usize) -> bool| {
            let links = self.members.iter().flat_map(|member| member.links.values());
            links.filter(|(pool, _)| is_meant(*pool)).count()
        };
        for (pool, (database, user)) in POOLS.iter().enumerate() {
            let own = self.policy.of(database.as_bytes(), user.as_bytes());
            let of_pool = count(&|other| other == pool);
            assert!(of_pool <= own.size_max + own.reserve_size, "{of_pool} of a pool");
            let of_user = count(&|other| POOLS[other].1 == *user);
            assert!(of_user <= self.policy.user_connections_max.unwrap_or(usize::MAX));
            let of_database = count(&|other| POOLS[other].0 == *database);
            assert!(of_database <= self.policy.database_connections_max.unwrap_or(usize::MAX));
        }
        let all = count(&|_| true);
        assert!(all <= self.policy.backend_connections_max, "{all} to the server");
    }

    fn waiting(&self) -> usize {
        self.members.iter().map(|member| member.waiting.len()).sum()
    }

    /// Lets every message arrive that is on its way, and those that follow.
    fn settle(&mut self) {
        while self.up.iter().chain(&self.down).any(|queue| !queue.is_empty()) {
            for shard in 0..SHARDS {
                self.happen(Event::FromShard(shard));
                self.happen(Event::ToShard(shard));
            }
            self.check();
        }
    }
}

fn policy() -> impl Strategy<Value = PoolPolicy> {
    let modes = prop_oneof![Just(PoolMode::Session), Just(PoolMode::Transaction)];
    let sizes = (0..2_usize, 1..6_usize, 0..2_usize);
    let shared = (prop::option::of(1..6_usize), prop::option::of(1..6_usize), 1..8_usize);
    (modes, sizes, shared).prop_map(
        |(mode, (size_min, size_max, reserve_size), (user, database, all))| PoolPolicy {
            defaults: Pooling { mode, size_min, size_max, reserve_size },
            user_connections_max: user,
            database_connections_max: database,
            backend_connections_max: all,
            ..PoolPolicy::default()
        },
    )
}

proptest! {
    /// Whatever the order and the delay of messages, no limit is ever exceeded; and when clients
    /// give back what they were lent, everybody in line is served in the end.
    #[test]
    fn limits_hold_across_shards_and_everybody_is_served(
        policy in policy(),
        events in prop::collection::vec(event(), 0..200),
    ) {
        let mut town = Town::new(policy);
        for event in events {
            town.happen(event);
            town.check();
        }
        for _ in 0..2000 {
            if town.waiting() == 0 {
                break;
            }
            for shard in 0..SHARDS {
                for next in [Event::PutBack, Event::Ended, Event::FromShard, Event::ToShard] {
                    town.happen(next(shard));
                    town.check();
                }
            }
            town.happen(Event::Wait(20));
            town.check();
        }
        let waiting: Vec<_> = town.members.iter().map(|member| &member.waiting).collect();
        prop_assert_eq!(town.waiting(), 0, "{:?} wait", waiting);
    }
}

fn pooled(mode: PoolMode, size_max: usize) -> PoolPolicy {
    PoolPolicy {
        defaults: Pooling { mode, size_max, ..Pooling::default() },
        ..PoolPolicy::default()
    }
}

/// A lone hot shard has the whole limit, one more place with every four messages that the path of
/// one takes: its claim, the recall, what is yielded, the grant.
#[test]
fn a_lone_shard_reaches_the_whole_limit() {
    let mut town = Town::new(pooled(PoolMode::Transaction, 9));
    for _ in 0..20 {
        town.happen(Event::Ask { shard: 0, pool: 0 });
    }
    assert_eq!(town.members[0].links.len(), 3, "its part");
    for places in 4..=9 {
        town.happen(Event::FromShard(0));
        town.happen(Event::ToShard(1));
        town.happen(Event::FromShard(1));
        town.happen(Event::ToShard(0));
        town.happen(Event::ToShard(0));
        town.settle();
        assert!(town.members[0].links.len() >= places, "{places} places");
    }
    assert_eq!((town.members[0].links.len(), town.waiting()), (9, 11));
}

/// A shard that has nothing is served although another shard's clients use all there is, and
/// they take turns.
#[test]
fn a_shard_without_places_has_its_turn() {
    for mode in [PoolMode::Session, PoolMode::Transaction] {
        let mut town = Town::new(pooled(mode, 1));
        for _ in 0..50 {
            town.happen(Event::Ask { shard: 0, pool: 0 });
        }
        town.happen(Event::Ask { shard: 2, pool: 0 });
        let mut passed = 0;
        while !town.members[2].waiting.is_empty() {
            town.settle();
            town.happen(Event::PutBack(0));
            town.settle();
            town.happen(Event::Ended(0));
            town.happen(Event::Wait(10));
            town.happen(Event::Ask { shard: 0, pool: 0 });
            passed += 1;
            assert!(passed < 100, "it is overtaken by all who come later");
        }
        town.check();
    }
}

/// Nothing is said while nobody is short.
#[test]
fn nothing_is_posted_while_nobody_is_short() {
    let mut town = Town::new(pooled(PoolMode::Transaction, 6));
    for _ in 0..100 {
        for shard in 0..SHARDS {
            town.happen(Event::Ask { shard, pool: 0 });
            town.happen(Event::Ask { shard, pool: 0 });
            town.happen(Event::PutBack(shard));
            town.happen(Event::PutBack(shard));
        }
    }
    assert_eq!(town.posted, 0);
}

/// What a shard was lent and does not use any more goes back, and nothing is known of it then.
#[test]
fn what_is_lent_goes_back() {
    let mut town = Town::new(pooled(PoolMode::Transaction, 3));
    for _ in 0..3 {
        town.happen(Event::Ask { shard: 0, pool: 0 });
    }
    town.settle();
    assert_eq!(town.members[0].links.len(), 3);
    for _ in 0..3 {
        let member = &mut town.members[0];
        let (link, _) = member.links.pop_first().unwrap();
        member.herd.pools.free(&pool_key(0), link);
        town.serve();
    }
    town.settle();
    assert_eq!(town.ledger.len(), 0);
    for shard in 0..SHARDS {
        town.happen(Event::Ask { shard, pool: 0 });
        assert_eq!(town.members[shard].links.len(), 1, "its own part");
    }
}

/// Limits that are lowered and raised again while all is lent hold, as connections close.
#[test]
fn another_policy_holds_across_shards() {
    let mut town = Town::new(pooled(PoolMode::Transaction, 9));
    for _ in 0..9 {
        town.happen(Event::Ask { shard: 0, pool: 0 });
    }
    town.settle();
    assert_eq!(town.members[0].links.len(), 9);
    let take = |town: &mut Town, size_max: usize| {
        town.policy = pooled(PoolMode::Transaction, size_max);
        for (shard, member) in (0..).zip(&mut town.members) {
            member.herd.pools.set_policy(&town.policy, SHARDS, ShardId(shard));
        }
        town.ledger.set_policy(&town.policy);
        town.serve();
    };
    take(&mut town, 3);
    // All of it is owed; as connections are given back, the others get their parts.
    for _ in 0..9 {
        for next in [Event::FromShard, Event::ToShard, Event::PutBack, Event::Ended] {
            (0..SHARDS).for_each(|shard| town.happen(next(shard)));
        }
    }
    while let Some(link) = town.members[0].herd.pools.surplus(&pool_key(0)) {
        town.members[0].herd.pools.withdraw(&pool_key(0), link);
        town.members[0].links.get_mut(&link).unwrap().1 = Place::Closing;
        town.happen(Event::Ended(0));
    }
    town.settle();
    town.check();
    for shard in 0..SHARDS {
        (0..3).for_each(|_| town.happen(Event::Ask { shard, pool: 0 }));
        town.settle();
        town.check();
    }
    take(&mut town, 30);
    town.settle();
    town.check();
    assert_eq!(town.waiting(), 0, "there is room for all");
}
