//! What a session has written, and what that means for where it reads.
//!
//! A standby may not yet have what was written a moment ago. Pgpool-II's
//! `disable_load_balance_on_write` says for how long, and how closely, that is minded.

use std::collections::{BTreeMap, BTreeSet};

use super::class::{Class, Relations};

/// The operator's wishes about reads after writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Balancing {
    /// `disable_load_balance_on_write`.
    pub on_write: OnWrite,
    /// `transaction_reads`.
    pub transaction_reads: TransactionReads,
    /// `dml_adaptive_object_relationship_list`.
    pub dependents: Dependents,
}

impl Balancing {
    /// Returns what holds where the operator says nothing.
    #[must_use]
    pub const fn standard() -> Self {
        Self {
            on_write: OnWrite::Transaction,
            transaction_reads: TransactionReads::Primary,
            dependents: Dependents(BTreeMap::new()),
        }
    }
}

/// `disable_load_balance_on_write`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnWrite {
    /// Nothing is minded.
    Off,
    /// The rest of the transaction reads from the primary.
    #[default]
    Transaction,
    /// So do all later transactions of the session.
    TransTransaction,
    /// So does the session from then on, inside and outside of transactions.
    Always,
    /// The rest of the transaction reads from the primary what was written in it.
    DmlAdaptive,
    /// As before; and so do all sessions, for as long as a standby may be behind.
    DmlAdaptiveGlobal,
}

/// `transaction_reads`: where reads go in a transaction that has not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionReads {
    /// To the primary, where the transaction is.
    #[default]
    Primary,
    /// To a standby, until the first write, in `READ COMMITTED`: Pgpool-II's rule.
    UntilWrite,
}

/// `dml_adaptive_object_relationship_list`: what else is written when something is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependents(BTreeMap<Box<str>, BTreeSet<Box<str>>>);

impl Dependents {
    /// Reads a list of `object:dependent` with commas between them, where an object is a relation,
    /// or a function with `()` behind its name. None if it is of another shape.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut all = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (object, dependent) = item.split_once(':')?;
            let (object, dependent) = (fold(object)?, fold(dependent)?);
            all.0.entry(object).or_default().insert(dependent);
        }
        Some(all)
    }

    fn of(&self, name: &str) -> Option<&BTreeSet<Box<str>>> {
        self.0.get(name)
    }
}

/// Folds a name of the list, and leaves its schema out, as statements name relations.
fn fold(name: &str) -> Option<Box<str>> {
    let name = name.trim();
    let name = name.rsplit_once('.').map_or(name, |(_, name)| name);
    let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    let name = quoted.map_or_else(|| name.to_ascii_lowercase(), str::to_owned);
    let is_name = !name.is_empty() && !name.contains([':', '"']);
    is_name.then(|| name.into())
}

/// What a session has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    here: Written,
    ever: Ever,
}

/// What was written in the transaction at hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Written {
    #[default]
    Nothing,
    These(BTreeSet<Box<str>>),
    Anything,
}

/// Whether a session has written before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Ever {
    #[default]
    Never,
    /// Outside of transactions only.
    Alone,
    InTransaction,
}

/// Whether a statement runs in an explicit transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// It does.
    Inside,
    /// It is its own transaction.
    Alone,
}

/// The writes of a session that has not written.
static NONE: Writes = Writes { here: Written::Nothing, ever: Ever::Never };

impl Writes {
    /// Lends the writes of a session that has not written.
    #[must_use]
    pub fn none() -> &'static Self {
        &NONE
    }

    /// Takes note of a statement that was sent to the primary.
    pub fn note(&mut self, class: &Class, place: Where, dependents: &Dependents) {
        if class.writes == Relations::None {
            return;
        }
        let ever = match place {
            Where::Inside => Ever::InTransaction,
            Where::Alone => Ever::Alone,
        };
        self.ever = self.ever.max(ever);
        if place == Where::Inside {
            self.here.add(&class.writes, dependents);
        }
    }

    /// Takes note of the end of a transaction.
    pub fn end_transaction(&mut self) {
        self.here = Written::Nothing;
    }

    /// Tells whether anything was written in the transaction at hand.
    #[must_use]
    pub fn has_here(&self) -> bool {
        self.here != Written::Nothing
    }

    /// Tells whether anything was written in any explicit transaction.
    #[must_use]
    pub fn has_in_transaction(&self) -> bool {
        self.ever == Ever::InTransaction
    }

    /// Tells whether anything was ever written.
    #[must_use]
    pub fn has(&self) -> bool {
        self.ever != Ever::Never
    }

    /// Finds what a statement reads that was written in the transaction at hand.
    #[must_use]
    pub fn touched<'a>(&self, reads: &'a Relations) -> Touched<'a> {
        match (&self.here, reads) {
            (Written::Nothing, _) | (_, Relations::None) => Touched::Nothing,
            (Written::Anything, _) | (Written::These(_), Relations::Unknown) => Touched::Anything,
            (Written::These(written), Relations::Named(names)) => {
                let found = names.iter().find(|name| written.contains(*name));
                found.map_or(Touched::Nothing, |name| Touched::Relation(name))
            }
        }
    }
}

