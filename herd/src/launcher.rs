//! Runs PostgreSQL's programs: as the right user, in a clean environment, within a time limit.

use std::env;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::binaries::Binaries;
use crate::processes::poll;
use crate::trouble::Trouble;
use crate::user::Account;

/// How programs of one herd are run.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    pub(crate) binaries: Binaries,
    pub(crate) account: Account,
    /// The herd's directory, which is also where programs run.
    pub(crate) home: PathBuf,
    /// Ends waiting once it is true.
    pub(crate) interrupt: Option<Arc<AtomicBool>>,
}

/// What a program that ended has left.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Launcher {
    /// Prepares to run one of PostgreSQL's programs.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.prepare(Command::new(self.binaries.program(program)))
    }

    /// Makes a command run as the servers' user, in the herd's directory, out of reach of the
    /// terminal's Ctrl-C, and with nothing in its environment that would lead it astray.
    pub(crate) fn prepare(&self, mut command: Command) -> Command {
        for (name, _) in env::vars_os() {
            // PGHOST, PGOPTIONS, PGSERVICE and so on would change where and how it connects.
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        // English messages, since some are read here; and no ~/.postgresql of somebody else's.
        command.env("LC_ALL", "C").env("HOME", &self.home);
        command.current_dir(&self.home).stdin(Stdio::null()).process_group(0);
        self.account.apply(&mut command);
        command
    }

    /// Whether the caller wants whatever is under way to end.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Runs a program to its end, and gives back what it printed; if it failed, the reason.
    pub(crate) fn run(&self, program: &'static str, args: &[OsString]) -> Result<String, Trouble> {
        let mut command = self.command(program);
        command.args(args).env("PGPASSWORD", crate::PASSWORD);
        let outcome = self.wait(program, command, String::new(), TOOL_LIMIT)?;
        if outcome.status.success() {
            return Ok(outcome.stdout);
        }
        Err(Trouble::Tool { program, said: telling_line(&outcome.stderr) })
    }

    /// Runs a command to its end with `input` on its standard input, for at most `limit`.
    pub(crate) fn wait(
        &self,
        program: &'static str,
        mut command: Command,
        input: String,
        limit: Duration,
    ) -> Result<Outcome, Trouble> {
        let path = PathBuf::from(command.get_program());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(Trouble::io("run", &path))?;
        // Threads, because whichever pipe fills up first would stop the program.
        let stdin = child.stdin.take();
        let writer = thread::spawn(move || {
            // A program that ends without reading its input has reasons of its own to report.
            stdin.map(|mut pipe| pipe.write_all(input.as_bytes()))
        });
        let stdout = read_all(child.stdout.take());
        let stderr = read_all(child.stderr.take());
        let status = self.wait_child(program, &mut child, limit);
        if status.is_err() {
            end_group(&mut child);
        }
        let (stdout, stderr) = (join(stdout), join(stderr));
        drop(writer.join());
        Ok(Outcome { status: status?, stdout, stderr })
    }

    fn wait_child(
        &self,
        program: &'static str,
        child: &mut Child,
        limit: Duration,
    ) -> Result<ExitStatus, Trouble> {
        let mut ended = None;
        poll(limit, || {
            ended = child.try_wait().transpose();
            ended.is_some() || self.is_interrupted()
        });
        match ended {
            Some(status) => status.map_err(Trouble::io("wait for", program.as_ref())),
            None if self.is_interrupted() => Err(Trouble::Interrupted),
            None => Err(Trouble::TooSlow { program, waited: limit }),
        }
    }
}

/// Kills a program and what it started. Unlike servers, these stay in the group that they were
/// started in.
fn end_group(child: &mut Child) {
    if let Err(error) = kill_process_group(Pid::from_child(child), Signal::KILL) {
        log::warn!("cannot kill process group {}: {error}", child.id());
    }
    if let Err(error) = child.wait() {
        log::warn!("cannot wait for process {}: {error}", child.id());
    }
}

/// Collects what comes out of a pipe.
fn read_all(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(Err(error)) = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes)) {
            log::warn!("cannot read a program's output: {error}");
        }
        bytes
    })
}

fn join(reader: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
}

/// Picks the line that says why a program or a server failed.
#[must_use]
pub fn telling_line(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let Some(last) = lines.last() else { return "it gave no reason".to_owned() };
    for mark in ["PANIC:", "FATAL:", "error:", "fatal:"] {
        let Some(at) = lines.iter().position(|line| line.contains(mark)) else { continue };
        // "configuration file ... contains errors": which ones, the line before says.
        let before = at.checked_sub(1).and_then(|before| lines.get(before));
        let line = lines.get(at).filter(|line| !line.ends_with("contains errors"));
        return message(line.or(before).unwrap_or(last)).to_owned();
    }
    message(last).to_owned()
}

/// Cuts off what comes before a message: the time and the severity, or the program's name.
fn message(line: &str) -> &str {
    let marks = ["PANIC:", "FATAL:", "ERROR:", "LOG:", "error:", "fatal:"];
    let text = marks.into_iter().find_map(|mark| Some(line.split_once(mark)?.1));
    text.unwrap_or(line).trim()
}

/// How long `initdb` or `pg_basebackup` may take. They take seconds; on a machine that is busy with
/// other things, a minute has been seen.
const TOOL_LIMIT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_tells_is_not_always_the_last() {
        let cases = [
            (
                "2024-01-01 UTC [7] FATAL:  could not write: No space left on device\n\
                 child process exited with exit code 1\n\
                 initdb: removing contents of data directory\n",
                "could not write: No space left on device",
            ),
            ("initdb: error: no such user\ninitdb: hint: make one\n", "no such user"),
            (
                "[7] LOG:  unrecognized configuration parameter \"x\" in file \"c\" line 3\n\
                 [7] FATAL:  configuration file \"c\" contains errors\n",
                "unrecognized configuration parameter \"x\" in file \"c\" line 3",
            ),
            ("something else\n\n", "something else"),
            ("", "it gave no reason"),
        ];
        for (said, expected) in cases {
            assert_eq!(telling_line(said), expected);
        }
    }
}
