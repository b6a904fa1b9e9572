//! Why a data directory is not rebuilt, each in one line that names the cause and the way out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::obstacle::Obstacle;

/// What is in the way.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The programs of PostgreSQL, or who runs them, are not found.
    Machine(pgherd_herd::Trouble),
    /// The primary was to be told a name, and there is none, for this reason.
    Nameless(String),
    /// The system refused something.
    Io { doing: &'static str, path: PathBuf, error: io::Error },
    /// A program has failed.
    Tool { program: &'static str, said: String },
    /// A program told something that is not understood.
    Unclear { program: &'static str, said: String },
    /// What is in the directory is no data directory.
    Foreign { dir: PathBuf },
    /// There is no place for what is to be kept meanwhile.
    NoPlace { dir: PathBuf },
    /// Somebody else rebuilds the same directory.
    AtWork { dir: PathBuf, pid: Option<u32> },
    /// The server has no configuration that could be found.
    NoConfiguration { dir: PathBuf },
    /// The primary does not answer as it is asked.
    Primary { host: String, port: u16, said: String },
    /// Whom the operator names is none.
    NotPrimary { host: String, port: u16 },
    /// The directory is of another cluster.
    OtherCluster { dir: PathBuf, own: String, primary: String },
    /// The directory is of another release.
    OtherVersion { dir: PathBuf, own: u32, primary: u32 },
    /// The server that runs in the directory is the primary.
    OwnDirectory { dir: PathBuf },
    /// There is nothing that could be rewound.
    NothingToRewind { dir: PathBuf },
    /// The directory would have to be copied, and must not be.
    NoCopy(Obstacle),
    /// The slot is of another kind, or somebody else's.
    Slot { name: String, what: &'static str },
    /// The server runs on.
    RunsOn { dir: PathBuf, waited: Duration },
    /// A command of the operator's has failed.
    Command { line: String, said: String },
    /// The server was started, and runs not.
    NotStarted { dir: PathBuf, said: String },
    /// The server runs, and is no standby.
    NoStandby { dir: PathBuf },
    /// The standby does not receive from the primary.
    NotFollowing { waited: Duration, log: PathBuf },
}

impl Trouble {
    /// Makes the error of a refused operation on a file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { doing, path, error }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(trouble) => trouble.fmt(f),
            Self::Nameless(why) => write!(f, "{why}: name one with --user"),
            Self::Io { doing, path, error } => {
                write!(f, "cannot {doing} {}: {error}", path.display())
            }
            Self::Tool { program, said } => write!(f, "{program} failed: {said}"),
            Self::Unclear { program, said } => {
                write!(f, "{program} told \"{said}\", which is not understood here")
            }
            Self::Primary { .. }
            | Self::NotPrimary { .. }
            | Self::OtherCluster { .. }
            | Self::OtherVersion { .. }
            | Self::OwnDirectory { .. }
            | Self::Slot { .. } => self.fmt_primary(f),
            Self::Foreign { .. }
            | Self::NoPlace { .. }
            | Self::AtWork { .. }
            | Self::NoConfiguration { .. }
            | Self::NothingToRewind { .. }
            | Self::NoCopy(_) => self.fmt_directory(f),
            Self::RunsOn { .. }
            | Self::Command { .. }
            | Self::NotStarted { .. }
            | Self::NoStandby { .. }
            | Self::NotFollowing { .. } => self.fmt_server(f),
        }
    }
}

/// `Display` by theme, because one function for all of it would be too long to read.
#[allow(clippy::wildcard_enum_match_arm, reason = "`Display::fmt` lists every variant")]
impl Trouble {
    fn fmt_primary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary { host, port, said } => write!(
                f,
                "the primary at {host}:{port} does not answer: {said}; see --host, --port, --user \
                 and $PGPASSWORD or ~/.pgpass"
            ),
            Self::NotPrimary { host, port } => write!(
                f,
                "the server at {host}:{port} is in recovery: name the primary with --host and --port"
            ),
            Self::OtherCluster { dir, own, primary } => write!(
                f,
                "{} is of another cluster (system identifier {own}, the primary's is {primary}): name \
                 the right one, or move it away to have the primary copied",
                dir.display()
            ),
            Self::OtherVersion { dir, own, primary } => write!(
                f,
                "{} is of PostgreSQL {own}, the primary of {primary}: upgrade it, or move it away to \
                 have the primary copied",
                dir.display()
            ),
            Self::OwnDirectory { dir } => write!(
                f,
                "{} is the data directory of the primary itself: name that of the node (if it is, \
                 stop its server first)",
                dir.display()
            ),
            Self::Slot { name, what } => {
                write!(f, "the replication slot \"{name}\" {what}: choose another with --slot")
            }
            _ => Ok(()),
        }
    }

    fn fmt_directory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { dir } => write!(
                f,
                "{} is neither a data directory nor empty: name the right one, or move away what is \
                 in it",
                dir.display()
            ),
            Self::NoPlace { dir } => write!(
                f,
                "there is no place to keep the configuration of {} meanwhile: let its owner write to \
                 the directory above it, or to a home directory",
                dir.display()
            ),
            Self::AtWork { dir, pid } => {
                write!(f, "{} is being rebuilt", dir.display())?;
                if let Some(pid) = pid {
                    write!(f, " by process {pid}")?;
                }
                f.write_str(": wait until that has ended")
            }
            Self::NoConfiguration { dir } => write!(
                f,
                "there is no postgresql.conf in {}: say where it is with --config-file",
                dir.display()
            ),
            Self::NothingToRewind { dir } => write!(
                f,
                "there is nothing to rewind in {}: use --method basebackup, or auto",
                dir.display()
            ),
            Self::NoCopy(obstacle) => {
                write!(
                    f,
                    "{obstacle}, and pgherd does not copy that: copy it by hand with pg_basebackup"
                )
            }
            _ => Ok(()),
        }
    }

    fn fmt_server(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunsOn { dir, waited } => write!(
                f,
                "the server of {} still runs after {} s: stop it by hand, or see --stop-command and \
                 --timeout",
                dir.display(),
                waited.as_secs()
            ),
            Self::Command { line, said } => write!(f, "the command \"{line}\" failed: {said}"),
            Self::NotStarted { dir, said } => {
                write!(f, "the server of {} did not start: {said}", dir.display())
            }
            Self::NoStandby { dir } => write!(
                f,
                "the server of {} was started and is no standby: see --config-file and \
                 --start-command, whether they are of that directory",
                dir.display()
            ),
            Self::NotFollowing { waited, log } => write!(
                f,
                "the standby has not received anything from the primary for {} s: see {} or its own \
                 log",
                waited.as_secs(),
                log.display()
            ),
            _ => Ok(()),
        }
    }
}

impl From<pgherd_herd::Trouble> for Trouble {
    fn from(trouble: pgherd_herd::Trouble) -> Self {
        Self::Machine(trouble)
    }
}
