//! The way of a node back into service: whoever was away has to be seen to follow the primary.
//!
//! A server that answers again may be anything: an old primary, a standby that follows one, or a
//! copy of yesterday. None of them serves anybody before it is known to be what clients take it for.

use super::Control;
use super::lineage::Upstream;
use super::standing::{Fork, Hold, Presence};
use super::view::Sight;
use super::watch::{Doubt, Watched};
use crate::config::{Failback, FailoverFlag, FailoverMode, OnRival, RecoveryMode};
use crate::health::probe::{Receiver, Sighting};
use crate::id::BackendId;
use crate::limits;
use crate::topology::{Role, Seen};

impl Control {
    /// Decides whether a node that answers may serve, by what it says and by what the primary is.
    pub(super) fn judge(&mut self, at: usize, presence: Presence) {
        let Some(id) = self.nodes.get(at).map(|node| node.id) else { return };
        let may_obey_late = self.may_obey_late(id, presence);
        let Some(node) = self.nodes.get(at) else { return };
        let Some(sighting) = node.fact.sighting.as_ref().filter(|_| node.fact.seen == Seen::Up)
        else {
            return;
        };
        let hold = node.hold;
        let is_by_hand = self.config.signs.failback == Failback::ByHand;
        let next = match self.leader() {
            // Whoever recovers it looks for itself.
            _ if self.is_recovering(id) => hold,
            _ if hold == Hold::Detached || (hold == Hold::Lost && is_by_hand) => hold,
            Some((primary, _)) if primary == id => hold,
            _ if self.is_foreign(sighting) => {
                if hold != Hold::Foreign {
                    log::error!(
                        "node {id} is a server of another cluster: its system identifier is {}, not \
                         {}. It serves nobody, and nothing is done with it; recover it, or take it \
                         out of the configuration",
                        sighting.system,
                        self.cluster().unwrap_or_default()
                    );
                }
                Hold::Foreign
            }
            Some((primary, _)) if sighting.role == Role::Primary && may_obey_late => {
                if hold != Hold::Fenced {
                    log::error!(
                        "node {id} has become a primary late, as it was told to before node \
                         {primary} was the primary: it serves nobody until it is made a standby"
                    );
                }
                Hold::Fenced
            }
            Some(leader) => self.judge_beside(node, sighting, leader, presence),
            None => self.judge_alone(id, sighting, hold, presence),
        };
        let own = sighting.lsn.filter(|_| sighting.role == Role::Primary);
        let first = self.written().zip(own).map(|(primary, own)| Fork { primary, own });
        let (now, late) = (self.now, self.now + limits::LOST_LOOK_PERIOD);
        if let Some(node) = self.nodes.get_mut(at) {
            if hold == Hold::Unproved && next == Hold::None {
                node.returned = Some(now);
            }
            node.fork = match own {
                Some(_) if next == Hold::Unproved => node.fork.or(first),
                Some(_) if next == Hold::Fenced => node.fork,
                Some(_) | None => None,
            };
            node.hold = next;
            if next.is_quarantine() {
                node.rounds.look_by(late);
            }
        }
    }

    /// Judges all other nodes again, because of who is the primary now.
    pub(super) fn judge_others(&mut self) {
        let Some((primary, _)) = self.leader() else { return };
        let mut is_changed = false;
        for at in 0..self.nodes.len() {
            let Some(before) = self.nodes.get(at).filter(|node| node.id != primary) else {
                continue;
            };
            let before = before.hold;
            self.judge(at, Presence::There);
            if self.nodes.get(at).is_some_and(|node| node.hold != before) {
                self.settle(at);
                is_changed = true;
            }
        }
        if is_changed {
            self.publish(Doubt::None);
        }
    }

    /// Judges a node beside the primary.
    fn judge_beside(
        &self,
        node: &Watched,
        sighting: &Sighting,
        leader: (BackendId, u32),
        presence: Presence,
    ) -> Hold {
        match sighting.role {
            Role::Primary => self.judge_rival(node, sighting, leader),
            Role::Standby => self.judge_standby(node, sighting, leader, presence),
            Role::Unknown => node.hold,
        }
    }

    /// Judges a node that takes writes beside the primary.
    fn judge_rival(&self, node: &Watched, sighting: &Sighting, leader: (BackendId, u32)) -> Hold {
        let (primary, timeline) = leader;
        match node.hold {
            hold if sighting.timeline <= timeline => {
                if hold != Hold::Fenced {
                    self.on_rival(node.id, sighting.timeline, leader);
                }
                Hold::Fenced
            }
            Hold::Fenced | Hold::Detached | Hold::Lost => node.hold,
            Hold::Unproved if node.fork.is_some_and(|fork| self.written() > Some(fork.primary)) => {
                log::error!(
                    "node {} takes writes on timeline {}, and node {primary} on timeline {timeline} \
                     has written since: they have come apart. Node {0} does not take its place by \
                     itself any more; make it a standby of node {primary}",
                    node.id,
                    sighting.timeline
                );
                Hold::Fenced
            }
            Hold::None | Hold::Foreign | Hold::Astray | Hold::Unproved
                if self.is_blind(primary) =>
            {
                Hold::None
            }
            // Somebody has promoted it. Who is the primary stays it as long as it answers: clients
            // have been writing there. If it does not, and has written nothing since, the later
            // timeline is the one to follow.
            Hold::None | Hold::Foreign | Hold::Astray => {
                self.on_rival(node.id, sighting.timeline, leader);
                Hold::Unproved
            }
            Hold::Unproved => Hold::Unproved,
        }
    }

