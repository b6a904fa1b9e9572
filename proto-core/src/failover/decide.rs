//! Which standby is promoted when the primary is lost, if any: a function of facts.

use std::cmp::Reverse;
use std::fmt;
use std::mem::discriminant;

use crate::config::FailoverPolicy;
use crate::health::probe::Sighting;
use crate::id::BackendId;
use crate::topology::Role;

/// What was last known of the primary that is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Which node it was.
    pub primary: BackendId,
    /// Its timeline.
    pub timeline: u32,
    /// How far it had written its WAL when it was last looked at. It may have written more since,
    /// so that what is lost by a promotion is at least what is counted from here.
    pub written: Option<u64>,
    /// The standbys that confirmed its commits when it was last looked at, as far as their names
    /// are known: one of them may be the only one to have a commit that a client was told of.
    pub sync: Vec<BackendId>,
}

/// A node that may be promoted, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The node.
    pub id: BackendId,
    /// `backend_priority`.
    pub priority: u16,
    /// What it said after the primary was lost; none if it has said nothing since.
    pub sighting: Option<Sighting>,
    /// Whether it may be chosen, apart from what it says.
    pub standing: Standing,
}

/// Whether a node may be chosen, apart from what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Free,
    /// It may, behind those that have as much and serve: it is not proved to have followed.
    Unproved,
    /// The operator has detached it.
    Detached,
    /// It was told to become the primary and did not.
    Tried,
    /// It is a server of another cluster.
    Foreign,
    /// It has followed somebody else than the primary.
    Astray,
    /// It has received WAL since it was last decided: the primary lives, where pgherd cannot see it.
    Hears,
}

/// Which standby is promoted, if any, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The one that is promoted.
    pub chosen: Option<Chosen>,
    /// Every other node, with the reason why it is not.
    pub others: Vec<(BackendId, Reason)>,
}

impl Decision {
    /// Whether another one says the same, but for numbers of bytes.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let chosen = |decision: &Self| decision.chosen.map(|chosen| chosen.id);
        let kind = |(id, reason): &(BackendId, Reason)| (*id, discriminant(reason));
        chosen(self) == chosen(other)
            && self.others.iter().map(kind).eq(other.others.iter().map(kind))
    }
}

/// The standby that is promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The node.
    pub id: BackendId,
    /// How much of the primary's WAL it has received.
    pub received: u64,
    /// How much of it is lost at least, in bytes, as far as is known.
    pub lost: Option<u64>,
}

/// Why a node is not promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has not answered since the primary was lost.
    Silent,
    /// It is no standby.
    NoStandby,
    /// The operator has detached it.
    Detached,
    /// `backend_priority` is 0.
    Never,
    /// It was told to become the primary and did not.
    Tried,
    /// It is a server of another cluster.
    Foreign,
    /// It has followed somebody who took writes beside the primary: its WAL is of another history.
    Astray,
    /// It still receives WAL, so that the primary lives: what others write there would be lost.
    Hears,
    /// It is on another timeline than the primary was.
    Timeline(u32),
    /// It does not say how much WAL it has.
    NoPosition,
    /// It lacks more than `failover_max_lag`, so many bytes.
    Behind(u64),
    /// Another one, which confirmed commits, does not answer: it may have one that this one has not.
    Unsure,
    /// Another one still receives WAL.
    Spared,
    /// Another one has more WAL, by so many bytes.
    Less(u64),
    /// Another one has as much, and goes before by priority or number.
    After,
}

