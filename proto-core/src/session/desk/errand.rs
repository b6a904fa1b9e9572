//! Links that nobody asked for: those that are kept ready, and those that ask for catalogs.
//!
//! Clients come first. An errand takes an idle link, or opens one where no limit is reached and
//! nobody waits; what cannot be done is tried again later.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{Desk, TimerKey};
use crate::backend::link::State;
use crate::backend::pending::{Owner, Pending, Request};
use crate::config::PoolMode;
use crate::id::ConnId;
use crate::limits;
use crate::message::Message;
use crate::output::Close;
use crate::pool::PoolKey;
use crate::route::catalog::{QUERY, Reader};
use crate::time::{Duration, Instant};
use crate::wire::frontend;
use crate::wire::startup::Params;

/// What is under way without anybody's asking, and what must wait.
#[derive(Debug, Default)]
pub struct Errands {
    /// Links that ask for a catalog, or are being opened to ask for one.
    asking: BTreeMap<ConnId, Question>,
    /// Pools that are left alone after a failure, and until when.
    delays: BTreeMap<Arc<PoolKey>, Delay>,
    /// When the pools are to be looked at next.
    due: Option<Instant>,
}

/// A question for a catalog.
#[derive(Debug)]
struct Question {
    reader: Reader,
    progress: Progress,
    /// Whether the link serves nobody else afterwards.
    link: Link,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The link is being opened.
    Opening,
    /// The rows are coming.
    Reading,
    /// The server declined.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// It goes back to its pool.
    Lent,
    /// It was opened for the question, with other parameters than those of sessions: where they
    /// keep their links, it is closed.
    Own,
}

/// How long a pool is left alone.
#[derive(Clone, Copy, Debug)]
struct Delay {
    until: Instant,
    pause: Duration,
}

impl Errands {
    /// Tells whether a link asks for a catalog, so that rows are read on it.
    pub(super) fn is_asking(&self, link: ConnId) -> bool {
        self.asking.get(&link).is_some_and(|question| question.progress == Progress::Reading)
    }

    fn is_delayed(&self, key: &PoolKey, now: Instant) -> bool {
        self.delays.get(key).is_some_and(|delay| delay.until > now)
    }
}

impl Desk {
    /// Runs what is due without anybody's asking, once clients have been served.
    pub fn run_errands(&mut self) {
        if self.shutdown.is_some() {
            return;
        }
        if self.catalogs.is_due(self.now) {
            for (database, user, since) in self.catalogs.take_wanted(self.now) {
                self.ask_catalog(&database, &user, since);
            }
        }
        if self.errands.due.is_some_and(|at| at <= self.now) {
            self.fill_pools();
        }
    }

    /// Closes the links that are being opened without anybody's asking.
    pub fn abandon_errands(&mut self) {
        let is_meant = |state: &State| match state {
            State::Connecting { by } | State::LoggingIn { by, .. } => by.is_none(),
            State::Idle | State::Lent { .. } | State::Resetting | State::Closing => false,
        };
        let links = self.links.iter().filter(|(_, link)| is_meant(&link.state));
        let links: Vec<ConnId> = links.map(|(id, _)| id).collect();
        links.into_iter().for_each(|id| self.close_link(id, Close::Now));
    }

    /// The pools are to be looked at: something has changed that may leave one below its minimum.
    pub fn look_at_pools(&mut self, at: Instant) {
        if self.config.pool.has_minimum() && self.errands.due.is_none_or(|due| at < due) {
            if let Some(due) = self.errands.due.replace(at) {
                self.timers.disarm(due, TimerKey::Errand);
            }
            self.timers.arm(at, TimerKey::Errand);
        }
    }

