//! The `pool_passwd` file of a configuration, for the tools that write to it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use pgherd_core::auth::passwd;
use pgherd_core::config::mistake::Syntax;
use pgherd_core::config::{Problem, password_file};

use super::Stop;
use crate::files::Disk;

/// A file of passwords.
pub(super) struct PoolPasswd {
    path: PathBuf,
    /// The configuration that names it.
    config: PathBuf,
}

impl PoolPasswd {
    /// Finds the file that a configuration names.
    pub(super) fn of(config: &str) -> Result<Self, Stop> {
        let pid = std::process::id();
        match password_file(config, &Disk::new(None)) {
            Ok(path) => Ok(Self { path: path.into(), config: config.into() }),
            Err(mistakes) => {
                let what = match mistakes.first().map(|mistake| &mistake.problem) {
                    Some(Problem::Syntax(Syntax::Unreadable(_))) => {
                        "could not open configuration file:"
                    }
                    _ => "syntax error in configuration file",
                };
                Err(Stop::new(format!(
                    "WARNING: pid {pid}: {what} \"{config}\"\n\
                     Unable to get configuration. Exiting...\n\n"
                )))
            }
        }
    }

    /// Stores this for a user, in the place of what was stored before.
    pub(super) fn store(&self, user: &str, stored: &str) -> Result<(), Stop> {
        let text = match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.map_err(|error| self.unusable(&error))?,
        };
        self.write(&passwd::store(&text, user, stored)).map_err(|error| self.unusable(&error))
    }

    /// Writes the file as a whole: whoever reads it meanwhile, or after a crash, finds the one or the
    /// other. It keeps its owner and its mode; a new one has those of the configuration, which
    /// whoever serves by it can read, but is for nobody else.
    fn write(&self, text: &str) -> io::Result<()> {
        // A link stays a link.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let (like, mode) = match fs::metadata(&path) {
            Ok(old) => (old.clone(), old.mode() & 0o666),
            // An entry is as good as a password: a new file is for those who serve.
            Err(_) => fs::metadata(&self.config).map(|like| (like.clone(), like.mode() & 0o640))?,
        };
        let new = with_suffix(&path, std::process::id());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let placed = if fchown(&file, Some(like.uid()), Some(like.gid())).is_ok() {
            fill(&file, text, mode).and_then(|()| fs::rename(&new, &path))
        } else {
            // The file is somebody else's, who lets us write to it, and shall stay theirs.
            fs::write(&path, text)
        };
        // After a rename there is nothing to remove.
        drop(fs::remove_file(&new));
        placed
    }

    fn unusable(&self, error: &io::Error) -> Stop {
        let (pid, path) = (std::process::id(), self.path.display());
        Stop {
            text: format!(
                "ERROR: pid {pid}: initializing pool password, failed to open file:\"{path}\"\n\
                 DETAIL: {error}\n"
            ),
            code: u8::MAX,
        }
    }
}

fn fill(mut file: &File, text: &str, mode: u32) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

fn with_suffix(path: &Path, suffix: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    name.into()
}
