//! Who gets which server connection next.
//!
//! Pools are keyed by server, database and user. They count connections and keep the order of
//! those who wait; opening and closing is the shard's. [`Pools::admit`] is the one place that
//! decides whether a connection may serve a purpose in the current view of the cluster.
//!
//! A pool with clients in line stands at one gate: the limit that keeps its first client waiting.
//! When a connection is given back or ends, only the first at each gate that this may open are
//! looked at (`judge`), so that the cost does not grow with the number of those who wait.

mod figures;
mod gates;
mod judge;
mod lease;
mod limit;
mod line;
mod shares;
mod tally;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::PoolPolicy;
use crate::id::{BackendId, ConnId, Epoch, ShardId};
use crate::time::Instant;
use crate::topology::Topology;
use crate::wire::startup::Params;

pub use figures::{Figures, Occupancy};
use judge::{Outlook, Verdict};
pub use limit::{Claim, Lease, Limit, Urgency, part};
use line::Gate;
use shares::Shares;
use tally::{Crowd, Idle, Pool, Server, Servers};

/// What the connections of a pool have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolKey {
    /// The server.
    pub backend: BackendId,
    /// The database.
    pub database: Bytes,
    /// The user.
    pub user: Bytes,
}

impl Ord for PoolKey {
    fn cmp(&self, other: &Self) -> Ordering {
        // A pool is looked for by the very key that it has, many times a transaction.
        if std::ptr::eq(self, other) {
            return Ordering::Equal;
        }
        let Self { backend, database, user } = self;
        (backend, database, user).cmp(&(&other.backend, &other.database, &other.user))
    }
}

impl PartialOrd for PoolKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
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
pub enum Answer {
    /// This idle connection is lent.
    Lent(ConnId),
    /// A connection may be opened; its place is taken.
    Open,
    /// The asker is in line. If there is a connection, it must be closed to make room.
    Queued(Option<ConnId>),
    /// The line is full.
    Full,
}

/// What a connection that is put back changes for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ripple {
    /// Nothing: nobody waits for anything at its server, and no limit is exceeded.
    None,
    /// Perhaps something: the server's turns are to be taken, and [`Pools::surplus`] looked for.
    Some,
}

/// What is to be done for those in line.
#[derive(Debug)]
pub enum Turn {
    /// This idle connection is lent to the first in line.
    Lent(ConnId, Waiter),
    /// A connection may be opened for the first in line; its place is taken.
    Open(Arc<PoolKey>, Waiter),
    /// This idle connection must be closed to make room.
    Evict(ConnId),
    /// The cluster has changed since this one chose the server.
    Stale(Waiter),
    /// `Control` is to be told this.
    Lease(Limit, Lease),
}

/// All pools of a shard.
#[derive(Debug, Default)]
pub struct Pools {
    shares: Shares,
    pools: BTreeMap<Arc<PoolKey>, Pool>,
    servers: Servers,
    stamp: u64,
    /// Clients that have joined a line.
    joined: u64,
    /// Claims that were made.
    claims: u64,
    /// When wants and recalls are to be looked at again.
    lease_at: Option<Instant>,
}

impl Pools {
    /// Makes pools without connections, for one of several shards.
    #[must_use]
    pub fn new(policy: &PoolPolicy, shards: usize, shard: ShardId) -> Self {
        Self { shares: Shares::new(policy, shards, shard), ..Self::default() }
    }

    /// Takes another policy; those in line are to be looked at again.
    pub fn set_policy(&mut self, policy: &PoolPolicy, shards: usize, shard: ShardId) {
        self.shares = Shares::new(policy, shards, shard);
        for (key, pool) in &mut self.pools {
            pool.pooling = self.shares.of(key);
        }
        self.claim_anew();
        let servers: Vec<BackendId> = self.servers.iter().map(|(id, _)| id).collect();
        servers.into_iter().for_each(|server| self.rouse_all(server));
    }

    /// Decides whether a connection to `ticket.backend` may serve `ticket.purpose`.
    ///
    /// The one gate between a session and a server: a write passes only to the primary of the
    /// current epoch, only with a ticket of that epoch, and not while a switchover holds it.
    ///
    /// # Errors
    /// The cluster has changed since the ticket was made, or the server is not fit.
    pub fn admit(topology: &Topology, ticket: Ticket) -> Result<(), Stale> {
        let fit = match ticket.purpose {
            Purpose::Write => {
                ticket.epoch == topology.epoch
                    && topology.primary == Some(ticket.backend)
                    && !topology.is_held()
            }
            Purpose::Read => topology.serves_reads(ticket.backend),
        };
        if fit { Ok(()) } else { Err(Stale) }
    }

