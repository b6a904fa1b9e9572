//! The way from a primary that is well to another one, without an error for anybody.
//!
//! Clients wait while it goes on, so every stage is bounded by one deadline. Until the heir is told
//! to become the primary, everything can be undone, and is, when anything is in the way; from then
//! on it is a promotion like any other ([`super::failover`]), which is undone if the heir does not
//! obey.

use super::Control;
use super::order::{Failed, What};
use super::stall::Ended;
use super::standing::Hold;
use super::watch::{Doubt, Watched};
use crate::backend::dialogue::Rows;
use crate::failover::decide::Loss;
use crate::failover::fence::{self, Progress};
use crate::failover::privileges::{self, Lacks};
use crate::failover::switchover::{self, Facts, Obstacle};
use crate::health::probe::Sighting;
use crate::id::{BackendId, ConnId, Epoch, ShardId};
use crate::limits;
use crate::time::Instant;
use crate::topology::{Intake, Role, Seen};

/// A node that is to become the primary because the operator asked for it.
#[derive(Debug)]
pub(super) struct Switchover {
    /// The primary, or the last one.
    old: BackendId,
    heir: BackendId,
    /// The session of PCP that asked, and waits.
    asker: Option<ConnId>,
    /// What is lost if the old one fails before the heir is told.
    loss: Loss,
    /// Since when new work waits.
    held: Option<Instant>,
    stage: Stage,
    began: Instant,
    /// It is undone if the heir has not been told by then.
    deadline: Instant,
}

#[derive(Debug)]
enum Stage {
    /// The old primary is asked what it allows.
    Asking(ConnId, Question),
    /// The heir comes near enough for clients to be made to wait. Both are looked at then.
    Approaching(Instant),
    /// New work waits; each shard tells when what there was is over.
    Draining(Vec<Quiet>),
    /// The old primary is told to take no more writes.
    Raising(ConnId),
    /// Sessions that did not come by pgherd are ended, until there are none.
    Emptying(Asked),
    /// The heir replays the rest, up to here.
    CatchingUp { end: u64, look_at: Instant },
    /// The heir is told to become the primary.
    Promoting,
    /// The old primary is to take writes again; it failed for this reason.
    Undoing(String),
}

/// Whether a shard has nothing under way any more where nothing new begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quiet {
    NotYet,
    Told,
}

/// What the old primary is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// Its version, on which the next question depends.
    Version,
    /// Whether it may be told all that a switchover takes.
    Privileges,
}

#[derive(Debug)]
enum Asked {
    Ordered(ConnId),
    Again(Instant),
}

impl Control {
    /// Begins to have a standby take the place of the primary, which is well.
    ///
    /// # Errors
    /// What is in the way. Otherwise `asker` is answered when it is over.
    pub(super) fn begin_switchover(
        &mut self,
        heir: BackendId,
        asker: Option<ConnId>,
    ) -> Result<(), Obstacle> {
        self.may_appoint(heir)?;
        let old = self.topology.primary.ok_or(Obstacle::NoPrimary)?;
        self.check_heir(old, heir)?;
        if !self.is_unrivalled(old) {
            // It could not be undone: which of the two is the primary would be open.
            return Err(Obstacle::Rival);
        }
        let loss = self.loss_of(old).ok_or(Obstacle::NoPrimary)?;
        log::warn!("switchover: node {heir} is to take the place of node {old}");
        let began = self.now;
        let deadline = began + self.config.switchover_timeout;
        let order = self.order(old, What::Fence, [privileges::VERSION], limits::ORDER_TIMEOUT);
        let stage = Stage::Asking(order, Question::Version);
        let held = None;
        self.switchover = Some(Switchover { old, heir, asker, loss, held, stage, began, deadline });
        self.tell_asker(&format!("node {heir} comes up to node {old}"));
        Ok(())
    }

