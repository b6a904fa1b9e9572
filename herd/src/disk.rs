//! Whether the disk has room for a herd.

use std::path::Path;

use crate::trouble::Trouble;

/// Checks that `count` nodes fit on the file system of `path`, which must exist.
pub(crate) fn check(path: &Path, count: usize) -> Result<(), Trouble> {
    let need = NODE_SPACE.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_nodes_do_not_fit() {
        check(Path::new("/"), 0).unwrap();
        let trouble = check(Path::new("/"), usize::MAX).unwrap_err();
        assert!(matches!(trouble, Trouble::NoSpace { .. }), "{trouble}");
        let line = trouble.to_string();
        assert!(line.starts_with("not enough free disk space at /: "), "{line}");
    }
}
