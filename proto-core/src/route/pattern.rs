//! Regular expressions of an operator's lists, compiled once when the configuration is read.
//!
//! As in Pgpool-II a pattern must match from begin to end, whatever the case. A text may have line
//! breaks, and a dot matches those too.

use regex_lite::{Regex, RegexBuilder};

/// A regular expression that matches a whole name or text.
#[derive(Clone, Debug)]
pub struct Pattern {
    written: Box<str>,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

/// Why a text is no pattern, in the words of the library that reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern {
    /// A clause in lower case.
    pub why: String,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// It is no regular expression, or too large a one.
    pub fn new(written: &str) -> Result<Self, BadPattern> {
        let whole = format!("^(?:{written})$");
        let regex = RegexBuilder::new(&whole)
            .case_insensitive(true)
            .dot_matches_new_line(true)
            .size_limit(PATTERN_LEN_MAX)
            .build();
        match regex {
            Ok(regex) => Ok(Self { written: written.into(), regex }),
            Err(error) => Err(BadPattern { why: error.to_string() }),
        }
    }

    /// Tells whether it matches all of a text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Returns it as written.
    #[must_use]
    pub const fn written(&self) -> &str {
        &self.written
    }
}

/// Tells whether one of the patterns matches a whole query text, around which blanks, and at whose
/// end a semicolon, do not matter.
pub(super) fn matches_text(patterns: &[Pattern], text: &[u8]) -> bool {
    if patterns.is_empty() {
        return false;
    }
    let text = String::from_utf8_lossy(text);
    let text = text.trim().trim_end_matches(';').trim_end();
    patterns.iter().any(|pattern| pattern.matches(text))
}

/// The largest compiled pattern, in bytes: far more than a list of table names takes, and little
/// enough that a typing error such as `(a{1000}){1000}` is refused.
const PATTERN_LEN_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_from_begin_to_end() {
        let cases: &[(&str, &str, bool)] = &[
            ("get_.*", "get_user", true),
            ("get_.*", "GET_user", true),
            ("get_.*", "forget_user", false),
            ("get|set", "settle", false),
            ("^get$", "get", true),
            ("public\\.f", "public.f", true),
            (".*from secret.*", "select *\nfrom secret where a = 1", true),
            ("[[:alpha:]]+_r[o0]", "list_ro", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Pattern::new(pattern).unwrap().matches(text), *expected, "{pattern} {text}");
        }
    }

    #[test]
    fn bad_patterns_are_refused() {
        for pattern in ["(", "a{2", "[z-a]", "(a{900}){900}", "\\"] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn blanks_around_a_text_do_not_matter() {
        let patterns = [Pattern::new("select 1").unwrap()];
        for (text, expected) in [(" SELECT 1 ;\n", true), ("select 1", true), ("select 12", false)]
        {
            assert_eq!(matches_text(&patterns, text.as_bytes()), expected, "{text}");
        }
        assert!(!matches_text(&[], b"select 1"));
    }
}
