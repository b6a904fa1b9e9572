//! The relations that this shard's sessions wrote a moment ago, which a standby may not have yet.
//!
//! This is Pgpool-II's table tracking (`disable_load_balance_on_write = dml_adaptive_global`). What
//! other shards, other proxies and other clients write is not seen.

use std::collections::BTreeMap;

use super::class::Relations;
use super::writes::{Touched, is_function};
use crate::time::{Duration, Instant};

/// For how long, and of how many relations, writes are remembered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracking {
    /// `track_table_mutation_ttl_factor`: by how much a standby may be further behind than it was.
    pub ttl_factor: f64,
    /// `track_table_mutation_max_staleness`: from an entry's first write on; none is no limit.
    pub staleness_max: Option<Duration>,
    /// `track_table_mutation_cold_start_duration`: for so long after the start everything counts.
    pub cold_start: Duration,
    /// `track_table_mutation_table_size`.
    pub tables_max: usize,
}

/// The least time that a write is remembered, as in Pgpool-II.
const TTL_MIN: Duration = Duration::from_millis(100);

/// The longest time that a write is remembered, as in Pgpool-II.
const TTL_MAX: Duration = Duration::from_secs(3600);

/// Relations written a moment ago.
#[derive(Debug)]
pub struct Recent {
    tracking: Tracking,
    /// Until then everything counts as written.
    cold_until: Instant,
    /// How far the standbys have been behind at most.
    lag_max: Duration,
    databases: BTreeMap<u32, Database>,
    /// The entries of all databases, at most `tables_max`.
    count: usize,
}

/// What was written in one database.
#[derive(Debug, Default)]
struct Database {
    relations: BTreeMap<Box<str>, Mark>,
    /// When something was written of which nobody knows what.
    anything: Option<Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    first: Instant,
    /// `first <= last`
    last: Instant,
}

impl Recent {
    /// Begins: until the cold start is over, everything counts as written.
    #[must_use]
    pub fn new(tracking: Tracking, now: Instant) -> Self {
        Self {
            tracking,
            cold_until: now + tracking.cold_start,
            lag_max: Duration::ZERO,
            databases: BTreeMap::new(),
            count: 0,
        }
    }

    /// Takes note of how far a standby is behind.
    pub fn measure(&mut self, lag: Duration) {
        self.lag_max = self.lag_max.max(lag);
    }

    /// Takes note of a write that has succeeded.
    pub fn note(&mut self, now: Instant, database: u32, writes: &Relations) {
        let names: &[Box<str>] = match writes {
            Relations::None => return,
            Relations::Named(names) if !names.iter().any(|name| is_function(name)) => names,
            Relations::Named(_) | Relations::Unknown => return self.note_anything(now, database),
        };
        for name in names {
            let room = self.count < self.tracking.tables_max || self.sweep(now);
            let tables = self.databases.entry(database).or_default();
            match tables.relations.get_mut(name) {
                Some(mark) => *mark = self.tracking.renew(*mark, now),
                None if room => {
                    tables.relations.insert(name.clone(), Mark { first: now, last: now });
                    self.count += 1;
                }
                // To forget another one would let a stale read pass.
                None => return self.note_anything(now, database),
            }
        }
    }

    fn note_anything(&mut self, now: Instant, database: u32) {
        let tracking = self.tracking;
        let anything = &mut self.databases.entry(database).or_default().anything;
        *anything = Some(match *anything {
            Some(mark) => tracking.renew(mark, now),
            None => Mark { first: now, last: now },
        });
    }

    /// Finds what a statement reads that was written a moment ago.
    #[must_use]
    pub fn touched<'a>(&self, now: Instant, database: u32, reads: &'a Relations) -> Touched<'a> {
        if *reads == Relations::None || reads.names().is_empty() && *reads != Relations::Unknown {
            return Touched::Nothing;
        }
        if now < self.cold_until {
            return Touched::Anything;
        }
        let Some(tables) = self.databases.get(&database) else { return Touched::Nothing };
        let ttl = self.ttl();
        let is_fresh = |mark: &Mark| self.tracking.is_fresh(*mark, ttl, now);
        if tables.anything.as_ref().is_some_and(is_fresh) {
            return Touched::Anything;
        }
        match reads {
            Relations::Unknown if tables.relations.values().any(is_fresh) => Touched::Anything,
            Relations::None | Relations::Unknown => Touched::Nothing,
            Relations::Named(names) => names
                .iter()
                .find(|name| tables.relations.get(*name).is_some_and(is_fresh))
                .map_or(Touched::Nothing, |name| Touched::Relation(name)),
        }
    }

    /// For how long a write counts.
    fn ttl(&self) -> Duration {
        let seconds = self.lag_max.as_secs_f64() * self.tracking.ttl_factor;
        Duration::from_secs_f64(seconds.clamp(0.0, TTL_MAX.as_secs_f64())).max(TTL_MIN)
    }

    /// Forgets what no longer counts; true if that made room.
    fn sweep(&mut self, now: Instant) -> bool {
        let (tracking, ttl) = (self.tracking, self.ttl());
        self.count = 0;
        for tables in self.databases.values_mut() {
            tables.relations.retain(|_, mark| tracking.is_fresh(*mark, ttl, now));
            tables.anything = tables.anything.filter(|mark| tracking.is_fresh(*mark, ttl, now));
            self.count += tables.relations.len();
        }
        self.databases.retain(|_, t| !t.relations.is_empty() || t.anything.is_some());
        self.count < tracking.tables_max
    }
}

