//! A running hash over everything that passes between the machines and the world.
//!
//! Two runs of one seed must give the same hash; where they do not, chance or order has come from
//! elsewhere than the seed. The last entries are kept as text, to be shown with a failure.

use std::collections::VecDeque;
use std::fmt::Write as _;

use pgherd_core::time::Instant;

/// Entries kept for showing.
const KEPT: usize = 200;

/// What has happened so far.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    last: VecDeque<String>,
    scratch: String,
}

impl Trace {
    /// Begins.
    pub(crate) fn new(seed: u64) -> Self {
        let mut trace =
            Self { hash: 0xcbf2_9ce4_8422_2325, last: VecDeque::new(), scratch: String::new() };
        trace.mix(&seed.to_be_bytes());
        trace
    }

    /// Adds an entry.
    pub(crate) fn note(&mut self, now: Instant, what: std::fmt::Arguments<'_>) {
        let mut line = std::mem::take(&mut self.scratch);
        line.clear();
        let _ = write!(line, "{now} {what}");
        self.mix(line.as_bytes());
        self.last.push_back(line);
        if self.last.len() > KEPT {
            self.scratch = self.last.pop_front().unwrap_or_default();
        }
    }

    /// Adds bytes that are not worth showing.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.mix(&(bytes.len() as u64).to_be_bytes());
        self.mix(bytes);
    }

    /// Returns the hash so far.
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns the last entries.
    pub(crate) fn last(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }

    /// FNV-1a in steps of eight bytes; it tells runs apart, and needs no more.
    fn mix(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in chunks.by_ref() {
            let word = chunk.iter().fold(0u64, |word, byte| (word << 8) | u64::from(*byte));
            self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        for byte in chunks.remainder() {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_time_and_content_change_the_hash() {
        let hash = |entries: &[(u64, &str)]| {
            let mut trace = Trace::new(7);
            for (at, what) in entries {
                trace.note(Instant::from_micros(*at), format_args!("{what}"));
            }
            trace.hash()
        };
        let one = hash(&[(1, "a"), (2, "b")]);
        assert_eq!(one, hash(&[(1, "a"), (2, "b")]));
        assert_ne!(one, hash(&[(2, "b"), (1, "a")]));
        assert_ne!(one, hash(&[(1, "a"), (3, "b")]));
        assert_ne!(one, hash(&[(1, "a"), (2, "c")]));
    }
}
