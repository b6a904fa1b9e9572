//! A named prepared statement, kept so that it can be prepared on another connection too, and
//! under which name servers know it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::limits;
use crate::route::class::{Class, Reason};
use crate::wire::frontend::{self, tag};

/// A named prepared statement.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    /// What servers know it by, not empty: the client's name for it where the connection is the
    /// client's alone, else one that all clients who prepare the same text share.
    pub name: Bytes,
    /// The `Parse` message that prepares it under that name.
    pub parse: Bytes,
    /// What its text does.
    pub class: Class,
    /// How long the text is, which follows the name.
    text_len: usize,
}

impl Statement {
    /// Keeps a statement. `parse` prepares it under that name.
    #[must_use]
    pub fn new(name: Bytes, parse: Bytes, class: Class) -> Self {
        let body = parse.get(crate::wire::frame::HEADER_LEN..).unwrap_or_default();
        let text_len = frontend::parse(body).map_or(0, |(_, text)| text.len());
        Self { name, parse, class, text_len }
    }

    /// Returns the same statement, which is for the primary since a standby has refused it.
    #[must_use]
    pub fn refused(&self) -> Self {
        let (name, parse) = (self.name.clone(), self.parse.clone());
        let class = self.class.clone().bound(Reason::RefusedByStandby);
        Self { name, parse, class, text_len: self.text_len }
    }

    /// Returns the text of the statement.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        let start = crate::wire::frame::HEADER_LEN + self.name.len() + 1;
        self.parse.get(start..start + self.text_len).unwrap_or_default()
    }
}

/// How the names begin by which servers know statements that sessions share.
pub const SHARED_PREFIX: &str = "pgherd_";

/// The statements that the sessions of a shard share, by what follows the name in their `Parse`.
#[derive(Debug, Default)]
pub struct Shelf {
    by_text: BTreeMap<Bytes, Arc<Statement>>,
    len: usize,
    /// Statements named so far.
    named: u64,
}

impl Shelf {
    /// Finds the statement that a client prepares, or puts it onto the shelf.
    ///
    /// `text` is the body of the `Parse` behind the name: the query and its parameter types.
    /// `manner` is what makes equal texts mean different things: the parameters that are set.
    pub fn share(&mut self, manner: &[u8], text: &[u8], class: &Class) -> Arc<Statement> {
        let key = [manner, &[0], text].concat();
        if let Some(statement) = self.by_text.get(key.as_slice()) {
            return statement.clone();
        }
        self.make_room(key.len());
        self.named += 1;
        let name = Bytes::from(format!("{SHARED_PREFIX}{}", self.named));
        let body = [&name, &b"\0"[..], text].concat();
        let parse = frontend::compose(tag::PARSE, &body);
        let statement = Arc::new(Statement::new(name, parse, class.clone()));
        if self.len + key.len() <= limits::SHELF_LEN_MAX {
            self.len += key.len();
            self.by_text.insert(Bytes::from(key), statement.clone());
        }
        statement
    }

    /// Forgets statements that no session has, if there is no room for another.
    fn make_room(&mut self, len: usize) {
        if self.len + len <= limits::SHELF_LEN_MAX {
            return;
        }
        self.by_text.retain(|_, statement| Arc::strong_count(statement) > 1);
        self.len = self.by_text.keys().map(Bytes::len).sum();
    }
}

/// The named prepared statements that exist on one connection.
#[derive(Debug, Default)]
pub struct Prepared {
    /// When each was last used, by a clock that ticks with every use.
    used: BTreeMap<Bytes, u64>,
    clock: u64,
}

impl Prepared {
    /// Tells whether a statement exists, and notes that it is used.
    pub fn uses(&mut self, name: &[u8]) -> bool {
        self.clock += 1;
        let clock = self.clock;
        self.used.get_mut(name).map(|used| *used = clock).is_some()
    }

    /// Notes that a statement exists.
    pub fn insert(&mut self, name: Bytes) {
        self.clock += 1;
        self.used.insert(name, self.clock);
    }

    /// Forgets a statement; tells whether it existed.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        self.used.remove(name).is_some()
    }

    /// Takes the statement out that has not been used for longest, if there are `limit` or more.
    pub fn make_room(&mut self, limit: usize) -> Option<Bytes> {
        if self.used.len() < limit {
            return None;
        }
        let oldest = self.used.iter().min_by_key(|(_, used)| **used)?.0.clone();
        self.used.remove(&oldest);
        Some(oldest)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.used.clear();
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::class::Kind;

    fn class() -> Class {
        let rules = crate::route::rules::Rules::default();
        crate::route::classify::classify(b"select 1", &crate::route::lore::Lore::bare(&rules))
    }

    #[test]
    fn equal_texts_share_a_name_and_others_do_not() {
        let mut shelf = Shelf::default();
        let one = shelf.share(b"", b"select 1\0\0\0", &class());
        let again = shelf.share(b"", b"select 1\0\0\0", &class());
        assert!(Arc::ptr_eq(&one, &again));
        assert_eq!(&one.parse[..], b"P\0\0\0\x18pgherd_1\0select 1\0\0\0");
        let elsewhere = shelf.share(b"set search_path to a", b"select 1\0\0\0", &class());
        assert_ne!(one.name, elsewhere.name);
        assert_eq!(one.class.kind, Kind::Read);
        assert_eq!(one.class.reason, Reason::PlainRead);
    }

    #[test]
    fn a_full_shelf_forgets_what_nobody_has() {
        let mut shelf = Shelf::default();
        let kept = shelf.share(b"", b"kept\0\0\0", &class());
        for i in 0..400 {
            let text = [&b"x".repeat(60_000)[..], i.to_string().as_bytes()].concat();
            drop(shelf.share(b"", &text, &class()));
            assert!(shelf.len <= limits::SHELF_LEN_MAX);
        }
        assert!(Arc::ptr_eq(&kept, &shelf.share(b"", b"kept\0\0\0", &class())));
    }

    #[test]
    fn the_statement_that_was_not_used_for_longest_makes_room() {
        let mut prepared = Prepared::default();
        for name in ["a", "b", "c"] {
            prepared.insert(Bytes::from_static(name.as_bytes()));
        }
        assert!(prepared.uses(b"a"));
        assert!(!prepared.uses(b"d"));
        assert_eq!(prepared.make_room(4), None);
        assert_eq!(prepared.make_room(3), Some(Bytes::from_static(b"b")));
        assert_eq!(prepared.make_room(3), None);
    }
}
