//! The figures of pools, for people.

use std::sync::Arc;

use super::{PoolKey, Pools};
use crate::config::Pooling;

/// Connections that share a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// In any state.
    pub open: usize,
    /// As many as there may be.
    pub quota: usize,
}

/// The figures of a pool: those of one shard, whose limits are its parts of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How it is pooled.
    pub pooling: Pooling,
    /// Connections in any state.
    pub open: usize,
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
    /// How many shards have a part of the limits.
    pub shards: usize,
}

impl Pools {
    /// Returns the figures of a pool; in a box, for refusals carry them.
    #[must_use]
    pub fn figures(&self, key: &PoolKey) -> Box<Figures> {
        Box::new(self.count(key))
    }

    fn count(&self, key: &PoolKey) -> Figures {
        let server = self.servers.get(&key.backend);
        let limited = |max: Option<usize>, open: Option<usize>| {
            max.map(|quota| Occupancy { open: open.unwrap_or_default(), quota })
        };
        let user = server.and_then(|server| server.users.get(&key.user));
        let database = server.and_then(|server| server.databases.get(&key.database));
        let general = Figures {
            pooling: self.shares.of(key),
            queue_max: self.shares.queue_max,
            node: server.map(|server| server.occupancy).unwrap_or_default(),
            user: limited(self.shares.user_max, user.map(|crowd| crowd.open)),
            database: limited(self.shares.database_max, database.map(|crowd| crowd.open)),
            shards: self.shares.count(),
            ..Figures::default()
        };
        let Some(pool) = self.pools.get(key) else { return general };
        let (open, idle, waiting) = (pool.open, pool.idle.len(), pool.line.len());
        Figures { open, idle, waiting, ..general }
    }

    /// Lists the pools that have connections or clients in line, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<PoolKey>, Figures)> {
        self.pools.keys().map(|key| (key, self.count(key)))
    }
}
