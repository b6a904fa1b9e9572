//! Commands of the operator's, such as a `failover_command`: what a driver is asked to run, and
//! what it says came of it.
//!
//! A machine asks with [`Output::Run`](crate::output::Output::Run). The driver runs the line beside
//! everything else, so that no machine waits for it, logs what the command writes (`lines`), ends it
//! with all that it has started when its time is over or the machine recalls it, and posts a
//! [`Message::Ended`](crate::message::Message::Ended) to the machine, in the machine's own name.
//! Whether a command has done what it was run for, nothing of this tells.

pub mod lines;

use std::fmt;

use crate::auth::secret::Secret;
use crate::time::Duration;

/// Names a job of one machine. It is never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId(u64);

impl JobId {
    /// The name of the next job.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A command that is to be run.
#[derive(Clone, Debug)]
pub struct Job {
    /// What it is in the log, such as `failover_command for node 1`: the beginning of every line
    /// that it writes.
    pub name: String,
    /// The command, for `/bin/sh -c`.
    pub line: String,
    /// What it finds in its environment besides.
    pub environment: Environment,
    /// How long it may take. Then it is told to end, and killed if it does not.
    pub within: Duration,
}

/// What a command finds in its environment besides what pgherd itself finds there: names and
/// values, which never print.
#[derive(Clone, Debug, Default)]
pub struct Environment(Vec<(&'static str, Secret)>);

impl Environment {
    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Secret) -> Self {
        self.0.push((name, value));
        self
    }

    /// Lends names and values, to whoever starts the command and to nobody else.
    pub fn expose(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.expose()))
    }
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The command has ended by itself, with this status.
    Exited(i32),
    /// A signal has ended it that was not the driver's.
    Killed(i32),
    /// It took too long, and was ended.
    TimedOut,
    /// It was recalled, and ended.
    Recalled,
    /// It was not run at all, for this reason.
    NotStarted(String),
}

impl Ending {
    /// Tells whether the command says that it has succeeded.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Exited(0))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(0) => f.write_str("it succeeded"),
            // As shells say it: POSIX, "Shell Command Language", 2.8.2.
            Self::Exited(126) => f.write_str("exit status 126: it cannot be executed"),
            Self::Exited(127) => f.write_str("exit status 127: it was not found"),
            Self::Exited(status) => write!(f, "exit status {status}"),
            Self::Killed(signal) => write!(f, "ended by signal {signal}"),
            Self::TimedOut => f.write_str("it took too long and was ended"),
            Self::Recalled => f.write_str("it was ended, for nothing waits for it any more"),
            Self::NotStarted(why) => write!(f, "it could not be started: {why}"),
        }
    }
}
