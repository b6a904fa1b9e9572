//! Recovery by a command of the operator's, `recovery_command`.
//!
//! What came of it is never taken from the command: from its end on the node is awaited like any
//! other that was started. A replication slot that was made for the node goes again if it does not
//! follow, so that no WAL is kept for nobody; while the command runs, that may still be in use.

use std::collections::BTreeMap;

use super::{Control, Recovery, Stage};
use crate::auth::secret::Secret;
use crate::backend::dialogue::Rows;
use crate::config::{Backend, Command, RecoveryMode};
use crate::control::commands::Purpose;
use crate::control::order::{Failed, What};
use crate::failover::placeholders::{self, Facts, Standby};
use crate::failover::slot;
use crate::id::{BackendId, ConnId};
use crate::job::{Ending, Environment, Job, JobId};
use crate::limits;

/// Commands that run on although their recoveries have ended, and what is to be done at their end.
#[derive(Debug, Default)]
pub(in crate::control) struct Leftovers(BTreeMap<JobId, Leftover>);

#[derive(Debug)]
struct Leftover {
    node: BackendId,
    /// The replication slot that was made for it, and where.
    slot: Option<(Backend, String)>,
}

impl Leftovers {
    /// Tells whether a command still runs for a node.
    pub(super) fn has(&self, node: BackendId) -> bool {
        self.0.values().any(|leftover| leftover.node == node)
    }
}

impl Control {
    /// Begins with a recovery by a command. Nothing is asked first, so the node's data may be touched
    /// from here on.
    pub(super) fn begin_command(&mut self, node: &Backend, primary: &Backend) -> Stage {
        self.keep_out(node.id);
        match self.config.recovery.slot.of(node.id) {
            Some(name) => {
                let queries = slot::make(&name);
                let queries = queries.iter().map(String::as_str);
                let within = limits::ORDER_TIMEOUT;
                Stage::Slotting(self.order(primary.id, What::MakeSlot, queries, within))
            }
            None => self.run_recovery(node, primary),
        }
    }

    fn run_recovery(&mut self, node: &Backend, primary: &Backend) -> Stage {
        match self.recovery_job(node, primary) {
            Some(job) => Stage::Running(self.run(Purpose::Recover(node.id), job)),
            // A reload has taken it away. What the node lacks is told when its time is over.
            None => self.watch_node(),
        }
    }

    /// Composes the command that makes a standby of a node; none if there is none.
    fn recovery_job(&self, node: &Backend, primary: &Backend) -> Option<Job> {
        let RecoveryMode::Command(Command { within, .. }) = &self.config.recovery.mode else {
            return None;
        };
        let (user, password) = self.config.recoverer();
        let mut environment = Environment::default().with("PGUSER", Secret::new(user));
        if let Some(password) = password {
            environment = environment.with("PGPASSWORD", password.clone());
        }
        let name = format!("recovery_command for node {}", node.id);
        let line = self.recovery_line(node, primary)?;
        Some(Job { name, line, environment, within: *within })
    }

    /// Fills the command's placeholders in.
    pub(super) fn recovery_line(&self, node: &Backend, primary: &Backend) -> Option<String> {
        let RecoveryMode::Command(command) = &self.config.recovery.mode else { return None };
        let former = self.commands.former();
        let slot = self.config.recovery.slot.of(node.id).unwrap_or_default();
        let facts = Facts {
            node,
            new_main: Some(primary),
            old_main: former.main,
            old_primary: former.primary.and_then(|id| self.config.backend(id)),
            standby: Some(Standby { name: &node.application_name, slot: &slot }),
        };
        Some(placeholders::fill(&command.line, &facts))
    }

    /// The primary has made the slot, or has not.
    pub(in crate::control) fn on_slot_made(&mut self, conn: ConnId, ended: Result<Rows, Failed>) {
        let Some(recovery) = &mut self.recovery else { return };
        if recovery.stage != Stage::Slotting(conn) {
            return;
        }
        let name = self.config.recovery.slot.of(recovery.node.id);
        match &ended {
            // It was there before, and is somebody else's affair.
            Ok(rows) if rows.is_empty() => {}
            // Also where nothing is known of it, it may have been made.
            Ok(_) | Err(Failed::Unanswered(_)) => recovery.slot = name,
            Err(Failed::Refused(_)) => {}
        }
        let (node, primary) = (recovery.node.clone(), recovery.primary.clone());
        match ended {
            Ok(_) => {
                let stage = self.run_recovery(&node, &primary);
                self.go_on(stage);
            }
            Err(why) => self.fail_recovery(&format!(
                "node {} could not be told to make a replication slot (recovery_slot): {why}",
                primary.id
            )),
        }
    }

    /// The command has ended, for a recovery that goes on or for one that does not.
    pub(in crate::control) fn on_recovery_run(&mut self, job: JobId, ending: &Ending) {
        if let Some(Leftover { slot, .. }) = self.leftovers.0.remove(&job) {
            if let Some((primary, name)) = slot {
                self.drop_slot(&primary, &name);
            }
            return;
        }
        if self.recovery.as_ref().is_none_or(|recovery| recovery.stage != Stage::Running(job)) {
            return;
        }
        if ending.is_success() {
            let stage = self.watch_node();
            return self.go_on(stage);
        }
        self.fail_recovery(&format!("recovery_command failed: {ending}"));
    }

    /// Leaves nothing behind of a recovery that has failed.
    pub(super) fn tidy_up(&mut self, recovery: &Recovery) {
        let slot = recovery.slot.clone();
        if let Stage::Running(job) = recovery.stage
            && self.commands.is_running(job)
        {
            let slot = slot.map(|name| (recovery.primary.clone(), name));
            self.leftovers.0.insert(job, Leftover { node: recovery.node.id, slot });
        } else if let Some(name) = slot {
            self.drop_slot(&recovery.primary, &name);
        }
    }

    fn drop_slot(&mut self, primary: &Backend, name: &str) {
        let id = primary.id;
        if self.config.backend(id).is_none_or(|now| now != primary) {
            log::error!("recovery: {}", left_over(id, name, "it is in the configuration no more"));
            return;
        }
        let query = slot::drop(name);
        self.order(id, What::DropSlot, [query.as_str()], limits::ORDER_TIMEOUT);
    }

    /// A server has dropped the slot of a recovery that has failed, or has not.
    pub(in crate::control) fn on_slot_dropped(
        &mut self,
        node: BackendId,
        ended: Result<Rows, Failed>,
    ) {
        if let Err(why) = ended {
            log::error!("recovery: {}", left_over(node, "recovery_slot", &why.to_string()));
        }
    }
}

/// Says that a slot is still there, and what to do about it.
fn left_over(node: BackendId, slot: &str, why: &str) -> String {
    format!(
        "node {node} may keep WAL for a replication slot that nobody uses ({slot}), for {why}: look \
         into pg_replication_slots there, and drop it with pg_drop_replication_slot"
    )
}
