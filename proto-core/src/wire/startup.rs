//! The first packet of a client, which has no type byte.

use bytes::Bytes;

use super::error::Violation;
use super::{text, word};
use crate::limits;

/// Protocol version 3.0.
pub const VERSION_3_0: u32 = 3 << 16;
/// The latest protocol version spoken here, 3.2: longer cancel keys.
pub const VERSION_LATEST: u32 = (3 << 16) | 2;

const CANCEL_CODE: u32 = (1234 << 16) | 5678;
const SSL_CODE: u32 = (1234 << 16) | 5679;
const GSS_CODE: u32 = (1234 << 16) | 5680;

/// The longest cancel key, in bytes (PostgreSQL docs, "CancelRequest").
pub const CANCEL_KEY_LEN_MAX: usize = 256;

/// What a client's first packet asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet {
    /// Encryption by TLS.
    Ssl,
    /// Encryption by GSSAPI.
    Gss,
    /// Cancelling another session's statement.
    Cancel {
        /// Names the session.
        process: u32,
        /// Proves the right to.
        secret: Bytes,
    },
    /// A session.
    Startup(Startup),
    /// A protocol of another major version.
    Unsupported {
        /// The version's major part.
        major: u16,
        /// The version's minor part.
        minor: u16,
    },
}

/// What a session begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Startup {
    /// The version that both sides will speak.
    pub version: u32,
    /// Whether the client asked for a later version than that.
    pub version_asked: u32,
    /// Parameters whose names begin with `_pq_.`, none of which is known here.
    pub options_unknown: Vec<Bytes>,
    /// All other parameters, in the client's order.
    pub params: Params,
}

/// Names and values of a startup packet, in the client's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Params(pub Vec<(Bytes, Bytes)>);

impl Params {
    /// Finds a value; the last one wins, as in PostgreSQL.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_ref())
    }

    /// The parameter that a client names itself by, and that any connection can take on.
    #[must_use]
    pub fn application_name(&self) -> &[u8] {
        self.get(b"application_name").unwrap_or_default()
    }

    /// Returns everything but the name of the application.
    #[must_use]
    pub fn nameless(&self) -> Self {
        let is_other = |name: &Bytes| !name.eq_ignore_ascii_case(b"application_name");
        Self(self.0.iter().filter(|(name, _)| is_other(name)).cloned().collect())
    }

    /// Returns the user and the database alone.
    #[must_use]
    pub fn bare(&self) -> Self {
        let is_bare = |name: &Bytes| matches!(name.as_ref(), b"user" | b"database");
        Self(self.0.iter().filter(|(name, _)| is_bare(name)).cloned().collect())
    }

    /// Tells whether it asks for nothing but a user and a database.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.0.iter().all(|(name, _)| matches!(name.as_ref(), b"user" | b"database"))
    }

    /// What it asks for as parameters of the session, with their values; none if it asks for
    /// something else too, or in a way that is not understood.
    #[must_use]
    pub fn settings(&self) -> Option<Vec<(Bytes, Bytes)>> {
        let mut settings = Vec::new();
        for (name, value) in &self.0 {
            match name.as_ref() {
                b"user" | b"database" => {}
                b"options" => settings.extend(options(value)?),
                _ => settings.push((name.clone(), value.clone())),
            }
        }
        Some(settings)
    }

    /// Tells whether all parameters but `application_name` are the same, in the same order.
    #[must_use]
    pub fn is_akin(&self, other: &Self) -> bool {
        let own = |pair: &&(Bytes, Bytes)| pair.0 != "application_name";
        self == other || self.0.iter().filter(own).eq(other.0.iter().filter(own))
    }
}

/// What is known of the first packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// All of it; so many bytes are its own.
    Whole(Packet, usize),
    /// So many bytes must be in view.
    Need(usize),
}

/// Reads the first packet.
///
/// # Errors
/// It is not one.
pub fn read(unread: &[u8]) -> Result<Look, Violation> {
    let Some(claim) = word(unread, 0) else { return Ok(Look::Need(4)) };
    let len = claim as usize;
    if !(8..=limits::STARTUP_PACKET_LEN_MAX).contains(&len) {
        return Err(Violation::StartupLength { word: claim });
    }
    let Some(packet) = unread.get(..len) else { return Ok(Look::Need(len)) };
    let code = word(packet, 4).ok_or(Violation::StartupLength { word: claim })?;
    let rest = packet.get(8..).unwrap_or_default();
    let packet = match code {
        SSL_CODE => Packet::Ssl,
        GSS_CODE => Packet::Gss,
        CANCEL_CODE => cancel(claim, rest)?,
        version if version >> 16 == 3 => startup(version, rest)?,
        version => Packet::Unsupported {
            major: u16::try_from(version >> 16).unwrap_or(u16::MAX),
            minor: u16::try_from(version & 0xffff).unwrap_or(u16::MAX),
        },
    };
    Ok(Look::Whole(packet, len))
}

fn cancel(claim: u32, rest: &[u8]) -> Result<Packet, Violation> {
    let process = word(rest, 0).ok_or(Violation::StartupLength { word: claim })?;
    let secret = rest.get(4..).unwrap_or_default();
    if !(1..=CANCEL_KEY_LEN_MAX).contains(&secret.len()) {
        return Err(Violation::StartupLength { word: claim });
    }
    Ok(Packet::Cancel { process, secret: Bytes::copy_from_slice(secret) })
}

