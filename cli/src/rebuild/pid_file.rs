//! `postmaster.pid`: what a server that runs tells of itself (PostgreSQL, `miscadmin.h`).

use std::fs;
use std::path::Path;

use crate::pid::is_running;

/// The file, in a data directory.
const NAME: &str = "postmaster.pid";

/// What a server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    /// Its process.
    pub(super) pid: u32,
    pub(super) state: State,
    /// When it was started, in seconds since 1970.
    pub(super) started: i64,
    /// Where it listens. 0 of a single-user one.
    pub(super) port: u16,
    /// The directory of its socket, else the first address at which it listens.
    pub(super) host: Option<String>,
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is a single-user one, as `pg_rewind` starts to recover from a crash.
    Single,
    /// It starts, or stops.
    Passing,
    /// Clients may come, or it is a standby that lets none in.
    Up,
}

impl PidFile {
    /// Reads the file of the server that runs in a data directory; none if none runs.
    ///
    /// A number that is left from before a crash may be given again. A server works in its data
    /// directory, which tells where there is a `/proc`.
    pub(super) fn of_server(dir: &Path) -> Option<Self> {
        let file = Self::read(&fs::read_to_string(dir.join(NAME)).ok()?)?;
        let place = fs::read_link(format!("/proc/{}/cwd", file.pid));
        let is_there = is_running(file.pid) && place.map_or(true, |place| place == dir);
        is_there.then_some(file)
    }

    /// Removes the file of a server that has left it behind: its number may be another's by now, or
    /// that of a process for whose end nobody has asked, and a server would not start. Nobody may be
    /// left who works in the directory; whether that is so.
    pub(super) fn remove_stale(dir: &Path) -> bool {
        let Ok(processes) = fs::read_dir("/proc") else { return true };
        let works_here = |process: fs::DirEntry| {
            fs::read_link(process.path().join("cwd")).is_ok_and(|place| place == dir)
                && fs::read_to_string(process.path().join("comm"))
                    .is_ok_and(|name| name.trim_end() == "postgres")
        };
        if processes.flatten().any(works_here) {
            return false;
        }
        if let Err(error) = fs::remove_file(dir.join(NAME)) {
            // Mostly there is none.
            log::debug!("{}: {error}", dir.join(NAME).display());
        }
        true
    }

    fn read(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let line = |at: usize| lines.get(at).copied().filter(|line| !line.is_empty());
        let pid: i64 = line(0)?.parse().ok()?;
        // Where it listens everywhere, nearby is somewhere.
        let address = |address: &str| match address {
            "*" | "0.0.0.0" => "127.0.0.1".to_owned(),
            "::" => "::1".to_owned(),
            address => address.to_owned(),
        };
        Some(Self {
            pid: u32::try_from(pid.abs()).ok()?,
            state: match line(7) {
                _ if pid < 0 => State::Single,
                Some("ready" | "standby") => State::Up,
                _ => State::Passing,
            },
            started: line(2).and_then(|started| started.parse().ok())?,
            port: line(3).and_then(|port| port.parse().ok()).unwrap_or(0),
            host: line(4).map(str::to_owned).or_else(|| line(5).map(address)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_servers_write_it() {
        let file = |pid, host: Option<&str>, state| PidFile {
            pid,
            state,
            started: 1_700_000_000,
            port: 5432,
            host: host.map(str::to_owned),
        };
        let text = |socket: &str, address: &str, status: &str| {
            format!("17\n/data\n1700000000\n5432\n{socket}\n{address}\n  1234 5\n{status}\n")
        };
        for (text, expected) in [
            (text("/run", "*", "ready   "), Some(file(17, Some("/run"), State::Up))),
            (text("", "*", "standby "), Some(file(17, Some("127.0.0.1"), State::Up))),
            (text("", "db1", "starting"), Some(file(17, Some("db1"), State::Passing))),
            ("17\n/data\n1700000000\n5432\n".to_owned(), Some(file(17, None, State::Passing))),
            (
                "-17\n/data\n1700000000\n".to_owned(),
                Some(PidFile { port: 0, ..file(17, None, State::Single) }),
            ),
            ("17\n".to_owned(), None),
            ("x\n/data\n1700000000\n".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(PidFile::read(&text), expected, "{text}");
        }
    }
}
