//! Servers that carry a fence which pgherd raised in a switchover, and that may take writes again.
//!
//! Which servers carry one is read off the servers, not remembered: a switchover that was cut short
//! is undone by whoever looks next, and a former primary that follows again is fit to be promoted.
//! A fence that is not this process's own may still be somebody's: it is left alone for as long as a
//! promotion may be under way behind it.

use std::collections::BTreeMap;

use super::Control;
use super::order::What;
use super::standing::Hold;
use crate::failover::fence;
use crate::health::probe::{Receiver, Sighting};
use crate::id::{BackendId, ConnId};
use crate::limits;
use crate::message::Shutdown;
use crate::time::Instant;
use crate::topology::Role;

/// The servers that carry one, or may.
#[derive(Debug, Default)]
pub(super) struct Fences(BTreeMap<BackendId, Fence>);

#[derive(Clone, Copy, Debug)]
enum Fence {
    /// It was raised by this process. A look that was under way then does not know.
    Raised,
    /// It was there when its server was first looked at, or came from elsewhere.
    Found(Instant),
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

    /// Whether a server carries a fence for all that is known, whatever a look says.
    pub(super) fn is_raised(&self, id: BackendId) -> bool {
        match self.fences.0.get(&id) {
            Some(Fence::Raised | Fence::Lifting(_) | Fence::Stuck(_)) => true,
            Some(Fence::Found(_) | Fence::Lifted(_)) | None => false,
        }
    }

    /// Has fences taken away that nothing needs.
    pub(super) fn lift_fences(&mut self) {
        for id in self.nodes.iter().map(|node| node.id).collect::<Vec<_>>() {
            let carries = self.sighting(id).is_some_and(|sighting| sighting.is_fenced);
            if carries {
                self.fences.0.entry(id).or_insert(Fence::Found(self.now));
            } else if !self.is_raised(id) {
                self.fences.0.remove(&id);
            }
            if carries && self.lift_due(id).is_some_and(|due| due <= self.now) {
                self.lift(id);
            }
        }
    }

    fn lift(&mut self, id: BackendId) -> ConnId {
        log::info!("node {id} is told to take writes again, where it is the primary");
        let order = self.order(id, What::Lift, fence::LIFT, limits::ORDER_TIMEOUT);
        self.fences.0.insert(id, Fence::Lifting(order));
        order
    }

    /// Has the fence taken away of a standby that is about to be promoted, if it carries one.
    pub(super) fn lift_for_promotion(&mut self, id: BackendId) -> Option<ConnId> {
        let carries = self.sighting(id).is_some_and(|sighting| sighting.is_fenced);
        match self.fences.0.get(&id) {
            Some(Fence::Lifting(order)) => Some(*order),
            Some(_) | None => carries.then(|| self.lift(id)),
        }
    }

    /// When a server's fence is to be taken away; none while something needs it.
    fn lift_due(&self, id: BackendId) -> Option<Instant> {
        let fence = *self.fences.0.get(&id)?;
        let is_leaving = match self.shutdown {
            None => false,
            Some(Shutdown::Smart | Shutdown::Fast) => matches!(fence, Fence::Found(_)),
            Some(Shutdown::Immediate) => true,
        };
        let may = (self.hold_of(id) == Hold::None || self.is_candidate(id))
            && !self.is_stopped(id)
            && self.first_looks.is_none()
            && !is_leaving
            && self.is_unrivalled(id);
        let due = match fence {
            Fence::Raised => self.now,
            Fence::Found(since) if self.is_followed(id) => since + limits::FENCE_SETTLE_TIME,
            Fence::Found(since) => since + limits::PROMOTION_TIMEOUT + limits::PROMOTION_GRACE,
            Fence::Stuck(until) | Fence::Lifted(until) => until,
            Fence::Lifting(_) => return None,
        };
        may.then_some(due)
    }

    /// Whether a server would be the primary but for a fence that this process knows nothing of.
    pub(super) fn is_fenced_head(&self, id: BackendId) -> bool {
        let is_fenced = |own: &Sighting| own.role == Role::Primary && own.is_fenced;
        self.topology.primary.is_none()
            && self.first_looks.is_none()
            && self.hold_of(id) == Hold::None
            && !self.is_switching(id)
            && self.sighting(id).is_some_and(is_fenced)
            && self.is_unrivalled(id)
    }

    /// Whether a server is a standby, or no other is seen to have taken its place as the primary.
    pub(super) fn is_unrivalled(&self, id: BackendId) -> bool {
        let Some(own) = self.sighting(id) else { return false };
        let outranks = |other: &Sighting| {
            other.timeline > own.timeline
                || other.role == Role::Primary && other.timeline == own.timeline
        };
        own.role == Role::Standby || !self.others(id).any(outranks)
    }

    /// Whether all others that answer are standbys that receive WAL: none is being promoted.
    fn is_followed(&self, id: BackendId) -> bool {
        let is_standby = self.sighting(id).is_some_and(|own| own.role == Role::Standby);
        is_standby || self.others(id).all(|other| other.receiver == Receiver::Streaming)
    }

    fn others(&self, id: BackendId) -> impl Iterator<Item = &Sighting> {
        let others =
            self.nodes.iter().filter(move |node| node.id != id && node.hold != Hold::Foreign);
        others.filter_map(|node| node.fact.sighting.as_ref())
    }

    /// Whether a stop has to wait for a server to take writes again that this process has stopped.
    pub(super) fn is_lifting(&self) -> bool {
        self.fences.0.iter().any(|(id, fence)| {
            matches!(fence, Fence::Lifting(_))
                || self.is_raised(*id) && self.lift_due(*id).is_some()
        })
    }

    /// A server is not to take writes again after all.
    pub(super) fn stop_lifting(&mut self, id: BackendId) {
        if let Some(Fence::Lifting(order)) = self.fences.0.get(&id).copied() {
            self.recall(order);
            self.fences.0.insert(id, Fence::Raised);
        }
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
        self.on_candidate_lifted(conn, matches!(next, Fence::Lifted(_)));
        self.hurry(id);
    }

    /// When somebody is to be told again.
    pub(super) fn fence_deadline(&self) -> Option<Instant> {
        let carries = |id: &BackendId| self.sighting(*id).is_some_and(|s| s.is_fenced);
        let ids = self.fences.0.keys().copied().filter(carries);
        ids.filter_map(|id| self.lift_due(id)).min()
    }
}
