//! Which node a session reads from.
//!
//! Nodes are drawn by weight, the primary with its own, as Pgpool-II does it. A standby that lags
//! too far behind does not take part.

use crate::id::BackendId;

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
    /// How far it is behind the primary, in bytes.
    pub lag: u64,
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

/// Chooses the node to read from, given 64 evenly drawn bits.
///
/// Leaves out what is unusable, what has no weight, the standbys with a `lag` above
/// `delay_threshold` (unless that is 0), and the nodes in `avoid`, to which a connection just
/// failed. Where nothing remains, the primary is chosen if it is usable, and else nothing.
#[must_use]
pub fn choose(
    candidates: &[Candidate],
    delay_threshold: u64,
    avoid: &[BackendId],
    draw: u64,
) -> Option<BackendId> {
    let takes_part = |node: &&Candidate| {
        let lags = delay_threshold > 0 && node.lag > delay_threshold;
        node.condition == Condition::Usable
            && node.weight > 0.0
            && node.weight.is_finite()
            && (node.role == Role::Primary || !lags)
            && !avoid.contains(&node.id)
    };
    let total: f64 = candidates.iter().filter(takes_part).map(|node| node.weight).sum();
    let mut point = unit(draw) * total;
    let mut last = None;
    for node in candidates.iter().filter(takes_part) {
        last = Some(node.id);
        if point < node.weight {
            return last;
        }
        point -= node.weight;
    }
    // Rounding may carry the point past the last node, which is then meant.
    last.or_else(|| {
        let is_primary =
            |node: &&Candidate| node.role == Role::Primary && node.condition == Condition::Usable;
        candidates.iter().find(is_primary).map(|node| node.id)
    })
}

/// Maps 64 bits to `0 <= x < 1`.
fn unit(draw: u64) -> f64 {
    // A double holds 53 bits exactly; 32 are plenty for shares of a load.
    let high = u32::try_from(draw >> 32).unwrap_or(u32::MAX);
    f64::from(high) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::Entropy;

    fn node(id: u8, weight: f64, role: Role, condition: Condition, lag: u64) -> Candidate {
        Candidate { id: BackendId(id), weight, role, condition, lag }
    }

    #[test]
    fn the_first_and_the_last_draw_choose_as_expected() {
        use Condition::{Unusable, Usable};
        use Role::{Primary, Standby};
        let p = |weight, condition| node(0, weight, Primary, condition, 0);
        let s = |id, weight, condition, lag| node(id, weight, Standby, condition, lag);
        type Case<'a> = (&'a str, Vec<Candidate>, u64, &'a [u8], Option<u8>, Option<u8>);
        let cases: &[Case<'_>] = &[
            ("nothing at all", vec![], 0, &[], None, None),
            ("by weight", vec![p(1.0, Usable), s(1, 1.0, Usable, 0)], 0, &[], Some(0), Some(1)),
            ("primary off", vec![p(0.0, Usable), s(1, 1.0, Usable, 0)], 0, &[], Some(1), Some(1)),
            (
                "standby down",
                vec![p(0.0, Usable), s(1, 1.0, Unusable, 0)],
                0,
                &[],
                Some(0),
                Some(0),
            ),
            ("all down", vec![p(1.0, Unusable), s(1, 1.0, Unusable, 0)], 0, &[], None, None),
            ("lag", vec![p(0.0, Usable), s(1, 1.0, Usable, 9)], 8, &[], Some(0), Some(0)),
            ("lag at it", vec![p(0.0, Usable), s(1, 1.0, Usable, 8)], 8, &[], Some(1), Some(1)),
            ("no threshold", vec![p(0.0, Usable), s(1, 1.0, Usable, 9)], 0, &[], Some(1), Some(1)),
            ("avoided", vec![p(0.0, Usable), s(1, 1.0, Usable, 0)], 0, &[1], Some(0), Some(0)),
            (
                "no weight",
                vec![p(f64::NAN, Usable), s(1, -1.0, Usable, 0)],
                0,
                &[],
                Some(0),
                Some(0),
            ),
        ];
        for (name, candidates, threshold, avoid, first, last) in cases {
            let avoid: Vec<_> = avoid.iter().copied().map(BackendId).collect();
            let chosen = |draw| choose(candidates, *threshold, &avoid, draw).map(|id| id.0);
            assert_eq!((chosen(0), chosen(u64::MAX)), (*first, *last), "{name}");
        }
    }

    #[test]
    fn shares_follow_weights() {
        let mut entropy = Entropy::from_seed([1; 32]);
        let nodes = [
            node(0, 1.0, Role::Primary, Condition::Usable, 0),
            node(1, 2.0, Role::Standby, Condition::Usable, 0),
            node(2, 5.0, Role::Standby, Condition::Usable, 0),
        ];
        let mut counts = [0_u32; 3];
        for _ in 0..16_000 {
            counts[choose(&nodes, 0, &[], entropy.next_u64()).unwrap().index()] += 1;
        }
        for (count, expected) in counts.into_iter().zip([2000_u32, 4000, 10_000]) {
            assert!(count.abs_diff(expected) < 250, "{counts:?}");
        }
    }

    proptest! {
        /// What is chosen is usable, and there is a choice whenever the primary is usable.
        #[test]
        fn only_usable_nodes_are_chosen(
            nodes in prop::collection::vec((-1.0..4.0_f64, any::<bool>(), 0..20_u64), 0..6),
            threshold in 0..10_u64,
            draw in any::<u64>(),
        ) {
            let nodes: Vec<_> = nodes.into_iter().zip(0..).map(|((weight, usable, lag), id)| {
                let role = if id == 0 { Role::Primary } else { Role::Standby };
                let condition = if usable { Condition::Usable } else { Condition::Unusable };
                node(id, weight, role, condition, lag)
            }).collect();
            match choose(&nodes, threshold, &[], draw) {
                Some(id) => {
                    let node = nodes[id.index()];
                    prop_assert_eq!(node.condition, Condition::Usable);
                    prop_assert!(node.role == Role::Primary || node.weight > 0.0);
                    let lags = threshold > 0 && node.lag > threshold;
                    prop_assert!(node.role == Role::Primary || !lags);
                }
                None => prop_assert!(nodes.first().is_none_or(|n| n.condition == Condition::Unusable)),
            }
        }
    }
}