    /// Decides what a session that wants a connection gets, and notes it.
    pub fn ask(&mut self, key: &Arc<PoolKey>, waiter: Waiter, now: Instant) -> Answer {
        match self.pools.get_mut(key) {
            Some(pool) if !pool.line.is_empty() => return self.queue(key, waiter, Gate::Open),
            Some(pool) => {
                if let Some(link) = pool.take_fit(&waiter.startup) {
                    self.servers.meet(key.backend).idle -= 1;
                    return Answer::Lent(link);
                }
            }
            None => self.meet(key),
        }
        match self.judge(key, now - waiter.since) {
            Verdict::Open => {
                self.opened(key);
                Answer::Open
            }
            Verdict::Wait { gate, outlook } => {
                self.lack(key, gate, outlook);
                self.queue(key, waiter, gate)
            }
            Verdict::Evict { from, link } => {
                let answer = self.queue(key, waiter, Gate::Open);
                if answer == Answer::Full {
                    return answer;
                }
                self.withdraw(&from, link);
                Answer::Queued(Some(link))
            }
        }
    }

    /// Puts a session into the line of its pool, and its pool before a gate.
    fn queue(&mut self, key: &Arc<PoolKey>, waiter: Waiter, gate: Gate) -> Answer {
        let queue_max = self.shares.queue_max;
        let Some(pool) = self.pools.get_mut(key) else { return Answer::Full };
        if pool.line.len() >= queue_max {
            self.tidy(key);
            return Answer::Full;
        }
        let before = pool.line.front();
        self.joined += 1;
        pool.line.join(waiter, self.joined);
        if pool.line.front() != before {
            self.stand(key, gate);
        }
        Answer::Queued(None)
    }

    /// Names a server for which somebody in line is to be looked at.
    #[must_use]
    pub fn roused(&self) -> Option<BackendId> {
        let is_roused = |server: &Server| server.is_stirred || !server.ready.is_empty();
        self.servers.iter().find(|(_, server)| is_roused(server)).map(|(id, _)| id)
    }

    /// Decides what is to be done next for those who wait for a server, here or in another shard;
    /// it is noted already.
    pub fn next_turn(
        &mut self,
        backend: BackendId,
        topology: &Topology,
        now: Instant,
    ) -> Option<Turn> {
        let elsewhere = self.next_yield(backend, now);
        let turn = elsewhere.or_else(|| self.next_service(backend, topology, now));
        turn.or_else(|| self.next_want(backend, now))
    }

    /// Decides what is to be done next for those in line.
    fn next_service(
        &mut self,
        backend: BackendId,
        topology: &Topology,
        now: Instant,
    ) -> Option<Turn> {
        loop {
            let server = self.servers.get_mut(backend)?;
            let (place, key) = server.ready.first_key_value()?;
            let (place, key) = (*place, key.clone());
            let pool = self.pools.get_mut(&key).filter(|pool| !pool.line.is_empty());
            let Some(pool) = pool else {
                server.ready.remove(&place);
                continue;
            };
            let first = pool.line.first()?;
            let (from, waited, startup) = (pool.from, now - first.since, first.startup.clone());
            if Self::admit(topology, first.ticket) == Err(Stale) {
                let waiter = self.call(&key)?;
                self.tidy(&key);
                return Some(Turn::Stale(waiter));
            }
            if let Some(link) = pool.take_fit(&startup) {
                server.idle -= 1;
                return self.call(&key).map(|waiter| Turn::Lent(link, waiter));
            }
            let gate = match self.judge(&key, waited) {
                Verdict::Open => {
                    self.opened(&key);
                    let waiter = self.call(&key)?;
                    self.rouse_gates(&key);
                    return Some(Turn::Open(key, waiter));
                }
                // Looked at again, for other limits may need room as well.
                Verdict::Evict { from, link } => {
                    self.withdraw(&from, link);
                    return Some(Turn::Evict(link));
                }
                Verdict::Wait { gate, outlook } => {
                    self.lack(&key, gate, outlook);
                    let place = self.stand(&key, gate);
                    if let (Outlook::Spoken, Some(place)) = (outlook, place) {
                        self.rouse_behind(&key, gate, place);
                    }
                    gate
                }
            };
            // It has left the front of another gate: whoever is behind it there comes up.
            if from != gate {
                self.rouse_gate(&key, from);
            }
        }
    }

