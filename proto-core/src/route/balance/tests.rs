//! Who is chosen, case by case.

use proptest::prelude::*;

use super::*;
use crate::entropy::Entropy;

fn node(id: u8, weight: f64, role: Role, condition: Condition, lag: u64) -> Candidate {
    Candidate { id: BackendId(id), weight, role, condition, lag, lag_time: None }
}

fn ask(candidates: &[Candidate]) -> Question<'_> {
    let delay = Delay::default();
    Question { candidates, avoid: &[], delay, wanted: None, settled: None, draw: 0 }
}

const fn bytes(bytes: u64) -> Delay {
    Delay { bytes, time: Duration::ZERO, instead: Instead::Primary }
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
        ("standby down", vec![p(0.0, Usable), s(1, 1.0, Unusable, 0)], 0, &[], Some(0), Some(0)),
        ("all down", vec![p(1.0, Unusable), s(1, 1.0, Unusable, 0)], 0, &[], None, None),
        ("lag", vec![p(0.0, Usable), s(1, 1.0, Usable, 9)], 8, &[], Some(0), Some(0)),
        ("lag at it", vec![p(0.0, Usable), s(1, 1.0, Usable, 8)], 8, &[], Some(1), Some(1)),
        ("no threshold", vec![p(0.0, Usable), s(1, 1.0, Usable, 9)], 0, &[], Some(1), Some(1)),
        ("lag, no primary", vec![p(0.0, Unusable), s(1, 1.0, Usable, 9)], 8, &[], Some(1), Some(1)),
        ("avoided", vec![p(0.0, Usable), s(1, 1.0, Usable, 0)], 0, &[1], Some(0), Some(0)),
        ("all avoided", vec![p(0.0, Unusable), s(1, 1.0, Usable, 0)], 0, &[1], Some(1), Some(1)),
        ("no weight", vec![p(f64::NAN, Usable), s(1, -1.0, Usable, 0)], 0, &[], Some(0), Some(0)),
        ("only that", vec![p(1.0, Unusable), s(1, 0.0, Usable, 0)], 0, &[], Some(1), Some(1)),
    ];
    for (name, candidates, threshold, avoid, first, last) in cases {
        let avoid: Vec<_> = avoid.iter().copied().map(BackendId).collect();
        let chosen = |draw| {
            let delay = bytes(*threshold);
            let question = Question { avoid: &avoid, delay, draw, ..ask(candidates) };
            choose(&question).node.map(|id| id.0)
        };
        assert_eq!((chosen(0), chosen(u64::MAX)), (*first, *last), "{name}");
    }
}

