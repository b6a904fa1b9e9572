//! Files and directories that are to outlast a crash.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::trouble::Trouble;

/// Whether there is nothing at a path, or an empty directory.
pub(super) fn is_void(path: &Path) -> Result<bool, Trouble> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Trouble::io("read", path)(error)),
    }
}

/// Makes a directory that only its owner can enter, with those above it, unless it is there.
pub(super) fn make_private(path: &Path) -> Result<(), Trouble> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(Trouble::io("create", path))
}

/// Writes a file that only its owner can read; it is there with all of the text, or as it was.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    let fresh = beside(path, ".pgherd");
    remove(&fresh)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&fresh).map_err(Trouble::io("create", &fresh))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(Trouble::io("write", &fresh))?;
    rename(&fresh, path)
}

/// Copies a file with its mode, or a symbolic link as one; it is there as a whole, or as it was.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Trouble> {
    let fresh = beside(to, ".pgherd");
    remove(&fresh)?;
    match fs::read_link(from) {
        Ok(target) => {
            std::os::unix::fs::symlink(target, &fresh).map_err(Trouble::io("create", &fresh))?
        }
        Err(_) => {
            fs::copy(from, &fresh).map_err(Trouble::io("copy", from))?;
            sync(&fresh)?;
        }
    }
    rename(&fresh, to)
}

/// Renames, for good.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), Trouble> {
    fs::rename(from, to).map_err(Trouble::io("rename", from))?;
    [from, to].into_iter().filter_map(Path::parent).try_for_each(sync)
}

/// Waits until a file, or the names in a directory, are on the disk.
pub(super) fn sync(path: &Path) -> Result<(), Trouble> {
    File::open(path).and_then(|file| file.sync_all()).map_err(Trouble::io("sync", path))
}

/// Removes whatever is at a path, if anything.
pub(super) fn remove(path: &Path) -> Result<(), Trouble> {
    let is_dir = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    match if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) } {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Trouble::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Removes what is in a directory, if it is there.
pub(super) fn empty(path: &Path) -> Result<(), Trouble> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Trouble::io("read", path))?,
    };
    for entry in entries {
        remove(&entry.map_err(Trouble::io("read", path))?.path())?;
    }
    Ok(())
}

/// The same path with something behind the name.
pub(super) fn beside(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
