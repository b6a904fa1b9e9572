//! Recovery by a command of the operator's, `recovery_command`.
//!
//! What came of it is never taken from the command: from its end on the node is awaited like any
//! other that was started. What is left of a recovery that has failed is the business of `leftovers`.

use super::{Control, Stage};
use crate::auth::secret::Secret;
use crate::backend::dialogue::Rows;
use crate::config::{Backend, Command, RecoveryMode};
use crate::control::commands::Purpose;
use crate::control::order::{Failed, What};
use crate::failover::placeholders::{self, Facts, Standby};
use crate::failover::slot;
use crate::id::ConnId;
use crate::job::{Ending, Environment, Job, JobId};
use crate::limits;

impl Control {
    /// Begins with a recovery by a command. Nothing is asked first, so the node's data may be touched
    /// from here on. A former primary is kept out already, and comes in by itself when it is made a
    /// standby; whom the operator recovers is the operator's to let in.
    pub(super) fn begin_command(&mut self, node: &Backend, primary: &Backend) -> Stage {
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
        match &ended {
            // It was there before, and is somebody else's affair.
            Ok(rows) if rows.is_empty() => recovery.slot = None,
            Err(Failed::Refused(_)) => recovery.slot = None,
            // Also where nothing is known of it, it may have been made.
            Ok(_) | Err(Failed::Unanswered(_)) => {}
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
        self.on_leftover_ended(job);
        if self.recovery.as_ref().is_none_or(|recovery| recovery.stage != Stage::Running(job)) {
            return;
        }
        if ending.is_success() {
            let stage = self.watch_node();
            return self.go_on(stage);
        }
        self.fail_recovery(&format!("recovery_command failed: {ending}"));
    }
}
