//! One rebuild of a directory at a time.
//!
//! The lock is on a file, and held by whoever has the file open: this process, and the programs that
//! work on the directory, whose standard input it is. So a `pg_basebackup` whose rebuild was killed
//! still holds it, and is found by it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgherd_herd::poll;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use super::trouble::Trouble;
use crate::pid;

/// How long programs that a killed rebuild has left behind may take to be gone. They are killed.
const LEFT_LIMIT: Duration = Duration::from_secs(10);

/// The lock, held until this is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock at `path`, for the directory `dir`.
    pub(super) fn take(path: &Path, dir: &Path) -> Result<Self, Trouble> {
        let mut taken = None;
        let mut seen = Ok(());
        // Programs that were left behind are killed at each look: one may have started another.
        let is_over = poll(LEFT_LIMIT, || {
            match attempt(path) {
                Ok(file) => taken = file,
                Err(trouble) => seen = Err(trouble),
            }
            if taken.is_some() || seen.is_err() {
                return true;
            }
            let holder = pid::named_in(path).filter(|pid| pid::is_ours(*pid));
            if holder.is_some() {
                seen = Err(Trouble::AtWork { dir: dir.to_owned(), pid: holder });
                return true;
            }
            kill_left_behind(path);
            false
        });
        seen?;
        match taken {
            Some(mut file) if is_over => {
                file.set_len(0)
                    .and_then(|()| writeln!(file, "{}", std::process::id()))
                    .map_err(Trouble::io("write", path))?;
                Ok(Self { path: path.to_owned(), file })
            }
            _ => Err(Trouble::AtWork { dir: dir.to_owned(), pid: None }),
        }
    }

    /// Lends the lock to a program, as its standard input.
    pub(super) fn share(&self) -> Result<File, Trouble> {
        self.file.try_clone().map_err(Trouble::io("share", &self.path))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is held, so that nobody else's is removed.
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("{}: {error}", self.path.display());
        }
    }
}

/// Tries once; none if somebody holds it.
fn attempt(path: &Path) -> Result<Option<File>, Trouble> {
    let open = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
    let file = open.map_err(Trouble::io("open", path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(Trouble::io("lock", path)(error.into())),
    }
    // Whoever held it until now may have removed it.
    let own = file.metadata().map_err(Trouble::io("examine", path))?;
    let is_current = fs::metadata(path).is_ok_and(|it| it.ino() == own.ino());
    Ok(is_current.then_some(file))
}

/// Kills the programs whose standard input is the lock.
fn kill_left_behind(path: &Path) {
    let Ok(path) = path.canonicalize() else { return };
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let is_ours = fs::read_link(entry.path().join("fd/0")).is_ok_and(|input| input == path);
        let pid = entry.file_name().to_str().and_then(|pid| pid.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw).filter(|_| is_ours) else { continue };
        // It may have ended just now.
        if let Err(error) = kill_process(pid, Signal::KILL) {
            log::debug!("process {}: {error}", pid.as_raw_nonzero());
        }
    }
}
