//! Who waits for a connection, in the order in which they came.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Limit, PoolKey, Waiter};
use crate::id::ConnId;
use crate::time::Instant;

/// A place in a line: since when, and how many clients had joined a line of the shard before.
///
/// Drivers note the time once for all that they find ready, so that many come at one instant. If
/// their names decided among them, some clients would overtake others with every statement.
pub(super) type Place = (Instant, u64);

/// The clients who wait for a connection of one pool.
///
/// Every operation costs the logarithm of its length, since thousands may stand in it.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiters: BTreeMap<Place, Waiter>,
    places: BTreeMap<ConnId, Place>,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Puts somebody in, before those who came later. `joined` counts who did so before, in any
    /// line.
    pub(super) fn join(&mut self, waiter: Waiter, joined: u64) {
        self.leave(waiter.session);
        let place = (waiter.since, joined);
        self.places.insert(waiter.session, place);
        self.waiters.insert(place, waiter);
    }

    /// Takes somebody out, if they stand in it.
    pub(super) fn leave(&mut self, session: ConnId) -> Option<Waiter> {
        let place = self.places.remove(&session)?;
        self.waiters.remove(&place)
    }

    /// The place of the first one.
    pub(super) fn front(&self) -> Option<Place> {
        self.waiters.first_key_value().map(|(place, _)| *place)
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<&Waiter> {
        self.waiters.first_key_value().map(|(_, waiter)| waiter)
    }

    /// All of them, first come first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.waiters.values()
    }
}

/// The first of the lines of several pools, in the order in which they came.
pub(super) type Fronts = BTreeMap<Place, Arc<PoolKey>>;

/// Where the first of a pool's line stands; limits are looked at in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gate {
    /// At none: the pool is to be looked at.
    #[default]
    Open,
    /// The pool itself is full.
    Pool,
    /// The pool's user has as many connections as a user may have.
    User,
    /// The pool's database has as many connections as a database may have.
    Database,
    /// The server has as many connections as it may have.
    Server,
}

impl Gate {
    /// Tells whether several pools may stand before it.
    pub(super) const fn is_shared(self) -> bool {
        match self {
            Self::Open | Self::Pool => false,
            Self::User | Self::Database | Self::Server => true,
        }
    }

    /// The limit that is reached there for a pool.
    pub(super) fn limit(self, key: &Arc<PoolKey>) -> Option<Limit> {
        match self {
            Self::Open => None,
            Self::Pool => Some(Limit::Pool(key.clone())),
            Self::User => Some(Limit::User(key.backend, key.user.clone())),
            Self::Database => Some(Limit::Database(key.backend, key.database.clone())),
            Self::Server => Some(Limit::Server(key.backend)),
        }
    }

    /// Where clients stand who wait for a limit.
    pub(super) const fn of(limit: &Limit) -> Self {
        match limit {
            Limit::Pool(_) => Self::Pool,
            Limit::User(..) => Self::User,
            Limit::Database(..) => Self::Database,
            Limit::Server(_) => Self::Server,
        }
    }
}
