//! What a shard has of the limits that it shares, and how it gets more.
//!
//! Where the first in line stands at a limit and nothing in the shard can serve it, the shard
//! claims a place of the other shards ([`Lease`]). Of what others claim, it yields what it does not
//! use, and closes connections for whoever came earlier than its own clients, or has less. All of
//! it is done between the turns of those in line, and costs nothing while nobody is short.

use std::sync::Arc;

use super::line::Gate;
use super::tally::Want;
use super::{Claim, Lease, Limit, Outlook, Pool, PoolKey, Pools, Turn, Urgency};
use crate::config::PoolMode;
use crate::id::{BackendId, ConnId};
use crate::limits;
use crate::time::Instant;

/// What a shard can do about another one's claim.
enum Response {
    /// Give a place away.
    Yield,
    /// Close this idle connection, of this pool.
    Close(Arc<PoolKey>, ConnId),
    /// Nothing, before something changes or this moment comes.
    Later(Option<Instant>),
}

impl Pools {
    /// Takes note of what `Control` says about a limit.
    pub fn handle_lease(&mut self, limit: &Limit, lease: Lease) {
        let server = self.servers.meet(limit.backend());
        match lease {
            Lease::Recall { number, claim: Some(claim) } => {
                server.recalls.insert(limit.clone(), (number, claim));
            }
            Lease::Recall { claim: None, .. } => {
                server.recalls.remove(limit);
            }
            Lease::Grant { count, answers } => {
                if let Some(want) = server.wants.get_mut(limit)
                    && matches!(want, Want::Said(number, _) if Some(*number) == answers)
                {
                    *want = Want::Unsaid;
                }
                self.lend(limit, count.cast_signed());
                self.rouse_at(limit);
            }
            // These are for `Control`.
            Lease::Want { .. } | Lease::Yield { .. } => {}
        }
        self.stir(limit.backend());
    }

    /// When wants and recalls are next to be looked at by [`Pools::rouse_leases`].
    pub fn take_lease_at(&mut self) -> Option<Instant> {
        self.lease_at.take()
    }

    /// Has wants and recalls looked at.
    pub fn rouse_leases(&mut self) {
        self.servers.iter_mut().for_each(super::Server::stir);
    }

    /// Notes that nothing in this shard can serve the first in line of a pool.
    pub(super) fn lack(&mut self, key: &Arc<PoolKey>, gate: Gate, outlook: Outlook) {
        if self.shares.count > 1
            && outlook != Outlook::Coming
            && let Some(limit) = gate.limit(key)
            && let Some(server) = self.servers.get_mut(key.backend)
        {
            server.wants.entry(limit).or_insert(Want::Unsaid);
            server.is_stirred = true;
        }
    }

    /// Has wants and recalls of a server looked at, if there are any.
    pub(super) fn stir(&mut self, backend: BackendId) {
        if let Some(server) = self.servers.get_mut(backend) {
            server.stir();
        }
    }

    /// Has all claims made anew, for the policy has changed.
    pub(super) fn claim_anew(&mut self) {
        if self.shares.count == 1 {
            return;
        }
        for server in self.servers.iter_mut() {
            server.wants.values_mut().for_each(|want| *want = Want::Outdated);
        }
        // Where less is left than was given away, the rest is owed.
        let keys: Vec<Arc<PoolKey>> = self.pools.keys().cloned().collect();
        for key in keys {
            for gate in [Gate::Pool, Gate::User, Gate::Database, Gate::Server] {
                let Some(limit) = gate.limit(&key).filter(|limit| self.owes(limit)) else {
                    continue;
                };
                let Some(server) = self.servers.get_mut(key.backend) else { continue };
                server.wants.entry(limit).or_insert(Want::Unsaid);
            }
        }
        self.rouse_leases();
    }

    /// Answers what other shards claim of a server's limits.
    pub(super) fn next_yield(&mut self, backend: BackendId, now: Instant) -> Option<Turn> {
        let server = self.servers.get_mut(backend)?;
        server.is_stirred = false;
        if let Some((limit, count)) = server.spare.pop() {
            return Some(Turn::Lease(limit, Lease::Yield { count, answers: None }));
        }
        if server.recalls.is_empty() {
            return None;
        }
        let recalls: Vec<(Limit, (u64, Claim))> =
            server.recalls.iter().map(|(limit, recall)| (limit.clone(), *recall)).collect();
        for (limit, (number, claim)) in recalls {
            match self.respond(&limit, claim, now) {
                Response::Yield => {
                    self.lend(&limit, -1);
                    let server = self.servers.get_mut(backend)?;
                    server.recalls.remove(&limit);
                    let lease = Lease::Yield { count: 1, answers: Some(number) };
                    return Some(Turn::Lease(limit, lease));
                }
                Response::Close(key, link) => {
                    self.withdraw(&key, link);
                    return Some(Turn::Evict(link));
                }
                Response::Later(at) => self.look_again(at),
            }
        }
        None
    }

