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

/// What is known of a byte.
pub(crate) trait Tag: Copy + Default + PartialEq {
    /// Whose it is.
    fn whose(self) -> Whose;

    /// What is known of the byte that comes so many later, if they are in one run.
    fn after(self, len: usize) -> Self;
}

/// What is known of a byte that is said to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) whose: Whose,
    /// Where it is in what its client has said.
    pub(crate) at: u64,
}

impl Tag for Word {
    fn whose(self) -> Whose {
        self.whose
    }

    fn after(self, len: usize) -> Self {
        match self.whose {
            Whose::Nobody => self,
            Whose::Client(_) => Self { at: self.at + len as u64, ..self },
        }
    }
}

/// What is known of a byte that a server says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Whose message it answers.
    pub(crate) whose: Whose,
    /// Where that message begins in what was said to the server.
    pub(crate) to: u64,
}

impl Tag for Reply {
    fn whose(self) -> Whose {
        self.whose
    }

    fn after(self, _: usize) -> Self {
        self
    }
}

/// Bytes in a row, by what is known of them.
#[derive(Debug, Default)]
pub(crate) struct Runs<T>(VecDeque<(usize, T)>);

impl<T: Tag> Runs<T> {
    /// Adds bytes at the end.
    pub(crate) fn push(&mut self, len: usize, tag: T) {
        match self.0.back_mut() {
            Some((last, same)) if same.after(*last) == tag => *last += len,
            _ if len == 0 => {}
            _ => self.0.push_back((len, tag)),
        }
    }

    /// Adds all of others at the end.
    pub(crate) fn append(&mut self, others: Self) {
        for (len, tag) in others.0 {
            self.push(len, tag);
        }
    }

    /// Takes bytes from the front; those that nobody has noted are nobody's.
    pub(crate) fn take(&mut self, mut len: usize) -> Self {
        let mut taken = Self(VecDeque::new());
        while len > 0 {
            let Some((first, tag)) = self.0.front_mut() else {
                taken.push(len, T::default());
                break;
            };
            let part = len.min(*first);
            taken.push(part, *tag);
            len -= part;
            *first -= part;
            *tag = tag.after(part);
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

    /// Lists the runs: how long each is, and what is known of its first byte.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (usize, T)> {
        self.0.iter().copied()
    }

    /// Lists the clients whose bytes are among them.
    pub(crate) fn clients(&self) -> impl Iterator<Item = End> {
        self.0.iter().filter_map(|(_, tag)| match tag.whose() {
            Whose::Client(client) => Some(client),
            Whose::Nobody => None,
        })
    }

    /// The first byte that is a client's, if they can only be one's.
    ///
    /// # Errors
    /// They are of two clients.
    pub(crate) fn one(&self) -> Result<T, String> {
        let mut clients = self.clients();
        let Some(first) = clients.next() else { return Ok(T::default()) };
        match clients.find(|other| *other != first) {
            Some(other) => Err(format!("one message has bytes of {first:?} and of {other:?}")),
            None => {
                let tags = self.0.iter().map(|(_, tag)| *tag);
                let mut own = tags.filter(|tag| tag.whose() != Whose::Nobody);
                Ok(own.next().unwrap_or_default())
            }
        }
    }
}

/// What is under way between the proxy and its servers, by the proxy's end of each connection.
#[derive(Debug, Default)]
pub(crate) struct Provenance {
    asked: BTreeMap<End, Runs<Word>>,
    said: BTreeMap<End, Runs<Reply>>,
}

impl Provenance {
    /// Bytes go to a server.
    pub(crate) fn asks(&mut self, server: End, len: usize, word: Word) {
        self.asked.entry(server).or_default().push(len, word);
    }

    /// A server has read bytes.
    pub(crate) fn heard(&mut self, server: End, len: usize) -> Runs<Word> {
        self.asked.get_mut(&server).map(|runs| runs.take(len)).unwrap_or_default()
    }

    /// A server says something.
    pub(crate) fn says(&mut self, server: End, runs: Runs<Reply>) {
        self.said.entry(server).or_default().append(runs);
    }

    /// What a server said has been taken.
    pub(crate) fn taken(&mut self, server: End, len: usize) -> Runs<Reply> {
        self.said.get_mut(&server).map(|runs| runs.take(len)).unwrap_or_default()
    }

    /// Looks at what a server said next.
    pub(crate) fn next(&self, server: End, len: usize) -> Runs<Reply> {
        self.said.get(&server).map(|runs| runs.first(len)).unwrap_or_default()
    }

    /// Tells whether something is on its way to a server, or from it.
    pub(crate) fn is_busy(&self, server: End) -> bool {
        self.asked.get(&server).is_some_and(|runs| !runs.0.is_empty())
            || self.said.get(&server).is_some_and(|runs| !runs.0.is_empty())
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
pub(crate) fn may_reach(client: End, runs: &Runs<Reply>) -> Result<(), String> {
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

    fn word(link: u64, at: u64) -> Word {
        Word { whose: Whose::Client(end(link)), at }
    }

    #[test]
    fn bytes_keep_their_owners_and_their_places_however_they_are_cut() {
        let mut runs = Runs::default();
        runs.push(3, word(1, 10));
        runs.push(2, Word::default());
        runs.push(4, word(2, 70));
        assert_eq!(runs.first(4).one(), Ok(word(1, 10)));
        assert!(runs.first(6).one().is_err());
        assert_eq!(runs.take(1).one(), Ok(word(1, 10)));
        assert_eq!(runs.first(2).one(), Ok(word(1, 11)));
        assert_eq!(runs.take(4).clients().collect::<Vec<_>>(), [end(1)]);
        assert_eq!(runs.first(1).one(), Ok(word(2, 70)));
        assert_eq!(runs.take(9).clients().collect::<Vec<_>>(), [end(2)]);
        assert_eq!(runs.take(1).one(), Ok(Word::default()));
    }

    #[test]
    fn an_answer_reaches_only_who_has_asked() {
        let mut provenance = Provenance::default();
        let server = end(9);
        provenance.asks(server, 10, word(1, 0));
        provenance.asks(server, 5, Word::default());
        let answer = |runs: &Runs<Word>, len: usize, to: u64| {
            let mut said = Runs::default();
            said.push(len, Reply { whose: runs.one().unwrap().whose, to });
            said
        };
        let heard = provenance.heard(server, 10);
        provenance.says(server, answer(&heard, 10, 0));
        assert!(may_reach(end(1), &provenance.next(server, 10)).is_ok());
        assert!(may_reach(end(2), &provenance.next(server, 10)).is_err());
        provenance.taken(server, 10);
        let heard = provenance.heard(server, 5);
        provenance.says(server, answer(&heard, 5, 10));
        let said = provenance.taken(server, 5);
        assert!(may_reach(end(2), &said).is_ok());
        assert_eq!(
            said.pieces().collect::<Vec<_>>(),
            [(5, Reply { whose: Whose::Nobody, to: 10 })]
        );
    }
}
