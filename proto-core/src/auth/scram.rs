//! SCRAM-SHA-256, both ends of it: RFC 5802 and RFC 7677, as PostgreSQL speaks them.
//!
//! PostgreSQL docs, "SASL Authentication": the user name inside the exchange is ignored, since the
//! startup packet has given it, and a password that SASLprep (RFC 4013) refuses is used as it is.
//! Channel binding is not offered, so `-PLUS` mechanisms are not spoken. [`client::Client`] proves
//! a password to a server; [`server::Server`] lets a client prove one to us. What both compute with
//! is here.
//!
//! ```text
//! client-first   n,,n=,r=<client nonce>
//! server-first   r=<client nonce><server nonce>,s=<salt>,i=<iterations>
//! client-final   c=biws,r=<both nonces>,p=<proof>
//! server-final   v=<signature>
//! ```

pub mod cache;
pub mod client;
pub mod server;

pub use cache::VerifierCache;
pub use client::{Client, Salted};
pub use server::{Server, Verdict};

use crate::auth::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// The one mechanism that is spoken.
pub const MECHANISM: &str = "SCRAM-SHA-256";

/// Rounds of PBKDF2 for the verifiers that pgherd makes, as many as PostgreSQL's default of
/// `scram_iterations`, so that its answer looks like a server's.
pub const ITERATIONS: u32 = 4096;

/// Longest message of the exchange, in bytes, as in PostgreSQL's `PG_MAX_SASL_MESSAGE_LENGTH`.
pub const MESSAGE_LEN_MAX: usize = 1024;

/// Length of the random part of a nonce, in bytes, as in PostgreSQL; Base64 makes it 24.
pub const NONCE_LEN: usize = 18;

/// A key, a digest or a signature.
pub(crate) type Digest32 = [u8; 32];

/// How the other end broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A message is longer than [`MESSAGE_LEN_MAX`].
    TooLong,
    /// A message is not UTF-8, or contains a zero byte.
    NotText,
    /// A message arrived that is not due.
    OutOfTurn,
    /// An attribute is missing, misplaced, or not of the form `x=value`.
    Attribute,
    /// The client asks for channel binding, which no mechanism that we offer has.
    ChannelBinding,
    /// The client wants to act for somebody else.
    AuthorizationIdentity,
    /// A mandatory extension (`m=`) is asked for, and none is known.
    Extension,
    /// A nonce is empty, not printable, or does not continue ours.
    Nonce,
    /// A salt, a proof or a signature is not Base64, or has the wrong length.
    Encoding,
    /// The server asks for no rounds of PBKDF2, or for more than
    /// [`client::ITERATIONS_MAX`].
    Iterations,
    /// The server has ended the exchange with an error (`e=`).
    ServerError,
    /// The server does not know the password, so it is not the one that it claims to be.
    ServerSignature,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a SCRAM message is longer than 1024 bytes",
            Self::NotText => "a SCRAM message is not UTF-8 text",
            Self::OutOfTurn => "a SCRAM message arrived out of turn",
            Self::Attribute => "a SCRAM message lacks an attribute or has one that is malformed",
            Self::ChannelBinding => "SCRAM channel binding was asked for and not offered",
            Self::AuthorizationIdentity => "a SCRAM authorization identity is not supported",
            Self::Extension => "a mandatory SCRAM extension is not supported",
            Self::Nonce => "a SCRAM nonce is malformed or is not the one of this exchange",
            Self::Encoding => "a SCRAM value is not Base64 or has the wrong length",
            Self::Iterations => "the SCRAM iteration count is not between 1 and 1000000",
            Self::ServerError => "the server ended the SCRAM exchange with an error",
            Self::ServerSignature => "the server's SCRAM signature is wrong",
        })
    }
}

impl std::error::Error for Violation {}

/// What a server keeps of a password: enough to check a proof, not enough to make one.
#[derive(Clone)]
pub struct Verifier {
    salt: Vec<u8>,
    iterations: u32,
    stored_key: Digest32,
    server_key: Digest32,
    /// A verifier of nobody can never succeed, whatever the keys.
    genuine: bool,
}

