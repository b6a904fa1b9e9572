//! Remembers what texts do, so that a text is parsed once and not once per execution.
//!
//! The key is the text with every number and every plain string literal replaced by a mark and
//! every comment by another: what a statement does never depends on the value of a literal, and a
//! client that writes its values into the text would otherwise be parsed each time. Literals with a
//! prefix and quoted names stay as they are. The keys are compared in full, so two texts are never
//! taken for one another; the hash, keyed so that no client can aim at one bucket, only finds the
//! place.

use super::class::{Class, Reason};
use super::classify::{QUERY_TEXT_LEN_MAX, classify, forbids_balancing};
use super::lore::Lore;
use super::rules::Comments;
use super::tokens::{Shape, Token, Tokens};
use super::unreadable::Unreadable;
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
    /// What the hash depends on beside the text. The second is odd.
    key: [u64; 2],
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
            key: [entropy.next_u64(), entropy.next_u64() | 1],
            hand: 0,
            bytes: 0,
            scratch: Vec::new(),
            passing: Class::write(Reason::NothingToRun),
            hits: 0,
            misses: 0,
        }
    }

    /// Tells what a text does, as [`classify`] would, unless a standby has refused it.
    pub fn classify(&mut self, text: &[u8], lore: &Lore<'_>) -> &Class {
        if !self.write_key(text, lore) {
            // Neither costs a parse.
            self.passing = classify(text, lore);
            return &self.passing;
        }
        let hash = self.hash();
        if let Some(index) = self.find(hash) {
            self.hits += 1;
            return self.class_at(index);
        }
        self.misses += 1;
        let class = classify(text, lore);
        let index = self.insert(hash, class);
        self.class_at(index)
    }

    /// Remembers that a standby has refused a text: from now on it is for the primary, and so are
    /// all that differ from it in nothing but literals.
    pub fn refuse(&mut self, text: &[u8], lore: &Lore<'_>) {
        let class = self.classify(text, lore).clone().bound(Reason::RefusedByStandby);
        if !self.write_key(text, lore) {
            return;
        }
        let hash = self.hash();
        if let Some(index) = self.find(hash)
            && let Some(Some(entry)) = self.entries.get_mut(index)
        {
            entry.class = class;
        }
    }

    /// Writes the key of a text; false if it is not worth remembering.
    ///
    /// The database and the edition of its catalog are in it, and the rules, so that what was known
    /// under others is not asked for again and makes room with time.
    fn write_key(&mut self, text: &[u8], lore: &Lore<'_>) -> bool {
        let out = &mut self.scratch;
        // Patterns of the operator's see literals and comments.
        let literals =
            if lore.rules.primary_texts.is_empty() { Literals::Marked } else { Literals::Kept };
        if text.len() > QUERY_TEXT_LEN_MAX || normalise(text, literals, out).is_err() {
            return false;
        }
        out.extend_from_slice(&lore.database.to_be_bytes());
        out.extend_from_slice(&lore.generation.to_be_bytes());
        out.extend_from_slice(&lore.rules.stamp().to_be_bytes());
        out.push(u8::from(lore.comments == Comments::Ignored));
        true
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

    /// Hashes the text in hand, eight bytes at a time.
    ///
    /// Less than a cryptographic hash is enough. Which texts meet in a bucket depends on a key that
    /// no client knows; one that found some out by the clock would gain that they are parsed, as
    /// texts that nobody has sent before are anyway.
    fn hash(&self) -> u64 {
        let [seed, factor] = self.key;
        let (words, rest) = self.scratch.as_chunks::<8>();
        let mut last = [0; 8];
        for (byte, place) in rest.iter().zip(&mut last) {
            *place = *byte;
        }
        let start = mix(seed ^ self.scratch.len() as u64, factor);
        let mixed =
            words.iter().fold(start, |hash, word| mix(hash ^ u64::from_le_bytes(*word), factor));
        mix(mixed ^ u64::from_le_bytes(last), factor)
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

/// Folds the product of two words into one.
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// What becomes of literals and comments in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Literals {
    /// A mark stands for each.
    Marked,
    /// They stay.
    Kept,
}

/// Writes the text with its literals and comments replaced by marks.
///
/// No mark can be mistaken for a byte of the text: the scanner refuses such bytes outside of
/// literals and quoted names, which keep their quotes.
fn normalise(text: &[u8], literals: Literals, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    normalise_by(text, literals, out, |tokens| {
        tokens.skip_plain();
        tokens.next()
    })
}

/// Does so with the tokens that `next` finds, which may leave out what stays as it is.
fn normalise_by<'a>(
    text: &'a [u8],
    literals: Literals,
    out: &mut Vec<u8>,
    next: impl Fn(&mut Tokens<'a>) -> Result<Option<Token>, Unreadable>,
) -> Result<(), Unreadable> {
    out.clear();
    let mut copied = 0;
    let mut tokens = Tokens::new(text);
    while let Some(token) = next(&mut tokens)? {
        let mark = match token.shape {
            _ if literals == Literals::Kept => continue,
            Shape::Number => 1,
            Shape::Text => 2,
            Shape::Comment if forbids_balancing(token.bytes(text)) => 4,
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

    use super::super::catalog::Reader;
    use super::super::class::Kind;
    use super::super::examples::examples;
    use super::super::pattern::Pattern;
    use super::super::rules::{FunctionRule, Rules};
    use super::*;

    fn lore() -> Lore<'static> {
        Lore::bare(&NO_RULES)
    }

    static NO_RULES: std::sync::LazyLock<Rules> = std::sync::LazyLock::new(Rules::default);

    fn memo() -> Memo {
        Memo::new(&mut Entropy::from_seed([3; 32]))
    }

    #[test]
    fn texts_that_differ_in_literals_are_one() {
        let mut memo = memo();
        for aid in 0..100 {
            let text = format!("SELECT abalance FROM accounts WHERE aid = {aid} AND x = 'v{aid}'");
            let expected = classify(text.as_bytes(), &lore());
            assert_eq!(*memo.classify(text.as_bytes(), &lore()), expected);
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
            assert_eq!(
                *memo.classify(text.as_bytes(), &lore()),
                classify(text.as_bytes(), &lore())
            );
        }
        assert_eq!(memo.misses(), u64::try_from(texts.len()).unwrap());
        let allowed = Lore { comments: Comments::Ignored, ..lore() };
        let commented = memo.classify(b"/* 1 */ select 1", &allowed).clone();
        assert_ne!(commented, *memo.classify(b"/* 2 */ select 1", &lore()));
        assert_eq!(commented, *memo.classify(b"/* 2 */ select 1", &allowed));
        let forbidden = memo.classify(b"/*NO LOAD BALANCE*/ select 1", &allowed);
        assert_eq!(forbidden.reason, Reason::NoLoadBalance);
    }

    #[test]
    fn other_lore_is_another_text() {
        let mut memo = memo();
        let mut reader = Reader::new();
        reader.fact([b"f", b"total", b""]);
        let catalog = reader.finish();
        let known = Lore { generation: 1, catalog: &catalog, ..lore() };
        assert_eq!(memo.classify(b"select total()", &lore()).kind, Kind::Write);
        assert_eq!(memo.classify(b"select total()", &known).kind, Kind::Read);
        assert_eq!(memo.classify(b"select total()", &lore()).kind, Kind::Write);
        let elsewhere = Lore { database: 1, ..lore() };
        assert_eq!(memo.classify(b"select total()", &elsewhere).kind, Kind::Write);
        assert_eq!((memo.hits(), memo.misses()), (1, 3));
    }

    #[test]
    fn patterns_see_literals() {
        let pattern = Pattern::new(".*'secret'.*").unwrap();
        let rules = Rules::new(FunctionRule::Catalog, vec![], vec![pattern], Comments::Bind);
        let lore = Lore::bare(&rules);
        let mut memo = memo();
        for _ in 0..2 {
            assert_eq!(memo.classify(b"select 'x'", &lore).kind, Kind::Read);
            assert_eq!(memo.classify(b"select 'secret'", &lore).reason, Reason::ListedText);
        }
        assert_eq!((memo.hits(), memo.misses()), (2, 2));
    }

    #[test]
    fn what_a_standby_refused_is_the_primarys() {
        let mut memo = memo();
        assert_eq!(memo.classify(b"select * from v where a = 1", &lore()).kind, Kind::Read);
        memo.refuse(b"select * from v where a = 1", &lore());
        let class = memo.classify(b"select * from v where a = 2", &lore());
        assert_eq!((class.kind, &class.reason), (Kind::Write, &Reason::RefusedByStandby));
        // One that was never asked for.
        memo.refuse(b"select * from w", &lore());
        assert_eq!(memo.classify(b"select * from w", &lore()).reason, Reason::RefusedByStandby);
        let elsewhere = Lore { database: 1, ..lore() };
        assert_eq!(memo.classify(b"select * from v where a = 2", &elsewhere).kind, Kind::Read);
    }

    #[test]
    fn the_memo_is_bounded() {
        let mut memo = memo();
        for number in 0..10_000_u32 {
            let text = format!("select c{number}, \"{}\"", "x".repeat(1500));
            memo.classify(text.as_bytes(), &lore());
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
            memo.classify(b"select often", &lore());
            memo.classify(format!("select c{number}").as_bytes(), &lore());
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

    fn careful_key(text: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let mut out = Vec::new();
        let next = |tokens: &mut Tokens<'_>| tokens.next();
        normalise_by(text, Literals::Marked, &mut out, next).map(|()| out)
    }

    fn quick_key(text: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let mut out = Vec::new();
        normalise(text, Literals::Marked, &mut out).map(|()| out)
    }

    #[test]
    fn keys_of_examples_are_those_of_their_tokens() {
        for example in examples() {
            let text = example.text.as_bytes();
            for end in 0..=text.len() {
                let (text, _) = text.split_at(end);
                assert_eq!(quick_key(text), careful_key(text), "{}", text.escape_ascii());
            }
        }
    }

    /// Pieces that begin, end or prefix something, and pieces that seem to.
    const PIECES: &[&str] = &[
        "a", "e", "E", "b", "n", "x", "u", "U&", "&", "'", "''", "\"", "$", "$$", "$q$", "$1", "1",
        "23", ".", "+", "-", "--", "/", "/*", "*/", "*", "(", ";", " ", "\n", "\t", "\\", "\0",
        "\u{1}", "\u{b}", "\u{7f}", "\u{a0}", "é", "_", "t1_0", "select", "abalance", "customer",
    ];

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let text = proptest::collection::vec(proptest::sample::select(PIECES), 0..24);
        text.prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// What is passed over is what would have stayed as it is.
        #[test]
        fn keys_are_those_of_tokens(text in prop_oneof![pieces(), any::<Vec<u8>>()]) {
            prop_assert_eq!(quick_key(&text), careful_key(&text));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever the literals, the memo says what a parse would say.
        #[test]
        fn the_memo_agrees_with_the_parser(number in 0..100_000_u32, literal in "[a-z0-9 ;()-]{0,12}") {
            let mut memo = memo();
            for example in examples() {
                memo.classify(example.text.as_bytes(), &lore());
                let text = vary(&example.text, number, &literal);
                let expected = classify(text.as_bytes(), &lore());
                prop_assert_eq!(memo.classify(text.as_bytes(), &lore()), &expected, "{}", text);
            }
        }
    }
}
