//! The key that `pg_enc` encrypts with.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use pgherd_core::auth::passwd::Key;

use super::{Stop, prompt};
use crate::files::key_file;
use crate::say::say;

/// Where the key is to come from.
pub(super) enum Source {
    /// From this file, or from where it is looked for if none is named.
    File(Option<PathBuf>),
    /// From the command line.
    Given(String),
    /// From whoever sits at the terminal.
    Asked,
}

impl Source {
    /// Gets the key.
    pub(super) fn key(&self) -> Result<Key, Stop> {
        let key = match self {
            Self::File(named) => {
                let path = key_file(named.as_deref()).unwrap_or_else(|| default().into());
                say(&format!("trying to read key from file {}\n", path.display()));
                Key::read(&read(&path))
            }
            Self::Given(text) => Key::read(text),
            Self::Asked => Key::read(prompt::secret("encryption key: ")?.expose()),
        };
        if key.is_empty() {
            return Err(Stop::new("encryption key not provided\n"));
        }
        Ok(key)
    }
}

/// Where the key file is if nothing else is said.
pub(super) fn default() -> String {
    let home = std::env::home_dir().unwrap_or_default();
    home.join(".pgpoolkey").display().to_string()
}

/// Reads a key file; one that is not there, or not a file, has no text. Others may read it, which
/// is warned of, as in Pgpool-II: `pgherd run` and `pgherd check` refuse it.
fn read(path: &Path) -> String {
    let Ok(metadata) = fs::metadata(path) else { return String::new() };
    let (pid, path_shown) = (std::process::id(), path.display());
    if !metadata.is_file() {
        eprint!("WARNING: pid {pid}: pool key file \"{path_shown}\" is not a plain file\n\n");
        return String::new();
    }
    if metadata.mode() & 0o077 != 0 {
        eprint!(
            "WARNING: pid {pid}: pool key file \"{path_shown}\" has group or world access; \
             permissions should be u=rw (0600) or less\n\n"
        );
    }
    fs::read_to_string(path).unwrap_or_default()
}
