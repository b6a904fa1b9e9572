//! What pgherd asks of a client before it lets it in.
//!
//! ```text
//! trust      Granted
//! password   CleartextPassword -> p -> Granted | Refused
//! md5        Md5Password -> p -> Granted | Refused
//! scram      Sasl -> p [-> SaslContinue("") -> p] -> SaslContinue -> p -> Granted + SaslFinal
//!                                                                        | Refused
//! ```
//!
//! A client that is refused gets PostgreSQL's own answer, [`REFUSED_SQLSTATE`], from the caller,
//! whatever the [`Reason`]: the reason is for the log. The same messages pass, and the same work is
//! done, for a user who does not exist.
//!
//! PostgreSQL docs, "Message Flow", Start-up, and "SASL Authentication".

use crate::auth::md5;
use crate::auth::passwd::Stored;
use crate::auth::scram::{self, ITERATIONS, MECHANISM, Server, Verdict, Verifier, VerifierCache};
use crate::auth::secret::Secret;
use crate::config::Method;
use crate::entropy::Entropy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use subtle::ConstantTimeEq;

/// SQLSTATE `invalid_password`, for every client that is refused. PostgreSQL's message beside it is
/// `password authentication failed for user "…"`.
pub const REFUSED_SQLSTATE: &str = "28P01";

/// What to send to the client next: an Authentication message, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `AuthenticationCleartextPassword`.
    CleartextPassword,
    /// `AuthenticationMD5Password` with this salt.
    Md5Password([u8; 4]),
    /// `AuthenticationSASL` with one mechanism, [`MECHANISM`].
    Sasl,
    /// `AuthenticationSASLContinue` with this data.
    SaslContinue(Vec<u8>),
    /// `AuthenticationSASLFinal` with this data.
    SaslFinal(Vec<u8>),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this, and wait for a `p` message.
    Send(Ask),
    /// Let the client in, after sending `last` if there is one: `AuthenticationOk` comes next.
    Granted {
        /// The last message of the exchange.
        last: Option<Ask>,
    },
    /// Refuse the client with [`REFUSED_SQLSTATE`].
    Refused,
    /// Close the connection: the client broke the protocol (SQLSTATE 08P01).
    Violation(Violation),
}

/// How a client broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A password does not end with its only zero byte.
    PasswordNotTerminated,
    /// The lengths in a `SASLInitialResponse` do not add up.
    InitialResponseMalformed,
    /// The client chose a SASL mechanism that was not offered.
    MechanismNotOffered,
    /// A `p` message arrived that nobody asked for.
    OutOfTurn,
    /// The SCRAM message inside is at fault.
    Scram(scram::Violation),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PasswordNotTerminated => f.write_str("invalid password packet size"),
            Self::InitialResponseMalformed => f.write_str("malformed SASL initial response"),
            Self::MechanismNotOffered => {
                f.write_str("client selected an invalid SASL authentication mechanism")
            }
            Self::OutOfTurn => f.write_str("a password message arrived that was not asked for"),
            Self::Scram(violation) => violation.fmt(f),
        }
    }
}

impl std::error::Error for Violation {}

/// Why a client was refused. For the log only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is stored for the user.
    NoSuchUser,
    /// The proof is wrong.
    WrongPassword,
    /// What is stored cannot serve this method: SCRAM needs the password, and an MD5 digest is not
    /// it; an empty password serves none.
    SecretUnusable(Method),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchUser => "there is no such user in [users] or pool_passwd",
            Self::WrongPassword => "the password is wrong",
            Self::SecretUnusable(Method::Scram) => {
                "the stored secret is an MD5 digest or empty, and scram-sha-256 needs the password"
            }
            Self::SecretUnusable(Method::Trust | Method::Password | Method::Md5) => {
                "the stored password is empty"
            }
        })
    }
}

/// One client proving who it is.
pub struct Exchange {
    user: String,
    /// Why no proof can succeed, known from the start.
    doomed: Option<Reason>,
    /// Why the client was refused.
    reason: Option<Reason>,
    state: State,
}

