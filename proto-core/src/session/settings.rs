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
