//! A node on its way out of service: what runs there ends first, and nothing new begins.

use super::Control;
use super::hold::Declined;
use super::switchover::Quiet;
use super::watch::{Doubt, Watched};
use crate::admin::packet::Report;
use crate::admin::reply;
use crate::id::{BackendId, ConnId, Epoch, ShardId};
use crate::limits;
use crate::time::Instant;
use crate::topology::Role;

/// A node that is detached once nothing runs there any more.
#[derive(Debug)]
pub(super) struct Leave {
    pub(super) id: BackendId,
    /// The session of PCP that asked, and waits.
    asker: ConnId,
    /// The primary then.
    primary: Option<BackendId>,
    quiet: Vec<Quiet>,
    /// It stays in service if something still runs there then.
    deadline: Instant,
    /// None while something runs there.
    calm: Option<Calm>,
}

/// Nothing runs on the node any more.
#[derive(Clone, Copy, Debug)]
struct Calm {
    /// Looks count that have ended since then.
    since: Instant,
    /// When servers are looked at next.
    look_at: Instant,
    /// The first look at the node may have begun before.
    looks: Looks,
}

/// How many looks at the node have ended since nothing runs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    None,
    One,
}

impl Control {
    /// Begins to take a node out of service when what runs there has ended. `asker` is answered when
    /// it is over.
    ///
    /// # Errors
    /// As [`Control::detach`], or another node is on its way out.
    pub(super) fn begin_leave(&mut self, id: BackendId, asker: ConnId) -> Result<(), Declined> {
        self.may_detach(id)?;
        if self.leave.is_some() || self.is_switching_at_all() {
            return Err(Declined::Busy);
        }
        log::warn!("node {id} is to be detached once nothing runs there any more");
        let quiet = vec![Quiet::NotYet; self.shards.len()];
        let deadline = self.now + self.config.recovery.timeout;
        let primary = self.topology.primary;
        self.leave = Some(Leave { id, asker, primary, quiet, deadline, calm: None });
        self.tell_progress(
            asker,
            &format!("what runs on node {id} ends, nothing new begins there"),
        );
        self.publish(Doubt::None);
        Ok(())
    }

    /// A shard has nothing under way there any more.
    pub(super) fn on_left(&mut self, shard: ShardId, epoch: Epoch) {
        if let Some(leave) = &mut self.leave
            && epoch == self.topology.epoch
            && let Some(quiet) = leave.quiet.get_mut(shard.index())
        {
            *quiet = Quiet::Told;
        }
        self.pursue_leave();
    }

    /// Detaches a node where nothing runs any more, or gives that up.
    pub(super) fn pursue_leave(&mut self) {
        let Some(leave) = &self.leave else { return };
        let (id, asker) = (leave.id, leave.asker);
        let is_quiet = leave.quiet.iter().all(|quiet| *quiet == Quiet::Told);
        let is_overtaken =
            self.topology.primary != leave.primary || !self.topology.serves_reads(id);
        if !is_overtaken && self.now < leave.deadline && !(is_quiet && self.is_followed_up(id)) {
            return;
        }
        self.leave = None;
        let answer = if is_overtaken {
            self.publish(Doubt::None);
            Report::error("PCP: detach node failed")
                .because(format!("a server was lost or promoted meanwhile; see how node {id} is"))
                .compose()
        } else if is_quiet {
            match self.detach(id) {
                Ok(()) | Err(Declined::Already) => reply::done(b'd'),
                Err(Declined::Unknown | Declined::Busy | Declined::Astray | Declined::Foreign) => {
                    self.publish(Doubt::None);
                    Report::error("PCP: detach node failed")
                        .because(format!("node {id} has come to have a part in a failover"))
                        .compose()
                }
            }
        } else {
            self.publish(Doubt::None);
            let seconds = self.config.recovery.timeout.as_secs();
            let why = format!(
                "what runs on node {id} did not end within {seconds} s (recovery_timeout); the node \
                 stays in service"
            );
            log::error!("{why}");
            Report::error("PCP: detach node failed").because(why).compose()
        };
        self.answer_waiting(asker, answer);
    }

    /// Whether nothing is lost with a node on which nothing runs any more: it is a standby, or one has
    /// received all that it wrote, for all that looks since then tell.
    fn is_followed_up(&mut self, id: BackendId) -> bool {
        let has_heirs = self.nodes.iter().any(|node| {
            node.id != id && node.fact.sighting.as_ref().is_some_and(|s| s.role == Role::Standby)
        });
        if self.topology.primary != Some(id) || !has_heirs {
            return true;
        }
        let Some(leave) = &mut self.leave else { return true };
        let begun = Calm { since: self.now, look_at: self.now, looks: Looks::None };
        let Calm { since, look_at, looks } = *leave.calm.get_or_insert(begun);
        let is_fresh = |node: &Watched| node.looked_at.is_some_and(|at| at > since);
        let own = self.nodes.iter().find(|node| node.id == id && is_fresh(node));
        if own.is_some() && looks == Looks::None {
            leave.calm = Some(Calm { since: self.now, look_at: self.now, looks: Looks::One });
            return false;
        }
        let written = own;
        let written = written.and_then(|node| node.fact.sighting.as_ref()?.lsn);
        let has_all = |node: &Watched| {
            let sighting = node.fact.sighting.as_ref().filter(|s| s.role == Role::Standby);
            let received = sighting.and_then(|s| s.received.max(s.lsn));
            node.id != id && is_fresh(node) && written.is_some() && received >= written
        };
        if self.nodes.iter().any(has_all) {
            return true;
        }
        if look_at <= self.now {
            let look_at = self.now + limits::SWITCHOVER_LOOK_PERIOD;
            leave.calm = Some(Calm { since, look_at, looks });
            let all: Vec<BackendId> = self.nodes.iter().map(|node| node.id).collect();
            all.into_iter().for_each(|node| self.hurry(node));
        }
        false
    }

    /// When a node is no longer waited for, or others are looked at for its sake.
    pub(super) fn leave_deadline(&self) -> Option<Instant> {
        let leave = self.leave.as_ref()?;
        Some(leave.calm.map_or(leave.deadline, |calm| leave.deadline.min(calm.look_at)))
    }
}
