//! How the program ends when it does not end well: one line and an exit code.

use std::fmt;
use std::process::ExitCode;

/// Why the program ends.
#[derive(Debug)]
pub(crate) enum Ending {
    /// A thread has panicked, or the operating system refused what it never should.
    Broken(String),
    /// The configuration has so many mistakes, which have been printed.
    Mistakes(usize),
    /// Something that the program needs is taken or missing.
    CannotStart(String),
    /// So many servers or credentials do not work.
    CheckFailed(usize),
    /// A pgherd that serves was not reached, or does not do what it was asked.
    NotDone(String),
}

impl Ending {
    /// The exit code, as documented in `pgherd --help`.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.number())
    }

    /// The exit code as a number.
    pub(crate) const fn number(&self) -> u8 {
        match self {
            Self::Broken(_) => 1,
            Self::Mistakes(_) => 3,
            Self::CannotStart(_) => 4,
            Self::CheckFailed(_) => 5,
            Self::NotDone(_) => 6,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(why) | Self::CannotStart(why) | Self::NotDone(why) => f.write_str(why),
            Self::Mistakes(1) => f.write_str("1 mistake in the configuration"),
            Self::Mistakes(count) => write!(f, "{count} mistakes in the configuration"),
            Self::CheckFailed(1) => f.write_str("1 check failed"),
            Self::CheckFailed(count) => write!(f, "{count} checks failed"),
        }
    }
}
