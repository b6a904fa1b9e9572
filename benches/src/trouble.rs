//! Why a benchmark could not be run, in words that say what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::ledger::Objection;

/// Why a benchmark could not be run.
#[derive(Debug)]
pub enum Trouble {
    /// The servers could not be set up, or the person at the terminal wants it to end.
    Herd(pgherd_herd::Trouble),
    /// A file or a program could not be used.
    Io {
        /// What was tried, as in "write".
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// The operating system's reason.
        error: io::Error,
    },
    /// A program is not installed.
    Missing {
        /// Which.
        program: &'static str,
        /// How to come by it.
        remedy: &'static str,
    },
    /// Something of a proxy grew that should be flat.
    Growth(Vec<String>),
    /// The build of pgherd has no such runtime.
    Runtime(&'static str),
    /// A proxy has ended or does not answer.
    Proxy {
        /// Its program.
        program: String,
        /// The end of its log.
        said: String,
    },
    /// A program's output was not understood.
    Output {
        /// Which.
        program: &'static str,
        /// What it printed.
        said: String,
    },
    /// Operations take more instructions than is committed.
    Instructions(Vec<Objection>),
    /// The committed instruction counts are of another profile.
    Profile,
    /// Nothing is left to run.
    Nothing,
}

impl Trouble {
    /// Makes trouble of an error with a file.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { what, path, error }
    }

    /// Whether the person at the terminal asked for the end.
    #[must_use]
    pub fn is_interrupt(&self) -> bool {
        matches!(self, Self::Herd(pgherd_herd::Trouble::Interrupted))
    }
}

impl From<pgherd_herd::Trouble> for Trouble {
    fn from(trouble: pgherd_herd::Trouble) -> Self {
        Self::Herd(trouble)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Herd(trouble) => write!(f, "{trouble}"),
            Self::Io { what, path, error } => {
                write!(f, "cannot {what} {}: {error}", path.display())
            }
            Self::Missing { program, remedy } => {
                write!(f, "{program} is not installed: {remedy}")
            }
            Self::Growth(growths) => f.write_str(&growths.join("\n")),
            Self::Runtime(runtime) => write!(f, "this build of pgherd has no runtime {runtime}"),
            Self::Proxy { program, said } => write!(f, "{program} does not answer: {said}"),
            Self::Output { program, said } => {
                write!(f, "the output of {program} is not understood: {said}")
            }
            Self::Instructions(objections) => {
                f.write_str("the counts are not those of benches/instructions.txt")?;
                objections.iter().try_for_each(|objection| write!(f, "\n  {objection}"))?;
                f.write_str("\nIf that has to be, renew them: the file says how.")
            }
            Self::Profile => f.write_str("the committed counts are of builds with --profile ci"),
            Self::Nothing => f.write_str("no target and scenario matches --only"),
        }
    }
}
