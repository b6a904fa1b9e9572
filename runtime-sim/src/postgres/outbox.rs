//! What a session says: messages composed and held until they are flushed, as PostgreSQL does.

use super::row_set::Header;
use super::value::{Format, Value};
use crate::check::provenance::{Reply, Runs};

/// PostgreSQL's own send buffer; it is flushed when full.
pub(super) const OUTBOX_LEN: usize = 8192;

/// Messages on their way out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// So many bytes may leave.
    /// `flushed <= bytes.len()`
    flushed: usize,
    /// What comes after so many of them is held back.
    held: Option<usize>,
    /// Whose statements the bytes are an answer to.
    runs: Runs<Reply>,
    /// To what the session answers.
    pub(super) reply: Reply,
}

impl Outbox {
    /// Adds a message: `fill` writes its body.
    pub(super) fn message(&mut self, tag: u8, fill: impl FnOnce(&mut Vec<u8>)) {
        let at = self.bytes.len() + 1;
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&[0; 4]);
        fill(&mut self.bytes);
        let len = u32::try_from(self.bytes.len() - at).unwrap_or(u32::MAX);
        if let Some(word) = self.bytes.get_mut(at..at + 4) {
            word.copy_from_slice(&len.to_be_bytes());
        }
        self.runs.push(self.bytes.len() + 1 - at, self.reply);
        if self.bytes.len() >= OUTBOX_LEN {
            self.flush();
        }
    }

    /// Adds bytes that are no message.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.runs.push(bytes.len(), self.reply);
        self.flush();
    }

    /// Lets everything leave.
    pub(super) fn flush(&mut self) {
        self.flushed = self.bytes.len();
    }

    /// Counts the bytes that may leave, as far as nothing is held back.
    pub(super) const fn flushed(&self) -> usize {
        self.flushed
    }

    /// Holds back what comes after so many bytes.
    pub(super) fn hold(&mut self, len: usize) {
        self.held = Some(len);
    }

    /// Holds nothing back any more.
    pub(super) fn release(&mut self) {
        self.held = None;
    }

    /// Gives up what was held back.
    pub(super) fn forfeit(&mut self) {
        if let Some(len) = self.held.take() {
            self.bytes.truncate(len);
            self.flushed = self.flushed.min(len);
            self.runs = self.runs.take(len.min(self.bytes.len()));
        }
    }

    /// What may leave now.
    pub(super) fn leaving(&self) -> &[u8] {
        let len = self.held.unwrap_or(self.flushed);
        self.bytes.get(..len).unwrap_or_default()
    }

    /// So many bytes have left; returns whose statements they are an answer to.
    pub(super) fn left(&mut self, len: usize) -> Runs<Reply> {
        let len = len.min(self.bytes.len());
        self.bytes.drain(..len);
        self.flushed = self.flushed.saturating_sub(len);
        self.held = self.held.map(|held| held.saturating_sub(len));
        self.runs.take(len)
    }

    /// Tells whether everything has left.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Tells whether so much waits to leave that nothing more should be said.
    pub(super) fn is_full(&self) -> bool {
        self.flushed >= OUTBOX_LEN
    }

    pub(super) fn authentication(&mut self, code: u32, rest: &[u8]) {
        self.message(b'R', |body| {
            body.extend_from_slice(&code.to_be_bytes());
            body.extend_from_slice(rest);
        });
    }

    pub(super) fn report(&mut self, tag: u8, severity: &str, code: &str, message: &str) {
        self.message(tag, |body| {
            for (field, value) in
                [(b'S', severity), (b'V', severity), (b'C', code), (b'M', message)]
            {
                body.push(field);
                body.extend_from_slice(value.as_bytes());
                body.push(0);
            }
            body.push(0);
        });
        // PostgreSQL flushes after every error and notice (`send_message_to_frontend`).
        self.flush();
    }

    pub(super) fn texts(&mut self, tag: u8, texts: &[&str]) {
        self.message(tag, |body| {
            for text in texts {
                body.extend_from_slice(text.as_bytes());
                body.push(0);
            }
        });
    }

    pub(super) fn row_description(&mut self, header: &Header, formats: &[Format]) {
        self.message(b'T', |body| {
            let count = u16::try_from(header.len()).unwrap_or(u16::MAX);
            body.extend_from_slice(&count.to_be_bytes());
            for ((name, ty), at) in header.iter().zip(0..) {
                body.extend_from_slice(name.as_bytes());
                body.push(0);
                body.extend_from_slice(&0u32.to_be_bytes());
                body.extend_from_slice(&0u16.to_be_bytes());
                body.extend_from_slice(&ty.oid().to_be_bytes());
                body.extend_from_slice(&ty.len().to_be_bytes());
                body.extend_from_slice(&(-1i32).to_be_bytes());
                let binary = u16::from(format_of(formats, at) == Format::Binary);
                body.extend_from_slice(&binary.to_be_bytes());
            }
        });
    }

    pub(super) fn data_row(&mut self, header: &Header, formats: &[Format], row: &[Value]) {
        self.message(b'D', |body| {
            let count = u16::try_from(row.len()).unwrap_or(u16::MAX);
            body.extend_from_slice(&count.to_be_bytes());
            for ((value, (_, ty)), at) in row.iter().zip(header).zip(0..) {
                match ty.write(format_of(formats, at), value) {
                    Some(bytes) => {
                        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                        body.extend_from_slice(&len.to_be_bytes());
                        body.extend_from_slice(&bytes);
                    }
                    None => body.extend_from_slice(&(-1i32).to_be_bytes()),
                }
            }
        });
    }

    /// Adds a `CopyInResponse` or `CopyOutResponse` in text format.
    pub(super) fn copy_response(&mut self, tag: u8, columns: usize) {
        self.message(tag, |body| {
            body.push(0);
            let count = u16::try_from(columns).unwrap_or(u16::MAX);
            body.extend_from_slice(&count.to_be_bytes());
            body.extend(std::iter::repeat_n(0u8, 2 * usize::from(count)));
        });
    }
}

/// One format stands for all columns, none for text.
fn format_of(formats: &[Format], at: usize) -> Format {
    match formats {
        [one] => *one,
        many => many.get(at).copied().unwrap_or_default(),
    }
}
