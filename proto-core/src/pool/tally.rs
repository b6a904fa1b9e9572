//! What is counted: the connections and the line of a pool, and what pools of a server share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::line::{Fronts, Gate, Line, Place};
use super::{Claim, Limit, PoolKey};
use crate::config::Pooling;
use crate::id::{BackendId, ConnId};
use crate::time::Instant;
use crate::wire::startup::Params;

/// An idle connection.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) link: ConnId,
    pub(super) startup: Arc<Params>,
    /// Counts what was put back before it, in any pool.
    pub(super) stamp: u64,
    /// Since when nobody uses it.
    pub(super) since: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    /// What the policy says, in the shard's parts.
    pub(super) pooling: Pooling,
    /// Places that were granted, less those that were yielded.
    pub(super) lent: isize,
    /// Idle connections, the most recently used last.
    pub(super) idle: Vec<Idle>,
    /// Connections in any state. `idle.len() + closing.len() <= open`
    pub(super) open: usize,
    /// Connections on their way out.
    pub(super) closing: BTreeSet<ConnId>,
    pub(super) line: Line,
    /// Where the first of the line stands, and at which place there.
    pub(super) gate: Gate,
    pub(super) place: Option<Place>,
    /// Where it stood before it was to be looked at.
    pub(super) from: Gate,
}

impl Pool {
    pub(super) fn is_forgettable(&self) -> bool {
        self.is_unused() && self.lent == 0
    }

    /// Tells whether there is neither a connection nor anybody who wants one.
    pub(super) fn is_unused(&self) -> bool {
        self.open == 0 && self.line.is_empty()
    }

    /// Connections that there may be in this shard, without the reserve.
    pub(super) const fn size_max(&self) -> usize {
        places(self.pooling.size_max, self.lent)
    }

    /// Connections that stay.
    pub(super) fn staying(&self) -> usize {
        self.open - self.closing.len()
    }

    /// Takes out an idle connection for a session: one that began like it, else one that can be made
    /// so, the most recently used first.
    pub(super) fn take_fit(&mut self, startup: &Arc<Params>) -> Option<ConnId> {
        let same = |idle: &Idle| Arc::ptr_eq(&idle.startup, startup) || idle.startup == *startup;
        let fit = self.idle.iter().rposition(same);
        let fit = fit.or_else(|| self.idle.iter().rposition(|idle| idle.startup.is_akin(startup)));
        Some(self.idle.remove(fit?).link)
    }
}

/// The places under a limit that a shard has: its part, and what was lent.
pub(super) const fn places(part: usize, lent: isize) -> usize {
    part.saturating_add_signed(lent)
}

/// Pools of one user or of one database of a server.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    pub(super) open: usize,
    /// Places that were granted, less those that were yielded.
    pub(super) lent: isize,
    pub(super) closing: usize,
    pub(super) fronts: Fronts,
}

impl Crowd {
    /// Connections that stay.
    pub(super) fn staying(&self) -> usize {
        self.open.saturating_sub(self.closing)
    }

    pub(super) fn is_unused(&self) -> bool {
        self.open == 0 && self.fronts.is_empty()
    }

    fn is_forgettable(&self) -> bool {
        self.is_unused() && self.lent == 0
    }
}

/// What a shard has said about its need for places under a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Nothing yet.
    Unsaid,
    /// This, with its number; it is not answered yet.
    Said(u64, Claim),
    /// Something, but the policy has changed since.
    Outdated,
}

/// The servers, by number, up to the greatest that was met: looked at by every transaction.
#[derive(Debug, Default)]
pub(super) struct Servers(Vec<Server>);

impl Servers {
    pub(super) fn get(&self, id: BackendId) -> Option<&Server> {
        self.0.get(id.index())
    }

    pub(super) fn get_mut(&mut self, id: BackendId) -> Option<&mut Server> {
        self.0.get_mut(id.index())
    }

