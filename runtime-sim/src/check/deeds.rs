//! What servers have done, and for which message: nothing that a client has said once may have an
//! effect twice, whatever is sent again, to whom, and in whose words.
//!
//! A server tells of each message that has changed something that lasts, when that is committed.
//! What was forwarded of a client's is known by its place in what the client has said. What the
//! proxy has composed, or said again, is nobody's; whoever gets the answer has asked for it, and it
//! is that one's turn of which the answer is next: a query, or everything up to a `Sync`. Of one
//! turn everything is done by one session of a server, either as it was forwarded or as it was
//! composed, and each message once. Reads may be repeated, and so may what was refused or rolled
//! back: nothing was done.

use std::collections::{BTreeMap, BTreeSet};

use pgherd_core::wire::frontend::tag;

use super::provenance::{Whose, Word};
use crate::end::End;

/// Whose message does something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Author {
    /// Whose it is, and where it is in what its client has said.
    pub(crate) word: Word,
    /// Where it begins in what was said to the server.
    pub(crate) at: u64,
}

/// What has done something in a client's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Deed {
    /// The proxy's end of the connection to the server.
    server: End,
    /// Where the message began that was carried out, in what was said there.
    at: u64,
    /// Where it is in what the client has said, if it was forwarded.
    forwarded: Option<u64>,
}

/// The turns of one client.
#[derive(Debug, Default)]
struct Turns {
    /// Where each of them ends in what the client has said, and whether it is a query.
    ends: Vec<(u64, bool)>,
    /// What was done in each.
    deeds: BTreeMap<usize, Vec<Deed>>,
    /// A client that copies in between the turns of the extended protocol says more `Sync`s than
    /// are answered; of whose turn an answer is can no longer be told.
    uncounted: bool,
}

/// What was done for whom.
#[derive(Debug, Default)]
pub(crate) struct Deeds {
    clients: BTreeMap<End, Turns>,
    /// Messages that were carried out and are nobody's so far, by the proxy's end of the connection
    /// and their place in what was said there.
    unclaimed: BTreeSet<(End, u64)>,
}

impl Deeds {
    /// A client has said a message that ends there.
    pub(crate) fn said(&mut self, client: End, tag: u8, end: u64) {
        let turns = self.clients.entry(client).or_default();
        match tag {
            tag::QUERY | tag::FUNCTION_CALL => turns.ends.push((end, true)),
            tag::SYNC => turns.ends.push((end, false)),
            tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL => {
                turns.uncounted |= turns.ends.last().is_none_or(|(_, is_query)| !is_query);
            }
            _ => {}
        }
    }

    /// A server has done something that lasts for a message.
    ///
    /// # Errors
    /// The message had done something before.
    pub(crate) fn done(&mut self, server: End, author: Author) -> Result<(), String> {
        let Author { word, at } = author;
        match word.whose {
            Whose::Nobody => {
                self.unclaimed.insert((server, at));
                Ok(())
            }
            Whose::Client(client) => {
                let turns = self.clients.entry(client).or_default();
                let turn = turns.ends.partition_point(|(end, _)| *end <= word.at);
                turns.note(client, turn, Deed { server, at, forwarded: Some(word.at) })
            }
        }
    }

    /// A client gets the answer to something that was nobody's so far, in this turn of its.
    ///
    /// # Errors
    /// In this turn something was done before.
    pub(crate) fn answered(
        &mut self,
        client: End,
        turn: usize,
        server: End,
        at: u64,
    ) -> Result<(), String> {
        if !self.unclaimed.remove(&(server, at)) {
            return Ok(());
        }
        let turns = self.clients.entry(client).or_default();
        if turns.uncounted {
            return Ok(());
        }
        turns.note(client, turn, Deed { server, at, forwarded: None })
    }
}

