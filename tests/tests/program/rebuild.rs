//! `pgherd rebuild` on real servers: whatever is in a data directory becomes a standby of the primary,
//! also after the program was killed on the way, and nothing is touched that must not be.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pgherd_herd::{Account, Herd, Mode, PASSWORD, Plan, USER, poll};

use super::{Ended, LIMIT, Room};

pub(super) const TESTS: [(&str, fn()); 12] = [
    ("a_diverged_primary_is_rewound", a_diverged_primary_is_rewound),
    ("what_cannot_be_rewound_is_copied", what_cannot_be_rewound_is_copied),
    ("a_lost_directory_is_copied", a_lost_directory_is_copied),
    ("a_standby_that_crashed_follows_again", a_standby_that_crashed_follows_again),
    ("a_rebuild_may_be_killed_at_every_step", a_rebuild_may_be_killed_at_every_step),
    ("a_copy_may_be_killed_at_every_step", a_copy_may_be_killed_at_every_step),
    ("a_directory_that_was_moved_away_comes_back", a_directory_that_was_moved_away_comes_back),
    ("a_directory_that_must_stay_is_filled_in_place", a_directory_that_must_stay_is_filled),
    ("the_wrong_directory_is_not_touched", the_wrong_directory_is_not_touched),
    ("what_a_copy_would_not_hold_is_not_copied", what_a_copy_would_not_hold_is_not_copied),
    ("one_rebuild_at_a_time", one_rebuild_at_a_time),
    ("a_dry_run_touches_nothing", a_dry_run_touches_nothing),
];

/// A primary, node 1, and its old one, node 0, which was killed and has a row that nobody else has.
struct Ground {
    herd: Herd,
    room: Room,
}

impl Ground {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(settings: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings = settings.iter().map(own).collect();
        let plan = Plan { standbys: 1, settings, ..Plan::default() };
        let herd = Herd::build(plan, &mut |_| ()).unwrap_or_else(|trouble| panic!("{trouble}"));
        let ground = Self { herd, room: Room::new() };
        ground.sql(0, "create table t (a text)");
        ground.sql(0, "alter system set work_mem = '7MB'");
        ground.sql(0, "alter system set default_transaction_read_only = on");
        ground.sql(0, "select pg_switch_wal()");
        let arrived = "select count(*) from pg_stat_replication where replay_lsn = sent_lsn";
        assert!(poll(LIMIT, || ground.sql(0, arrived) == "1"), "the standby has the table");
        ground.herd.node(1).unwrap().stop(Mode::Fast).unwrap();
        ground.sql(0, "insert into t select 'lost' from generate_series(1, 1000)");
        ground.herd.node(0).unwrap().kill().unwrap();
        ground.herd.node(1).unwrap().start().unwrap();
        ground.herd.node(1).unwrap().wait_ready(LIMIT).unwrap();
        assert_eq!(ground.sql(1, "select pg_promote()"), "t");
        ground.sql(1, "insert into t values ('kept')");
        ground
    }

    fn sql(&self, node: usize, sql: &str) -> String {
        self.herd.psql(node, sql).unwrap_or_else(|trouble| panic!("{sql}: {trouble}"))
    }

    fn dir(&self) -> PathBuf {
        self.herd.node(0).unwrap().data_dir().to_owned()
    }

    fn beside(&self) -> PathBuf {
        self.dir().with_file_name("data.pgherd")
    }

    /// A rebuild of a directory from node 1, or from whom further flags name.
    fn command(&self, dir: &Path, flags: &[&str]) -> Command {
        let port = self.herd.node(1).unwrap().port().to_string();
        let mut command = self.room.command(&["rebuild", "--data-directory"]);
        command.arg(dir).env("PGUSER", USER).env("PGPASSWORD", PASSWORD);
        // It would lead every program astray.
        command.env("PGOPTIONS", "-c no_such_parameter=1").env("PGHOST", "/nowhere");
        if !flags.contains(&"--port") {
            command.args(["--host", "127.0.0.1", "--port", &port]);
        }
        command.args(flags).stdin(Stdio::null());
        command
    }

    /// Runs it as a caller does who waits for the end of its output.
    fn run(&self, dir: &Path, flags: &[&str]) -> Ended {
        ended(&mut self.command(dir, flags))
    }