    /// Decides what can be done about a claim of another shard.
    fn respond(&self, limit: &Limit, claim: Claim, now: Instant) -> Response {
        let (open, closing, max) = self.standing(limit);
        if max == usize::MAX {
            return Response::Later(None);
        }
        let gate = Gate::of(limit);
        // A calm claim is not withdrawn, and may be nobody's any more: it takes nothing that could
        // serve somebody here, or two shards that need two limits pass both to one another.
        let is_earlier = |pool: &Pool| {
            let first = pool.line.front().map(|(since, _)| (since, self.shares.shard));
            let is_calm = claim.urgency == Urgency::Calm;
            first.is_some_and(|first| is_calm || first < (claim.since, claim.shard))
        };
        // Whoever stands at a limit that is looked at earlier has no use for this one yet.
        let comes_first =
            |pool: &Pool| is_earlier(pool) && (pool.gate == Gate::Open || pool.gate >= gate);
        let about = || self.of_server(limit.backend()).filter(|(key, _)| limit.is_about(key));
        let needed = about().filter(|(_, pool)| comes_first(pool)).count();
        let spare = max.saturating_sub(open);
        if spare > needed {
            return Response::Yield;
        }
        if spare > 0 || needed > 0 || (closing > 0 && open - closing < max) {
            return Response::Later(None);
        }
        let is_pressing = claim.urgency == Urgency::Pressing;
        let has_less = open > claim.has + 1;
        let mut later: Option<Instant> = None;
        let mut best: Option<((bool, u64), &Arc<PoolKey>, ConnId)> = None;
        for (key, pool) in about() {
            let Some(oldest) = pool.idle.first() else { continue };
            let is_kept = pool.staying() <= pool.pooling.size_min;
            let old_at = oldest.since + limits::LEASE_IDLE_TIME;
            let may_go = if pool.line.is_empty() {
                is_pressing || !is_kept && (claim.has == 0 || has_less || old_at <= now)
            } else {
                is_pressing || !is_kept && has_less
            };
            if may_go {
                let rank = (is_kept, oldest.stamp);
                best = best.filter(|(best, ..)| *best < rank).or(Some((rank, key, oldest.link)));
            } else if !is_kept && old_at > now {
                later = Some(later.map_or(old_at, |later| later.min(old_at)));
            }
        }
        match best {
            Some((_, key, link)) => Response::Close(key.clone(), link),
            None => Response::Later(later),
        }
    }

    /// Says what this shard wants of a server's limits, if that has not been said.
    pub(super) fn next_want(&mut self, backend: BackendId, now: Instant) -> Option<Turn> {
        if self.servers.get(backend)?.wants.is_empty() {
            return None;
        }
        let wants: Vec<(Limit, Want)> =
            self.servers.get(backend)?.wants.iter().map(|(l, want)| (l.clone(), *want)).collect();
        for (limit, said) in wants {
            let claim = self.claim(&limit, now);
            let is_to_be_said = match (said, claim) {
                (Want::Unsaid, claim) => claim.is_some(),
                (Want::Outdated, _) => true,
                (Want::Said(_, old), Some(claim)) => {
                    let pressing = [old.urgency, claim.urgency].contains(&Urgency::Pressing);
                    pressing && (old.urgency, old.since) != (claim.urgency, claim.since)
                }
                // A calm one is left to stand: it is answered when somebody has too much.
                (Want::Said(_, old), None) => old.urgency == Urgency::Pressing,
            };
            self.claims += u64::from(is_to_be_said);
            let number = self.claims;
            let server = self.servers.get_mut(backend)?;
            match (claim, is_to_be_said) {
                (Some(claim), true) => {
                    server.wants.insert(limit.clone(), Want::Said(number, claim));
                }
                (None, true) => {
                    server.wants.remove(&limit);
                }
                (None, false) if said == Want::Unsaid => {
                    server.wants.remove(&limit);
                }
                (_, false) => {}
            }
            if is_to_be_said {
                return Some(Turn::Lease(limit, Lease::Want { number, claim }));
            }
        }
        None
    }

    /// What this shard can claim of a limit.
    fn claim(&mut self, limit: &Limit, now: Instant) -> Option<Claim> {
        let (has, _, max) = self.standing(limit);
        let shard = self.shares.shard;
        if self.owes(limit) {
            // Older than any client.
            let since = Instant::ZERO;
            return Some(Claim { urgency: Urgency::Pressing, has: 0, since, shard });
        }
        let key = self.first_at(limit).filter(|_| has >= max)?;
        let pool = self.pools.get(&key)?;
        let (since, _) = pool.line.front()?;
        let patience = if pool.open == 0 { limits::LEASE_TURN_TIME } else { self.shares.patience };
        let is_own = pool.pooling.mode == PoolMode::Session;
        let urgency = if is_own || now >= since + patience {
            Urgency::Pressing
        } else {
            self.look_again(Some(since + patience));
            Urgency::Calm
        };
        Some(Claim { urgency, has, since, shard })
    }

