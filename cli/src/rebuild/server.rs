//! The server of the data directory: stopped before, started afterwards, and seen to follow.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use pgherd_herd::{poll, telling_line};
use rustix::process::{Pid, Signal, kill_process};

use super::access::Access;
use super::pid_file::{PidFile, State};
use super::tools::{Tools, shell};
use super::trouble::Trouble;

/// How long a standby may neither receive nor replay anything. It asks for WAL every five seconds
/// (`wal_retrieve_retry_interval`).
const FOLLOW_PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two questions to the standby.
const FOLLOW_PERIOD: Duration = Duration::from_millis(200);

/// What is asked of a standby: whether it is one, whether it receives, and how far it has replayed.
const QUESTION: &str = "SELECT pg_is_in_recovery(), EXISTS (SELECT 1 FROM pg_stat_wal_receiver \
    WHERE coalesce(status, 'streaming') = 'streaming'), pg_last_wal_replay_lsn()";

/// How the server is started and stopped.
#[derive(Debug)]
pub(super) struct Server<'a> {
    pub(super) dir: &'a Path,
    pub(super) config_file: Option<&'a Path>,
    pub(super) start_command: Option<&'a str>,
    pub(super) stop_command: Option<&'a str>,
    /// Where it writes until it logs elsewhere.
    pub(super) log: PathBuf,
    /// How long it may take to stop, and to start.
    pub(super) limit: Duration,
}

/// How a standby that was started does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It receives from the primary.
    Receives,
    /// It is in recovery; more it tells nobody here, for this reason.
    Recovers(String),
}