enum State {
    /// Waiting for a password in clear text, or a stand-in's for a user who does not exist.
    Password(Stored),
    /// Waiting for the answer to an MD5 challenge with this salt.
    Md5(Stored, [u8; 4]),
    /// Waiting for the choice of a mechanism.
    SaslInitial(Box<Server>),
    /// Waiting for the client-first message, which did not come along with the choice.
    SaslFirst(Box<Server>),
    /// Waiting for the client-final message.
    SaslFinal(Box<Server>),
    /// Nothing more is to come.
    Over,
}

impl Exchange {
    /// Starts to ask a client, without verifiers made beforehand. See [`Exchange::with_cache`].
    #[must_use]
    pub fn new(
        method: Method,
        user: &str,
        stored: Option<Stored>,
        entropy: &mut Entropy,
        mock_key: &[u8; 32],
    ) -> (Self, Step) {
        Self::with_cache(method, user, stored, entropy, mock_key, &VerifierCache::off())
    }

    /// Starts to ask a client, who says that it is `user`, for whom `stored` is known.
    ///
    /// `mock_key` is drawn once in a process and kept from everybody; the salts come from it.
    #[must_use]
    pub fn with_cache(
        method: Method,
        user: &str,
        stored: Option<Stored>,
        entropy: &mut Entropy,
        mock_key: &[u8; 32],
        cache: &VerifierCache,
    ) -> (Self, Step) {
        let doomed = doom(method, stored.as_ref());
        // A user who does not exist is checked against a password that nobody can guess, so that
        // the check takes as long.
        let stand_in = Stored::Plain(Secret::new(STANDARD.encode(entropy.bytes::<12>())));
        let stored = stored.filter(|_| doomed.is_none()).unwrap_or(stand_in);
        let (state, step) = match method {
            Method::Trust => (State::Over, Step::Granted { last: None }),
            Method::Password => (State::Password(stored), Step::Send(Ask::CleartextPassword)),
            Method::Md5 => {
                let salt = entropy.bytes();
                (State::Md5(stored, salt), Step::Send(Ask::Md5Password(salt)))
            }
            Method::Scram => {
                let genuine = if doomed.is_none() { Some(&stored) } else { None };
                let server = server(user, genuine, entropy.bytes(), mock_key, cache);
                (State::SaslInitial(Box::new(server)), Step::Send(Ask::Sasl))
            }
        };
        (Self { user: user.to_owned(), doomed, reason: None, state }, step)
    }

    /// Takes the body of a `p` message, which is everything behind its length.
    pub fn handle_password(&mut self, body: &[u8]) -> Step {
        let step = match std::mem::replace(&mut self.state, State::Over) {
            State::Password(stored) => self.on_password(&stored, body),
            State::Md5(stored, salt) => self.on_md5(&stored, salt, body),
            State::SaslInitial(server) => self.on_choice(server, body),
            State::SaslFirst(server) => self.on_first(server, body),
            State::SaslFinal(server) => self.on_final(server, body),
            State::Over => Err(Violation::OutOfTurn),
        };
        step.unwrap_or_else(Step::Violation)
    }