    /// Takes the first out of the line of a pool; the next one is to be looked at.
    fn call(&mut self, key: &Arc<PoolKey>) -> Option<Waiter> {
        let pool = self.pools.get_mut(key)?;
        let session = pool.line.first()?.session;
        let waiter = pool.line.leave(session)?;
        let size_max = pool.size_max() + pool.pooling.reserve_size;
        let is_full = pool.idle.is_empty() && pool.open >= size_max;
        self.stand(key, if is_full { Gate::Pool } else { Gate::Open });
        Some(waiter)
    }

    /// Takes a session out of a line, if it is in it.
    pub fn forget(&mut self, key: &Arc<PoolKey>, session: ConnId) {
        let Some(pool) = self.pools.get_mut(key) else { return };
        let before = pool.line.front();
        if pool.line.leave(session).is_some() {
            if pool.line.front() != before {
                self.stand(key, Gate::Open);
            }
            self.stir(key.backend);
            self.tidy(key);
        }
    }

    /// Takes those out of their lines who cannot be served in a view of the cluster.
    pub fn expel(&mut self, backend: BackendId, topology: &Topology) -> Vec<Waiter> {
        let mut expelled = Vec::new();
        for key in self.keys(backend) {
            let Some(pool) = self.pools.get_mut(&key) else { continue };
            let stale = |waiter: &&Waiter| Self::admit(topology, waiter.ticket) == Err(Stale);
            let sessions: Vec<ConnId> = pool.line.iter().filter(stale).map(|w| w.session).collect();
            expelled.extend(sessions.into_iter().filter_map(|session| pool.line.leave(session)));
            self.stand(&key, Gate::Open);
            self.tidy(&key);
        }
        self.stir(backend);
        expelled
    }

    /// Takes a connection back that is clean.
    pub fn put_back(
        &mut self,
        key: &Arc<PoolKey>,
        link: ConnId,
        startup: Arc<Params>,
        now: Instant,
    ) -> Ripple {
        self.stamp += 1;
        let stamp = self.stamp;
        // It is still counted, so that its pool is known.
        let Some(pool) = self.pools.get_mut(key) else { return Ripple::None };
        let server = self.servers.meet(key.backend);
        pool.idle.push(Idle { link, startup, stamp, since: now });
        server.idle += 1;
        let is_wanted = !pool.line.is_empty() || !server.is_calm();
        if !is_wanted && !self.shares.are_exceeded(key, pool, server) {
            return Ripple::None;
        }
        self.rouse(key);
        self.rouse_gates(key);
        Ripple::Some
    }

    /// Forgets a connection that is about to be closed; its place stays taken until
    /// [`Pools::free`].
    pub fn withdraw(&mut self, key: &Arc<PoolKey>, link: ConnId) {
        self.take(key, link);
        let Some(pool) = self.pools.get_mut(key) else { return };
        if pool.closing.insert(link)
            && let Some(server) = self.servers.get_mut(key.backend)
        {
            server.closing(key);
        }
    }

    /// Frees the place of a connection that has ended.
    pub fn free(&mut self, key: &Arc<PoolKey>, link: ConnId) {
        self.take(key, link);
        let Some(pool) = self.pools.get_mut(key) else { return };
        let was_closing = pool.closing.remove(&link);
        pool.open = pool.open.saturating_sub(1);
        if let Some(server) = self.servers.get_mut(key.backend) {
            server.closed(key, was_closing);
        }
        self.rouse(key);
        self.rouse_gates(key);
        self.tidy(key);
    }

    /// Takes the place of a connection that nobody asked for, if no client could want it.
    pub fn spare(&mut self, key: &Arc<PoolKey>) -> bool {
        let is_wanted = self
            .servers
            .get(key.backend)
            .is_some_and(|server| server.queued > 0 || !server.ready.is_empty());
        if is_wanted || self.pools.get(key).is_some_and(|pool| !pool.line.is_empty()) {
            return false;
        }
        self.meet(key);
        let may = self.has_room(key);
        if may {
            self.opened(key);
        }
        self.tidy(key);
        may
    }

    /// Takes an idle connection for a purpose of pgherd's own.
    pub fn borrow_idle(&mut self, is_meant: impl Fn(&PoolKey) -> bool) -> Option<ConnId> {
        let meant = self.pools.iter().filter(|(key, _)| is_meant(key));
        let (key, link) = meant
            .filter_map(|(key, pool)| Some((key, pool.idle.last()?.link)))
            .map(|(key, link)| (key.clone(), link))
            .next()?;
        self.take(&key, link);
        Some(link)
    }

    /// Lists the idle connections to servers that `is_meant` picks.
    #[must_use]
    pub fn idle(&self, is_meant: impl Fn(&PoolKey) -> bool) -> Vec<ConnId> {
        let meant = self.pools.iter().filter(|(key, _)| is_meant(key));
        meant.flat_map(|(_, pool)| pool.idle.iter().map(|idle| idle.link)).collect()
    }

