//! The operator's commands: what has which of them run, in which order, and what came of it.
//!
//! `failover_command` promotes when the primary is lost (`failover`), `follow_primary_command` is
//! run for standbys on an earlier timeline than the primary's (`follow`), `recovery_command` to make a
//! standby of a node again (`recovery`). Besides, a command is told
//! of every other node that is lost or comes back: of one after the other, in the order in which it
//! happened, as in Pgpool-II. Nothing waits for those; what they say is logged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Control;
use crate::config::{Command, FailoverFlag};
use crate::failover::placeholders::{self, Facts};
use crate::id::BackendId;
use crate::job::{Ending, Environment, Job, JobId};
use crate::limits;
use crate::output::Output;
use crate::topology::{Seen, Topology};

/// The commands that run and that wait, and what they may mention of the past.
#[derive(Debug, Default)]
pub(super) struct Commands {
    /// The latest job's name.
    last: JobId,
    running: BTreeMap<JobId, Running>,
    /// What is to be told of, first first; at most [`limits::COMMANDS_WAITING_MAX`].
    waiting: VecDeque<Job>,
    /// Who went out of service unmentioned, and comes back so.
    untold: BTreeSet<BackendId>,
    reign: Reign,
    /// The reign before.
    former: Reign,
}

#[derive(Debug)]
struct Running {
    name: String,
    purpose: Purpose,
}

/// What a command is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A node becomes the primary.
    Promote,
    /// This node follows the primary.
    Follow(BackendId),
    /// This node is recovered.
    Recover(BackendId),
    /// It is told that something has happened.
    Tell,
}

/// Who was what while one node was the primary.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reign {
    pub(super) primary: Option<BackendId>,
    /// The usable node of the least number.
    pub(super) main: Option<BackendId>,
}

/// What happened to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Lost,
    Back,
}

impl Commands {
    /// Tells whether any command runs.
    pub(super) fn are_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Tells whether this command runs.
    pub(super) fn is_running(&self, job: JobId) -> bool {
        self.running.contains_key(&job)
    }

    /// Tells whether a command runs that has a standby follow the primary, or another one.
    pub(super) fn are_running_for_a_follower(&self) -> bool {
        self.running.values().any(|running| matches!(running.purpose, Purpose::Follow(_)))
    }

    /// The reign of the primary that is lost, which pgherd need not have seen.
    pub(super) fn reign_of(&mut self, lost: BackendId) -> Reign {
        self.reign.primary.get_or_insert(lost);
        self.reign
    }

    /// The reign before the present one.
    pub(super) const fn former(&self) -> Reign {
        self.former
    }
}

impl Control {
    /// Has a command run.
    pub(super) fn run(&mut self, purpose: Purpose, job: Job) -> JobId {
        self.commands.last = self.commands.last.next();
        let id = self.commands.last;
        log::info!("{}: {}", job.name, job.line);
        let running = Running { name: job.name.clone(), purpose };
        self.commands.running.insert(id, running);
        self.outputs.push(Output::Run { id, job: Box::new(job) });
        id
    }

    /// A command has ended.
    pub(super) fn on_ended(&mut self, id: JobId, ending: &Ending) {
        let Some(Running { name, purpose }) = self.commands.running.remove(&id) else { return };
        if ending.is_success() {
            log::info!("{name}: {ending}");
        } else {
            log::error!("{name} has failed: {ending}");
        }
        if self.is_over() {
            return;
        }
        match purpose {
            Purpose::Promote => self.on_promotion_run(id, ending),
            Purpose::Follow(node) => self.on_follow_run(node, id, ending),
            Purpose::Recover(_) => self.on_recovery_run(id, ending),
            Purpose::Tell => self.tell_next(),
        }
    }

    /// Composes a command about a node.
    pub(super) fn compose(
        &self,
        key: &str,
        command: &Command,
        about: BackendId,
        main: Option<BackendId>,
        before: Reign,
    ) -> Option<Job> {
        let backend = |id: Option<BackendId>| self.config.backend(id?);
        let facts = Facts {
            node: self.config.backend(about)?,
            new_main: backend(main),
            old_main: before.main,
            old_primary: backend(before.primary),
            standby: None,
        };
        let line = placeholders::fill(&command.line, &facts);
        let name = format!("{key} for node {about}");
        Some(Job { name, line, environment: Environment::default(), within: command.within })
    }

