//! Herds of real servers. PostgreSQL has to be installed.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use pgherd_herd::{Hba, Herd, Mode, Plan, Trouble, free_port, poll};

/// How long anything may take that should take a moment, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

/// Looks again and again until the condition holds.
fn wait(what: &str, condition: impl FnMut() -> bool) {
    assert!(poll(LIMIT, condition), "{what}: not within {LIMIT:?}");
}

fn build(plan: Plan) -> Result<Herd, Trouble> {
    Herd::build(plan, &mut |_| {})
}

/// A path under the temporary directory where there is nothing.
fn fresh_path(name: &str) -> PathBuf {
    let path = env::temp_dir().join(format!("pgherd-real-{}-{name}", std::process::id()));
    assert!(!path.exists());
    path
}

/// The processes that work somewhere in `dir`, whatever they are.
fn processes_in(dir: &Path) -> Vec<String> {
    fs::read_dir("/proc")
        .expect("these tests are for Linux")
        .flatten()
        .filter(|entry| {
            fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir))
        })
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The state of a process: `R`, `S`, `T` for stopped and so on.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

#[test]
fn a_herd_can_be_sent_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Herd>();
}

#[test]
fn a_standby_follows_falls_and_comes_back_and_nothing_is_left() {
    let mut steps = Vec::new();
    let plan = Plan { standbys: 1, ..Plan::default() };
    let herd = Herd::build(plan, &mut |step| steps.push(step.to_owned())).unwrap();
    assert!(steps.iter().any(|step| step == "copying the primary to 1 standby"), "{steps:?}");
    assert_eq!(herd.psql(0, "select pg_is_in_recovery()").unwrap(), "f");
    assert_eq!(herd.psql(1, "select pg_is_in_recovery()").unwrap(), "t");
    let streaming = "select application_name, state from pg_stat_replication";
    assert_eq!(herd.psql(0, streaming).unwrap(), "node1|streaming");
    let slots = "select slot_name, active from pg_replication_slots";
    assert_eq!(herd.psql(0, slots).unwrap(), "node1_slot|t");

    herd.psql(0, "create table t (a int); insert into t values (1)").unwrap();
    wait("the row arrives", || herd.psql(1, "select a from t").is_ok_and(|rows| rows == "1"));

    let standby = herd.node(1).unwrap();
    let pids = standby.pids();
    assert!(pids.len() > 3, "a server has children: {pids:?}");
    standby.kill().unwrap();
    assert!(!standby.is_running());
    assert_eq!(standby.pids(), [], "its children die with it");
    herd.psql(0, "insert into t values (2)").unwrap();
    standby.start().unwrap();
    standby.wait_ready(LIMIT).unwrap();
    let both = "select string_agg(a::text, ',' order by a) from t";
    wait("the standby catches up", || herd.psql(1, both).is_ok_and(|rows| rows == "1,2"));

    let root = herd.directory().to_owned();
    assert!(!processes_in(&root).is_empty());
    drop(herd);
    assert_eq!(processes_in(&root), [""; 0]);
    assert!(!root.exists());
}

#[test]
fn a_paused_server_is_stopped_in_all_its_parts_and_goes_on_later() {
    let herd = build(Plan::default()).unwrap();
    let node = herd.primary();
    node.pause().unwrap();
    let pids = node.pids();
    wait("all of it is stopped", || pids.iter().all(|pid| state(*pid) == Some('T')));
    assert!(node.is_running());
    node.resume().unwrap();
    assert_eq!(herd.psql(0, "select 1").unwrap(), "1");

    node.pause().unwrap();
    node.stop(Mode::Fast).unwrap();
    assert!(!node.is_running() && node.pids().is_empty());
    assert!(node.log_tail(1).contains("database system is shut down"), "{}", node.log_tail(5));
}

#[test]
fn sql_errors_and_unknown_nodes_are_reported() {
    let herd = build(Plan::default()).unwrap();
    let trouble = herd.psql(0, "select 1; select nonsense; select 2").unwrap_err().to_string();
    assert!(trouble.contains("column \"nonsense\" does not exist"), "{trouble}");
    let trouble = herd.psql(7, "select 1").unwrap_err().to_string();
    assert_eq!(trouble, "there is no node 7: the herd has 1, counted from 0");
    herd.stop_all(Mode::Immediate).unwrap();
    assert!(matches!(herd.primary().pause(), Err(Trouble::NotRunning { node: 0 })));
}