    /// Returns why the client was refused, if it was.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        self.reason
    }

    fn on_password(&mut self, stored: &Stored, body: &[u8]) -> Result<Step, Violation> {
        let password = terminated(body)?;
        let right = match stored {
            Stored::Plain(secret) => secret.matches(password),
            Stored::Md5(digest) => md5::digest(password, &self.user).ct_eq(digest).into(),
        };
        Ok(self.conclude(right, None))
    }

    fn on_md5(&mut self, stored: &Stored, salt: [u8; 4], body: &[u8]) -> Result<Step, Violation> {
        let right = md5::verify(stored, &self.user, salt, terminated(body)?);
        Ok(self.conclude(right, None))
    }

    fn on_choice(&mut self, server: Box<Server>, body: &[u8]) -> Result<Step, Violation> {
        let (mechanism, data) = initial_response(body)?;
        if mechanism != MECHANISM.as_bytes() {
            return Err(Violation::MechanismNotOffered);
        }
        let Some(client_first) = data else {
            // RFC 4422, section 3.3: a client may wait for an empty challenge first.
            self.state = State::SaslFirst(server);
            return Ok(Step::Send(Ask::SaslContinue(Vec::new())));
        };
        self.on_first(server, client_first)
    }

    fn on_first(&mut self, mut server: Box<Server>, data: &[u8]) -> Result<Step, Violation> {
        let server_first = server.first(data).map_err(Violation::Scram)?;
        self.state = State::SaslFinal(server);
        Ok(Step::Send(Ask::SaslContinue(server_first)))
    }

    fn on_final(&mut self, mut server: Box<Server>, data: &[u8]) -> Result<Step, Violation> {
        Ok(match server.last(data).map_err(Violation::Scram)? {
            Verdict::Accepted(server_final) => {
                self.conclude(true, Some(Ask::SaslFinal(server_final)))
            }
            Verdict::Refused => self.conclude(false, None),
        })
    }

    /// Lets the client in if its proof is right, and a right one can exist.
    fn conclude(&mut self, right: bool, last: Option<Ask>) -> Step {
        self.reason = self.doomed.or(if right { None } else { Some(Reason::WrongPassword) });
        match self.reason {
            None => Step::Granted { last },
            Some(_) => Step::Refused,
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Password(_) => "Password",
            State::Md5(..) => "Md5",
            State::SaslInitial(_) => "SaslInitial",
            State::SaslFirst(_) => "SaslFirst",
            State::SaslFinal(_) => "SaslFinal",
            State::Over => "Over",
        };
        f.debug_struct("Exchange")
            .field("user", &self.user)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

/// Tells why no proof by this method can succeed, if none can.
fn doom(method: Method, stored: Option<&Stored>) -> Option<Reason> {
    match (method, stored) {
        (Method::Trust, _) => None,
        (_, None) => Some(Reason::NoSuchUser),
        (_, Some(Stored::Plain(password))) if password.expose().is_empty() => {
            Some(Reason::SecretUnusable(method))
        }
        (Method::Scram, Some(Stored::Md5(_))) => Some(Reason::SecretUnusable(method)),
        (Method::Password | Method::Md5 | Method::Scram, Some(_)) => None,
    }
}

/// Makes the server's end of SCRAM, for a genuine user or for nobody.
fn server(
    user: &str,
    genuine: Option<&Stored>,
    nonce: [u8; scram::NONCE_LEN],
    mock_key: &[u8; 32],
    cache: &VerifierCache,
) -> Server {
    let password = match genuine {
        Some(Stored::Plain(password)) => Some(password),
        Some(Stored::Md5(_)) | None => None,
    };
    if let Some(verifier) = password.and_then(|password| cache.verifier(user, password)) {
        return Server::new(verifier.clone(), nonce);
    }
    if password.is_none() && !cache.is_off() {
        // Everybody's verifier is made beforehand, so nobody's takes no rounds either.
        return Server::new(Verifier::mock(user, mock_key), nonce);
    }
    let salt = scram::mock_salt(user, mock_key);
    Server::deriving(password.cloned(), salt, ITERATIONS, nonce)
}

/// Takes the zero byte off a password.
fn terminated(body: &[u8]) -> Result<&[u8], Violation> {
    match body.split_last() {
        Some((0, text)) if !text.contains(&0) => Ok(text),
        Some(_) | None => Err(Violation::PasswordNotTerminated),
    }
}

/// Cuts a `SASLInitialResponse` into the mechanism and the data, if there are data.
fn initial_response(body: &[u8]) -> Result<(&[u8], Option<&[u8]>), Violation> {
    let malformed = Violation::InitialResponseMalformed;
    let end = body.iter().position(|&byte| byte == 0).ok_or(malformed)?;
    let (mechanism, rest) = body.split_at_checked(end).ok_or(malformed)?;
    let rest = rest.strip_prefix(&[0]).ok_or(malformed)?;
    let (word, data) = rest.split_first_chunk().ok_or(malformed)?;
    match (i32::from_be_bytes(*word), data) {
        (-1, []) => Ok((mechanism, None)),
        (len, data) if usize::try_from(len) == Ok(data.len()) => Ok((mechanism, Some(data))),
        _ => Err(malformed),
    }
}

#[cfg(test)]
mod tests;