impl Tracking {
    fn is_fresh(&self, mark: Mark, ttl: Duration, now: Instant) -> bool {
        now < mark.last + ttl && self.staleness_max.is_none_or(|max| now < mark.first + max)
    }

    /// Writes again to what was written before; after its longest time an entry begins anew.
    fn renew(&self, mark: Mark, now: Instant) -> Mark {
        let is_over = self.staleness_max.is_some_and(|max| mark.first + max <= now);
        Mark { first: if is_over { now } else { mark.first }, last: now }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn named(names: &[&str]) -> Relations {
        Relations::of(names.iter().map(|name| (*name).into()).collect::<BTreeSet<Box<str>>>())
    }

    fn at(milliseconds: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(milliseconds)
    }

    const TRACKING: Tracking = Tracking {
        ttl_factor: 5.0,
        staleness_max: Some(Duration::from_millis(2000)),
        cold_start: Duration::from_millis(1000),
        tables_max: 3,
    };

    #[test]
    fn writes_count_for_a_while() {
        use Touched::{Anything, Nothing, Relation};
        let (t, u) = (named(&["t"]), named(&["u"]));
        let mut recent = Recent::new(TRACKING, at(0));
        assert_eq!(recent.touched(at(999), 1, &t), Anything, "a cold start");
        assert_eq!(recent.touched(at(999), 1, &named(&[])), Nothing, "it reads nothing");
        recent.note(at(2000), 1, &t);
        assert_eq!(recent.touched(at(2099), 1, &t), Relation("t"));
        assert_eq!(recent.touched(at(2099), 1, &u), Nothing);
        assert_eq!(recent.touched(at(2099), 2, &t), Nothing, "another database");
        assert_eq!(recent.touched(at(2099), 1, &Relations::Unknown), Anything);
        assert_eq!(recent.touched(at(2100), 1, &t), Nothing, "the least time is over");
        recent.measure(Duration::from_millis(100));
        assert_eq!(recent.touched(at(2499), 1, &t), Relation("t"), "five times the lag");
        assert_eq!(recent.touched(at(2500), 1, &t), Nothing);
        for time in [2500, 2900, 3300, 3700] {
            recent.note(at(time), 1, &t);
        }
        assert_eq!(recent.touched(at(3999), 1, &t), Relation("t"));
        assert_eq!(recent.touched(at(4000), 1, &t), Nothing, "the longest time is over");
        recent.note(at(4000), 1, &t);
        assert_eq!(recent.touched(at(4001), 1, &t), Relation("t"), "it begins anew");
    }

    #[test]
    fn what_is_not_known_counts_as_everything() {
        let t = named(&["t"]);
        for writes in [Relations::Unknown, named(&["f()"])] {
            let mut recent = Recent::new(TRACKING, at(0));
            recent.note(at(2000), 1, &writes);
            assert_eq!(recent.touched(at(2001), 1, &t), Touched::Anything);
            assert_eq!(recent.touched(at(2001), 2, &t), Touched::Nothing);
            assert_eq!(recent.touched(at(2101), 1, &t), Touched::Nothing);
        }
    }

    #[test]
    fn a_full_table_forgets_nothing_too_early() {
        let mut recent = Recent::new(TRACKING, at(0));
        recent.note(at(2000), 1, &named(&["a", "b", "c"]));
        recent.note(at(2010), 1, &named(&["d"]));
        assert_eq!(recent.touched(at(2020), 1, &named(&["a"])), Touched::Anything);
        assert_eq!(recent.touched(at(2020), 1, &named(&["d"])), Touched::Anything);
        recent.note(at(2200), 1, &named(&["d"]));
        assert_eq!(recent.touched(at(2201), 1, &named(&["d"])), Touched::Relation("d"));
        assert_eq!(recent.count, 1);
    }
}
