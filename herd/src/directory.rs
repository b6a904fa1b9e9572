//! Where a herd lives, and what becomes of the place afterwards.

use std::env;
use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::trouble::Trouble;
use crate::user::Account;

/// The directory of a herd: `node0`, `node1` and so on, and `socket`.
#[derive(Debug)]
pub(crate) struct Directory {
    place: Place,
    /// A short directory for the sockets, where the path of the herd's own is too long for them.
    short: Option<Temporary>,
}

#[derive(Debug)]
enum Place {
    /// Made for the herd, and removed with it.
    Temporary(Temporary),
    /// Asked for, and being filled: if that fails, it shall be as it was.
    Unfinished(Named),
    /// Asked for, complete, and kept.
    Kept(PathBuf),
}

impl Directory {
    /// Makes the directory, with `named` where it was asked for.
    pub(crate) fn make(named: Option<&Path>, account: &Account) -> Result<Directory, Trouble> {
        let place = match named {
            None => Place::Temporary(Temporary::new("pgherd")?),
            Some(path) => Place::Unfinished(Named::new(path)?),
        };
        let mut directory = Directory { place, short: None };
        if !matches!(&directory.place, Place::Unfinished(named) if named.made.is_empty()) {
            account.own(directory.path())?;
        }
        account.check_reach(directory.path())?;
        let socket = directory.path().join("socket");
        let socket = if socket.as_os_str().as_bytes().len() > SOCKET_DIR_LEN_MAX {
            let short = Temporary::within(Path::new("/tmp"), "pgherd-socket")?;
            directory.short.insert(short).path().to_owned()
        } else {
            make_private(&socket).map_err(Trouble::io("create", &socket))?;
            socket
        };
        account.own(&socket)?;
        Ok(directory)
    }

    /// Returns the directory, as an absolute path without symbolic links.
    pub(crate) fn path(&self) -> &Path {
        match &self.place {
            Place::Temporary(temporary) => temporary.path(),
            Place::Unfinished(named) => &named.path,
            Place::Kept(path) => path,
        }
    }

    /// Returns the directory of the Unix sockets.
    pub(crate) fn socket(&self) -> PathBuf {
        match &self.short {
            Some(short) => short.path().to_owned(),
            None => self.path().join("socket"),
        }
    }

    /// Whether the directory goes when the herd does.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self.place, Place::Temporary(_))
    }

    /// Takes note that the herd is complete: from now on a named directory is kept.
    pub(crate) fn finish(&mut self) {
        if let Place::Unfinished(named) = &mut self.place {
            // Nothing to undo any more.
            named.undo = false;
            self.place = Place::Kept(named.path.clone());
        }
    }
}

/// A directory that somebody named. Dropping it puts back what was there: nothing.
#[derive(Debug)]
struct Named {
    path: PathBuf,
    /// The directories that did not exist before, outermost first.
    made: Vec<PathBuf>,
    undo: bool,
}

impl Named {
    fn new(path: &Path) -> Result<Named, Trouble> {
        let path = std::path::absolute(path).map_err(Trouble::io("find", path))?;
        let mut absent: Vec<PathBuf> = path
            .ancestors()
            .take_while(|ancestor| fs::symlink_metadata(ancestor).is_err())
            .map(Path::to_owned)
            .collect();
        absent.reverse();
        if absent.is_empty() {
            let mut entries = fs::read_dir(&path).map_err(Trouble::io("read", &path))?;
            if entries.next().is_some() {
                return Err(Trouble::NotEmpty { path });
            }
        }
        let mut named = Named { path, made: Vec::new(), undo: true };
        for dir in absent {
            // The herd's own directory is private; those above it must let its user through.
            let mode = if dir == named.path { 0o700 } else { 0o755 };
            DirBuilder::new().mode(mode).create(&dir).map_err(Trouble::io("create", &dir))?;
            named.made.push(dir);
        }
        named.path = named.path.canonicalize().map_err(Trouble::io("find", &named.path))?;
        Ok(named)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if !self.undo {
            return;
        }
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            report(removed, &path);
        }
        for dir in self.made.iter().rev() {
            report(fs::remove_dir(dir), dir);
        }
    }
}

