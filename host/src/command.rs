//! Commands of the operator's: run beside everything else, ended when their time is over or when they
//! are recalled.
//!
//! A command is a process group of its own, fed by `/dev/null`. A thread reads what it writes, and
//! a second one waits for its end, so that the first may wait for either, for its deadline and for
//! its recall. What
//! a command leaves running when it ends in time, such as a server, is left alone.

use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Weak};
use std::thread::Builder;
use std::time::{Duration, Instant};

use pgherd_core::job::lines::Lines;
use pgherd_core::job::{Ending, Job, JobId};
use pgherd_core::limits;
use pgherd_core::message::{Message, Peer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::mailbox::{Mail, Post};

/// Bytes that are read of a command's output at once: what a pipe holds by default on Linux.
const READ_LEN: usize = 64 * 1024;

/// The commands of a machine, by which they are recalled.
#[derive(Debug, Default)]
pub(crate) struct Commands(BTreeMap<JobId, Weak<Leash>>);

impl Commands {
    /// Has a command run for a machine, and tells it what came of it.
    pub(crate) fn start(&mut self, id: JobId, job: Job, me: Peer, post: &Post) {
        self.0.retain(|_, leash| leash.strong_count() > 0);
        let tell = {
            let post = post.clone();
            move |ending| {
                let message = Box::new(Message::Ended { job: id, ending });
                post.send(me, Mail::Message { from: me, message });
            }
        };
        let leash = match Leash::new() {
            Ok(leash) => Arc::new(leash),
            Err(error) => return tell(Ending::NotStarted(error.to_string())),
        };
        self.0.insert(id, Arc::downgrade(&leash));
        let failed = tell.clone();
        let run = move || {
            let ending = run(&job, &leash, &mut |line| log::info!("{}: {line}", job.name));
            tell(ending);
        };
        if let Err(error) = Builder::new().name("command".to_owned()).spawn(run) {
            failed(Ending::NotStarted(error.to_string()));
        }
    }

    /// Has a command end, unless it has.
    pub(crate) fn recall(&mut self, id: JobId) {
        if let Some(leash) = self.0.remove(&id).and_then(|leash| leash.upgrade()) {
            leash.pull();
        }
    }
}

/// What a command is held by while it runs.
#[derive(Debug)]
struct Leash {
    /// Can be read once it is pulled.
    near: PipeReader,
    far: PipeWriter,
}

impl Leash {
    fn new() -> io::Result<Self> {
        let (near, far) = io::pipe()?;
        Ok(Self { near, far })
    }

    fn pull(&self) {
        if let Err(error) = (&self.far).write_all(b"x") {
            log::error!("a command cannot be recalled: {error}");
        }
    }
}

/// Runs a command to its end, line by line of what it writes.
fn run(job: &Job, leash: &Leash, log: &mut dyn FnMut(String)) -> Ending {
    Running::begin(job).map_or_else(
        |error| Ending::NotStarted(error.to_string()),
        |running| running.watch(job.within, leash, log),
    )
}

/// A command that runs.
struct Running {
    child: Child,
    group: Pid,
    /// What it writes. None when nobody has it open any more.
    output: Option<PipeReader>,
    /// Ends when the command does.
    end: PipeReader,
    lines: Lines,
}

/// What is waited for next, besides output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It may run on.
    Running,
    /// It was told to end.
    Told(Cut),
    /// It was killed. Who does not even die of that waits for a device.
    Killed(Cut),
    /// It has ended in time, and the rest of what it wrote is read.
    Ended,
}

/// Why a command is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Its time is over.
    TooLate,
    /// It was recalled.
    Recalled,
}

/// What a wait has found, output apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    None,
    /// The command has ended.
    End,
    /// It is to end.
    Recall,
}

impl Running {
    fn begin(job: &Job) -> io::Result<Self> {
        let (output, stdout) = io::pipe()?;
        let (end, lives) = io::pipe()?;
        let child = spawn(job, stdout)?;
        let group = Pid::from_child(&child);
        let mut running = Self { child, group, output: Some(output), end, lines: Lines::default() };
        let wait = move || {
            // It stays a zombie, so that its number is nobody else's while it may be killed.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let waited = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(group), options));
            if let Err(error) = waited {
                log::error!("a command cannot be waited for: {error}");
            }
            drop(lives);
        };
        match Builder::new().name("command end".to_owned()).spawn(wait) {
            Ok(_) => Ok(running),
            Err(error) => {
                running.signal(Signal::KILL);
                running.child.wait()?;
                Err(error)
            }
        }
    }

