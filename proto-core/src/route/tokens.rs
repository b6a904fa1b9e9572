//! The tokens of a query text, as PostgreSQL's own scanner cuts them.
//!
//! Everything that depends on where a literal ends is decided here, before any parser sees the
//! text. Where settings of the server or readings of the rules could differ, the text is
//! [`Unreadable`], and goes to the primary.

use super::unreadable::Unreadable;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A keyword or a name without quotes.
    Word,
    /// A name in double quotes.
    QuotedName,
    /// A literal in single quotes and without a prefix.
    Text,
    /// Any other literal with quotes: `E''`, `B''`, `X''`, `N''`, `U&''`, `$$ $$`.
    PrefixedText,
    /// A literal number without a sign.
    Number,
    /// A parameter such as `$1`.
    Parameter,
    /// A comment of either kind.
    Comment,
    /// One byte of an operator or of punctuation.
    Symbol(u8),
}

/// A token and the bytes it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) shape: Shape,
    pub(super) start: usize,
    /// `start < end`
    pub(super) end: usize,
}

impl Token {
    /// Returns the token's bytes.
    pub(super) fn bytes<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// Tells whether the token is a word without quotes, in any case. `word` is in lower case.
    pub(super) fn is_word(&self, text: &[u8], word: &str) -> bool {
        self.shape == Shape::Word && self.bytes(text).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Returns the name after identifier folding, if the token can be a name.
    pub(super) fn name(&self, text: &[u8]) -> Option<String> {
        let bytes = self.bytes(text);
        if self.shape == Shape::Word {
            return Some(String::from_utf8_lossy(bytes).to_ascii_lowercase());
        }
        if self.shape != Shape::QuotedName {
            return None;
        }
        let inner = bytes.get(1..bytes.len().saturating_sub(1)).unwrap_or_default();
        Some(String::from_utf8_lossy(inner).replace("\"\"", "\""))
    }
}

/// Returns a text from its first word on, without the comments and semicolons in front.
pub(crate) fn from_first_word(text: &[u8]) -> &[u8] {
    let mut tokens = Tokens::new(text);
    while let Ok(Some(token)) = tokens.next() {
        if !matches!(token.shape, Shape::Comment | Shape::Symbol(b';')) {
            return text.get(token.start..).unwrap_or_default();
        }
    }
    text
}

/// Cuts a text into tokens. White space is left out, comments are not.
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// Passes over words in ASCII and symbols that begin nothing longer, up to the first token that
    /// may be something else.
    ///
    /// Most of every text is such words, and all of it is looked at again whenever it is sent.
    pub(super) fn skip_plain(&mut self) {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        let (mut len, mut before) = (0, GAP);
        'rest: for chunk in rest.chunks(CHUNK) {
            if let Ok(whole) = <&[u8; CHUNK]>::try_from(chunk)
                && whole.iter().fold(0, |seen, byte| seen | part(*byte)) <= LETTER
            {
                len += CHUNK;
                before = whole.last().map_or(GAP, |byte| part(*byte));
                continue;
            }
            for part in chunk.iter().map(|byte| part(*byte)) {
                if part > DIGIT || (part == DIGIT && before == GAP) {
                    // A word in front may be the beginning of it: the prefix of a literal, or of a
                    // name with other letters in it.
                    let passed = rest.get(..len).unwrap_or_default();
                    len -= passed.iter().rev().take_while(|byte| is_plain_part(**byte)).count();
                    break 'rest;
                }
                (len, before) = (len + 1, part);
            }
        }
        self.at = start + len;
    }

    /// Returns the next token, or nothing at the end of the text.
    pub(super) fn next(&mut self) -> Result<Option<Token>, Unreadable> {
        while self.byte(self.at).is_some_and(is_space) {
            self.at += 1;
        }
        let start = self.at;
        let Some(first) = self.byte(start) else { return Ok(None) };
        let (shape, end) = match (first, self.byte(start + 1)) {
            (b'-', Some(b'-')) => (Shape::Comment, self.line_comment_end(start + 2)?),
            (b'/', Some(b'*')) => (Shape::Comment, self.block_comment_end(start + 2)?),
            (b'\'', _) => (Shape::Text, self.plain_end(start + 1)?),
            (b'"', _) => (Shape::QuotedName, self.quoted_name_end(start + 1)?),
            (b'$', _) => self.dollar(start)?,
            (b'0'..=b'9', _) => (Shape::Number, self.number_end(start)?),
            (b'e' | b'E', Some(b'\'')) => (Shape::PrefixedText, self.escaped_end(start + 2)?),
            (b'b' | b'B' | b'x' | b'X' | b'n' | b'N', Some(b'\'')) => {
                (Shape::PrefixedText, self.plain_end(start + 2)?)
            }
            (b'u' | b'U', Some(b'&')) if self.byte(start + 2) == Some(b'\'') => {
                (Shape::PrefixedText, self.plain_end(start + 3)?)
            }
            (b'u' | b'U', Some(b'&')) if self.byte(start + 2) == Some(b'"') => {
                return Err(Unreadable::UnicodeName);
            }
            _ if is_name_start(first) => (Shape::Word, self.word_end(start)?),
            (0..=b' ' | 0x7f, _) => return Err(Unreadable::StrayByte),
            _ => (Shape::Symbol(first), start + 1),
        };
        self.at = end;
        Ok(Some(Token { shape, start, end }))
    }

    fn line_comment_end(&self, start: usize) -> Result<usize, Unreadable> {
        let rest = self.text.get(start..).unwrap_or_default();
        let len = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        // A comment with a NUL in it would end there for PostgreSQL, and the text with it.
        let comment = rest.get(..len).unwrap_or_default();
        if comment.contains(&0) { Err(Unreadable::StrayByte) } else { Ok(start + len) }
    }

    fn block_comment_end(&self, start: usize) -> Result<usize, Unreadable> {
        let mut depth = 1_usize;
        let mut at = start;
        while depth > 0 {
            match (self.byte(at), self.byte(at + 1)) {
                (Some(b'*'), Some(b'/')) => (depth, at) = (depth - 1, at + 2),
                (Some(b'/'), Some(b'*')) => (depth, at) = (depth + 1, at + 2),
                (Some(0), _) => return Err(Unreadable::StrayByte),
                (Some(_), _) => at += 1,
                (None, _) => return Err(Unreadable::Unterminated),
            }
        }
        Ok(at)
    }

    /// Finds the end of a literal in which only a doubled quote stands for a quote.
    fn plain_end(&self, start: usize) -> Result<usize, Unreadable> {
        let mut at = start;
        loop {
            match self.byte(at).ok_or(Unreadable::Unterminated)? {
                // With standard_conforming_strings off the backslash would take the quote's
                // meaning away, and all that follows would be read inside out.
                b'\\' if self.byte(at + 1) == Some(b'\'') => {
                    return Err(Unreadable::BackslashBeforeQuote);
                }
                b'\'' if self.byte(at + 1) == Some(b'\'') => at += 2,
                b'\'' => return Ok(at + 1),
                0 => return Err(Unreadable::StrayByte),
                _ => at += 1,
            }
        }
    }

    fn escaped_end(&self, start: usize) -> Result<usize, Unreadable> {
        let mut at = start;
        loop {
            match self.byte(at).ok_or(Unreadable::Unterminated)? {
                b'\\' => at += 2,
                b'\'' if self.byte(at + 1) == Some(b'\'') => at += 2,
                b'\'' => return Ok(at + 1),
                0 => return Err(Unreadable::StrayByte),
                _ => at += 1,
            }
        }
    }

    fn quoted_name_end(&self, start: usize) -> Result<usize, Unreadable> {
        let mut at = start;
        loop {
            match self.byte(at).ok_or(Unreadable::Unterminated)? {
                b'"' if self.byte(at + 1) == Some(b'"') => at += 2,
                b'"' => return Ok(at + 1),
                0 => return Err(Unreadable::StrayByte),
                _ => at += 1,
            }
        }
    }

    /// Reads what a dollar sign begins: a parameter or a dollar-quoted literal.
    fn dollar(&self, start: usize) -> Result<(Shape, usize), Unreadable> {
        let mut at = start + 1;
        if self.byte(at).is_some_and(|byte| byte.is_ascii_digit()) {
            while self.byte(at).is_some_and(|byte| byte.is_ascii_digit()) {
                at += 1;
            }
            let has_junk = self.byte(at).is_some_and(|byte| is_name_start(byte) || byte == b'$');
            let junk = Err(Unreadable::JunkAfterNumber);
            return if has_junk { junk } else { Ok((Shape::Parameter, at)) };
        }
        while self.byte(at).is_some_and(|byte| is_name_start(byte) || byte.is_ascii_digit()) {
            at += 1;
        }
        if self.byte(at) != Some(b'$') {
            return Err(Unreadable::StrayByte);
        }
        let delimiter = self.text.get(start..=at).unwrap_or_default();
        let body = self.text.get(at + 1..).unwrap_or_default();
        let len = body.windows(delimiter.len()).position(|window| window == delimiter);
        let len = len.ok_or(Unreadable::Unterminated)?;
        if body.get(..len).is_some_and(|body| body.contains(&0)) {
            return Err(Unreadable::StrayByte);
        }
        Ok((Shape::PrefixedText, at + 1 + len + delimiter.len()))
    }

    fn number_end(&self, start: usize) -> Result<usize, Unreadable> {
        let mut at = start;
        while self.byte(at).is_some_and(|byte| byte.is_ascii_digit()) {
            at += 1;
        }
        // Most numbers are whole.
        if self.byte(at).is_none_or(|byte| byte != b'.' && matches!(part(byte), GAP | OTHER)) {
            return Ok(at);
        }
        while let Some(byte) = self.byte(at) {
            let is_exponent_sign = matches!(byte, b'+' | b'-')
                && matches!(self.byte(at.wrapping_sub(1)), Some(b'e' | b'E'));
            if !(byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E') || is_exponent_sign) {
                break;
            }
            at += 1;
        }
        let number = self.text.get(start..at).unwrap_or_default();
        let has_junk = self.byte(at).is_some_and(|byte| is_name_start(byte) || byte == b'$');
        if has_junk || !is_number(number) {
            return Err(Unreadable::JunkAfterNumber);
        }
        Ok(at)
    }

    fn word_end(&self, start: usize) -> Result<usize, Unreadable> {
        let rest = self.text.get(start..).unwrap_or_default();
        let (mut len, mut seen) = (0, GAP);
        for part in rest.iter().map(|byte| part(*byte)) {
            if part & (LETTER | DIGIT | FOREIGN) == 0 {
                break;
            }
            (len, seen) = (len + 1, seen | part);
        }
        if seen & FOREIGN != 0 {
            let word = rest.get(..len).unwrap_or_default();
            // PostgreSQL takes every such byte for part of the name, others see white space.
            let word = std::str::from_utf8(word).map_err(|_| Unreadable::StrayByte)?;
            if word.chars().any(|c| !c.is_ascii() && !c.is_alphanumeric()) {
                return Err(Unreadable::StrayByte);
            }
        }
        Ok(start + len)
    }
}

