//! What administrators do with pgherd's own commands.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::process::{Command, Output, Stdio};

use pgherd_tests::play::{LIMIT, Play as _};
use pgherd_tests::real::Real;
use pgherd_tests::real::proxy::binary;
use pgherd_tests::world::{ADMIN, Setup, World as _};
use serde_json::Value;

use super::pcp::{Home, setup};
use super::text;

/// Runs a command with the configuration of the pgherd that is to be asked.
fn run(world: &Real, home: &Home, args: &[&str]) -> Output {
    let program = binary().unwrap_or_else(|why| panic!("{why}"));
    let mut command = Command::new(program);
    command.args(args).args(["--user", ADMIN, "--no-password", "--config"]);
    command.arg(world.config_file());
    command.env("PCPPASSFILE", home.file()).env("LC_ALL", "C").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("pgherd: {error}"))
}

/// The same where nothing may go wrong, or be said of it.
fn good(world: &Real, home: &Home, args: &[&str]) -> String {
    let output = run(world, home, args);
    let errors = text(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{args:?}: {errors}");
    text(&output.stdout)
}

/// The words of an error, of which the exit code tells too.
fn bad(world: &Real, home: &Home, args: &[&str]) -> String {
    let output = run(world, home, args);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(6), String::new()), "{args:?}");
    let errors = text(&output.stderr);
    assert!(errors.starts_with("pgherd: ") && errors.lines().count() == 1, "{args:?}: {errors}");
    errors
}

fn json(world: &Real, home: &Home, args: &[&str]) -> Value {
    let told = good(world, home, args);
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{args:?}: {error}: {told}"))
}

pub(crate) fn nodes(world: &mut Real) {
    world.settle();
    let home = Home::new();
    let app = world.connect("app");
    world.run(&app, "select 1");
    let table = good(world, &home, &["nodes"]);
    let lines: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..6], ["id", "host", "port", "status", "role", "lag"], "{table}");
    assert_eq!(lines.len(), 4, "{table}");
    for (id, line) in lines[1..].iter().enumerate() {
        let role = if id == 0 { "primary" } else { "standby" };
        assert_eq!((line[0], line[1], line[4]), (&*id.to_string(), "127.0.0.1", role), "{table}");
    }
    let nodes = json(world, &home, &["nodes", "--json"]);
    assert_eq!((&nodes[0]["role"], &nodes[2]["role"]), (&"primary".into(), &"standby".into()));
    assert_eq!(nodes[1]["id"], 1);
    assert!(nodes[1]["lag_bytes"].is_u64() && nodes[1]["last_change"].is_u64(), "{nodes}");

    let told = good(world, &home, &["stats"]);
    for part in ["Health checks\n", "Connections to servers\n", "Sessions of clients: "] {
        assert!(told.contains(part), "{told}");
    }
    let stats = json(world, &home, &["stats", "--json"]);
    assert_eq!(stats["health_checks"].as_array().map(Vec::len), Some(3), "{stats}");
    assert!(stats["health_checks"][0]["success_count"].as_u64() > Some(0), "{stats}");
    assert!(stats["sessions"].as_u64() > Some(0), "{stats}");
    assert_eq!(stats["pools"][0]["database"], "postgres", "{stats}");
}

pub(crate) fn a_node_out_and_in(world: &mut Real) {
    world.settle();
    let home = Home::new();
    let app = world.connect("app");
    // What goes on until it is done is told beside the answer.
    let waits = "what runs on node 1 ends, nothing new begins there\n";
    for (flags, progress) in [(&[][..], ""), (&["--graceful"], waits)] {
        let output = run(world, &home, &[&["detach", "1"], flags].concat());
        assert_eq!(text(&output.stderr), progress);
        assert_eq!(text(&output.stdout), "node 1 was taken out of service\n");
        assert!(output.status.success(), "{flags:?}");
        world.wait_down(&app, 1);
        let nodes = json(world, &home, &["nodes", "--json"]);
        let seen = (&nodes[1]["status"], &nodes[1]["server_status"]);
        assert_eq!(seen, (&"down".into(), &"up".into()), "{nodes}");
        assert!(good(world, &home, &["nodes"]).contains("down (server: up)"));
        let again = bad(world, &home, &["detach", "1"]);
        assert!(
            again.starts_with("pgherd: node 1 was not taken out of service: pgherd at "),
            "{again}"
        );
        assert_eq!(good(world, &home, &["attach", "1"]), "node 1 was let in again\n");
        world.wait_up(&app, 1);
    }
    let told = json(world, &home, &["attach", "1", "--json"]);
    assert_eq!(told, serde_json::json!({ "done": true, "told": "node 1 was let in again" }));
}