    /// Waits until it has ended, one way or another.
    fn watch(mut self, within: Duration, leash: &Leash, log: &mut dyn FnMut(String)) -> Ending {
        let mut stage = Stage::Running;
        let mut until = Instant::now() + within;
        loop {
            let found = match self.wait(stage, until, leash, log) {
                Ok(found) => found,
                Err(error) => {
                    log::error!("a command cannot be watched: {error}");
                    self.signal(Signal::KILL);
                    return self.finish(Stage::Killed(Cut::TooLate), log);
                }
            };
            let has_ended = found == Found::End;
            stage = match stage {
                Stage::Running if has_ended => {
                    until = Instant::now() + limits::COMMAND_OUTPUT_DELAY;
                    Stage::Ended
                }
                Stage::Ended if self.output.is_none() => return self.finish(stage, log),
                Stage::Told(_) | Stage::Killed(_) if has_ended => {
                    // Its own processes need not have ended with it.
                    self.signal(Signal::KILL);
                    return self.finish(stage, log);
                }
                Stage::Running if found == Found::Recall => {
                    self.signal(Signal::TERM);
                    until = Instant::now() + limits::COMMAND_KILL_DELAY;
                    Stage::Told(Cut::Recalled)
                }
                _ if Instant::now() < until => stage,
                Stage::Running => {
                    self.signal(Signal::TERM);
                    until = Instant::now() + limits::COMMAND_KILL_DELAY;
                    Stage::Told(Cut::TooLate)
                }
                Stage::Told(cut) => {
                    self.signal(Signal::KILL);
                    until = Instant::now() + limits::COMMAND_KILL_DELAY;
                    Stage::Killed(cut)
                }
                Stage::Ended | Stage::Killed(_) => return self.finish(stage, log),
            };
        }
    }

    /// Waits for output, the end, a recall or the time, whatever is first, and reads output.
    fn wait(
        &mut self,
        stage: Stage,
        until: Instant,
        leash: &Leash,
        log: &mut dyn FnMut(String),
    ) -> io::Result<Found> {
        let patience = until.saturating_duration_since(Instant::now());
        let patience = Timespec::try_from(patience).ok();
        let mut fds = Vec::with_capacity(3);
        if stage != Stage::Ended {
            fds.push(PollFd::from_borrowed_fd(self.end.as_fd(), PollFlags::IN));
        }
        if stage == Stage::Running {
            fds.push(PollFd::from_borrowed_fd(leash.near.as_fd(), PollFlags::IN));
        }
        if let Some(output) = &self.output {
            fds.push(PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, patience.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Found::None),
            Err(error) => return Err(error.into()),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let has_ended = stage != Stage::Ended && ready.next() == Some(true);
        let is_recalled = stage == Stage::Running && ready.next() == Some(true);
        if ready.next() == Some(true) {
            self.read(log);
        }
        Ok(match (has_ended, is_recalled) {
            (true, _) => Found::End,
            (false, true) => Found::Recall,
            (false, false) => Found::None,
        })
    }

    /// Reads once. There is something to read, or the end.
    fn read(&mut self, log: &mut dyn FnMut(String)) {
        let Some(output) = &mut self.output else { return };
        let mut bytes = vec![0; READ_LEN];
        match output.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(len) if len > 0 => {
                let bytes = bytes.get(..len).unwrap_or_default();
                self.lines.take(bytes).into_iter().for_each(log);
            }
            Ok(_) | Err(_) => self.output = None,
        }
    }

    fn signal(&self, signal: Signal) {
        if let Err(error) = kill_process_group(self.group, signal) {
            log::debug!("a command was not signalled: {error}");
        }
    }

    fn finish(mut self, stage: Stage, log: &mut dyn FnMut(String)) -> Ending {
        self.lines.finish().into_iter().for_each(log);
        match stage {
            Stage::Running | Stage::Ended => match self.child.wait() {
                Ok(status) => ending(status),
                Err(error) => Ending::NotStarted(error.to_string()),
            },
            Stage::Told(cut) | Stage::Killed(cut) => {
                // One that cannot die is left to the system: nobody waits for it.
                drop(self.child.try_wait());
                match cut {
                    Cut::TooLate => Ending::TimedOut,
                    Cut::Recalled => Ending::Recalled,
                }
            }
        }
    }
}

