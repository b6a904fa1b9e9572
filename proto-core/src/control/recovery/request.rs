//! What asking for a recovery comes to: a refusal, the plan alone, or the recovery itself.

use bytes::BytesMut;

use super::{Recovery, sites};
use crate::admin::packet::Report;
use crate::admin::reply;
use crate::config::{Backend, RecoveryMode};
use crate::control::Control;
use crate::control::failover::Failover;
use crate::control::standing::Hold;
use crate::failover::slot;
use crate::id::ConnId;

/// What a refusal begins with, as Pgpool-II's.
const FAILED: &str = "process recovery request failed";

impl Control {
    /// Recovers a node, or tells what would be done.
    pub(in crate::control) fn on_recovery_request(
        &mut self,
        conn: ConnId,
        node: usize,
        is_dry_run: bool,
    ) {
        let (node, primary, timeline) = match self.recoverable(node) {
            Ok(found) => found,
            Err(report) => return self.refuse_admin(conn, &report),
        };
        if is_dry_run {
            let mut bytes = BytesMut::new();
            for line in self.recovery_plan(&node, &primary) {
                bytes.extend_from_slice(&Report::notice(line).compose());
            }
            bytes.extend_from_slice(&reply::done(b'c'));
            return self.answer_admin(conn, bytes.freeze());
        }
        self.note_request(conn, &format!("recover node {}", node.id));
        self.have_it_wait(conn);
        self.begin_recovery(node, primary, timeline, Some(conn));
    }

    /// Begins a recovery, by whom it was asked for or by nobody.
    pub(super) fn begin_recovery(
        &mut self,
        node: Backend,
        primary: Backend,
        timeline: u32,
        asker: Option<ConnId>,
    ) {
        let now = self.now;
        let mut slot = None;
        let stage = match self.config.recovery.mode {
            RecoveryMode::Command(_) => {
                if asker.is_some() {
                    self.hold(node.id, Hold::Detached);
                }
                slot = self.config.recovery.slot.of(node.id);
                self.begin_command(&node, &primary)
            }
            RecoveryMode::Extension | RecoveryMode::Off => self.ask_primary(primary.id),
        };
        self.recovery = Some(Recovery {
            node,
            primary,
            timeline,
            asker,
            database: 0,
            slot,
            began: now,
            stage,
            since: now,
            tell_at: now,
        });
    }

    /// Finds the node and the primary from which it can be recovered, and the timeline of that.
    pub(super) fn recoverable(&self, number: usize) -> Result<(Backend, Backend, u32), Report> {
        let refused = |why: String| Err(Report::error(FAILED).because(why));
        let Some(id) = self.backend_of(number) else {
            return refused(format!("node id {number} is not valid"));
        };
        if let Some(under_way) = &self.recovery {
            let why = format!(
                "pgherd is already processing another recovery request, of node {}",
                under_way.node.id
            );
            return Err(Report::fatal(FAILED).because(why));
        }
        if self.topology.primary == Some(id) {
            return refused("primary server cannot be recovered by online recovery.".to_owned());
        }
        if !matches!(self.failover, Failover::None) {
            let report = Report::error("failed to process PCP request at the moment");
            return Err(report.because("failover is in progress"));
        }
        if self.switchover.is_some() {
            let report = Report::error("failed to process PCP request at the moment");
            return Err(report.because("promote node operation is in progress"));
        }
        if !self.is_out(id) {
            return Err(Report::error(format!("node recovery failed, node id: {id} is alive")));
        }
        let Some((primary, timeline)) = self.leader() else {
            return refused(format!("there is no primary from which node {id} can be recovered"));
        };
        let backends = (self.config.backend(id), self.config.backend(primary));
        let (Some(node), Some(primary)) = backends else {
            return refused(format!("node id {number} is not valid"));
        };
        let is_told_directory = match &self.config.recovery.mode {
            RecoveryMode::Off => {
                return refused(
                    "recovery_mode is off; set it, or recovery_command or \
                     recovery_1st_stage_command"
                        .to_owned(),
                );
            }
            RecoveryMode::Extension => true,
            RecoveryMode::Command(command) => command.line.contains("%D"),
        };
        if is_told_directory && node.data_directory.is_empty() {
            return refused(format!("backend_data_directory{id} is not set"));
        }
        if self.leftovers.has(id) {
            return refused(format!(
                "recovery_command of an earlier recovery still runs for node {id}: wait for it, or \
                 end it"
            ));
        }
        Ok((node.clone(), primary.clone(), timeline))
    }

    /// What would be done, line by line.
    fn recovery_plan(&self, node: &Backend, primary: &Backend) -> Vec<String> {
        let policy = &self.config.recovery;
        let sites = sites(node, primary);
        let (id, at) = (node.id, primary.id);
        let copy = Some(&policy.first_stage).filter(|script| !script.is_empty());
        let copy = copy.and_then(|script| sites.copy(script, u8::MAX));
        let steps: Vec<String> = match self.recovery_line(node, primary) {
            Some(line) => {
                let slot = policy.slot.of(id).map(|name| slot::make(&name));
                let slot = slot.into_iter().flatten().map(|query| format!("on node {at}: {query}"));
                slot.chain([format!("here: {line}")]).collect()
            }
            None => {
                let calls = copy.into_iter().chain(sites.start());
                calls.map(|call| format!("on node {at}: {call}")).collect()
            }
        };
        let seconds = policy.timeout.as_secs();
        let mut lines =
            vec![format!("node {id} is kept out of service until it follows node {at}")];
        lines.extend(steps);
        lines.push(format!("node {id} has to follow node {at} within {seconds} seconds"));
        lines.push(format!("node {id} is attached"));
        lines
    }
}