    /// Begins to promote a standby by the operator's word, while there is no primary.
    ///
    /// # Errors
    /// What is in the way. Otherwise `asker` is answered when it is over.
    pub(super) fn begin_promotion(
        &mut self,
        heir: BackendId,
        asker: Option<ConnId>,
    ) -> Result<(), Obstacle> {
        self.may_appoint(heir)?;
        // Also one that is not used as the primary, or not yet, may take writes.
        let takes_writes = |node: &&Watched| {
            !matches!(node.hold, Hold::Fenced | Hold::Foreign)
                && node.fact.sighting.as_ref().is_some_and(|s| s.role == Role::Primary)
        };
        let seen = self.nodes.iter().find(takes_writes).map(|node| node.id);
        match self.topology.primary.or(seen) {
            Some(primary) if primary == heir => return Err(Obstacle::IsPrimary),
            Some(primary) => return Err(Obstacle::Primary(primary)),
            None => {}
        }
        if self.first_looks.is_some() {
            return Err(Obstacle::Busy);
        }
        if self.hold_of(heir) != Hold::None {
            return Err(Obstacle::Detached);
        }
        let sighting = self.sighting(heir).ok_or(Obstacle::Silent)?;
        if sighting.role != Role::Standby {
            return Err(Obstacle::NoStandby);
        }
        let loss = self.last_loss(heir, sighting.timeline);
        log::warn!("node {heir} is promoted by the operator's word");
        let (stage, began, deadline) = (Stage::Promoting, self.now, self.now);
        let (old, held) = (loss.primary, None);
        let switchover =
            Switchover { old, heir, asker, loss: loss.clone(), held, stage, began, deadline };
        self.switchover = Some(switchover);
        self.promote_heir(loss, heir);
        Ok(())
    }

    fn may_appoint(&self, heir: BackendId) -> Result<(), Obstacle> {
        if self.shutdown.is_some() {
            return Err(Obstacle::Stopping);
        }
        if self.index_of(heir).is_none() {
            return Err(Obstacle::Unknown);
        }
        let is_busy = self.switchover.is_some() || self.leave.is_some() || self.recovery.is_some();
        if is_busy || self.is_promoting() {
            return Err(Obstacle::Busy);
        }
        Ok(())
    }

    fn check_heir(&self, old: BackendId, heir: BackendId) -> Result<(), Obstacle> {
        switchover::check(&Facts {
            primary: old,
            at_primary: self.sighting(old),
            heir,
            at_heir: self.sighting(heir),
            is_in_service: self.hold_of(heir) == Hold::None,
        })
    }

    pub(super) fn sighting(&self, id: BackendId) -> Option<&Sighting> {
        self.nodes.iter().find(|node| node.id == id)?.fact.sighting.as_ref()
    }

    /// Where new work may begin.
    pub(super) fn intake(&self) -> Intake {
        match (&self.switchover, &self.leave) {
            (Some(switchover), _) if switchover.held.is_some() => Intake::Held,
            (_, Some(leave)) => Intake::Leaving(leave.id),
            (Some(_) | None, None) => Intake::Open,
        }
    }

    /// Whether a switchover is under way.
    pub(super) const fn is_switching_at_all(&self) -> bool {
        self.switchover.is_some()
    }

    /// Whether a node hands over, or takes over.
    pub(super) fn is_switching(&self, id: BackendId) -> bool {
        self.switchover.as_ref().is_some_and(|s| [s.old, s.heir].contains(&id))
    }

    /// Whether writes of a node were stopped for a switchover that goes on.
    pub(super) fn is_stopped(&self, id: BackendId) -> bool {
        self.switchover.as_ref().is_some_and(|switchover| {
            let is_stopped = match switchover.stage {
                Stage::Raising(_)
                | Stage::Emptying(_)
                | Stage::CatchingUp { .. }
                | Stage::Promoting => true,
                Stage::Asking(..)
                | Stage::Approaching(_)
                | Stage::Draining(_)
                | Stage::Undoing(_) => false,
            };
            is_stopped && switchover.old == id
        })
    }

    fn tell_asker(&mut self, text: &str) {
        log::info!("switchover: {text}");
        if let Some(asker) = self.switchover.as_ref().and_then(|s| s.asker) {
            self.tell_progress(asker, text);
        }
    }

    /// A shard has nothing under way on the primary any more.
    pub(super) fn on_quiet(&mut self, shard: ShardId, epoch: Epoch) {
        if let Some(Switchover { stage: Stage::Draining(quiet), .. }) = &mut self.switchover
            && epoch == self.topology.epoch
            && let Some(quiet) = quiet.get_mut(shard.index())
        {
            *quiet = Quiet::Told;
            self.pursue_switchover();
        }
    }

