//! A lane of scenarios in reality: real servers, the real program, on one runtime.
//!
//! A lane is a program of its own and not a set of `#[test]`s, so that the servers are made once,
//! and stopped whatever happens.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use libtest_mimic::{Arguments, Failed, Trial};
use pgherd_tests::real::{Lot, Real, crash, drill};
use pgherd_tests::scenarios::{Scenario, all};

/// Scenarios that are played at the same time, each with servers of its own. Most of them wait for
/// most of the time, for something to be found lost; on two cores more of them get in one another's
/// way.
const HERDS: usize = 4;

/// Plays all scenarios that the arguments ask for, and ends the program.
pub(crate) fn main(runtime: &'static str) {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(HERDS);
    let lot = Lot::default();
    let floor = Arc::new(RwLock::new(()));
    let scenarios = all::<Real>().into_iter().chain(crash::all()).map(|scenario| {
        let (lot, floor) = (Arc::clone(&lot), Arc::clone(&floor));
        Trial::test(scenario.name, move || {
            let _shared = floor.read().unwrap_or_else(PoisonError::into_inner);
            play(runtime, &lot, &scenario)
        })
    });
    // They measure time, and have the machine for themselves when everything else has been played.
    let drills = drill::all().into_iter().map(|scenario| {
        let (lot, floor) = (Arc::clone(&lot), Arc::clone(&floor));
        Trial::test(scenario.name, move || {
            let _alone = floor.write().unwrap_or_else(PoisonError::into_inner);
            play(runtime, &lot, &scenario)
        })
    });
    let trials = scenarios.chain(drills).collect();
    let conclusion = libtest_mimic::run(&args, trials);
    // Exiting drops nothing.
    lot.lock().unwrap_or_else(PoisonError::into_inner).clear();
    conclusion.exit();
}

/// Plays one scenario; if it fails, what pgherd logged is part of the failure.
fn play(runtime: &str, lot: &Lot, scenario: &Scenario<Real>) -> Result<(), Failed> {
    let mut log = String::new();
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut world = Real::on(runtime, lot, &(scenario.setup)());
        let played = catch_unwind(AssertUnwindSafe(|| scenario.run(&mut world)));
        log = world.log();
        played
    }));
    match played {
        Ok(Ok(())) => Ok(()),
        Ok(Err(panic)) | Err(panic) => {
            let what = pgherd_tests::scenarios::panic_text(panic.as_ref());
            let name = scenario.name;
            Err(format!("scenario {name}: {what}\npgherd's log:\n{log}").into())
        }
    }
}
