//! Cuts what came into messages.

use super::message::{self, Message};

/// Bytes that came and are not a whole message yet.
#[derive(Debug, Default)]
pub struct Reader {
    unread: Vec<u8>,
    /// How much of `unread` was read already; removed in one go, so that a large read of small
    /// messages costs no more than its length.
    at: usize,
    /// Bytes of a message's body that are still to come and that nobody wants.
    unwanted: usize,
    data: Data,
    len: u64,
    count: u64,
}

/// What becomes of rows and copied data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Data {
    #[default]
    Kept,
    Counted,
}

impl Reader {
    /// From now on `DataRow` and `CopyData` are counted, and not returned.
    pub fn keep_no_data(&mut self) {
        self.data = Data::Counted;
    }

    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.unread.drain(..self.at);
        self.at = 0;
        self.unread.extend_from_slice(bytes);
    }

    fn note_data(&mut self, word: usize) {
        self.len += word as u64 - 4;
        self.count += 1;
    }

    /// Returns the bytes and the number of data messages since the last call.
    pub fn take_counts(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.len), std::mem::take(&mut self.count))
    }

    /// Tells whether everything that came was whole messages.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.at == self.unread.len() && self.unwanted == 0
    }

    /// Reads the next message.
    #[allow(clippy::should_implement_trait, reason = "more may come after none")]
    pub fn next(&mut self) -> Option<Result<Message, String>> {
        loop {
            let unread = &self.unread[self.at..];
            if self.unwanted > 0 {
                let len = self.unwanted.min(unread.len());
                self.unwanted -= len;
                self.at += len;
                if self.unwanted > 0 {
                    return None;
                }
                continue;
            }
            let [tag, a, b, c, d, ..] = *unread else { return None };
            let word = u32::from_be_bytes([a, b, c, d]) as usize;
            if !(4..=LEN_MAX).contains(&word) {
                let tag = char::from(tag);
                return Some(Err(format!("message {tag:?} claims a length of {word}")));
            }
            let is_data = matches!(tag, b'D' | b'd');
            if is_data && self.data == Data::Counted {
                self.note_data(word);
                self.at += 5;
                self.unwanted = word - 4;
                continue;
            }
            let body = unread.get(5..word + 1)?;
            let message = message::parse(tag, body);
            if is_data {
                self.note_data(word);
            }
            self.at += word + 1;
            return Some(message);
        }
    }
}

/// Splits the first whole message off: its tag, its body and what follows.
#[must_use]
pub fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, a, b, c, d, ..] = *bytes else { return None };
    let end = 1 + u32::from_be_bytes([a, b, c, d]) as usize;
    Some((tag, bytes.get(5..end)?, bytes.get(end..)?))
}

/// No server sends a longer message, since it cannot allocate one.
const LEN_MAX: usize = 0x4000_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_however_they_are_cut() {
        let bytes = b"D\0\0\0\x06\0\0Z\0\0\0\x05I";
        for keep in [true, false] {
            let mut reader = Reader::default();
            if !keep {
                reader.keep_no_data();
            }
            let mut read = Vec::new();
            for byte in bytes {
                reader.feed(&[*byte]);
                read.extend(reader.next().map(Result::unwrap));
            }
            let ready = Message::ReadyForQuery(b'I');
            let expected = if keep { vec![Message::DataRow(vec![]), ready] } else { vec![ready] };
            assert_eq!(read, expected, "keep {keep}");
            assert!(reader.is_between_messages());
            assert_eq!(reader.take_counts(), (2, 1));
        }
    }

    #[test]
    fn a_lying_length_is_told() {
        let mut reader = Reader::default();
        reader.feed(b"D\x7f\xff\xff\xff");
        assert!(reader.next().unwrap().is_err());
    }
}
