//! Standbys on their way to following the primary.
//!
//! A standby that is on an earlier timeline than the primary is pointed at it, whoever promoted the
//! primary and whenever: what is to be done is read off the servers, so that a failover which
//! pgherd did not see to its end is finished all the same.

use super::Control;
use super::commands::Purpose;
use super::order::{Failed, What};
use super::standing::Hold;
use super::watch::Watched;
use crate::backend::dialogue::Rows;
use crate::config::FailoverMode;
use crate::failover::follow::{self, Plan};
use crate::id::{BackendId, ConnId};
use crate::job::{Ending, JobId};
use crate::limits;
use crate::time::Instant;
use crate::topology::{Role, Seen};

/// A standby on its way to following the primary.
#[derive(Debug)]
pub(super) struct Follow {
    /// Whom it is to follow.
    primary: BackendId,
    stage: Stage,
    /// How often a command was run for it.
    tries: u32,
    /// It is kept out of service if it does not follow by then.
    deadline: Instant,
}

#[derive(Debug)]
enum Stage {
    /// It is asked how it is connected.
    Asking(ConnId),
    /// The primary makes the slot that it needs; then it is told the rest.
    Slotting(ConnId, Vec<String>),
    /// It is told whom to follow.
    Pointing(ConnId),
    /// It has been told; a look tells whether it does.
    Pointed,
    /// It could not be told, and is tried again then.
    Paused(Instant),
    /// `follow_primary_command` is run for it when those before it are done: scripts may work on one
    /// server after another, as in Pgpool-II.
    Queued,
    /// The command runs for it, and may restart it.
    Running(JobId),
    /// The command was run so often that it is left to the operator.
    Spent,
}

impl Control {
    /// Finds standbys that are to be pointed at the primary, and those that follow it now.
    pub(super) fn gather_followers(&mut self) {
        let Some((primary, timeline)) = self.leader() else {
            self.follows.keys().copied().collect::<Vec<_>>().into_iter().for_each(|id| {
                self.end_follow(id);
            });
            return;
        };
        // A primary that has handed over has nothing that its heir lacks. Only a script can make it
        // a standby, which it does as for any other node, as with Pgpool-II.
        let deposed = self
            .deposed
            .filter(|_| self.has_command_to_follow() && self.appointed == Some(primary));
        let stray = |node: &&Watched| {
            let sighting = node.fact.sighting.as_ref();
            node.id != primary
                && !matches!(node.hold, Hold::Detached | Hold::Foreign | Hold::Astray)
                && !self.is_recovering(node.id)
                && sighting.is_some_and(|s| {
                    (s.role == Role::Standby || deposed == Some(node.id)) && s.timeline < timeline
                })
        };
        let strays: Vec<BackendId> = self.nodes.iter().filter(stray).map(|node| node.id).collect();
        for id in self.follows.keys().copied().collect::<Vec<_>>() {
            let is_over = self.follows.get(&id).is_some_and(|follow| follow.primary != primary);
            if is_over || !strays.contains(&id) && !self.is_under_command(id) {
                self.end_follow(id);
            }
        }
        let is_ours = self.config.failover.mode != FailoverMode::Off
            || self.appointed == Some(primary)
            || self.has_command_to_follow();
        if !is_ours || self.shutdown.is_some() {
            return;
        }
        for id in strays {
            if !self.follows.contains_key(&id) {
                log::info!("node {id} is to follow node {primary}, on timeline {timeline}");
                let deadline = self.now + limits::FOLLOW_TIMEOUT;
                let stage = self.begin_follow(id);
                self.follows.insert(id, Follow { primary, stage, tries: 0, deadline });
            }
        }
        self.run_next_follow();
    }

    fn begin_follow(&mut self, id: BackendId) -> Stage {
        if self.has_command_to_follow() {
            Stage::Queued
        } else {
            Stage::Asking(self.ask_standby(id))
        }
    }

    pub(super) fn has_command_to_follow(&self) -> bool {
        self.config.commands.follow_primary.is_some()
    }

