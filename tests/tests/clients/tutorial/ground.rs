//! Five hosts that are one machine: four for servers, and one for pgherd in Pgpool-II's place.
//!
//! Each server has an address of its own out of the loopback network, and all have the same port,
//! as on hosts of their own. `ssh` and `scp` are programs that know no distance. What runs on any
//! of the hosts runs as an unprivileged user and in one directory, by which whatever is left of it
//! is found at the end.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use pgherd_herd::{Account, Binaries, free_port};
use rustix::process::{Pid, Signal, kill_process};

use super::super::{check, text};

/// The addresses of the servers.
pub(super) const HOSTS: [&str; 4] = ["127.0.21.1", "127.0.21.2", "127.0.21.3", "127.0.21.4"];

/// The hosts, and what is on them.
pub(super) struct Ground {
    dir: PathBuf,
    account: Account,
    binaries: Binaries,
    /// Where Pgpool-II's package has put its programs.
    pub(super) programs: PathBuf,
    /// The port of all servers.
    pub(super) server_port: u16,
    /// Where pgherd serves clients, and administrators.
    pub(super) port: u16,
    pub(super) pcp_port: u16,
    /// Ends and removes everything once its input ends, which it also does with this process.
    guard: Child,
}

impl Ground {
    /// Makes a directory, the programs that are called by name, and nothing that runs but the guard.
    pub(super) fn new() -> Self {
        let account = Account::choose().unwrap_or_else(|trouble| panic!("{trouble}"));
        let binaries = Binaries::find().unwrap_or_else(|trouble| panic!("{trouble}"));
        let dir = std::env::temp_dir().join(format!("pgherd-tutorial-{}", std::process::id()));
        fs::create_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let dir = dir.canonicalize().expect("it was made just now");
        account.own(&dir).unwrap_or_else(|trouble| panic!("{trouble}"));
        let mut guard = Command::new("/bin/sh");
        guard.args(["-c", GUARD, "guard"]).arg(&dir).current_dir("/").process_group(0);
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        account.apply(&mut guard);
        let guard = guard.spawn().unwrap_or_else(|error| panic!("/bin/sh: {error}"));
        let mut ports = Vec::new();
        while ports.len() < 3 {
            let port = free_port().unwrap_or_else(|trouble| panic!("{trouble}"));
            let is_free = HOSTS.iter().all(|host| TcpListener::bind((*host, port)).is_ok());
            if is_free && !ports.contains(&port) {
                ports.push(port);
            }
        }
        let &[server_port, port, pcp_port] = ports.as_slice() else { unreachable!("three") };
        let programs = package_programs();
        let ground = Self { dir, account, binaries, programs, server_port, port, pcp_port, guard };
        ground.install();
        ground
    }

    /// Puts `ssh`, `scp` and pgherd by the names of Pgpool-II's programs where they are found first.
    fn install(&self) {
        for dir in ["bin", "etc", "log", "archive"].into_iter().chain(HOSTS) {
            let dir = self.path(dir);
            fs::create_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
            self.own(&dir);
        }
        self.program("bin/ssh", SSH);
        self.program("bin/scp", SCP);
        let binary = pgherd_tests::real::proxy::binary().unwrap_or_else(|why| panic!("{why}"));
        // A copy, because the other user may not get to where it is built.
        let copy = self.path("bin/pgherd");
        fs::copy(&binary, &copy).unwrap_or_else(|error| panic!("{}: {error}", copy.display()));
        for name in ["pgpool", "pg_md5", "pg_enc"] {
            symlink("pgherd", self.path("bin").join(name)).expect("nothing is in the way");
        }
        // Apart, because the scripts use the package's.
        fs::create_dir(self.path("own")).expect("nothing is in the way");
        for name in ADMINISTRATION {
            symlink("../bin/pgherd", self.path("own").join(name)).expect("nothing is in the way");
        }
    }

    /// Returns the place of something in the directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The same as text.
    pub(super) fn place(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The data directory of a server.
    pub(super) fn data(&self, node: usize) -> String {
        self.place(&format!("{}/data", HOSTS[node]))
    }

    /// The directory of PostgreSQL's `bin`.
    pub(super) fn pg_home(&self) -> String {
        let home = self.binaries.dir.parent().expect("programs are in a directory");
        home.display().to_string()
    }

    /// Writes a file that nobody else may read.
    pub(super) fn secret(&self, name: &str, text: &str) {
        self.write(name, text, 0o600);
    }

    /// Writes a file.
    pub(super) fn file(&self, name: &str, text: &str) {
        self.write(name, text, 0o644);
    }

    /// Writes a program.
    pub(super) fn program(&self, name: &str, text: &str) {
        self.write(name, text, 0o755);
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.own(&path);
    }

    fn own(&self, path: &Path) {
        self.account.own(path).unwrap_or_else(|trouble| panic!("{trouble}"));
    }

    /// Prepares a program to run as people on the hosts run it.
    pub(super) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().env("HOME", &self.dir).env("LC_ALL", "C");
        command.env("PGUSER", "postgres").env("PGPASSFILE", self.path(".pgpass"));
        // A user who has a home has it there, where these programs look by themselves.
        command.env("PCPPASSFILE", self.path(".pcppass"));
        let programs = self.programs.display();
        command.env("PATH", format!("{}:/usr/bin:/bin:{programs}", self.place("bin")));
        command.current_dir(&self.dir).stdin(Stdio::null()).process_group(0);
        self.account.apply(&mut command);
        command
    }

