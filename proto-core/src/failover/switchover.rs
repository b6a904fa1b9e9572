//! Whether a standby can take the place of a primary that is well: a function of facts.

use std::fmt;

use crate::health::probe::{Receiver, Sighting};
use crate::id::BackendId;
use crate::limits;
use crate::topology::Role;

/// What is known of the two nodes.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The primary.
    pub primary: BackendId,
    /// What it said last.
    pub at_primary: Option<&'a Sighting>,
    /// The node that is to take its place.
    pub heir: BackendId,
    /// What it said last; none if it does not answer.
    pub at_heir: Option<&'a Sighting>,
    /// Whether it is in service.
    pub is_in_service: bool,
}

/// Why a node cannot take the primary's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// There is no such node.
    Unknown,
    /// It is the primary.
    IsPrimary,
    /// There is no primary that could hand over.
    NoPrimary,
    /// There is a primary, which answers.
    Primary(BackendId),
    /// It does not answer.
    Silent,
    /// It is kept out of service.
    Detached,
    /// It is no standby.
    NoStandby,
    /// It is on another timeline than the primary.
    Timeline {
        /// Its own.
        own: u32,
        /// The primary's.
        primary: u32,
    },
    /// It receives no WAL from the primary.
    Deaf,
    /// Another server takes writes beside the primary, on its timeline or a later one.
    Rival,
    /// A failover or a switchover is under way.
    Busy,
    /// pgherd is stopping.
    Stopping,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("there is no such node"),
            Self::IsPrimary => f.write_str("it is the primary"),
            Self::NoPrimary => f.write_str("there is no primary that could hand over to it"),
            Self::Primary(id) => {
                write!(f, "node {id} is the primary, and answers: ask for a switchover instead")
            }
            Self::Silent => f.write_str("it does not answer"),
            Self::Detached => f.write_str("it is kept out of service"),
            Self::NoStandby => f.write_str("it is no standby"),
            Self::Timeline { own, primary } => {
                write!(f, "it is on timeline {own}, the primary on timeline {primary}")
            }
            Self::Rival => f.write_str(
                "another server takes writes beside the primary: make that a standby first",
            ),
            Self::Deaf => f.write_str("it receives no WAL"),
            Self::Busy => f.write_str("a failover or a switchover is under way"),
            Self::Stopping => f.write_str("pgherd is stopping"),
        }
    }
}

/// Decides whether a standby can take the primary's place.
///
/// # Errors
/// What is in the way.
pub fn check(facts: &Facts<'_>) -> Result<(), Obstacle> {
    if facts.heir == facts.primary {
        return Err(Obstacle::IsPrimary);
    }
    let primary = facts.at_primary.ok_or(Obstacle::NoPrimary)?;
    let heir = facts.at_heir.ok_or(Obstacle::Silent)?;
    if !facts.is_in_service {
        return Err(Obstacle::Detached);
    }
    if heir.role != Role::Standby {
        return Err(Obstacle::NoStandby);
    }
    if heir.timeline != primary.timeline {
        return Err(Obstacle::Timeline { own: heir.timeline, primary: primary.timeline });
    }
    if heir.receiver != Receiver::Streaming {
        return Err(Obstacle::Deaf);
    }
    Ok(())
}

/// Whether a standby is so close behind its primary that clients may be made to wait for the rest,
/// and is not about to be told to take writes again itself.
#[must_use]
pub fn is_near(primary: &Sighting, heir: &Sighting) -> bool {
    if heir.is_fenced {
        return false;
    }
    match (primary.lsn, heir.lsn) {
        (Some(written), Some(replayed)) => {
            written.saturating_sub(replayed) <= limits::SWITCHOVER_LAG_MAX
        }
        (None, _) | (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(role: Role, timeline: u32, receiver: Receiver, lsn: u64) -> Sighting {
        Sighting { role, timeline, receiver, lsn: Some(lsn), ..Sighting::default() }
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        use Receiver::{None as Deaf, Streaming};
        let primary = sighting(Role::Primary, 2, Deaf, 100);
        let good = sighting(Role::Standby, 2, Streaming, 100);
        let (old, new) = (BackendId(0), BackendId(1));
        let facts = Facts {
            primary: old,
            at_primary: Some(&primary),
            heir: new,
            at_heir: Some(&good),
            is_in_service: true,
        };
        let forked = sighting(Role::Standby, 1, Streaming, 100);
        let deaf = sighting(Role::Standby, 2, Deaf, 100);
        for (facts, expected) in [
            (facts, Ok(())),
            (Facts { heir: old, ..facts }, Err(Obstacle::IsPrimary)),
            (Facts { at_primary: None, ..facts }, Err(Obstacle::NoPrimary)),
            (Facts { at_heir: None, ..facts }, Err(Obstacle::Silent)),
            (Facts { is_in_service: false, ..facts }, Err(Obstacle::Detached)),
            (Facts { at_heir: Some(&primary), ..facts }, Err(Obstacle::NoStandby)),
            (
                Facts { at_heir: Some(&forked), ..facts },
                Err(Obstacle::Timeline { own: 1, primary: 2 }),
            ),
            (Facts { at_heir: Some(&deaf), ..facts }, Err(Obstacle::Deaf)),
        ] {
            assert_eq!(check(&facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn a_standby_is_near_within_the_bound() {
        let at = |lsn| sighting(Role::Standby, 1, Receiver::Streaming, lsn);
        let most = limits::SWITCHOVER_LAG_MAX;
        assert!(is_near(&at(most + 5), &at(5)));
        assert!(!is_near(&at(most + 6), &at(5)));
        assert!(!is_near(&at(5), &Sighting::default()), "nothing is known of it");
        assert!(!is_near(&at(5), &Sighting { is_fenced: true, ..at(5) }));
    }
}
