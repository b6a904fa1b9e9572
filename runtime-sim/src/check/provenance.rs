//! Knows for every byte that a server says to whose statement it is an answer.
//!
//! The proxy is not asked: the driver notes whose bytes it forwards to a server, the server keeps
//! count of them as it reads, and tags what it says in answer; the driver looks at the tags of
//! whatever it forwards to a client. What the proxy composes itself belongs to nobody, and so does
//! the answer to it: where the proxy speaks in a client's place, [marks](super::marks) tell.

use std::collections::{BTreeMap, VecDeque};

use crate::end::End;

/// Whose a byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whose {
    /// The proxy's own, or nobody's.
    #[default]
    Nobody,
    /// The client's at this end of a connection.
    Client(End),
}

/// Bytes in a row, by whose they are.
#[derive(Debug, Default)]
pub(crate) struct Runs(VecDeque<(usize, Whose)>);

impl Runs {
    /// Adds bytes at the end.
    pub(crate) fn push(&mut self, len: usize, whose: Whose) {
        match self.0.back_mut() {
            Some((last, same)) if *same == whose => *last += len,
            _ if len == 0 => {}
            _ => self.0.push_back((len, whose)),
        }
    }

    /// Adds all of others at the end.
    pub(crate) fn append(&mut self, others: Self) {
        for (len, whose) in others.0 {
            self.push(len, whose);
        }
    }

    /// Takes bytes from the front; those that nobody has noted are nobody's.
    pub(crate) fn take(&mut self, mut len: usize) -> Self {
        let mut taken = Self::default();
        while len > 0 {
            let Some((first, whose)) = self.0.front_mut() else {
                taken.push(len, Whose::Nobody);
                break;
            };
            let part = len.min(*first);
            taken.push(part, *whose);
            len -= part;
            *first -= part;
            if *first == 0 {
                self.0.pop_front();
            }
        }
        taken
    }

    /// Looks at bytes at the front.
    pub(crate) fn first(&self, len: usize) -> Self {
        Self(self.0.clone()).take(len)
    }

    /// Lists the clients whose bytes are among them.
    pub(crate) fn clients(&self) -> impl Iterator<Item = End> {
        self.0.iter().filter_map(|(_, whose)| match whose {
            Whose::Client(client) => Some(*client),
            Whose::Nobody => None,
        })
    }

    /// Whose they are, if they can only be one's.
    ///
    /// # Errors
    /// They are of two clients.
    pub(crate) fn whose(&self) -> Result<Whose, String> {
        let mut clients = self.clients();
        let Some(first) = clients.next() else { return Ok(Whose::Nobody) };
        match clients.find(|other| *other != first) {
            Some(other) => Err(format!("one message has bytes of {first:?} and of {other:?}")),
            None => Ok(Whose::Client(first)),
        }
    }
}

/// What is under way between the proxy and its servers, by the proxy's end of each connection.
#[derive(Debug, Default)]
pub(crate) struct Provenance {
    asked: BTreeMap<End, Runs>,
    said: BTreeMap<End, Runs>,
}

impl Provenance {
    /// Bytes go to a server.
    pub(crate) fn asks(&mut self, server: End, len: usize, whose: Whose) {
        self.asked.entry(server).or_default().push(len, whose);
    }

    /// A server has read bytes.
    pub(crate) fn heard(&mut self, server: End, len: usize) -> Runs {
        self.asked.get_mut(&server).map(|runs| runs.take(len)).unwrap_or_default()
    }

    /// A server says something.
    pub(crate) fn says(&mut self, server: End, runs: Runs) {
        self.said.entry(server).or_default().append(runs);
    }

    /// What a server said has been taken.
    pub(crate) fn taken(&mut self, server: End, len: usize) -> Runs {
        self.said.get_mut(&server).map(|runs| runs.take(len)).unwrap_or_default()
    }

    /// Looks at what a server said next.
    pub(crate) fn next(&self, server: End, len: usize) -> Runs {
        self.said.get(&server).map(|runs| runs.first(len)).unwrap_or_default()
    }

    /// A connection to a server is over.
    pub(crate) fn forget(&mut self, server: End) {
        self.asked.remove(&server);
        self.said.remove(&server);
    }
}

/// Checks that bytes of a server may go to a client.
///
/// # Errors
/// They are an answer to another.
pub(crate) fn may_reach(client: End, runs: &Runs) -> Result<(), String> {
    match runs.clients().find(|whose| *whose != client) {
        Some(whose) => Err(format!("what a server said to {whose:?} reaches {client:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(link: u64) -> End {
        End::near(link)
    }

    #[test]
    fn bytes_keep_their_owners_however_they_are_cut() {
        let mut runs = Runs::default();
        runs.push(3, Whose::Client(end(1)));
        runs.push(2, Whose::Nobody);
        runs.push(4, Whose::Client(end(2)));
        assert_eq!(runs.first(4).whose(), Ok(Whose::Client(end(1))));
        assert!(runs.first(6).whose().is_err());
        assert_eq!(runs.take(5).clients().collect::<Vec<_>>(), [end(1)]);
        assert_eq!(runs.take(9).clients().collect::<Vec<_>>(), [end(2)]);
        assert_eq!(runs.take(1).whose(), Ok(Whose::Nobody));
    }

    #[test]
    fn an_answer_reaches_only_who_has_asked() {
        let mut provenance = Provenance::default();
        let server = end(9);
        provenance.asks(server, 10, Whose::Client(end(1)));
        provenance.asks(server, 5, Whose::Nobody);
        let heard = provenance.heard(server, 10);
        provenance.says(server, heard);
        assert!(may_reach(end(1), &provenance.next(server, 10)).is_ok());
        assert!(may_reach(end(2), &provenance.next(server, 10)).is_err());
        provenance.taken(server, 10);
        let heard = provenance.heard(server, 5);
        provenance.says(server, heard);
        assert!(may_reach(end(2), &provenance.taken(server, 5)).is_ok());
    }
}
