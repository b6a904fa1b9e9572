//! What is known of the catalogs of the databases that sessions use, and when to ask again.
//!
//! A statement never waits for the catalog: until it is known, and where it is not, the facts are
//! none, and doubt goes to the primary. Asking is an errand of an idle link (`errand`).

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::limits;
use crate::route::catalog::Catalog;
use crate::time::{Duration, Instant};

/// The facts of one database.
#[derive(Debug)]
pub struct Edition {
    /// The database's number, which no other database of this shard ever has.
    pub number: u32,
    /// Changes whenever the facts do; no two editions of the shard share it.
    pub generation: u32,
    /// The facts.
    pub catalog: Arc<Catalog>,
    state: State,
    /// Who told the facts.
    source: Source,
    /// Who used the database last: as whom it can be asked.
    user: Bytes,
    used: Instant,
}

/// Who told the facts of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Nobody, or another shard.
    Hearsay,
    /// The server, when this shard asked it.
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be asked for at the first use after this.
    Kept { until: Instant },
    /// To be asked for, since then.
    Wanted { since: Instant },
    /// Being asked for. If it has changed meanwhile, it will be asked for again.
    Asked { again: Option<Instant> },
}

/// The facts of all databases that sessions use.
#[derive(Debug, Default)]
pub struct Catalogs {
    /// In the order of the databases' names: there are few, and every statement looks for one.
    known: Vec<(Bytes, Edition)>,
    wanted: BTreeSet<Bytes>,
    /// No earlier than this is it worth trying to ask.
    try_at: Instant,
    numbers: u32,
    generations: u32,
    nothing: Edition,
}

impl Default for Edition {
    /// Makes the edition of a database of which nothing is known.
    fn default() -> Self {
        Self {
            number: 0,
            generation: 0,
            catalog: Arc::new(Catalog::default()),
            state: State::Kept { until: Instant::ZERO },
            source: Source::Hearsay,
            user: Bytes::new(),
            used: Instant::ZERO,
        }
    }
}

impl Catalogs {
    /// Finds the facts of a database for a user of it; has them asked for if they are old.
    pub fn of(&mut self, database: &Bytes, user: &Bytes, now: Instant) -> &Edition {
        let place = self.use_by(database, user, now);
        place.and_then(|place| self.known.get(place)).map_or(&self.nothing, |(_, edition)| edition)
    }

    /// A user has to do with a database: its facts are kept, and asked for if they are old.
    pub(super) fn note_use(&mut self, database: &Bytes, user: &Bytes, now: Instant) {
        self.use_by(database, user, now);
    }

    /// The same; returns the place of the database, unless there is no room for it.
    fn use_by(&mut self, database: &Bytes, user: &Bytes, now: Instant) -> Option<usize> {
        let place = match self.place(database) {
            Ok(place) => place,
            Err(_) => self.add(database, now)?,
        };
        let (_, edition) = self.known.get_mut(place)?;
        edition.used = now;
        if matches!(edition.state, State::Kept { until } if until <= now) {
            edition.state = State::Wanted { since: now };
            self.wanted.insert(database.clone());
            self.try_at = now;
        }
        if matches!(edition.state, State::Wanted { .. }) && edition.user != *user {
            edition.user = user.clone();
        }
        Some(place)
    }

    /// Finds the place of a database, or where it belongs.
    fn place(&self, database: &Bytes) -> Result<usize, usize> {
        self.known.binary_search_by(|(name, _)| name.cmp(database))
    }

    fn get_mut(&mut self, database: &Bytes) -> Option<&mut Edition> {
        let place = self.place(database).ok()?;
        self.known.get_mut(place).map(|(_, edition)| edition)
    }

    /// Makes room for a database, and tells where; none if all others have just been used.
    fn add(&mut self, database: &Bytes, now: Instant) -> Option<usize> {
        if self.known.len() >= limits::CATALOGS_MAX {
            let idle = self.known.iter().filter(|(_, edition)| {
                now >= edition.used + limits::CATALOG_KEEP_TIME
                    && !matches!(edition.state, State::Asked { .. })
            });
            let name = idle.min_by_key(|(_, e)| e.used).map(|(name, _)| name.clone())?;
            self.forget(&name);
        }
        self.numbers += 1;
        let edition = Edition {
            number: self.numbers,
            generation: self.next_generation(),
            state: State::Kept { until: now },
            ..Edition::default()
        };
        let place = self.place(database).unwrap_or_else(|place| place);
        self.known.insert(place, (database.clone(), edition));
        Some(place)
    }

