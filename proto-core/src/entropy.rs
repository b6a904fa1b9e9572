//! All chance in the core: a generator that the driver seeds, from the operating system in
//! service and from the seed of the run in simulation.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// A source of random bytes fit for salts, nonces and cancel keys.
#[derive(Debug)]
pub struct Entropy(ChaCha12Rng);

impl Entropy {
    /// Makes a source from 32 bytes, which must come from the operating system in service.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// Makes a further source, whose bytes tell nothing about this one's.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self::from_seed(self.bytes())
    }

    /// Draws `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Draws a number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Draws a number below `bound`, evenly enough for load balancing; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Lemire's multiplication; the bias is below 2^-32 for the bounds in use here.
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_chance() {
        let mut one = Entropy::from_seed([7; 32]);
        let mut other = Entropy::from_seed([7; 32]);
        assert_eq!(one.bytes::<16>(), other.bytes::<16>());
        assert_eq!(one.split().next_u64(), other.split().next_u64());
        assert!((0..1000).all(|_| one.below(3) < 3));
        assert_eq!(one.below(0), 0);
    }
}