impl Verifier {
    /// Derives the verifier of a password, which takes `iterations` rounds of PBKDF2.
    #[must_use]
    pub fn from_password(password: &Secret, salt: [u8; 16], iterations: u32) -> Self {
        let keys = Keys::derive(password, &salt, iterations);
        Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: sha256(&keys.client_key),
            server_key: keys.server_key,
            genuine: true,
        }
    }

    /// Makes up the verifier of a user who has none: the salt is the same every time, as a real
    /// user's is, and no proof succeeds. It takes no rounds of PBKDF2.
    #[must_use]
    pub fn mock(user: &str, mock_key: &[u8; 32]) -> Self {
        Self {
            salt: mock_salt(user, mock_key).to_vec(),
            iterations: ITERATIONS,
            stored_key: hmac(mock_key, &[b"stored key", user.as_bytes()]),
            server_key: hmac(mock_key, &[b"server key", user.as_bytes()]),
            genuine: false,
        }
    }

    /// Reads `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, as PostgreSQL keeps it in
    /// `pg_authid`; none if the text is not that.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (iterations, rest) = text.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
        let (salt, keys) = rest.split_once('$')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        // `parse` alone would take a sign as well.
        if !iterations.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            salt: STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty())?,
            iterations: iterations.parse().ok().filter(|&count| count > 0)?,
            stored_key: decode_digest(stored_key)?,
            server_key: decode_digest(server_key)?,
            genuine: true,
        })
    }

    /// Returns the salt, which every client is told.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Returns the rounds of PBKDF2, which every client is told.
    #[must_use]
    pub const fn iterations(&self) -> u32 {
        self.iterations
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.stored_key.zeroize();
        self.server_key.zeroize();
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With the server key one can pretend to be the server, and the stored key lets one guess
        // passwords at leisure.
        f.debug_struct("Verifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// Derives the salt of a user from the key of this process.
///
/// Known and unknown users get theirs in this one way, so that a salt tells nothing.
#[must_use]
pub fn mock_salt(user: &str, mock_key: &[u8; 32]) -> [u8; 16] {
    let mut salt = [0; 16];
    for (place, byte) in salt.iter_mut().zip(hmac(mock_key, &[b"salt", user.as_bytes()])) {
        *place = byte;
    }
    salt
}

/// What a password and a salt come to. Wiped when dropped.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) client_key: Digest32,
    pub(crate) server_key: Digest32,
}

impl Keys {
    /// Derives the keys, which takes `iterations` rounds of PBKDF2.
    pub(crate) fn derive(password: &Secret, salt: &[u8], iterations: u32) -> Self {
        let prepared = prepare(password);
        let salted = Zeroizing::new(pbkdf2(prepared.as_bytes(), salt, iterations));
        Self {
            client_key: hmac(&*salted, &[b"Client Key"]),
            server_key: hmac(&*salted, &[b"Server Key"]),
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.client_key.zeroize();
        self.server_key.zeroize();
    }
}

/// Normalises a password as PostgreSQL does: by SASLprep, or not at all where that refuses.
fn prepare(password: &Secret) -> Zeroizing<String> {
    match stringprep::saslprep(password.expose()) {
        // PostgreSQL's pg_saslprep: what is mapped to nothing at all is refused too.
        Ok(prepared) if !prepared.is_empty() => Zeroizing::new(prepared.into_owned()),
        Ok(_) | Err(_) => Zeroizing::new(password.expose().to_owned()),
    }
}

/// Computes PBKDF2-HMAC-SHA-256 (RFC 8018) of one block, which RFC 5802 calls `Hi`.
///
/// No rounds count as one. Beyond the first, each costs two compressions of SHA-256.
pub(crate) fn pbkdf2(password: &[u8], salt: &[u8], iterations: u32) -> Digest32 {
    // Cloning the keyed state spares two of four compressions in each round.
    let keyed = keyed(password);
    let mut last = finish(keyed.clone(), &[salt, &[0, 0, 0, 1]]);
    let mut sum = last;
    for _ in 1..iterations {
        last = finish(keyed.clone(), &[&last]);
        for (sum, byte) in sum.iter_mut().zip(last) {
            *sum ^= byte;
        }
    }
    sum
}

/// Computes HMAC-SHA-256 of the parts, one after the other.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Digest32 {
    finish(keyed(key), parts)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn finish(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> Digest32 {
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest32 {
    Sha256::digest(bytes).into()
}

pub(crate) fn xor(mut one: Digest32, other: &Digest32) -> Digest32 {
    for (byte, other) in one.iter_mut().zip(other) {
        *byte ^= other;
    }
    one
}

fn decode_digest(text: &str) -> Option<Digest32> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Takes a message for text, if it may be one.
fn text(message: &[u8]) -> Result<&str, Violation> {
    if message.len() > MESSAGE_LEN_MAX {
        return Err(Violation::TooLong);
    }
    let text = std::str::from_utf8(message).map_err(|_| Violation::NotText)?;
    if text.contains('\0') { Err(Violation::NotText) } else { Ok(text) }
}

/// Takes the value of an attribute that must come next, and what follows its comma.
fn attribute(rest: Option<&str>, name: char) -> Result<(&str, Option<&str>), Violation> {
    let rest = rest.ok_or(Violation::Attribute)?;
    let (value, rest) = match rest.split_once(',') {
        Some((value, rest)) => (value, Some(rest)),
        None => (rest, None),
    };
    let value = value.strip_prefix(name).and_then(|value| value.strip_prefix('='));
    Ok((value.ok_or(Violation::Attribute)?, rest))
}

/// Checks that what follows are attributes, of whatever names: optional extensions, all unknown.
fn skip_extensions(mut rest: Option<&str>) -> Result<(), Violation> {
    while let Some(text) = rest {
        let name = text.chars().next().filter(char::is_ascii_alphabetic);
        rest = attribute(rest, name.ok_or(Violation::Attribute)?)?.1;
    }
    Ok(())
}

/// Tells whether a text may be a nonce: printable ASCII without a comma, and not empty.
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

#[cfg(test)]
mod tests;
