//! Online recovery: a node that is out of service is made a standby of the primary, one at a time.
//!
//! From the moment on at which its data may be touched, the node is kept out of service until it is
//! seen to follow the primary. Whatever goes wrong before, it stays out, whoever asked is told why,
//! and a new attempt may begin.

mod request;

use super::Control;
use super::hold::Hold;
use super::order::{Failed, What};
use super::watch::introduce;
use crate::admin::packet::Report;
use crate::admin::reply;
use crate::auth::answer::Answer;
use crate::auth::passwd::Stored;
use crate::backend::dialogue::{Dialogue, Rows};
use crate::config::Backend;
use crate::health::probe::Receiver;
use crate::id::{BackendId, ConnId};
use crate::limits;
use crate::recovery::extension::{self, Caller, Offer, Sites};
use crate::time::Instant;
use crate::topology::{Role, Seen, Status};
use bytes::Bytes;

/// A recovery under way.
#[derive(Debug)]
pub(super) struct Recovery {
    node: Backend,
    primary: Backend,
    /// The timeline of the primary. Another one means another history, which the copy may lack.
    timeline: u32,
    /// The session of PCP that has asked for it, as long as it is there.
    asker: ConnId,
    /// In which of the databases the functions are looked for, and called.
    database: usize,
    began: Instant,
    stage: Stage,
    /// When that began.
    since: Instant,
    /// When the asker is told next that it goes on.
    tell_at: Instant,
}

/// How far a recovery has come. A stage ends with its order, which has a deadline, or by its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The primary is asked what can be done there. Nothing is touched yet.
    Asking(ConnId),
    /// The primary's data is being copied.
    Copying(ConnId),
    /// The node's server is being started.
    Starting(ConnId),
    /// The node has to follow the primary by then.
    Awaiting(Instant),
}

