//! The way from a lost primary to the next one.
//!
//! Every state has a deadline and says what comes then, so that no failover stays under way for
//! ever: it ends with a primary, or is tried again as long as there is none.

use std::collections::BTreeMap;

use super::Control;
use super::commands::Purpose;
use super::lineage::Upstream;
use super::order::{Failed, What};
use super::standing::{Hold, Presence};
use super::watch::Watched;
use crate::backend::dialogue::Rows;
use crate::config::{FailoverFlag, FailoverMode};
use crate::failover::decide::{Candidate, Decision, Loss, Standing, decide};
use crate::health::probe::{Receiver, Sighting};
use crate::id::{BackendId, ConnId};
use crate::job::{Ending, JobId};
use crate::limits;
use crate::time::{Duration, Instant};
use crate::topology::{Role, Seen};

/// How far the way to the next primary is gone.
#[derive(Debug, Default)]
pub(super) enum Failover {
    /// No primary is lost, or nothing is done about it.
    #[default]
    None,
    /// Every node is looked at anew since it was lost.
    Looking(Case, Instant),
    /// A node was told to become the primary.
    Promoting {
        case: Case,
        candidate: BackendId,
        call: Call,
        /// Another one is tried after that.
        deadline: Instant,
    },
    /// Some standbys have not lost their connection to the primary. Whether they still receive
    /// anything is looked at then.
    Listening(Case, Instant),
    /// Nobody can be promoted; it is decided again then.
    Waiting(Case, Instant),
}

/// How a node was told to become the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Not yet: its server carries a fence, which is lifted first, lest it take no writes.
    Lift(ConnId),
    /// By an order to its server.
    Order(ConnId),
    /// By `failover_command`, which may restart it.
    Command(JobId),
    /// That has come to its end, one way or another. Whether it is the primary, a look tells.
    Ended,
}

/// A primary that is lost, and what was tried about it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    loss: Loss,
    /// When it was lost, or when the last attempt failed.
    since: Instant,
    /// Nodes that were told to become the primary and did not, this time.
    tried: Vec<BackendId>,
    /// Nodes that were ever told to: they may yet become what they were to.
    told: Vec<BackendId>,
    /// How much WAL each node had received when it was last decided.
    received: BTreeMap<BackendId, u64>,
    /// What was decided last, and told, if nobody was promoted.
    vain: Option<Decision>,
}

impl Case {
    fn of(loss: Loss, since: Instant) -> Self {
        Self {
            loss,
            since,
            tried: Vec::new(),
            told: Vec::new(),
            received: BTreeMap::new(),
            vain: None,
        }
    }
}

impl Control {
    /// The primary is lost: begins to look for the next one, if that is pgherd's to do.
    pub(super) fn begin_failover(&mut self, loss: Loss) {
        if self.shutdown.is_some() || !matches!(self.failover, Failover::None) {
            return;
        }
        let id = loss.primary;
        if self.config.failover.mode == FailoverMode::Off {
            log::warn!("node {id} was the primary; failover_mode is off, so no other is promoted");
            return self.tell_loss(id);
        }
        let backend = self.config.backend(id);
        if backend.is_some_and(|backend| {
            backend.failover == FailoverFlag::Disallow || backend.always_primary
        }) {
            log::warn!("node {id} was the primary; its backend_flag forbids to promote another");
            if backend.is_some_and(|backend| backend.failover == FailoverFlag::Allow) {
                self.tell_loss(id);
            }
            return;
        }
        if !self.topology.nodes.iter().any(|node| node.status.is_usable()) {
            // Nobody is there who could be promoted: of that, too, the command is told.
            self.tell_loss(id);
        }
        log::warn!("failover: node {id} was the primary, on timeline {}", loss.timeline);
        self.look_for_candidates(Case::of(loss, self.now));
        self.pursue();
    }

    fn look_for_candidates(&mut self, mut case: Case) {
        case.since = self.now;
        let lost = case.loss.primary;
        let others = self.nodes.iter().map(|node| node.id).filter(|id| *id != lost);
        for id in others.collect::<Vec<_>>() {
            self.hurry(id);
        }
        self.failover = Failover::Looking(case, self.now + limits::FAILOVER_LOOK_TIMEOUT);
    }

