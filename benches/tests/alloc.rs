//! No operation that is said not to allocate does so, once it has been done before.

use allocation_counter::measure;
use pgherd_benches::ops::{Allocation, OPS, Op};

/// Repetitions before counting: whatever grows to its size has done so by then.
const WARM_UP: usize = 100;

/// Repetitions counted: more than one, so that growth now and then is seen, too.
const COUNTED: usize = 10_000;

#[test]
fn steady_state_allocates_nothing() {
    let steady = OPS.iter().filter(|op| op.allocation == Allocation::Never);
    let found: Vec<_> = steady.map(|op| (op.name, counted(op))).filter(|(_, n)| *n > 0).collect();
    assert_eq!(found, [], "allocations in {COUNTED} repetitions");
}

fn counted(op: &Op) -> u64 {
    let mut act = (op.make)();
    (0..WARM_UP).for_each(|_| {
        act();
    });
    let repeat = || {
        (0..COUNTED).for_each(|_| {
            act();
        });
    };
    measure(repeat).count_total
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