    fn next_generation(&mut self) -> u32 {
        self.generations = self.generations.wrapping_add(1);
        self.generations
    }

    /// A database's catalog has changed.
    pub fn stale(&mut self, database: &Bytes, now: Instant) {
        let Some(edition) = self.get_mut(database) else { return };
        // A script of many changes has it asked for once a moment, not once a change.
        let soon = now + limits::CATALOG_REFRESH_DELAY;
        match &mut edition.state {
            State::Kept { until } => *until = soon.min(*until),
            State::Wanted { .. } => {}
            State::Asked { again } => *again = Some(soon),
        }
    }

    /// Forgets a database.
    pub fn forget(&mut self, database: &Bytes) {
        if let Ok(place) = self.place(database) {
            self.known.remove(place);
        }
        self.wanted.remove(database);
    }

    /// Tells whether it is worth trying to ask for something.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.wanted.is_empty() && self.try_at <= now
    }

    /// A link has become idle, perhaps the one that was missing.
    pub(super) fn rouse(&mut self, now: Instant) {
        self.try_at = self.try_at.min(now);
    }

    /// What is to be asked for, as whom, and since when; it will be tried again in a while.
    pub(super) fn take_wanted(&mut self, now: Instant) -> Vec<(Bytes, Bytes, Instant)> {
        self.try_at = now + limits::ERRAND_RETRY_DELAY;
        let wanted = |name: &Bytes| {
            let (_, edition) = self.known.get(self.place(name).ok()?)?;
            match edition.state {
                State::Wanted { since } => Some((name.clone(), edition.user.clone(), since)),
                State::Kept { .. } | State::Asked { .. } => None,
            }
        };
        self.wanted.iter().filter_map(wanted).collect()
    }

    /// It is being asked for.
    pub(super) fn asked(&mut self, database: &Bytes) {
        self.wanted.remove(database);
        if let Some(edition) = self.get_mut(database) {
            edition.state = State::Asked { again: None };
        }
    }

    /// The answer is there, or there will be none. Returns facts that this shard did not have.
    pub(super) fn answered(
        &mut self,
        database: &Bytes,
        catalog: Option<Catalog>,
        now: Instant,
        period: Duration,
    ) -> Option<Arc<Catalog>> {
        let next = self.next_generation();
        let edition = self.get_mut(database)?;
        let again = match edition.state {
            State::Asked { again } => again,
            State::Kept { .. } | State::Wanted { .. } => None,
        };
        let failed = catalog.is_none().then(|| now + limits::ERRAND_RETRY_DELAY);
        let until = [again, failed].into_iter().flatten().fold(now + period, Instant::min);
        edition.state = State::Kept { until };
        if catalog.is_some() {
            edition.source = Source::Server;
        }
        let catalog = catalog.filter(|catalog| *catalog != *edition.catalog)?;
        edition.catalog = Arc::new(catalog);
        edition.generation = next;
        Some(edition.catalog.clone())
    }

    /// Another shard has been told a database's facts.
    ///
    /// They serve a shard that has not been told any itself: whether they are older than a change
    /// that it has heard of, it cannot know. Equal facts are held in one place.
    pub fn heard(&mut self, database: &Bytes, catalog: Arc<Catalog>) {
        let next = self.next_generation();
        let Some(edition) = self.get_mut(database) else { return };
        if *edition.catalog == *catalog {
            edition.catalog = catalog;
        } else if edition.source == Source::Hearsay {
            edition.generation = next;
            edition.catalog = catalog;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn facts(name: &str) -> Catalog {
        let mut reader = crate::route::catalog::Reader::new();
        reader.fact([b"f", name.as_bytes(), b"v"]);
        reader.finish()
    }

    #[test]
    fn facts_are_asked_for_at_the_first_use_and_when_they_are_old() {
        let (shop, app) = (Bytes::from_static(b"shop"), Bytes::from_static(b"app"));
        let mut catalogs = Catalogs::default();
        assert!(!catalogs.is_due(at(0)), "nobody uses anything");
        let first = catalogs.of(&shop, &app, at(1)).generation;
        assert!(catalogs.is_due(at(1)));
        assert_eq!(catalogs.take_wanted(at(1)), [(shop.clone(), app.clone(), at(1))]);
        assert!(!catalogs.is_due(at(1)), "it was just tried");
        assert!(catalogs.is_due(at(1) + limits::ERRAND_RETRY_DELAY), "in vain");
        catalogs.asked(&shop);
        catalogs.of(&shop, &app, at(2));
        assert!(!catalogs.is_due(at(9)));
        catalogs.answered(&shop, Some(facts("f")), at(3), PERIOD);
        let second = catalogs.of(&shop, &app, at(62)).generation;
        assert_ne!(first, second);
        assert!(!catalogs.is_due(at(62)));
        catalogs.of(&shop, &app, at(63));
        assert!(catalogs.is_due(at(63)));
        catalogs.asked(&shop);
        catalogs.answered(&shop, Some(facts("f")), at(64), PERIOD);
        assert_eq!(catalogs.of(&shop, &app, at(65)).generation, second, "nothing has changed");
        assert_eq!(catalogs.of(&shop, &app, at(65)).catalog.as_ref(), &facts("f"));
    }

    #[test]
    fn changes_are_looked_at_soon_and_not_too_often() {
        let (shop, app) = (Bytes::from_static(b"shop"), Bytes::from_static(b"app"));
        let mut catalogs = Catalogs::default();
        catalogs.of(&shop, &app, at(0));
        catalogs.asked(&shop);
        catalogs.stale(&shop, at(1));
        catalogs.answered(&shop, Some(facts("f")), at(1), PERIOD);
        catalogs.of(&shop, &app, at(1));
        assert!(!catalogs.is_due(at(1)));
        catalogs.of(&shop, &app, at(1) + limits::CATALOG_REFRESH_DELAY);
        assert!(catalogs.is_due(at(3)), "the answer may have missed the change");
        catalogs.asked(&shop);
        catalogs.answered(&shop, None, at(3), PERIOD);
        assert_eq!(catalogs.of(&shop, &app, at(3)).catalog.as_ref(), &facts("f"), "kept");
        catalogs.of(&shop, &app, at(3) + limits::ERRAND_RETRY_DELAY);
        assert!(catalogs.is_due(at(9)));
    }

    #[test]
    fn what_another_shard_was_told_serves_until_this_one_is() {
        let (shop, app) = (Bytes::from_static(b"shop"), Bytes::from_static(b"app"));
        let mut catalogs = Catalogs::default();
        catalogs.heard(&shop, Arc::new(facts("f")));
        assert_eq!(catalogs.known.len(), 0, "nobody uses it here");
        let first = catalogs.of(&shop, &app, at(1)).generation;
        catalogs.heard(&shop, Arc::new(facts("f")));
        let second = catalogs.of(&shop, &app, at(1)).generation;
        assert_ne!(first, second);
        assert!(catalogs.is_due(at(1)), "it is asked for all the same");
        catalogs.asked(&shop);
        assert!(catalogs.answered(&shop, Some(facts("g")), at(2), PERIOD).is_some());
        let third = catalogs.of(&shop, &app, at(2)).generation;
        catalogs.heard(&shop, Arc::new(facts("f")));
        assert_eq!(catalogs.of(&shop, &app, at(2)).catalog.as_ref(), &facts("g"), "not older ones");
        let shared = Arc::new(facts("g"));
        catalogs.heard(&shop, shared.clone());
        assert!(Arc::ptr_eq(&catalogs.of(&shop, &app, at(2)).catalog, &shared));
        assert_eq!(catalogs.of(&shop, &app, at(2)).generation, third);
    }

    #[test]
    fn the_number_of_databases_is_bounded() {
        let app = Bytes::from_static(b"app");
        let name = |n: usize| Bytes::from(n.to_string());
        let mut catalogs = Catalogs::default();
        for n in 0..limits::CATALOGS_MAX {
            assert_ne!(catalogs.of(&name(n), &app, at(0)).number, 0);
        }
        let one_more = name(limits::CATALOGS_MAX);
        assert_eq!(catalogs.of(&one_more, &app, at(1)).number, 0, "all are in use");
        let later = at(1) + limits::CATALOG_KEEP_TIME;
        assert_ne!(catalogs.of(&one_more, &app, later).number, 0);
        assert_eq!(catalogs.known.len(), limits::CATALOGS_MAX);
    }
}
