//! Where messages begin and end, without holding more of them than a decision needs.
//!
//! A [`Looks`] table says for each type byte how much of the body must be in view before anybody
//! can decide about the message. The rest of a long message is a [`Frame::Middle`], and is never
//! collected.

use super::error::Violation;
use super::word;
use crate::limits;

/// For each type byte, how many bytes of its body must be in view; [`UNKNOWN`] for none such.
pub type Looks = [u32; 256];

/// The type byte does not exist in this direction.
pub const UNKNOWN: u32 = u32::MAX;

/// Set on a look if messages of the type pass in runs, without anybody deciding about them.
pub const PLAIN: u32 = 1 << 31;

/// Length of a message's type byte and length word.
pub const HEADER_LEN: usize = 5;

/// What comes next in the unread bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A message begins here.
    Start {
        /// Its type byte.
        tag: u8,
        /// Its length, header included.
        len: usize,
        /// As much of its body as is in view: at least what its look asks for, or all of it.
        body: &'a [u8],
    },
    /// More of a message that began before.
    Middle {
        /// How many of the unread bytes belong to it; at least one.
        len: usize,
    },
    /// Nothing can be decided before so many unread bytes are in view.
    Need(usize),
}

/// Keeps count of the message that is passing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Framer {
    /// Bytes of the current message that have not yet passed.
    middle: usize,
}

impl Framer {
    /// Tells whether part of a message has passed and part of it has not.
    #[must_use]
    pub const fn is_inside(&self) -> bool {
        self.middle > 0
    }

    /// Looks at what comes next and takes nothing.
    ///
    /// # Errors
    /// The type byte is unknown or the length impossible: the stream cannot be read any further.
    pub fn peek<'a>(&self, unread: &'a [u8], looks: &Looks) -> Result<Frame<'a>, Violation> {
        if self.middle > 0 {
            return Ok(match unread.len().min(self.middle) {
                0 => Frame::Need(1),
                len => Frame::Middle { len },
            });
        }
        let Some((tag, body_len)) = header(unread)? else {
            return Ok(Frame::Need(HEADER_LEN));
        };
        let look = looks.get(usize::from(tag)).copied().unwrap_or(UNKNOWN);
        if look == UNKNOWN {
            return Err(Violation::UnknownTag { tag });
        }
        let needed = body_len.min((look & !PLAIN) as usize);
        let rest = unread.get(HEADER_LEN..).unwrap_or_default();
        if rest.len() < needed {
            return Ok(Frame::Need(HEADER_LEN + needed));
        }
        let body = rest.get(..body_len).unwrap_or(rest);
        Ok(Frame::Start { tag, len: HEADER_LEN + body_len, body })
    }

    /// Takes a message of `len` bytes of which `in_view` are unread, and returns how many of the
    /// unread bytes are its own.
    pub fn take(&mut self, len: usize, in_view: usize) -> usize {
        let taken = len.min(in_view);
        self.middle = len - taken;
        taken
    }

    /// Takes `len` further bytes of the message that is passing.
    pub fn take_middle(&mut self, len: usize) {
        self.middle = self.middle.saturating_sub(len);
    }
}

/// Reads type byte and length; returns the length of the body.
fn header(unread: &[u8]) -> Result<Option<(u8, usize)>, Violation> {
    let (Some(&tag), Some(word)) = (unread.first(), word(unread, 1)) else {
        return Ok(None);
    };
    let Some(body_len) = (word as usize).checked_sub(4) else {
        return Err(Violation::LengthTooSmall { tag, word });
    };
    if body_len > limits::MESSAGE_LEN_MAX {
        return Err(Violation::LengthTooLarge { tag, word });
    }
    Ok(Some((tag, body_len)))
}

