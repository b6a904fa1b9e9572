//! Who gets which server connection next.
//!
//! Pools are keyed by server, database and user. They count connections and keep the order of
//! those who wait; opening and closing is the shard's. [`Pools::admit`] is the one place that
//! decides whether a connection may serve a purpose in the current view of the cluster.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::id::{BackendId, ConnId, Epoch};
use crate::limits;
use crate::time::Instant;
use crate::topology::Topology;
use crate::wire::startup::Params;

/// What the connections of a pool have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolKey {
    /// The server.
    pub backend: BackendId,
    /// The database.
    pub database: Bytes,
    /// The user.
    pub user: Bytes,
}

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Anything: only the primary will do.
    Write,
    /// Reading: any live server will do.
    Read,
}

/// A request for a connection, with the view of the cluster in which it was made.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    /// The view.
    pub epoch: Epoch,
    /// The server.
    pub backend: BackendId,
    /// What for.
    pub purpose: Purpose,
}

/// The ticket is of no use in the current view of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale;

/// Who waits for a connection.
#[derive(Clone, Debug)]
pub struct Waiter {
    /// The session.
    pub session: ConnId,
    /// What it began with.
    pub startup: Arc<Params>,
    /// What it wants, and since which view of the cluster.
    pub ticket: Ticket,
    /// Since when.
    pub since: Instant,
}

/// What comes of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkout {
    /// This idle connection is lent.
    Lent(ConnId),
    /// A connection may be opened; its place is taken.
    Open,
    /// This idle connection, of no use to the asker, must be closed first.
    Evict(ConnId),
    /// All are lent.
    Busy,
}

#[derive(Debug, Default)]
struct Pool {
    /// Idle connections, the most recently used last.
    idle: Vec<(ConnId, Arc<Params>)>,
    /// Connections in any state. `idle.len() <= open`
    open: usize,
    waiters: VecDeque<Waiter>,
}

impl Pool {
    fn is_forgettable(&self) -> bool {
        self.open == 0 && self.waiters.is_empty()
    }
}

/// The part of a limit that one of several shards may use: the parts add up to the limit.
///
/// ```
/// use pgherd_core::pool::part;
///
/// assert_eq!([part(8, 3, 0), part(8, 3, 1), part(8, 3, 2)], [3, 3, 2]);
/// ```
#[must_use]
pub fn part(limit: usize, shards: usize, shard: usize) -> usize {
    let shards = shards.max(1);
    limit / shards + usize::from(shard < limit % shards)
}

/// All pools of a shard.
#[derive(Debug, Default)]
pub struct Pools {
    pools: BTreeMap<Arc<PoolKey>, Pool>,
    nodes: BTreeMap<BackendId, Occupancy>,
    waiting: usize,
}

/// Connections to one server, of all pools of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// In any state.
    pub open: usize,
    /// As many as `Control` has granted.
    pub quota: usize,
}

/// The figures of a pool, for messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections in any state.
    pub open: usize,
    /// Of which idle.
    pub idle: usize,
    /// Sessions in line.
    pub waiting: usize,
    /// Connections to the server, of all pools of the shard.
    pub node: Occupancy,
}

impl Pools {
    /// Decides whether a connection to `ticket.backend` may serve `ticket.purpose`.
    ///
    /// The one gate between a session and a server: a write passes only to the primary of the
    /// current epoch, and only with a ticket of that epoch.
    ///
    /// # Errors
    /// The cluster has changed since the ticket was made, or the server is not fit.
    pub fn admit(topology: &Topology, ticket: Ticket) -> Result<(), Stale> {
        let fit = match ticket.purpose {
            Purpose::Write => {
                ticket.epoch == topology.epoch && topology.primary == Some(ticket.backend)
            }
            Purpose::Read => topology.serves_reads(ticket.backend),
        };
        if fit { Ok(()) } else { Err(Stale) }
    }

    /// Sets how many connections to a server the shard may have.
    pub fn set_quota(&mut self, backend: BackendId, quota: usize) {
        self.nodes.entry(backend).or_default().quota = quota;
    }

    /// Decides what a session that wants a connection gets, and notes it.
    pub fn checkout(
        &mut self,
        key: &Arc<PoolKey>,
        startup: &Arc<Params>,
        size_max: usize,
    ) -> Checkout {
        let node = self.nodes.entry(key.backend).or_default();
        let pool = self.pools.entry(key.clone()).or_default();
        let same = |(_, other): &(ConnId, Arc<Params>)| {
            Arc::ptr_eq(other, startup) || other.as_ref() == startup.as_ref()
        };
        let akin = |(_, other): &(ConnId, Arc<Params>)| other.is_akin(startup);
        let fit = pool.idle.iter().rposition(same);
        if let Some(at) = fit.or_else(|| pool.idle.iter().rposition(akin)) {
            return Checkout::Lent(pool.idle.remove(at).0);
        }
        if pool.open < size_max && node.open < node.quota {
            pool.open += 1;
            node.open += 1;
            return Checkout::Open;
        }
        // An idle connection that is of no use to the asker makes room for one that is: of the
        // same pool if that is full, else of any pool of the server.
        let evicted = if pool.open >= size_max {
            Self::evict(pool)
        } else {
            self.pools
                .iter_mut()
                .filter(|(k, _)| k.backend == key.backend)
                .find_map(|(_, pool)| Self::evict(pool))
        };
        evicted.map_or(Checkout::Busy, Checkout::Evict)
    }