    fn rebuild(&self, flags: &[&str]) -> Ended {
        let ended = self.run(&self.dir(), flags);
        assert_eq!(ended.code, 0, "{ended:?}");
        ended
    }

    /// Node 0 is a standby with the primary's data and with a configuration of its own.
    fn assert_rebuilt(&self, case: &str) {
        let rows = "select string_agg(distinct a, ',') from t";
        assert!(poll(LIMIT, || self.sql(0, rows) == "kept"), "{case}: {}", self.sql(0, rows));
        let own = "select pg_is_in_recovery(), current_setting('work_mem'), \
                   current_setting('cluster_name'), current_setting('default_transaction_read_only')";
        assert_eq!(self.sql(0, own), "t|7MB|node0|off", "{case}");
        let name = "select count(*) from pg_stat_replication where application_name = 'node0'";
        assert!(poll(LIMIT, || self.sql(1, name) == "1"), "{case}: it streams by that name");
        assert!(!self.beside().exists(), "{case}: {:?}", super::entries(&self.beside()));
    }

    /// Node 0, which a rebuild has started, ends as in a crash. It is told to: killed, it would keep
    /// its socket until somebody has asked for its end.
    fn crash(&self) {
        let dir = self.dir().display().to_string();
        let stop = ["stop", "-w", "-m", "immediate", "-D", &dir];
        self.herd.run("pg_ctl", stop).unwrap();
    }

    /// Node 0 runs no more, and its directory is as it was.
    fn bring_back(&self, kept: &Path) {
        self.crash();
        fs::remove_dir_all(self.dir()).unwrap();
        copy(kept, &self.dir());
    }
}

/// Waits for a command and for the end of its output.
fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Ended {
        code: output.status.code().unwrap_or(-1),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success(), "{from:?} to {to:?}");
}