/// Returns the length of the run of whole plain messages at the front of `unread`.
///
/// Free-standing and over bytes alone, because a result set passes through here row by row: one
/// comparison finds out whether a type is plain, and one whether a length is possible and all of
/// the message in view.
#[must_use]
pub fn plain_run(unread: &[u8], looks: &Looks) -> usize {
    // What is in view here whole is not too long either.
    let view = unread.get(..=limits::MESSAGE_LEN_MAX).unwrap_or(unread);
    let mut rest = view;
    while let Some((&[tag, a, b, c, d], bodies)) = rest.split_first_chunk::<HEADER_LEN>() {
        let look = looks.get(usize::from(tag)).copied().unwrap_or(UNKNOWN);
        // A length below that of its own word wraps around, and nothing so long is in view.
        let body_len = u32::from_be_bytes([a, b, c, d]).wrapping_sub(4) as usize;
        match bodies.get(body_len..) {
            Some(behind) if (PLAIN..UNKNOWN).contains(&look) => rest = behind,
            Some(_) | None => break,
        }
    }
    view.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOOKS: Looks = {
        let mut looks = [UNKNOWN; 256];
        looks[b'D' as usize] = PLAIN;
        looks[b'E' as usize] = 64;
        looks[b'Z' as usize] = 1;
        looks
    };

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn a_message_is_seen_when_its_look_is_in_view() {
        let row = message(b'D', &[7; 100]);
        let error = message(b'E', &[7; 100]);
        let lie = message(b'Z', b"");
        let cases: &[(&str, &[u8], Result<Frame<'_>, Violation>)] = &[
            ("nothing", b"", Ok(Frame::Need(5))),
            ("half a header", b"D\0\0", Ok(Frame::Need(5))),
            (
                "a header is enough for a row",
                &row[..5],
                Ok(Frame::Start { tag: b'D', len: 105, body: b"" }),
            ),
            ("an error wants its look", &error[..68], Ok(Frame::Need(69))),
            (
                "and has it",
                &error[..69],
                Ok(Frame::Start { tag: b'E', len: 105, body: &error[5..69] }),
            ),
            ("less body than its look", &lie, Ok(Frame::Start { tag: b'Z', len: 5, body: b"" })),
            ("no such type", b"!\0\0\0\x04", Err(Violation::UnknownTag { tag: b'!' })),
            ("too short", b"D\0\0\0\x03", Err(Violation::LengthTooSmall { tag: b'D', word: 3 })),
            (
                "two gigabytes",
                b"D\x7f\xff\xff\xff",
                Err(Violation::LengthTooLarge { tag: b'D', word: 0x7fff_ffff }),
            ),
        ];
        for (name, unread, expected) in cases {
            assert_eq!(&Framer::default().peek(unread, &LOOKS), expected, "{name}");
        }
    }

    #[test]
    fn a_run_ends_before_what_somebody_must_decide() {
        let mut bytes = [message(b'D', b"one"), message(b'D', b"")].concat();
        let run = bytes.len();
        assert_eq!(plain_run(&bytes, &LOOKS), run);
        bytes.extend(message(b'Z', b"I"));
        bytes.extend(message(b'D', b"two"));
        assert_eq!(plain_run(&bytes, &LOOKS), run);
        assert_eq!(plain_run(&bytes[..run - 1], &LOOKS), message(b'D', b"one").len());
    }

    proptest! {
        /// Whatever the bytes and however they are cut, a frame is inside what is in view, and
        /// every byte belongs to exactly one frame.
        #[test]
        fn frames_tile_the_stream(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            view in 6usize..300,
        ) {
            let stream = bodies.iter().flat_map(|body| message(b'E', body)).collect::<Vec<_>>();
            let (mut framer, mut at, mut view, mut starts) = (Framer::default(), 0, view, 0);
            while at < stream.len() {
                let unread = &stream[at..stream.len().min(at + view)];
                match framer.peek(unread, &LOOKS).unwrap() {
                    Frame::Start { len, .. } => {
                        starts += 1;
                        at += framer.take(len, unread.len());
                    }
                    Frame::Middle { len } => {
                        framer.take_middle(len);
                        at += len;
                    }
                    Frame::Need(len) => {
                        prop_assert!(len > unread.len());
                        view = view.max(len);
                    }
                }
            }
            prop_assert_eq!(starts, bodies.len());
            prop_assert!(!framer.is_inside());
        }

        /// No bytes make the reader panic or look beyond them.
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Framer::default().peek(&bytes, &LOOKS);
            prop_assert!(plain_run(&bytes, &LOOKS) <= bytes.len());
        }
    }
}
