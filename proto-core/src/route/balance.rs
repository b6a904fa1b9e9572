//! Which node a session reads from.
//!
//! Nodes are drawn by weight, the primary with its own, as Pgpool-II does it, unless a list of the
//! operator's prefers one. The reads of a standby that is too far behind go elsewhere until it has
//! caught up.

use std::fmt;

use super::redirect::{List, Target, Wanted};
use crate::id::BackendId;
use crate::time::Duration;

/// A node that reads may go to.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The node.
    pub id: BackendId,
    /// Its share of the reads; 0 or less, or not a number, for none.
    pub weight: f64,
    /// Whether it is the primary.
    pub role: Role,
    /// Whether it can be asked now.
    pub condition: Condition,
    /// How far it is behind the primary, in bytes; the most there is if that is not known.
    pub lag: u64,
    /// The same in time, if it is known.
    pub lag_time: Option<Duration>,
}

/// What part a node plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that takes writes.
    Primary,
    /// One that follows it.
    Standby,
}

/// Whether a node can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It answers, as far as is known.
    Usable,
    /// It is down, set apart or not there.
    Unusable,
}

/// What a choice depends on.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The nodes.
    pub candidates: &'a [Candidate],
    /// Nodes to which a connection just failed.
    pub avoid: &'a [BackendId],
    /// What the operator makes of standbys that are behind.
    pub delay: Delay,
    /// What the operator prefers for this session.
    pub wanted: Option<Wanted>,
    /// The node that was drawn for the session before; none draws anew.
    pub settled: Option<BackendId>,
    /// 64 evenly drawn bits.
    pub draw: u64,
}

/// What the operator makes of standbys that are behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// `delay_threshold`: a standby further behind, in bytes, gets no reads; 0 for no such limit.
    pub bytes: u64,
    /// `delay_threshold_by_time`: the same in time, in place of the bytes; zero for no such limit.
    pub time: Duration,
    /// `prefer_lower_delay_standby`.
    pub instead: Instead,
}

/// `prefer_lower_delay_standby`: who gets the reads of a standby that is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Instead {
    /// The primary.
    #[default]
    Primary,
    /// The standby that is least behind, and the primary if all are too far behind.
    LeastDelayed,
}

/// A node to read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The node that the session settles on, where it reads as long as nothing speaks against it.
    pub drawn: Option<BackendId>,
    /// The node to read from now; none while no node can be asked.
    pub node: Option<BackendId>,
    /// Why this one.
    pub why: Because,
}

/// Why a node was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It was drawn for the session before.
    Settled,
    /// It was drawn by weight.
    Weight,
    /// A list prefers it.
    Redirected(List),
    /// The standby that was meant is too far behind: this is the primary.
    PrimaryInstead,
    /// The standby that was meant is too far behind, and this one is the least.
    LeastDelayed,
    /// No other takes part.
    Left,
    /// None can be asked.
    Nobody,
}

impl Because {
    /// Returns the reason as one word that does not change from release to release.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Weight => "weight",
            Self::Redirected(_) => "redirected",
            Self::PrimaryInstead => "delayed_primary_instead",
            Self::LeastDelayed => "delayed_least_instead",
            Self::Left => "left",
            Self::Nobody => "nobody",
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settled => "the session reads there",
            Self::Weight => "it was drawn by weight",
            Self::Redirected(list) => return write!(f, "{} prefers it", list.name()),
            Self::PrimaryInstead => "the standby that was meant is too far behind",
            Self::LeastDelayed => "the standby that was meant is further behind",
            Self::Left => "no other node takes part",
            Self::Nobody => "no node can be asked",
        })
    }
}

/// Chooses the node to read from: only ever one that is usable.
#[must_use]
pub fn choose(question: &Question<'_>) -> Choice {
    let settled = question.settled.and_then(|id| question.fit().find(|node| node.id == id));
    let drawn = match settled {
        Some(node) => Some((node, Because::Settled)),
        None => question
            .preferred()
            .or_else(|| question.by_weight(|_| true).map(|node| (node, Because::Weight))),
    };
    let Some((drawn, why)) = drawn else {
        // With weights of zero everywhere, and if need be one that is avoided: better than an
        // error.
        let usable = |node: &&Candidate| node.condition == Condition::Usable;
        let usable = question.candidates.iter().filter(usable);
        let left = usable.min_by_key(|node| (node.role != Role::Primary, node.id));
        let node = left.map(|node| node.id);
        let why = if node.is_some() { Because::Left } else { Because::Nobody };
        return Choice { drawn: None, node, why };
    };
    let (node, why) = match question.delay.holds_back(drawn) {
        true => question.instead_of(drawn).unwrap_or((drawn, why)),
        false => (drawn, why),
    };
    Choice { drawn: Some(drawn.id), node: Some(node.id), why }
}

