//! Since when a client waits for the proxy: nobody waits for longer than all that can be waited for.

use pgherd_core::time::Instant;
use pgherd_core::wire::{backend, frontend};

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    /// The client's: it has said nothing since the proxy spoke, or is asked to copy in.
    #[default]
    Clients,
    /// The client has said something.
    Proxys,
}

/// How a client waits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waits {
    since: Instant,
    /// Who has spoken last.
    turn: Turn,
    copies_in: bool,
}

impl Waits {
    /// The client says something.
    pub(crate) fn speaks(&mut self, now: Instant) {
        // Who waits for an answer and says more does not begin to wait anew.
        if self.turn == Turn::Clients {
            self.since = now;
        }
        self.turn = Turn::Proxys;
    }

    /// The client says a message.
    pub(crate) fn says(&mut self, tag: u8) {
        if matches!(tag, frontend::tag::COPY_DONE | frontend::tag::COPY_FAIL) {
            self.copies_in = false;
        }
    }

    /// The client hears something.
    pub(crate) fn hears(&mut self, now: Instant) {
        self.since = now;
        self.turn = Turn::Clients;
    }

    /// The client gets a message.
    pub(crate) fn gets(&mut self, tag: u8) {
        match tag {
            backend::tag::COPY_IN => self.copies_in = true,
            backend::tag::ERROR | backend::tag::READY => self.copies_in = false,
            _ => {}
        }
    }

    /// The client begins to wait anew.
    pub(crate) fn wait_anew(&mut self, now: Instant) {
        self.since = now;
    }

    /// Since when a client waits that is owed an answer. Who is not logged in may be asked for
    /// something.
    pub(crate) fn since(&self, is_logged_in: bool) -> Option<Instant> {
        let is_theirs = self.copies_in || (!is_logged_in && self.turn == Turn::Clients);
        (!is_theirs).then_some(self.since)
    }
}

#[cfg(test)]
mod tests {
    use pgherd_core::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_client_waits_since_it_was_last_told_anything() {
        let mut waits = Waits::default();
        assert_eq!(waits.since(false), None, "it has said nothing");
        waits.speaks(at(1));
        waits.speaks(at(2));
        assert_eq!(waits.since(false), Some(at(1)));
        waits.hears(at(3));
        assert_eq!(waits.since(false), None, "it may be asked for its password");
        assert_eq!(waits.since(true), Some(at(3)));
        waits.speaks(at(4));
        assert_eq!(waits.since(true), Some(at(4)));
        waits.wait_anew(at(5));
        assert_eq!(waits.since(true), Some(at(5)));
        waits.gets(backend::tag::COPY_IN);
        assert_eq!(waits.since(true), None, "it is waited for");
        waits.says(frontend::tag::COPY_DONE);
        assert_eq!(waits.since(true), Some(at(5)));
    }
}