impl Turns {
    fn note(&mut self, client: End, turn: usize, deed: Deed) -> Result<(), String> {
        let is_query = self.ends.get(turn).is_some_and(|(_, is_query)| *is_query);
        let deeds = self.deeds.entry(turn).or_default();
        let earlier = deeds.iter().find(|earlier| {
            let same_place = (earlier.server, earlier.at) == (deed.server, deed.at);
            let is_other_way = earlier.server != deed.server
                || earlier.forwarded.is_some() != deed.forwarded.is_some();
            let is_same = deed.forwarded.is_some() && earlier.forwarded == deed.forwarded;
            !same_place && (is_other_way || is_same || is_query)
        });
        if let Some(Deed { server, at, .. }) = earlier {
            return Err(format!(
                "turn {turn} of {client:?} was carried out at {at} of {server:?}, and again at {} \
                 of {:?}",
                deed.at, deed.server
            ));
        }
        deeds.push(deed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: End = End::near(1);
    const SERVER: End = End::near(8);
    const OTHER: End = End::near(9);

    fn of(client: End, place: u64, at: u64) -> Author {
        Author { word: Word { whose: Whose::Client(client), at: place }, at }
    }

    fn nobodys(at: u64) -> Author {
        Author { word: Word::default(), at }
    }

    /// A client that has said two queries and a batch of two statements.
    fn deeds() -> Deeds {
        let mut deeds = Deeds::default();
        for (tag, end) in [
            (tag::QUERY, 120),
            (tag::QUERY, 140),
            (tag::EXECUTE, 150),
            (tag::EXECUTE, 160),
            (tag::SYNC, 165),
        ] {
            deeds.said(CLIENT, tag, end);
        }
        deeds
    }

    #[test]
    fn what_was_forwarded_is_done_once() {
        let mut deeds = deeds();
        assert_eq!(deeds.done(SERVER, of(CLIENT, 100, 500)), Ok(()));
        assert_eq!(deeds.done(SERVER, of(CLIENT, 100, 500)), Ok(()), "it commits twice");
        assert_eq!(deeds.done(SERVER, of(CLIENT, 120, 520)), Ok(()));
        assert_eq!(deeds.done(SERVER, of(CLIENT, 140, 540)), Ok(()));
        assert_eq!(deeds.done(SERVER, of(CLIENT, 150, 550)), Ok(()));
        assert_eq!(deeds.done(OTHER, of(End::near(2), 100, 500)), Ok(()), "another client");
        assert!(deeds.done(SERVER, of(CLIENT, 150, 600)).is_err(), "the same session");
        assert!(deeds.done(OTHER, of(CLIENT, 100, 500)).is_err(), "another session");
        assert!(deeds.done(OTHER, of(CLIENT, 150, 500)).is_err(), "of the batch");
    }

    #[test]
    fn what_was_composed_is_whose_answer_it_has() {
        let mut deeds = deeds();
        assert_eq!(deeds.done(SERVER, of(CLIENT, 100, 500)), Ok(()));
        assert_eq!(deeds.done(OTHER, nobodys(300)), Ok(()));
        assert_eq!(deeds.answered(CLIENT, 1, OTHER, 300), Ok(()), "the next turn");
        assert_eq!(deeds.answered(CLIENT, 1, OTHER, 300), Ok(()), "the rest of that answer");
        assert_eq!(deeds.answered(CLIENT, 0, OTHER, 200), Ok(()), "it has done nothing");
        assert_eq!(deeds.done(OTHER, nobodys(400)), Ok(()));
        assert!(deeds.answered(CLIENT, 0, OTHER, 400).is_err(), "it was forwarded before");
        assert_eq!(deeds.done(SERVER, nobodys(900)), Ok(()));
        assert!(deeds.answered(CLIENT, 1, SERVER, 900).is_err(), "it was composed before");
        assert!(deeds.done(OTHER, of(CLIENT, 120, 950)).is_err(), "it is forwarded afterwards");
    }

    #[test]
    fn turns_are_not_told_apart_that_cannot_be() {
        let mut deeds = deeds();
        deeds.said(CLIENT, tag::COPY_DONE, 170);
        assert_eq!(deeds.done(SERVER, of(CLIENT, 100, 500)), Ok(()));
        assert_eq!(deeds.done(OTHER, nobodys(300)), Ok(()));
        assert_eq!(deeds.answered(CLIENT, 0, OTHER, 300), Ok(()));
    }
}
