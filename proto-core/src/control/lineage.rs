//! Of which cluster a node is, and whom it follows.
//!
//! Timelines are numbers, and two servers that were promoted apart have the same one. So a standby
//! is asked whom it receives WAL from; and `initdb` gives every cluster a number of its own, by which
//! a server is known that has nothing to do with this one (PostgreSQL docs, "Database Cluster").

use super::Control;
use crate::health::probe::Sighting;
use crate::id::BackendId;
use crate::topology::Role;

/// Whom a standby receives WAL from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upstream {
    /// The primary, or standbys of it in between.
    Primary,
    /// A node that takes writes beside the primary, or standbys of it in between.
    Rival,
    /// It does not say, or it is none of the configured hosts and ports: the primary may have other
    /// names.
    Unknown,
}

impl Control {
    /// The cluster that is served: that of the last primary. From a start until there is one, it is
    /// the one that is remembered, unless the server that was the primary is of another one now, and
    /// no server is of that.
    pub(super) fn cluster(&self) -> Option<u64> {
        self.cluster.or_else(|| {
            let remembered = self.remembered_cluster()?;
            let is_made_anew = match self.remembered_primary() {
                Some(primary) => self.sighting(primary).is_some_and(|s| s.system != remembered),
                None => true,
            };
            (!is_made_anew || self.is_present(remembered)).then_some(remembered)
        })
    }

    /// Whether nobody is left of the cluster that is served, for it has been made anew.
    pub(super) fn is_orphaned(&self) -> bool {
        self.topology.primary.is_none()
            && !self.cluster().is_some_and(|cluster| self.is_present(cluster))
    }

    /// Whether a server of a cluster answers.
    fn is_present(&self, cluster: u64) -> bool {
        let mut sightings = self.nodes.iter().filter_map(|node| node.fact.sighting.as_ref());
        sightings.any(|sighting| sighting.system == cluster)
    }

    /// Whether a server is known to be of another cluster than the one that is served.
    pub(super) fn is_foreign(&self, sighting: &Sighting) -> bool {
        self.cluster().is_some_and(|cluster| cluster != sighting.system)
    }

    /// Follows the hosts that standbys name, from one to the next.
    pub(super) fn upstream(&self, sighting: &Sighting, primary: BackendId) -> Upstream {
        let mut sender = sighting.sender.as_ref();
        // Standbys may go round in a circle.
        for _ in &self.nodes {
            let node = sender.and_then(|sender| self.nodes.iter().find(|n| n.place == *sender));
            let Some(node) = node else { return Upstream::Unknown };
            if node.id == primary {
                return Upstream::Primary;
            }
            let Some(next) = node.fact.sighting.as_ref() else { return Upstream::Unknown };
            if next.role == Role::Primary {
                return Upstream::Rival;
            }
            sender = next.sender.as_ref();
        }
        Upstream::Unknown
    }
}