/// Decides which standby is promoted: the one with the most WAL received, of those on the primary's
/// timeline that lack no more than may be lost; of equals one that serves, then the one that has
/// replayed most, then the one of the greatest priority, then of the least number.
///
/// What was received is durable there and is replayed before a promotion ends (PostgreSQL docs,
/// "Log-Shipping Standby Servers").
#[must_use]
pub fn decide(loss: &Loss, candidates: &[Candidate], policy: &FailoverPolicy) -> Decision {
    let mut fit = Vec::new();
    let mut others = Vec::new();
    for candidate in candidates {
        match fitness(loss, candidate, policy) {
            Ok((received, replayed)) => fit.push((received, replayed, candidate)),
            // What the lost one is need not be said, unless it is back as a standby.
            Err(_) if candidate.id == loss.primary => {}
            Err(reason) => others.push((candidate.id, reason)),
        }
    }
    if let Some(veto) = veto(loss, candidates) {
        others.extend(fit.drain(..).map(|(_, _, candidate)| (candidate.id, veto)));
    }
    fit.sort_by_key(|(received, replayed, candidate)| {
        let is_proved = candidate.standing == Standing::Free;
        (Reverse((*received, is_proved, *replayed, candidate.priority)), candidate.id)
    });
    let mut fit = fit.into_iter();
    let chosen = fit.next().map(|(received, _, candidate)| Chosen {
        id: candidate.id,
        received,
        lost: loss.written.map(|written| written.saturating_sub(received)),
    });
    let most = chosen.map_or(0, |chosen| chosen.received);
    others.extend(fit.map(|(received, _, candidate)| match most - received {
        0 => (candidate.id, Reason::After),
        less => (candidate.id, Reason::Less(less)),
    }));
    others.sort_by_key(|(id, _)| *id);
    Decision { chosen, others }
}

/// Why nobody may be promoted, whoever would be fit.
fn veto(loss: &Loss, candidates: &[Candidate]) -> Option<Reason> {
    let lives = |candidate: &Candidate| candidate.standing == Standing::Hears;
    let is_missed =
        |candidate: &Candidate| candidate.sighting.is_none() && loss.sync.contains(&candidate.id);
    if candidates.iter().any(lives) {
        return Some(Reason::Spared);
    }
    candidates.iter().any(is_missed).then_some(Reason::Unsure)
}