    /// Goes on as far as what is known and the time allow.
    pub(super) fn pursue_switchover(&mut self) {
        let Some(switchover) = &self.switchover else { return };
        let (old, heir, began) = (switchover.old, switchover.heir, switchover.began);
        match &switchover.stage {
            Stage::Promoting => return,
            Stage::Undoing(_) => return self.look_for_old(),
            Stage::Asking(..) | Stage::Approaching(_) | Stage::Draining(_)
                if self.topology.primary != Some(old) =>
            {
                return self.call_off("the primary was lost meanwhile");
            }
            Stage::Raising(_) | Stage::Emptying(_) | Stage::CatchingUp { .. }
                if self.sighting(old).is_none_or(|s| s.role != Role::Primary) =>
            {
                return self.call_off("the primary was lost meanwhile");
            }
            Stage::Asking(..)
            | Stage::Approaching(_)
            | Stage::Draining(_)
            | Stage::Raising(_)
            | Stage::Emptying(_)
            | Stage::CatchingUp { .. } => {}
        }
        let is_well = |heir: &&Sighting| heir.role == Role::Standby;
        let Some(at_heir) = self.sighting(heir).filter(is_well) else {
            return self.call_off(&format!("node {heir} was lost meanwhile"));
        };
        if self.now >= switchover.deadline {
            let why = self.what_was_late();
            return self.call_off(&why);
        }
        match &switchover.stage {
            Stage::Asking(..) => {}
            Stage::Approaching(look_at) => {
                let is_fresh = [old, heir].into_iter().all(|id| self.is_seen_since(id, began));
                let is_near = |at_old| switchover::is_near(at_old, at_heir);
                if is_fresh && self.sighting(old).is_some_and(is_near) {
                    self.begin_draining();
                } else if *look_at <= self.now {
                    self.enter(Stage::Approaching(self.now + limits::HASTY_LOOK_PERIOD));
                    [old, heir].into_iter().for_each(|id| self.hurry(id));
                }
            }
            Stage::Draining(quiet) => {
                if quiet.iter().all(|quiet| *quiet == Quiet::Told) {
                    self.stop_writes(old);
                }
            }
            Stage::Emptying(Asked::Again(at)) if *at <= self.now => self.empty(old),
            Stage::Emptying(_) | Stage::Raising(_) => {}
            Stage::CatchingUp { end, look_at } => {
                if at_heir.lsn.is_some_and(|replayed| replayed >= *end) {
                    self.hand_over();
                } else if *look_at <= self.now {
                    let (end, look_at) = (*end, self.now + limits::SWITCHOVER_LOOK_PERIOD);
                    self.enter(Stage::CatchingUp { end, look_at });
                    self.hurry(heir);
                }
            }
            Stage::Promoting | Stage::Undoing(_) => {}
        }
    }

    fn enter(&mut self, stage: Stage) {
        if let Some(switchover) = &mut self.switchover {
            switchover.stage = stage;
        }
    }

    fn is_seen_since(&self, id: BackendId, began: Instant) -> bool {
        let node = self.nodes.iter().find(|node| node.id == id);
        node.is_some_and(|node| node.looked_at.is_some_and(|at| at >= began))
    }

    fn begin_draining(&mut self) {
        let quiet = vec![Quiet::NotYet; self.shards.len()];
        if let Some(switchover) = &mut self.switchover {
            switchover.held = Some(self.now);
            switchover.stage = Stage::Draining(quiet);
            switchover.deadline = self.now + self.config.switchover_timeout;
        }
        self.tell_asker("new transactions wait, those under way end");
        self.publish(Doubt::None);
    }

    fn stop_writes(&mut self, old: BackendId) {
        self.tell_asker(&format!("node {old} takes no more writes"));
        let order = self.order(old, What::Fence, fence::RAISE, limits::ORDER_TIMEOUT);
        self.enter(Stage::Raising(order));
        // What is known of it now is the last that it wrote.
        if let (Some(loss), Some(switchover)) = (self.loss_of(old), &mut self.switchover) {
            switchover.loss = loss;
        }
        self.note_raised(old);
        self.shut_out(old);
    }

    fn empty(&mut self, old: BackendId) {
        let order = self.order(old, What::Fence, [fence::EMPTY], limits::ORDER_TIMEOUT);
        self.enter(Stage::Emptying(Asked::Ordered(order)));
    }

