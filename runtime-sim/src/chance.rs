//! All chance of a run, drawn from its seed.

use pgherd_core::entropy::Entropy;
use pgherd_core::time::Duration;

/// The seed's choices.
#[derive(Debug)]
pub(crate) struct Chance(Entropy);

impl Chance {
    /// Begins at a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        for (byte, of_seed) in bytes.iter_mut().zip(seed.to_be_bytes()) {
            *byte = of_seed;
        }
        Self(Entropy::from_seed(bytes))
    }

    /// Makes a source for somebody else.
    pub(crate) fn split(&mut self) -> Entropy {
        self.0.split()
    }

    /// Draws a number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        let span = (high.saturating_sub(low) as u64).saturating_add(1);
        low + usize::try_from(self.0.below(span)).unwrap_or(0)
    }

    /// Draws a duration from `low` to `high` microseconds.
    pub(crate) fn micros(&mut self, low: usize, high: usize) -> Duration {
        Duration::from_micros(self.between(low, high) as u64)
    }

    /// Says yes `times` times in `of`.
    pub(crate) fn happens(&mut self, times: u64, of: u64) -> bool {
        self.0.below(of) < times
    }

    /// Draws bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        self.0.bytes()
    }
}