/// How much WAL a node has received and replayed, if it may be promoted.
fn fitness(
    loss: &Loss,
    candidate: &Candidate,
    policy: &FailoverPolicy,
) -> Result<(u64, u64), Reason> {
    match candidate.standing {
        Standing::Free | Standing::Unproved => {}
        Standing::Detached => return Err(Reason::Detached),
        Standing::Tried => return Err(Reason::Tried),
        Standing::Foreign => return Err(Reason::Foreign),
        Standing::Astray => return Err(Reason::Astray),
        Standing::Hears => return Err(Reason::Hears),
    }
    if candidate.priority == 0 {
        return Err(Reason::Never);
    }
    let sighting = candidate.sighting.as_ref().ok_or(Reason::Silent)?;
    if sighting.role != Role::Standby {
        return Err(Reason::NoStandby);
    }
    if sighting.timeline != loss.timeline {
        return Err(Reason::Timeline(sighting.timeline));
    }
    let replayed = sighting.lsn.ok_or(Reason::NoPosition)?;
    // A standby that has streamed nothing since it was started has what it has replayed.
    let received = sighting.received.unwrap_or(0).max(replayed);
    match loss.written.map(|written| written.saturating_sub(received)) {
        Some(behind) if behind > policy.lag_max => Err(Reason::Behind(behind)),
        Some(_) | None => Ok((received, replayed)),
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.chosen {
            Some(Chosen { id, lost, .. }) => {
                write!(f, "node {id} is promoted; ")?;
                match lost {
                    Some(0) => f.write_str("it has all WAL that is known of")?,
                    Some(lost) => write!(f, "it lacks at least {lost} bytes of WAL")?,
                    None => f.write_str("how much WAL the primary had is not known")?,
                }
            }
            None => f.write_str("no node is promoted")?,
        }
        self.others.iter().try_for_each(|(id, reason)| write!(f, "; node {id} {reason}"))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("does not answer"),
            Self::NoStandby => f.write_str("is no standby"),
            Self::Detached => f.write_str("is detached"),
            Self::Never => f.write_str("has a backend_priority of 0"),
            Self::Tried => f.write_str("could not be promoted"),
            Self::Foreign => f.write_str("is a server of another cluster"),
            Self::Astray => f.write_str("has followed a server beside the primary"),
            Self::Hears => f.write_str("still receives WAL from the primary"),
            Self::Timeline(timeline) => write!(f, "is on timeline {timeline}"),
            Self::NoPosition => f.write_str("does not say how much WAL it has"),
            Self::Behind(bytes) => {
                write!(f, "lacks {bytes} bytes of WAL, more than failover_max_lag allows")
            }
            Self::Unsure => {
                f.write_str("may lack commits of one that confirmed them and is silent")
            }
            Self::Spared => f.write_str("is not, since the primary lives"),
            Self::Less(bytes) => write!(f, "has {bytes} bytes of WAL less"),
            Self::After => f.write_str(
                "has as much WAL, and is not proved or has a lower priority or a greater number",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FailoverMode;

    const LOSS: Loss =
        Loss { primary: BackendId(0), timeline: 3, written: Some(1000), sync: Vec::new() };

    fn standby(id: u8, received: u64, replayed: u64) -> Candidate {
        let sighting = Sighting {
            role: Role::Standby,
            lsn: Some(replayed),
            received: Some(received),
            timeline: 3,
            ..Sighting::default()
        };
        Candidate {
            id: BackendId(id),
            priority: 1,
            sighting: Some(sighting),
            standing: Standing::Free,
        }
    }

    fn said(mut candidate: Candidate, say: impl FnOnce(&mut Sighting)) -> Candidate {
        if let Some(sighting) = &mut candidate.sighting {
            say(sighting);
        }
        candidate
    }

    #[test]
    fn the_standby_with_the_most_wal_is_promoted() {
        use Reason::{After, Behind, Less};
        let s = standby;
        type Case = (&'static str, Vec<Candidate>, Option<u8>, Vec<(u8, Reason)>);
        let cases: Vec<Case> = vec![
            ("nobody is there", vec![], None, vec![]),
            (
                "the lost one is no candidate",
                vec![said(s(0, 1000, 1000), |s| s.role = Role::Primary)],
                None,
                vec![],
            ),
            ("unless it is back as a standby", vec![s(0, 1000, 9)], Some(0), vec![]),
            ("received counts", vec![s(1, 900, 900), s(2, 950, 10)], Some(2), vec![(1, Less(50))]),
            ("then replayed", vec![s(1, 950, 10), s(2, 950, 20)], Some(2), vec![(1, After)]),
            (
                "then priority",
                vec![s(1, 950, 9), Candidate { priority: 2, ..s(2, 950, 9) }],
                Some(2),
                vec![(1, After)],
            ),
            ("then the number", vec![s(2, 950, 9), s(1, 950, 9)], Some(1), vec![(2, After)]),
            (
                "what restarted has what it replayed",
                vec![s(1, 900, 900), said(s(2, 0, 950), |s| s.received = None)],
                Some(2),
                vec![(1, Less(50))],
            ),
            ("the budget is a bound", vec![s(1, 900, 9)], Some(1), vec![]),
            ("beyond the budget nobody is", vec![s(1, 899, 9)], None, vec![(1, Behind(101))]),
        ];
        let policy = FailoverPolicy { mode: FailoverMode::Promote, lag_max: 100 };
        for (name, candidates, chosen, others) in cases {
            let decision = decide(&LOSS, &candidates, &policy);
            assert_eq!(decision.chosen.map(|chosen| chosen.id.0), chosen, "{name}");
            let found: Vec<_> = decision.others.iter().map(|(id, why)| (id.0, *why)).collect();
            assert_eq!(found, others, "{name}");
        }
    }

    #[test]
    fn whoever_is_unfit_has_a_reason() {
        use Reason::{
            Astray, Detached, Foreign, Never, NoPosition, NoStandby, Silent, Timeline, Tried,
        };
        let s = standby;
        let candidates = [
            Candidate { sighting: None, ..s(1, 0, 0) },
            said(s(2, 1000, 9), |s| s.role = Role::Primary),
            said(s(3, 1000, 9), |s| s.timeline = 2),
            said(s(4, 1000, 9), |s| s.lsn = None),
            Candidate { priority: 0, ..s(5, 1000, 9) },
            Candidate { standing: Standing::Detached, ..s(6, 1000, 9) },
            Candidate { standing: Standing::Tried, ..s(7, 1000, 9) },
            s(8, 910, 9),
            Candidate { standing: Standing::Foreign, ..s(9, 1000, 9) },
            Candidate { standing: Standing::Astray, ..s(10, 1000, 9) },
        ];
        let policy = FailoverPolicy { mode: FailoverMode::Promote, lag_max: 100 };
        let decision = decide(&LOSS, &candidates, &policy);
        assert_eq!(decision.chosen.map(|chosen| chosen.id), Some(BackendId(8)));
        let reasons: Vec<_> = decision.others.iter().map(|(_, reason)| *reason).collect();
        let expected =
            [Silent, NoStandby, Timeline(2), NoPosition, Never, Detached, Tried, Foreign, Astray];
        assert_eq!(reasons, expected);
    }

    #[test]
    fn nobody_is_promoted_where_a_commit_may_be_lost() {
        let policy = FailoverPolicy { mode: FailoverMode::Promote, lag_max: 100 };
        let hearing = Candidate { standing: Standing::Hears, ..standby(2, 1000, 9) };
        let decision = decide(&LOSS, &[standby(1, 990, 1), hearing], &policy);
        let (one, two) = (BackendId(1), BackendId(2));
        assert_eq!(decision.chosen, None, "the primary lives");
        assert_eq!(decision.others, [(one, Reason::Spared), (two, Reason::Hears)]);

        let loss = Loss { sync: vec![two], ..LOSS };
        let silent = Candidate { sighting: None, ..standby(2, 0, 0) };
        let decision = decide(&loss, &[standby(1, 990, 1), silent], &policy);
        assert_eq!(decision.chosen, None, "the one that confirmed is silent");
        assert_eq!(decision.others, [(one, Reason::Unsure), (two, Reason::Silent)]);
        let decision = decide(&loss, &[standby(1, 990, 1), standby(2, 995, 1)], &policy);
        assert_eq!(decision.chosen.map(|chosen| chosen.id), Some(two));
    }

    #[test]
    fn who_is_not_proved_goes_behind_those_who_have_as_much() {
        let policy = FailoverPolicy { mode: FailoverMode::Promote, lag_max: 100 };
        let unproved = |received, replayed| Candidate {
            standing: Standing::Unproved,
            priority: 9,
            ..standby(1, received, replayed)
        };
        for (name, candidates, chosen) in [
            ("as much", [unproved(990, 990), standby(2, 990, 980)], 2),
            ("more", [unproved(995, 995), standby(2, 990, 980)], 1),
        ] {
            let decision = decide(&LOSS, &candidates, &policy);
            assert_eq!(decision.chosen.map(|chosen| chosen.id.0), Some(chosen), "{name}");
        }
    }

    #[test]
    fn a_decision_says_why() {
        let policy = FailoverPolicy { mode: FailoverMode::Promote, lag_max: 100 };
        let said = decide(&LOSS, &[standby(1, 990, 1), standby(2, 970, 1)], &policy).to_string();
        let expected = "node 1 is promoted; it lacks at least 10 bytes of WAL; node 2 has 20 bytes \
                        of WAL less";
        assert_eq!(said, expected);
        let loss = Loss { written: None, ..LOSS };
        let said = decide(&loss, &[standby(1, 1, 1)], &policy).to_string();
        assert_eq!(said, "node 1 is promoted; how much WAL the primary had is not known");
        let beyond = decide(&LOSS, &[standby(1, 899, 1), standby(2, 890, 1)], &policy);
        let expected = "no node is promoted; node 1 lacks 101 bytes of WAL, more than \
                        failover_max_lag allows; node 2 lacks 110 bytes of WAL, more than \
                        failover_max_lag allows";
        assert_eq!(beyond.to_string(), expected);
        let later = decide(&LOSS, &[standby(1, 899, 1), standby(2, 898, 1)], &policy);
        assert!(later.is_like(&beyond), "but for bytes");
        let other = decide(&LOSS, &[standby(1, 899, 1)], &policy);
        assert!(!other.is_like(&beyond));
    }
}
