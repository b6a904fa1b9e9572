//! What a peer can do wrong, and the fields of an error or a notice.

use std::fmt;

use super::text;

/// The peer broke the protocol. Its connection is closed, and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// No message has this type byte in this direction.
    UnknownTag {
        /// The type byte.
        tag: u8,
    },
    /// A length word below 4, its own length.
    LengthTooSmall {
        /// The type byte.
        tag: u8,
        /// The length word.
        word: u32,
    },
    /// A length word that no server would accept.
    LengthTooLarge {
        /// The type byte.
        tag: u8,
        /// The length word.
        word: u32,
    },
    /// A message of a known type at a time at which it means nothing.
    Unexpected {
        /// The type byte.
        tag: u8,
    },
    /// A message whose body is not what its type says.
    Malformed {
        /// The type byte.
        tag: u8,
    },
    /// A startup packet whose length is not between 8 and 10,004 bytes.
    StartupLength {
        /// The length word.
        word: u32,
    },
    /// A startup packet whose parameters are not pairs of texts.
    StartupLayout,
    /// A request for encryption that was answered already.
    EncryptionTwice,
    /// Bytes behind a request for encryption: somebody may have put them there
    /// (CVE-2021-23222).
    EncryptionGarbage,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownTag { tag } => {
                write!(f, "invalid message type \"{}\"", tag.escape_ascii())
            }
            Self::LengthTooSmall { tag, word } | Self::LengthTooLarge { tag, word } => {
                write!(f, "invalid length {word} of message \"{}\"", tag.escape_ascii())
            }
            Self::Unexpected { tag } => {
                write!(f, "unexpected message \"{}\"", tag.escape_ascii())
            }
            Self::Malformed { tag } => write!(f, "malformed message \"{}\"", tag.escape_ascii()),
            Self::StartupLength { word } => write!(f, "invalid length of startup packet: {word}"),
            Self::StartupLayout => {
                f.write_str("invalid startup packet layout: expected terminator as last byte")
            }
            Self::EncryptionTwice => f.write_str("encryption was requested twice"),
            Self::EncryptionGarbage => {
                f.write_str("received unencrypted data after a request for encryption")
            }
        }
    }
}

/// The fields of an `ErrorResponse` or a `NoticeResponse` that pgherd looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// `V`, the severity that is never translated, or `S` from servers before 9.6.
    pub severity: &'a [u8],
    /// `C`, the SQLSTATE.
    pub code: &'a [u8],
    /// `M`, the primary message.
    pub message: &'a [u8],
    /// `D`, the detail.
    pub detail: &'a [u8],
    /// `H`, the hint.
    pub hint: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Reads the body of an error or a notice; what is missing or cut off stays empty.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Self {
        let mut fields = Self::default();
        let mut rest = body;
        while let Some((tag, after)) = rest.split_first()
            && *tag != 0
            && let Some((value, next)) = text(after)
        {
            match tag {
                b'V' => fields.severity = value,
                b'S' if fields.severity.is_empty() => fields.severity = value,
                b'C' => fields.code = value,
                b'M' => fields.message = value,
                b'D' => fields.detail = value,
                b'H' => fields.hint = value,
                _ => {}
            }
            rest = next;
        }
        fields
    }

    /// Tells whether the server ends the connection with this error.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self.severity, b"FATAL" | b"PANIC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_rubbish_is_survived() {
        let body = b"SFEHLER\0VFATAL\0C57P01\0Mgoodbye\0Fx.c\0\0";
        let fields = Fields::read(body);
        assert!(fields.is_fatal());
        assert_eq!(fields.code, b"57P01");
        assert_eq!(fields.message, b"goodbye");
        assert_eq!(Fields::read(b"SERROR\0C5"), Fields { severity: b"ERROR", ..Fields::default() });
        assert_eq!(Fields::read(b""), Fields::default());
    }
}
