//! The pid file, which keeps two processes from running on one configuration, and by which others
//! find the one that does.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

use crate::ending::Ending;

/// Pgpool-II's own pid file, where a configuration names none.
pub(crate) const PGPOOL_S: &str = "/var/run/pgpool/pgpool.pid";

/// A pid file, removed when it is dropped.
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file, unless it names a process that runs.
    pub(crate) fn write(path: &Path) -> Result<Self, Ending> {
        if let Some(pid) = named_in(path).filter(|pid| is_ours(*pid)) {
            return Err(Ending::CannotStart(format!(
                "{}: process {pid} runs already; stop it, or set another pid_file_name",
                path.display()
            )));
        }
        // As Pgpool-II's, it is nobody else's business.
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        file.and_then(|mut file| writeln!(file, "{}", std::process::id())).map_err(|error| {
            Ending::CannotStart(format!("{}: {error}; see pid_file_name", path.display()))
        })?;
        Ok(Self(path.to_path_buf()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // It may be another one's by now.
        if named_in(&self.0) != Some(std::process::id()) {
            return;
        }
        if let Err(error) = fs::remove_file(&self.0) {
            log::debug!("{}: {error}", self.0.display());
        }
    }
}

/// Reads whom a pid file names. Pgpool-II ends the number with a zero byte.
pub(crate) fn named_in(path: &Path) -> Option<u32> {
    let text = fs::read_to_string(path).ok()?;
    text.trim_matches(|end: char| end == '\0' || end.is_whitespace()).parse().ok()
}

/// Tells whether a process runs this program, by whichever name: numbers are given again, in
/// containers soon.
pub(crate) fn is_ours(pid: u32) -> bool {
    let name = |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    // A number that is left from before a crash may be our own, in a container always.
    if pid == std::process::id() || pid == std::os::unix::process::parent_id() {
        return false;
    }
    let Some(other) = name(&pid.to_string()) else { return false };
    is_running(pid)
        && (NAMES.contains(&other.trim_end()) || name("self").is_some_and(|own| own == other))
}

/// The names that a serving process has.
const NAMES: [&str; 2] = ["pgherd", "pgpool"];

/// Tells whether a process is there and has not ended. One that has ended and that nobody has asked
/// for yet is gone: in a container there may be nobody who asks.
pub(crate) fn is_running(pid: u32) -> bool {
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    // Not to be allowed to signal it means that it is there.
    let is_there = test_kill_process(process) != Err(rustix::io::Errno::SRCH);
    is_there && !has_ended(pid)
}

fn has_ended(pid: u32) -> bool {
    // The state is behind the name, which stands in parentheses and may hold any.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, behind)| behind.trim_start().starts_with('Z'))
}
