//! The demo: it says what is in its way, does what its keys say, and leaves nothing.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use rustix::process::Signal;

use super::{Ended, Room, Running, entries, free_port, taken_port};

pub(super) const TESTS: [(&str, fn()); 8] = [
    ("demo_refuses_a_privileged_port", demo_refuses_a_privileged_port),
    ("demo_says_which_port_is_taken", demo_says_which_port_is_taken),
    ("demo_misses_postgresql", demo_misses_postgresql),
    ("demo_touches_no_full_directory", demo_touches_no_full_directory),
    ("demo_ends_by_itself_and_leaves_nothing", demo_ends_by_itself_and_leaves_nothing),
    ("demo_does_what_its_keys_say", demo_does_what_its_keys_say),
    ("an_interrupted_demo_leaves_nothing", an_interrupted_demo_leaves_nothing),
    ("a_demo_interrupted_midway_leaves_nothing", a_demo_interrupted_midway_leaves_nothing),
];

fn demo_refuses_a_privileged_port() {
    let ended = Room::new().pgherd(["demo", "--port", "80"].map(OsStr::new)).ended();
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.errors.contains("--port"), "{ended:?}");
}

fn demo_says_which_port_is_taken() {
    let room = Room::new();
    let (_taken, port) = taken_port();
    let ended = room.demo(port, &["--for", "1"]).ended();
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.errors.contains(&format!("127.0.0.1:{port}")), "{ended:?}");
    room.assert_nothing_left();
}

fn demo_misses_postgresql() {
    let room = Room::new();
    let mut command = room.command(&["demo", "--port", &free_port().to_string(), "--for", "1"]);
    command.env("PG_BINDIR", "/nowhere");
    let ended = room.start(&mut command).ended();
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.errors.contains("/nowhere") && ended.errors.contains("PG_BINDIR"), "{ended:?}");
    room.assert_nothing_left();
}

fn demo_touches_no_full_directory() {
    let room = Room::new();
    let dir = room.path("full");
    fs::create_dir(&dir).expect("a fresh directory can be written to");
    room.file("full/mine", "kept");
    let name = dir.display().to_string();
    let ended = room.demo(free_port(), &["--for", "1", "--dir", &name]).ended();
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.errors.contains(&name), "{ended:?}");
    assert_eq!(entries(&dir), ["mine"]);
    room.assert_nothing_left();
}

fn demo_ends_by_itself_and_leaves_nothing() {
    let room = Room::new();
    let port = free_port();
    let ended = room.demo(port, &["--standbys", "1", "--for", "3"]).ended();
    assert_eq!(ended.code, 0, "{ended:?}");
    let psql = format!("psql -h 127.0.0.1 -p {port} ");
    assert!(ended.output.lines().any(|line| line.contains(&psql)), "{ended:?}");
    room.assert_nothing_left();
}

/// The primary is killed, recovered, handed over to, and killed once more, which by then is a server that
/// a recovery has started.
fn demo_does_what_its_keys_say() {
    let room = Room::new();
    let port = free_port().to_string();
    let mut command = room.command(&["demo", "--port", &port, "--standbys", "1"]);
    let mut running = room.spawn(command.stdin(Stdio::piped()));
    let mut keys = running.child.stdin.take().expect("it is a pipe");
    running.wait_said("Ctrl-C stops everything");
    for (key, said) in [
        ("k", "node 1 is the primary in place of node 0"),
        ("r", "recovery: node 0 follows node 1 and serves again"),
        ("s", "node 0 is the primary in place of node 1"),
        ("", "recovery: node 1 follows node 0 and serves again"),
        ("k", "failover: node 0 was the primary, on timeline 3"),
    ] {
        writeln!(keys, "{key}").expect("it listens");
        running.wait_said(said);
    }
    interrupt(&room, running);
}

fn an_interrupted_demo_leaves_nothing() {
    let room = Room::new();
    let mut running = room.demo(free_port(), &["--standbys", "1"]);
    running.wait_said("Ctrl-C stops everything");
    interrupt(&room, running);
}

/// The first step is told before the herd is there.
fn a_demo_interrupted_midway_leaves_nothing() {
    let room = Room::new();
    let mut running = room.demo(free_port(), &["--standbys", "1"]);
    running.wait_said(" s  ");
    let ended = interrupt(&room, running);
    assert!(!ended.output.contains("psql"), "it was to be midway: {ended:?}");
}

/// Ends a demo as Ctrl-C does. It ends well, and nothing is left.
fn interrupt(room: &Room, running: Running) -> Ended {
    running.signal(Signal::INT);
    let ended = running.ended();
    assert_eq!(ended.code, 0, "{ended:?}");
    room.assert_nothing_left();
    ended
}