/// Tells whether the characters of a number are in order: digits, a fraction, an exponent.
fn is_number(number: &[u8]) -> bool {
    let mut parts = number.splitn(2, |byte| matches!(byte, b'e' | b'E'));
    let mantissa = parts.next().unwrap_or_default();
    let exponent = parts.next().map(|part| match part {
        [b'+' | b'-', digits @ ..] | digits => digits,
    });
    let is_digits = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    mantissa.iter().filter(|byte| **byte == b'.').count() <= 1 && exponent.is_none_or(is_digits)
}

/// White space, and symbols of which none begins a longer token or is part of one.
const GAP: u8 = 0;

/// A part of a name, also its first.
const LETTER: u8 = 1;

/// A part of a name unless it is the first, which would begin something else.
const DIGIT: u8 = 2;

/// A byte of a character beyond ASCII, which PostgreSQL takes for part of a name.
const FOREIGN: u8 = 4;

/// Whatever else there is.
const OTHER: u8 = 8;

/// What each byte may be a part of.
#[expect(clippy::indexing_slicing, reason = "there is a place for every byte")]
static PARTS: [u8; 256] = {
    let mut parts = [FOREIGN; 256];
    let mut byte = 0u8;
    while byte.is_ascii() {
        parts[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => LETTER,
            b'0'..=b'9' | b'$' => DIGIT,
            // Quotes, comments, and the symbol in a literal's prefix.
            b'\'' | b'"' | b'-' | b'/' | b'&' => OTHER,
            b'!'..=b'~' => GAP,
            byte if is_space(byte) => GAP,
            _ => OTHER,
        };
        byte += 1;
    }
    parts
};