    /// Whether a command works on a node, or has just done so: it may have stopped it, and it is
    /// known for whom it is to be tried again.
    pub(super) fn is_under_command(&self, id: BackendId) -> bool {
        let is_seen = self.nodes.iter().any(|node| node.id == id && node.fact.seen == Seen::Up);
        self.follows.get(&id).is_some_and(|follow| match follow.stage {
            Stage::Running(_) => true,
            Stage::Pointed | Stage::Queued | Stage::Paused(_) | Stage::Spent => {
                follow.tries > 0 && !is_seen
            }
            Stage::Asking(_) | Stage::Slotting(..) | Stage::Pointing(_) => false,
        })
    }

    /// Runs the command for the next standby in line, if it runs for none.
    fn run_next_follow(&mut self) {
        if self.shutdown.is_some() || self.commands.are_running_for_a_follower() {
            return;
        }
        let is_next = |follow: &Follow| matches!(follow.stage, Stage::Queued);
        // Standbys serve meanwhile, and grow old; a primary that has handed over does not.
        let queued = self.follows.iter().filter(|(_, follow)| is_next(follow));
        let next = queued.min_by_key(|(id, _)| (self.deposed == Some(**id), **id));
        let Some((id, primary)) = next.map(|(id, follow)| (*id, follow.primary)) else { return };
        let command = self.config.commands.follow_primary.as_ref();
        let job = command.and_then(|command| {
            let former = self.commands.former();
            self.compose("follow_primary_command", command, id, Some(primary), former)
        });
        let stage = match job {
            Some(job) => Stage::Running(self.run(Purpose::Follow(id), job)),
            // A reload has taken it away.
            None => Stage::Paused(self.now),
        };
        if let Some(follow) = self.follows.get_mut(&id) {
            follow.stage = stage;
            follow.tries += 1;
        }
    }

    /// The command has ended that was to have a standby follow the primary. A look tells whether it
    /// does; if not, the command is run again after a while.
    pub(super) fn on_follow_run(&mut self, id: BackendId, job: JobId, ending: &Ending) {
        let now = self.now;
        if let Some(follow) = self.follows.get_mut(&id)
            && matches!(follow.stage, Stage::Running(running) if running == job)
        {
            follow.deadline = now + limits::FOLLOW_TIMEOUT;
            follow.stage = if ending.is_success() {
                Stage::Pointed
            } else {
                Stage::Paused(now + limits::FOLLOW_COMMAND_RETRY_DELAY)
            };
        }
        self.hurry(id);
        self.gather_followers();
        self.look_hastily();
    }

    /// The primary and its timeline; none while it is not decided who that is.
    pub(super) fn leader(&self) -> Option<(BackendId, u32)> {
        let primary = self.topology.primary?;
        let node = self.nodes.iter().find(|node| node.id == primary)?;
        Some((primary, node.fact.sighting.as_ref()?.timeline))
    }

    fn end_follow(&mut self, id: BackendId) {
        let Some(follow) = self.follows.remove(&id) else { return };
        if let Stage::Asking(conn) | Stage::Slotting(conn, _) | Stage::Pointing(conn) = follow.stage
        {
            self.recall(conn);
        }
    }

    fn ask_standby(&mut self, id: BackendId) -> ConnId {
        self.order(id, What::Follow(id), [follow::QUERY], limits::ORDER_TIMEOUT)
    }

    fn point(&mut self, id: BackendId, queries: &[String]) -> Stage {
        let queries = queries.iter().map(String::as_str);
        Stage::Pointing(self.order(id, What::Follow(id), queries, limits::ORDER_TIMEOUT))
    }