    /// Goes on as far as what is known and the time allow.
    pub(super) fn pursue(&mut self) {
        self.pursue_failover();
        self.pursue_switchover();
        self.pursue_leave();
        self.lift_fences();
    }

    fn pursue_failover(&mut self) {
        if matches!(self.failover, Failover::None) {
            return;
        }
        if let Some(primary) = self.topology.primary {
            self.end_failover(primary);
            return;
        }
        match std::mem::take(&mut self.failover) {
            Failover::None => {}
            Failover::Looking(case, deadline) => {
                if self.may_return(&case) {
                    self.readmit(&case);
                } else if self.now >= deadline || self.have_answered(&case) {
                    self.choose(case);
                } else {
                    self.failover = Failover::Looking(case, deadline);
                }
            }
            Failover::Listening(case, until) => {
                if self.now >= until {
                    self.look_for_candidates(case);
                } else {
                    self.failover = Failover::Listening(case, until);
                }
            }
            Failover::Promoting { case, candidate, call, deadline } => {
                let is_lost = self.seen(candidate) == Some(Seen::Down);
                // Two commands at once might promote two servers.
                if self.now >= deadline || is_lost && !matches!(call, Call::Command(_)) {
                    self.give_up_on(case, candidate, call);
                } else {
                    self.failover = Failover::Promoting { case, candidate, call, deadline };
                }
            }
            Failover::Waiting(case, until) => {
                if self.role_of(case.loss.primary) == Some(Role::Standby) {
                    // It has been made one: there are no writes of its own to keep out.
                    self.unfence(case.loss.primary);
                }
                if self.may_return(&case) {
                    self.readmit(&case);
                } else if self.now >= until {
                    self.look_for_candidates(case);
                } else {
                    self.failover = Failover::Waiting(case, until);
                }
            }
        }
    }

    fn end_failover(&mut self, primary: BackendId) {
        let (loss, call) = match std::mem::take(&mut self.failover) {
            Failover::None => return,
            Failover::Looking(case, _)
            | Failover::Listening(case, _)
            | Failover::Waiting(case, _) => (case.loss, Call::Ended),
            Failover::Promoting { case, call, .. } => (case.loss, call),
        };
        let lost = loss.primary;
        self.told.remove(&primary);
        self.take_back(call);
        if primary == lost {
            log::warn!("failover: called off, node {lost} is the primary again");
        } else {
            log::warn!("failover: done, node {primary} is the primary in place of node {lost}");
        }
        let is_late = |(_, timeline)| timeline <= loss.timeline;
        if primary != lost && self.leader().is_some_and(is_late) {
            log::error!(
                "node {primary} takes writes on timeline {}, as node {lost} did: it was not \
                 promoted but started as a primary. No standby will follow it by itself, and none \
                 serves until it does",
                loss.timeline
            );
            self.keep_out_bereft();
        }
        self.on_primary_found(primary);
        self.gather_followers();
    }

    /// Keeps those out of service who have lost their primary, and to whom the timeline of this one
    /// does not tell that there is another.
    fn keep_out_bereft(&mut self) {
        let is_bereft = |node: &&Watched| {
            let sighting = node.fact.sighting.as_ref();
            node.hold == Hold::None
                && sighting.is_some_and(|sighting| {
                    sighting.role == Role::Standby && sighting.receiver == Receiver::None
                })
        };
        let bereft: Vec<BackendId> =
            self.nodes.iter().filter(is_bereft).map(|node| node.id).collect();
        bereft.into_iter().for_each(|id| self.hold(id, Hold::Unproved));
    }

    /// Whether every node that could be promoted has said something since, or is known to be lost.
    fn have_answered(&self, case: &Case) -> bool {
        let mut others = self.nodes.iter().filter(|node| node.id != case.loss.primary);
        others.all(|node| {
            node.looked_at.is_some_and(|at| at >= case.since) || node.fact.seen == Seen::Down
        })
    }

