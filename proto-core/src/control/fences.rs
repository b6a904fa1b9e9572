//! Servers that carry a fence which pgherd raised in a switchover, and that may take writes again.
//!
//! Which servers carry one is read off the servers, not remembered: a switchover that was cut short
//! is undone by whoever looks next, and a former primary that follows again is fit to be promoted.

use std::collections::BTreeMap;

use super::Control;
use super::hold::Hold;
use super::order::What;
use super::watch::Watched;
use crate::failover::fence;
use crate::id::{BackendId, ConnId};
use crate::limits;
use crate::time::Instant;

/// The servers that carry one, or may.
#[derive(Debug, Default)]
pub(super) struct Fences(BTreeMap<BackendId, Fence>);

#[derive(Clone, Copy, Debug)]
enum Fence {
    /// It was raised by this process. A look that was under way then does not know.
    Raised,
    /// Its server was marked, and then refused to take no more writes.
    Marked,
    /// Its server is told to take it away.
    Lifting(ConnId),
    /// Its server could not be told, and is told again then.
    Stuck(Instant),
    /// Its server was told, and is looked at. If it still carries it, it is told again then.
    Lifted(Instant),
}

impl Control {
    /// A server is being told to take no more writes.
    pub(super) fn note_raised(&mut self, id: BackendId) {
        self.fences.0.insert(id, Fence::Raised);
        if let Some(node) = self.nodes.iter_mut().find(|node| node.id == id)
            && let Some(sighting) = &mut node.fact.sighting
        {
            sighting.is_fenced = true;
        }
    }

    /// A server that was being told so has refused it.
    pub(super) fn note_refused(&mut self, id: BackendId) {
        self.fences.0.insert(id, Fence::Marked);
    }

    /// Whether a server carries a fence for all that is known, whatever a look says.
    pub(super) fn is_raised(&self, id: BackendId) -> bool {
        match self.fences.0.get(&id) {
            Some(Fence::Raised | Fence::Marked | Fence::Lifting(_) | Fence::Stuck(_)) => true,
            Some(Fence::Lifted(_)) | None => false,
        }
    }

    /// Has fences taken away that nothing needs.
    pub(super) fn lift_fences(&mut self) {
        let fenced = self.liftable();
        let is_over = |id: &&BackendId| !fenced.contains(*id) && !self.is_raised(**id);
        for id in self.fences.0.keys().filter(is_over).copied().collect::<Vec<_>>() {
            self.fences.0.remove(&id);
        }
        for id in fenced {
            let is_due = match self.fences.0.get(&id) {
                Some(Fence::Lifting(_)) => false,
                Some(Fence::Stuck(until) | Fence::Lifted(until)) => *until <= self.now,
                Some(Fence::Raised | Fence::Marked) | None => true,
            };
            if is_due {
                log::info!("node {id} is told to take writes again, where it is the primary");
                let queries = match self.fences.0.get(&id) {
                    Some(Fence::Marked) => &fence::LIFT[2..],
                    Some(_) | None => &fence::LIFT[..],
                };
                let queries = queries.iter().copied();
                let order = self.order(id, What::Lift, queries, limits::ORDER_TIMEOUT);
                self.fences.0.insert(id, Fence::Lifting(order));
            }
        }
    }

    /// The servers that carry a fence which nothing needs.
    fn liftable(&self) -> Vec<BackendId> {
        if self.shutdown.is_some() || self.first_looks.is_some() {
            return Vec::new();
        }
        let carries = |node: &&Watched| {
            node.hold == Hold::None
                && !self.is_stopped(node.id)
                && node.fact.sighting.as_ref().is_some_and(|s| s.is_fenced)
        };
        self.nodes.iter().filter(carries).map(|node| node.id).collect()
    }

    /// A server has answered that it takes writes again, or has not. Whether it does, a look tells.
    pub(super) fn on_lift_ordered(
        &mut self,
        id: BackendId,
        conn: ConnId,
        ended: Result<(), String>,
    ) {
        if !matches!(self.fences.0.get(&id), Some(Fence::Lifting(order)) if *order == conn) {
            return;
        }
        let next = match ended {
            Ok(()) => Fence::Lifted(self.now + limits::SWITCHOVER_LOOK_PERIOD),
            Err(why) => {
                log::error!(
                    "node {id} could not be told to take writes again: {why}; by hand: ALTER SYSTEM \
                     RESET default_transaction_read_only, SELECT pg_reload_conf(), and SELECT \
                     pg_drop_replication_slot('{}')",
                    fence::SLOT
                );
                Fence::Stuck(self.now + limits::FOLLOW_RETRY_DELAY)
            }
        };
        self.fences.0.insert(id, next);
        self.hurry(id);
    }

    /// When somebody is to be told again.
    pub(super) fn fence_deadline(&self) -> Option<Instant> {
        let due = self.liftable().into_iter().filter_map(|id| match self.fences.0.get(&id) {
            Some(Fence::Stuck(until) | Fence::Lifted(until)) => Some(*until),
            Some(Fence::Raised | Fence::Marked | Fence::Lifting(_)) | None => None,
        });
        due.min()
    }
}
