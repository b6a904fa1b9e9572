//! Standbys on their way to following the primary.
//!
//! A standby that is on an earlier timeline than the primary is pointed at it, whoever promoted the
//! primary and whenever: what is to be done is read off the servers, so that a failover which
//! pgherd did not see to its end is finished all the same.

use super::Control;
use super::hold::Hold;
use super::order::{Failed, What};
use super::watch::Watched;
use crate::backend::dialogue::Rows;
use crate::config::FailoverMode;
use crate::failover::follow::{self, Plan};
use crate::id::{BackendId, ConnId};
use crate::limits;
use crate::time::Instant;
use crate::topology::Role;

/// A standby on its way to following the primary.
#[derive(Debug)]
pub(super) struct Follow {
    /// Whom it is to follow.
    primary: BackendId,
    stage: Stage,
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
        let stray = |node: &&Watched| {
            let sighting = node.fact.sighting.as_ref();
            node.id != primary
                && node.hold != Hold::Detached
                && sighting.is_some_and(|s| s.role == Role::Standby && s.timeline < timeline)
        };
        let strays: Vec<BackendId> = self.nodes.iter().filter(stray).map(|node| node.id).collect();
        for id in self.follows.keys().copied().collect::<Vec<_>>() {
            let is_over = self.follows.get(&id).is_some_and(|follow| follow.primary != primary);
            if is_over || !strays.contains(&id) {
                self.end_follow(id);
            }
        }
        let is_ours =
            self.config.failover.mode != FailoverMode::Off || self.appointed == Some(primary);
        if !is_ours || self.shutdown.is_some() {
            return;
        }
        for id in strays {
            if !self.follows.contains_key(&id) {
                log::info!("node {id} is to follow node {primary}, on timeline {timeline}");
                let deadline = self.now + limits::FOLLOW_TIMEOUT;
                let stage = Stage::Asking(self.ask_standby(id));
                self.follows.insert(id, Follow { primary, stage, deadline });
            }
        }
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
            };
            let primary = follow.primary;
            if is_late && self.nodes.iter().any(|n| n.id == id && n.hold == Hold::None) {
                log::error!(
                    "node {id} does not follow node {primary} and is kept out of service until it \
                     does; if it has WAL that the primary has not, it has to be rewound or made anew"
                );
                self.hold(id, Hold::Fenced);
            }
            if is_due {
                let stage = Stage::Asking(self.ask_standby(id));
                if let Some(follow) = self.follows.get_mut(&id) {
                    follow.stage = stage;
                }
            }
        }
    }

    /// When something is due for those who are to follow.
    pub(super) fn follow_deadline(&self) -> Option<Instant> {
        let due = |follow: &Follow| match follow.stage {
            Stage::Paused(until) => follow.deadline.min(until),
            Stage::Asking(_) | Stage::Slotting(..) | Stage::Pointing(_) | Stage::Pointed => {
                follow.deadline
            }
        };
        self.follows.values().map(due).min()
    }

    /// The standbys that are expected to follow any moment.
    pub(super) fn pointed(&self) -> impl Iterator<Item = BackendId> {
        let pointed = self.follows.iter().filter(|(_, follow)| match follow.stage {
            Stage::Pointed => true,
            Stage::Asking(_) | Stage::Slotting(..) | Stage::Pointing(_) | Stage::Paused(_) => false,
        });
        pointed.map(|(id, _)| *id)
    }
}