    /// The old primary has answered what has to do with its writes.
    pub(super) fn on_fence_ordered(&mut self, conn: ConnId, ended: Result<Rows, Failed>) {
        let Some(switchover) = &self.switchover else { return };
        let (old, heir) = (switchover.old, switchover.heir);
        let rows = match (&switchover.stage, ended) {
            (
                Stage::Asking(order, _)
                | Stage::Raising(order)
                | Stage::Emptying(Asked::Ordered(order)),
                ended,
            ) if *order == conn => match ended {
                Ok(rows) => rows,
                Err(why) => return self.call_off(&format!("node {old} could not be told: {why}")),
            },
            (
                Stage::Asking(..)
                | Stage::Raising(_)
                | Stage::Emptying(_)
                | Stage::Approaching(_)
                | Stage::Draining(_)
                | Stage::CatchingUp { .. }
                | Stage::Promoting
                | Stage::Undoing(_),
                _,
            ) => return,
        };
        match &switchover.stage {
            Stage::Asking(_, Question::Version) => {
                let version = rows.first().and_then(|row| row.first());
                let version = version.and_then(|text| text.parse().ok()).unwrap_or(0);
                let query = privileges::query(version);
                let within = limits::ORDER_TIMEOUT;
                let order = self.order(old, What::Fence, [query.as_str()], within);
                self.enter(Stage::Asking(order, Question::Privileges));
            }
            Stage::Asking(_, Question::Privileges) => {
                let Lacks { failover, switchover } = privileges::lacking(&rows);
                let lacks = [failover, switchover].concat();
                if lacks.is_empty() {
                    self.enter(Stage::Approaching(self.now));
                    self.pursue_switchover();
                } else {
                    let (user, _) = self.config.commander_of(old);
                    let why = format!(
                        "\"{user}\", who tells servers what to do (recovery_user, or else \
                         sr_check_user), lacks {} on node {old}; grant that",
                        lacks.join(", ")
                    );
                    self.call_off(&why);
                }
            }
            Stage::Raising(_) => self.empty(old),
            Stage::Emptying(_) => match fence::progress(&rows) {
                Some(Progress::Shut(end)) => {
                    self.tell_asker(&format!("node {heir} replays what is left"));
                    self.enter(Stage::CatchingUp { end, look_at: self.now });
                    self.pursue_switchover();
                }
                Some(Progress::Open) => {
                    let again = self.now + limits::SWITCHOVER_LOOK_PERIOD;
                    self.enter(Stage::Emptying(Asked::Again(again)));
                }
                None => self.call_off(&format!("node {old} does not tell how far it is")),
            },
            Stage::Approaching(_)
            | Stage::Draining(_)
            | Stage::CatchingUp { .. }
            | Stage::Promoting
            | Stage::Undoing(_) => {}
        }
    }

    fn hand_over(&mut self) {
        let Some(switchover) = &mut self.switchover else { return };
        switchover.stage = Stage::Promoting;
        let (loss, heir) = (switchover.loss.clone(), switchover.heir);
        self.tell_asker(&format!("node {heir} is promoted"));
        self.promote_heir(loss, heir);
    }

    fn what_was_late(&self) -> String {
        let Some(switchover) = &self.switchover else { return String::new() };
        let (old, heir) = (switchover.old, switchover.heir);
        let what = match &switchover.stage {
            Stage::Asking(..) => format!("node {old} did not answer"),
            Stage::Approaching(_) => {
                format!(
                    "node {heir} lacks more WAL than clients are made to wait for, or takes no writes yet"
                )
            }
            Stage::Draining(_) => format!(
                "transactions on node {old} did not end, or sessions there hold what only they have \
                 (SHOW pool_processes tells of both)"
            ),
            Stage::Raising(_) => format!("node {old} did not answer"),
            Stage::Emptying(_) => format!(
                "transactions on node {old} that did not come by pgherd did not end (those of \
                 superusers only a superuser can end)"
            ),
            Stage::CatchingUp { .. } => format!("node {heir} did not replay what was left"),
            Stage::Promoting | Stage::Undoing(_) => String::new(),
        };
        format!("{what} within {} s (switchover_timeout)", self.config.switchover_timeout.as_secs())
    }