#[test]
fn a_kept_directory_survives_and_is_not_reused() {
    let path = fresh_path("kept");
    let directory = Some(path.clone());
    let herd = build(Plan { directory: directory.clone(), ..Plan::default() }).unwrap();
    assert!(herd.primary().data_dir().starts_with(path.canonicalize().unwrap()));
    drop(herd);
    assert!(path.join("node0/data/PG_VERSION").is_file());
    assert!(!path.join("node0/data/postmaster.pid").exists(), "it was shut down in order");
    let line = build(Plan { directory, ..Plan::default() }).unwrap_err().to_string();
    let expected = format!(
        "directory {} is not empty: name one that is, or one that does not exist",
        path.display()
    );
    assert_eq!(line, expected);
    fs::remove_dir_all(&path).unwrap();
}

#[test]
fn a_port_in_use_is_one_line_and_leaves_nothing() {
    let path = fresh_path("port");
    let taken = TcpListener::bind(("127.0.0.1", free_port().unwrap())).unwrap();
    let port = taken.local_addr().unwrap().port();
    for base in [port, port - 1] {
        let directory = Some(path.clone());
        let plan = Plan { standbys: 1, base_port: Some(base), directory, ..Plan::default() };
        let line = build(plan).unwrap_err().to_string();
        let expected = format!(
            "port {port} on 127.0.0.1 is in use: choose another, or stop what listens there"
        );
        assert_eq!(line, expected);
        assert!(!path.exists());
    }
}

/// Takes the primary's port away between its choice and its use.
#[test]
fn a_free_port_that_is_taken_meanwhile_is_replaced() {
    let path = fresh_path("race");
    let mut thief = None;
    let herd =
        Herd::build(Plan { directory: Some(path.clone()), ..Plan::default() }, &mut |step| {
            if step == "starting the primary" {
                let conf = fs::read_to_string(path.join("node0/data/herd.conf")).unwrap();
                let line = conf.lines().find(|line| line.starts_with("port = ")).unwrap();
                let port: u16 = line.split('\'').nth(1).unwrap().parse().unwrap();
                thief = Some(TcpListener::bind(("127.0.0.1", port)).unwrap());
            }
        })
        .unwrap();
    let taken = thief.unwrap().local_addr().unwrap().port();
    assert_ne!(herd.primary().port(), taken);
    let shown = herd.psql(0, "show port").unwrap();
    assert_eq!(shown, herd.primary().port().to_string());
    drop(herd);
    fs::remove_dir_all(&path).unwrap();
}

#[test]
fn clients_need_the_password_unless_a_line_says_otherwise() {
    let lines = vec!["host all guest 127.0.0.1/32 trust".to_owned()];
    let herd = build(Plan { hba: Hba::Lines(lines), ..Plan::default() }).unwrap();
    herd.psql(0, "create role guest login; create role member login password 'm'").unwrap();
    let hello = |user: &str, password: &str| {
        let port = herd.primary().port();
        let conninfo =
            format!("host=127.0.0.1 port={port} dbname=postgres user={user} password={password}");
        herd.run("psql", ["-XAtc", "select current_user", &conninfo])
    };
    assert_eq!(hello("guest", "wrong").unwrap().trim(), "guest");
    assert_eq!(hello("member", "m").unwrap().trim(), "member");
    let refused = hello("member", "wrong").unwrap_err().to_string();
    assert_eq!(refused, "psql failed: password authentication failed for user \"member\"");
    let stored =
        "select rolpassword like 'SCRAM-SHA-256$%' from pg_authid where rolname = 'member'";
    assert_eq!(herd.psql(0, stored).unwrap(), "t");
}

