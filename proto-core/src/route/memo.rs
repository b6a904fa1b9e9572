//! Remembers what texts do, so that a text is parsed once and not once per execution.
//!
//! The key is the text with every number and every plain string literal replaced by a mark and
//! every comment by another: what a statement does never depends on the value of a literal, and a
//! client that writes its values into the text would otherwise be parsed each time. Literals with a
//! prefix and quoted names stay as they are. The keys are compared in full, so two texts are never
//! taken for one another; the hash, keyed so that no client can aim at one bucket, only finds the
//! place.

use std::hash::Hasher as _;

use super::class::{Class, Reason, Unreadable};
use super::classify::{QUERY_TEXT_LEN_MAX, classify};
use super::tokens::{Shape, Tokens};
use crate::entropy::Entropy;

/// Texts held per shard, as a power of two. An application has hundreds of different statements.
pub const MEMO_ENTRIES_MAX: usize = 4096;

/// Bytes of text held per shard. Room for [`MEMO_ENTRIES_MAX`] texts of ordinary length, while a
/// few thousand long ones do not become a shard's largest possession.
pub const MEMO_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Texts with the same place. Enough that a full bucket is rare at half load.
const WAYS: usize = 4;

/// The classes of the texts seen lately.
#[derive(Debug)]
pub struct Memo {
    /// Buckets of [`WAYS`] neighbours.
    entries: Vec<Option<Entry>>,
    key: [u8; 16],
    /// Where the search for something to forget goes on.
    hand: usize,
    /// The sum of the lengths of the texts held, at most [`MEMO_BYTES_MAX`].
    bytes: usize,
    /// The text in hand, with its literals replaced. Kept for its room.
    scratch: Vec<u8>,
    /// The class of the last text that is not worth remembering.
    passing: Class,
    hits: u64,
    misses: u64,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    text: Box<[u8]>,
    class: Class,
    /// Whether it was asked for since the hand last came by.
    is_used: bool,
}

impl Memo {
    /// Makes an empty memo.
    #[must_use]
    pub fn new(entropy: &mut Entropy) -> Self {
        Self {
            entries: std::iter::repeat_with(|| None).take(MEMO_ENTRIES_MAX).collect(),
            key: entropy.bytes(),
            hand: 0,
            bytes: 0,
            scratch: Vec::new(),
            passing: Class::write(Reason::NothingToRun),
            hits: 0,
            misses: 0,
        }
    }

    /// Tells what a text does, as [`classify`] would.
    pub fn classify(&mut self, text: &[u8], allow_sql_comments: bool) -> &Class {
        if text.len() > QUERY_TEXT_LEN_MAX || normalise(text, &mut self.scratch).is_err() {
            // Neither costs a parse.
            self.passing = classify(text, allow_sql_comments);
            return &self.passing;
        }
        self.scratch.push(u8::from(allow_sql_comments));
        let hash = self.hash();
        if let Some(index) = self.find(hash) {
            self.hits += 1;
            return self.class_at(index);
        }
        self.misses += 1;
        let class = classify(text, allow_sql_comments);
        let index = self.insert(hash, class);
        self.class_at(index)
    }

    /// Counts the texts whose class was remembered.
    #[must_use]
    pub const fn hits(&self) -> u64 {
        self.hits
    }

    /// Counts the texts that had to be parsed.
    #[must_use]
    pub const fn misses(&self) -> u64 {
        self.misses
    }

    fn hash(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(&self.key);
        hasher.write(&self.scratch);
        hasher.finish()
    }

    fn bucket(hash: u64) -> std::ops::Range<usize> {
        let buckets = MEMO_ENTRIES_MAX / WAYS;
        let mask = u64::try_from(buckets - 1).unwrap_or(0);
        let first = usize::try_from(hash & mask).unwrap_or(0) * WAYS;
        first..first + WAYS
    }

    fn find(&mut self, hash: u64) -> Option<usize> {
        let range = Self::bucket(hash);
        let first = range.start;
        let ways = self.entries.get_mut(range)?;
        let is_it =
            |entry: &Entry| entry.hash == hash && entry.text.as_ref() == self.scratch.as_slice();
        let way = ways.iter().position(|entry| entry.as_ref().is_some_and(is_it))?;
        if let Some(Some(entry)) = ways.get_mut(way) {
            entry.is_used = true;
        }
        Some(first + way)
    }

    fn class_at(&self, index: usize) -> &Class {
        self.entries.get(index).and_then(Option::as_ref).map_or(&self.passing, |entry| &entry.class)
    }

    /// Puts the text in hand into its bucket, in the place of another if need be.
    fn insert(&mut self, hash: u64, class: Class) -> usize {
        while self.bytes + self.scratch.len() > MEMO_BYTES_MAX {
            self.forget_one();
        }
        let range = Self::bucket(hash);
        let first = range.start;
        let ways = self.entries.get_mut(range).unwrap_or_default();
        let way = ways.iter().position(Option::is_none);
        let way = way.or_else(|| ways.iter().position(|e| e.as_ref().is_some_and(|e| !e.is_used)));
        let way = way.unwrap_or_else(|| {
            // All have been asked for: they start anew, and the first one goes.
            ways.iter_mut().flatten().for_each(|entry| entry.is_used = false);
            0
        });
        let index = first + way;
        self.forget(index);
        let text = self.scratch.as_slice().into();
        if let Some(place) = self.entries.get_mut(index) {
            self.bytes += self.scratch.len();
            *place = Some(Entry { hash, text, class, is_used: false });
        }
        index
    }