fn part(byte: u8) -> u8 {
    PARTS.get(usize::from(byte)).copied().unwrap_or(OTHER)
}

fn is_plain_part(byte: u8) -> bool {
    matches!(part(byte), LETTER | DIGIT)
}

/// Bytes that are looked at together, as long as there are neither digits nor quotes in them.
const CHUNK: usize = 8;

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

const fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(text: &str) -> Result<Vec<(Shape, &str)>, Unreadable> {
        let mut tokens = Tokens::new(text.as_bytes());
        let mut shapes = Vec::new();
        while let Some(token) = tokens.next()? {
            shapes.push((token.shape, &text[token.start..token.end]));
        }
        Ok(shapes)
    }

    #[test]
    fn literals_end_where_postgresql_ends_them() {
        use Shape::{Comment, Number, Parameter, PrefixedText, QuotedName, Symbol, Text, Word};
        let cases: &[(&str, &[(Shape, &str)])] = &[
            ("a1 $1", &[(Word, "a1"), (Parameter, "$1")]),
            ("'it''s' x", &[(Text, "'it''s'"), (Word, "x")]),
            (r"E'it\'s' x", &[(PrefixedText, r"E'it\'s'"), (Word, "x")]),
            ("$$a'b$$", &[(PrefixedText, "$$a'b$$")]),
            ("$q$a$$b$q$", &[(PrefixedText, "$q$a$$b$q$")]),
            ("a$b$c", &[(Word, "a$b$c")]),
            ("\"a\"\"b\"", &[(QuotedName, "\"a\"\"b\"")]),
            ("1.5e-3,2", &[(Number, "1.5e-3"), (Symbol(b','), ","), (Number, "2")]),
            ("/* a /* b */ c */ d", &[(Comment, "/* a /* b */ c */"), (Word, "d")]),
            ("1--x\n2", &[(Number, "1"), (Comment, "--x"), (Number, "2")]),
            ("U&'\\0041'", &[(PrefixedText, "U&'\\0041'")]),
        ];
        for (text, expected) in cases {
            assert_eq!(shapes(text).as_deref(), Ok(*expected), "{text}");
        }
    }

    #[test]
    fn uncertain_texts_are_unreadable() {
        let cases: &[(&str, Unreadable)] = &[
            ("'abc", Unreadable::Unterminated),
            ("/* /* */", Unreadable::Unterminated),
            ("$a$ $b$", Unreadable::Unterminated),
            (r"'a\'", Unreadable::BackslashBeforeQuote),
            ("U&\"a\"", Unreadable::UnicodeName),
            ("1x", Unreadable::JunkAfterNumber),
            ("1..2", Unreadable::JunkAfterNumber),
            ("a\u{a0}b", Unreadable::StrayByte),
            ("a\u{0}b", Unreadable::StrayByte),
        ];
        for (text, expected) in cases {
            assert_eq!(shapes(text), Err(*expected), "{text}");
        }
    }
}
