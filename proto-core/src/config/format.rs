//! Which of the two formats a file is in.

/// The format of a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `pgherd.toml`.
    Toml,
    /// `pgpool.conf`.
    Pgpool,
}
