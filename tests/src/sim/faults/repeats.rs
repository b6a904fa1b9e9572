//! Scenarios about statements that were carried out although nobody has heard of it.

use pgherd_sim::Fault;

use crate::play::{PRIMARY, Play};
use crate::scenarios::Scenario;
use crate::scenarios::failover::{promote, wait_any_heir};
use crate::scenarios::retry::prepare;
use crate::sim::Sim;
use crate::world::Setup;

const HEIR: usize = 1;

pub(super) fn all() -> Vec<Scenario<Sim>> {
    vec![Scenario {
        name: "a_write_in_disguise_is_not_done_again_by_the_heir",
        setup: primary_preferred,
        play: a_write_in_disguise_is_not_done_again_by_the_heir,
    }]
}

fn primary_preferred() -> Setup {
    Setup { weights: vec![1.0, 0.0, 0.0], ..promote() }
}

/// A primary carries out what looks like a read, and dies before anybody hears of it. The heir has what
/// was written, and would write it once more if it were told to.
fn a_write_in_disguise_is_not_done_again_by_the_heir(w: &mut Sim) {
    let admin = w.connect("admin");
    prepare(w, &admin);
    let reader = w.connect("reader");
    w.run(&reader, "select count(*) from seen");
    w.simulation().befall(PRIMARY, Fault::Mute);
    w.query_start(&reader, "select n from looks_harmless");
    w.wait_truth(HEIR, "select count(*) from seen", "1");
    w.crash(PRIMARY);
    let answer = w.finish(&reader);
    assert_eq!((answer.code(), answer.status), ("08006", Some(b'I')), "{}", answer.trouble());
    let heir = wait_any_heir(w, PRIMARY);
    w.run(&reader, "create table next (n int)");
    assert_eq!(w.truth(heir, "select count(*) from seen"), "1");
}