    /// Opens what pools lack that are to be kept ready.
    fn fill_pools(&mut self) {
        if let Some(due) = self.errands.due.take() {
            self.timers.disarm(due, TimerKey::Errand);
        }
        if self.topology.primary.is_none() {
            // The next view of the cluster has them looked at again.
            return;
        }
        let mut next: Option<Instant> = None;
        for key in self.kept_pools() {
            let delayed = self.errands.delays.get(&key).map(|delay| delay.until);
            let later = match delayed.filter(|until| *until > self.now) {
                Some(until) => until,
                None if !self.is_suspect(key.backend) && self.fill(&key) => continue,
                None => self.now + limits::ERRAND_RETRY_DELAY,
            };
            next = Some(next.map_or(later, |next| next.min(later)));
        }
        if let Some(at) = next {
            self.look_at_pools(at);
        }
    }

    /// The pools that are to be kept ready, on every server that can be used.
    fn kept_pools(&self) -> Vec<Arc<PoolKey>> {
        let mut keys = Vec::new();
        for rule in self.config.pool.rules.iter().filter(|rule| rule.pooling.size_min > 0) {
            let (Some(database), Some(user)) = (&rule.database, &rule.user) else { continue };
            for node in &self.topology.nodes {
                if self.topology.serves_reads(node.id) {
                    keys.push(Arc::new(PoolKey {
                        backend: node.id,
                        database: Bytes::copy_from_slice(database.as_bytes()),
                        user: Bytes::copy_from_slice(user.as_bytes()),
                    }));
                }
            }
        }
        keys
    }

    /// Opens what one pool lacks; false if there is no room now.
    fn fill(&mut self, key: &Arc<PoolKey>) -> bool {
        let (lacking, _) = self.pools.balance(key);
        for _ in 0..lacking {
            if !self.pools.spare(key) {
                return false;
            }
            self.open_bare(key);
        }
        true
    }

    fn open_bare(&mut self, key: &Arc<PoolKey>) -> ConnId {
        let pair = |name: &'static [u8], value: &Bytes| (Bytes::from_static(name), value.clone());
        let startup = Params(vec![pair(b"user", &key.user), pair(b"database", &key.database)]);
        self.open_for(key, &Arc::new(startup), None)
    }

    /// A link that nobody asked for could not be had: its pool is left alone for a while.
    pub(super) fn on_errand_failed(&mut self, id: ConnId, key: &Arc<PoolKey>, why: &str) {
        self.end_question(id);
        let known = self.errands.delays.get(key).copied();
        let pause = known.map_or(limits::ERRAND_RETRY_DELAY, |delay| {
            (delay.pause * 2).min(limits::ERRAND_RETRY_DELAY_MAX)
        });
        let level = if known.is_some() { log::Level::Debug } else { log::Level::Warn };
        log::log!(
            level,
            "shard {}: no connection could be kept ready for \"{}\" in \"{}\" on node {}: {why}; \
             it is tried again from time to time",
            self.shard,
            String::from_utf8_lossy(&key.user),
            String::from_utf8_lossy(&key.database),
            key.backend,
        );
        let until = self.now + pause;
        if self.errands.delays.len() >= limits::ERRAND_DELAYS_MAX {
            let now = self.now;
            self.errands.delays.retain(|_, delay| delay.until > now);
        }
        if self.errands.delays.len() < limits::ERRAND_DELAYS_MAX {
            self.errands.delays.insert(key.clone(), Delay { until, pause });
        }
        self.look_at_pools(until);
    }

    /// A link that nobody asked for is there.
    pub(super) fn on_errand_opened(&mut self, id: ConnId) {
        let Some(link) = self.links.get(id) else { return };
        self.errands.delays.remove(&link.pool);
        if self.errands.asking.contains_key(&id) {
            self.send_question(id);
        }
    }

    /// A database is about to be dropped: closes the idle links to it and opens no others, which
    /// would be in the way, for a while.
    pub fn on_vacate(&mut self, database: &Bytes) {
        for link in self.pools.idle(|key| key.database == *database) {
            self.retire(link);
        }
        self.catalogs.forget(database);
        let delay = Delay { until: self.now + limits::VACANCY_TIME, pause: limits::VACANCY_TIME };
        for key in self.kept_pools().into_iter().filter(|key| key.database == *database) {
            self.errands.delays.insert(key, delay);
        }
    }