    fn forget(&mut self, index: usize) {
        if let Some(entry) = self.entries.get_mut(index).and_then(Option::take) {
            self.bytes -= entry.text.len();
        }
    }

    /// Moves the hand by one place, and forgets what is there unless it was asked for lately.
    fn forget_one(&mut self) {
        self.hand = (self.hand + 1) % MEMO_ENTRIES_MAX;
        let index = self.hand;
        match self.entries.get_mut(index) {
            Some(Some(entry)) if entry.is_used => entry.is_used = false,
            Some(_) | None => self.forget(index),
        }
    }
}

/// Writes the text with its literals and comments replaced by marks.
///
/// No mark can be mistaken for a byte of the text: the scanner refuses such bytes outside of
/// literals and quoted names, which keep their quotes.
fn normalise(text: &[u8], out: &mut Vec<u8>) -> Result<(), Unreadable> {
    out.clear();
    let mut copied = 0;
    let mut tokens = Tokens::new(text);
    while let Some(token) = tokens.next()? {
        let mark = match token.shape {
            Shape::Number => 1,
            Shape::Text => 2,
            Shape::Comment => 3,
            Shape::Word
            | Shape::QuotedName
            | Shape::PrefixedText
            | Shape::Parameter
            | Shape::Symbol(_) => continue,
        };
        out.extend_from_slice(text.get(copied..token.start).unwrap_or_default());
        out.push(mark);
        copied = token.end;
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::classify::tests::statements;
    use super::*;

    fn memo() -> Memo {
        Memo::new(&mut Entropy::from_seed([3; 32]))
    }

    #[test]
    fn texts_that_differ_in_literals_are_one() {
        let mut memo = memo();
        for aid in 0..100 {
            let text = format!("SELECT abalance FROM accounts WHERE aid = {aid} AND x = 'v{aid}'");
            let expected = classify(text.as_bytes(), false);
            assert_eq!(*memo.classify(text.as_bytes(), false), expected);
        }
        assert_eq!((memo.hits(), memo.misses()), (99, 1));
    }

    #[test]
    fn texts_that_differ_in_more_are_apart() {
        let mut memo = memo();
        let texts = [
            "select 1",
            "select '1'",
            "select a",
            "select \"1\"",
            "select E'1'",
            "select $1",
            "/* 1 */ select 1",
            "select 1;",
            "select 1; select 1",
            "select f(1)",
            "select $$1$$",
        ];
        for text in texts {
            assert_eq!(*memo.classify(text.as_bytes(), false), classify(text.as_bytes(), false));
        }
        assert_eq!(memo.misses(), u64::try_from(texts.len()).unwrap());
        let commented = memo.classify(b"/* 1 */ select 1", true).clone();
        assert_ne!(commented, *memo.classify(b"/* 2 */ select 1", false));
    }

    #[test]
    fn the_memo_is_bounded() {
        let mut memo = memo();
        for number in 0..10_000_u32 {
            let text = format!("select c{number}, \"{}\"", "x".repeat(1500));
            memo.classify(text.as_bytes(), false);
            assert!(memo.bytes <= MEMO_BYTES_MAX);
        }
        let held: usize = memo.entries.iter().flatten().map(|entry| entry.text.len()).sum();
        assert_eq!(held, memo.bytes);
        assert_eq!(memo.entries.len(), MEMO_ENTRIES_MAX);
    }

    #[test]
    fn what_is_asked_for_often_stays() {
        let mut memo = memo();
        for number in 0..20_000_u32 {
            memo.classify(b"select often", false);
            memo.classify(format!("select c{number}").as_bytes(), false);
        }
        assert!(memo.hits() > 19_900, "{} hits", memo.hits());
    }

    /// Replaces the literals of a text by others.
    fn vary(text: &str, number: u32, literal: &str) -> String {
        let mut tokens = Tokens::new(text.as_bytes());
        let (mut varied, mut copied) = (String::new(), 0);
        while let Ok(Some(token)) = tokens.next() {
            let other = match token.shape {
                Shape::Number => number.to_string(),
                Shape::Text => format!("'{literal}'"),
                Shape::Comment
                | Shape::Word
                | Shape::QuotedName
                | Shape::PrefixedText
                | Shape::Parameter
                | Shape::Symbol(_) => continue,
            };
            varied.push_str(&text[copied..token.start]);
            varied.push_str(&other);
            copied = token.end;
        }
        varied + &text[copied..]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever the literals, the memo says what a parse would say.
        #[test]
        fn the_memo_agrees_with_the_parser(number in 0..100_000_u32, literal in "[a-z0-9 ;()-]{0,12}") {
            let mut memo = memo();
            for (_, _, statement) in statements() {
                memo.classify(statement.as_bytes(), false);
                let text = vary(statement, number, &literal);
                let expected = classify(text.as_bytes(), false);
                prop_assert_eq!(memo.classify(text.as_bytes(), false), &expected, "{}", text);
            }
        }
    }
}
