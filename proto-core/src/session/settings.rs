//! The parameters that a session has set, as the statements that set them.
//!
//! They were carried out on one server connection; before the session uses its other one, they are
//! repeated there, word for word and in order.

use crate::limits;
use crate::wire::frontend;
use bytes::Bytes;

/// The statements, oldest first, each as a `Query` message.
#[derive(Debug, Default)]
pub(super) struct Settings {
    queries: Vec<Bytes>,
    len: usize,
}

impl Settings {
    /// Adds a statement that has taken effect; false if there is no room for it.
    pub(super) fn push(&mut self, text: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(text) else { return false };
        if self.len + text.len() > limits::SETTINGS_LEN_MAX {
            return false;
        }
        self.len += text.len();
        self.queries.push(frontend::compose_query(text));
        true
    }

    /// Returns the statements behind the first `done`.
    pub(super) fn since(&self, done: usize) -> &[Bytes] {
        self.queries.get(done..).unwrap_or_default()
    }

    pub(super) fn count(&self) -> usize {
        self.queries.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Composes the `Query` that gives a connection a session's name.
pub(super) fn name(name: &[u8]) -> Bytes {
    let name = String::from_utf8_lossy(name).replace('\'', "''");
    // A backslash means itself only in the one kind of literal or in the other, depending on
    // `standard_conforming_strings`; doubled behind an E it means itself always.
    let literal = if name.contains('\\') {
        format!("E'{}'", name.replace('\\', "\\\\"))
    } else {
        format!("'{name}'")
    };
    frontend::compose_query(&format!("SET application_name = {literal}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_literal() {
        let cases: &[(&[u8], &str)] = &[
            (b"psql", "SET application_name = 'psql'"),
            (b"o'clock", "SET application_name = 'o''clock'"),
            (b"a\\'; drop", "SET application_name = E'a\\\\''; drop'"),
        ];
        for (given, expected) in cases {
            let query = name(given);
            let text = query.get(5..query.len() - 1).unwrap_or_default();
            assert_eq!(String::from_utf8_lossy(text), *expected);
        }
    }
}