    fn evict(pool: &mut Pool) -> Option<ConnId> {
        (!pool.idle.is_empty()).then(|| pool.idle.remove(0).0)
    }

    /// Puts a session into the line of a pool, in the order of `since`; false if the line is full.
    pub fn queue(&mut self, key: &Arc<PoolKey>, waiter: Waiter) -> bool {
        if self.waiting >= limits::WAITERS_MAX {
            return false;
        }
        let pool = self.pools.entry(key.clone()).or_default();
        let at = pool.waiters.partition_point(|other| other.since <= waiter.since);
        pool.waiters.insert(at, waiter);
        self.waiting += 1;
        true
    }

    /// Takes a session out of a line, if it is in it.
    pub fn forget(&mut self, key: &Arc<PoolKey>, session: ConnId) {
        if let Some(pool) = self.pools.get_mut(key) {
            let before = pool.waiters.len();
            pool.waiters.retain(|waiter| waiter.session != session);
            self.waiting -= before - pool.waiters.len();
            if pool.is_forgettable() {
                self.pools.remove(key);
            }
        }
    }

    /// Takes the session out of its line that has waited longest for a server and is not among
    /// `passed`.
    pub fn next_waiter(
        &mut self,
        backend: BackendId,
        passed: &[Arc<PoolKey>],
    ) -> Option<(Arc<PoolKey>, Waiter)> {
        let key = self
            .pools
            .iter()
            .filter(|(key, _)| key.backend == backend && !passed.contains(key))
            .filter_map(|(key, pool)| Some((pool.waiters.front()?.since, key)))
            .min()
            .map(|(_, key)| key.clone())?;
        let waiter = self.pools.get_mut(&key)?.waiters.pop_front()?;
        self.waiting -= 1;
        Some((key, waiter))
    }

    /// Takes a connection back that is clean.
    pub fn put_back(&mut self, key: &Arc<PoolKey>, link: ConnId, startup: Arc<Params>) {
        self.pools.entry(key.clone()).or_default().idle.push((link, startup));
    }

    /// Forgets a connection that is about to be closed; its place stays taken until
    /// [`Pools::free`].
    pub fn withdraw(&mut self, key: &Arc<PoolKey>, link: ConnId) {
        if let Some(pool) = self.pools.get_mut(key) {
            pool.idle.retain(|(idle, _)| *idle != link);
        }
    }

    /// Frees the place of a connection that has ended.
    pub fn free(&mut self, key: &Arc<PoolKey>, link: ConnId) {
        self.withdraw(key, link);
        if let Some(node) = self.nodes.get_mut(&key.backend) {
            node.open = node.open.saturating_sub(1);
        }
        if let Some(pool) = self.pools.get_mut(key) {
            pool.open = pool.open.saturating_sub(1);
            if pool.is_forgettable() {
                self.pools.remove(key);
            }
        }
    }

    /// Lists the idle connections to servers that `is_meant` picks.
    #[must_use]
    pub fn idle(&self, is_meant: impl Fn(&PoolKey) -> bool) -> Vec<ConnId> {
        let meant = self.pools.iter().filter(|(key, _)| is_meant(key));
        meant.flat_map(|(_, pool)| pool.idle.iter().map(|(link, _)| *link)).collect()
    }

    /// Finds an idle connection that was opened with parameters like `startup`, without taking it.
    #[must_use]
    pub fn peek(&self, key: &PoolKey, startup: &Params) -> Option<ConnId> {
        let pool = self.pools.get(key)?;
        pool.idle.iter().rev().find(|(_, other)| other.is_akin(startup)).map(|(link, _)| *link)
    }

    /// Lists the pools of which sessions wait for a connection and that have none.
    pub fn deserted(&self) -> impl Iterator<Item = Arc<PoolKey>> {
        let deserted = self.pools.iter().filter(|(_, pool)| pool.open == 0);
        deserted.map(|(key, _)| key.clone())
    }

