//! A shard's parts of the limits.

use super::PoolKey;
use crate::config::{PoolPolicy, Pooling};
use crate::time::Duration;

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

/// One shard's parts of the limits.
#[derive(Debug)]
pub(super) struct Shares {
    policy: PoolPolicy,
    shards: usize,
    shard: usize,
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
    pub(super) fn new(policy: &PoolPolicy, shards: usize, shard: usize) -> Self {
        let own = |limit| part(limit, shards, shard);
        Self {
            shards: shards.max(1),
            shard,
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
        let own = |limit| part(limit, self.shards, self.shard);
        Pooling {
            mode: whole.mode,
            size_min: own(whole.size_min),
            size_max: own(whole.size_max),
            reserve_size: own(whole.reserve_size),
        }
    }

    /// How many shards have a part.
    pub(super) fn count(&self) -> usize {
        self.shards
    }
}

impl Default for Shares {
    fn default() -> Self {
        Self::new(&PoolPolicy::default(), 1, 0)
    }
}