/// A directory of our own making that is removed, with all that is in it, when this is dropped.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// Makes one where temporary files go: `$TMPDIR`, or `/tmp`.
    pub(crate) fn new(prefix: &str) -> Result<Temporary, Trouble> {
        Temporary::within(&env::temp_dir(), prefix)
    }

    /// Makes one in `parent`, whose name begins with `prefix`.
    fn within(parent: &Path, prefix: &str) -> Result<Temporary, Trouble> {
        let parent = parent.canonicalize().map_err(Trouble::io("find", parent))?;
        loop {
            let chance = RandomState::new().hash_one(prefix);
            let path = parent.join(format!("{prefix}-{:08x}", chance >> 32));
            match make_private(&path) {
                Ok(()) => return Ok(Temporary { path }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Trouble::io("create", &path)(error)),
            }
        }
    }

    /// Returns its absolute path, without symbolic links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        report(fs::remove_dir_all(&self.path), &self.path);
    }
}

/// Makes a directory that only its owner can enter, as PostgreSQL demands. It must not exist yet.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Says so if a removal failed. That it is gone already is as good.
fn report(removed: io::Result<()>, path: &Path) {
    if let Err(error) = removed
        && error.kind() != ErrorKind::NotFound
    {
        log::warn!("cannot remove {}: {error}; remove it by hand", path.display());
    }
}

/// The longest path of a directory that can hold a server's socket, in bytes: the kernel allows
/// 107, of which the server takes 15 for `/.s.PGSQL.65535`.
const SOCKET_DIR_LEN_MAX: usize = 107 - 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_directory_leaves_no_trace() {
        let temporary = Temporary::new("pgherd-test").unwrap();
        let top = temporary.path().join("a");
        let deep = top.join("b/c");
        let directory = Directory::make(Some(&deep), &Account::Own).unwrap();
        fs::create_dir(deep.join("node0")).unwrap();
        fs::write(deep.join("file"), "").unwrap();
        drop(directory);
        assert!(!top.exists());

        fs::create_dir(&top).unwrap();
        let directory = Directory::make(Some(&top), &Account::Own).unwrap();
        fs::write(top.join("file"), "").unwrap();
        drop(directory);
        assert_eq!(fs::read_dir(&top).unwrap().count(), 0, "it was there, and it was empty");
    }

    #[test]
    fn a_finished_directory_is_kept() {
        let temporary = Temporary::new("pgherd-test").unwrap();
        let path = temporary.path().join("a");
        let mut directory = Directory::make(Some(&path), &Account::Own).unwrap();
        directory.finish();
        drop(directory);
        assert!(path.join("socket").is_dir());
    }

    #[test]
    fn a_directory_that_is_not_empty_is_refused_and_left_alone() {
        let temporary = Temporary::new("pgherd-test").unwrap();
        fs::write(temporary.path().join("mine"), "").unwrap();
        let trouble = Directory::make(Some(temporary.path()), &Account::Own).unwrap_err();
        assert!(matches!(trouble, Trouble::NotEmpty { .. }), "{trouble}");
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 1);
    }

    #[test]
    fn sockets_move_where_the_path_would_be_too_long() {
        let temporary = Temporary::new("pgherd-test").unwrap();
        let path = temporary.path().join("x".repeat(SOCKET_DIR_LEN_MAX));
        let directory = Directory::make(Some(&path), &Account::Own).unwrap();
        let socket = directory.socket();
        assert!(socket.is_dir() && socket.as_os_str().len() <= SOCKET_DIR_LEN_MAX);
        drop(directory);
        assert!(!socket.exists());
    }
}
