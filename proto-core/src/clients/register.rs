//! How many clients each shard has, as `Control` knows it and lets every shard know.

use std::sync::Arc;

use super::{Headcount, Roll};
use crate::id::ShardId;
use crate::limits;
use crate::time::Instant;

/// The numbers of all shards.
#[derive(Debug)]
pub(crate) struct Register {
    shards: Vec<Entry>,
    /// By how much they have changed since the last roll, if anybody waits for the next.
    news: Option<usize>,
    /// When the next roll is due, unless much has changed.
    next_at: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Below zero where one shard has told that a client left before another that it was sent there.
    count: isize,
    /// The number of the last headcount.
    heard: u64,
}

impl Register {
    /// Begins without clients.
    pub(crate) fn new(shards: usize) -> Self {
        Self { shards: vec![Entry::default(); shards], news: None, next_at: Instant::ZERO }
    }

    /// Takes note of what a shard tells.
    pub(crate) fn hear(&mut self, from: ShardId, headcount: &Headcount) {
        let mut news = self.news.unwrap_or(0);
        if let Some(entry) = self.shards.get_mut(from.index()) {
            entry.heard = headcount.number;
        }
        for (shard, by) in &headcount.changes {
            if let Some(entry) = self.shards.get_mut(shard.index()) {
                entry.count += by;
                news += by.unsigned_abs();
            }
        }
        self.news = Some(news);
    }

    /// What every shard is to be told now; nothing if it is not time.
    pub(crate) fn tell(&mut self, now: Instant) -> Vec<(ShardId, Roll)> {
        // It is one message to every shard.
        let much = limits::HEADCOUNT_STEP * self.shards.len();
        if !self.news.is_some_and(|news| now >= self.next_at || news >= much) {
            return Vec::new();
        }
        self.news = None;
        self.next_at = now + limits::HEADCOUNT_PERIOD;
        let counts: Arc<[usize]> =
            self.shards.iter().map(|entry| usize::try_from(entry.count).unwrap_or(0)).collect();
        let roll = |entry: &Entry| Roll { heard: entry.heard, counts: counts.clone() };
        (0u16..).zip(&self.shards).map(|(shard, entry)| (ShardId(shard), roll(entry))).collect()
    }

    /// When there will be something to tell.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.news.map(|_| self.next_at)
    }
}
