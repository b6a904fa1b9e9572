//! The host's clock on the wall is set, back or forth.

use std::time::Duration;

use super::{HEIR, OTHER, begin, scenario};
use crate::play::{PRIMARY, Play, secs};
use crate::scenarios::Scenario;
use crate::scenarios::failover::{admin_again, is_promoted, wait_any_heir, write_at_last};
use crate::sim::Sim;
use crate::world::World;

/// Lists the scenarios.
pub(super) fn all() -> Vec<Scenario<Sim>> {
    vec![scenario("a_clock_that_is_set_decides_nothing", a_clock_that_is_set_decides_nothing)]
}

/// Between two starts of pgherd the clock is set a day back, and a year forth: what was written down
/// is believed all the same, nobody is replaced who is well, and whoever is lost is.
fn a_clock_that_is_set_decides_nothing(w: &mut Sim) {
    begin(w);
    for clock in [secs(365 * 86_400), Duration::ZERO, secs(30 * 86_400)] {
        w.set_clock(clock);
        w.restart();
        let admin = admin_again(w);
        w.wait_up(&admin, HEIR);
        w.never("somebody is promoted", secs(4), |w| is_promoted(w, HEIR) || is_promoted(w, OTHER));
        write_at_last(w, &admin, "insert into t values (1)");
    }
    for node in [HEIR, OTHER] {
        w.wait_truth(node, "select count(*) from t", "3");
    }
    w.crash(PRIMARY);
    w.set_clock(Duration::ZERO);
    w.kill();
    let heir = wait_any_heir(w, PRIMARY);
    let app = admin_again(w);
    write_at_last(w, &app, "insert into t values (1)");
    assert_eq!(w.truth(heir, "select count(*) from t"), "4");
}
