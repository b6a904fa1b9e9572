//! Follows a stream of protocol messages byte by byte, to know where messages begin and end.
//!
//! Written apart from the core's own framing on purpose: a checker that shares the code it checks
//! shares its mistakes.

use pgherd_core::wire::word;

/// Who sends the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A client, or the proxy in its place.
    Frontend,
    /// A server, or the proxy in its place.
    Backend,
    /// The proxy, to an administrator's program.
    Admin,
}

/// What a frontend's stream turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Not yet known.
    Unknown,
    /// A session.
    Session,
    /// A cancel request.
    Cancel,
}

/// A message, or as much of its beginning as was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The type byte; 0 for a packet that has none.
    pub(crate) tag: u8,
    /// The first byte of its body, if it has one.
    pub(crate) first: Option<u8>,
    /// Where it ends in the stream.
    pub(crate) end: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In front of a frontend's packet without a type byte, or of a backend's one-byte answer.
    Prologue,
    /// In front of a message.
    Boundary,
    /// So many bytes of a message are missing.
    Inside(usize),
    /// The stream makes no sense any more.
    Lost,
}

/// Where in a stream we are.
#[derive(Debug)]
pub(crate) struct Framing {
    sender: Sender,
    place: Place,
    purpose: Purpose,
    head: Vec<u8>,
    /// Bytes followed so far.
    len: u64,
}

/// Bytes of a packet's or message's beginning that are looked at: a startup packet's length and
/// code.
const HEAD_LEN: usize = 8;

impl Framing {
    /// Begins in front of a stream.
    pub(crate) const fn new(sender: Sender) -> Self {
        Self { sender, place: Place::Prologue, purpose: Purpose::Unknown, head: Vec::new(), len: 0 }
    }

    /// Tells whether the stream stands between two messages.
    pub(crate) fn is_at_boundary(&self) -> bool {
        self.head.is_empty() && matches!(self.place, Place::Prologue | Place::Boundary)
    }

    /// Tells whether the stream has stopped to make sense.
    pub(crate) fn is_lost(&self) -> bool {
        self.place == Place::Lost
    }

    /// Returns what a frontend's stream is for.
    pub(crate) const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Follows further bytes; reports each message as it begins.
    ///
    /// # Errors
    /// Says what is wrong with the stream, once.
    pub(crate) fn follow(
        &mut self,
        mut bytes: &[u8],
        mut seen: impl FnMut(Seen),
    ) -> Result<(), String> {
        while let Some((byte, rest)) = bytes.split_first() {
            match self.place {
                Place::Lost => return Ok(()),
                Place::Inside(missing) => {
                    let len = missing.min(bytes.len());
                    self.len += len as u64;
                    bytes = bytes.get(len..).unwrap_or_default();
                    self.place = match missing - len {
                        0 => Place::Boundary,
                        more => Place::Inside(more),
                    };
                }
                Place::Prologue | Place::Boundary => {
                    self.head.push(*byte);
                    self.len += 1;
                    bytes = rest;
                    if let Err(what) = self.on_head(&mut seen) {
                        self.place = Place::Lost;
                        return Err(what);
                    }
                }
            }
        }
        Ok(())
    }

    fn on_head(&mut self, seen: &mut impl FnMut(Seen)) -> Result<(), String> {
        match (self.sender, self.place) {
            (Sender::Frontend, Place::Prologue) => self.on_packet(seen),
            (Sender::Backend, Place::Prologue) if self.head == [b'N'] => {
                // The answer to a request for encryption; no message can begin so this early.
                self.head.clear();
                seen(Seen { tag: 0, first: Some(b'N'), end: self.len });
                Ok(())
            }
            _ => self.on_message(seen),
        }
    }

    fn on_packet(&mut self, seen: &mut impl FnMut(Seen)) -> Result<(), String> {
        let (Some(len), Some(code)) = (word(&self.head, 0), word(&self.head, 4)) else {
            return Ok(());
        };
        let len = len as usize;
        if !(HEAD_LEN..=10_000).contains(&len) {
            return Err(format!("a first packet of length {len}"));
        }
        self.head.clear();
        seen(Seen { tag: 0, first: None, end: self.len + (len - HEAD_LEN) as u64 });
        let encryption = matches!(code, 80_877_103 | 80_877_104);
        if !encryption {
            let cancel = code == 80_877_102;
            self.purpose = if cancel { Purpose::Cancel } else { Purpose::Session };
            self.place = match len - HEAD_LEN {
                0 => Place::Boundary,
                more => Place::Inside(more),
            };
        }
        Ok(())
    }

    fn on_message(&mut self, seen: &mut impl FnMut(Seen)) -> Result<(), String> {
        let Some(&tag) = self.head.first() else { return Ok(()) };
        if !self.known().contains(&tag) {
            return Err(format!("a message of the unknown type {:?}", char::from(tag)));
        }
        let Some(len) = word(&self.head, 1) else { return Ok(()) };
        let Some(body_len) = (len as usize).checked_sub(4) else {
            return Err(format!("a message {:?} of length {len}", char::from(tag)));
        };
        if body_len > 0 && self.head.len() < 6 {
            return Ok(());
        }
        let first = self.head.get(5).copied();
        let missing = body_len - usize::from(first.is_some());
        seen(Seen { tag, first, end: self.len + missing as u64 });
        self.head.clear();
        self.place = match body_len.saturating_sub(1) {
            0 => Place::Boundary,
            more => Place::Inside(more),
        };
        Ok(())
    }

    const fn known(&self) -> &'static [u8] {
        match self.sender {
            Sender::Frontend => b"BCdcfDEHFPpQSX",
            Sender::Backend => b"RKS23CGHWdcDIEVvnNAt1sZT",
            Sender::Admin => b"mrlihnpbwdctzvgaEN",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(framing: &mut Framing, bytes: &[u8]) -> Result<String, String> {
        let mut tags = String::new();
        for byte in bytes {
            framing.follow(&[*byte], |seen| {
                tags.push(if seen.tag == 0 { '0' } else { char::from(seen.tag) });
            })?;
        }
        Ok(tags)
    }

    #[test]
    fn messages_are_told_apart_byte_by_byte() {
        let mut backend = Framing::new(Sender::Backend);
        let stream = b"NR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I1\0\0\0\x04N\0\0\0\x05\0";
        assert_eq!(tags(&mut backend, stream), Ok("0RZ1N".to_owned()));
        assert!(backend.is_at_boundary());
        assert_eq!(tags(&mut backend, b"Z\0\0"), Ok(String::new()));
        assert!(!backend.is_at_boundary());

        let mut frontend = Framing::new(Sender::Frontend);
        let stream = b"\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x09\0\x03\0\0\0S\0\0\0\x04";
        assert_eq!(tags(&mut frontend, stream), Ok("00S".to_owned()));
        assert_eq!(frontend.purpose(), Purpose::Session);
    }

    #[test]
    fn rubbish_is_said_to_be_rubbish() {
        assert!(tags(&mut Framing::new(Sender::Backend), b"!").is_err());
        assert!(tags(&mut Framing::new(Sender::Backend), b"Z\0\0\0\x03").is_err());
        assert!(tags(&mut Framing::new(Sender::Frontend), b"GET / HTTP").is_err());
    }
}
