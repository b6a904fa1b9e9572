//! The differential test: random conversations are the same direct and through pgherd, in the
//! simulation with thousands of seeds, and on real servers with hundreds.
//!
//! `PGHERD_SEED` plays one seed only, as a failure says; `PGHERD_SEEDS` so many.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use pgherd_tests::differential::contest::Case;
use pgherd_tests::differential::shrink::shrink;
use pgherd_tests::differential::speaker::{Dialect, Manner, Topic};
use pgherd_tests::differential::transcript::Sharing;
use pgherd_tests::play::Play;
use pgherd_tests::real::{Lot, Real};
use pgherd_tests::scenarios::panic_text;
use pgherd_tests::sim::Sim;
use pgherd_tests::world::{Setup, World};

/// One way in which conversations are played.
#[derive(Clone, Copy)]
struct Lane {
    name: &'static str,
    setup: fn() -> Setup,
    manner: Manner,
    seeds: u64,
}

const LANES: &[Lane] = &[
    simulated("simulated_on_one_server", one_server, own(2, 1, ON_ONE), 1000),
    simulated("simulated_with_standbys", with_standbys, own(2, 1, ON_SEVERAL), 1000),
    simulated("simulated_clients_in_line", in_line, own(2, 3, ON_ONE), 300),
    simulated("simulated_transactions", transactions, shared(4), 1000),
    real("real_on_one_server", one_server, own(1, 1, ON_ONE)),
    real("real_with_standbys", with_standbys, own(1, 1, ON_SEVERAL)),
    real("real_transactions", transactions, shared(4)),
];

/// Seeds of a real lane.
const REAL_SEEDS: u64 = 60;

/// What is left out where there is one server.
const ON_ONE: &[Topic] = &[Topic::Resets];

/// What is left out where there are several.
const ON_SEVERAL: &[Topic] = &[Topic::Resets];

/// What is left out where connections are shared. After a batch that fails with an unnamed statement
/// in it, only the server knows which unnamed statement it has (docs/differences.md).
const SHARED: &[Topic] = &[Topic::Resets, Topic::Unnamed, Topic::LastValues];

/// Clients with connections of their own.
const fn own(rounds: usize, clients: usize, left_out: &'static [Topic]) -> Manner {
    let (dialect, sharing) = (Dialect::Simulated, Sharing::Own);
    Manner { dialect, rounds, clients, sharing, left_out }
}

/// Clients that share connections.
const fn shared(clients: usize) -> Manner {
    let (dialect, sharing) = (Dialect::Simulated, Sharing::Shared);
    Manner { dialect, rounds: 1, clients, sharing, left_out: SHARED }
}

const fn simulated(name: &'static str, setup: fn() -> Setup, manner: Manner, seeds: u64) -> Lane {
    Lane { name, setup, manner, seeds }
}

const fn real(name: &'static str, setup: fn() -> Setup, manner: Manner) -> Lane {
    let manner = Manner { dialect: Dialect::Full, ..manner };
    Lane { name, setup, manner, seeds: REAL_SEEDS }
}

/// The primary alone.
fn one_server() -> Setup {
    Setup { standbys: 0, ..Setup::default() }
}

/// Reads go to one of two standbys.
fn with_standbys() -> Setup {
    Setup::weights(&[0.0, 1.0, 1.0])
}

/// Fewer connections than clients, each of which waits until another has left.
fn in_line() -> Setup {
    Setup { standbys: 0, ..Setup::default() }
        .set("worker_threads = 1")
        .set("backend_connections_max = 2")
}

/// Clients that share fewer connections than they are, and give them back after every transaction.
fn transactions() -> Setup {
    with_standbys()
        .set("pool_mode = \"transaction\"")
        .set("pool_size_max = 2")
        .set("worker_threads = 1")
}

