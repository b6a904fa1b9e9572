//! Which of the two formats a file is in.

use super::pgpool;

/// The format of a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `pgherd.toml`.
    Toml,
    /// `pgpool.conf`.
    Pgpool,
}

impl Format {
    /// Recognises the format by content.
    ///
    /// A line that begins with `[` decides for TOML, since no `pgpool.conf` has one. Otherwise
    /// every line that only one of the formats could have is a vote for it: a double-quoted
    /// value, a list, a key with a dot for TOML; a missing `=`, a bare word such as `on`, a
    /// number with a unit for `pgpool.conf`. With as many votes for either, as in a file of
    /// nothing but `port = 9999`, a name that ends in `.toml` decides.
    pub(super) fn of(path: &str, text: &str) -> Self {
        let mut balance: i64 = 0;
        for line in text.lines() {
            let line = line.trim_start_matches('\u{feff}').trim();
            if line.starts_with('[') && line.contains(']') && !line.contains('=') {
                return Self::Toml;
            }
            balance += i64::from(votes_for_toml(line)) - i64::from(pgpool::votes(line));
        }
        match balance {
            1.. => Self::Toml,
            0 if path.ends_with(".toml") => Self::Toml,
            _ => Self::Pgpool,
        }
    }
}

/// Tells whether a line is a setting that only TOML could have.
fn votes_for_toml(line: &str) -> bool {
    let Some((key, value)) = line.split_once('=') else { return false };
    let key = key.trim();
    let is_key = |c: char| c.is_alphanumeric() || "_-.\"'".contains(c);
    if key.is_empty() || !key.chars().all(is_key) {
        return false;
    }
    value.trim_start().starts_with(['"', '[', '{']) || key.contains(['.', '-', '"', '\''])
}
