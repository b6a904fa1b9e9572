//! The client's end of SCRAM-SHA-256: we prove a password to a server, and it to us.

use super::{
    Keys, NONCE_LEN, Violation, attribute, decode_digest, hmac, is_nonce, sha256, text, xor,
};
use crate::auth::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use subtle::ConstantTimeEq;

/// Most rounds of PBKDF2 that a server may ask for.
///
/// The rounds stall every session of the shard, and whoever sits between us and a server chooses
/// their number. OWASP's advice for PBKDF2-HMAC-SHA-256, 600,000, fits below; at the limit a login
/// takes about half a second, once for a user and server (see [`Salted`]).
pub const ITERATIONS_MAX: u32 = 1_000_000;

/// What PBKDF2 has made of a password for one server's salt, to spare later logins the rounds.
#[derive(Clone)]
pub struct Salted {
    /// What it was made of, so that it is not used for another password.
    password: Secret,
    salt: Vec<u8>,
    iterations: u32,
    pub(super) keys: Keys,
}

impl Salted {
    fn fits(&self, password: &Secret, salt: &[u8], iterations: u32) -> bool {
        self.iterations == iterations
            && self.salt == salt
            && self.password.matches(password.expose().as_bytes())
    }
}

impl fmt::Debug for Salted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salted(…)")
    }
}

#[derive(Clone, Copy)]
enum State {
    /// Waiting for the server-first message.
    First,
    /// Waiting for the server-final message, which must carry this signature.
    Final([u8; 32]),
    /// The server has proved itself.
    Done,
    /// The exchange has failed.
    Failed,
}

/// One exchange, as the client.
pub struct Client {
    password: Secret,
    nonce: String,
    salted: Option<Salted>,
    state: State,
}

impl Client {
    /// Starts an exchange. The nonce must never have been used before.
    #[must_use]
    pub fn new(password: &Secret, nonce: [u8; NONCE_LEN]) -> Self {
        Self::with_salted(password, nonce, None)
    }

    /// Starts an exchange with what an earlier one has computed, which is used if password, salt
    /// and rounds are still the same.
    #[must_use]
    pub fn with_salted(password: &Secret, nonce: [u8; NONCE_LEN], salted: Option<Salted>) -> Self {
        let nonce = STANDARD.encode(nonce);
        Self { password: password.clone(), nonce, salted, state: State::First }
    }

    /// Returns the client-first message. The user's name is in the startup packet only, as libpq
    /// does it.
    #[must_use]
    pub fn first(&self) -> Vec<u8> {
        format!("n,,{}", self.first_bare()).into_bytes()
    }

    /// Takes the server-first message; returns the client-final message.
    ///
    /// # Errors
    /// If the message is malformed, out of turn, or asks for too many rounds; the exchange has
    /// failed then.
    pub fn on_first(&mut self, server_first: &[u8]) -> Result<Vec<u8>, Violation> {
        let State::First = std::mem::replace(&mut self.state, State::Failed) else {
            return Err(Violation::OutOfTurn);
        };
        let server_first = text(server_first)?;
        if server_first.starts_with("e=") {
            return Err(Violation::ServerError);
        }
        if server_first.starts_with("m=") {
            return Err(Violation::Extension);
        }
        let (nonce, rest) = attribute(Some(server_first), 'r')?;
        let (salt, rest) = attribute(rest, 's')?;
        let (iterations, rest) = attribute(rest, 'i')?;
        if !nonce.strip_prefix(self.nonce.as_str()).is_some_and(is_nonce) {
            return Err(Violation::Nonce);
        }
        let salt = STANDARD.decode(salt).map_err(|_| Violation::Encoding)?;
        if salt.is_empty() {
            return Err(Violation::Encoding);
        }
        let iterations = rounds(iterations)?;
        if rest.is_some() {
            // As libpq does: PostgreSQL sends no extensions, and an unknown one may matter.
            return Err(Violation::Extension);
        }
        Ok(self.prove(server_first, nonce, &salt, iterations))
    }

    /// Takes the server-final message, in which the server proves that it knows the password.
    ///
    /// # Errors
    /// If it does not prove that, or the message is malformed or out of turn.
    pub fn on_final(&mut self, server_final: &[u8]) -> Result<(), Violation> {
        let State::Final(signature) = std::mem::replace(&mut self.state, State::Failed) else {
            return Err(Violation::OutOfTurn);
        };
        let server_final = text(server_final)?;
        if server_final.starts_with("e=") {
            return Err(Violation::ServerError);
        }
        let (found, rest) = attribute(Some(server_final), 'v')?;
        if rest.is_some() {
            return Err(Violation::Extension);
        }
        let found = decode_digest(found).ok_or(Violation::Encoding)?;
        if !bool::from(found.ct_eq(&signature)) {
            return Err(Violation::ServerSignature);
        }
        self.state = State::Done;
        Ok(())
    }

    /// Tells whether the server has proved that it knows the password.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Returns what PBKDF2 has computed, for the next exchange with this server.
    #[must_use]
    pub const fn salted(&self) -> Option<&Salted> {
        self.salted.as_ref()
    }

    fn first_bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    fn prove(&mut self, server_first: &str, nonce: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        let earlier = self.salted.take().filter(|it| it.fits(&self.password, salt, iterations));
        let salted = earlier.unwrap_or_else(|| Salted {
            password: self.password.clone(),
            salt: salt.to_vec(),
            iterations,
            keys: Keys::derive(&self.password, salt, iterations),
        });
        let without_proof = format!("c=biws,r={nonce}");
        let auth_message = format!("{},{server_first},{without_proof}", self.first_bare());
        let stored_key = sha256(&salted.keys.client_key);
        let proof = xor(hmac(&stored_key, &[auth_message.as_bytes()]), &salted.keys.client_key);
        self.state = State::Final(hmac(&salted.keys.server_key, &[auth_message.as_bytes()]));
        self.salted = Some(salted);
        format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::First => "First",
            State::Final(_) => "Final",
            State::Done => "Done",
            State::Failed => "Failed",
        };
        f.debug_struct("Client").field("state", &state).finish_non_exhaustive()
    }
}

/// Reads the number of rounds, in digits only.
fn rounds(text: &str) -> Result<u32, Violation> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Violation::Attribute);
    }
    let rounds = text.parse().map_err(|_| Violation::Iterations)?;
    if (1..=ITERATIONS_MAX).contains(&rounds) { Ok(rounds) } else { Err(Violation::Iterations) }
}
