//! The scenarios in the simulation: each with 64 seeds, each of them played twice.
//!
//! `PGHERD_SEED` plays one seed only, as a failure says; `PGHERD_SEEDS` plays so many of each scenario.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{env, process, thread};

use libtest_mimic::{Arguments, Failed, Trial};
use pgherd_tests::scenarios::{Scenario, all, panic_text, seed_of};
use pgherd_tests::sim::{Sim, faults};
use pgherd_tests::world::World;

/// Seeds for each scenario.
const SEEDS: u64 = 64;

/// How long a seed may take, in the machine's time. The longest take a second; what takes this long
/// is a world in which time has stopped, and the lane ends with its name instead of hanging.
const OVERDUE: Duration = Duration::from_secs(300);

fn main() {
    let args = Arguments::from_args();
    let trials = all::<Sim>()
        .into_iter()
        .chain(faults::all())
        .map(|scenario| Trial::test(scenario.name, move || play_all(&scenario)))
        .collect();
    libtest_mimic::run(&args, trials).exit();
}

fn play_all(scenario: &Scenario<Sim>) -> Result<(), Failed> {
    if let Some(seed) = given("PGHERD_SEED")? {
        // Somebody may look on, with a debugger.
        return play_twice(scenario, seed);
    }
    let count = given("PGHERD_SEEDS")?.unwrap_or(SEEDS);
    (0..count).try_for_each(|index| play_in_time(scenario, seed_of(scenario.name, index)))
}

/// Plays a seed, and ends the whole lane if that does not end.
fn play_in_time(scenario: &Scenario<Sim>, seed: u64) -> Result<(), Failed> {
    thread::scope(|scope| {
        let (played, end) = mpsc::channel::<()>();
        scope.spawn(move || {
            if end.recv_timeout(OVERDUE) == Err(RecvTimeoutError::Timeout) {
                let name = scenario.name;
                let replay = replay(name, seed);
                eprintln!("scenario {name}, seed {seed:#x}: no end after {OVERDUE:?}\n{replay}");
                process::exit(1);
            }
        });
        let result = play_twice(scenario, seed);
        drop(played);
        result
    })
}

/// Plays a seed, and again: a simulation that is not the same twice proves nothing.
fn play_twice(scenario: &Scenario<Sim>, seed: u64) -> Result<(), Failed> {
    let first = play(scenario, seed)?;
    let second = play(scenario, seed)?;
    if first == second {
        return Ok(());
    }
    let name = scenario.name;
    Err(format!(
        "scenario {name}, seed {seed:#x}: played twice, it was {first:#x} and {second:#x}\n{}",
        replay(name, seed)
    )
    .into())
}

/// Plays a seed and returns the hash of its trace.
fn play(scenario: &Scenario<Sim>, seed: u64) -> Result<u64, Failed> {
    let mut world = Sim::new(seed, &(scenario.setup)());
    let played = catch_unwind(AssertUnwindSafe(|| {
        scenario.run(&mut world);
        world.converge();
    }));
    played.map(|()| world.trace_hash()).map_err(|panic| {
        let (name, now) = (scenario.name, world.now().as_secs_f64());
        let what = panic_text(panic.as_ref());
        format!("scenario {name}, seed {seed:#x}, at {now:.6}s: {what}\n{}", replay(name, seed))
            .into()
    })
}

fn replay(name: &str, seed: u64) -> String {
    format!("replay: PGHERD_SEED={seed:#x} cargo test -p pgherd-tests --test sim {name}")
}

/// A number that the environment gives.
fn given(name: &str) -> Result<Option<u64>, Failed> {
    let Ok(text) = env::var(name) else { return Ok(None) };
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map(Some).map_err(|_| format!("{name}={text:?} is no number").into())
}
