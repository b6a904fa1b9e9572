//! What befalls only real servers: a process of one is killed, and it starts all others anew.

use rustix::process::{Pid, Signal, kill_process};

use super::Real;
use crate::client::Login;
use crate::play::Play;
use crate::scenarios::Scenario;
use crate::scenarios::failures::{answered_once, readers_in_flight, standby_dozes};
use crate::world::World;

const STANDBY: usize = 1;

/// Lists the scenarios.
#[must_use]
pub fn all() -> Vec<Scenario<Real>> {
    vec![Scenario {
        name: "a_read_in_flight_outlives_the_crash_of_another_session",
        setup: standby_dozes,
        play: a_read_in_flight_outlives_the_crash_of_another_session,
    }]
}

/// A server whose one session crashes warns all others (57P02) and ends them. What they were reading is
/// answered by another server.
fn a_read_in_flight_outlives_the_crash_of_another_session(w: &mut Real) {
    let readers = readers_in_flight(w, STANDBY);
    let victim = w.connect_direct(STANDBY, &Login::app("victim"));
    let pid = w.run(&victim, "select pg_backend_pid()").value().parse().expect("a number");
    let pid = Pid::from_raw(pid).expect("a process");
    kill_process(pid, Signal::KILL).expect("it is ours to kill");
    w.wait("it is gone", crate::play::LIMIT, |w| w.is_closed(victim.conn));
    answered_once(w, &readers);
}
