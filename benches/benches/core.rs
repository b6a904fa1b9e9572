//! What the core's operations cost: nanoseconds and allocations a unit.
//!
//! Nanoseconds are the best of several repetitions, since nothing makes code faster than it is.
//! They are shown beside the goal and never tested; allocations are, in `tests/alloc.rs`.

use std::time::{Duration, Instant};

use allocation_counter::measure;
use pgherd_benches::ops::{OPS, Op};

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    println!("{:16} {:>10} {:>8}  {:10} {:>12}", "", "ns", "goal", "a", "allocations");
    for op in OPS.iter().filter(|op| filter.as_deref().is_none_or(|text| op.name.contains(text))) {
        show(op);
    }
}

fn show(op: &Op) {
    let mut act = (op.make)();
    let count = repetitions(&mut act);
    let best = (0..BATCHES).map(|_| batch(&mut act, count)).fold(f64::INFINITY, f64::min);
    let mut units = 0;
    let allocations = measure(|| units = (0..COUNTED).map(|_| act()).sum()).count_total;
    let goal = op.goal_ns.map_or_else(String::new, |goal| format!("{goal}"));
    #[expect(clippy::cast_precision_loss, reason = "a few thousand of each")]
    let allocations = allocations as f64 / units.max(1) as f64;
    println!("{:16} {best:>10.1} {goal:>8}  {:10} {allocations:>12.2}", op.name, op.unit);
}

/// Finds how many repetitions take about [`BATCH_TIME`].
fn repetitions(act: &mut dyn FnMut() -> usize) -> u32 {
    let mut count = 1;
    loop {
        let start = Instant::now();
        (0..count).for_each(|_| {
            act();
        });
        if start.elapsed() >= BATCH_TIME {
            return count;
        }
        count *= 2;
    }
}

/// Returns nanoseconds a unit.
fn batch(act: &mut dyn FnMut() -> usize, count: u32) -> f64 {
    let start = Instant::now();
    let units: usize = (0..count).map(|_| act()).sum();
    #[expect(clippy::cast_precision_loss, reason = "a batch is short")]
    let units = units.max(1) as f64;
    start.elapsed().as_secs_f64() * 1e9 / units
}

const BATCHES: usize = 20;
const BATCH_TIME: Duration = Duration::from_millis(20);

/// Repetitions during which allocations are counted.
const COUNTED: usize = 1000;
