//! The figures of pools, for people.

use std::sync::Arc;

use super::{PoolKey, Pools};

/// Connections that share a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// In any state.
    pub open: usize,
    /// As many as there may be in the shard now.
    pub quota: usize,
    /// As many as there may be in all shards together.
    pub max: usize,
}

/// The figures of a pool in one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections in any state.
    pub pool: Occupancy,
    /// Of which idle.
    pub idle: usize,
    /// Sessions in line.
    pub waiting: usize,
    /// Sessions that may be in line.
    pub queue_max: usize,
    /// Connections to the server, of all pools of the shard.
    pub node: Occupancy,
    /// Connections of the user to the server, if they are limited.
    pub user: Option<Occupancy>,
    /// Connections to the database of the server, if they are limited.
    pub database: Option<Occupancy>,
    /// How many shards share the limits.
    pub shards: usize,
}

impl Pools {
    /// Returns the figures of a pool; in a box, for refusals carry them.
    #[must_use]
    pub fn figures(&self, key: &PoolKey) -> Box<Figures> {
        Box::new(self.count(key))
    }

    fn count(&self, key: &PoolKey) -> Figures {
        let pool = self.pools.get(key);
        let policy = &self.shares.policy;
        let limits = self.limits(key, 0);
        let [of_pool, user, database, node] = limits.map(|(_, open, _, quota)| (open, quota));
        let shared = |(open, quota), max| Occupancy { open, quota, max };
        Figures {
            pool: shared(of_pool, policy.of(&key.database, &key.user).size_max),
            idle: pool.map_or(0, |pool| pool.idle.len()),
            waiting: pool.map_or(0, |pool| pool.line.len()),
            queue_max: self.shares.queue_max,
            node: shared(node, policy.backend_connections_max),
            user: policy.user_connections_max.map(|max| shared(user, max)),
            database: policy.database_connections_max.map(|max| shared(database, max)),
            shards: self.shares.count,
        }
    }

    /// Lists the pools that have connections or clients in line, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<PoolKey>, Figures)> {
        let used = self.pools.iter().filter(|(_, pool)| !pool.is_unused());
        used.map(|(key, _)| (key, self.count(key)))
    }
}
