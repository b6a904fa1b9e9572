//! Time as the machines see it: an argument, never a question.
//!
//! [`Instant`] is counted in microseconds since the driver started; [`WallTime`] is used only for
//! what people read. [`Timers`] keeps many deadlines and knows the next one.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Add, Sub};
pub use std::time::Duration;

/// A moment, in microseconds since the driver started.
///
/// Unlike the standard library's, it can be built from a constant, printed (`3.207000s`) and
/// compared between runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment at which the driver started.
    pub const ZERO: Self = Self(0);

    /// Makes a moment from microseconds since the start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Returns the microseconds since the start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns how long after `earlier` this moment is; zero if it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Wall-clock time, in seconds since 1970-01-01 UTC: for people's eyes only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub u64);

/// Turns moments into wall-clock time, in the operator's time zone.
///
/// No decision reads it: a clock that steps changes what is printed and nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallClock {
    /// Wall-clock time at [`Instant::ZERO`].
    pub start: WallTime,
    /// Seconds east of UTC.
    pub offset: i32,
}

impl WallClock {
    /// Returns the wall-clock time at `now`.
    #[must_use]
    pub fn at(&self, now: Instant) -> WallTime {
        WallTime(self.start.0.saturating_add(now.as_micros() / 1_000_000))
    }

    /// Prints `at` as Pgpool-II does: local time, `2026-11-23 03:04:05`.
    #[must_use]
    pub fn print(&self, at: WallTime) -> String {
        let local = at.0.saturating_add_signed(i64::from(self.offset));
        let (days, second) = (local / 86_400, local % 86_400);
        let (year, month, day) = civil(days);
        format!(
            "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }
}

/// Turns days since 1970-01-01 into a date of the Gregorian calendar, counting in eras of 400
/// years that begin on the first of March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Many deadlines, each with what it is for; knows the next one.
///
/// Deadlines at the same moment fire in the order of their keys, so that two runs agree.
#[derive(Debug)]
pub struct Timers<K> {
    deadlines: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Copy> Timers<K> {
    /// Makes an empty set of deadlines.
    #[must_use]
    pub fn new() -> Self {
        Self { deadlines: BTreeSet::new() }
    }

    /// Adds a deadline.
    pub fn arm(&mut self, at: Instant, key: K) {
        self.deadlines.insert((at, key));
    }

    /// Removes a deadline, if it is there.
    pub fn disarm(&mut self, at: Instant, key: K) {
        self.deadlines.remove(&(at, key));
    }

    /// Returns the earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Takes the earliest deadline out if it is due by `now`.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.deadlines.first()?;
        if at > now {
            return None;
        }
        self.deadlines.pop_first();
        Some(key)
    }
}

/// A deadline of one thing that is put off or called off time and again, as that of an idle
/// connection is by every use.
///
/// It is armed anew only where it comes nearer. Otherwise the old one rings in vain, once, and is
/// armed for the moment that counts then: what happens with every query costs nothing, and a thing
/// has never more than one deadline among the [`Timers`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alarm {
    due: Option<Instant>,
    /// Not later than `due`.
    armed: Option<Instant>,
}

impl Alarm {
    /// Calls the deadline off.
    pub const fn hush(&mut self) {
        self.due = None;
    }
}

impl<K: Ord + Copy> Timers<K> {
    /// Sets the deadline of what `key` names.
    pub fn set(&mut self, alarm: &mut Alarm, due: Instant, key: K) {
        alarm.due = Some(due);
        if alarm.armed.is_none_or(|armed| armed > due) {
            self.end(alarm.armed.take(), key);
            self.arm(due, key);
            alarm.armed = Some(due);
        }
    }

    /// Tells whether the deadline of what `key` names has come, now that its turn has; it is over
    /// then.
    pub fn rings(&mut self, alarm: &mut Alarm, now: Instant, key: K) -> bool {
        alarm.armed = None;
        match alarm.due {
            Some(due) if due > now => {
                self.set(alarm, due, key);
                false
            }
            due => {
                alarm.due = None;
                due.is_some()
            }
        }
    }

    /// Forgets the deadline of what is gone.
    pub fn forget(&mut self, alarm: Alarm, key: K) {
        self.end(alarm.armed, key);
    }

    fn end(&mut self, armed: Option<Instant>, key: K) {
        if let Some(at) = armed {
            self.disarm(at, key);
        }
    }
}

impl<K: Ord + Copy> Default for Timers<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_prints_as_seconds() {
        assert_eq!(Instant::from_micros(3_207_000).to_string(), "3.207000s");
    }

    #[test]
    fn an_alarm_rings_when_it_is_due_and_then_only() {
        let at = Instant::from_micros;
        let mut timers = Timers::new();
        let mut alarm = Alarm::default();
        timers.set(&mut alarm, at(10), 'a');
        timers.set(&mut alarm, at(30), 'a');
        assert_eq!(timers.next(), Some(at(10)), "it was only put off");
        assert_eq!(timers.pop(at(10)), Some('a'));
        assert!(!timers.rings(&mut alarm, at(10), 'a'));
        assert_eq!(timers.next(), Some(at(30)));
        timers.set(&mut alarm, at(20), 'a');
        assert_eq!((timers.next(), timers.deadlines.len()), (Some(at(20)), 1), "it came nearer");
        assert_eq!(timers.pop(at(20)), Some('a'));
        assert!(timers.rings(&mut alarm, at(20), 'a'));
        assert_eq!(alarm, Alarm::default());
        timers.set(&mut alarm, at(40), 'a');
        alarm.hush();
        assert_eq!(timers.pop(at(40)), Some('a'));
        assert!(!timers.rings(&mut alarm, at(40), 'a'), "it was called off");
        timers.set(&mut alarm, at(50), 'a');
        timers.forget(alarm, 'a');
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn wall_time_prints_in_the_operators_zone() {
        let cases: &[(&str, u64, i32, &str)] = &[
            ("the epoch", 0, 0, "1970-01-01 00:00:00"),
            ("east of it", 0, 3600, "1970-01-01 01:00:00"),
            ("a leap day", 1_709_164_800, 0, "2024-02-29 00:00:00"),
            ("the day after", 1_709_251_199, 1, "2024-03-01 00:00:00"),
            ("west, the year before", 1_767_225_600, -1, "2025-12-31 23:59:59"),
            ("a century that is no leap year", 4_107_542_400, 0, "2100-03-01 00:00:00"),
        ];
        for (name, at, offset, printed) in cases {
            let clock = WallClock { start: WallTime(0), offset: *offset };
            assert_eq!(clock.print(WallTime(*at)), *printed, "{name}");
        }
    }

    #[test]
    fn timers_fire_in_order_and_not_early() {
        let mut timers = Timers::new();
        timers.arm(Instant::from_micros(20), 'b');
        timers.arm(Instant::from_micros(10), 'c');
        timers.arm(Instant::from_micros(20), 'a');
        timers.arm(Instant::from_micros(15), 'd');
        timers.disarm(Instant::from_micros(15), 'd');
        assert_eq!(timers.next(), Some(Instant::from_micros(10)));
        assert_eq!(timers.pop(Instant::from_micros(9)), None);
        assert_eq!(timers.pop(Instant::from_micros(20)), Some('c'));
        assert_eq!(timers.pop(Instant::from_micros(20)), Some('a'));
        assert_eq!(timers.pop(Instant::from_micros(20)), Some('b'));
        assert_eq!(timers.next(), None);
    }
}
