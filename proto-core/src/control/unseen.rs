//! A primary that was lost before pgherd was started: nothing is known of it but what it left.

use super::Control;
use super::failover::Failover;
use super::standing::Hold;
use super::view::Sight;
use super::watch::{Openness, Watched};
use crate::config::{FailoverFlag, FailoverMode};
use crate::failover::decide::Loss;
use crate::health::probe::{Receiver, Sighting};
use crate::id::BackendId;
use crate::limits;
use crate::topology::{Role, Seen};

/// Why nothing is done although there is no primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plight {
    /// `failover_mode` is off, or the node's flag forbids it.
    NotOurs(BackendId),
    /// Every node is there, and all are standbys.
    NobodyMissing,
    /// So many do not answer: one of them may be the primary, and another have its last commits.
    ManyMissing(usize),
    /// This one starts, or stops.
    NotOpen(BackendId),
    /// This one receives WAL: the primary lives where pgherd cannot see it.
    Hears(BackendId),
    /// This one is not on the timeline of the others, or does not tell.
    Apart(BackendId),
    /// This one was the primary when pgherd ran last, and is a standby.
    Demoted(BackendId),
    /// This one does not answer, and was never heard of as the primary.
    Unheard(BackendId),
}

impl std::fmt::Display for Plight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotOurs(id) => {
                write!(
                    f,
                    "node {id} does not answer, and failover_mode or its backend_flag \
                           forbids to promote another one in its place"
                )
            }
            Self::Unheard(id) => write!(
                f,
                "node {id} does not answer, and nothing is known of its having been the primary \
                 (pgherd remembers in work_dir)"
            ),
            Self::NobodyMissing => f.write_str("every node is a standby"),
            Self::ManyMissing(count) => write!(
                f,
                "{count} nodes do not answer, of which one may be the primary and another have its \
                 last commits"
            ),
            Self::NotOpen(id) => write!(f, "node {id} is starting or stopping"),
            Self::Hears(id) => {
                write!(f, "node {id} receives WAL, so the primary lives where pgherd cannot see it")
            }
            Self::Apart(id) => {
                write!(f, "node {id} is on another timeline than the others, or does not tell")
            }
            Self::Demoted(id) => {
                write!(
                    f,
                    "node {id} was the primary and is a standby now: somebody has made it one"
                )
            }
        }
    }
}

impl Control {
    /// Looks whether a primary that was never seen is lost, and begins a failover if that is sure:
    /// one node does not answer, and all others are standbys that have lost their primary.
    pub(super) fn seek_unseen(&mut self) {
        let is_over = self.topology.primary.is_some() || self.last_timeline.is_some();
        let is_early = self.first_looks.is_some()
            || self.nodes.iter().any(|node| node.fact.seen == Seen::Unknown);
        if is_over || is_early || !matches!(self.failover, Failover::None) {
            return;
        }
        let found = self.unseen_loss();
        let since = match &found {
            // A server that starts with this machine may need a moment more.
            Some(Ok(_)) => *self.unseen_since.get_or_insert(self.now),
            Some(Err(_)) | None => {
                self.unseen_since = None;
                self.now
            }
        };
        match found {
            Some(Ok(_)) if self.now < since + limits::UNSEEN_PATIENCE => {}
            Some(Ok(loss)) => {
                log::warn!(
                    "no primary was seen since the start; node {} does not answer, and all others \
                     have lost their primary",
                    loss.primary
                );
                self.plight = None;
                self.begin_failover(loss);
            }
            Some(Err(plight)) if self.plight != Some(plight) => {
                log::error!(
                    "there is no primary, and nobody is promoted: {plight}. Start the primary, or \
                     promote a server"
                );
                self.plight = Some(plight);
            }
            Some(Err(_)) | None => {}
        }
    }

    /// What is lost, or why that is not sure; none where nothing answers at all.
    fn unseen_loss(&self) -> Option<Result<Loss, Plight>> {
        let is_ours = |node: &&Watched| {
            !node.fact.sighting.as_ref().is_some_and(|sighting| self.is_foreign(sighting))
        };
        let (missing, there): (Vec<&Watched>, Vec<&Watched>) =
            self.nodes.iter().filter(is_ours).partition(|node| node.fact.seen == Seen::Down);
        let sightings: Vec<(BackendId, &Sighting)> = there
            .iter()
            .filter(|node| node.fact.sight == Sight::Clear)
            .filter_map(|node| Some((node.id, node.fact.sighting.as_ref()?)))
            .collect();
        // Two primaries of which none is taken are no loss, and are told of elsewhere.
        if sightings.is_empty() || sightings.iter().any(|(_, s)| s.role != Role::Standby) {
            return None;
        }
        let (_, first) = *sightings.first()?;
        let is_apart = |node: &&&Watched| {
            node.hold == Hold::Fenced
                || !sightings.iter().any(|(id, s)| *id == node.id && s.timeline == first.timeline)
        };
        let hears = sightings.iter().find(|(_, s)| s.receiver == Receiver::Streaming);
        let [missing] = missing.as_slice() else {
            return Some(Err(match missing.len() {
                0 => Plight::NobodyMissing,
                count => Plight::ManyMissing(count),
            }));
        };
        let id = missing.id;
        let is_ours = self.config.failover.mode == FailoverMode::Promote
            && self.config.backend(id).is_some_and(|backend| {
                backend.failover == FailoverFlag::Allow && !backend.always_primary
            });
        let plight = match (hears, there.iter().find(is_apart), self.remembered_primary()) {
            _ if !is_ours => Some(Plight::NotOurs(id)),
            _ if missing.openness == Openness::NotOpen => Some(Plight::NotOpen(id)),
            (Some((hears, _)), _, _) => Some(Plight::Hears(*hears)),
            (None, Some(apart), _) => Some(Plight::Apart(apart.id)),
            (None, None, Some(was)) if was != id => Some(Plight::Demoted(was)),
            // The primary may be another server, which is none of these.
            (None, None, None) => Some(Plight::Unheard(id)),
            (None, None, Some(_)) => None,
        };
        let loss = Loss { primary: id, timeline: first.timeline, written: None, sync: Vec::new() };
        Some(plight.map_or(Ok(loss), Err))
    }
}