impl Stage {
    /// The order that it waits for.
    const fn order(self) -> Option<ConnId> {
        match self {
            Self::Asking(order) | Self::Copying(order) | Self::Starting(order) => Some(order),
            Self::Awaiting(_) => None,
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

    /// Begins a conversation as the user who recovers.
    pub(super) fn recovery_dialogue(&mut self, first: Bytes) -> Dialogue {
        let policy = &self.config.recovery;
        let at = self.recovery.as_ref().map_or(0, |recovery| recovery.database);
        let database = policy.databases.get(at).map_or("", String::as_str);
        let checks = &self.config.checks;
        let (user, password) =
            policy.user.as_ref().map_or((&checks.user, &checks.password), |(u, p)| (u, p));
        let params = introduce(user, database, extension::APPLICATION_NAME);
        let stored = password.clone().map(Stored::Plain);
        let answer = Answer::new(user, stored.as_ref(), &mut self.entropy);
        Dialogue::new(&params, answer, first)
    }

    /// Asks the primary what can be done there.
    fn ask_primary(&mut self, primary: BackendId) -> Stage {
        let order = self.order(primary, What::Recover, [extension::QUERY], limits::ORDER_TIMEOUT);
        Stage::Asking(order)
    }

    /// An order that has to do with the recovery was carried out, or was not.
    pub(super) fn on_recovery_ordered(&mut self, conn: ConnId, ended: Result<Rows, Failed>) {
        let Some(recovery) = self.recovery.as_ref().filter(|r| r.stage.order() == Some(conn))
        else {
            return;
        };
        let (stage, primary) = (recovery.stage, recovery.primary.id);
        let next = match (stage, ended) {
            (Stage::Asking(_), Ok(rows)) => self.on_offered(&rows),
            (Stage::Copying(_), Ok(rows)) if said_yes(&rows) => self.start_node(),
            (Stage::Starting(_), Ok(rows)) if said_yes(&rows) => Ok(self.watch_node()),
            (Stage::Awaiting(_), _) => return,
            (Stage::Asking(_), Err(why)) => {
                Err(format!("node {primary} could not be asked what can be done: {why}"))
            }
            (Stage::Copying(_), Ok(_)) => {
                Err("pgpool_recovery says that recovery_1st_stage_command failed".to_owned())
            }
            (Stage::Copying(_), Err(Failed::Refused(why))) => {
                Err(format!("recovery_1st_stage_command failed: {why}"))
            }
            (Stage::Copying(_), Err(Failed::Unanswered(why))) => Err(format!(
                "nothing is known of recovery_1st_stage_command, which may still run on node \
                 {primary}: {why}"
            )),
            (Stage::Starting(_), Ok(_)) => {
                Err("pgpool_remote_start says that it failed".to_owned())
            }
            (Stage::Starting(_), Err(why)) => Err(format!("pgpool_remote_start failed: {why}")),
        };
        match next {
            Ok(stage) => self.go_on(stage),
            Err(why) => self.fail_recovery(&why),
        }
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

    /// The primary has said what can be done. From here on the node's data may be touched.
    fn on_offered(&mut self, rows: &Rows) -> Result<Stage, String> {
        let Some(recovery) = &mut self.recovery else { return Err(String::new()) };
        let (node, primary) = (recovery.node.id, recovery.primary.id);
        let offer = Offer::read(rows).ok_or("its answer cannot be understood")?;
        let policy = &self.config.recovery;
        let script = policy.first_stage.clone();
        let can_copy = script.is_empty() || offer.arguments > 0;
        if !can_copy || !offer.can_start {
            if recovery.database + 1 < policy.databases.len() {
                recovery.database += 1;
                return Ok(self.ask_primary(primary));
            }
            return Err(format!(
                "node {primary} has no pgpool_recovery in {}: run CREATE EXTENSION pgpool_recovery \
                 there, or set recovery_database",
                policy.databases.join(" or ")
            ));
        }
        if offer.caller != Caller::Superuser {
            return Err("recovery_user is no superuser, which pgpool_recovery demands".to_owned());
        }
        if let Some(process) = offer.busy {
            return Err(format!(
                "a script of an earlier recovery still runs on node {primary}, for process \
                 {process}: wait for it, or end it there"
            ));
        }
        let sites = recovery.sites();
        if !self.is_out(node) {
            return Err(format!("node {node} is in service again"));
        }
        self.hold(node, Hold::Detached);
        if script.is_empty() {
            return self.start_node();
        }
        let call = sites.copy(&script, offer.arguments).ok_or("its names cannot be written")?;
        let within = self.config.recovery.command_timeout;
        let queries = [extension::NO_LIMIT, call.as_str()];
        Ok(Stage::Copying(self.order(primary, What::Recover, queries, within)))
    }

    /// Has the node's server started.
    fn start_node(&mut self) -> Result<Stage, String> {
        let Some(recovery) = &self.recovery else { return Err(String::new()) };
        let primary = recovery.primary.id;
        let call = recovery.sites().start().ok_or("its names cannot be written")?;
        let within = self.config.recovery.timeout;
        let queries = [extension::NO_LIMIT, call.as_str()];
        Ok(Stage::Starting(self.order(primary, What::Recover, queries, within)))
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
        let Some(recovery) = &self.recovery else { return };
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
            Stage::Asking(_) | Stage::Starting(_) | Stage::Awaiting(_) => why,
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
        self.answer_waiting(recovery.asker, reply::done(b'c'));
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
        let node = recovery.node.id;
        let seconds = self.now.since(recovery.began).as_secs();
        log::error!(
            "recovery: failed after {seconds} s: {why}; node {node} stays out of service, and may be \
             recovered again"
        );
        let report = Report::error(format!("node recovery failed, node id: {node}")).because(why);
        self.answer_waiting(recovery.asker, report.compose());
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
        let asker = recovery.asker;
        self.tell_progress(asker, &text);
    }

    /// When something is due for the recovery.
    pub(super) fn recovery_deadline(&self) -> Option<Instant> {
        let recovery = self.recovery.as_ref()?;
        Some(match recovery.stage {
            Stage::Awaiting(deadline) => deadline.min(recovery.tell_at),
            Stage::Asking(_) | Stage::Copying(_) | Stage::Starting(_) => recovery.tell_at,
        })
    }
}

/// Why a recovery ends with the process.
const STOPPING: &str = "pgherd is stopping";

/// Whether a function that says whether it succeeded says so.
fn said_yes(rows: &Rows) -> bool {
    rows.iter().flatten().any(|value| value == "t")
}
