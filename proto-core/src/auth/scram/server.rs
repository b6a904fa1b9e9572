//! The server's end of SCRAM-SHA-256: a client proves its password to us.
//!
//! The exchange is always made in full: only the proof decides, and a verifier of nobody looks like
//! anybody's until then.

use super::{
    Digest32, NONCE_LEN, Verifier, Violation, attribute, decode_digest, hmac, is_nonce, sha256,
    skip_extensions, text, xor,
};
use crate::auth::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// What has become of the client's proof.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client knows the password; here is our signature for it, the server-final message.
    Accepted(Vec<u8>),
    /// It does not, or there is nobody of that name.
    Refused,
}

/// Where the verifier comes from.
enum Source {
    /// It was there at the start.
    Given(Verifier),
    /// It is derived from this password when the proof arrives.
    Password(Secret),
    /// There is none, and the time to derive one is spent nevertheless.
    Nobody,
}

enum State {
    /// Waiting for the client-first message.
    First,
    /// Waiting for the client-final message.
    Final {
        /// The client-first message without its header, and the server-first message, with a comma
        /// after each.
        auth_message: String,
        /// Both nonces.
        nonce: String,
        /// What the client must repeat of its header, in Base64.
        binding: &'static str,
    },
    /// The exchange is over.
    Over,
}

/// One exchange, as the server.
pub struct Server {
    source: Source,
    salt: Vec<u8>,
    iterations: u32,
    nonce: [u8; NONCE_LEN],
    state: State,
}

impl Server {
    /// Starts an exchange against a verifier. The nonce must never have been used before.
    #[must_use]
    pub fn new(verifier: Verifier, nonce: [u8; NONCE_LEN]) -> Self {
        let (salt, iterations) = (verifier.salt.clone(), verifier.iterations);
        Self { source: Source::Given(verifier), salt, iterations, nonce, state: State::First }
    }

    /// Starts an exchange against a password, or against nobody's, whose verifier is derived when
    /// the proof is there.
    ///
    /// So a client that leaves before its proof has cost nothing, and nobody's password takes as
    /// long to check as anybody's.
    #[must_use]
    pub fn deriving(
        password: Option<Secret>,
        salt: [u8; 16],
        iterations: u32,
        nonce: [u8; NONCE_LEN],
    ) -> Self {
        let source = password.map_or(Source::Nobody, Source::Password);
        Self { source, salt: salt.to_vec(), iterations, nonce, state: State::First }
    }

    /// Takes the client-first message; returns the server-first message.
    ///
    /// # Errors
    /// If the message is malformed, out of turn, or asks for what was not offered; the exchange is
    /// over then.
    pub fn first(&mut self, client_first: &[u8]) -> Result<Vec<u8>, Violation> {
        let State::First = std::mem::replace(&mut self.state, State::Over) else {
            return Err(Violation::OutOfTurn);
        };
        let (bare, binding) = header(text(client_first)?)?;
        if bare.starts_with("m=") {
            return Err(Violation::Extension);
        }
        // The user's name was in the startup packet, and is ignored here, as PostgreSQL does.
        let (_name, rest) = attribute(Some(bare), 'n')?;
        let (client_nonce, rest) = attribute(rest, 'r')?;
        if !is_nonce(client_nonce) {
            return Err(Violation::Nonce);
        }
        skip_extensions(rest)?;
        let nonce = format!("{client_nonce}{}", STANDARD.encode(self.nonce));
        let salt = STANDARD.encode(&self.salt);
        let message = format!("r={nonce},s={salt},i={}", self.iterations);
        self.state = State::Final { auth_message: format!("{bare},{message},"), nonce, binding };
        Ok(message.into_bytes())
    }

    /// Takes the client-final message; returns the verdict on its proof.
    ///
    /// # Errors
    /// If the message is malformed or out of turn, or is not of this exchange.
    pub fn last(&mut self, client_final: &[u8]) -> Result<Verdict, Violation> {
        let State::Final { mut auth_message, nonce, binding } =
            std::mem::replace(&mut self.state, State::Over)
        else {
            return Err(Violation::OutOfTurn);
        };
        let (without_proof, proof) =
            text(client_final)?.rsplit_once(",p=").ok_or(Violation::Attribute)?;
        let (found, rest) = attribute(Some(without_proof), 'c')?;
        if found != binding {
            return Err(Violation::ChannelBinding);
        }
        let (found, rest) = attribute(rest, 'r')?;
        if found != nonce {
            return Err(Violation::Nonce);
        }
        skip_extensions(rest)?;
        let proof = decode_digest(proof).ok_or(Violation::Encoding)?;
        auth_message.push_str(without_proof);
        Ok(self.judge(&auth_message, &proof))
    }

    /// Returns the verifier, unless it was not derived yet or there is none.
    #[must_use]
    pub const fn verifier(&self) -> Option<&Verifier> {
        match &self.source {
            Source::Given(verifier) => Some(verifier),
            Source::Password(_) | Source::Nobody => None,
        }
    }

    fn judge(&mut self, auth_message: &str, proof: &Digest32) -> Verdict {
        let verifier = self.derived();
        // RFC 5802, section 3: the proof is the client key under the signature, and the stored key
        // is the digest of the client key.
        let signature = hmac(&verifier.stored_key, &[auth_message.as_bytes()]);
        let client_key = xor(signature, proof);
        let right = sha256(&client_key).ct_eq(&verifier.stored_key);
        let signature = hmac(&verifier.server_key, &[auth_message.as_bytes()]);
        if bool::from(right & Choice::from(u8::from(verifier.genuine))) {
            Verdict::Accepted(format!("v={}", STANDARD.encode(signature)).into_bytes())
        } else {
            Verdict::Refused
        }
    }

    /// Derives the verifier if it is not there, and keeps it.
    fn derived(&mut self) -> &Verifier {
        let password = match &self.source {
            Source::Given(_) => None,
            Source::Password(password) => Some((password.clone(), true)),
            // Of about a password's length; its only use is to take as long.
            Source::Nobody => Some((Secret::new("nobody's password"), false)),
        };
        if let Some((password, genuine)) = password {
            let keys = super::Keys::derive(&password, &self.salt, self.iterations);
            self.source = Source::Given(Verifier {
                salt: self.salt.clone(),
                iterations: self.iterations,
                stored_key: sha256(&keys.client_key),
                server_key: keys.server_key,
                genuine,
            });
        }
        let Source::Given(verifier) = &self.source else {
            unreachable!("the verifier was given, or has just been derived")
        };
        verifier
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::First => "First",
            State::Final { .. } => "Final",
            State::Over => "Over",
        };
        f.debug_struct("Server").field("state", &state).finish_non_exhaustive()
    }
}

/// Takes the header off a client-first message; returns what follows, and what the client must
/// repeat of the header, in Base64.
fn header(message: &str) -> Result<(&str, &'static str), Violation> {
    let (flag, rest) = message.split_once(',').ok_or(Violation::Attribute)?;
    let binding = match flag {
        "n" => "biws",
        // The client could bind the channel and thinks that we cannot. That is so.
        "y" => "eSws",
        _ if flag.starts_with("p=") => return Err(Violation::ChannelBinding),
        _ => return Err(Violation::Attribute),
    };
    match rest.split_once(',').ok_or(Violation::Attribute)? {
        ("", bare) => Ok((bare, binding)),
        (identity, _) if identity.starts_with("a=") => Err(Violation::AuthorizationIdentity),
        _ => Err(Violation::Attribute),
    }
}
