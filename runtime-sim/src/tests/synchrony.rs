//! Commits that wait for standbys, and what becomes of those that were promised.

use pgherd_core::time::Duration;

use super::{Vice, login, query, text, until_ready, world};
use crate::{Conn, Fault, Simulation};

fn synchronous(seed: u64, names: &str) -> (Simulation, Conn) {
    let mut world = world(seed, Vice::None);
    let conn = login(&mut world);
    world.send(conn, &query("create table t (a int)"));
    until_ready(&mut world, conn, 1);
    world.sql(0, &format!("alter system set synchronous_standby_names = '{names}'")).unwrap();
    world.sql(0, "select pg_reload_conf()").unwrap();
    (world, conn)
}

#[test]
fn a_commit_is_told_once_its_standby_has_it() {
    for seed in 0..16 {
        let (mut world, conn) = synchronous(seed, "FIRST 1 (node2)");
        let state = "select sync_state from pg_stat_replication where application_name = 'node2'";
        assert_eq!(world.sql(0, state), Ok(vec![vec!["sync".to_owned()]]));
        world.befall(2, Fault::Freeze);
        world.send(conn, &query("insert into t values (1)"));
        world.run(Duration::from_secs(10));
        assert_eq!(text(&world.take(conn)), "", "seed {seed}");
        assert_eq!(world.sql(0, "select a from t"), Ok(vec![vec!["1".to_owned()]]));
        world.befall(2, Fault::Thaw);
        assert_eq!(until_ready(&mut world, conn, 1).0, "CZ", "seed {seed}");
        assert_eq!(world.failure(), None);
    }
}

#[test]
fn whoever_dies_with_a_commit_that_waits_has_told_nobody() {
    let (mut world, conn) = synchronous(5, "ANY 2 (*)");
    world.befall(2, Fault::Crash);
    world.send(conn, &query("insert into t values (1)"));
    world.run(Duration::from_secs(1));
    world.befall(0, Fault::Stop);
    world.run(Duration::from_secs(1));
    let told = text(&world.take(conn));
    assert!(told.contains("57P01") && !told.contains("INSERT"), "{told}");
}

#[test]
fn a_promise_that_the_next_primary_has_not_kept_is_found() {
    let (mut world, conn) = synchronous(7, "FIRST 1 (node2)");
    world.befall(1, Fault::Freeze);
    world.send(conn, &query("insert into t values (1)"));
    until_ready(&mut world, conn, 1);
    world.befall(0, Fault::Crash);
    world.befall(1, Fault::Thaw);
    world.befall(1, Fault::Promote);
    let late = world.open_direct(1);
    world.send(late, &super::startup());
    world.send(late, &query("create table u (a int)"));
    world.run(Duration::from_secs(1));
    let what = &world.failure().expect("the commit is lost").what;
    assert!(what.contains("node 1 is the primary and lacks a commit"), "{what}");
}