    /// Returns the figures of a pool.
    #[must_use]
    pub fn figures(&self, key: &PoolKey) -> Figures {
        let node = self.nodes.get(&key.backend).copied().unwrap_or_default();
        let Some(pool) = self.pools.get(key) else { return Figures { node, ..Figures::default() } };
        Figures { open: pool.open, idle: pool.idle.len(), waiting: pool.waiters.len(), node }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Slab;

    fn key(user: &'static str) -> Arc<PoolKey> {
        Arc::new(PoolKey { user: Bytes::from_static(user.as_bytes()), ..PoolKey::default() })
    }

    fn startup(options: &'static str) -> Arc<Params> {
        let options = Bytes::from_static(options.as_bytes());
        Arc::new(Params(vec![(Bytes::from_static(b"options"), options)]))
    }

    #[test]
    fn a_connection_takes_on_another_application_name() {
        let params = |name: &'static [u8]| {
            let name = Bytes::from_static(name);
            Arc::new(Params(vec![(Bytes::from_static(b"application_name"), name)]))
        };
        let mut names = Slab::new();
        let mut pools = Pools::default();
        pools.set_quota(BackendId(0), 2);
        let (key, psql, app) = (key("a"), params(b"psql"), params(b"app"));
        let (one, two) = (names.insert(()), names.insert(()));
        assert_eq!(pools.checkout(&key, &psql, 2), Checkout::Open);
        assert_eq!(pools.checkout(&key, &app, 2), Checkout::Open);
        pools.put_back(&key, one, psql.clone());
        pools.put_back(&key, two, app);
        assert_eq!(pools.checkout(&key, &psql, 2), Checkout::Lent(one), "its own first");
        assert_eq!(pools.checkout(&key, &psql, 2), Checkout::Lent(two));
    }

    #[test]
    fn limits_hold_and_idle_connections_make_room() {
        let mut names = Slab::new();
        let (a, b, psql, jdbc) = (key("a"), key("b"), startup("psql"), startup("jdbc"));
        let mut pools = Pools::default();
        assert_eq!(pools.checkout(&a, &psql, 2), Checkout::Busy, "nothing is granted");
        pools.set_quota(BackendId(0), 3);
        let (one, two) = (names.insert(()), names.insert(()));
        assert_eq!(pools.checkout(&a, &psql, 2), Checkout::Open);
        assert_eq!(pools.checkout(&a, &psql, 2), Checkout::Open);
        assert_eq!(pools.checkout(&a, &psql, 2), Checkout::Busy, "the pool is full");
        pools.put_back(&a, one, psql.clone());
        pools.put_back(&a, two, psql.clone());
        assert_eq!(pools.checkout(&a, &psql, 2), Checkout::Lent(two));
        assert_eq!(pools.checkout(&a, &jdbc, 2), Checkout::Evict(one));
        pools.free(&a, one);
        assert_eq!(pools.checkout(&a, &jdbc, 2), Checkout::Open);
        pools.put_back(&a, two, psql.clone());
        assert_eq!(pools.checkout(&b, &psql, 2), Checkout::Open);
        assert_eq!(pools.checkout(&b, &psql, 2), Checkout::Evict(two), "quota");
        pools.free(&a, two);
        assert_eq!(pools.checkout(&b, &psql, 2), Checkout::Open);
        assert_eq!(pools.figures(&b).node, Occupancy { open: 3, quota: 3 });
    }

    #[test]
    fn whoever_waits_longest_is_next() {
        let mut names = Slab::new();
        let (a, b, psql) = (key("a"), key("b"), startup("psql"));
        let mut pools = Pools::default();
        let ticket = Ticket { epoch: Epoch(1), backend: BackendId(0), purpose: Purpose::Read };
        let mut wait = |pools: &mut Pools, key: &Arc<PoolKey>, at| {
            let session = names.insert(());
            let since = Instant::from_micros(at);
            assert!(pools.queue(key, Waiter { session, startup: psql.clone(), ticket, since }));
            session
        };
        let late = wait(&mut pools, &a, 30);
        let early = wait(&mut pools, &a, 10);
        let middle = wait(&mut pools, &b, 20);
        let gone = wait(&mut pools, &a, 5);
        pools.forget(&a, gone);
        let mut next = |passed: &[Arc<PoolKey>]| {
            pools.next_waiter(BackendId(0), passed).map(|(_, waiter)| waiter.session)
        };
        assert_eq!(next(std::slice::from_ref(&a)), Some(middle));
        assert_eq!(next(&[]), Some(early));
        assert_eq!(next(&[]), Some(late));
        assert_eq!(next(&[]), None);
    }

    #[test]
    fn a_write_passes_only_to_the_primary_of_the_current_epoch() {
        let node = |id, role| crate::topology::Node {
            id: BackendId(id),
            status: crate::topology::Status::Up,
            role,
            seen: crate::topology::Seen::Up,
            server_role: role,
            lag: None,
            lag_time: None,
            replication_state: String::new(),
            sync_state: String::new(),
            changed: crate::time::WallTime(0),
        };
        use crate::topology::Role;
        let topology = Topology {
            epoch: Epoch(7),
            primary: Some(BackendId(0)),
            nodes: vec![node(0, Role::Primary), node(1, Role::Standby), node(2, Role::Primary)],
        };
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
            assert_eq!(Pools::admit(&topology, ticket), expected, "{name}");
        }
    }
}