impl Server<'_> {
    /// Whether it runs.
    pub(super) fn is_running(&self) -> bool {
        PidFile::of_server(self.dir).is_some()
    }

    /// Stops the server if it runs, and waits until nobody is left who works on the data.
    pub(super) fn stop(&self, tools: &Tools) -> Result<(), Trouble> {
        let limit = self.limit.as_secs().to_string();
        let stopped = match (PidFile::of_server(self.dir), self.stop_command) {
            (None, _) => Ok(()),
            (Some(PidFile { state: State::Single, pid, .. }), _) => terminate(pid),
            (Some(_), Some(line)) => self.run(line, shell(line)),
            (Some(_), None) => {
                let mut command = tools.local("pg_ctl");
                command.args(["stop", "-s", "-w", "-m", "fast", "-t", &limit, "-D"]).arg(self.dir);
                self.run("pg_ctl stop", command)
            }
        };
        // A server that was killed has processes that outlive it for a moment.
        let limit = if stopped.is_ok() { self.limit } else { Duration::ZERO };
        let gone = poll(limit, || !self.is_running() && PidFile::remove_stale(self.dir));
        match stopped {
            _ if gone => Ok(()),
            Err(trouble @ Trouble::Command { .. }) if self.stop_command.is_some() => Err(trouble),
            _ => Err(Trouble::RunsOn { dir: self.dir.to_owned(), waited: self.limit }),
        }
    }

    /// Starts the server, and waits until clients may come.
    pub(super) fn start(&self, tools: &Tools) -> Result<(), Trouble> {
        let log_start = fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        let limit = self.limit.as_secs().to_string();
        let started = match self.start_command {
            Some(line) => self.run(line, shell(line)),
            None => {
                let mut command = tools.local("pg_ctl");
                command.args(["start", "-s", "-w", "-t", &limit, "-D"]).arg(self.dir);
                command.arg("-l").arg(&self.log);
                if let Some(file) = self.config_file {
                    let option = format!("config_file={}", file.display());
                    command.arg("-o").arg(format!("-c {}", quoted(&option)));
                }
                self.run("pg_ctl start", command)
            }
        };
        match started {
            Err(trouble) if self.start_command.is_some() => return Err(trouble),
            Err(_) => return Err(self.not_started(log_start)),
            Ok(()) => {}
        }
        let is_up = || PidFile::of_server(self.dir).is_some_and(|file| file.state == State::Up);
        if poll(self.limit, is_up) { Ok(()) } else { Err(self.not_started(log_start)) }
    }

    /// Waits until the server that was started is seen to follow.
    pub(super) fn follow(&self, tools: &Tools, access: &Access) -> Result<Standing, Trouble> {
        let mut replayed = String::new();
        let mut since = Instant::now();
        while since.elapsed() < FOLLOW_PATIENCE {
            let Some(file) = PidFile::of_server(self.dir) else {
                return Err(self.not_started(0));
            };
            let near = Access {
                host: file.host.unwrap_or_else(|| "localhost".to_owned()),
                port: file.port,
                user: access.user.clone(),
            };
            let rows = match tools.ask(&near, QUESTION) {
                Ok(rows) => rows,
                Err(Trouble::Tool { said, .. }) => return self.unasked(tools, said),
                Err(trouble) => return Err(trouble),
            };
            match rows.first().map(Vec::as_slice) {
                Some([recovery, receives, _]) if recovery == "t" && receives == "t" => {
                    return Ok(Standing::Receives);
                }
                Some([recovery, _, lsn]) if recovery == "t" => {
                    if *lsn != replayed {
                        replayed.clone_from(lsn);
                        since = Instant::now();
                    }
                }
                _ => return Err(Trouble::NoStandby { dir: self.dir.to_owned() }),
            }
            thread::sleep(FOLLOW_PERIOD);
        }
        Err(Trouble::NotFollowing { waited: FOLLOW_PATIENCE, log: self.log.clone() })
    }

    /// What is known of a server that does not let the role in. Its data tells at least what it is.
    fn unasked(&self, tools: &Tools, said: String) -> Result<Standing, Trouble> {
        if tools.control_data(self.dir)?.is_in_recovery() {
            Ok(Standing::Recovers(said))
        } else {
            Err(Trouble::NoStandby { dir: self.dir.to_owned() })
        }
    }

    /// Runs a command whose output goes to the log: what it starts may keep that for ever, and whoever
    /// started this waits for the end of ours.
    fn run(&self, line: &str, mut command: Command) -> Result<(), Trouble> {
        let open = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.log);
        let log = open.map_err(Trouble::io("open", &self.log))?;
        let log_start = log.metadata().map_err(Trouble::io("examine", &self.log))?.len();
        let errors = log.try_clone().map_err(Trouble::io("open", &self.log))?;
        let status = command.stdout(log).stderr(errors).status();
        let status = status.map_err(Trouble::io("run", Path::new(command.get_program())))?;
        if status.success() {
            return Ok(());
        }
        let said = format!("{status}: {}", telling_line(&self.logged(log_start)));
        Err(Trouble::Command { line: line.to_owned(), said })
    }

    fn not_started(&self, log_start: u64) -> Trouble {
        let said = telling_line(&self.logged(log_start));
        Trouble::NotStarted {
            dir: self.dir.to_owned(),
            said: format!("{said} (see {} or its own log)", self.log.display()),
        }
    }

    /// Reads the log from a byte on.
    fn logged(&self, start: u64) -> String {
        let mut bytes = Vec::new();
        let read = File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(start))?;
            file.take(LOG_LEN_MAX).read_to_end(&mut bytes)
        });
        if let Err(error) = read {
            log::debug!("{}: {error}", self.log.display());
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Tells a single-user server to end.
fn terminate(pid: u32) -> Result<(), Trouble> {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw)
        && let Err(error) = kill_process(pid, Signal::TERM)
    {
        // It has ended, or it will not, which is seen.
        log::debug!("process {}: {error}", pid.as_raw_nonzero());
    }
    Ok(())
}

/// Quotes a text for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// How much of a log is read for the line that tells, in bytes.
const LOG_LEN_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        assert_eq!(quoted("config_file=/my dir/it's"), "'config_file=/my dir/it'\\''s'");
    }
}
