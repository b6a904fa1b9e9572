//! Nodes that are kept out of service, whatever looks at them tell.

use super::Control;
use super::view::Fact;
use super::watch::Doubt;
use crate::failover::decide::Loss;
use crate::id::BackendId;
use crate::topology::{Seen, Status};

/// Whether a node is kept out of service, and who may let it in again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hold {
    /// It is not: it serves whenever it answers.
    #[default]
    None,
    /// By the operator, who alone lets it in again.
    Detached,
    /// It may take writes that the cluster does not know of: it was the primary before a promotion,
    /// or was told to become it. It is let in again when it is seen as a standby.
    Fenced,
}

/// Why a node cannot be detached or attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declined {
    /// There is no such node.
    Unknown,
    /// It is that already.
    Already,
    /// A promotion is under way, and it has a part in it.
    Busy,
}

impl Control {
    /// Takes a node out of service until it is attached again.
    ///
    /// # Errors
    /// There is no such node, it is detached, or it has a part in a promotion.
    pub(super) fn detach(&mut self, id: BackendId) -> Result<(), Declined> {
        let node = self.nodes.iter().find(|node| node.id == id).ok_or(Declined::Unknown)?;
        if node.hold == Hold::Detached {
            return Err(Declined::Already);
        }
        if self.has_part(id) {
            return Err(Declined::Busy);
        }
        log::warn!("node {id} is detached by the operator");
        self.hold(id, Hold::Detached);
        Ok(())
    }

    /// Lets a node that was taken out of service in again, as soon as it answers.
    ///
    /// # Errors
    /// There is no such node, nothing keeps it out, or it has a part in a promotion.
    pub(super) fn attach(&mut self, id: BackendId) -> Result<(), Declined> {
        let node = self.nodes.iter().find(|node| node.id == id).ok_or(Declined::Unknown)?;
        if node.hold == Hold::None {
            return Err(Declined::Already);
        }
        if self.has_part(id) {
            return Err(Declined::Busy);
        }
        log::warn!("node {id} is attached by the operator");
        self.release(id);
        Ok(())
    }

    /// Keeps a node out of service. If it was the primary, another is looked for.
    pub(super) fn hold(&mut self, id: BackendId, hold: Hold) {
        let loss = self.loss_of(id);
        self.set_hold(id, hold, |_| Status::Down);
        if let Some(loss) = loss {
            self.begin_failover(loss);
        }
    }

    /// Lets a node in again, if its last look succeeded.
    pub(super) fn release(&mut self, id: BackendId) {
        self.set_hold(id, Hold::None, |fact| match (fact.seen, fact.status) {
            (Seen::Up, Status::Down) => Status::Waiting,
            (_, status) => status,
        });
    }

    fn set_hold(&mut self, id: BackendId, hold: Hold, status: impl FnOnce(&Fact) -> Status) {
        let changed = self.clock.at(self.now);
        let Some(node) = self.nodes.iter_mut().find(|node| node.id == id) else { return };
        node.hold = hold;
        let status = status(&node.fact);
        if node.fact.status != status {
            node.fact.status = status;
            node.fact.changed = changed;
        }
        self.publish(Doubt::None);
    }

    /// What is lost with a node, if it is the primary.
    pub(super) fn loss_of(&self, id: BackendId) -> Option<Loss> {
        let node = self.nodes.iter().find(|node| node.id == id)?;
        let sighting = node.fact.sighting.as_ref().filter(|_| self.topology.primary == Some(id))?;
        Some(Loss { primary: id, timeline: sighting.timeline, written: sighting.lsn })
    }
}
