//! Advisory locks: PostgreSQL docs, "Advisory Lock Functions".

use std::collections::{BTreeMap, BTreeSet};

/// What is locked: one number of 64 bits or two of 32, which are different locks, in one database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::postgres) struct Key {
    pub(in crate::postgres) database: String,
    pub(in crate::postgres) numbers: Vec<i64>,
}

/// Whom a lock keeps out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::postgres) enum Mode {
    /// Those who want it for themselves alone.
    Shared,
    /// Everybody.
    Exclusive,
}

/// How long a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Span {
    Session,
    Transaction,
}

#[derive(Debug)]
struct Hold {
    process: u32,
    mode: Mode,
    span: Span,
    /// `1 <= count`
    count: u32,
}

/// All advisory locks of a server.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Advisory {
    held: BTreeMap<Key, Vec<Hold>>,
}

impl Advisory {
    /// Takes a lock, unless another session keeps this one out.
    pub(in crate::postgres) fn take(
        &mut self,
        key: &Key,
        process: u32,
        mode: Mode,
        span: Span,
    ) -> bool {
        let holds = self.held.entry(key.clone()).or_default();
        let barred = |hold: &&Hold| {
            hold.process != process && (hold.mode == Mode::Exclusive || mode == Mode::Exclusive)
        };
        if holds.iter().find(barred).is_some() {
            return false;
        }
        let same = |hold: &&mut Hold| (hold.process, hold.mode, hold.span) == (process, mode, span);
        match holds.iter_mut().find(same) {
            Some(hold) => hold.count += 1,
            None => holds.push(Hold { process, mode, span, count: 1 }),
        }
        true
    }

    /// Gives a session's lock back once; tells whether it was held.
    pub(in crate::postgres) fn give(&mut self, key: &Key, process: u32, mode: Mode) -> bool {
        let Some(holds) = self.held.get_mut(key) else { return false };
        let same = |hold: &&mut Hold| {
            (hold.process, hold.mode, hold.span) == (process, mode, Span::Session)
        };
        let Some(hold) = holds.iter_mut().find(same) else { return false };
        hold.count -= 1;
        self.retain(|hold| hold.count > 0);
        true
    }

    /// Gives back all locks of a session that last as long as this; tells whether there were any.
    pub(in crate::postgres) fn give_all(&mut self, process: u32, span: Span) -> bool {
        self.retain(|hold| (hold.process, hold.span) != (process, span))
    }

    fn retain(&mut self, mut stays: impl FnMut(&Hold) -> bool) -> bool {
        let mut gone = false;
        self.held.retain(|_, holds| {
            let before = holds.len();
            holds.retain(&mut stays);
            gone |= holds.len() < before;
            !holds.is_empty()
        });
        gone
    }

    /// Counts a session's locks as `pg_locks` lists them.
    pub(in crate::postgres) fn count(&self, process: u32) -> usize {
        let of_key = |holds: &Vec<Hold>| {
            let own = holds.iter().filter(|hold| hold.process == process);
            own.map(|hold| hold.mode).collect::<BTreeSet<_>>().len()
        };
        self.held.values().map(of_key).sum()
    }

    /// Forgets all locks.
    pub(in crate::postgres) fn clear(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(numbers: &[i64]) -> Key {
        Key { database: "postgres".to_owned(), numbers: numbers.to_vec() }
    }

    #[test]
    fn a_lock_keeps_others_out_until_it_was_given_back_as_often_as_taken() {
        let mut locks = Advisory::default();
        let (one, two) = (key(&[5]), key(&[0, 5]));
        assert!(locks.take(&one, 7, Mode::Exclusive, Span::Session));
        assert!(locks.take(&one, 7, Mode::Exclusive, Span::Session));
        assert!(locks.take(&one, 7, Mode::Shared, Span::Transaction));
        assert!(!locks.take(&one, 8, Mode::Shared, Span::Session));
        assert!(locks.take(&two, 8, Mode::Exclusive, Span::Session), "another lock");
        assert_eq!((locks.count(7), locks.count(8)), (2, 1));
        assert!(locks.give(&one, 7, Mode::Exclusive));
        assert!(!locks.give(&one, 7, Mode::Shared), "held by the transaction only");
        assert!(locks.give_all(7, Span::Transaction) && !locks.give_all(7, Span::Transaction));
        assert!(!locks.take(&one, 8, Mode::Shared, Span::Session));
        assert!(locks.give(&one, 7, Mode::Exclusive) && !locks.give(&one, 7, Mode::Exclusive));
        assert!(locks.take(&one, 8, Mode::Shared, Span::Session));
        assert!(locks.take(&one, 7, Mode::Shared, Span::Session), "shared with another");
        assert!(!locks.take(&one, 7, Mode::Exclusive, Span::Session));
        assert!(locks.give_all(8, Span::Session));
        assert!(locks.take(&one, 7, Mode::Exclusive, Span::Session));
    }
}