/// The standby becomes the primary, and the former primary is rewound to follow it: what comes with
/// the other node's files must not make it take the other node's port.
#[test]
fn roles_can_be_exchanged() {
    let herd = build(Plan { standbys: 1, ..Plan::default() }).unwrap();
    let (former, next) = (herd.primary(), herd.node(1).unwrap());
    // pg_rewind begins at a checkpoint that both have, and whose WAL is still there.
    herd.psql(0, "checkpoint").unwrap();
    let replayed =
        "select count(*) from pg_stat_replication where replay_lsn = pg_current_wal_lsn()";
    wait("the standby has it", || herd.psql(0, replayed).is_ok_and(|rows| rows == "1"));
    // What the standby misses is what has to be undone.
    next.stop(Mode::Fast).unwrap();
    herd.psql(0, "create table lost (a int)").unwrap();
    former.stop(Mode::Fast).unwrap();
    next.start().unwrap();
    next.wait_ready(LIMIT).unwrap();
    herd.psql(1, "select pg_promote(); create table t (a int); checkpoint").unwrap();
    herd.psql(1, "select pg_create_physical_replication_slot('node0_slot')").unwrap();
    let source = next.conninfo();
    let target = former.data_dir().to_str().unwrap();
    herd.run("pg_rewind", ["-R", "-N", "--source-server", &source, "-D", target]).unwrap();
    let conf = fs::read_to_string(former.data_dir().join("herd.conf")).unwrap();
    assert!(conf.contains(&format!("port = '{}'", next.port())), "the file came along: {conf}");
    former.start().unwrap();
    former.wait_ready(LIMIT).unwrap();
    assert_eq!(herd.psql(0, "select pg_is_in_recovery()").unwrap(), "t");
    wait("it follows", || herd.psql(0, "select count(*) from t").is_ok_and(|rows| rows == "0"));
}

/// The settings come late, when the first server is started, after much has been made.
#[test]
fn a_build_that_fails_midway_says_why_and_leaves_nothing() {
    let path = fresh_path("midway");
    let settings = vec![("no_such_setting".to_owned(), "1".to_owned())];
    let plan = Plan { settings, directory: Some(path.clone()), ..Plan::default() };
    let line = build(plan).unwrap_err().to_string();
    assert!(line.contains("unrecognized configuration parameter \"no_such_setting\""), "{line}");
    assert!(!line.contains('\n'));
    assert!(!path.exists());
    assert_eq!(processes_in(&path), [""; 0]);
}

#[test]
fn a_build_can_be_interrupted_and_leaves_nothing() {
    let path = fresh_path("interrupted");
    for at in ["initialising", "starting the primary", "copying"] {
        let flag = Arc::new(AtomicBool::new(false));
        let interrupt = Some(Arc::clone(&flag));
        let directory = Some(path.clone());
        let plan = Plan { standbys: 1, directory, interrupt, ..Plan::default() };
        let result = Herd::build(plan, &mut |step| {
            flag.fetch_or(step.starts_with(at), Ordering::Relaxed);
        });
        let trouble = result.unwrap_err();
        assert!(matches!(trouble, Trouble::Interrupted), "at {at}: {trouble}");
        assert!(!path.exists(), "at {at}");
        assert_eq!(processes_in(&path), [""; 0], "at {at}");
    }
}

/// Where the process that is to be killed leaves word of its herd.
const NOTE: &str = "PGHERD_TEST_NOTE";

/// Another process builds a herd and is killed, as a test that takes too long may be. The other one
/// runs this same test, and is told by its environment that it is the other one.
#[test]
fn the_herd_of_a_killed_process_ends_too() {
    if let Some(note) = env::var_os(NOTE) {
        wait_to_be_killed(Path::new(&note));
    }
    let note = fresh_path("note");
    let mut other = Command::new(env::current_exe().unwrap())
        .args(["--exact", "the_herd_of_a_killed_process_ends_too"])
        .env(NOTE, &note)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut root = PathBuf::new();
    wait("the herd is built", || {
        assert_eq!(other.try_wait().unwrap(), None, "it built its herd");
        root = PathBuf::from(fs::read_to_string(&note).unwrap_or_default());
        root.is_dir()
    });
    assert!(!processes_in(&root).is_empty());
    other.kill().unwrap();
    other.wait().unwrap();
    wait("the servers end", || processes_in(&root).is_empty());
    wait("the directory goes", || !root.exists());
    fs::remove_file(note).unwrap();
}

/// Builds a herd, leaves word of it, and goes no further.
fn wait_to_be_killed(note: &Path) -> ! {
    let herd = build(Plan { standbys: 1, ..Plan::default() }).expect("a herd is built");
    // One of them paused, which is the hardest to be rid of.
    herd.node(1).expect("there is a standby").pause().expect("it can be paused");
    let draft = note.with_extension("draft");
    fs::write(&draft, herd.directory().to_str().expect("the path is text")).expect(WRITES);
    fs::rename(&draft, note).expect(WRITES);
    loop {
        thread::park();
    }
}

const WRITES: &str = "the temporary directory can be written to";
