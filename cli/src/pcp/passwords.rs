//! Where an administrator's password is kept: `$PCPPASSFILE`, else `~/.pcppass`.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use pgherd_core::auth::pcppass::{self, Place};
use pgherd_core::auth::secret::Secret;

/// Why a file of passwords is not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    NotPlain(PathBuf),
    OpenToOthers(PathBuf),
}

/// Finds the password of a place; none if there is no file, or no line about it.
///
/// # Errors
/// The file is one that is not to be trusted.
pub(crate) fn stored(place: Place<'_>) -> Result<Option<Secret>, Unfit> {
    file().map_or(Ok(None), |path| in_file(&path, place))
}

/// Names the file of passwords, whether it is there or not.
pub(crate) fn file() -> Option<PathBuf> {
    let from_environment = || std::env::var_os("PCPPASSFILE").map(PathBuf::from);
    from_environment().or_else(|| Some(std::env::home_dir()?.join(".pcppass")))
}

fn in_file(path: &Path, place: Place<'_>) -> Result<Option<Secret>, Unfit> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(None) };
    if !metadata.is_file() {
        return Err(Unfit::NotPlain(path.to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(Unfit::OpenToOthers(path.to_owned()));
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    Ok(pcppass::find(&text, place))
}

impl fmt::Display for Unfit {
    /// As Pgpool-II's programs say it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPlain(path) => {
                write!(f, "password file \"{}\" is not a plain file", path.display())
            }
            Self::OpenToOthers(path) => write!(
                f,
                "password file \"{}\" has group or world access; permissions should be u=rw (0600) \
                 or less",
                path.display()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_that_others_may_read_is_not_read() {
        let path = std::env::temp_dir().join(format!("pgherd-pcppass-{}", std::process::id()));
        fs::write(&path, "*:*:*:secret\n").unwrap();
        let place = Place { hosts: &["h"], port: 9898, user: "u" };
        for (mode, is_read) in
            [(0o600, true), (0o400, true), (0o700, true), (0o640, false), (0o604, false)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let found = in_file(&path, place);
            match found {
                Ok(Some(secret)) => assert!(is_read && secret.expose() == "secret", "{mode:o}"),
                Ok(None) => panic!("{mode:o}: no password"),
                Err(unfit) => {
                    assert!(!is_read, "{mode:o}");
                    assert_eq!(unfit, Unfit::OpenToOthers(path.clone()));
                }
            }
        }
        fs::remove_file(&path).unwrap();
        assert!(in_file(&path, place).is_ok_and(|found| found.is_none()));
        let dir = std::env::temp_dir();
        assert!(matches!(in_file(&dir, place), Err(Unfit::NotPlain(_))));
    }
}
