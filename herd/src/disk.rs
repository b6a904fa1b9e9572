//! Whether the disk has room for a herd.

use std::path::Path;

use crate::trouble::Trouble;

/// Checks that `count` nodes fit where `path` is, or will be made.
pub(crate) fn check(path: &Path, count: usize) -> Result<(), Trouble> {
    check_free(path, NODE_SPACE.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX)))
}

/// Checks whether a server that did not start lacked the room: with a full disk it may not even be
/// able to log the reason.
pub(crate) fn check_restart(path: &Path) -> Result<(), Trouble> {
    check_free(path, WAL_SEGMENT)
}

fn check_free(path: &Path, need: u64) -> Result<(), Trouble> {
    let path = std::path::absolute(path).map_err(Trouble::io("find", path))?;
    let Some(path) = path.ancestors().find(|path| path.exists()) else { return Ok(()) };
    let stat =
        rustix::fs::statvfs(path).map_err(|error| Trouble::io("examine", path)(error.into()))?;
    let have = stat.f_bavail.saturating_mul(stat.f_frsize);
    if have < need {
        return Err(Trouble::NoSpace { path: path.to_owned(), need, have });
    }
    Ok(())
}

/// What one node may need on disk, in bytes: 40 MB when new, and a few WAL segments of 16 MB as
/// the demo or a test writes.
const NODE_SPACE: u64 = 120_000_000;

/// What a server needs at once to start, in bytes: one WAL segment.
const WAL_SEGMENT: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_nodes_do_not_fit() {
        check(Path::new("/"), 0).unwrap();
        let trouble = check(Path::new("/nonexistent/herd"), usize::MAX).unwrap_err();
        assert!(matches!(trouble, Trouble::NoSpace { .. }), "{trouble}");
        let line = trouble.to_string();
        assert!(line.starts_with("not enough free disk space at /: "), "{line}");
    }
}