    /// Finds an idle connection that was opened with parameters like `startup`, without taking it.
    #[must_use]
    pub fn peek(&self, key: &PoolKey, startup: &Params) -> Option<ConnId> {
        let pool = self.pools.get(key)?;
        pool.idle.iter().rev().find(|idle| idle.startup.is_akin(startup)).map(|idle| idle.link)
    }

    /// Lists the pools of which sessions wait for a connection and that have none.
    pub fn deserted(&self) -> impl Iterator<Item = Arc<PoolKey>> {
        let deserted =
            self.pools.iter().filter(|(_, pool)| pool.open == 0 && !pool.line.is_empty());
        deserted.map(|(key, _)| key.clone())
    }

    /// Finds an idle connection of a pool that is more than a limit allows, the least recently
    /// used first.
    #[must_use]
    pub fn surplus(&self, key: &PoolKey) -> Option<ConnId> {
        let pool = self.pools.get(key)?;
        let server = self.servers.get(key.backend)?;
        let is_surplus = self.shares.are_exceeded(key, pool, server);
        pool.idle.first().filter(|_| is_surplus).map(|idle| idle.link)
    }

    /// How many connections a pool lacks to its minimum, and how many it has beyond it.
    #[must_use]
    pub fn balance(&self, key: &PoolKey) -> (usize, usize) {
        let Some(pool) = self.pools.get(key) else { return (self.shares.of(key).size_min, 0) };
        let (has, min) = (pool.staying(), pool.pooling.size_min);
        (min.saturating_sub(has), has.saturating_sub(min))
    }

    /// Has those looked at who have waited long enough for the reserve; returns when that will
    /// next be so for others.
    pub fn rouse_for_reserve(&mut self, now: Instant) -> Option<Instant> {
        let mut next = None;
        let mut due = Vec::new();
        for (key, pool) in self.pools.iter().filter(|(_, pool)| pool.pooling.reserve_size > 0) {
            let Some((since, _)) = pool.line.front() else { continue };
            let at = since + self.shares.reserve_timeout;
            if at > now {
                next = Some(next.map_or(at, |next: Instant| next.min(at)));
            } else if pool.gate == Gate::Pool {
                due.push(key.clone());
            }
        }
        due.iter().for_each(|key| self.rouse(key));
        next
    }

    /// When a client that came into the line of a pool at `since` may use the pool's reserve; none
    /// if there is none.
    #[must_use]
    pub fn reserve_at(&self, key: &PoolKey, since: Instant) -> Option<Instant> {
        let pool = self.pools.get(key).filter(|pool| pool.pooling.reserve_size > 0)?;
        (!pool.line.is_empty()).then(|| since + self.shares.reserve_timeout)
    }

    /// The pools of a server.
    fn keys(&self, backend: BackendId) -> Vec<Arc<PoolKey>> {
        self.of_server(backend).map(|(key, _)| key.clone()).collect()
    }

    fn of_server(&self, backend: BackendId) -> impl Iterator<Item = (&Arc<PoolKey>, &Pool)> {
        let first = PoolKey { backend, ..PoolKey::default() };
        let range = (Bound::Included(&first), Bound::Unbounded);
        let pools = self.pools.range::<PoolKey, _>(range);
        pools.take_while(move |(key, _)| key.backend == backend)
    }

    /// Takes an idle connection out of its pool, if it is there.
    fn take(&mut self, key: &PoolKey, link: ConnId) {
        let Some(pool) = self.pools.get_mut(key) else { return };
        let Some(at) = pool.idle.iter().rposition(|idle| idle.link == link) else { return };
        pool.idle.remove(at);
        if let Some(server) = self.servers.get_mut(key.backend) {
            server.idle -= 1;
        }
    }

    /// Notes that a connection is being opened.
    fn opened(&mut self, key: &Arc<PoolKey>) {
        if let Some(pool) = self.pools.get_mut(key) {
            pool.open += 1;
            self.servers.meet(key.backend).opened(key);
        }
    }

    /// Begins to count the connections of a pool and its server.
    fn meet(&mut self, key: &Arc<PoolKey>) {
        if !self.pools.contains_key(key) {
            let pool = Pool { pooling: self.shares.of(key), ..Pool::default() };
            self.pools.insert(key.clone(), pool);
            self.servers.meet(key.backend);
        }
    }

    fn tidy(&mut self, key: &Arc<PoolKey>) {
        self.return_unused(key);
        if self.pools.get(key).is_some_and(Pool::is_forgettable) {
            self.pools.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