    /// What is known of every node since the primary was lost.
    fn candidates(&self, case: &mut Case) -> Vec<Candidate> {
        let is_detached = self.hold_of(case.loss.primary) == Hold::Detached;
        let mut candidates = Vec::new();
        for node in &self.nodes {
            let is_fresh = node.looked_at.is_some_and(|at| at >= case.since);
            let sighting = node.fact.sighting.clone().filter(|_| is_fresh);
            let received = sighting.as_ref().map(|sighting| sighting.received.unwrap_or(0));
            let before = received.and_then(|received| case.received.insert(node.id, received));
            let standing = match node.hold {
                _ if case.tried.contains(&node.id) => Standing::Tried,
                Hold::Detached | Hold::Lost => Standing::Detached,
                Hold::Fenced => Standing::Tried,
                Hold::Foreign => Standing::Foreign,
                Hold::Astray => Standing::Astray,
                // The operator may detach a primary that lives, and knows it.
                Hold::None | Hold::Unproved
                    if !is_detached
                        && before.is_some_and(|before| received > Some(before))
                        && sighting.as_ref().is_some_and(|s| self.may_hear(s, &case.loss)) =>
                {
                    Standing::Hears
                }
                Hold::None => Standing::Free,
                Hold::Unproved => Standing::Unproved,
            };
            let priority = self.config.backend(node.id).map_or(0, |backend| backend.priority);
            candidates.push(Candidate { id: node.id, priority, sighting, standing });
        }
        candidates
    }

    /// Decides, fences the lost primary and gives the order.
    fn choose(&mut self, mut case: Case) {
        if self.config.failover.mode == FailoverMode::Off {
            return self.leave_it(case);
        }
        if self.must_listen(&case) {
            self.candidates(&mut case);
            self.failover = Failover::Listening(case, self.now + limits::LISTENING_TIME);
            return;
        }
        let candidates = self.candidates(&mut case);
        let decision = decide(&case.loss, &candidates, &self.config.failover);
        let Some(chosen) = decision.chosen else {
            let lost = case.loss.primary;
            if case.vain.as_ref().is_some_and(|told| told.is_like(&decision)) {
                log::debug!("failover: {decision}");
            } else {
                log::error!(
                    "failover: {decision}. Writes wait; it is decided again every {} s. Bring node \
                     {lost} back, or promote a server by hand",
                    limits::FAILOVER_RETRY_DELAY.as_secs()
                );
            }
            case.vain = Some(decision);
            return self.wait_for_better(case);
        };
        log::warn!("failover: {decision}");
        self.promote(case, chosen.id);
    }

    /// Promotes the node that the operator has named.
    pub(super) fn promote_heir(&mut self, loss: Loss, heir: BackendId) {
        let case = match std::mem::take(&mut self.failover) {
            Failover::None => Case::of(loss, self.now),
            Failover::Looking(case, _)
            | Failover::Listening(case, _)
            | Failover::Waiting(case, _)
            | Failover::Promoting { case, .. } => case,
        };
        self.promote(case, heir);
    }

    /// Fences the lost primary and has the candidate told.
    fn promote(&mut self, case: Case, candidate: BackendId) {
        if case.loss.primary != candidate {
            self.fence(case.loss.primary);
            self.stop_lifting(case.loss.primary);
        }
        let (call, within) = match self.lift_for_promotion(candidate) {
            Some(order) => (Call::Lift(order), limits::ORDER_TIMEOUT),
            None => self.call(&case, candidate),
        };
        let deadline = self.now + within + limits::PROMOTION_GRACE;
        self.failover = Failover::Promoting { case, candidate, call, deadline };
    }

    /// The candidate's fence is lifted, or cannot be.
    pub(super) fn on_candidate_lifted(&mut self, order: ConnId, is_lifted: bool) {
        let is_awaited = matches!(&self.failover, Failover::Promoting { call, .. }
            if *call == Call::Lift(order));
        if !is_awaited {
            return;
        }
        let Failover::Promoting { case, candidate, .. } = std::mem::take(&mut self.failover) else {
            return;
        };
        if !is_lifted {
            return self.give_up_on(case, candidate, Call::Ended);
        }
        let (call, within) = self.call(&case, candidate);
        let deadline = self.now + within + limits::PROMOTION_GRACE;
        self.failover = Failover::Promoting { case, candidate, call, deadline };
    }

    /// Whether a node may yet become the primary because it was told to: one that was away hears
    /// of it late.
    pub(super) fn may_obey_late(&mut self, id: BackendId, presence: Presence) -> bool {
        let now = self.now;
        self.told.get_mut(&id).is_some_and(|until| {
            if presence == Presence::Back {
                *until = now + limits::PROMOTION_TIMEOUT;
            }
            now < *until
        })
    }

