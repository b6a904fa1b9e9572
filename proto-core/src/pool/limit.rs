//! What shards lend one another: places under the limits that they share.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;

use super::PoolKey;
use crate::config::PoolPolicy;
use crate::id::{BackendId, ShardId};
use crate::time::Instant;

/// The part of a limit that one of several shards begins with: the parts add up to the limit.
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

/// A limit of connections to one server, which all shards share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Connections of a pool.
    Pool(Arc<PoolKey>),
    /// Connections of a user.
    User(BackendId, Bytes),
    /// Connections to a database.
    Database(BackendId, Bytes),
    /// Connections to the server.
    Server(BackendId),
}

impl Limit {
    /// The server.
    #[must_use]
    pub fn backend(&self) -> BackendId {
        match self {
            Self::Pool(key) => key.backend,
            Self::User(backend, _) | Self::Database(backend, _) | Self::Server(backend) => *backend,
        }
    }

    /// How many connections there may be, all shards together; none is no limit.
    #[must_use]
    pub fn whole(&self, policy: &PoolPolicy) -> Option<usize> {
        match self {
            Self::Pool(key) => Some(policy.of(&key.database, &key.user).size_max),
            Self::User(..) => policy.user_connections_max,
            Self::Database(..) => policy.database_connections_max,
            Self::Server(_) => Some(policy.backend_connections_max),
        }
    }

    /// A pool whose connections count.
    pub(super) fn example(&self) -> PoolKey {
        let backend = self.backend();
        match self {
            Self::Pool(key) => (**key).clone(),
            Self::User(_, user) => PoolKey { backend, user: user.clone(), ..PoolKey::default() },
            Self::Database(_, name) => {
                PoolKey { backend, database: name.clone(), ..PoolKey::default() }
            }
            Self::Server(_) => PoolKey { backend, ..PoolKey::default() },
        }
    }

    /// Tells whether connections of a pool count.
    pub(super) fn is_about(&self, key: &PoolKey) -> bool {
        match self {
            Self::Pool(own) => **own == *key,
            Self::User(backend, user) => *backend == key.backend && *user == key.user,
            Self::Database(backend, name) => *backend == key.backend && *name == key.database,
            Self::Server(backend) => *backend == key.backend,
        }
    }
}

/// How much a claim demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A client waits whose turn it is: it comes before those of other shards who came later.
    Pressing,
    /// The shard could use more than it has, and its clients take turns with what it has.
    Calm,
}

/// What a shard says when a client of it waits at a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// How much it demands.
    pub urgency: Urgency,
    /// How many connections that count the shard has.
    pub has: usize,
    /// Since when the client waits.
    pub since: Instant,
    /// The shard.
    pub shard: ShardId,
}

impl Claim {
    /// Compares by who is to be served first: whoever presses; of the calm, whoever has nothing;
    /// then whoever came first.
    ///
    /// Among those who press nothing else counts, here as in the shards: what a claim has is not kept
    /// true, and places that are granted by one order and yielded by another go round without end.
    #[must_use]
    pub fn before(&self, other: &Self) -> Ordering {
        let rank = |claim: &Self| {
            let has_some = claim.urgency == Urgency::Calm && claim.has > 0;
            (claim.urgency, has_some, claim.since, claim.shard)
        };
        rank(self).cmp(&rank(other))
    }
}

/// What shards and `Control` tell one another about places under a limit.
///
/// A shard's places under a limit are its [`part`], more what it was granted, less what it
/// yielded. A place is with one shard or on its way, so that all of them are never more than the
/// limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The shard's claim is now this one, or none. From a shard to `Control`.
    Want {
        /// Counts the shard's claims.
        number: u64,
        /// The claim.
        claim: Option<Claim>,
    },
    /// Another shard's claim is now this one, or there is none. From `Control` to a shard.
    Recall {
        /// Counts what `Control` has told of claims.
        number: u64,
        /// The claim.
        claim: Option<Claim>,
    },
    /// The shard gives places away. From a shard to `Control`.
    Yield {
        /// How many.
        count: usize,
        /// The recall that is answered; none if the shard has no use for them.
        answers: Option<u64>,
    },
    /// The shard gets places. From `Control` to a shard.
    Grant {
        /// How many.
        count: usize,
        /// The claim that is answered, if one is.
        answers: Option<u64>,
    },
}
