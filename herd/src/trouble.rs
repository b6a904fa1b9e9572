//! What can go wrong with a herd, each said in one line that names the cause and the way out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why there is no herd, or why one of its nodes did not do as it was told.
#[derive(Debug)]
pub enum Trouble {
    /// No directory that was searched holds PostgreSQL's server programs.
    NoBinaries,
    /// The directory that was asked for, or found, lacks one of the programs.
    Incomplete {
        /// The directory.
        dir: PathBuf,
        /// The program that is not in it.
        missing: &'static str,
    },
    /// The programs are too old to make a standby as it is done here.
    TooOld {
        /// Where the programs are.
        dir: PathBuf,
        /// Their major version.
        version: u32,
        /// The least that will do.
        least: u32,
    },
    /// `postgres --version` answered with something that has no version in it.
    NoVersion {
        /// The program.
        program: PathBuf,
        /// What it answered.
        said: String,
    },
    /// No directory that was searched holds programs of the version that is needed.
    NoSuchVersion {
        /// The major version.
        wanted: u32,
    },
    /// This is root, and there is no lesser user to run the servers as.
    NoUser,
    /// The directory that was asked for has something in it.
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The user whom the servers run as cannot get to the directory.
    Unreachable {
        /// The directory on the way that keeps the user out.
        path: PathBuf,
        /// The user.
        user: String,
    },
    /// The file system is too full.
    NoSpace {
        /// A path on that file system.
        path: PathBuf,
        /// What the herd needs, in bytes.
        need: u64,
        /// What is free, in bytes.
        have: u64,
    },
    /// Something else listens on the port.
    PortInUse {
        /// The port.
        port: u16,
    },
    /// There are not enough port numbers from the first one on.
    PortRange {
        /// The first port.
        base: u16,
        /// How many are needed.
        count: usize,
    },
    /// The system refused an operation on a file, or a program could not be run.
    Io {
        /// What was attempted, as in "create".
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// A program of PostgreSQL's failed.
    Tool {
        /// The program.
        program: &'static str,
        /// The line in which it said why.
        said: String,
    },
    /// A program did not end in time, and was killed.
    TooSlow {
        /// The program.
        program: &'static str,
        /// How long it was given.
        waited: Duration,
    },
    /// A server ended instead of starting.
    Start {
        /// The node's number.
        node: usize,
        /// The line of its log that says why.
        said: String,
    },
    /// A server is running, but not ready for clients.
    NotReady {
        /// The node's number.
        node: usize,
        /// How long it was given.
        waited: Duration,
        /// The last line of its log.
        said: String,
    },
    /// The standbys are ready, but do not all receive from the primary.
    NotStreaming {
        /// How many should.
        standbys: usize,
        /// How long they were given.
        waited: Duration,
    },
    /// A server did not stop when told to, or outlived being killed.
    Stop {
        /// The node's number.
        node: usize,
        /// How long it was given.
        waited: Duration,
    },
    /// The node has to be running for that, and is not.
    NotRunning {
        /// The node's number.
        node: usize,
    },
    /// `psql` reported an error.
    Sql {
        /// The node's number.
        node: usize,
        /// All that it wrote to its standard error.
        said: String,
    },
    /// The herd has no node of that number.
    NoSuchNode {
        /// The number.
        node: usize,
        /// How many nodes there are.
        count: usize,
    },
    /// The caller asked for the build to end.
    Interrupted,
}

impl Trouble {
    /// Makes the error of a refused operation on a file.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Trouble {
        let path = path.to_owned();
        move |error| Trouble::Io { doing, path, error }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NoBinaries
            | Trouble::Incomplete { .. }
            | Trouble::TooOld { .. }
            | Trouble::NoVersion { .. }
            | Trouble::NoSuchVersion { .. } => self.fmt_binaries(f),
            Trouble::NoUser
            | Trouble::NotEmpty { .. }
            | Trouble::Unreachable { .. }
            | Trouble::NoSpace { .. }
            | Trouble::PortInUse { .. }
            | Trouble::PortRange { .. }
            | Trouble::Io { .. } => self.fmt_machine(f),
            Trouble::Tool { .. }
            | Trouble::TooSlow { .. }
            | Trouble::Start { .. }
            | Trouble::NotReady { .. }
            | Trouble::NotStreaming { .. }
            | Trouble::Stop { .. }
            | Trouble::NotRunning { .. }
            | Trouble::Sql { .. }
            | Trouble::NoSuchNode { .. }
            | Trouble::Interrupted => self.fmt_servers(f),
        }
    }
}

