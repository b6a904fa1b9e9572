//! Where a data directory is, and where there is room beside it for what is under way.
//!
//! What is kept meanwhile is in one directory, so that whoever comes after a rebuild that was killed
//! finds it: `own`, the node's own configuration; `copy`, a copy of the primary that is being made;
//! `old`, the directory that the copy replaces; `waste`, what is being removed; and two marks.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::disk;
use super::obstacle::Fixed;
use super::trouble::Trouble;

/// Where everything is.
#[derive(Debug)]
pub(super) struct Place {
    /// The data directory, without symbolic links.
    pub(super) dir: PathBuf,
    /// What is under way.
    state: PathBuf,
    /// Why the directory cannot be replaced by another, if it cannot.
    pub(super) fixed: Option<Fixed>,
}

/// What is known of work that was cut short. It is a file that is there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// `pg_rewind` is at work, and has not come to its end.
    Rewinding,
    /// What is in the directory is part of a copy.
    Emptied,
}

impl Mark {
    const fn name(self) -> &'static str {
        match self {
            Self::Rewinding => "rewinding",
            Self::Emptied => "emptied",
        }
    }
}

impl Place {
    /// Finds the place of a data directory.
    pub(super) fn find(named: &Path) -> Result<Self, Trouble> {
        let dir = resolve(named)?;
        let no_place = || Trouble::NoPlace { dir: dir.clone() };
        let parent = dir.parent().ok_or_else(no_place)?;
        let is_writable = access(parent, Access::WRITE_OK | Access::EXEC_OK).is_ok();
        let state = if is_writable {
            disk::beside(&dir, ".pgherd")
        } else {
            let home = env::var_os("HOME").ok_or_else(no_place)?;
            // Of two directories of one name, each has its own.
            Path::new(&home).join(".pgherd").join(dir.display().to_string().replace('/', "!"))
        };
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let fixed = match () {
            () if is_mount_point(&mounts, &dir) || is_other_device(&dir, parent) => {
                Some(Fixed::MountPoint)
            }
            () if !is_writable => Some(Fixed::Parent),
            () => None,
        };
        Ok(Self { dir, state, fixed })
    }

    /// Makes the directory for what is under way. It must be nobody else's.
    pub(super) fn prepare(&self) -> Result<(), Trouble> {
        disk::make_private(&self.state)?;
        let owner =
            fs::symlink_metadata(&self.state).map_err(Trouble::io("examine", &self.state))?;
        if !owner.is_dir() || owner.uid() != rustix::process::geteuid().as_raw() {
            return Err(Trouble::NoPlace { dir: self.dir.clone() });
        }
        Ok(())
    }

    /// Removes that directory if nothing is left in it.
    pub(super) fn leave(&self) {
        if let Err(error) = fs::remove_dir(&self.state) {
            log::debug!("{}: {error}", self.state.display());
        }
    }

    /// The file that is locked.
    pub(super) fn lock(&self) -> PathBuf {
        self.state.join("lock")
    }

    /// The node's own configuration, once it is complete.
    pub(super) fn own(&self) -> PathBuf {
        self.state.join("own")
    }

    /// A copy of the primary.
    pub(super) fn copy(&self) -> PathBuf {
        self.state.join("copy")
    }

    /// The directory that was replaced, or is being.
    pub(super) fn old(&self) -> PathBuf {
        self.state.join("old")
    }

    /// Where the node's data is: elsewhere only if an earlier rebuild was killed just when it had
    /// moved it away.
    pub(super) fn data(&self) -> Result<PathBuf, Trouble> {
        let is_moved = self.old().exists() && disk::is_void(&self.dir)?;
        Ok(if is_moved { self.old() } else { self.dir.clone() })
    }

    /// Settles what an earlier rebuild that was killed has left; whether it had moved the node's
    /// data away, which is back now.
    pub(super) fn settle(&self) -> Result<bool, Trouble> {
        let is_moved = self.data()? != self.dir;
        if is_moved {
            disk::rename(&self.old(), &self.dir)?;
        }
        self.discard_old()?;
        disk::remove(&self.copy())?;
        disk::remove(&self.own_unfinished())?;
        Ok(is_moved)
    }

    /// Puts the copy in the place of the directory, whose data is removed afterwards.
    pub(super) fn swap(&self) -> Result<(), Trouble> {
        if !disk::is_void(&self.dir)? {
            disk::rename(&self.dir, &self.old())?;
        }
        disk::rename(&self.copy(), &self.dir)?;
        self.discard_old()
    }

    /// Removes the old directory. Under another name, since half of it is nothing to come back to.
    fn discard_old(&self) -> Result<(), Trouble> {
        let waste = self.state.join("waste");
        disk::remove(&waste)?;
        if self.old().exists() {
            disk::rename(&self.old(), &waste)?;
        }
        disk::remove(&waste)
    }

    /// The node's own configuration while it is being copied.
    pub(super) fn own_unfinished(&self) -> PathBuf {
        self.state.join("own.new")
    }

    /// Whether a mark is set.
    pub(super) fn is_marked(&self, mark: Mark) -> bool {
        self.state.join(mark.name()).exists()
    }

    /// Sets a mark.
    pub(super) fn mark(&self, mark: Mark) -> Result<(), Trouble> {
        disk::write(&self.state.join(mark.name()), "")
    }

    /// Takes a mark away.
    pub(super) fn unmark(&self, mark: Mark) -> Result<(), Trouble> {
        disk::remove(&self.state.join(mark.name()))
    }
}

/// Finds where a path leads, whether or not there is anything.
fn resolve(named: &Path) -> Result<PathBuf, Trouble> {
    let mut path = std::path::absolute(named).map_err(Trouble::io("find", named))?;
    for _ in 0..LINKS_MAX {
        if let Ok(found) = path.canonicalize() {
            return Ok(found);
        }
        let Some((parent, name)) = path.parent().zip(path.file_name()) else { break };
        let parent = parent.canonicalize().map_err(Trouble::io("find", parent))?;
        let whole = parent.join(name);
        match fs::read_link(&whole) {
            Ok(target) => path = parent.join(target),
            Err(_) => return Ok(whole),
        }
    }
    path.canonicalize().map_err(Trouble::io("find", named))
}

/// Whether a path is on another device than the directory that it is in.
fn is_other_device(path: &Path, parent: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    device(path).is_some_and(|own| device(parent).is_some_and(|above| above != own))
}

/// Whether a path is a mount point, by the kernel's list of mounts (`proc(5)`): its fifth field,
/// with spaces and the like as `\040`.
fn is_mount_point(mounts: &str, path: &Path) -> bool {
    let shown = path.display().to_string();
    let escaped = shown.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011");
    mounts.lines().any(|line| line.split(' ').nth(4) == Some(&escaped))
}

/// How many symbolic links may lead to one another, as in the kernel.
const LINKS_MAX: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_found_in_the_list() {
        let mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      36 22 98:0 /mnt1 /var/lib/my\\040data rw,noatime - ext3 /dev/root rw\n";
        for (path, expected) in
            [("/", true), ("/var/lib/my data", true), ("/var/lib", false), ("/mnt1", false)]
        {
            assert_eq!(is_mount_point(mounts, Path::new(path)), expected, "{path}");
        }
    }
}