    /// The server, which is known from now on.
    pub(super) fn meet(&mut self, id: BackendId) -> &mut Server {
        let index = id.index();
        if self.0.len() <= index {
            self.0.resize_with(index + 1, Server::default);
        }
        self.0.get_mut(index).expect("there is room for it now")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (BackendId, &Server)> {
        (0..).map(BackendId).zip(&self.0)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Server> {
        self.0.iter_mut()
    }
}

/// All pools of one server.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) open: usize,
    /// Places that were granted, less those that were yielded.
    pub(super) lent: isize,
    pub(super) closing: usize,
    pub(super) idle: usize,
    pub(super) users: BTreeMap<Bytes, Crowd>,
    pub(super) databases: BTreeMap<Bytes, Crowd>,
    /// Pools whose first in line waits for room on the server.
    pub(super) fronts: Fronts,
    /// Pools whose first in line is to be looked at.
    pub(super) ready: Fronts,
    /// Pools that stand at a gate which they share with others.
    pub(super) queued: usize,
    /// Limits at which clients wait whom nothing in this shard can serve.
    pub(super) wants: BTreeMap<Limit, Want>,
    /// What other shards claim, each with the number by which it was told.
    pub(super) recalls: BTreeMap<Limit, (u64, Claim)>,
    /// Places that are not needed any more, to be given away.
    pub(super) spare: Vec<(Limit, usize)>,
    /// Wants and recalls are to be looked at.
    pub(super) is_stirred: bool,
}

impl Server {
    pub(super) fn fronts(&mut self, key: &PoolKey, gate: Gate) -> Option<&mut Fronts> {
        match gate {
            Gate::Open => Some(&mut self.ready),
            Gate::Pool => None,
            Gate::User => Some(&mut self.users.entry(key.user.clone()).or_default().fronts),
            Gate::Database => {
                Some(&mut self.databases.entry(key.database.clone()).or_default().fronts)
            }
            Gate::Server => Some(&mut self.fronts),
        }
    }

    /// Connections that stay.
    pub(super) fn staying(&self) -> usize {
        self.open.saturating_sub(self.closing)
    }

    pub(super) fn opened(&mut self, key: &PoolKey) {
        self.open += 1;
        self.users.entry(key.user.clone()).or_default().open += 1;
        self.databases.entry(key.database.clone()).or_default().open += 1;
    }

    pub(super) fn closing(&mut self, key: &PoolKey) {
        self.closing += 1;
        let crowds = [self.users.get_mut(&key.user), self.databases.get_mut(&key.database)];
        crowds.into_iter().flatten().for_each(|crowd| crowd.closing += 1);
    }

    pub(super) fn closed(&mut self, key: &PoolKey, was_closing: bool) {
        let closing = usize::from(was_closing);
        self.open = self.open.saturating_sub(1);
        self.closing = self.closing.saturating_sub(closing);
        let crowds = [self.users.get_mut(&key.user), self.databases.get_mut(&key.database)];
        for crowd in crowds.into_iter().flatten() {
            crowd.open = crowd.open.saturating_sub(1);
            crowd.closing = crowd.closing.saturating_sub(closing);
        }
        self.tidy();
    }

    pub(super) fn tidy(&mut self) {
        self.users.retain(|_, crowd| !crowd.is_forgettable());
        self.databases.retain(|_, crowd| !crowd.is_forgettable());
    }

    /// Tells whether nobody waits for anything: no client at a gate that pools share, none that is
    /// to be looked at, and no shard.
    pub(super) fn is_calm(&self) -> bool {
        self.queued == 0
            && self.ready.is_empty()
            && self.wants.is_empty()
            && self.recalls.is_empty()
            && self.spare.is_empty()
            && !self.is_stirred
    }

    /// Has wants and recalls looked at, if there are any.
    pub(super) fn stir(&mut self) {
        self.is_stirred =
            !(self.wants.is_empty() && self.recalls.is_empty() && self.spare.is_empty());
    }

    /// The places that were lent to the shard under a limit; none if nothing is known of what it
    /// counts.
    pub(super) fn lent(&mut self, limit: &Limit) -> Option<&mut isize> {
        match limit {
            // Each pool keeps its own.
            Limit::Pool(_) => None,
            Limit::User(_, user) => Some(&mut self.users.entry(user.clone()).or_default().lent),
            Limit::Database(_, name) => {
                Some(&mut self.databases.entry(name.clone()).or_default().lent)
            }
            Limit::Server(_) => Some(&mut self.lent),
        }
    }
}
