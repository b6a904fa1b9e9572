//! Links that nobody uses: how long they are kept, and how many.

use std::sync::Arc;

use super::{Desk, TimerKey};
use crate::auth::scram::VerifierCache;
use crate::backend::link::State;
use crate::config::Config;
use crate::id::ConnId;
use crate::pool::{Lease, Limit, PoolKey};

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
        if self.is_aged(id) {
            return self.retire(id);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        link.state = State::Idle;
        link.history.on_returned(self.now);
        let (key, startup) = (link.pool.clone(), link.startup.clone());
        self.arm_idle_link(id);
        self.pools.put_back(&key, id, startup, self.now);
        self.serve(key.backend);
        self.catalogs.rouse(self.now);
        // Of the reserve, perhaps, and nobody waits any more.
        if let Some(link) = self.pools.surplus(&key) {
            self.retire(link);
        }
    }

    /// Tells whether a link is older than links shall grow.
    fn is_aged(&self, id: ConnId) -> bool {
        let is_aged = |max| self.links.get(id).is_some_and(|link| self.now >= link.opened + max);
        self.config.pool.age_max.is_some_and(is_aged)
    }

    /// Arms the deadline of a link that begins to be idle.
    fn arm_idle_link(&mut self, id: ConnId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let unused = self.config.pool.life_time.map(|life| self.now + life);
        let aged = self.config.pool.age_max.map(|max| link.opened + max);
        match [unused, aged].into_iter().flatten().min() {
            Some(due) => self.timers.set(&mut link.deadline, due, TimerKey::Link(id)),
            None => link.deadline.hush(),
        }
    }

    /// A link has been idle for long, or has grown old: closes it, unless it is to be kept.
    pub(super) fn on_idle_timeout(&mut self, id: ConnId) {
        let Some(link) = self.links.get(id) else { return };
        let (_, beyond) = self.pools.balance(&link.pool);
        if beyond > 0 || self.is_aged(id) {
            self.retire(id);
        } else {
            self.arm_idle_link(id);
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
