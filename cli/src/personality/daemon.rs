//! A start in the background: a child that outlives the terminal, and a parent that waits until it
//! serves.
//!
//! The child is the same program with one more option, and its standard output is a pipe to the
//! parent: a line means that it serves, and the end of the pipe that it does not.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::Stop;
use crate::ending::Ending;
use crate::say::say;

/// What the child is told by that it is one.
pub(super) const OPTION: &str = "detached";

/// What the child says when it serves.
const STARTED: &str = "started\n";

/// Starts the child and waits until it serves, or ends without.
pub(super) fn spawn(program: &OsStr, args: &[OsString]) -> Result<(), Stop> {
    let broken = |error: std::io::Error| Stop::new(format!("pgpool: cannot detach: {error}\n"));
    let mut child = Command::new(std::env::current_exe().map_err(broken)?)
        .arg0(program)
        .arg(format!("--{OPTION}"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    let mut line = String::new();
    if let Some(pipe) = child.stdout.take() {
        BufReader::new(pipe).read_line(&mut line).map_err(broken)?;
    }
    if line == STARTED {
        return Ok(());
    }
    // It has said why on standard error, which is still the same for both.
    let status = child.wait().map_err(broken)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0);
    Err(Stop { text: String::new(), code: code.unwrap_or(1) })
}

/// Leaves the parent's session, and with it the terminal, and its directory, which is returned: it
/// may be on a file system that somebody wants to unmount. To be called in the child, before there are
/// threads.
pub(super) fn detach() -> Result<PathBuf, Stop> {
    rustix::process::setsid()
        .map_err(|error| Stop::new(format!("pgpool: cannot leave the session: {error}\n")))?;
    #[cfg(target_os = "linux")]
    // Only for those who look at a list of processes.
    let _ = rustix::thread::set_name(c"pgpool");
    let cannot_leave =
        |error: std::io::Error| Stop::new(format!("pgpool: cannot leave the directory: {error}\n"));
    let directory = std::env::current_dir().map_err(cannot_leave)?;
    std::env::set_current_dir("/").map_err(cannot_leave)?;
    Ok(directory)
}

/// Lets the parent go, and whoever waits for the end of what was inherited from it.
pub(super) fn tell_started() -> Result<(), Ending> {
    // A parent that was killed meanwhile does not listen; whoever killed it can stop the child.
    say(STARTED);
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.map_err(|error| Ending::Broken(format!("/dev/null: {error}")))?;
    dup2_stdin(&null)
        .and_then(|()| dup2_stdout(&null))
        .and_then(|()| dup2_stderr(&null))
        .map_err(|error| Ending::Broken(format!("cannot leave the terminal: {error}")))
}