    /// Tells a node to become the primary, and says how long that may take.
    fn call(&mut self, case: &Case, candidate: BackendId) -> (Call, Duration) {
        let lost = case.loss.primary;
        let reign = self.commands.reign_of(lost);
        let command = self.config.commands.failover.as_ref().filter(|_| lost != candidate);
        let job = command.and_then(|command| {
            self.compose("failover_command", command, lost, Some(candidate), reign)
        });
        match job {
            Some(job) => {
                let within = job.within + limits::COMMAND_END_TIME_MAX;
                (Call::Command(self.run(Purpose::Promote, job)), within)
            }
            None => {
                let within = limits::PROMOTION_TIMEOUT;
                let query = format!("SELECT pg_promote(true, {})", within.as_secs());
                let order = self.order(candidate, What::Promote, [query.as_str()], within);
                (Call::Order(order), within)
            }
        }
    }

    /// The command that promotes has ended. It need not have told the truth, and may have failed
    /// after it had done what it was to do: a look tells.
    pub(super) fn on_promotion_run(&mut self, job: JobId, ending: &Ending) {
        let Failover::Promoting { candidate, call, deadline, .. } = &mut self.failover else {
            return;
        };
        if *call != Call::Command(job) {
            return;
        }
        *call = Call::Ended;
        let is_vain = matches!(ending, Ending::NotStarted(_));
        // A command may end before its server has replayed what it has.
        *deadline = if is_vain { self.now } else { self.now + limits::COMMAND_PROMOTION_GRACE };
        let candidate = *candidate;
        self.hurry(candidate);
        self.pursue();
    }

    /// Decides again after a while. Whoever did not become the primary may yet, the next time; until
    /// then it serves reads, if it is seen to be a standby.
    fn wait_for_better(&mut self, mut case: Case) {
        let tried = std::mem::take(&mut case.tried);
        self.failover = Failover::Waiting(case, self.now + limits::FAILOVER_RETRY_DELAY);
        for id in tried {
            if self.role_of(id) == Some(Role::Standby) {
                self.unfence(id);
            }
        }
    }

    /// A reload has left it to others. What was fenced is kept out as long as it must be.
    fn leave_it(&mut self, case: Case) {
        if self.hold_of(case.loss.primary) == Hold::Fenced {
            self.wait_for_better(case);
        } else {
            log::warn!("failover: given up, since failover_mode is off");
        }
    }

    /// Whether it is not known yet if the primary lives for those who are still connected to it.
    fn must_listen(&self, case: &Case) -> bool {
        self.hold_of(case.loss.primary) != Hold::Detached
            && self.nodes.iter().any(|node| {
                let sighting = node.fact.sighting.as_ref();
                node.looked_at.is_some_and(|at| at >= case.since)
                    && sighting.is_some_and(|s| {
                        s.receiver == Receiver::Streaming && self.may_hear(s, &case.loss)
                    })
                    && !case.received.contains_key(&node.id)
            })
    }

    /// Whether a standby that receives WAL may receive it from the primary that is lost, and not from
    /// an older one or from one beside it.
    fn may_hear(&self, sighting: &Sighting, loss: &Loss) -> bool {
        sighting.timeline >= loss.timeline
            && self.upstream(sighting, loss.primary) != Upstream::Rival
    }

    /// A server has answered the order to become the primary. Whether it has, a look tells.
    pub(super) fn on_promotion_ordered(
        &mut self,
        node: BackendId,
        conn: ConnId,
        ended: Result<Rows, Failed>,
    ) {
        let Failover::Promoting { candidate, call, deadline, .. } = &mut self.failover else {
            return;
        };
        if *candidate != node || *call != Call::Order(conn) {
            return;
        }
        *call = Call::Ended;
        let said_no = match ended {
            Ok(rows) if rows.iter().flatten().any(|value| value == "t") => {
                log::info!("failover: node {node} says that it is promoted");
                false
            }
            Ok(_) => {
                log::error!("failover: node {node} says that it was not promoted in time");
                false
            }
            Err(why) => {
                log::error!("failover: node {node} could not be promoted: {why}");
                matches!(why, Failed::Refused(_))
            }
        };
        *deadline = if said_no { self.now } else { self.now + limits::PROMOTION_GRACE };
        self.hurry(node);
    }

