//! Where packets of PCP begin and end, and how they are composed.
//!
//! The framing is PostgreSQL's: a type byte, a length that counts itself and the payload, the
//! payload. Numbers in payloads are decimal text, and every text ends with a NUL; there is one
//! exception, [`super::reply::pool_status`].

use crate::limits;
use crate::wire::word;
use bytes::{BufMut, Bytes, BytesMut};
use std::fmt::Display;
use std::panic::Location;

/// Length of a packet's type byte and length word.
pub const HEADER_LEN: usize = 5;

/// A packet that is in view whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its type byte.
    pub tag: u8,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl Packet<'_> {
    /// Its length, header included.
    #[must_use]
    pub const fn len(&self) -> usize {
        HEADER_LEN + self.payload.len()
    }

    /// Tells whether it has no payload.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }
}

/// A packet's length that cannot be, as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLength(pub i32);

/// Looks at the packet at the front of `unread`; none if more of it must come first. `len_max` is
/// the longest that is taken, in bytes, its type byte not counted.
///
/// # Errors
/// The length is impossible: nothing behind it can be read.
pub fn peek(unread: &[u8], len_max: usize) -> Result<Option<Packet<'_>>, BadLength> {
    let (Some(tag), Some(length)) = (unread.first(), word(unread, 1)) else {
        return Ok(None);
    };
    let len = usize::try_from(length).unwrap_or(usize::MAX);
    if !(4..=len_max).contains(&len) {
        return Err(BadLength(length.cast_signed()));
    }
    Ok(unread.get(HEADER_LEN..=len).map(|payload| Packet { tag: *tag, payload }))
}

/// Packets that are being composed, one behind the other.
#[derive(Debug, Default)]
pub struct Composer(BytesMut);

impl Composer {
    /// Appends a packet whose payload `fill` writes.
    #[must_use]
    pub fn packet(mut self, tag: u8, fill: impl FnOnce(&mut Payload<'_>)) -> Self {
        self.0.put_u8(tag);
        let at = self.0.len();
        self.0.put_u32(0);
        fill(&mut Payload(&mut self.0));
        // What pgherd composes is bounded by its configuration and is far shorter than this.
        let length = u32::try_from(self.0.len() - at).unwrap_or(u32::MAX);
        if let Some(place) = self.0.get_mut(at..at + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        self
    }

    /// Hands over what was composed.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.0.freeze()
    }
}

/// The payload of a packet that is being composed.
#[derive(Debug)]
pub struct Payload<'a>(&'a mut BytesMut);

impl Payload<'_> {
    /// Appends a text and its NUL. A NUL inside would end it for the client, and is left out.
    pub fn text(&mut self, text: impl Display) {
        let text = text.to_string();
        self.0.extend(text.bytes().filter(|byte| *byte != 0));
        self.0.put_u8(0);
    }

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }
}

/// What a report does to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing: an answer follows.
    Notice,
    /// It goes on.
    Error,
    /// It ends behind the packet.
    Fatal,
}

/// An error as a client of PCP is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it does to the session.
    pub severity: Severity,
    /// What failed.
    pub message: String,
    /// Why, if there is more to say.
    pub detail: Option<String>,
    /// The source file that tells it, and the line.
    pub place: (&'static str, u32),
}

impl Report {
    /// Why something failed, or else what.
    #[must_use]
    pub fn why(&self) -> &str {
        self.detail.as_deref().unwrap_or(&self.message)
    }

    /// How far something is, in front of its answer.
    #[must_use]
    #[track_caller]
    pub fn notice(message: impl Into<String>) -> Self {
        Self::new(Severity::Notice, message.into())
    }