fn main() {
    let args = Arguments::from_args();
    let lot = Lot::default();
    // The servers are one herd's.
    let turn = Arc::new(Mutex::new(()));
    let trials = LANES.iter().map(|lane| {
        let (lot, turn) = (Arc::clone(&lot), Arc::clone(&turn));
        Trial::test(lane.name, move || match lane.manner.dialect {
            Dialect::Simulated => play_simulated(lane),
            Dialect::Full => {
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                play_real(lane, &lot)
            }
        })
    });
    let conclusion = libtest_mimic::run(&args, trials.collect());
    // Exiting drops nothing.
    lot.lock().unwrap_or_else(PoisonError::into_inner).clear();
    conclusion.exit();
}

/// Plays every seed in a world of its own.
fn play_simulated(lane: &Lane) -> Result<(), Failed> {
    let play = |case: &Case| {
        let setup = (lane.setup)();
        let mut world = Sim::named(lane.name, case.seed, &setup);
        outcome(&mut world, case, setup.standbys)
    };
    for seed in lane.seeds()? {
        let case = lane.manner.case(seed);
        if let Some(failure) = play(&case) {
            return Err(lane.failed(&case, failure, play));
        }
    }
    Ok(())
}

/// Plays every seed in one world, as long as nothing fails.
fn play_real(lane: &Lane, lot: &Lot) -> Result<(), Failed> {
    let setup = (lane.setup)();
    let mut world = Real::new(lot, &setup);
    world.settle();
    let mut before: Option<Case> = None;
    for seed in lane.seeds()? {
        let case = lane.manner.case(seed);
        if let Some(failure) = outcome(&mut world, &case, setup.standbys) {
            let failure = format!("{failure}\npgherd's log:\n{}", world.log());
            drop(world);
            let play = |case: &Case| {
                let mut world = Real::new(lot, &setup);
                world.settle();
                outcome(&mut world, case, setup.standbys)
            };
            // What it takes may have been left behind by the case before.
            let rounds = before.into_iter().chain([case.clone()]).flat_map(|case| case.rounds);
            let both = Case { rounds: rounds.collect(), ..case };
            return Err(lane.failed(&both, failure, play));
        }
        before = Some(case);
    }
    Ok(())
}

/// How a case failed, if it did.
fn outcome(world: &mut impl World, case: &Case, standbys: usize) -> Option<String> {
    let played = catch_unwind(AssertUnwindSafe(|| case.play(world, standbys)));
    played.unwrap_or_else(|panic| Err(panic_text(panic.as_ref()))).err()
}

impl Lane {
    fn seeds(&self) -> Result<Box<dyn Iterator<Item = u64>>, Failed> {
        if let Some(seed) = number("PGHERD_SEED")? {
            return Ok(Box::new(std::iter::once(seed)));
        }
        let count = number("PGHERD_SEEDS")?.unwrap_or(self.seeds);
        let name = self.name;
        Ok(Box::new((0..count).map(move |index| pgherd_tests::scenarios::seed_of(name, index))))
    }

    /// Says what failed, as small as it gets.
    fn failed(
        &self,
        case: &Case,
        failure: String,
        play: impl FnMut(&Case) -> Option<String>,
    ) -> Failed {
        let (name, seed) = (self.name, case.seed);
        let shown = match shrink(case, SHRINKING, play) {
            Some((_, smallest)) => smallest,
            None => format!("(it does not fail again by itself)\n{failure}"),
        };
        format!(
            "{name}, seed {seed:#x}: {shown}\n\
             replay: PGHERD_SEED={seed:#x} cargo test -p pgherd-tests --test differential {name}"
        )
        .into()
    }
}

/// A number that the environment gives.
fn number(variable: &str) -> Result<Option<u64>, Failed> {
    let Ok(text) = env::var(variable) else { return Ok(None) };
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map(Some).map_err(|_| format!("{variable}={text:?} is no number").into())
}

/// How long a case is made smaller.
const SHRINKING: Duration = Duration::from_secs(60);
