//! What a client that wants a connection can be given: a decision from the figures alone.

use std::sync::Arc;

use super::line::Gate;
use super::tally::places;
use super::{Crowd, Pool, PoolKey, Pools};
use crate::config::PoolMode;
use crate::id::ConnId;
use crate::time::Duration;

/// What a client can be given.
#[derive(Debug)]
pub(super) enum Verdict {
    /// A new connection.
    Open,
    /// Nothing before this idle connection, of this pool, has been closed.
    Evict { from: Arc<PoolKey>, link: ConnId },
    /// Nothing before something changes at the gate.
    Wait { gate: Gate, outlook: Outlook },
}

/// What a client may hope for that waits at a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// A connection is on its way out.
    Coming,
    /// There is an idle connection which another pool needs as much, and which somebody else in
    /// line may have.
    Spoken,
    /// There is nothing in this shard.
    Bleak,
}

/// What there is at a gate that is closed.
enum Relief {
    /// A connection is on its way out.
    Coming,
    /// This idle connection could be closed.
    Victim(Arc<PoolKey>, ConnId),
    /// An idle connection that must be left to its own pool.
    Spoken,
    /// Nothing.
    None,
}

impl Pools {
    /// Decides what a client of a pool can be given that has waited for so long, and that no idle
    /// connection fits.
    pub(super) fn judge(&self, key: &PoolKey, waited: Duration) -> Verdict {
        let pool = self.pools.get(key);
        let may_use_reserve = waited >= self.shares.reserve_timeout;
        let reserve = pool.filter(|_| may_use_reserve).map_or(0, |pool| pool.pooling.reserve_size);
        let mut coming = None;
        let mut victim = None;
        for (gate, open, closing, max) in self.limits(key, reserve) {
            if open < max {
                continue;
            }
            let will_open = closing > 0 && open - closing < max;
            let relief = if will_open { Relief::Coming } else { self.relief(key, gate, waited) };
            match relief {
                Relief::Coming => coming = coming.or(Some(gate)),
                Relief::Victim(from, link) => victim = victim.or(Some((from, link))),
                Relief::Spoken => return Verdict::Wait { gate, outlook: Outlook::Spoken },
                Relief::None => return Verdict::Wait { gate, outlook: Outlook::Bleak },
            }
        }
        match (victim, coming) {
            (Some((from, link)), _) => Verdict::Evict { from, link },
            (None, Some(gate)) => Verdict::Wait { gate, outlook: Outlook::Coming },
            (None, None) => Verdict::Open,
        }
    }

    /// Tells whether one more connection would keep to every limit.
    pub(super) fn has_room(&self, key: &PoolKey) -> bool {
        self.limits(key, 0).into_iter().all(|(_, open, _, max)| open < max)
    }

    /// Lists, by gate, the connections that there are, those of them that are on their way out,
    /// and how many there may be.
    pub(super) fn limits(&self, key: &PoolKey, reserve: usize) -> [(Gate, usize, usize, usize); 4] {
        let pool = self.pools.get(key);
        let size_max = || self.shares.of(key).size_max;
        let server = self.servers.get(key.backend);
        let of = |gate: Gate, crowd: Option<&Crowd>, part: Option<usize>| {
            let (open, closing, lent) =
                crowd.map_or((0, 0, 0), |crowd| (crowd.open, crowd.closing, crowd.lent));
            (gate, open, closing, part.map_or(usize::MAX, |part| places(part, lent)))
        };
        let user = server.and_then(|server| server.users.get(&key.user));
        let database = server.and_then(|server| server.databases.get(&key.database));
        let (open, closing, lent) =
            server.map_or((0, 0, 0), |server| (server.open, server.closing, server.lent));
        [
            (
                Gate::Pool,
                pool.map_or(0, |pool| pool.open),
                pool.map_or(0, |pool| pool.closing.len()),
                pool.map_or_else(size_max, Pool::size_max) + reserve,
            ),
            of(Gate::User, user, self.shares.user_max),
            of(Gate::Database, database, self.shares.database_max),
            (Gate::Server, open, closing, places(self.shares.server_max, lent)),
        ]
    }

    /// Finds the idle connection behind a gate that is missed least: of a pool that keeps more
    /// than its minimum, and least recently used.
    fn relief(&self, key: &PoolKey, gate: Gate, waited: Duration) -> Relief {
        if self.servers.get(key.backend).is_none_or(|server| server.idle == 0) {
            return Relief::None;
        }
        let is_meant = |other: &PoolKey| match gate {
            Gate::Pool => other == key,
            Gate::User => other.user == key.user,
            Gate::Database => other.database == key.database,
            Gate::Server | Gate::Open => true,
        };
        let mut relief = Relief::None;
        let mut best = (true, u64::MAX);
        let meant = self.of_server(key.backend).filter(|(other, _)| is_meant(other));
        for (other, pool) in meant {
            let Some(oldest) = pool.idle.first() else { continue };
            if other.as_ref() != key && !self.may_take(key, pool, waited) {
                if matches!(relief, Relief::None) {
                    relief = Relief::Spoken;
                }
                continue;
            }
            let rank = (pool.staying() <= pool.pooling.size_min, oldest.stamp);
            if rank <= best {
                best = rank;
                relief = Relief::Victim(other.clone(), oldest.link);
            }
        }
        relief
    }

    /// Tells whether a client may have a connection of another pool closed.
    ///
    /// Where clients keep connections for long, whoever came first is served first. Where they
    /// pass them on after every transaction, that would have connections closed and opened all the
    /// time: there, a pool that has its share leaves others theirs, for as long as nobody is in
    /// danger of waiting in vain.
    fn may_take(&self, key: &PoolKey, other: &Pool, waited: Duration) -> bool {
        let Some(pool) = self.pools.get(key) else { return false };
        other.line.is_empty()
            || pool.pooling.mode == PoolMode::Session
            || pool.open == 0
            || other.open > pool.open + 1
            || waited >= self.shares.patience
    }
}