    /// A database's catalog has changed, as a statement tells: every shard asks for it anew.
    pub fn catalog_stale(&mut self, database: &Bytes) {
        self.post_shards(|| Message::CatalogStale { database: database.clone() });
    }

    /// Has a link ask for a catalog, if there is one to be had.
    ///
    /// The primary is asked where there is one, for a standby may not have heard of a change.
    /// A link that is in use may soon be idle, so that none is opened at once.
    fn ask_catalog(&mut self, database: &Bytes, user: &Bytes, since: Instant) {
        let node = self.topology.primary.or_else(|| {
            let mut nodes = self.topology.nodes.iter().map(|node| node.id);
            nodes.find(|id| self.topology.serves_reads(*id) && !self.is_suspect(*id))
        });
        let Some(backend) = node.filter(|node| !self.is_suspect(*node)) else { return };
        let is_meant = |key: &PoolKey| key.backend == backend && key.database == *database;
        if let Some(id) = self.pools.borrow_idle(is_meant) {
            self.begin_question(id, Progress::Reading, Link::Lent, database);
            return self.send_question(id);
        }
        if self.now < since + limits::ERRAND_RETRY_DELAY {
            return;
        }
        let key = Arc::new(PoolKey { backend, database: database.clone(), user: user.clone() });
        if !self.errands.is_delayed(&key, self.now) && self.pools.spare(&key) {
            let id = self.open_bare(&key);
            self.begin_question(id, Progress::Opening, Link::Own, database);
        }
    }

    fn begin_question(&mut self, id: ConnId, progress: Progress, link: Link, database: &Bytes) {
        self.catalogs.asked(database);
        self.errands.asking.insert(id, Question { reader: Reader::new(), progress, link });
    }

    fn send_question(&mut self, id: ConnId) {
        let (Some(link), Some(question)) =
            (self.links.get_mut(id), self.errands.asking.get_mut(&id))
        else {
            return;
        };
        question.progress = Progress::Reading;
        link.state = State::Resetting;
        link.expect(Pending::Ready { owner: Owner::Proxy, request: Request::Query });
        let due = self.now + limits::RESET_TIMEOUT;
        self.timers.set(&mut link.deadline, due, TimerKey::Link(id));
        self.send_link(id, frontend::compose_query(QUERY));
    }

    /// A row of a catalog has come.
    pub(super) fn on_catalog_row(&mut self, id: ConnId, body: &[u8]) {
        if let Some(question) = self.errands.asking.get_mut(&id) {
            question.reader.row(body);
        }
    }

    /// The server declines to tell its catalog; true if that was asked of it.
    pub(super) fn on_catalog_refused(&mut self, id: ConnId, why: &[u8]) -> bool {
        let Some(question) = self.errands.asking.get_mut(&id) else { return false };
        question.progress = Progress::Failed;
        log::warn!(
            "shard {}: the catalog could not be read: {}",
            self.shard,
            String::from_utf8_lossy(why)
        );
        true
    }

    /// The answer is complete; true if the link is of no use any more.
    pub(super) fn on_catalog_answered(&mut self, id: ConnId) -> bool {
        let Some(question) = self.errands.asking.remove(&id) else { return false };
        let Some(link) = self.links.get(id) else { return false };
        let key = link.pool.clone();
        let catalog = (question.progress == Progress::Reading).then(|| question.reader.finish());
        let period = self.config.catalog_refresh_period;
        if let Some(catalog) = self.catalogs.answered(&key.database, catalog, self.now, period) {
            let database = key.database.clone();
            self.post_shards(|| Message::Catalog {
                database: database.clone(),
                catalog: catalog.clone(),
            });
        }
        let mode = self.config.pool.of(&key.database, &key.user).mode;
        question.link == Link::Own && mode == PoolMode::Session
    }

    /// A link has ended that may have been asking.
    pub(super) fn end_question(&mut self, id: ConnId) {
        if self.errands.asking.remove(&id).is_none() {
            return;
        }
        let Some(link) = self.links.get(id) else { return };
        let database = link.pool.database.clone();
        let period = self.config.catalog_refresh_period;
        self.catalogs.answered(&database, None, self.now, period);
    }
}