    /// The pool whose first in line is the first at a limit.
    fn first_at(&self, limit: &Limit) -> Option<Arc<PoolKey>> {
        let server = self.servers.get(limit.backend())?;
        let fronts = match limit {
            Limit::Pool(key) => {
                let pool = self.pools.get(key)?;
                return (pool.gate == Gate::Pool).then(|| key.clone());
            }
            Limit::User(_, user) => &server.users.get(user)?.fronts,
            Limit::Database(_, name) => &server.databases.get(name)?.fronts,
            Limit::Server(_) => &server.fronts,
        };
        fronts.first_key_value().map(|(_, key)| key.clone())
    }

    /// Connections that count, those of them that are on their way out, and places.
    fn standing(&self, limit: &Limit) -> (usize, usize, usize) {
        let example = limit.example();
        let gate = Gate::of(limit);
        let of_gate = self.limits(&example, 0).into_iter().find(|(of, ..)| *of == gate);
        of_gate.map_or((0, 0, usize::MAX), |(_, open, closing, max)| (open, closing, max))
    }

    /// Tells whether more was given away of a limit than is left of this shard's part.
    fn owes(&self, limit: &Limit) -> bool {
        let server = self.servers.get(limit.backend());
        let (part, lent) = match limit {
            Limit::Pool(key) => {
                let pool = self.pools.get(key);
                (pool.map(|pool| pool.pooling.size_max), pool.map(|pool| pool.lent))
            }
            Limit::User(_, user) => {
                let crowd = server.and_then(|server| server.users.get(user));
                (self.shares.user_max, crowd.map(|crowd| crowd.lent))
            }
            Limit::Database(_, name) => {
                let crowd = server.and_then(|server| server.databases.get(name));
                (self.shares.database_max, crowd.map(|crowd| crowd.lent))
            }
            Limit::Server(_) => (Some(self.shares.server_max), server.map(|server| server.lent)),
        };
        let lent = lent.unwrap_or_default();
        part.is_some_and(|part| lent < 0 && part < lent.unsigned_abs())
    }

    /// Changes how many places this shard has.
    fn lend(&mut self, limit: &Limit, more: isize) {
        let pool_part = match limit {
            Limit::Pool(key) => {
                self.meet(key);
                self.pools.get_mut(key).map(|pool| &mut pool.lent)
            }
            Limit::User(..) | Limit::Database(..) | Limit::Server(_) => {
                let server = self.servers.get_mut(limit.backend());
                server.and_then(|server| server.lent(limit))
            }
        };
        if let Some(lent) = pool_part {
            *lent += more;
        }
        match limit {
            Limit::Pool(key) => self.tidy(key),
            Limit::User(..) | Limit::Database(..) | Limit::Server(_) => {
                self.return_unused(&Arc::new(limit.example()));
            }
        }
    }

    /// Has the first looked at who stands at a limit.
    fn rouse_at(&mut self, limit: &Limit) {
        if let Some(key) = self.first_at(limit) {
            self.rouse(&key);
        }
    }

    /// Gives back what was lent for a pool, its user, its database and its server, of which there
    /// are no connections any more and which nobody wants.
    pub(super) fn return_unused(&mut self, key: &Arc<PoolKey>) {
        let Some(server) = self.servers.get_mut(key.backend) else { return };
        let is_calm = server.ready.is_empty();
        let pool = self.pools.get_mut(key).filter(|pool| pool.is_unused());
        let user = server.users.get_mut(&key.user).filter(|crowd| is_calm && crowd.is_unused());
        let database = server.databases.get_mut(&key.database);
        let database = database.filter(|crowd| is_calm && crowd.is_unused());
        let unused = [
            pool.map(|pool| (Gate::Pool, &mut pool.lent)),
            user.map(|crowd| (Gate::User, &mut crowd.lent)),
            database.map(|crowd| (Gate::Database, &mut crowd.lent)),
        ];
        for (gate, lent) in unused.into_iter().flatten() {
            if let (Ok(count @ 1..), Some(limit)) = (usize::try_from(*lent), gate.limit(key)) {
                *lent = 0;
                server.spare.push((limit, count));
            }
        }
        server.is_stirred |= !server.spare.is_empty();
        server.tidy();
    }

    /// Wants and recalls are to be looked at again at a moment, if not earlier.
    fn look_again(&mut self, at: Option<Instant>) {
        if let Some(at) = at {
            self.lease_at = Some(self.lease_at.map_or(at, |known| known.min(at)));
        }
    }
}