/// Gives what a test makes to whom the servers run as.
fn give_away(path: &Path) {
    if let Account::Other { uid, gid, .. } = Account::choose().unwrap() {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

const NAMED: [&str; 4] = ["--application-name", "node0", "--slot", "rebuilt"];

fn a_diverged_primary_is_rewound() {
    let ground = Ground::new();
    let ended = ground.rebuild(&[&NAMED[..], &["--method", "rewind"]].concat());
    for step in ["in production; its server does not run\n", "node's own herd.conf, pg_hba.conf"] {
        assert!(ended.output.contains(step), "no {step:?} in {ended:?}");
    }
    ground.assert_rebuilt("rewound");
    let slots = "select slot_name from pg_replication_slots where active";
    assert_eq!(ground.sql(1, slots), "rebuilt");
    assert_eq!(ground.sql(0, "select count(*) from pg_replication_slots"), "0");
    assert_eq!(ground.sql(0, "show primary_slot_name"), "rebuilt");
    // Whom the server runs for, its environment does not tell.
    let pid = fs::read_to_string(ground.dir().join("postmaster.pid")).unwrap();
    let environment = fs::read(format!("/proc/{}/environ", pid.lines().next().unwrap())).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("PGPASSWORD"));
    // A standby that runs is stopped and becomes one again.
    let ended = ground.rebuild(&NAMED);
    assert!(ended.output.contains("stopping the server\n"), "{ended:?}");
    ground.assert_rebuilt("once more");
}

fn what_cannot_be_rewound_is_copied() {
    let ground = Ground::with(&[("wal_log_hints", "off")]);
    let hba = fs::read_to_string(ground.dir().join("pg_hba.conf")).unwrap();
    let own = format!("# of this node\n{hba}");
    fs::write(ground.dir().join("pg_hba.conf"), &own).unwrap();
    let ended = ground.run(&ground.dir(), &["--method", "rewind"]);
    assert_eq!(ended.code, 6, "{ended:?}");
    assert!(ended.errors.starts_with("pgherd: pg_rewind failed: target server needs"), "{ended:?}");
    let ended = ground.rebuild(&NAMED);
    for step in ["pg_rewind failed", "copying the primary", "putting the copy in its place"] {
        assert!(ended.output.contains(step), "no {step:?} in {ended:?}");
    }
    ground.assert_rebuilt("copied");
    assert_eq!(fs::read_to_string(ground.dir().join("pg_hba.conf")).unwrap(), own);
}

fn a_lost_directory_is_copied() {
    let ground = Ground::new();
    let port = ground.herd.node(0).unwrap().port().to_string();
    for case in ["gone", "empty"] {
        if case == "empty" {
            ground.crash();
        }
        fs::remove_dir_all(ground.dir()).unwrap();
        if case == "empty" {
            fs::create_dir(ground.dir()).unwrap();
            fs::set_permissions(ground.dir(), Permissions::from_mode(0o700)).unwrap();
            give_away(&ground.dir());
        }
        let none = ground.run(&ground.dir(), &["--method", "rewind"]);
        assert!(none.code == 4 && none.errors.contains("nothing to rewind"), "{case}: {none:?}");
        let ended = ground.rebuild(&[&NAMED[..], &["--node-port", &port]].concat());
        assert!(ended.output.contains("nothing is there yet\n"), "{case}: {ended:?}");
        // It answers at its own port, and has the primary's data and configuration besides.
        assert_eq!(ground.sql(0, "select a from t"), "kept", "{case}");
        assert_eq!(ground.sql(0, "show cluster_name"), "node1", "{case}");
        assert!(!ground.beside().exists(), "{case}");
    }
}

fn a_standby_that_crashed_follows_again() {
    let ground = Ground::new();
    ground.rebuild(&NAMED);
    ground.crash();
    // By commands of the operator's, this time.
    let ctl = ground.herd.binaries().program("pg_ctl").display().to_string();
    let (dir, log) = (ground.dir(), ground.dir().with_file_name("started"));
    let (dir, log) = (dir.display(), log.display());
    let start = format!("{ctl} start -D '{dir}' -l '{log}'");
    let stop = format!("{ctl} stop -m fast -D '{dir}'");
    let commands = ["--start-command", &start, "--stop-command", &stop];
    let flags = [&NAMED[..], &commands].concat();
    let ended = ground.rebuild(&flags);
    assert!(ended.output.contains("in archive recovery; its server does not run"), "{ended:?}");
    assert!(!ended.output.contains("pg_rewind"), "{ended:?}");
    ground.assert_rebuilt("followed");
    let ended = ground.rebuild(&flags);
    assert!(ended.output.contains("stopping the server\n"), "{ended:?}");
    ground.assert_rebuilt("stopped by the command");
    let broken = ["--stop-command", "echo it will not >&2; exit 3"];
    let ended = ground.run(&ground.dir(), &[&NAMED[..], &broken].concat());
    assert_eq!(ended.code, 6, "{ended:?}");
    assert!(ended.errors.contains("exit status: 3: it will not"), "{ended:?}");
    ground.assert_rebuilt("not stopped");
}

fn a_rebuild_may_be_killed_at_every_step() {
    killed_at_every_step(&Ground::new(), &[], 6);
}

fn a_copy_may_be_killed_at_every_step() {
    killed_at_every_step(&Ground::new(), &["--method", "basebackup"], 7);
}

/// Kills it as soon as it has told of a step, which is before the step is taken.
fn killed_at_every_step(ground: &Ground, flags: &[&str], least: usize) {
    let kept = ground.dir().with_file_name("kept");
    copy(&ground.dir(), &kept);
    let flags = [&NAMED[..], flags].concat();
    for step in 1.. {
        let mut child = ground.command(&ground.dir(), &flags);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let told: Vec<String> = {
            let output = BufReader::new(child.stdout.take().unwrap());
            output.lines().map_while(Result::ok).take(step).collect()
        };
        // One that has ended is not killed any more.
        drop(child.kill());
        child.wait().unwrap();
        let case = format!("killed after {told:?}");
        let mut ended = ground.run(&ground.dir(), &flags);
        if ended.errors.contains("still runs after 0 s") {
            // The start that the killed one had begun came about in the middle, which it leaves alone.
            ended = ground.run(&ground.dir(), &flags);
        }
        assert_eq!(ended.code, 0, "{case}: {ended:?}");
        ground.assert_rebuilt(&case);
        if told.len() < step {
            assert!(told.len() >= least, "{case}");
            return;
        }
        ground.bring_back(&kept);
    }
}

/// It was killed between the two renames that replace a directory.
fn a_directory_that_was_moved_away_comes_back() {
    let ground = Ground::new();
    fs::create_dir(ground.beside()).unwrap();
    give_away(&ground.beside());
    fs::rename(ground.dir(), ground.beside().join("old")).unwrap();
    let dry = ground.rebuild(&["--dry-run"]);
    assert!(dry.output.contains("in production") && !ground.dir().exists(), "{dry:?}");
    let ended = ground.rebuild(&NAMED);
    assert!(ended.output.contains("it is back\n"), "{ended:?}");
    ground.assert_rebuilt("moved back");
}

fn a_directory_that_must_stay_is_filled() {
    let ground = Ground::new();
    let parent = ground.dir().parent().unwrap().to_owned();
    let home = ground.herd.directory().join("home");
    fs::create_dir(&home).unwrap();
    give_away(&home);
    let kept = parent.with_file_name("kept");
    copy(&ground.dir(), &kept);
    let flags = [&NAMED[..], &["--method", "basebackup"]].concat();
    let rebuild = |lines: usize| {
        // Root's rebuild takes the home of the directory's owner, so the owner's is run.
        let mut command = ground.command(&ground.dir(), &flags);
        command.env("HOME", &home);
        as_owner(&mut command);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let told: Vec<String> = output.lines().map_while(Result::ok).take(lines).collect();
        if told.len() == lines {
            drop(child.kill());
        }
        let output = child.wait_with_output().unwrap();
        (
            output.status.code(),
            told.join("\n"),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    fs::set_permissions(&parent, Permissions::from_mode(0o500)).unwrap();
    let cut_short = rebuild(4);
    let whole = rebuild(usize::MAX);
    fs::set_permissions(&parent, Permissions::from_mode(0o700)).unwrap();
    let why = "in place, because the directory above it cannot be written to";
    assert!(cut_short.1.contains(why), "{cut_short:?}");
    assert!(whole.0 == Some(0) && whole.1.contains(why), "{whole:?}");
    ground.assert_rebuilt("in place");
    let left = super::entries(&home.join(".pgherd"));
    assert!(left.is_empty(), "{left:?}");
}

/// Has a command run as whom the servers run as.
fn as_owner(command: &mut Command) {
    Account::choose().unwrap().apply(command);
}

fn the_wrong_directory_is_not_touched() {
    let ground = Ground::new();
    let other = Herd::build(Plan::default(), &mut |_| ()).unwrap();
    let foreign = ground.herd.directory().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("mine"), "").unwrap();
    give_away(&foreign);
    let primary = ground.herd.node(1).unwrap().data_dir().to_owned();
    let refused = |dir: &Path, flags: &[&str], told: &str| {
        let ended = ground.run(dir, flags);
        assert_eq!(ended.code, 4, "{told}: {ended:?}");
        assert!(ended.errors.contains(told), "no {told:?} in {ended:?}");
        assert!(ended.errors.contains("was not touched)"), "{ended:?}");
        assert_eq!(ended.output, "", "{told}");
    };
    refused(&foreign, &[], "is neither a data directory nor empty");
    refused(&primary, &[], "is the data directory of the primary itself");
    let stranger = other.primary().data_dir().to_owned();
    refused(&stranger, &[], "is of another cluster (system identifier ");
    refused(&ground.dir(), &["--slot", "No Slot"], "has a name that is not made of");
    let nobody = ground.room.nobody.to_string();
    let nobody = ["--host", "127.0.0.1", "--port", &nobody];
    refused(&ground.dir(), &nobody, "Connection refused");
    refused(&ground.dir(), &["--user", "nobody_there"], "password authentication failed");
    refused(&ground.dir(), &["--bin-directory", "/nowhere"], "no program \"postgres\" in /nowhere");

    let version = ground.dir().join("PG_VERSION");
    let own = fs::read_to_string(&version).unwrap();
    fs::write(&version, "11\n").unwrap();
    refused(&ground.dir(), &[], "is of PostgreSQL 11, the primary of ");
    fs::write(&version, own).unwrap();
    let (here, away) =
        (ground.dir().join("postgresql.conf"), ground.dir().with_file_name("postgresql.conf"));
    fs::rename(&here, &away).unwrap();
    let text = fs::read_to_string(&away).unwrap();
    let included = format!("include '{}/herd.conf'", ground.dir().display());
    fs::write(&away, text.replace("include 'herd.conf'", &included)).unwrap();
    refused(&ground.dir(), &[], "say where it is with --config-file");
    // With a configuration elsewhere it is rewound, started, and left where it is.
    let away = away.display().to_string();
    ground.rebuild(&[&NAMED[..], &["--method", "rewind", "--config-file", &away]].concat());
    assert!(!here.exists(), "the primary's is not the node's");
    let port = ground.herd.node(0).unwrap().port().to_string();
    assert!(poll(LIMIT, || ground.sql(0, "select max(a) from t") == "kept"));
    // Now it is a standby, and nobody's primary.
    refused(
        &primary,
        &["--host", "127.0.0.1", "--port", &port],
        "is in recovery: name the primary",
    );
    assert!(foreign.join("mine").exists());
    assert_eq!(other.psql(0, "select 1").unwrap(), "1");
}

fn what_a_copy_would_not_hold_is_not_copied() {
    let ground = Ground::new();
    let basebackup = ["--method", "basebackup"];
    let space = ground.herd.directory().join("space");
    fs::create_dir(&space).unwrap();
    give_away(&space);
    let link = ground.dir().join("pg_tblspc/16999");
    std::os::unix::fs::symlink(&space, &link).unwrap();
    let ended = ground.run(&ground.dir(), &basebackup);
    assert!(ended.code == 4 && ended.errors.contains("the node has tablespaces"), "{ended:?}");
    fs::remove_file(&link).unwrap();
    // WAL that lies elsewhere stays there, and what is rewound with it.
    let (wal, elsewhere) = (ground.dir().join("pg_wal"), ground.herd.directory().join("wal"));
    fs::rename(&wal, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &wal).unwrap();
    let ended = ground.run(&ground.dir(), &basebackup);
    assert!(ended.code == 4 && ended.errors.contains("pg_wal is a symbolic link"), "{ended:?}");
    ground.rebuild(&NAMED);
    ground.assert_rebuilt("with WAL elsewhere");
    assert_eq!(fs::read_link(&wal).unwrap(), elsewhere);
}

fn one_rebuild_at_a_time() {
    let ground = Ground::new();
    // The first one waits for its standby to be started.
    let go = ground.herd.directory().join("go");
    let line = format!("while ! [ -e '{}' ]; do sleep 0.05; done; false", go.display());
    let mut first = ground.command(&ground.dir(), &["--start-command", &line]);
    let mut first = first.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(first.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "starting the server"), "it comes to that");
    let ended = ground.run(&ground.dir(), &NAMED);
    assert_eq!(ended.code, 4, "{ended:?}");
    let told = format!("is being rebuilt by process {}: wait", first.id());
    assert!(ended.errors.contains(&told), "{ended:?}");
    fs::write(&go, "").unwrap();
    drop(lines);
    assert!(!first.wait().unwrap().success(), "its command fails");
    ground.rebuild(&NAMED);
    ground.assert_rebuilt("the second");
}

fn a_dry_run_touches_nothing() {
    let ground = Ground::new();
    let before = super::entries(&ground.dir());
    let ended = ground.rebuild(&[&NAMED[..], &["--dry-run"]].concat());
    for step in [
        "would use the replication slot rebuilt, and make it if it is not there\n",
        "would rewind the directory with pg_rewind\n",
        "would if that fails, copy the primary with pg_basebackup, and replace the directory\n",
        "would set primary_conninfo, primary_slot_name in postgresql.auto.conf\n",
        "would start the server: pg_ctl start\n",
    ] {
        assert!(ended.output.contains(step), "no {step:?} in {ended:?}");
    }
    assert_eq!(super::entries(&ground.dir()), before);
    assert!(!ground.beside().exists());
    assert_eq!(
        ground.sql(1, "select count(*) from pg_replication_slots where slot_name = 'rebuilt'"),
        "0"
    );
}
