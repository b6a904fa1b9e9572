//! How the checks of one node went, for `SHOW pool_health_check_stats`.
//!
//! It counts rounds, each an attempt and its retries. It decides nothing.

use crate::id::BackendId;
use crate::inquiry::{Sheet, figure};
use crate::time::{Duration, Instant, WallClock};

/// How the checks of one node went.
#[derive(Debug, Default)]
pub(super) struct Record {
    round: Option<Round>,
    success_count: u64,
    fail_count: u64,
    retry_count: u64,
    retry_count_max: u64,
    duration: Duration,
    duration_max: Duration,
    duration_min: Option<Duration>,
    last_success: Option<Instant>,
    last_fail: Option<Instant>,
}

/// The round under way.
#[derive(Clone, Copy, Debug)]
struct Round {
    began: Instant,
    retries: u64,
}

impl Record {
    /// An attempt is made, the first of its round or another.
    pub(super) fn on_attempt(&mut self, now: Instant) {
        match &mut self.round {
            Some(round) => round.retries += 1,
            None => self.round = Some(Round { began: now, retries: 0 }),
        }
    }

    /// The server has answered.
    pub(super) fn on_success(&mut self, now: Instant) {
        if self.end_round(now) {
            self.success_count += 1;
            self.last_success = Some(now);
        }
    }

    /// Every attempt of the round has failed.
    pub(super) fn on_fail(&mut self, now: Instant) {
        if self.end_round(now) {
            self.fail_count += 1;
            self.last_fail = Some(now);
        }
    }

    fn end_round(&mut self, now: Instant) -> bool {
        let Some(Round { began, retries }) = self.round.take() else { return false };
        let duration = now - began;
        self.retry_count += retries;
        self.retry_count_max = self.retry_count_max.max(retries);
        self.duration += duration;
        self.duration_max = self.duration_max.max(duration);
        self.duration_min = Some(self.duration_min.map_or(duration, |min| min.min(duration)));
        true
    }

    /// Puts the record into a sheet.
    pub(super) fn tell(&self, node: BackendId, clock: WallClock, sheet: &mut Sheet) {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let wall = |at: Option<Instant>| at.map_or(0, |at| clock.at(at).0);
        for (word, value) in [
            (figure::TOTAL, self.success_count + self.fail_count),
            (figure::SUCCESS, self.success_count),
            (figure::FAIL, self.fail_count),
            (figure::RETRY, self.retry_count),
            (figure::RETRY_MAX, self.retry_count_max),
            (figure::DURATION, micros(self.duration)),
            (figure::DURATION_MAX, micros(self.duration_max)),
            (figure::DURATION_MIN, micros(self.duration_min.unwrap_or_default())),
            (figure::LAST, wall(self.last_success.max(self.last_fail))),
            (figure::LAST_SUCCESS, wall(self.last_success)),
            (figure::LAST_FAIL, wall(self.last_fail)),
        ] {
            sheet.add(Some(node), word, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::WallTime;

    #[test]
    fn rounds_are_counted_with_their_retries() {
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let mut record = Record::default();
        record.on_success(at(0)); // of no round
        record.on_attempt(at(1));
        record.on_success(at(2));
        record.on_attempt(at(10));
        record.on_attempt(at(11));
        record.on_attempt(at(12));
        record.on_fail(at(15));
        record.on_fail(at(16)); // of no round
        let mut sheet = Sheet::default();
        let clock = WallClock { start: WallTime(1000), offset: 3600 };
        record.tell(BackendId(2), clock, &mut sheet);
        let cases = [
            (figure::TOTAL, 2),
            (figure::SUCCESS, 1),
            (figure::FAIL, 1),
            (figure::RETRY, 2),
            (figure::RETRY_MAX, 2),
            (figure::DURATION, 6_000_000),
            (figure::DURATION_MAX, 5_000_000),
            (figure::DURATION_MIN, 1_000_000),
            (figure::LAST, 1015),
            (figure::LAST_SUCCESS, 1002),
            (figure::LAST_FAIL, 1015),
        ];
        for (word, expected) in cases {
            assert_eq!(sheet.figure(Some(BackendId(2)), word), expected, "{word}");
        }
    }
}