fn startup(version: u32, mut rest: &[u8]) -> Result<Packet, Violation> {
    let mut startup = Startup {
        version: version.min(VERSION_LATEST),
        version_asked: version,
        ..Startup::default()
    };
    while rest != [0] {
        let (name, after) = text(rest).ok_or(Violation::StartupLayout)?;
        let (value, after) = text(after).ok_or(Violation::StartupLayout)?;
        rest = after;
        if name.starts_with(b"_pq_.") {
            startup.options_unknown.push(Bytes::copy_from_slice(name));
        } else {
            let pair = (Bytes::copy_from_slice(name), Bytes::copy_from_slice(value));
            startup.params.0.push(pair);
        }
    }
    Ok(Packet::Startup(startup))
}

/// Reads `options` (PostgreSQL docs, "libpq", `options`): `-c name=value` and `--name=value`, with
/// a backslash before white space that belongs to a value.
fn options(text: &[u8]) -> Option<Vec<(Bytes, Bytes)>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut bytes = text.iter().copied();
    let mut is_inside = false;
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            byte if byte.is_ascii_whitespace() => {
                is_inside = false;
                continue;
            }
            b'\\' => bytes.next()?,
            byte => byte,
        };
        if !is_inside {
            words.push(Vec::new());
            is_inside = true;
        }
        words.last_mut()?.push(byte);
    }
    let mut settings = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let setting = match word.as_slice() {
            b"-c" => words.next()?,
            [b'-', b'c', rest @ ..] | [b'-', b'-', rest @ ..] => rest.to_vec(),
            _ => return None,
        };
        let equals = setting.iter().position(|byte| *byte == b'=')?;
        let (name, value) = setting.split_at_checked(equals)?;
        // PostgreSQL takes dashes in names for underscores.
        let name: Vec<u8> =
            name.iter().map(|byte| if *byte == b'-' { b'_' } else { *byte }).collect();
        settings.push((Bytes::from(name), Bytes::copy_from_slice(value.get(1..)?)));
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(code: u32, rest: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(rest.len() + 8).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(&code.to_be_bytes());
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn first_packets_are_told_apart() {
        let cases: &[(&str, Vec<u8>, Result<Look, Violation>)] = &[
            ("nothing", vec![], Ok(Look::Need(4))),
            (
                "half a packet",
                packet(VERSION_3_0, b"user\0a\0\0")[..9].to_vec(),
                Ok(Look::Need(16)),
            ),
            ("TLS", packet(SSL_CODE, b""), Ok(Look::Whole(Packet::Ssl, 8))),
            ("GSSAPI", packet(GSS_CODE, b""), Ok(Look::Whole(Packet::Gss, 8))),
            (
                "a cancel request",
                packet(CANCEL_CODE, b"\0\0\0\x07abcd"),
                Ok(Look::Whole(
                    Packet::Cancel { process: 7, secret: Bytes::from_static(b"abcd") },
                    16,
                )),
            ),
            (
                "a cancel request without a key",
                packet(CANCEL_CODE, b"\0\0\0\x07"),
                Err(Violation::StartupLength { word: 12 }),
            ),
            (
                "version 2",
                packet(2 << 16, b""),
                Ok(Look::Whole(Packet::Unsupported { major: 2, minor: 0 }, 8)),
            ),
            ("no terminator", packet(VERSION_3_0, b"user\0a\0"), Err(Violation::StartupLayout)),
            ("a name alone", packet(VERSION_3_0, b"user\0"), Err(Violation::StartupLayout)),
            ("too long", vec![0, 0, 0x27, 0x15], Err(Violation::StartupLength { word: 10_005 })),
            ("too short", vec![0, 0, 0, 7], Err(Violation::StartupLength { word: 7 })),
        ];
        for (name, bytes, expected) in cases {
            assert_eq!(&read(bytes), expected, "{name}");
        }
    }

    #[test]
    fn later_versions_and_unknown_options_are_negotiated() {
        let bytes = packet((3 << 16) | 9999, b"user\0a\0_pq_.grease\0x\0user\0b\0\0");
        let Ok(Look::Whole(Packet::Startup(startup), _)) = read(&bytes) else { panic!() };
        assert_eq!(startup.version, VERSION_LATEST);
        assert_ne!(startup.version, startup.version_asked);
        assert_eq!(startup.options_unknown, [Bytes::from_static(b"_pq_.grease")]);
        assert_eq!(startup.params.get(b"user"), Some(&b"b"[..]));
    }

    #[test]
    fn options_are_settings() {
        type Pairs = &'static [(&'static str, &'static str)];
        let cases: &[(&str, Option<Pairs>)] = &[
            ("", Some(&[])),
            ("-c a=1 --b-c=2", Some(&[("a", "1"), ("b_c", "2")])),
            ("  -ca=1  ", Some(&[("a", "1")])),
            ("-c search_path=a,\\ b", Some(&[("search_path", "a, b")])),
            ("-c a", None),
            ("-d 5", None),
            ("-c", None),
            ("a=1", None),
        ];
        for (text, expected) in cases {
            let read = options(text.as_bytes());
            let expected = expected.map(|pairs| {
                let pair = |(name, value): &(&str, &str)| {
                    (Bytes::from((*name).to_owned()), Bytes::from((*value).to_owned()))
                };
                pairs.iter().map(pair).collect::<Vec<_>>()
            });
            assert_eq!(read, expected, "{text}");
        }
    }

    proptest! {
        /// No first bytes make the reader panic.
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }
    }
}