    /// An error that the session survives.
    #[must_use]
    #[track_caller]
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    /// An error that ends the session.
    #[must_use]
    #[track_caller]
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new(Severity::Fatal, message.into())
    }

    /// Adds why.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// Writes the packet.
    #[must_use]
    pub fn compose(&self) -> Bytes {
        let (tag, severity) = match self.severity {
            Severity::Notice => (b'N', "NOTICE"),
            Severity::Error => (b'E', "ERROR"),
            Severity::Fatal => (b'E', "FATAL"),
        };
        let fill = |payload: &mut Payload<'_>| {
            payload.text(format_args!("S{severity}"));
            payload.text("CXX000");
            payload.text(format_args!("M{}", legible(&self.message)));
            if let Some(detail) = &self.detail {
                payload.text(format_args!("D{}", legible(detail)));
            }
            payload.text(format_args!("F{}", self.place.0));
            payload.text(format_args!("L{}", self.place.1));
            payload.raw(&[0]);
        };
        Composer::default().packet(tag, fill).finish()
    }

    #[track_caller]
    fn new(severity: Severity, message: String) -> Self {
        let at = Location::caller();
        let file = at.file().rsplit(['/', '\\']).next().unwrap_or_default();
        Self { severity, message, detail: None, place: (file, at.line()) }
    }
}

/// A text as stock clients can read it: no longer than they take, and not beginning with a letter
/// that they would take for the next field's, because they read on at the text of a field.
fn legible(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1).filter(|first| ["S", "M", "D"].contains(&&**first)) {
        first.make_ascii_lowercase();
    }
    let longest = text.len().min(limits::ADMIN_FIELD_LEN_MAX);
    let end = (0..=longest).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An error of Pgpool-II 4.3.5, seen on the wire.
    #[test]
    fn an_error_is_composed_byte_for_byte() {
        let report = Report {
            place: ("pcp_worker.c", 843),
            ..Report::error("informing node info failed").because("invalid node ID : 9")
        };
        let mut seen = b"E\0\0\0\x57".to_vec();
        seen.extend(b"SERROR\0CXX000\0Minforming node info failed\0Dinvalid node ID : 9\0");
        seen.extend(b"Fpcp_worker.c\0L843\0\0");
        assert_eq!(report.compose(), seen);
    }

    #[test]
    fn no_text_begins_with_a_letter_that_clients_take_for_a_field() {
        for (text, told) in [("Detach", "detach"), ("Sorry", "sorry"), ("MD5", "mD5"), ("É", "É")]
        {
            let bytes = Report::fatal(text).because(text).compose();
            let told = format!("SFATAL\0CXX000\0M{told}\0D{told}\0Fpacket.rs\0");
            assert_eq!(&bytes[5..5 + told.len()], told.as_bytes());
        }
        let cut = Report::error("é".repeat(200)).compose();
        assert!(cut.windows(256).any(|part| part == format!("M{}\0", "é".repeat(127)).as_bytes()));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_with_the_number_on_the_wire() {
        for (length, told) in [(0_u32, 0), (3, 3), (260, 260), (u32::MAX, -1), (1 << 31, i32::MIN)]
        {
            let mut bytes = b"L".to_vec();
            bytes.extend(length.to_be_bytes());
            assert_eq!(peek(&bytes, 259), Err(BadLength(told)));
        }
        let mut longest = b"A\0\0\x01\x03".to_vec();
        longest.extend([7; 255]);
        assert_eq!(peek(&longest[..259], 259), Ok(None));
        assert_eq!(peek(&longest, 259), Ok(Some(Packet { tag: b'A', payload: &[7; 255] })));
        assert_eq!(peek(b"L\0\0\0\x04X", 259), Ok(Some(Packet { tag: b'L', payload: b"" })));
    }

    proptest! {
        /// Whatever comes, a packet is inside of it, or more is waited for, but never for ever.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            match peek(&bytes, limits::ADMIN_REQUEST_LEN_MAX) {
                Ok(Some(packet)) => prop_assert!(packet.len() <= bytes.len()),
                Ok(None) => prop_assert!(bytes.len() <= limits::ADMIN_REQUEST_LEN_MAX),
                Err(BadLength(length)) => prop_assert!(!(4..=259).contains(&length)),
            }
        }
    }
}
