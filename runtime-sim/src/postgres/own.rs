//! What only one session sees: its temporary tables, and what its transaction has done so far.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::engine::schema::{Effect, Table, apply};
use super::syntax::Life;
use crate::check::deeds::Author;

/// In front of the name of a temporary table, wherever it could be taken for another.
const TEMPORARY: &str = "pg_temp.";

/// The session's own.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// The database that the session is in.
    pub(super) database: String,
    /// Whose message is in progress.
    pub(super) author: Author,
    /// What the transaction did, and for whose messages.
    effects: Vec<(Author, Effect)>,
    /// For whose messages something was made last that others see.
    done: Vec<Author>,
    /// Temporary tables, as of the last commit.
    temporary: BTreeMap<String, Table>,
    /// Temporary tables that go with the transaction.
    brief: Vec<String>,
}

impl Own {
    /// Begins with nothing, in a database.
    #[cfg(test)]
    pub(super) fn of(database: &str) -> Self {
        Self { database: database.to_owned(), ..Self::default() }
    }

    /// Adds to what the transaction did.
    pub(super) fn push(&mut self, effect: Effect) {
        self.effects.push((self.author, effect));
    }

    /// Counts what the transaction did, to come back to it.
    pub(super) const fn mark(&self) -> usize {
        self.effects.len()
    }

    /// Takes back what the transaction did after a mark.
    pub(super) fn back_to(&mut self, mark: usize) {
        self.effects.truncate(mark);
    }

    /// What the transaction did.
    pub(super) fn effects(&self) -> impl DoubleEndedIterator<Item = &Effect> {
        self.effects.iter().map(|(_, effect)| effect)
    }

    /// Something that no transaction can take back was done for the message in progress.
    pub(super) fn note_done(&mut self) {
        self.done.push(self.author);
    }

    /// Takes for whose messages something was made last.
    pub(super) fn take_done(&mut self) -> Vec<Author> {
        std::mem::take(&mut self.done)
    }

    /// Names a table so that no other is meant: a temporary one hides a lasting one.
    pub(super) fn resolve<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.temporary.is_empty() && self.effects.is_empty() {
            return Cow::Borrowed(name);
        }
        let full = format!("{TEMPORARY}{name}");
        let mut table = self.temporary.get(&full).map(Cow::Borrowed);
        for effect in self.effects().filter(|effect| effect.table() == Some(&full)) {
            apply(&mut table, effect);
        }
        if table.is_some() { Cow::Owned(full) } else { Cow::Borrowed(name) }
    }

    /// Names a new table.
    pub(super) fn name_new(&mut self, name: &str, life: Life) -> String {
        let full = match life {
            Life::Lasting | Life::Unlogged => return name.to_owned(),
            Life::Temporary | Life::Transaction => format!("{TEMPORARY}{name}"),
        };
        if life == Life::Transaction {
            self.brief.push(full.clone());
        }
        full
    }

    /// Finds a temporary table as of the last commit, by its full name.
    pub(super) fn temporary(&self, full: &str) -> Option<&Table> {
        self.temporary.get(full)
    }

    /// Tells whether a table is the session's own.
    pub(super) fn is_temporary(&self, name: &str) -> bool {
        self.resolve(name).starts_with(TEMPORARY)
    }

    /// Tells whether there are temporary tables, as of the last commit.
    pub(super) fn has_temporary(&self) -> bool {
        !self.temporary.is_empty()
    }

    /// Counts the relations of the temporary schema, as of the last commit.
    pub(super) fn relations(&self) -> usize {
        self.temporary.values().map(Table::relations).sum()
    }

    /// Drops all temporary tables.
    pub(super) fn drop_temporary(&mut self) {
        let own = self.effects().filter_map(Effect::table);
        let names = own.filter(|name| name.starts_with(TEMPORARY)).map(str::to_owned);
        let all: Vec<_> = names.chain(self.temporary.keys().cloned()).collect();
        let author = self.author;
        self.effects.extend(all.into_iter().map(|name| (author, Effect::Drop(name))));
    }

    /// Keeps what concerns temporary tables; returns the rest of what the transaction did.
    pub(super) fn commit(&mut self) -> Vec<Effect> {
        let brief = std::mem::take(&mut self.brief);
        let author = self.author;
        self.effects.extend(brief.into_iter().map(|name| (author, Effect::Drop(name))));
        let of_own = |effect: &Effect| effect.table().is_some_and(|t| t.starts_with(TEMPORARY));
        let effects = std::mem::take(&mut self.effects);
        let (own, shared): (Vec<_>, Vec<_>) =
            effects.into_iter().partition(|(_, effect)| of_own(effect));
        for (_, effect) in own {
            let Some(name) = effect.table() else { continue };
            let mut table = self.temporary.remove(name).map(Cow::Owned);
            apply(&mut table, &effect);
            if let Some(table) = table {
                self.temporary.insert(name.to_owned(), table.into_owned());
            }
        }
        let (mut authors, shared): (Vec<_>, Vec<_>) = shared.into_iter().unzip();
        authors.dedup();
        self.done.append(&mut authors);
        shared
    }

    /// Takes back what the transaction did.
    pub(super) fn roll_back(&mut self) {
        self.effects.clear();
        self.brief.clear();
    }
}
