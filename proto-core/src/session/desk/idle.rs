//! Links that nobody uses: how long they are kept, and how many.

use std::sync::Arc;

use super::{Desk, TimerKey};
use crate::auth::scram::VerifierCache;
use crate::backend::link::{Link, State};
use crate::config::{Config, PoolPolicy};
use crate::id::ConnId;
use crate::pool::{Lease, Limit, PoolKey, Ripple};
use crate::time::{Instant, Timers};

impl Desk {
    /// Takes a new configuration.
    pub fn reload(&mut self, config: Arc<Config>) {
        self.verifiers = VerifierCache::of(&config.auth.users, &self.mock_key, &self.verifiers);
        self.greetings.clear();
        self.pools.set_policy(&config.pool, config.worker_threads, self.shard);
        self.config = config;
        for link in self.pools.idle(|_| true) {
            if self.config.pool.cache {
                self.arm_idle_link(link);
            } else {
                self.retire(link);
            }
        }
        self.trim();
        self.look_at_pools(self.now);
    }

    /// Takes note of what `Control` says about a limit of connections.
    pub fn on_lease(&mut self, limit: &Limit, lease: Lease) {
        self.pools.handle_lease(limit, lease);
        self.serve(limit.backend());
        if matches!(lease, Lease::Grant { .. }) {
            self.look_at_pools(self.now);
        }
    }

    pub(super) fn put_back(&mut self, id: ConnId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if is_aged(&self.config.pool, link, self.now) {
            return self.retire(id);
        }
        link.state = State::Idle;
        link.history.on_returned(self.now);
        arm_idle(&mut self.timers, &self.config.pool, id, link, self.now);
        self.catalogs.rouse(self.now);
        if self.pools.put_back(&link.pool, id, link.startup.clone(), self.now) == Ripple::None {
            return;
        }
        let key = link.pool.clone();
        self.serve(key.backend);
        // Of the reserve, perhaps, and nobody waits any more.
        if let Some(link) = self.pools.surplus(&key) {
            self.retire(link);
        }
    }

    /// A link has been idle for long, or has grown old: closes it, unless it is to be kept.
    pub(super) fn on_idle_timeout(&mut self, id: ConnId) {
        let Some(link) = self.links.get(id) else { return };
        let (_, beyond) = self.pools.balance(&link.pool);
        if beyond > 0 || is_aged(&self.config.pool, link, self.now) {
            self.retire(id);
        } else {
            self.arm_idle_link(id);
        }
    }

    /// Arms the deadline of a link that is idle, as if it had just become so.
    fn arm_idle_link(&mut self, id: ConnId) {
        if let Some(link) = self.links.get_mut(id) {
            arm_idle(&mut self.timers, &self.config.pool, id, link, self.now);
        }
    }

    /// Closes the idle links that are more than the limits allow.
    fn trim(&mut self) {
        let keys: Vec<Arc<PoolKey>> = self.pools.iter().map(|(key, _)| key.clone()).collect();
        for key in keys {
            while let Some(link) = self.pools.surplus(&key) {
                self.retire(link);
            }
        }
    }
}

/// Tells whether a link is older than links shall grow.
fn is_aged(policy: &PoolPolicy, link: &Link, now: Instant) -> bool {
    policy.age_max.is_some_and(|max| now >= link.opened + max)
}

/// Arms the deadline of a link that begins to be idle.
fn arm_idle(
    timers: &mut Timers<TimerKey>,
    policy: &PoolPolicy,
    id: ConnId,
    link: &mut Link,
    now: Instant,
) {
    let unused = policy.life_time.map(|life| now + life);
    let aged = policy.age_max.map(|max| link.opened + max);
    match [unused, aged].into_iter().flatten().min() {
        Some(due) => timers.set(&mut link.deadline, due, TimerKey::Link(id)),
        None => link.deadline.hush(),
    }
}
