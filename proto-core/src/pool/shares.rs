//! What a shard's share of the limits begins with.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::tally::{Crowd, Pool, Server, places};
use super::{PoolKey, part};
use crate::config::{PoolPolicy, Pooling};
use crate::id::ShardId;
use crate::time::Duration;

/// One shard's parts of the limits, before anything is lent.
#[derive(Debug)]
pub(super) struct Shares {
    pub(super) policy: PoolPolicy,
    /// How many shards have a part.
    pub(super) count: usize,
    /// Whose parts they are.
    pub(super) shard: ShardId,
    /// Connections to one server.
    pub(super) server_max: usize,
    /// Connections of one user to one server.
    pub(super) user_max: Option<usize>,
    /// Connections to one database of one server.
    pub(super) database_max: Option<usize>,
    /// Who has waited for so long may use the reserve.
    pub(super) reserve_timeout: Duration,
    /// Who has waited for so long takes a connection from a pool that could use it itself.
    pub(super) patience: Duration,
    /// Clients in the line of one pool.
    pub(super) queue_max: usize,
}

impl Shares {
    pub(super) fn new(policy: &PoolPolicy, shards: usize, shard: ShardId) -> Self {
        let own = |limit| part(limit, shards, shard.index());
        Self {
            count: shards.max(1),
            shard,
            server_max: own(policy.backend_connections_max),
            user_max: policy.user_connections_max.map(own),
            database_max: policy.database_connections_max.map(own),
            reserve_timeout: policy.reserve_timeout,
            // Half of what it may wait at all: before it is in danger of waiting in vain.
            patience: policy.wait_timeout / 2,
            // A limit of patience, not of a server's: rounding it up does no harm.
            queue_max: policy.queue_max.div_ceil(shards.max(1)),
            policy: policy.clone(),
        }
    }

    /// What the policy says of a pool, in this shard's parts.
    pub(super) fn of(&self, key: &PoolKey) -> Pooling {
        let whole = self.policy.of(&key.database, &key.user);
        let own = |limit| part(limit, self.count, self.shard.index());
        Pooling {
            mode: whole.mode,
            size_min: own(whole.size_min),
            size_max: own(whole.size_max),
            reserve_size: own(whole.reserve_size),
        }
    }

    /// Tells whether a pool, its user, its database or its server keeps more connections than there
    /// may be.
    pub(super) fn are_exceeded(&self, key: &PoolKey, pool: &Pool, server: &Server) -> bool {
        let exceeds = |crowds: &BTreeMap<Bytes, Crowd>, name: &Bytes, part: Option<usize>| {
            let is_over = |part, crowd: &Crowd| crowd.staying() > places(part, crowd.lent);
            part.is_some_and(|part| crowds.get(name).is_some_and(|crowd| is_over(part, crowd)))
        };
        pool.staying() > pool.size_max()
            || server.staying() > places(self.server_max, server.lent)
            || exceeds(&server.users, &key.user, self.user_max)
            || exceeds(&server.databases, &key.database, self.database_max)
    }
}

impl Default for Shares {
    fn default() -> Self {
        Self::new(&PoolPolicy::default(), 1, ShardId(0))
    }
}