/// `Display` by theme, because one function for all of it would be too long to read.
#[allow(clippy::wildcard_enum_match_arm, reason = "`Display::fmt` lists every variant")]
impl Trouble {
    fn fmt_binaries(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NoBinaries => write!(
                f,
                "no PostgreSQL server programs (postgres, initdb) in $PG_BINDIR, $PATH or \
                 /usr/lib/postgresql/*/bin: install the package \"postgresql\" (Debian, Ubuntu) or \
                 \"postgresql-server\" (Fedora, RHEL), or set PG_BINDIR"
            ),
            Trouble::Incomplete { dir, missing } => write!(
                f,
                "no program \"{missing}\" in {}: set PG_BINDIR to the directory with PostgreSQL's \
                 server programs, or install the package \"postgresql\"",
                dir.display()
            ),
            Trouble::TooOld { dir, version, least } => write!(
                f,
                "PostgreSQL {version} in {} is too old: install {least} or later, or set \
                 PG_BINDIR to where it is",
                dir.display()
            ),
            Trouble::NoVersion { program, said } => write!(
                f,
                "{} --version answered \"{said}\": set PG_BINDIR to the directory with \
                 PostgreSQL's server programs",
                program.display()
            ),
            Trouble::NoSuchVersion { wanted } => write!(
                f,
                "no server programs of PostgreSQL {wanted} in $PG_BINDIR, $PATH or \
                 /usr/lib/postgresql/{wanted}/bin: install them, or set PG_BINDIR to where they are"
            ),
            _ => Ok(()),
        }
    }

    fn fmt_machine(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NoUser => write!(
                f,
                "PostgreSQL does not run as root, and there is no user \"postgres\" or \"nobody\" \
                 to run it as: run this as an ordinary user, or create the user \"postgres\""
            ),
            Trouble::NotEmpty { path } => write!(
                f,
                "directory {} is not empty: name one that is, or one that does not exist",
                path.display()
            ),
            Trouble::Unreachable { path, user } => write!(
                f,
                "user \"{user}\", who runs the servers, cannot enter {}: choose another directory, \
                 or set TMPDIR to one such as /tmp",
                path.display()
            ),
            Trouble::NoSpace { path, need, have } => write!(
                f,
                "not enough free disk space at {}: {} MB needed, {} MB free; set TMPDIR to a \
                 directory on a larger disk",
                path.display(),
                need.div_ceil(MEGABYTE),
                have / MEGABYTE
            ),
            Trouble::PortInUse { port } => write!(
                f,
                "port {port} on {} is in use: choose another, or stop what listens there",
                crate::HOST
            ),
            Trouble::PortRange { base, count } => {
                write!(f, "there are no {count} port numbers from {base} on: choose a lower one")
            }
            Trouble::Io { doing, path, error } => {
                write!(f, "cannot {doing} {}: {error}", path.display())
            }
            _ => Ok(()),
        }
    }

    fn fmt_servers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Tool { program, said } => write!(f, "{program} failed: {said}"),
            Trouble::TooSlow { program, waited } => {
                write!(f, "{program} did not end within {} s and was killed", waited.as_secs())
            }
            Trouble::Start { node, said } => write!(f, "node {node} did not start: {said}"),
            Trouble::NotReady { node, waited, said } => write!(
                f,
                "node {node} is not ready after {} s; its log ends with: {said}",
                waited.as_secs()
            ),
            Trouble::NotStreaming { standbys, waited } => write!(
                f,
                "not all of {standbys} standbys receive from the primary after {} s",
                waited.as_secs()
            ),
            Trouble::Stop { node, waited } => {
                write!(f, "node {node} did not stop within {} s and was killed", waited.as_secs())
            }
            Trouble::NotRunning { node } => write!(f, "node {node} is not running"),
            Trouble::Sql { node, said } => write!(f, "node {node}: {said}"),
            Trouble::NoSuchNode { node, count } => {
                write!(f, "there is no node {node}: the herd has {count}, counted from 0")
            }
            Trouble::Interrupted => write!(f, "interrupted"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Trouble {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Trouble::Io { error, .. } = self { Some(error) } else { None }
    }
}

const MEGABYTE: u64 = 1_000_000;