    /// Runs one of PostgreSQL's programs to its end.
    pub(super) fn postgres(&self, name: &str, args: &[&str]) -> String {
        finish(name, self.command(self.binaries.dir.join(name)).args(args))
    }

    /// Asks a server, on its own host.
    pub(super) fn on(&self, node: usize, database: &str, sql: &str) -> Result<String, String> {
        let output = self.psql(&self.place(HOSTS[node]), self.server_port, database, sql);
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Asks pgherd.
    pub(super) fn through(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = self.psql("localhost", self.port, database, sql);
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn psql(&self, host: &str, port: u16, database: &str, sql: &str) -> Output {
        let mut command = self.command(self.binaries.dir.join("psql"));
        command.args(["-X", "-A", "-t", "-w", "-U", "postgres", "-d", database]);
        command.args(["-h", host, "-p", &port.to_string(), "-c", sql]);
        command.output().unwrap_or_else(|error| panic!("psql: {error}"))
    }

    /// Runs one of Pgpool-II's programs for administrators. They tell errors by words, and not by
    /// their code.
    pub(super) fn pcp(&self, name: &str, args: &[&str]) -> Result<String, String> {
        self.administer(&self.programs.join(name), args)
    }

    /// The same by pgherd under the program's name.
    pub(super) fn own_pcp(&self, name: &str, args: &[&str]) -> Result<String, String> {
        self.administer(&self.path("own").join(name), args)
    }

    fn administer(&self, program: &Path, args: &[&str]) -> Result<String, String> {
        let name = program.display();
        let mut command = self.command(program);
        command.args(["-h", "localhost", "-p", &self.pcp_port.to_string(), "-U", "pcpadmin"]);
        let output = command.args(args).output().unwrap_or_else(|error| panic!("{name}: {error}"));
        let (told, errors) = (text(&output.stdout), text(&output.stderr));
        let is_good = output.status.success() && !errors.contains("ERROR");
        if is_good { Ok(told) } else { Err(format!("{told}{errors}")) }
    }

    /// Kills a server in the middle of whatever it does.
    pub(super) fn kill(&self, node: usize) {
        let path = self.path(&format!("{}/data/postmaster.pid", HOSTS[node]));
        let text = fs::read_to_string(&path).expect("a server that runs has one");
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
        let pid = pid.and_then(Pid::from_raw).expect("its first line is its number");
        kill_process(pid, Signal::KILL).expect("it runs");
    }

    /// What pgherd and the servers have logged.
    pub(super) fn logs(&self) -> String {
        let files = fs::read_dir(self.path("log")).into_iter().flatten().flatten();
        let texts = files.map(|file| {
            let bytes = fs::read(file.path()).unwrap_or_default();
            format!("=== {}\n{}", file.path().display(), text(&bytes))
        });
        texts.collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // The end of its input is what the guard waits for.
        drop(self.guard.stdin.take());
        drop(self.guard.wait());
    }
}

/// Runs a program to its end; it has to succeed.
pub(super) fn finish(what: &str, command: &mut Command) -> String {
    check(what, &command.output().unwrap_or_else(|error| panic!("{what}: {error}")))
}

/// Finds the directory with Pgpool-II's programs for administrators.
fn package_programs() -> PathBuf {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from);
    let found = places.into_iter().find(|dir| dir.join("pcp_node_info").exists());
    found.expect("no pcp_node_info; install the package \"pgpool2\"")
}

/// The programs for administrators that people use on the way.
const ADMINISTRATION: [&str; 10] = [
    "pcp_attach_node",
    "pcp_detach_node",
    "pcp_health_check_stats",
    "pcp_node_count",
    "pcp_node_info",
    "pcp_pool_status",
    "pcp_proc_count",
    "pcp_proc_info",
    "pcp_reload_config",
    "pcp_watchdog_info",
];

/// How long anything may take that people wait for.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// `ssh`: drops options and the host, and runs the command in an environment like that of a login.
const SSH: &str = r#"#!/bin/sh
while :; do
    case $1 in
    -o | -i) shift 2 ;;
    -*) shift ;;
    *) break ;;
    esac
done
shift
exec env -i HOME="$HOME" PATH="$PATH" LC_ALL=C PGUSER=postgres PGPASSFILE="$HOME/.pgpass" \
    /bin/bash -c "$*"
"#;

/// `scp`: drops options and hosts, and copies.
const SCP: &str = r#"#!/bin/sh
while :; do
    case $1 in
    -o | -i) shift 2 ;;
    -*) shift ;;
    *) break ;;
    esac
done
exec cp -- "${1#*:}" "${2#*:}"
"#;

/// What the guard does once nobody holds its input open: it ends the processes of its own user that
/// work in the directory, in peace at first, so that servers free what they share, and removes it.
const GUARD: &str = r#"
trap '' HUP INT TERM
read -r word
ours() {
    for process in /proc/[0-9]*; do
        case $(readlink "$process/cwd") in "$1"|"$1"/*) echo "${process#/proc/}" ;; esac
    done
}
tries=0
while left=$(ours "$1"); [ -n "$left" ] && [ $tries -lt 100 ]; do
    [ $tries = 0 ] && kill -QUIT $left
    [ $tries -gt 50 ] && kill -KILL $left
    tries=$((tries + 1))
    sleep 0.1
done
rm -rf -- "$1"
"#;
