//! The processes of one server.
//!
//! Each child of a PostgreSQL server starts a session of its own, so the server's process group is
//! the server alone and signalling the group reaches nobody else. Who belongs to a server is
//! therefore read from `/proc`: its descendants, and the processes called `postgres` in its data
//! directory, which are those that outlived it. Where there is no `/proc`, only the server itself
//! is known; its children end by themselves soon after it.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// How often anything in this crate looks whether what it waits for has happened.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How long processes are given to disappear once they are killed. Only one that hangs in the
/// kernel, on a dead disk, takes longer than a moment.
pub(crate) const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Looks at `condition`, which nobody tells of, every 10 ms until it holds or `limit` has passed, and returns
/// whether it held.
pub fn poll(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Makes this process the parent of whoever below it loses their own, so that a server which somebody
/// else has started, `pg_ctl` for example, leaves no zombie behind when it is killed: one passes for
/// a server that runs, and not every machine's first process reaps.
///
/// # Errors
/// The system refuses.
pub fn adopt_orphans() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Takes note of the end of an adopted process.
fn reap(pid: Pid) {
    match waitpid(Some(pid), WaitOptions::NOHANG) {
        Ok(_) | Err(rustix::io::Errno::CHILD) => {}
        Err(error) => log::warn!("cannot reap process {}: {error}", pid.as_raw_nonzero()),
    }
}

/// Finds the processes of the server that has, or had, `data_dir`; `server` is its own, if it runs.
pub(crate) fn of_server(server: Option<Pid>, data_dir: &Path) -> HashSet<Pid> {
    let processes = snapshot();
    let mut found: HashSet<Pid> = processes
        .iter()
        .filter(|process| process.name == "postgres" && works_in(process.pid, data_dir))
        .map(|process| process.pid)
        .collect();
    found.extend(server.filter(|pid| processes.iter().any(|process| process.pid == *pid)));
    loop {
        let children: HashSet<Pid> = processes
            .iter()
            .filter(|process| process.parent.is_some_and(|parent| found.contains(&parent)))
            .map(|process| process.pid)
            .collect();
        let count = found.len();
        found.extend(children);
        if found.len() == count {
            return found;
        }
    }
}

/// Stops the server's processes in their tracks. Returns once no more of them turn up.
pub(crate) fn freeze(server: Option<Pid>, data_dir: &Path) -> HashSet<Pid> {
    // The server first, so that it starts no others.
    if let Some(pid) = server {
        signal(pid, Signal::STOP);
    }
    let mut frozen = HashSet::new();
    loop {
        let found = of_server(server, data_dir);
        let new: Vec<Pid> = found.difference(&frozen).copied().collect();
        if new.is_empty() {
            return frozen;
        }
        for pid in new {
            signal(pid, Signal::STOP);
            frozen.insert(pid);
        }
    }
}

/// Lets frozen processes go on.
pub(crate) fn thaw(server: Option<Pid>, data_dir: &Path) {
    for pid in server.into_iter().chain(of_server(server, data_dir)) {
        signal(pid, Signal::CONT);
    }
}

/// Kills the server's processes, and returns whether all of them are gone.
///
/// They are frozen first: a process that ran on could start another behind our back, and one whose
/// parent is gone is hard to find.
pub(crate) fn kill_all(server: Option<Pid>, data_dir: &Path) -> bool {
    let mut doomed = freeze(server, data_dir);
    doomed.extend(server);
    for pid in &doomed {
        signal(*pid, Signal::KILL);
    }
    poll(KILL_LIMIT, || {
        // The server's own end is its holder's to take note of.
        doomed.iter().filter(|pid| Some(**pid) != server).for_each(|pid| reap(*pid));
        let left: HashSet<Pid> = snapshot().iter().map(|process| process.pid).collect();
        doomed.is_disjoint(&left)
    })
}

/// Sends a signal. That the process is gone already is as good.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process(pid, signal)
        && error != rustix::io::Errno::SRCH
    {
        log::warn!("cannot signal process {}: {error}", pid.as_raw_nonzero());
    }
}

/// One living process.
struct Process {
    pid: Pid,
    parent: Option<Pid>,
    name: String,
}

/// Lists the processes of this machine, without those that only wait to be reaped.
fn snapshot() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read(entry.path().join("stat")).ok()?;
            parse_stat(pid, &String::from_utf8_lossy(&stat))
        })
        .collect()
}

/// Reads `/proc/PID/stat`: `17 (name) S 1 ...`, where the name may hold anything, `) S 1` included.
fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = tail.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    Some(Process { pid: positive(pid)?, parent: positive(parent), name: name.to_owned() })
}

/// Makes a process id of a number. Zero and below would mean groups of processes.
fn positive(pid: i32) -> Option<Pid> {
    if pid > 0 { Pid::from_raw(pid) } else { None }
}

/// Whether the process has `dir`, without symbolic links, as its working directory.
fn works_in(pid: Pid, dir: &Path) -> bool {
    fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok_and(|cwd| cwd == dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_read_from_the_last_parenthesis() {
        let cases = [
            ("17 (postgres) S 5 17 17 0", Some(("postgres", Some(5)))),
            ("17 (a) S 9 (b) R 1 17", Some(("a) S 9 (b", Some(1)))),
            ("17 (init) S 0 17", Some(("init", None))),
            ("17 (postgres) Z 5 17", None),
            ("17 (postgres) S", None),
            ("17", None),
        ];
        for (stat, expected) in cases {
            let process = parse_stat(17, stat);
            let found = process.as_ref().map(|process| {
                (process.name.as_str(), process.parent.map(|pid| pid.as_raw_nonzero().get()))
            });
            assert_eq!(found, expected, "{stat}");
        }
    }

    #[test]
    fn this_process_is_in_the_snapshot() {
        let own = rustix::process::getpid();
        assert!(snapshot().iter().any(|process| process.pid == own));
    }
}