    /// Notes who is lost and who is back in the next view of the cluster.
    pub(super) fn note_changes(&mut self, next: &Topology) {
        let before = self.topology.clone();
        let main = main(next);
        let reign = Reign { main: self::main(&before), ..self.commands.reign };
        for (was, is) in before.nodes.iter().filter_map(|was| {
            let is = next.nodes.iter().find(|node| node.id == was.id)?;
            Some((was, is))
        }) {
            let change = match (was.status.is_usable(), is.status.is_usable()) {
                // The number was given to another server.
                (true, false) if is.seen == Seen::Unknown => continue,
                (true, false) => Change::Lost,
                // The first look at a node finds it, and brings nothing back.
                (false, true) if was.seen == Seen::Unknown => continue,
                // A switchover was undone, of whose beginning nobody was told.
                (false, true) if self.is_switching(is.id) => continue,
                (false, true) => Change::Back,
                (true, true) | (false, false) => continue,
            };
            let is_told = match change {
                Change::Lost if self.is_no_loss(is.id) => {
                    self.commands.untold.insert(is.id);
                    false
                }
                Change::Lost => self.is_to_be_told(is.id),
                Change::Back => !self.commands.untold.remove(&is.id),
            };
            if is_told {
                self.tell(change, is.id, main, reign);
            }
        }
        let commands = &mut self.commands;
        if let Some(primary) = next.primary {
            if commands.reign.primary != Some(primary) {
                commands.former = commands.reign;
                commands.reign.primary = Some(primary);
            }
            commands.reign.main = main;
        }
    }

    /// Whether it is none that a node serves no longer: it may not fail over, as with Pgpool-II, or
    /// is a standby that pgherd itself keeps out of service.
    fn is_no_loss(&self, id: BackendId) -> bool {
        let backend = self.config.backend(id);
        let may_fail = backend.is_some_and(|backend| backend.failover == FailoverFlag::Allow);
        let is_kept_out = self.hold_of(id).is_quarantine();
        !may_fail || is_kept_out && self.commands.reign.primary != Some(id)
    }

    /// Whether a command is told of a loss. The primary's is `begin_failover`'s business; and what
    /// was restarted by a command is not lost.
    fn is_to_be_told(&self, id: BackendId) -> bool {
        // Scripts promote where no primary is known. pgherd has not even seen one, as it may be
        // shortly after its start.
        let is_standby = self.commands.reign.primary.is_some_and(|primary| primary != id);
        is_standby && !self.is_under_command(id)
    }

    /// Has a command told that the primary is lost, although nobody is promoted.
    pub(super) fn tell_loss(&mut self, id: BackendId) {
        let (main, reign) = (main(&self.topology), self.commands.reign);
        self.tell(Change::Lost, id, main, reign);
    }

    fn tell(&mut self, change: Change, id: BackendId, main: Option<BackendId>, before: Reign) {
        let commands = &self.config.commands;
        let (key, command) = match change {
            Change::Lost => ("failover_command", &commands.failover),
            Change::Back => ("failback_command", &commands.failback),
        };
        let Some(command) = command else { return };
        if self.shutdown.is_some() {
            return;
        }
        let Some(job) = self.compose(key, command, id, main, before) else { return };
        if self.commands.waiting.len() >= limits::COMMANDS_WAITING_MAX {
            log::error!("{} is not run: {} wait already", job.name, self.commands.waiting.len());
            return;
        }
        self.commands.waiting.push_back(job);
        self.tell_next();
    }

    /// Has the next command run that is told of something, if none is.
    fn tell_next(&mut self) {
        let is_told = |running: &Running| running.purpose == Purpose::Tell;
        if self.shutdown.is_some() || self.commands.running.values().any(is_told) {
            return;
        }
        if let Some(job) = self.commands.waiting.pop_front() {
            self.run(Purpose::Tell, job);
        }
    }
}

/// The usable node of the least number.
fn main(topology: &Topology) -> Option<BackendId> {
    let usable = topology.nodes.iter().filter(|node| node.status.is_usable());
    usable.map(|node| node.id).min()
}
