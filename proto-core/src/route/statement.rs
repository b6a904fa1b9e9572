//! The tokens of one statement, and what is asked of them.

use super::tokens::{Shape, Token};

/// The tokens of one statement, without comments.
#[derive(Clone, Copy)]
pub(super) struct Statement<'a> {
    pub(super) text: &'a [u8],
    pub(super) tokens: &'a [Token],
}

impl<'a> Statement<'a> {
    /// Returns the words in lower case and the symbols as they are; all else, quoted names and
    /// literals, as a quote.
    pub(super) fn words(&self) -> Vec<String> {
        let word = |token: &Token| match token.shape {
            Shape::Word | Shape::Symbol(_) => {
                String::from_utf8_lossy(token.bytes(self.text)).to_ascii_lowercase()
            }
            Shape::QuotedName => "\"".to_owned(),
            Shape::Text
            | Shape::PrefixedText
            | Shape::Number
            | Shape::Parameter
            | Shape::Comment => "'".to_owned(),
        };
        self.tokens.iter().take(WORDS_MAX).map(word).collect()
    }

    pub(super) fn name(&self, index: usize) -> Option<String> {
        self.tokens.get(index)?.name(self.text)
    }

    pub(super) fn from(&self, index: usize) -> Statement<'a> {
        Statement { text: self.text, tokens: self.tokens.get(index..).unwrap_or_default() }
    }

    /// Reads the name of a relation, part by part, and tells which token follows it.
    pub(super) fn relation(&self, start: usize) -> (Vec<String>, usize) {
        let mut at = start;
        let mut parts = Vec::new();
        while let Some(part) = self.name(at) {
            parts.push(part);
            at += 1;
            if self.tokens.get(at).is_none_or(|token| token.shape != Shape::Symbol(b'.')) {
                break;
            }
            at += 1;
        }
        (parts, at)
    }

    /// Tells whether a word occurs anywhere outside of literals and quoted names.
    pub(super) fn has_word(&self, word: &str) -> bool {
        self.tokens.iter().any(|token| token.is_word(self.text, word))
    }

    /// Finds the `ONLY`s in front of tables; the others end `FETCH FIRST … ROWS ONLY`.
    pub(super) fn onlys(&self) -> impl Iterator<Item = &'a Token> {
        let text = self.text;
        let pairs = self.tokens.iter().zip(self.tokens.iter().skip(1));
        pairs
            .filter(move |(before, token)| {
                let ends = ["row", "rows"].iter().any(|word| before.is_word(text, word));
                token.is_word(text, "only") && !ends && before.shape != Shape::Symbol(b'.')
            })
            .map(|(_, token)| token)
    }

    /// Tells whether temporary relations are spoken of.
    pub(super) fn mentions_temporary(&self) -> bool {
        self.tokens
            .iter()
            .filter_map(|token| token.name(self.text))
            .any(|name| matches!(&*name, "temp" | "temporary") || name.starts_with("pg_temp"))
    }

    /// Tells whether these are the options of a `COPY`, in parentheses or the two common old ones.
    pub(super) fn is_copy_options(&self) -> bool {
        let words = self.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let options = match words.as_slice() {
            ["with", rest @ ..] | rest => rest,
        };
        match options {
            [] | ["csv" | "binary"] | ["csv", "header"] => true,
            ["(", inner @ .., ")"] if self.tokens.len() == words.len() => {
                let mut before = inner
                    .iter()
                    .scan("", |before, word| Some((std::mem::replace(before, word), *word)));
                before.all(|(before, word)| word != "(" || before.starts_with("force_"))
            }
            _ => false,
        }
    }

    /// Finds the token after the parenthesis that closes the one at `open`.
    pub(super) fn after_parenthesis(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (index, token) in self.tokens.iter().enumerate().skip(open) {
            match token.shape {
                Shape::Symbol(b'(') => depth += 1,
                Shape::Symbol(b')') => depth = depth.checked_sub(1)?,
                Shape::Symbol(_)
                | Shape::Word
                | Shape::QuotedName
                | Shape::Text
                | Shape::PrefixedText
                | Shape::Number
                | Shape::Parameter
                | Shape::Comment => {}
            }
            if depth == 0 {
                return Some(index + 1);
            }
        }
        None
    }
}

/// Words of a statement that are looked at from its front. Longer than any transaction's modes.
const WORDS_MAX: usize = 32;
