//! A node on its way out of service: what runs there ends first, and nothing new begins.

use super::Control;
use super::hold::Declined;
use super::switchover::Quiet;
use super::watch::Doubt;
use crate::admin::packet::Report;
use crate::admin::reply;
use crate::id::{BackendId, ConnId, Epoch, ShardId};
use crate::time::Instant;

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
        self.leave = Some(Leave { id, asker, primary, quiet, deadline });
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
        if !is_quiet && !is_overtaken && self.now < leave.deadline {
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
                Err(Declined::Unknown | Declined::Busy | Declined::Astray) => {
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

    /// When a node is no longer waited for.
    pub(super) fn leave_deadline(&self) -> Option<Instant> {
        self.leave.as_ref().map(|leave| leave.deadline)
    }
}
