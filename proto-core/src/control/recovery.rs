//! Online recovery: a node that is out of service is made a standby of the primary, one at a time.
//!
//! From the moment on at which its data may be touched, the node is kept out of service until it is
//! seen to follow the primary. Whatever goes wrong before, it stays out, whoever asked is told why,
//! and a new attempt may begin.

mod command;
mod demotion;
mod leftovers;
mod request;
mod scripts;

use super::Control;
use super::standing::Hold;
use crate::admin::packet::Report;
use crate::admin::reply;
use crate::config::Backend;
use crate::health::probe::Receiver;
use crate::id::{BackendId, ConnId};
use crate::job::JobId;
use crate::limits;
use crate::recovery::extension::{self, Sites};
use crate::time::Instant;
use crate::topology::{Role, Seen, Status};
pub(super) use demotion::Demotions;
pub(super) use leftovers::Leftovers;

/// A recovery under way.
#[derive(Debug)]
pub(super) struct Recovery {
    node: Backend,
    primary: Backend,
    /// The timeline of the primary. Another one means another history, which the copy may lack.
    timeline: u32,
    /// The session of PCP that has asked for it, as long as it is there; none where nobody has.
    asker: Option<ConnId>,
    /// In which of the databases the functions are looked for, and called.
    database: usize,
    /// The replication slot that was made for it, or is being made, and that goes if it fails.
    slot: Option<String>,
    began: Instant,
    stage: Stage,
    /// When that began.
    since: Instant,
    /// When the asker is told next that it goes on.
    tell_at: Instant,
}

/// How far a recovery has come. A stage ends with its order or its command, which have deadlines, or
/// by its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The primary is asked what can be done there. Nothing is touched yet.
    Asking(ConnId),
    /// The primary's data is being copied.
    Copying(ConnId),
    /// The node's server is being started.
    Starting(ConnId),
    /// The primary makes a replication slot for the node.
    Slotting(ConnId),
    /// `recovery_command` is run for the node.
    Running(JobId),
    /// The node has to follow the primary by then.
    Awaiting(Instant),
}

impl Stage {
    /// The order that it waits for.
    const fn order(self) -> Option<ConnId> {
        match self {
            Self::Asking(order)
            | Self::Copying(order)
            | Self::Starting(order)
            | Self::Slotting(order) => Some(order),
            Self::Running(_) | Self::Awaiting(_) => None,
        }
    }
}

impl Recovery {
    fn sites(&self) -> Sites {
        sites(&self.node, &self.primary)
    }

    /// What goes on, in words.
    fn doing(&self) -> String {
        let (node, primary) = (self.node.id, self.primary.id);
        match self.stage {
            Stage::Asking(_) => format!("node {node}: node {primary} is asked what can be done"),
            Stage::Copying(_) => {
                format!("node {node}: base backup runs (recovery_1st_stage_command)")
            }
            Stage::Starting(_) => {
                format!("node {node}: its server is started (pgpool_remote_start)")
            }
            Stage::Slotting(_) => {
                format!("node {node}: node {primary} makes its replication slot (recovery_slot)")
            }
            Stage::Running(_) => format!("node {node}: recovery_command runs"),
            Stage::Awaiting(_) => {
                format!("node {node}: awaited as a standby that follows node {primary}")
            }
        }
    }
}

/// Who is copied to whom.
fn sites(node: &Backend, primary: &Backend) -> Sites {
    Sites {
        node: node.id.0,
        host: extension::host(&node.hostname),
        port: node.port,
        data_directory: node.data_directory.clone(),
        primary_host: extension::host(&primary.hostname),
        primary_port: primary.port,
    }
}

impl Control {
    /// Whether a node is being recovered, and can be neither attached nor detached.
    pub(super) fn is_recovering(&self, id: BackendId) -> bool {
        self.recovery.as_ref().is_some_and(|recovery| recovery.node.id == id)
    }

    /// The node that is expected to follow any moment.
    pub(super) fn follower_to_be(&self) -> Option<BackendId> {
        let recovery = self.recovery.as_ref()?;
        matches!(recovery.stage, Stage::Awaiting(_)).then_some(recovery.node.id)
    }

    /// Goes on with another stage.
    fn go_on(&mut self, stage: Stage) {
        let Some(recovery) = &mut self.recovery else { return };
        recovery.stage = stage;
        recovery.since = self.now;
        recovery.tell_at = self.now;
        log::info!("recovery: {}", recovery.doing());
        self.look_hastily();
    }

    fn watch_node(&self) -> Stage {
        Stage::Awaiting(self.now + self.config.recovery.timeout)
    }

    /// Whether a node is out of service.
    fn is_out(&self, id: BackendId) -> bool {
        let node = self.nodes.iter().find(|node| node.id == id);
        node.is_some_and(|node| node.hold != Hold::None || node.fact.status == Status::Down)
    }

    /// Looks how the recovery stands; called after whatever has happened.
    pub(super) fn attend_recovery(&mut self) {
        let Some(recovery) = &self.recovery else { return self.attend_demotions() };
        if let Some(why) = self.obstacle(recovery) {
            return self.fail_recovery(&why);
        }
        if let Stage::Awaiting(deadline) = recovery.stage {
            if self.follows(recovery) {
                return self.complete_recovery();
            }
            if deadline <= self.now {
                let why = self.shortcoming(recovery);
                return self.fail_recovery(&why);
            }
        }
        self.report_progress();
    }

