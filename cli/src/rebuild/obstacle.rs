//! Why a data directory cannot be copied, or not beside the one that is there.

use std::fmt;
use std::path::PathBuf;

/// What keeps pgherd from copying the primary's data directory at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The node's WAL lies elsewhere, where a copy would not be.
    WalElsewhere(PathBuf),
    /// The node has tablespaces, which a copy could not replace.
    OwnTablespaces,
    /// The primary has tablespaces, for which there may be no room.
    PrimaryTablespaces,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WalElsewhere(path) => {
                write!(f, "pg_wal is a symbolic link to {}", path.display())
            }
            Self::OwnTablespaces => f.write_str("the node has tablespaces"),
            Self::PrimaryTablespaces => f.write_str("the primary has tablespaces"),
        }
    }
}

/// Why a copy cannot be made beside a directory and put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fixed {
    /// It is a mount point.
    MountPoint,
    /// Its owner may not write to the directory above.
    Parent,
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MountPoint => "it is a mount point",
            Self::Parent => "the directory above it cannot be written to",
        })
    }
}