pub(crate) fn a_switchover(world: &mut Real) {
    world.settle();
    let home = Home::new();
    let app = world.connect("app");
    let refused = bad(world, &home, &["promote", "1"]);
    assert!(refused.starts_with("pgherd: node 1 was not promoted: pgherd at "), "{refused}");
    let output = run(world, &home, &["switchover", "1"]);
    // How far it is stands on the other stream.
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stdout), "node 1 was made the primary\n");
    world.wait_primary(&app, 1);
    let nodes = json(world, &home, &["nodes", "--json"]);
    assert_eq!((&nodes[0]["role"], &nodes[1]["role"]), (&"standby".into(), &"primary".into()));
    let again = bad(world, &home, &["switchover", "1"]);
    assert!(again.starts_with("pgherd: node 1 was not made the primary: pgherd at "), "{again}");
}

pub(crate) fn refusals(world: &mut Real) {
    let home = Home::new();
    let port = world.pcp_port();
    for (args, not_done) in [
        (&["attach", "9"][..], "node 9 was not let in again"),
        (&["detach", "9"], "node 9 was not taken out of service"),
        (&["promote", "9"], "node 9 was not promoted"),
        (&["switchover", "9"], "node 9 was not made the primary"),
        (&["recover", "9"], "node 9 was not recovered"),
        (&["recover", "9", "--dry-run"], "a recovery of node 9 was not tried out"),
    ] {
        let told = bad(world, &home, args);
        let place = format!("pgherd: {not_done}: pgherd at 127.0.0.1:{port}: ");
        let reasons = [
            "invalid node ID : 9",
            "node id 9 is not valid",
            "node id : 9 status: [0] is not valid",
        ];
        let has_reason = reasons.iter().any(|reason| told.contains(reason));
        assert!(told.starts_with(&place) && has_reason, "{told}");
    }
    let output = run(world, &home, &["attach", "9", "--json"]);
    let told: Value = serde_json::from_str(&text(&output.stdout)).expect("it is JSON");
    assert_eq!((output.status.code(), &told["done"]), (Some(6), &false.into()), "{told}");
    assert!(told["told"].as_str().is_some_and(|told| told.contains("node 9 was not")), "{told}");
    let silent = bad(world, &home, &["nodes", "--host", "localhost"]);
    assert!(
        silent.contains("there is no password for user \"pcpadmin\" at localhost:"),
        "{silent}"
    );
    assert!(silent.contains("leave out --no-password"), "{silent}");
    home.keep("wrong");
    let refused = bad(world, &home, &["nodes"]);
    let words = "refuses user \"pcpadmin\": authentication failed for user \"pcpadmin\": ";
    assert!(refused.contains(words) && refused.contains("--user"), "{refused}");
    home.write(&format!("*:*:*:{ADMIN}\n"), 0o644);
    let output = run(world, &home, &["nodes"]);
    assert_eq!(output.status.code(), Some(6));
    assert!(text(&output.stderr).contains("has group or world access"), "{output:?}");
}

pub(crate) fn a_reload_and_a_stop(world: &mut Real) {
    let home = Home::new();
    let app = world.connect("app");
    world.configure(&Setup { weights: vec![3.0, 1.0, 0.0], ..setup() });
    assert!(good(world, &home, &["reload"]).contains("is being read again"));
    world.wait("the weights are in effect", LIMIT, |w| {
        let weights: Vec<f64> = w.pool_nodes(&app).iter().map(|node| node.weight).collect();
        weights == [0.75, 0.25, 0.0]
    });
    assert!(good(world, &home, &["stop", "--mode", "fast"]).starts_with("pgherd stops "));
    world.wait("pgherd ends", LIMIT, |w| w.exit_code().is_some());
    assert_eq!(world.exit_code(), Some(0));
    let gone = bad(world, &home, &["nodes"]);
    assert!(gone.contains(": Connection refused; is it running, "), "{gone}");
}
