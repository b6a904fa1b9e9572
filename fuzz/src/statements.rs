//! What statements do.

use pgherd_core::entropy::Entropy;
use pgherd_core::route::class::{Class, Kind};
use pgherd_core::route::classify::classify as parse;
use pgherd_core::route::lore::Lore;
use pgherd_core::route::memo::Memo;
use pgherd_core::route::rules::{Comments, Rules};

/// A text is told to do the same whether it was seen before or not, and never to only read when it
/// holds a word that writes outside of literals.
///
/// The first byte tells whether comments are allowed in front.
pub fn classify(data: &[u8]) {
    let Some((first, text)) = data.split_first() else { return };
    let rules = Rules::default();
    let with = |comments| Lore { comments, ..Lore::bare(&rules) };
    let (lore, other) = match first & 1 {
        0 => (with(Comments::Bind), with(Comments::Ignored)),
        _ => (with(Comments::Ignored), with(Comments::Bind)),
    };
    let class = parse(text, &lore);
    let mut memo = Memo::new(&mut Entropy::from_seed([7; 32]));
    for time in ["first", "second"] {
        let remembered = memo.classify(text, &lore);
        assert_eq!(remembered, &class, "asked for the {time} time");
    }
    assert_eq!(memo.classify(text, &other), &parse(text, &other), "the other way");
    assert!(!class.reason.to_string().is_empty());
    check_reads(text, &class);
}

/// Words that no text without quotes and comments can hold and only read.
const WRITING: [&[u8]; 8] =
    [b"insert", b"update", b"delete", b"merge", b"truncate", b"drop", b"alter", b"nextval"];

/// A text of plain words, blanks and signs cannot hide anything, so a word that writes in it must
/// be seen, however the rest of it looks.
fn check_reads(text: &[u8], class: &Class) {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" \n\t_,;()*=<>+.".contains(byte);
    if class.kind != Kind::Read || !text.iter().all(is_plain) {
        return;
    }
    // As a name (`select 1 as update`, `t.delete`) such a word is harmless, so only those that
    // begin a statement count: at the start, after a semicolon, and behind `as (` in a WITH.
    let lower = text.to_ascii_lowercase();
    let is_break = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'_';
    let words: Vec<&[u8]> = lower.split(is_break).filter(|word| !word.is_empty()).collect();
    let first = words.first().copied().unwrap_or_default();
    assert!(!WRITING.contains(&first), "{} only reads?", String::from_utf8_lossy(text));
    let calls = lower.windows(8).any(|w| w == b"nextval(");
    assert!(!calls, "{} only reads?", String::from_utf8_lossy(text));
}
