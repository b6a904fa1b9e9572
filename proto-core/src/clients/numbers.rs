//! What a shard knows of how many clients each shard has.
//!
//! That is what the last [`Roll`] said, and what the shard has done to the numbers itself and is not
//! in it: whom it has kept, lost and sent away. So whoever sends many clients away at once spreads
//! them evenly, without hearing anything in between.

use super::{Headcount, Roll};
use crate::id::ShardId;
use crate::limits;
use crate::time::Instant;

/// One shard's knowledge of all.
#[derive(Debug)]
pub(super) struct Numbers {
    shards: Vec<Number>,
    /// Counts what was told.
    told: u64,
    report: Report,
    /// When a change is told next, unless it is large.
    next_at: Instant,
}

/// How many clients a shard has.
#[derive(Clone, Copy, Debug, Default)]
struct Number {
    /// As the last roll had it.
    heard: isize,
    /// What the headcount that is not in the roll changes.
    told: isize,
    /// What has been done since.
    untold: isize,
}

/// Whether the last headcount has been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Answered,
    Due,
}

impl Numbers {
    /// Begins without clients.
    pub(super) fn new(shards: usize) -> Self {
        Self {
            shards: vec![Number::default(); shards],
            told: 0,
            report: Report::Answered,
            next_at: Instant::ZERO,
        }
    }

    /// How many shards there are.
    pub(super) const fn len(&self) -> usize {
        self.shards.len()
    }

    /// How many clients a shard has, as far as is known here.
    pub(super) fn of(&self, shard: usize) -> usize {
        let number = self.shards.get(shard).copied().unwrap_or_default();
        usize::try_from(number.heard + number.told + number.untold).unwrap_or(0)
    }

    /// Notes what this shard does to a number.
    pub(super) fn change(&mut self, shard: usize, by: isize) {
        if let Some(number) = self.shards.get_mut(shard) {
            number.untold += by;
        }
    }

    /// Takes note of what `Control` says.
    pub(super) fn hear(&mut self, roll: &Roll) {
        let is_answer = roll.heard == self.told;
        for (number, count) in self.shards.iter_mut().zip(roll.counts.iter()) {
            number.heard = count.cast_signed();
            if is_answer {
                number.told = 0;
            }
        }
        if is_answer {
            self.report = Report::Answered;
        }
    }

    /// What is to be told now.
    pub(super) fn tell(&mut self, now: Instant) -> Option<Headcount> {
        let unrest = self.unrest();
        let is_time = now >= self.next_at || unrest >= limits::HEADCOUNT_STEP;
        if unrest == 0 || self.report == Report::Due || !is_time {
            return None;
        }
        let mut changes = Vec::new();
        for (shard, number) in (0u16..).zip(&mut self.shards) {
            if number.untold != 0 {
                changes.push((ShardId(shard), number.untold));
                number.told = std::mem::take(&mut number.untold);
            }
        }
        self.told += 1;
        self.report = Report::Due;
        self.next_at = now + limits::HEADCOUNT_PERIOD;
        Some(Headcount { number: self.told, changes })
    }

    /// When there will be something to be told.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        (self.report == Report::Answered && self.unrest() > 0).then_some(self.next_at)
    }

    /// By how much all numbers together have changed and nobody was told; 0 where there is nobody
    /// to tell.
    fn unrest(&self) -> usize {
        if self.len() == 1 {
            return 0;
        }
        self.shards.iter().map(|number| number.untold.unsigned_abs()).sum()
    }
}
