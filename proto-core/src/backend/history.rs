//! When a link was opened, lent and given back: for people's eyes, no decision reads it.

use crate::time::Instant;

/// When a link was opened, lent and given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When the server let it in; none before.
    pub opened: Option<Instant>,
    /// When it was last lent to a session.
    pub lent: Option<Instant>,
    /// When a session last gave it back.
    pub returned: Option<Instant>,
    /// How often it has been lent.
    pub lends: u64,
}

impl History {
    /// The link is lent.
    pub fn on_lent(&mut self, now: Instant) {
        self.opened.get_or_insert(now);
        self.lent = Some(now);
        self.lends += 1;
    }

    /// The link is in its pool.
    pub fn on_returned(&mut self, now: Instant) {
        self.opened.get_or_insert(now);
        self.returned = Some(now);
    }
}
