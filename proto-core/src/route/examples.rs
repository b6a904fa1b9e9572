//! Statements with what is to become of them: the table that the tests of this module go by, and
//! that scenarios can play against any server.

use std::borrow::Cow;

/// A statement, and what is decided about it for a session that is free to read anywhere, outside
/// of a transaction, while nothing is known of its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// `primary`, `replica`, or `pgherd` which answers it itself.
    pub side: &'static str,
    /// The word for why ([`Reason::word`](super::class::Reason::word)).
    pub word: &'static str,
    /// What routing takes it for, in a word.
    pub kind: &'static str,
    /// What it changes in the session, in a word; `-` for nothing.
    pub state: &'static str,
    /// The statement.
    pub text: Cow<'static, str>,
}

/// Lists the examples.
pub fn examples() -> impl Iterator<Item = Example> {
    let lines = include_str!("statements.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(example)
}

fn example(line: &'static str) -> Option<Example> {
    let mut columns = line.splitn(5, " | ");
    Some(Example {
        side: columns.next()?,
        word: columns.next()?,
        kind: columns.next()?,
        state: columns.next()?,
        text: match columns.next()? {
            text if text.contains("\\n") => Cow::Owned(text.replace("\\n", "\n")),
            text => Cow::Borrowed(text),
        },
    })
}