    /// A candidate did not become the primary. Should it do so later, it serves nobody.
    fn give_up_on(&mut self, mut case: Case, candidate: BackendId, call: Call) {
        log::error!("failover: node {candidate} has not become the primary");
        self.take_back(call);
        case.tried.push(candidate);
        if !case.told.contains(&candidate) {
            case.told.push(candidate);
        }
        self.fence(candidate);
        self.told.insert(candidate, self.now + limits::PROMOTION_TIMEOUT);
        self.on_heir_failed(candidate);
        self.look_for_candidates(case);
        self.pursue();
    }

    /// Whoever was told to become the primary need not any more, if it has not heard yet.
    fn take_back(&mut self, call: Call) {
        match call {
            Call::Order(order) => self.recall(order),
            // A fence on a standby is lifted in any case.
            Call::Lift(_) | Call::Command(_) | Call::Ended => {}
        }
    }

    /// Whether the lost primary answers as one again, and nobody is seen to have taken its place.
    fn may_return(&self, case: &Case) -> bool {
        let lost = case.loss.primary;
        self.role_of(lost) == Some(Role::Primary)
            && self.hold_of(lost) != Hold::Detached
            && case.told.iter().all(|id| self.role_of(*id) != Some(Role::Primary))
    }

    /// Whoever was told to become the primary and cannot be seen stays fenced: nobody has written
    /// there, and nobody shall should it do so late.
    fn readmit(&mut self, case: &Case) {
        let lost = case.loss.primary;
        log::warn!("failover: called off, node {lost} is the primary again");
        for id in case.told.iter().copied() {
            if self.role_of(id) == Some(Role::Standby) {
                self.unfence(id);
            }
        }
        self.unfence(lost);
    }

    fn role_of(&self, id: BackendId) -> Option<Role> {
        let node = self.nodes.iter().find(|node| node.id == id)?;
        node.fact.sighting.as_ref().map(|sighting| sighting.role)
    }

    /// Whether a node has a part in a promotion, and can be neither attached nor detached.
    pub(super) fn has_part(&self, id: BackendId) -> bool {
        match &self.failover {
            Failover::Promoting { case, candidate, .. } => {
                [*candidate, case.loss.primary].contains(&id)
            }
            Failover::None
            | Failover::Looking(..)
            | Failover::Listening(..)
            | Failover::Waiting(..) => self.is_switching(id),
        }
    }

    /// Whether this node is being promoted.
    pub(super) fn is_candidate(&self, id: BackendId) -> bool {
        matches!(self.failover, Failover::Promoting { candidate, .. } if candidate == id)
    }

    /// Whether a node is being promoted.
    pub(super) fn is_promoting(&self) -> bool {
        matches!(self.failover, Failover::Promoting { .. })
    }

    /// What is known of the primary that is lost, where the operator has a node of this timeline
    /// take its place.
    pub(super) fn last_loss(&self, heir: BackendId, timeline: u32) -> Loss {
        match &self.failover {
            Failover::Looking(case, _)
            | Failover::Listening(case, _)
            | Failover::Waiting(case, _)
            | Failover::Promoting { case, .. } => case.loss.clone(),
            Failover::None => {
                let last = self.last_primary.filter(|last| *last != heir);
                let primary = last.unwrap_or(heir);
                Loss { primary, timeline, written: None, sync: Vec::new() }
            }
        }
    }

    pub(super) fn seen(&self, id: BackendId) -> Option<Seen> {
        self.nodes.iter().find(|node| node.id == id).map(|node| node.fact.seen)
    }

    /// When something is due, if nothing happens before.
    pub(super) fn failover_deadline(&self) -> Option<Instant> {
        match &self.failover {
            Failover::None => None,
            Failover::Looking(_, at) | Failover::Listening(_, at) | Failover::Waiting(_, at) => {
                Some(*at)
            }
            Failover::Promoting { deadline, .. } => Some(*deadline),
        }
    }

    /// The node that is expected to become the primary any moment.
    pub(super) fn expected(&self) -> Option<BackendId> {
        match &self.failover {
            Failover::Promoting { candidate, call: Call::Command(_) | Call::Ended, .. } => {
                Some(*candidate)
            }
            Failover::Promoting { call: Call::Lift(_) | Call::Order(_), .. }
            | Failover::None
            | Failover::Looking(..)
            | Failover::Listening(..)
            | Failover::Waiting(..) => None,
        }
    }
}
