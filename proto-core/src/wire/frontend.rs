//! Messages of a frontend: what pgherd reads of a client's, and what it says to a server.

use bytes::{Bytes, BytesMut};
use postgres_protocol::message::frontend;

use super::frame::{Looks, PLAIN, UNKNOWN};
use super::startup::Params;
use super::{text, word};
use crate::limits;

/// Type bytes of a frontend's messages.
pub mod tag {
    /// `Bind`.
    pub const BIND: u8 = b'B';
    /// `Close`.
    pub const CLOSE: u8 = b'C';
    /// `CopyData`.
    pub const COPY_DATA: u8 = b'd';
    /// `CopyDone`.
    pub const COPY_DONE: u8 = b'c';
    /// `CopyFail`.
    pub const COPY_FAIL: u8 = b'f';
    /// `Describe`.
    pub const DESCRIBE: u8 = b'D';
    /// `Execute`.
    pub const EXECUTE: u8 = b'E';
    /// `Flush`.
    pub const FLUSH: u8 = b'H';
    /// `FunctionCall`.
    pub const FUNCTION_CALL: u8 = b'F';
    /// `Parse`.
    pub const PARSE: u8 = b'P';
    /// `PasswordMessage` and its kin.
    pub const PASSWORD: u8 = b'p';
    /// `Query`.
    pub const QUERY: u8 = b'Q';
    /// `Sync`.
    pub const SYNC: u8 = b'S';
    /// `Terminate`.
    pub const TERMINATE: u8 = b'X';
}

const STATEMENT: u32 = limits::STATEMENT_VIEW_LEN as u32;
const NAMES: u32 = limits::NAMES_VIEW_LEN as u32;

/// How much of each of a client's messages must be in view.
#[expect(clippy::indexing_slicing, reason = "a byte is always inside 256 places")]
pub const LOOKS: Looks = {
    let mut looks = [UNKNOWN; 256];
    looks[tag::BIND as usize] = NAMES;
    looks[tag::CLOSE as usize] = NAMES;
    looks[tag::COPY_DATA as usize] = PLAIN;
    looks[tag::COPY_DONE as usize] = 0;
    looks[tag::COPY_FAIL as usize] = 0;
    looks[tag::DESCRIBE as usize] = NAMES;
    looks[tag::EXECUTE as usize] = NAMES;
    looks[tag::FLUSH as usize] = 0;
    looks[tag::FUNCTION_CALL as usize] = 0;
    looks[tag::PARSE as usize] = STATEMENT;
    looks[tag::QUERY as usize] = STATEMENT;
    looks[tag::SYNC as usize] = 0;
    looks[tag::TERMINATE as usize] = 0;
    looks
};

/// How much of a message must be in view before a client is authenticated: all of the one kind
/// that it may send.
#[expect(clippy::indexing_slicing, reason = "a byte is always inside 256 places")]
pub const LOGIN_LOOKS: Looks = {
    let mut looks = [UNKNOWN; 256];
    looks[tag::PASSWORD as usize] = limits::AUTH_MESSAGE_LEN_MAX as u32;
    looks[tag::TERMINATE as usize] = 0;
    looks
};

/// What a `Describe` or `Close` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A prepared statement.
    Statement(&'a [u8]),
    /// A portal.
    Portal(&'a [u8]),
}

/// Reads the text of a `Query`.
#[must_use]
pub fn query(body: &[u8]) -> Option<&[u8]> {
    text(body).map(|(query, _)| query)
}

/// Reads the statement's name and the text of a `Parse`.
#[must_use]
pub fn parse(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = text(body)?;
    let (query, _) = text(rest)?;
    Some((name, query))
}

/// Reads the names of the portal and the statement of a `Bind`.
#[must_use]
pub fn bind(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (portal, rest) = text(body)?;
    let (statement, _) = text(rest)?;
    Some((portal, statement))
}

/// Reads the name of an `Execute`'s portal.
#[must_use]
pub fn execute(body: &[u8]) -> Option<&[u8]> {
    text(body).map(|(portal, _)| portal)
}

/// Reads what a `Describe` or a `Close` is about.
#[must_use]
pub fn subject(body: &[u8]) -> Option<Subject<'_>> {
    let (kind, rest) = body.split_first()?;
    let (name, _) = text(rest)?;
    match kind {
        b'S' => Some(Subject::Statement(name)),
        b'P' => Some(Subject::Portal(name)),
        _ => None,
    }
}