    /// Why the recovery cannot go on, if it cannot.
    fn obstacle(&self, recovery: &Recovery) -> Option<String> {
        let is_there = |backend: &Backend| {
            let now = self.config.backend(backend.id);
            now.is_some_and(|now| (&now.hostname, now.port) == (&backend.hostname, backend.port))
        };
        let primary = recovery.primary.id;
        let timeline = self.leader().map(|(_, timeline)| timeline);
        let why = if self.shutdown.is_some() {
            STOPPING.to_owned()
        } else if !is_there(&recovery.node) || !is_there(&recovery.primary) {
            "the configuration has changed".to_owned()
        } else if self.topology.primary != Some(primary) || timeline != Some(recovery.timeline) {
            format!("node {primary} is not the primary any more, or not as it was")
        } else {
            return None;
        };
        Some(match recovery.stage {
            Stage::Copying(_) => {
                format!("{why}; recovery_1st_stage_command may still run on node {primary}")
            }
            Stage::Running(_) => format!("{why}; recovery_command is ended"),
            Stage::Asking(_) | Stage::Starting(_) | Stage::Slotting(_) | Stage::Awaiting(_) => why,
        })
    }

    /// Whether the node was seen to follow the primary since it was started.
    fn follows(&self, recovery: &Recovery) -> bool {
        self.nodes.iter().any(|node| {
            let sighting = node.fact.sighting.as_ref();
            node.id == recovery.node.id
                && node.fact.seen == Seen::Up
                && node.looked_at.is_some_and(|at| at >= recovery.since)
                && sighting.is_some_and(|sighting| {
                    sighting.role == Role::Standby
                        && sighting.receiver == Receiver::Streaming
                        && sighting.timeline >= recovery.timeline
                        && !self.is_foreign(sighting)
                        && !self.is_astray(sighting, (recovery.primary.id, recovery.timeline))
                })
        })
    }

    /// What the node lacks of following the primary, once its time is over.
    fn shortcoming(&self, recovery: &Recovery) -> String {
        let id = recovery.node.id;
        let node = self.nodes.iter().find(|node| node.id == id);
        let is_fresh = |at: Instant| at >= recovery.since;
        let node = node.filter(|node| node.looked_at.is_some_and(is_fresh));
        let what = match node.and_then(|node| node.fact.sighting.as_ref()) {
            None => "does not answer",
            Some(sighting) if sighting.role != Role::Standby => "is no standby",
            Some(sighting) if sighting.receiver != Receiver::Streaming => {
                "is a standby and receives nothing"
            }
            Some(_) => "follows on an earlier timeline",
        };
        let seconds = self.config.recovery.timeout.as_secs();
        format!("node {id} was started, and {what} within {seconds} seconds (recovery_timeout)")
    }

    fn complete_recovery(&mut self) {
        let Some(recovery) = self.recovery.take() else { return };
        let (node, primary) = (recovery.node.id, recovery.primary.id);
        let seconds = self.now.since(recovery.began).as_secs();
        log::warn!(
            "recovery: node {node} follows node {primary} and serves again, {seconds} s later"
        );
        self.release(node);
        if let Some(asker) = recovery.asker {
            self.answer_waiting(asker, reply::done(b'c'));
        }
        self.pursue();
    }

    /// Ends the recovery under way, if there is one: pgherd stops.
    pub(super) fn stop_recovery(&mut self) {
        self.fail_recovery(STOPPING);
    }

    fn fail_recovery(&mut self, why: &str) {
        let Some(recovery) = self.recovery.take() else { return };
        if let Some(order) = recovery.stage.order() {
            self.recall(order);
        }
        self.tidy_up(&recovery);
        let node = recovery.node.id;
        let seconds = self.now.since(recovery.began).as_secs();
        log::error!(
            "recovery: failed after {seconds} s: {why}; node {node} stays out of service, and may be \
             recovered again"
        );
        match recovery.asker {
            Some(asker) => {
                let report = Report::error(format!("node recovery failed, node id: {node}"));
                self.answer_waiting(asker, report.because(why).compose());
            }
            None => self.note_demotion_failed(node),
        }
    }

    /// Tells the asker what goes on, at a bounded pace.
    fn report_progress(&mut self) {
        let now = self.now;
        let Some(recovery) = self.recovery.as_mut().filter(|recovery| recovery.tell_at <= now)
        else {
            return;
        };
        recovery.tell_at = now + limits::PROGRESS_PERIOD;
        let seconds = now.since(recovery.since).as_secs();
        let text = format!("{}, {seconds} s so far", recovery.doing());
        if let Some(asker) = recovery.asker {
            self.tell_progress(asker, &text);
        }
    }

    /// When something is due for the recovery.
    pub(super) fn recovery_deadline(&self) -> Option<Instant> {
        let Some(recovery) = &self.recovery else { return self.demotion_deadline() };
        Some(match recovery.stage {
            Stage::Awaiting(deadline) => deadline.min(recovery.tell_at),
            Stage::Asking(_)
            | Stage::Copying(_)
            | Stage::Starting(_)
            | Stage::Slotting(_)
            | Stage::Running(_) => recovery.tell_at,
        })
    }
}

/// Why a recovery ends with the process.
const STOPPING: &str = "pgherd is stopping";