    /// Judges a standby beside the primary.
    fn judge_standby(
        &self,
        node: &Watched,
        sighting: &Sighting,
        leader: (BackendId, u32),
        presence: Presence,
    ) -> Hold {
        let (primary, timeline) = leader;
        if self.is_astray(sighting, leader) {
            if node.hold == Hold::None {
                log::error!(
                    "node {} receives WAL from a server that takes writes beside node {primary}: it \
                     serves nobody. It may have WAL that node {primary} has not; make it a standby \
                     of node {primary} anew, by online recovery for example",
                    node.id
                );
            }
            return if node.hold == Hold::Fenced { Hold::Fenced } else { Hold::Astray };
        }
        let is_proved = self.is_proved(node, sighting, timeline);
        match (node.hold, self.config.signs.failback) {
            (Hold::None, _) if presence == Presence::There => Hold::None,
            (Hold::Fenced | Hold::Astray, Failback::Proved { .. }) if is_proved => {
                log::info!("node {} follows node {primary}, and serves again", node.id);
                Hold::None
            }
            (Hold::Astray, Failback::ByHand) if is_proved => Hold::None,
            (hold @ (Hold::Fenced | Hold::Astray), _) => hold,
            (_, Failback::Proved { interval }) if is_proved => {
                let is_soon = node.returned.is_some_and(|at| self.now < at + interval);
                if is_soon { Hold::Unproved } else { Hold::None }
            }
            (_, Failback::ByHand) if is_proved => Hold::None,
            (hold, _) => {
                if hold == Hold::None {
                    log::warn!(
                        "node {} is there and not seen to follow node {primary} on timeline \
                         {timeline}: it serves nobody until it does, or is attached",
                        node.id
                    );
                }
                Hold::Unproved
            }
        }
    }

    /// Whether a standby follows somebody who takes writes beside the primary. One on an earlier
    /// timeline is on its way to the primary.
    pub(super) fn is_astray(
        &self,
        sighting: &Sighting,
        (primary, timeline): (BackendId, u32),
    ) -> bool {
        sighting.timeline >= timeline && self.upstream(sighting, primary) == Upstream::Rival
    }

    /// Whether a server that was promoted beside the last primary lacks something of it that others
    /// have.
    fn comes_too_late(&self, id: BackendId, timeline: u32) -> bool {
        let fork = self.nodes.iter().find(|node| node.id == id).and_then(|node| node.fork);
        let is_outdone = fork.is_some_and(|fork| self.is_outdone(fork, timeline));
        if is_outdone {
            log::error!(
                "node {id} takes writes on a later timeline than the last primary, and lacks what that \
                 wrote and others have: it does not take its place. Make it a standby"
            );
        }
        is_outdone
    }

    /// Where the primary's WAL ended at its last look.
    fn written(&self) -> Option<u64> {
        self.sighting(self.topology.primary?)?.lsn
    }

    /// Whether somebody who serves has WAL of the last primary that a server lacks which was promoted
    /// beside it.
    fn is_outdone(&self, fork: Fork, timeline: u32) -> bool {
        self.nodes.iter().filter(|node| node.hold == Hold::None).any(|node| {
            node.fact.sighting.as_ref().is_some_and(|sighting| {
                sighting.role == Role::Standby
                    && sighting.timeline == timeline
                    && sighting.received.max(sighting.lsn) > Some(fork.own)
            })
        })
    }

    /// Whether a node lives and refuses to tell how it is.
    fn is_blind(&self, id: BackendId) -> bool {
        self.nodes.iter().any(|node| node.id == id && node.fact.sight == Sight::Blind)
    }

    /// Judges a node while there is no primary. Nobody can be proved to follow one then: where there
    /// was one, whoever has served goes on, and whoever has not waits until there is one again,
    /// unless nobody else serves.
    fn judge_alone(
        &self,
        id: BackendId,
        sighting: &Sighting,
        hold: Hold,
        presence: Presence,
    ) -> Hold {
        let serves = |node: &Watched| node.id != id && node.fact.status.is_usable();
        match (hold, self.last_timeline) {
            (Hold::Fenced, None) if self.is_followed_by_all(id, sighting) => {
                log::warn!(
                    "node {id} was kept out of service before the start and is the primary now, \
                     which every other node follows: it serves again"
                );
                Hold::None
            }
            (Hold::Fenced | Hold::Astray, _) => hold,
            (Hold::Unproved, Some(last)) if self.comes_too_late(id, last) => Hold::Fenced,
            (_, Some(last)) if sighting.role == Role::Primary && sighting.timeline < last => {
                log::error!(
                    "node {id} takes writes on timeline {}, and the last primary was on timeline \
                     {last}: it is an old one and serves nobody. If it is to be the primary all the \
                     same, attach it",
                    sighting.timeline
                );
                Hold::Fenced
            }
            (_, Some(_))
                if sighting.role == Role::Standby
                    && (matches!(hold, Hold::Foreign | Hold::Unproved)
                        || presence == Presence::Back)
                    && self.nodes.iter().any(serves) =>
            {
                Hold::Unproved
            }
            (_, _) => Hold::None,
        }
    }

