//! Sessions that wait for links, and how they get them.

use std::sync::Arc;

use super::{Asked, Desk, Notice, TimerKey};
use crate::id::{BackendId, ConnId};
use crate::message::{Message, Peer};
use crate::pool::{Answer, PoolKey, Pools, Stale, Ticket, Turn, Waiter};
use crate::time::Instant;
use crate::wire::startup::Params;

impl Desk {
    /// Asks for a link to a server.
    pub fn ask(
        &mut self,
        session: ConnId,
        key: &Arc<PoolKey>,
        startup: &Arc<Params>,
        ticket: Ticket,
        since: Instant,
    ) -> Asked {
        if Pools::admit(&self.topology, ticket) == Err(Stale) {
            return Asked::Stale;
        }
        self.catalogs.note_use(&key.database, &key.user, self.now);
        let waiter = Waiter { session, startup: startup.clone(), ticket, since };
        match self.pools.ask(key, waiter, self.now) {
            Answer::Lent(link) => {
                self.lend(link, session, ticket);
                Asked::Lent(link)
            }
            Answer::Open => {
                self.open(key, startup, session);
                Asked::Waiting
            }
            Answer::Queued(victim) => {
                if let Some(link) = victim {
                    self.retire(link);
                }
                if let Some(at) = self.pools.reserve_at(key, since) {
                    self.arm_line(at);
                }
                self.serve(key.backend);
                Asked::Waiting
            }
            Answer::Full => Asked::Full,
        }
    }

    /// Gives links to those who wait for a server, in the order in which they came.
    pub fn serve(&mut self, backend: BackendId) {
        while let Some(turn) = self.pools.next_turn(backend, &self.topology, self.now) {
            match turn {
                Turn::Lent(link, waiter) => {
                    self.lend(link, waiter.session, waiter.ticket);
                    self.notices.push_back((waiter.session, Notice::Lent(link)));
                }
                Turn::Open(key, waiter) => self.open(&key, &waiter.startup, waiter.session),
                Turn::Evict(link) => self.retire(link),
                Turn::Stale(waiter) => {
                    self.notices.push_back((waiter.session, Notice::Expelled));
                }
                Turn::Lease(limit, lease) => {
                    self.outputs.post(Peer::Control, Message::Lease { limit, lease });
                }
            }
        }
        if let Some(at) = self.pools.take_lease_at() {
            self.arm_line(at);
        }
    }

    /// Sends those away who wait for a server that cannot serve them any more.
    pub fn expel(&mut self, backend: BackendId) {
        for waiter in self.pools.expel(backend, &self.topology) {
            self.notices.push_back((waiter.session, Notice::Expelled));
        }
        self.serve(backend);
    }

    /// Sees to it that those in line are looked at once more at a moment.
    fn arm_line(&mut self, at: Instant) {
        if self.line_at.is_none_or(|armed| at < armed) {
            if let Some(armed) = self.line_at.replace(at) {
                self.timers.disarm(armed, TimerKey::Line);
            }
            self.timers.arm(at, TimerKey::Line);
        }
    }

    /// Somebody may have waited long enough for a reserve, or for what another shard has.
    pub fn on_line_timeout(&mut self) {
        self.line_at = None;
        let next = self.pools.rouse_for_reserve(self.now);
        self.pools.rouse_leases();
        let nodes: Vec<BackendId> = self.topology.nodes.iter().map(|node| node.id).collect();
        nodes.into_iter().for_each(|node| self.serve(node));
        if let Some(at) = next {
            self.arm_line(at);
        }
    }
}