#[test]
fn a_session_stays_where_it_settled() {
    let nodes = [
        node(0, 1.0, Role::Primary, Condition::Usable, 0),
        node(1, 1.0, Role::Standby, Condition::Usable, 9),
        node(2, 1.0, Role::Standby, Condition::Usable, 3),
        node(3, 1.0, Role::Standby, Condition::Unusable, 0),
        node(4, 1.0, Role::Standby, Condition::Usable, 2),
    ];
    let least = Delay { bytes: 8, instead: Instead::LeastDelayed, ..Delay::default() };
    let all_behind = Delay { bytes: 1, ..least };
    type Case = (&'static str, u8, Delay, &'static [u8], (Option<u8>, Option<u8>, &'static str));
    let cases: &[Case] = &[
        ("it stays", 2, bytes(0), &[], (Some(2), Some(2), "settled")),
        ("it is down", 3, bytes(0), &[], (Some(0), Some(0), "weight")),
        ("it just failed", 2, bytes(0), &[2], (Some(0), Some(0), "weight")),
        ("it is behind", 1, bytes(8), &[], (Some(1), Some(0), "delayed_primary_instead")),
        ("another is less so", 1, least, &[], (Some(1), Some(4), "delayed_least_instead")),
        ("all are", 1, all_behind, &[], (Some(1), Some(0), "delayed_primary_instead")),
        ("no primary", 1, bytes(8), &[0], (Some(1), Some(4), "delayed_least_instead")),
    ];
    for (name, settled, delay, avoid, expected) in cases {
        let avoid: Vec<_> = avoid.iter().copied().map(BackendId).collect();
        let settled = Some(BackendId(*settled));
        let choice = choose(&Question { settled, delay: *delay, avoid: &avoid, ..ask(&nodes) });
        let found = (choice.drawn.map(|id| id.0), choice.node.map(|id| id.0), choice.why.word());
        assert_eq!(found, *expected, "{name}");
    }
}

#[test]
fn time_counts_in_place_of_bytes() {
    let milliseconds = Duration::from_millis;
    let cases: &[(&str, u64, Option<Duration>, bool)] = &[
        ("in time", 100, Some(milliseconds(500)), false),
        ("late", 1, Some(milliseconds(501)), true),
        ("nothing known", 1, None, true),
        ("nothing known, nothing missing", 0, None, false),
    ];
    let delay = Delay { bytes: 8, time: milliseconds(500), instead: Instead::Primary };
    for (name, lag, lag_time, expected) in cases {
        let standby = node(1, 1.0, Role::Standby, Condition::Usable, *lag);
        let standby = Candidate { lag_time: *lag_time, ..standby };
        assert_eq!(delay.holds_back(&standby), *expected, "{name}");
        assert!(!delay.holds_back(&Candidate { role: Role::Primary, ..standby }), "{name}");
    }
}

#[test]
fn preferences_are_followed_at_their_ratio() {
    let nodes = [
        node(0, 1.0, Role::Primary, Condition::Usable, 0),
        node(1, 1.0, Role::Standby, Condition::Usable, 0),
        node(2, 0.0, Role::Standby, Condition::Usable, 0),
        node(3, 3.0, Role::Standby, Condition::Usable, 0),
        node(4, 3.0, Role::Standby, Condition::Unusable, 0),
    ];
    let to = |id| Target::Node(BackendId(id));
    let cases: &[(Target, f64, [u32; 5])] = &[
        // Of 10,000 sessions.
        (Target::Primary, 1.0, [10_000, 0, 0, 0, 0]),
        (Target::Primary, 0.4, [4000, 1500, 0, 4500, 0]),
        (Target::Standby, 1.0, [0, 2500, 0, 7500, 0]),
        (Target::Standby, 0.5, [5000, 1250, 0, 3750, 0]),
        (to(2), 1.0, [0, 0, 10_000, 0, 0]),
        (to(1), 0.2, [2000, 2000, 0, 6000, 0]),
        (to(1), 0.0, [2500, 0, 0, 7500, 0]),
        // Not there: by weight.
        (to(4), 1.0, [2000, 2000, 0, 6000, 0]),
        (to(9), 1.0, [2000, 2000, 0, 6000, 0]),
    ];
    let mut entropy = Entropy::from_seed([2; 32]);
    for (target, ratio, expected) in cases {
        let wanted = Some(Wanted { to: *target, ratio: *ratio, list: List::User });
        let mut counts = [0_u32; 5];
        for _ in 0..10_000 {
            let choice = choose(&Question { wanted, draw: entropy.next_u64(), ..ask(&nodes) });
            counts[choice.node.unwrap().index()] += 1;
        }
        let is_near = counts.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) < 250);
        assert!(is_near, "{target:?} {ratio}: {counts:?}, not {expected:?}");
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
        let choice = choose(&Question { draw: entropy.next_u64(), ..ask(&nodes) });
        counts[choice.node.unwrap().index()] += 1;
    }
    for (count, expected) in counts.into_iter().zip([2000_u32, 4000, 10_000]) {
        assert!(count.abs_diff(expected) < 250, "{counts:?}");
    }
}

proptest! {
    /// What is chosen is usable, and there is a choice whenever a node is.
    #[test]
    fn only_usable_nodes_are_chosen(
        nodes in prop::collection::vec((-1.0..4.0_f64, any::<bool>(), 0..20_u64), 0..6),
        threshold in 0..10_u64,
        instead in prop::sample::select(vec![Instead::Primary, Instead::LeastDelayed]),
        settled in prop::option::of((0..8_u8).prop_map(BackendId)),
        wanted in prop::option::of((0..8_u8, 0.0..1.0_f64)),
        avoid in prop::collection::vec((0..6_u8).prop_map(BackendId), 0..3),
        draw in any::<u64>(),
    ) {
        let nodes: Vec<_> = nodes.into_iter().zip(0..).map(|((weight, usable, lag), id)| {
            let role = if id == 0 { Role::Primary } else { Role::Standby };
            let condition = if usable { Condition::Usable } else { Condition::Unusable };
            node(id, weight, role, condition, lag)
        }).collect();
        let wanted = wanted.map(|(id, ratio)| {
            let to = match id {
                6 => Target::Primary,
                7 => Target::Standby,
                id => Target::Node(BackendId(id)),
            };
            Wanted { to, ratio, list: List::Database }
        });
        let delay = Delay { bytes: threshold, instead, ..Delay::default() };
        let question = Question { candidates: &nodes, avoid: &avoid, delay, wanted, settled, draw };
        let choice = choose(&question);
        match choice.node {
            Some(id) => {
                let node = nodes[id.index()];
                prop_assert_eq!(node.condition, Condition::Usable);
                // One that is behind is only read from when there is no other way.
                let others = nodes.iter().filter(|node| {
                    node.condition == Condition::Usable && !avoid.contains(&node.id)
                });
                let primary_fit = others.clone().any(|node| node.role == Role::Primary);
                prop_assert!(!delay.holds_back(&node) || !primary_fit);
            }
            None => {
                prop_assert_eq!(choice.why, Because::Nobody);
                prop_assert!(nodes.iter().all(|node| node.condition == Condition::Unusable));
            }
        }
        if let Some(drawn) = choice.drawn {
            prop_assert_eq!(nodes[drawn.index()].condition, Condition::Usable);
        }
    }
}
