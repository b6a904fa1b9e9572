//! No operation allocates more than it is said to, once it has been done before.

use allocation_counter::measure;
use pgherd_benches::ops::{OPS, Op};

/// Repetitions before counting: whatever grows to its size has done so by then.
const WARM_UP: usize = 100;

/// Repetitions counted: more than one, so that growth now and then is seen, too.
const COUNTED: usize = 10_000;

#[test]
fn steady_state_allocates_nothing() {
    let limited = OPS.iter().filter_map(|op| Some((op, op.allocations_max?)));
    let excesses: Vec<_> = limited
        .map(|(op, limit)| (op.name, counted(op), limit))
        .filter(|(_, (allocations, units), limit)| *allocations > limit * units)
        .collect();
    assert_eq!(excesses, [], "operation, (allocations, units), allocations a unit at most");
}

fn counted(op: &Op) -> (u64, u64) {
    let mut act = (op.make)();
    (0..WARM_UP).for_each(|_| {
        act();
    });
    let mut units = 0;
    let found = measure(|| units = (0..COUNTED).map(|_| act() as u64).sum());
    (found.count_total, units)
}

#[test]
fn allocations_are_counted() {
    let parsing = OPS.iter().find(|op| op.name == "classify new").expect("it is among them");
    let mut act = (parsing.make)();
    let found = measure(|| {
        act();
    });
    assert!(found.count_total > 0, "parsing allocates, or the counter does not count");
}