/// What a statement reads that was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Touched<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// This relation.
    Relation(&'a str),
    /// Perhaps anything.
    Anything,
}

impl Written {
    fn add(&mut self, writes: &Relations, dependents: &Dependents) {
        let Relations::Named(names) = writes else {
            *self = Self::Anything;
            return;
        };
        let mut all = match std::mem::take(self) {
            Self::Nothing => BTreeSet::new(),
            Self::These(all) => all,
            Self::Anything => return *self = Self::Anything,
        };
        for name in names.iter() {
            let others = dependents.of(name);
            all.extend(others.into_iter().flatten().cloned());
            if is_function(name) && others.is_none() {
                // Nobody says what it writes.
                return *self = Self::Anything;
            }
            all.insert(name.clone());
        }
        *self = if all.len() > WRITTEN_MAX { Self::Anything } else { Self::These(all) };
    }
}

/// Tells whether a name among the writes is a function's.
pub(super) fn is_function(name: &str) -> bool {
    name.ends_with("()")
}

/// Relations written in one transaction that are remembered; of one that writes more, all count.
const WRITTEN_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::super::classify::classify;
    use super::super::lore::Lore;
    use super::super::rules::Rules;
    use super::*;

    fn class(text: &str) -> Class {
        classify(text.as_bytes(), &Lore::bare(&Rules::default()))
    }

    #[test]
    fn what_was_written_is_known_by_name() {
        let dependents = Dependents::read("t:v, public.f():w ,t:\"V\"").unwrap();
        let cases: &[(&str, &str, Touched<'_>)] = &[
            ("insert into t values (1)", "select * from u", Touched::Nothing),
            ("insert into t values (1)", "select * from s.t", Touched::Relation("t")),
            ("insert into s.T values (1)", "select * from u, v", Touched::Relation("v")),
            ("insert into t values (1)", "select * from \"V\"", Touched::Relation("V")),
            ("insert into t values (1)", "select 1", Touched::Nothing),
            ("select f()", "select * from w", Touched::Relation("w")),
            ("select f()", "select * from t", Touched::Nothing),
            ("select g()", "select * from t", Touched::Anything),
            ("call p()", "select * from t", Touched::Anything),
            ("create table x (a int)", "select * from t", Touched::Anything),
            ("select * from t for update", "select * from t", Touched::Nothing),
            ("select * from t", "select * from t", Touched::Nothing),
        ];
        for (written, read, expected) in cases {
            let mut writes = Writes::default();
            writes.note(&class(written), Where::Inside, &dependents);
            let reads = class(read).reads;
            assert_eq!(writes.touched(&reads), *expected, "{written}, then {read}");
            writes.end_transaction();
            assert_eq!(writes.touched(&reads), Touched::Nothing, "{written}, commit, then {read}");
        }
    }

    #[test]
    fn writes_are_remembered_as_long_as_they_matter() {
        let none = Dependents::default();
        let mut writes = Writes::default();
        writes.note(&class("select 1"), Where::Inside, &none);
        writes.note(&class("begin"), Where::Alone, &none);
        assert_eq!(&writes, Writes::none());
        writes.note(&class("insert into t values (1)"), Where::Alone, &none);
        assert_eq!(
            (writes.has(), writes.has_in_transaction(), writes.has_here()),
            (true, false, false)
        );
        writes.note(&class("insert into t values (1)"), Where::Inside, &none);
        assert_eq!(
            (writes.has(), writes.has_in_transaction(), writes.has_here()),
            (true, true, true)
        );
        writes.end_transaction();
        assert_eq!(
            (writes.has(), writes.has_in_transaction(), writes.has_here()),
            (true, true, false)
        );
    }

    #[test]
    fn lists_of_dependents_are_read() {
        for text in ["", "a:b", " a : b , c() : d ", "s.a:s.b,"] {
            assert!(Dependents::read(text).is_some(), "{text}");
        }
        for text in ["a", "a:", ":b", "a:b:c"] {
            assert_eq!(Dependents::read(text), None, "{text}");
        }
    }
}