    /// Whether a server takes writes and every other one is a standby that receives them from it: there
    /// is nothing that it could lack.
    fn is_followed_by_all(&self, id: BackendId, sighting: &Sighting) -> bool {
        let mut others = self.nodes.iter().filter(|node| node.id != id).peekable();
        let follows = |node: &Watched| {
            let sighting = node.fact.sighting.as_ref();
            node.fact.seen == Seen::Up
                && sighting.is_some_and(|other| {
                    other.role == Role::Standby
                        && other.receiver == Receiver::Streaming
                        && self.upstream(other, id) == Upstream::Primary
                })
        };
        sighting.role == Role::Primary
            && !sighting.is_fenced
            && others.peek().is_some()
            && others.all(follows)
    }

    /// Whether a standby is seen to follow the primary: it is on its timeline, and receives WAL by
    /// its own account or is listed by the primary. Another standby may be in between.
    fn is_proved(&self, node: &Watched, sighting: &Sighting, timeline: u32) -> bool {
        sighting.timeline >= timeline
            && (sighting.receiver == Receiver::Streaming || self.is_listed(node.id))
    }

    /// Whether the primary lists a standby as streaming, by the name that is configured for it.
    fn is_listed(&self, id: BackendId) -> bool {
        let name = self.config.backend(id).map(|backend| backend.application_name.as_str());
        let Some(name) = name.filter(|name| !name.is_empty()) else { return false };
        let primary = self.nodes.iter().find(|node| Some(node.id) == self.topology.primary);
        let sighting = primary.and_then(|node| node.fact.sighting.as_ref());
        sighting.is_some_and(|sighting| {
            sighting.standbys.iter().any(|s| s.name == name && s.state == "streaming")
        })
    }

    /// Somebody else takes writes beside the primary, or did when it was lost. What is written there
    /// is not in the cluster, and is lost when the server is made a standby.
    fn on_rival(&self, id: BackendId, timeline: u32, (primary, latest): (BackendId, u32)) {
        let what = format!(
            "node {id} takes writes on timeline {timeline}, beside node {primary} on timeline \
             {latest}: it serves nobody until it is made a standby"
        );
        let why = match (self.config.signs.rival, &self.config.recovery.mode) {
            (OnRival::Demote, RecoveryMode::Command(_)) if self.config.demotes() => {
                return log::error!("{what}, by recovery_command");
            }
            (OnRival::Demote, RecoveryMode::Command(_)) => "auto_recovery is off",
            (OnRival::Demote, _) => "no recovery_command is configured",
            (OnRival::Leave, _) => "detach_false_primary is off",
        };
        log::error!(
            "{what}; {why}, so it is left as it is. Recover it, or stop it, rewind it with pg_rewind or \
             copy it anew with pg_basebackup, and start it as a standby of node {primary}"
        );
    }

    /// A node was lost. Where the operator decides who comes back, it is kept out from now on,
    /// unless losing it is no matter for anybody else.
    pub(super) fn keep_out_if_by_hand(&mut self, at: usize) {
        let promotes = self.config.failover.mode == FailoverMode::Promote;
        let Some(id) = self.nodes.get(at).map(|node| node.id) else { return };
        // A command may restart whom it promotes or has follow.
        let is_at_work = self.has_part(id) || self.is_under_command(id);
        let Some(node) = self.nodes.get_mut(at) else { return };
        let backend = self.config.backend(node.id);
        let is_kept = backend.is_some_and(|backend| backend.failover == FailoverFlag::Disallow);
        let is_handled = promotes && self.topology.primary == Some(node.id);
        if self.config.signs.failback == Failback::ByHand
            && node.fact.status.is_usable()
            && !is_kept
            && !is_handled
            && !is_at_work
        {
            node.hold = Hold::Lost;
            log::warn!(
                "node {} is kept out until it is attached, for auto_failback is off",
                node.id
            );
        }
    }

    /// Says so if the primary has become a standby without pgherd.
    pub(super) fn note_demotion(&self, id: BackendId, role: Role) {
        if self.topology.primary == Some(id) && role == Role::Standby {
            log::error!(
                "node {id} was the primary and is a standby now: somebody else has made it one. \
                 Nobody is promoted in its place; whichever node is or becomes a primary on a later \
                 timeline is found"
            );
        }
    }
}
