//! pgbench, in all of its ways to send statements. No transaction may fail.

use super::{program, run};

pub(crate) fn simple(port: u16) {
    initialise(port);
    measure(port, &["-M", "simple", "-c", "8", "-t", "100"]);
}

pub(crate) fn extended(port: u16) {
    initialise(port);
    measure(port, &["-M", "extended", "-c", "8", "-t", "100"]);
}

pub(crate) fn prepared(port: u16) {
    initialise(port);
    measure(port, &["-M", "prepared", "-c", "8", "-t", "100"]);
}

pub(crate) fn reads(port: u16) {
    initialise(port);
    for mode in ["simple", "extended", "prepared"] {
        measure(port, &["-S", "-M", mode, "-c", "8", "-t", "500"]);
    }
}

pub(crate) fn connects_for_each_transaction(port: u16) {
    initialise(port);
    measure(port, &["-C", "-c", "4", "-t", "25"]);
}

fn initialise(port: u16) {
    run(program("pgbench", port).args(["-i", "-q", "-s", "1"]));
    // A read of what a standby does not have yet is an error of nobody's.
    for _ in 0..REPLICATED_LOOKS {
        let sql = "select count(*) from pg_stat_replication \
                   where replay_lsn is distinct from pg_current_wal_lsn()";
        let sql = format!("begin; {sql}; commit");
        if run(program("psql", port).args(["-XAtq", "-c", &sql])).trim() == "0" {
            return;
        }
    }
    panic!("the standbys do not catch up");
}

fn measure(port: u16, args: &[&str]) {
    let said = run(program("pgbench", port).args(["-n", "-j", "2"]).args(args));
    let processed = said
        .lines()
        .find_map(|line| line.strip_prefix("number of transactions actually processed: "));
    let (done, asked) = processed.and_then(|counts| counts.split_once('/')).expect("a count");
    assert_eq!(done, asked, "{args:?}: {said}");
    // Before PostgreSQL 15 there is no such line, and a failure ends the client.
    if let Some(failed) = said.lines().find(|line| line.contains("failed transactions")) {
        assert!(failed.contains(": 0 "), "{args:?}: {said}");
    }
}

/// How often to look whether the standbys have caught up; each look starts a psql.
const REPLICATED_LOOKS: usize = 500;