impl<'a> Question<'a> {
    /// The nodes that can be asked.
    fn fit(&self) -> impl Iterator<Item = &'a Candidate> {
        let avoid = self.avoid;
        self.candidates
            .iter()
            .filter(|node| node.condition == Condition::Usable && !avoid.contains(&node.id))
    }

    fn primary(&self) -> Option<&'a Candidate> {
        self.fit().find(|node| node.role == Role::Primary)
    }

    /// Draws among those that take part and fulfil a condition.
    fn by_weight(&self, condition: impl Fn(&Candidate) -> bool) -> Option<&'a Candidate> {
        let takes_part =
            |node: &&Candidate| node.weight > 0.0 && node.weight.is_finite() && condition(node);
        let total: f64 = self.fit().filter(takes_part).map(|node| node.weight).sum();
        let mut point = unit(self.draw) * total;
        let mut last = None;
        for node in self.fit().filter(takes_part) {
            last = Some(node);
            if point < node.weight {
                return last;
            }
            point -= node.weight;
        }
        // Rounding may carry the point past the last node, which is then meant.
        last
    }

    /// Draws as the lists prefer. A preference for what cannot be asked counts for nothing.
    fn preferred(&self) -> Option<(&'a Candidate, Because)> {
        let wanted = self.wanted?;
        let why = Because::Redirected(wanted.list);
        let is_wanted = unit(self.draw.rotate_left(32)) < wanted.ratio;
        let one = match wanted.to {
            Target::Standby => {
                let standby = self.by_weight(|node| node.role == Role::Standby)?;
                let other = if is_wanted { Some(standby) } else { self.primary() };
                return other.map(|node| (node, why));
            }
            Target::Primary => self.primary()?,
            Target::Node(id) => self.fit().find(|node| node.id == id)?,
        };
        if is_wanted {
            return Some((one, why));
        }
        self.by_weight(|node| node.id != one.id).map(|node| (node, why))
    }

    /// Finds who gets the reads of a standby that is too far behind; none if nobody else can.
    fn instead_of(&self, drawn: &Candidate) -> Option<(&'a Candidate, Because)> {
        let least = || {
            let keeps_up = |node: &&Candidate| {
                node.role == Role::Standby && node.weight > 0.0 && !self.delay.holds_back(node)
            };
            let least = self.fit().filter(keeps_up).map(|node| self.delay.of(node)).min()?;
            let ties: Vec<&Candidate> =
                self.fit().filter(keeps_up).filter(|node| self.delay.of(node) == least).collect();
            // The same node for the same session, as long as nothing changes.
            let index = drawn.id.index().checked_rem(ties.len())?;
            ties.get(index).map(|node| (*node, Because::LeastDelayed))
        };
        let primary = || self.primary().map(|node| (node, Because::PrimaryInstead));
        match self.delay.instead {
            Instead::LeastDelayed => least().or_else(primary),
            Instead::Primary => primary().or_else(least),
        }
    }
}

impl Delay {
    /// Tells whether a node is too far behind for reads.
    #[must_use]
    pub fn holds_back(&self, node: &Candidate) -> bool {
        let limit =
            if self.time.is_zero() { u128::from(self.bytes) } else { self.time.as_micros() };
        node.role == Role::Standby && limit > 0 && self.of(node) > limit
    }

    /// Returns how far a node is behind, in what is measured.
    fn of(&self, node: &Candidate) -> u128 {
        match (self.time.is_zero(), node.lag_time) {
            (true, _) => u128::from(node.lag),
            (false, Some(time)) => time.as_micros(),
            // One that has everything is not behind, whatever the primary says of it.
            (false, None) if node.lag == 0 => 0,
            (false, None) => u128::MAX,
        }
    }
}

/// Maps 64 bits to `0 <= x < 1`.
fn unit(draw: u64) -> f64 {
    // A double holds 53 bits exactly; 32 are plenty for shares of a load.
    let high = u32::try_from(draw >> 32).unwrap_or(u32::MAX);
    f64::from(high) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests;