fn spawn(job: &Job, output: PipeWriter) -> io::Result<Child> {
    let errors = output.try_clone()?;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &job.line]).process_group(0).envs(job.environment.expose());
    shell.stdin(Stdio::null()).stdout(output).stderr(errors).spawn()
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, Some(signal)) => Ending::Killed(signal),
        (None, None) => Ending::NotStarted(status.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use pgherd_core::auth::secret::Secret;
    use pgherd_core::job::Environment;

    use super::*;
    use crate::puppet::LONG;

    fn run_within(line: &str, within: Duration) -> (Ending, Vec<String>) {
        run_in(Environment::default(), line, within)
    }

    fn run_in(environment: Environment, line: &str, within: Duration) -> (Ending, Vec<String>) {
        let job = Job { name: "test".into(), line: line.into(), environment, within };
        let mut lines = Vec::new();
        let ending = run(&job, &Leash::new().unwrap(), &mut |line| lines.push(line));
        (ending, lines)
    }

    /// What it has started dies with it, and nothing of it is waited for longer than for its end.
    #[test]
    fn a_command_that_is_recalled_is_ended() {
        let leash = Leash::new().unwrap();
        leash.pull();
        let (name, line, within) = ("test".into(), "sleep 1000 & sleep 1000".into(), LONG);
        let job = Job { name, line, environment: Environment::default(), within };
        let began = Instant::now();
        let ending = run(&job, &leash, &mut |_| ());
        assert_eq!(ending, Ending::Recalled);
        assert!(began.elapsed() < limits::COMMAND_KILL_DELAY, "{:?}", began.elapsed());
    }

    #[test]
    fn a_command_says_how_it_ended_and_what_it_wrote() {
        let cases: &[(&str, Ending, &[&str])] = &[
            ("true", Ending::Exited(0), &[]),
            ("echo one; echo two >&2; printf three", Ending::Exited(0), &["one", "two", "three"]),
            ("echo no; exit 3", Ending::Exited(3), &["no"]),
            ("kill -9 $$", Ending::Killed(9), &[]),
            ("cat; echo fed by nobody", Ending::Exited(0), &["fed by nobody"]),
            ("printf 'a\\tb\\377\\n'", Ending::Exited(0), &["a\\tb\u{fffd}"]),
        ];
        for (line, ending, lines) in cases {
            assert_eq!(run_within(line, LONG), (ending.clone(), to_owned(lines)), "{line}");
        }
        let (ending, lines) = run_within("/no/such/script", LONG);
        assert_eq!((ending, lines.len()), (Ending::Exited(127), 1), "{lines:?}");
    }

    #[test]
    fn a_command_finds_its_environment() {
        let environment = Environment::default().with("PGPASSWORD", Secret::new("it's \"secret\""));
        assert!(!format!("{environment:?}").contains("it's"), "{environment:?}");
        let (ending, lines) = run_in(environment, "echo \"$PGPASSWORD\"; test -n \"$PATH\"", LONG);
        assert_eq!((ending, lines), (Ending::Exited(0), to_owned(&["it's \"secret\""])));
    }

    fn to_owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn much_output_does_not_hold_a_command_up() {
        let (ending, lines) = run_within("yes | head -n 300000", LONG);
        assert_eq!((ending, lines.len()), (Ending::Exited(0), limits::COMMAND_LINES_MAX + 1));
    }

    #[test]
    fn a_command_has_no_descriptors_of_ours() {
        let (ours, _writer) = io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&ours));
        // Other systems show no descriptors.
        let Ok(name) = std::fs::read_link(path) else { return };
        let (ending, lines) = run_within("ls -l /proc/self/fd", LONG);
        assert_eq!(ending, Ending::Exited(0));
        assert!(lines.iter().any(|line| line.contains("/dev/null")), "{lines:?}");
        let name = name.display().to_string();
        assert!(!lines.iter().any(|line| line.contains(&name)), "{name}: {lines:?}");
    }

    /// Whatever a command has started dies with it when its time is over: nobody has the pipe's
    /// other end any more.
    #[test]
    fn a_command_that_takes_too_long_is_ended_with_all_its_processes() {
        let (alive, dead) = io::pipe().unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&dead);
        // Not inherited by itself, but to be found while this process has it open.
        let path = format!("/proc/{}/fd/{fd}", std::process::id());
        if !std::path::Path::new(&path).exists() {
            return;
        }
        let within = Duration::from_millis(300);
        let line = format!("exec 9>{path}; (trap '' TERM; sleep 1000) & echo begun; sleep 1000");
        let began = Instant::now();
        let (ending, lines) = run_within(&line, within);
        assert_eq!((ending, lines), (Ending::TimedOut, to_owned(&["begun"])));
        assert!(began.elapsed() >= within && began.elapsed() < limits::COMMAND_KILL_DELAY);
        drop(dead);
        let mut alive = alive;
        assert_eq!(alive.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_command_that_does_not_heed_is_killed() {
        let began = Instant::now();
        let line = "trap 'echo not me' TERM; while :; do sleep 0.1; done";
        let (ending, lines) = run_within(line, Duration::from_millis(100));
        assert_eq!(ending, Ending::TimedOut);
        assert!(began.elapsed() >= limits::COMMAND_KILL_DELAY);
        assert!(lines.contains(&"not me".to_owned()), "{lines:?}");
    }

    /// A server that a script starts has the script's output, and is not waited for.
    #[test]
    fn what_a_command_leaves_running_is_neither_waited_for_nor_ended() {
        let began = Instant::now();
        let (ending, lines) = run_within("sleep 60 & echo $!", LONG);
        assert_eq!(ending, Ending::Exited(0));
        assert!(began.elapsed() < LONG);
        let pid = lines.first().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
        let pid = pid.expect("its number was written");
        rustix::process::kill_process(pid, Signal::KILL).expect("it runs");
    }
}
