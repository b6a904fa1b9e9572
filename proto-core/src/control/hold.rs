//! Nodes that are kept out of service, whatever looks at them tell.

use super::Control;
use super::standing::Hold;
use super::watch::{Doubt, Watched};
use crate::failover::decide::Loss;
use crate::id::BackendId;
use crate::topology::{Role, Seen};

/// Why a node cannot be detached or attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declined {
    /// There is no such node.
    Unknown,
    /// It is that already.
    Already,
    /// A promotion or a recovery is under way, and it has a part in it.
    Busy,
    /// It takes writes beside the primary, or may: it has to be made a standby first.
    Astray,
    /// It is of another cluster.
    Foreign,
}

impl Control {
    /// Takes a node out of service until it is attached again.
    ///
    /// # Errors
    /// There is no such node, it is detached, or it has a part in a promotion.
    pub(super) fn detach(&mut self, id: BackendId) -> Result<(), Declined> {
        self.may_detach(id)?;
        log::warn!("node {id} is detached by the operator");
        self.hold(id, Hold::Detached);
        Ok(())
    }

    /// Whether a node can be taken out of service.
    ///
    /// # Errors
    /// As [`Control::detach`].
    pub(super) fn may_detach(&self, id: BackendId) -> Result<(), Declined> {
        self.movable(id, |hold| hold == Hold::Detached).map(drop)
    }

    /// Lets a node that was taken out of service in again, as soon as it answers. One that is fenced
    /// has to be a standby, unless there is no primary whose writes it could lack.
    ///
    /// # Errors
    /// There is no such node, nothing keeps it out, it has a part in a promotion, it takes writes
    /// beside the primary, or it is of another cluster.
    pub(super) fn attach(&mut self, id: BackendId) -> Result<(), Declined> {
        let node = self.movable(id, |hold| hold == Hold::None)?;
        let role = node.fact.sighting.as_ref().map(|sighting| sighting.role);
        let foreign = node.fact.sighting.as_ref().filter(|sighting| self.is_foreign(sighting));
        let foreign = foreign.map(|sighting| sighting.system);
        if foreign.is_some() && !(self.is_orphaned() && role == Some(Role::Primary)) {
            return Err(Declined::Foreign);
        }
        let is_doubtful = match node.hold {
            Hold::Fenced => role != Some(Role::Standby),
            Hold::None
            | Hold::Detached
            | Hold::Lost
            | Hold::Foreign
            | Hold::Astray
            | Hold::Unproved => role == Some(Role::Primary),
        };
        let is_old_news = node.fact.seen != Seen::Up || self.is_under_command(id);
        if is_doubtful && self.topology.primary.is_some() {
            if is_old_news {
                // Whoever has made it a standby says so before a look does.
                log::warn!("node {id} is attached by the operator, and serves once it follows");
                self.hold(id, Hold::Unproved);
                self.hurry(id);
                return Ok(());
            }
            self.hold(id, Hold::Fenced);
            return Err(Declined::Astray);
        }
        log::warn!("node {id} is attached by the operator");
        if is_doubtful {
            // There is no primary beside it, and the operator answers for its timeline.
            self.last_timeline = None;
        }
        if foreign.is_some() {
            log::warn!("node {id} is of another cluster, which is served from now on");
            self.cluster = foreign;
        }
        self.release(id);
        self.pursue();
        Ok(())
    }

    /// Finds a node that the operator may take out of service or let in.
    fn movable(&self, id: BackendId, is_so: fn(Hold) -> bool) -> Result<&Watched, Declined> {
        match self.nodes.iter().find(|node| node.id == id) {
            None => Err(Declined::Unknown),
            Some(node) if is_so(node.hold) => Err(Declined::Already),
            Some(_) if self.has_part(id) || self.is_recovering(id) => Err(Declined::Busy),
            Some(node) => Ok(node),
        }
    }

    /// What keeps a node out of service.
    pub(super) fn hold_of(&self, id: BackendId) -> Hold {
        self.nodes.iter().find(|node| node.id == id).map_or(Hold::None, |node| node.hold)
    }

    /// Keeps a node out of service that may take writes, unless that takes the operator already.
    pub(super) fn fence(&mut self, id: BackendId) {
        if matches!(self.hold_of(id), Hold::None | Hold::Unproved) {
            self.hold(id, Hold::Fenced);
        }
    }

    /// Lets a node in again, unless the operator keeps it out.
    pub(super) fn unfence(&mut self, id: BackendId) {
        if self.hold_of(id) == Hold::Fenced {
            self.release(id);
        }
    }

    /// Keeps a node out of service. If it was the primary, another is looked for.
    pub(super) fn hold(&mut self, id: BackendId, hold: Hold) {
        let loss = self.loss_of(id);
        self.set_hold(id, hold);
        if let Some(loss) = loss {
            self.begin_failover(loss);
        }
    }

    /// Keeps the primary out of service while it hands over: no other is looked for.
    pub(super) fn shut_out(&mut self, id: BackendId) {
        self.set_hold(id, Hold::Fenced);
    }

    /// Lets a node in again, if its last look succeeded.
    pub(super) fn release(&mut self, id: BackendId) {
        self.set_hold(id, Hold::None);
    }

    fn set_hold(&mut self, id: BackendId, hold: Hold) {
        let Some(at) = self.index_of(id) else { return };
        if let Some(node) = self.nodes.get_mut(at) {
            node.hold = hold;
        }
        self.settle(at);
        self.publish(Doubt::None);
    }

    /// What is lost with a node, if it is the primary, or was when somebody else stopped its writes.
    pub(super) fn loss_of(&self, id: BackendId) -> Option<Loss> {
        let is_lost = self.topology.primary == Some(id) || self.is_fenced_head(id);
        let sighting = self.sighting(id).filter(|_| is_lost)?;
        let confirms = |name: &str| {
            let mut standbys = sighting.standbys.iter().filter(|standby| standby.name == name);
            !name.is_empty() && standbys.any(|s| matches!(s.sync_state.as_str(), "sync" | "quorum"))
        };
        let backends = self.config.backends.iter();
        let sync = backends.filter(|backend| confirms(&backend.application_name));
        Some(Loss {
            primary: id,
            timeline: sighting.timeline,
            written: sighting.lsn,
            sync: sync.map(|backend| backend.id).collect(),
        })
    }
}
