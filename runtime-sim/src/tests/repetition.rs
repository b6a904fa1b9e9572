//! Nothing that a client has said once has an effect twice.

use super::*;

/// Plays a client that says these one after the other; returns what was found.
fn play(seed: u64, vice: Vice, texts: &[&str]) -> Option<String> {
    let mut world = world(seed, vice);
    world.sql(0, "create table t (a int)").unwrap();
    let conn = world.open();
    world.send(conn, &startup());
    world.run(Duration::from_secs(1));
    for text in texts {
        world.send(conn, &query(text));
        world.run(Duration::from_secs(1));
    }
    world.failure().map(|failure| failure.what.clone())
}

#[test]
fn a_write_that_is_carried_out_twice_is_found() {
    let again = "was carried out at";
    let found = |texts: &[&str]| {
        let mut found = (0..8).filter_map(|seed| play(seed, Vice::Doubles, texts));
        found.any(|what| what.contains(again))
    };
    assert!(found(&["insert into t values (1)"]));
    assert!(!found(&["select 1"]), "nothing was done");
    assert!(!found(&["insert into nowhere values (1)"]), "nothing was done");
    for seed in 0..8 {
        let texts = ["begin", "insert into t values (1)", "commit", "insert into t values (1)"];
        assert_eq!(play(seed, Vice::None, &texts), None);
    }
}