    /// Undoes what was done.
    fn call_off(&mut self, why: &str) {
        let Some(switchover) = &self.switchover else { return };
        let old = switchover.old;
        let order = match switchover.stage {
            Stage::Asking(order, _)
            | Stage::Raising(order)
            | Stage::Emptying(Asked::Ordered(order)) => Some(order),
            Stage::Approaching(_)
            | Stage::Draining(_)
            | Stage::Emptying(Asked::Again(_))
            | Stage::CatchingUp { .. }
            | Stage::Promoting
            | Stage::Undoing(_) => None,
        };
        let was_stopped = self.is_stopped(old);
        if let Some(order) = order {
            self.recall(order);
        }
        if !was_stopped {
            return self.end_switchover(Err(why.to_owned()));
        }
        log::warn!("switchover: undone, since {why}");
        if let Some(switchover) = &mut self.switchover {
            switchover.stage = Stage::Undoing(why.to_owned());
            switchover.deadline = self.now + limits::SWITCHOVER_UNDO_TIMEOUT;
        }
        self.unfence(old);
        self.hurry(old);
        self.lift_fences();
        self.look_for_old();
    }

    /// pgherd is to stop: a server whose writes it has stopped takes them again first.
    pub(super) fn abandon_switchover(&mut self) {
        self.tell_stall();
        let stage = self.switchover.as_ref().map(|switchover| &switchover.stage);
        if stage.is_some_and(|stage| !matches!(stage, Stage::Promoting | Stage::Undoing(_))) {
            self.call_off("pgherd is stopping");
        }
    }

    /// Ends what is being undone, once there is a primary. If the old one was lost meanwhile, that is a
    /// loss like any other. Nobody waits for it longer than for any primary.
    fn look_for_old(&mut self) {
        let Some(switchover) = &mut self.switchover else { return };
        let Stage::Undoing(why) = &switchover.stage else { return };
        let (old, why, loss) = (switchover.old, why.clone(), switchover.loss.clone());
        let is_late = self.now >= switchover.deadline;
        let is_lost = self.seen(old) == Some(Seen::Down) || self.index_of(old).is_none();
        if is_lost || self.topology.primary.is_some() {
            self.end_switchover(Err(why));
            if is_lost && self.topology.primary.is_none() {
                self.begin_failover(loss);
            }
        } else if is_late {
            let held = self.switchover.as_mut().and_then(|switchover| switchover.held.take());
            if let Some(held) = held {
                let waited = (self.now - held).as_millis();
                log::error!("switchover: node {old} does not take writes again after {waited} ms");
                self.publish(Doubt::None);
            }
        }
    }

    /// The heir did not become the primary.
    pub(super) fn on_heir_failed(&mut self, heir: BackendId) {
        let Some(switchover) = &mut self.switchover else { return };
        if switchover.heir != heir {
            return;
        }
        let why = format!("node {heir} has not become the primary");
        if switchover.held.is_none() {
            return self.end_switchover(Err(why));
        }
        switchover.stage = Stage::Undoing(why);
        switchover.deadline = self.now + limits::SWITCHOVER_UNDO_TIMEOUT;
    }

    /// There is a primary, which was looked for.
    pub(super) fn on_primary_found(&mut self, primary: BackendId) {
        let Some(switchover) = &self.switchover else { return };
        if matches!(switchover.stage, Stage::Promoting) {
            let heir = switchover.heir;
            self.end_switchover(if primary == heir {
                Ok(())
            } else {
                Err(format!("node {primary} has become the primary instead of node {heir}"))
            });
        }
    }

    /// New work begins, and whoever asked is told how it went, once clients' waits are known.
    fn end_switchover(&mut self, outcome: Result<(), String>) {
        let Some(ended) = self.switchover.take() else { return };
        self.publish(Doubt::None);
        if outcome.is_ok() {
            self.appointed = Some(ended.heir);
            self.deposed = ended.held.map(|_| ended.old);
        }
        let Switchover { old, heir, asker, .. } = ended;
        let held = ended.held.map(|held| self.now - held);
        self.measure_stall(Ended { old, heir, asker, held, outcome });
    }

    /// When something is due, if nothing happens before.
    pub(super) fn switchover_deadline(&self) -> Option<Instant> {
        let switchover = self.switchover.as_ref()?;
        let deadline = switchover.deadline;
        match &switchover.stage {
            Stage::Promoting => None,
            Stage::Emptying(Asked::Again(at))
            | Stage::CatchingUp { look_at: at, .. }
            | Stage::Approaching(at) => Some(deadline.min(*at)),
            Stage::Undoing(_) => switchover.held.map(|_| deadline),
            Stage::Asking(..)
            | Stage::Draining(_)
            | Stage::Raising(_)
            | Stage::Emptying(Asked::Ordered(_)) => Some(deadline),
        }
    }
}