/// Composes a startup packet of version 3.0.
#[must_use]
pub fn startup(params: &Params) -> Bytes {
    let mut bytes = BytesMut::with_capacity(128);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&super::startup::VERSION_3_0.to_be_bytes());
    for (name, value) in &params.0 {
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&[0]);
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(&[0]);
    }
    bytes.extend_from_slice(&[0]);
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes.iter_mut().zip(len.to_be_bytes()).for_each(|(byte, of_len)| *byte = of_len);
    bytes.freeze()
}

/// Composes a `Query`. The text must hold no NUL, which no caller's does.
#[must_use]
pub fn compose_query(query: &str) -> Bytes {
    let mut bytes = BytesMut::with_capacity(query.len() + 6);
    if frontend::query(query, &mut bytes).is_err() {
        bytes.clear();
    }
    bytes.freeze()
}

/// Composes a `PasswordMessage`, `SASLInitialResponse` or `SASLResponse`, all of which share a
/// type byte, around its body.
#[must_use]
pub fn compose_password(body: &[u8]) -> Bytes {
    compose(tag::PASSWORD, body)
}

/// Composes a `Terminate`.
#[must_use]
pub fn compose_terminate() -> Bytes {
    Bytes::from_static(b"X\0\0\0\x04")
}

/// Composes a `CancelRequest`.
#[must_use]
pub fn compose_cancel(process: u32, secret: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(16);
    let len = u32::try_from(secret.len() + 12).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(&((1234u32 << 16) | 5678).to_be_bytes());
    bytes.extend_from_slice(&process.to_be_bytes());
    bytes.extend_from_slice(secret);
    bytes.freeze()
}

/// Composes any message.
#[must_use]
pub fn compose(tag: u8, body: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(body.len() + 5);
    bytes.extend_from_slice(&[tag]);
    let len = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes.freeze()
}

/// Reads a `BackendKeyData`: the process and the secret.
#[must_use]
pub fn key_data(body: &[u8]) -> Option<(u32, &[u8])> {
    Some((word(body, 0)?, body.get(4..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_and_rubbish_is_refused() {
        assert_eq!(query(b"select 1\0"), Some(&b"select 1"[..]));
        assert_eq!(query(b"select 1"), None);
        assert_eq!(parse(b"s\0select 1\0\0\0"), Some((&b"s"[..], &b"select 1"[..])));
        assert_eq!(parse(b"s\0select 1"), None);
        assert_eq!(bind(b"p\0s\0\0\0"), Some((&b"p"[..], &b"s"[..])));
        assert_eq!(subject(b"Ss\0"), Some(Subject::Statement(b"s")));
        assert_eq!(subject(b"P\0"), Some(Subject::Portal(b"")));
        assert_eq!(subject(b"Xs\0"), None);
        assert_eq!(subject(b""), None);
    }

    #[test]
    fn a_startup_packet_reads_as_composed() {
        let pair = (Bytes::from_static(b"user"), Bytes::from_static(b"a"));
        let params = Params(vec![pair]);
        let packet = startup(&params);
        let Ok(super::super::startup::Look::Whole(read, len)) =
            super::super::startup::read(&packet)
        else {
            panic!("{packet:?}")
        };
        assert_eq!(len, packet.len());
        let super::super::startup::Packet::Startup(read) = read else { panic!("{read:?}") };
        assert_eq!(read.params, params);
    }
}