    /// A server has answered an order that has to do with a standby's following.
    pub(super) fn on_follow_ordered(
        &mut self,
        id: BackendId,
        conn: ConnId,
        ended: Result<Rows, Failed>,
    ) {
        let Some(follow) = self.follows.get_mut(&id) else { return };
        let primary = follow.primary;
        let stage = std::mem::replace(&mut follow.stage, Stage::Pointed);
        let next = match (stage, ended) {
            (Stage::Asking(order), Ok(rows)) if order == conn => {
                self.plan(id, primary, &rows).map(|plan| match plan.at_primary {
                    None => self.point(id, &plan.at_standby),
                    Some(query) => {
                        let (what, within) = (What::Follow(id), limits::ORDER_TIMEOUT);
                        let order = self.order(primary, what, [query.as_str()], within);
                        Stage::Slotting(order, plan.at_standby)
                    }
                })
            }
            (Stage::Slotting(order, queries), Ok(_)) if order == conn => {
                Ok(self.point(id, &queries))
            }
            (Stage::Pointing(order), Ok(_)) if order == conn => Ok(Stage::Pointed),
            (
                Stage::Asking(order) | Stage::Slotting(order, _) | Stage::Pointing(order),
                Err(why),
            ) if order == conn => Err(why.to_string()),
            (stage, _) => Ok(stage),
        };
        let next = next.unwrap_or_else(|why| {
            log::error!("node {id} could not be pointed at node {primary}: {why}");
            Stage::Paused(self.now + limits::FOLLOW_RETRY_DELAY)
        });
        if let Some(follow) = self.follows.get_mut(&id) {
            follow.stage = next;
        }
        self.look_hastily();
    }

    fn plan(
        &self,
        id: BackendId,
        primary: BackendId,
        rows: &[Vec<String>],
    ) -> Result<Plan, String> {
        let Some(backend) = self.config.backend(primary) else {
            return Err(format!("node {primary}, which node {id} is to follow, is gone"));
        };
        follow::plan(rows, &backend.hostname, backend.port).map_err(|why| why.to_string())
    }

    /// Tries again whoever is due, and keeps those out of service who have not followed in time.
    pub(super) fn press_followers(&mut self) {
        let now = self.now;
        for id in self.follows.keys().copied().collect::<Vec<_>>() {
            let Some(follow) = self.follows.get_mut(&id) else { continue };
            let is_late = follow.deadline <= now;
            if is_late {
                follow.deadline = now + limits::FOLLOW_TIMEOUT;
            }
            let is_due = match follow.stage {
                Stage::Paused(until) => until <= now,
                Stage::Pointed => is_late,
                Stage::Asking(_) | Stage::Slotting(..) | Stage::Pointing(_) => false,
                Stage::Queued | Stage::Running(_) | Stage::Spent => false,
            };
            let (primary, tries) = (follow.primary, follow.tries);
            if is_late && self.nodes.iter().any(|n| n.id == id && n.hold == Hold::None) {
                log::error!(
                    "node {id} does not follow node {primary} and is kept out of service until it \
                     does; if it has WAL that the primary has not, it has to be rewound or made anew"
                );
                self.hold(id, Hold::Fenced);
            }
            if is_due {
                let is_spent = tries >= limits::FOLLOW_COMMAND_TRIES_MAX;
                let stage = if is_spent && self.has_command_to_follow() {
                    log::error!(
                        "follow_primary_command was run {tries} times for node {id}, which does not \
                         follow node {primary}: it is left to you"
                    );
                    Stage::Spent
                } else {
                    self.begin_follow(id)
                };
                if let Some(follow) = self.follows.get_mut(&id) {
                    follow.stage = stage;
                }
            }
        }
        self.run_next_follow();
    }

    /// When something is due for those who are to follow.
    pub(super) fn follow_deadline(&self) -> Option<Instant> {
        let due = |follow: &Follow| match follow.stage {
            Stage::Paused(until) => follow.deadline.min(until),
            Stage::Asking(_)
            | Stage::Slotting(..)
            | Stage::Pointing(_)
            | Stage::Pointed
            | Stage::Queued
            | Stage::Running(_)
            | Stage::Spent => follow.deadline,
        };
        self.follows.values().map(due).min()
    }

    /// The standbys that are expected to follow any moment.
    pub(super) fn pointed(&self) -> impl Iterator<Item = BackendId> {
        let pointed = self.follows.iter().filter(|(_, follow)| match follow.stage {
            Stage::Pointed => true,
            Stage::Asking(_) | Stage::Slotting(..) | Stage::Pointing(_) | Stage::Paused(_) => false,
            Stage::Queued | Stage::Running(_) | Stage::Spent => false,
        });
        pointed.map(|(id, _)| *id)
    }
}
