//! What makes the tokens of a text uncertain.

use std::fmt;

/// What makes the tokens of a text uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A literal, a quoted name or a comment does not end.
    Unterminated,
    /// A backslash before a quote, which ends the literal or not according to a setting.
    BackslashBeforeQuote,
    /// A name with Unicode escapes.
    UnicodeName,
    /// A number that runs into a name.
    JunkAfterNumber,
    /// A byte that stands for nothing, or white space that only some readers take for such.
    StrayByte,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unterminated => "a literal, a name or a comment does not end",
            Self::BackslashBeforeQuote => "a backslash stands before a quote",
            Self::UnicodeName => "a name has Unicode escapes",
            Self::JunkAfterNumber => "a number runs into a name",
            Self::StrayByte => "a byte outside of literals stands for nothing",
        })
    }
}
