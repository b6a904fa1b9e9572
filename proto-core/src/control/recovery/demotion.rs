//! Former primaries, which are made standbys by `recovery_command` without anybody asking for it.
//!
//! Who is one is read off the servers: it takes writes, or would but for its fence, beside the primary,
//! and is kept out of service for that. Only how often that was tried is remembered.

use std::collections::BTreeMap;

use super::Control;
use crate::config::OnRival;
use crate::control::failover::Failover;
use crate::control::standing::Hold;
use crate::control::watch::Watched;
use crate::health::probe;
use crate::id::BackendId;
use crate::limits;
use crate::time::Instant;
use crate::topology::{Role, Seen};

/// Those that were tried, and are not standbys yet.
#[derive(Debug, Default)]
pub(in crate::control) struct Demotions(BTreeMap<BackendId, Tries>);

#[derive(Clone, Copy, Debug)]
struct Tries {
    /// Whom it was to follow.
    primary: BackendId,
    count: u32,
    /// It is not tried again before.
    next: Instant,
}

impl Control {
    /// Begins to make a standby of a former primary, if there is one and nothing else is under way.
    pub(super) fn attend_demotions(&mut self) {
        let Some((primary, _)) = self.leader().filter(|_| self.may_demote()) else { return };
        let kept: Vec<BackendId> = self
            .nodes
            .iter()
            .filter(|node| node.hold == Hold::Fenced && node.id != primary)
            .map(|node| node.id)
            .collect();
        self.demotions.0.retain(|id, tries| kept.contains(id) && tries.primary == primary);
        if let Some(id) = kept.into_iter().find(|id| self.is_due(*id)) {
            self.demote(id, primary);
        }
    }

    /// Whether nothing is under way beside which nobody is recovered.
    fn may_demote(&self) -> bool {
        self.config.demotes()
            && self.recovery.is_none()
            && self.switchover.is_none()
            && self.leave.is_none()
            && matches!(self.failover, Failover::None)
            && self.first_looks.is_none()
            && self.shutdown.is_none()
    }

    /// Whether a node is to be recovered now. One that was tried need not answer again; if it does as
    /// a standby, somebody else has made it one.
    fn is_due(&self, id: BackendId) -> bool {
        let Some(node) = self.nodes.iter().find(|node| node.id == id) else { return false };
        let is_standby = node.fact.seen == Seen::Up
            && node.fact.sighting.as_ref().is_some_and(|s| s.role == Role::Standby);
        !self.leftovers.has(id)
            && match self.demotions.0.get(&id) {
                Some(tries) => {
                    tries.count < limits::DEMOTION_TRIES_MAX
                        && tries.next <= self.now
                        && !is_standby
                }
                None => self.is_to_be_demoted(node),
            }
    }

    /// Whether a node that is kept out answers as a former primary, or as another one, that the
    /// configuration has recovered.
    fn is_to_be_demoted(&self, node: &Watched) -> bool {
        let Some(sighting) = node.fact.sighting.as_ref() else { return false };
        if node.fact.seen != Seen::Up || sighting.role != Role::Primary {
            return false;
        }
        // One that somebody has promoted later may be the one that is meant to stay.
        let is_later = node.fork.is_some()
            || self.leader().is_some_and(|(_, timeline)| sighting.timeline > timeline);
        if is_later && !self.told.contains_key(&node.id) {
            return false;
        }
        if self.deposed == Some(node.id) && self.has_command_to_follow() {
            return false;
        }
        // Whoever has handed over was to be made a standby all along.
        let has_handed_over = self.deposed == Some(node.id) || sighting.is_fenced;
        has_handed_over || self.config.signs.rival == OnRival::Demote
    }

    fn demote(&mut self, id: BackendId, primary: BackendId) {
        let now = self.now;
        let tries = self.demotions.0.entry(id).or_insert(Tries { primary, count: 0, next: now });
        tries.count += 1;
        let count = tries.count;
        match self.recoverable(id.index()) {
            Ok((node, primary, timeline)) => {
                log::warn!(
                    "recovery: node {id} is made a standby of node {} by recovery_command, for \
                     auto_recovery is on (try {count} of {}); {}",
                    primary.id,
                    limits::DEMOTION_TRIES_MAX,
                    self.what_is_lost(id)
                );
                self.begin_recovery(node, primary, timeline, None);
            }
            Err(report) => {
                log::error!("recovery: node {id} cannot be made a standby: {}", report.why());
                self.note_demotion_failed(id);
            }
        }
    }

    /// What goes with the data of a node.
    fn what_is_lost(&self, id: BackendId) -> String {
        let Some(sighting) = self.sighting(id) else {
            return "it does not answer, and what only it has is lost".to_owned();
        };
        let end = sighting.lsn.map(|end| format!(" up to {}", probe::print_lsn(end)));
        let wrote =
            format!("it wrote on timeline {}{}", sighting.timeline, end.unwrap_or_default());
        if sighting.is_fenced {
            format!("{wrote}, all of which its successor has")
        } else {
            format!("{wrote}, and what of that no other node has is lost")
        }
    }

    /// A recovery that nobody asked for has failed.
    pub(super) fn note_demotion_failed(&mut self, id: BackendId) {
        let next = self.now + limits::DEMOTION_RETRY_DELAY;
        let Some(tries) = self.demotions.0.get_mut(&id) else { return };
        tries.next = next;
        if tries.count >= limits::DEMOTION_TRIES_MAX {
            log::error!(
                "recovery: node {id} was not made a standby in {} tries: it is left to you. Recover it \
                 when what the log says of them is mended",
                tries.count
            );
        } else {
            let seconds = limits::DEMOTION_RETRY_DELAY.as_secs();
            log::warn!("recovery: node {id} is tried again in {seconds} s");
        }
    }

    /// What becomes of a primary that has handed over, in words.
    pub(in crate::control) fn fate_of_deposed(&self, heir: BackendId) -> String {
        if self.has_command_to_follow() {
            "follow_primary_command is run for it".to_owned()
        } else if self.config.demotes() {
            format!("recovery_command makes it a standby of node {heir} (auto_recovery)")
        } else {
            format!(
                "it is left to you: make it a standby of node {heir}, by online recovery for \
                 example, and it serves again"
            )
        }
    }

    /// When a former primary is tried again.
    pub(super) fn demotion_deadline(&self) -> Option<Instant> {
        if !self.may_demote() {
            return None;
        }
        let is_left = |(id, tries): &(&BackendId, &Tries)| {
            tries.count < limits::DEMOTION_TRIES_MAX && self.hold_of(**id) == Hold::Fenced
        };
        let left = self.demotions.0.iter().filter(is_left).map(|(_, tries)| tries.next);
        left.filter(|next| *next > self.now).min()
    }
}
