//! Chance, drawn from a seed: the same seed makes the same conversation.

use pgherd_core::entropy::Entropy;

/// The seed's choices.
#[derive(Debug)]
pub struct Dice(Entropy);

impl Dice {
    /// Begins at a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self(Entropy::from_seed(bytes))
    }

    /// Makes dice for somebody else, so that what is drawn there changes nothing here.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self(self.0.split())
    }

    /// Draws a number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        let span = (high - low) as u64 + 1;
        low + usize::try_from(self.0.below(span)).expect("below a usize")
    }

    /// Says yes `percent` times in a hundred.
    pub fn often(&mut self, percent: usize) -> bool {
        self.between(0, 99) < percent
    }

    /// Picks one.
    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.between(0, from.len() - 1)]
    }

    /// Picks one, some more often than others.
    pub fn weigh<T: Copy>(&mut self, from: &[(usize, T)]) -> T {
        let total = from.iter().map(|(weight, _)| weight).sum::<usize>();
        let mut at = self.between(0, total - 1);
        for (weight, one) in from {
            if at < *weight {
                return *one;
            }
            at -= weight;
        }
        unreachable!("less than the sum of the weights")
    }
}
