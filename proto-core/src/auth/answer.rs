//! What pgherd answers when a server asks who it is.
//!
//! One [`Answer`] serves one login. It answers to one method only: a server, or somebody in between,
//! that starts with SCRAM and then wants the password in clear text gets nothing. Whether a server
//! may be told a password in clear text at all is its caller's decision.
//!
//! PostgreSQL docs, "Message Flow", Start-up, and "SASL Authentication".

use crate::auth::md5;
use crate::auth::passwd::Stored;
use crate::auth::scram::{self, Client, MECHANISM, NONCE_LEN, Salted};
use crate::entropy::Entropy;
use std::fmt;

/// What a server asks: an Authentication message, by its kind, with its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// `AuthenticationCleartextPassword`.
    CleartextPassword,
    /// `AuthenticationMD5Password` with its salt.
    Md5([u8; 4]),
    /// `AuthenticationSASL`: the names of mechanisms, a zero byte after each and one at the end.
    Sasl(&'a [u8]),
    /// `AuthenticationSASLContinue`.
    SaslContinue(&'a [u8]),
    /// `AuthenticationSASLFinal`.
    SaslFinal(&'a [u8]),
}

/// What to do about it.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// Send a `p` message with this body.
    Send(Vec<u8>),
    /// Wait for the next message.
    Nothing,
    /// Give up on the connection.
    Cannot(Cannot),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The body may be the password.
            Self::Send(_) => f.write_str("Send(…)"),
            Self::Nothing => f.write_str("Nothing"),
            Self::Cannot(cannot) => f.debug_tuple("Cannot").field(cannot).finish(),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cannot {
    /// Nothing is stored for the user, and the server wants a proof.
    NoSecret,
    /// An MD5 digest is stored, and the server wants the password in clear text.
    Md5OnlyForPassword,
    /// An MD5 digest is stored, and the server wants SCRAM, which needs the password.
    Md5OnlyForScram,
    /// The server offers no SASL mechanism that pgherd speaks.
    UnsupportedMechanism,
    /// The server let us in, or tried to, without proving that it knows the password.
    ServerNotAuthentic,
    /// The server asked for something that is not due.
    OutOfTurn,
    /// The server broke the SCRAM protocol.
    Scram(scram::Violation),
}

impl fmt::Display for Cannot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSecret => f.write_str(
                "the server asks for a password and none is stored; add the user to [users] or \
                 pool_passwd",
            ),
            Self::Md5OnlyForPassword => f.write_str(
                "the server asks for the password in clear text and only its MD5 digest is stored; \
                 store the password, in clear or encrypted",
            ),
            Self::Md5OnlyForScram => f.write_str(
                "the server asks for scram-sha-256 and only an MD5 digest is stored; store the \
                 password, in clear or encrypted",
            ),
            Self::UnsupportedMechanism => f.write_str(
                "the server offers SASL mechanisms, and SCRAM-SHA-256 is not among them",
            ),
            Self::ServerNotAuthentic => {
                f.write_str("the server did not prove that it knows the user's password")
            }
            Self::OutOfTurn => f.write_str("the server asked for a proof out of turn"),
            Self::Scram(violation) => violation.fmt(f),
        }
    }
}

impl std::error::Error for Cannot {}

enum State {
    /// The server has asked for nothing yet.
    Unasked,
    /// The server has our password, or the answer to its MD5 challenge.
    Answered,
    /// SCRAM is going on, or was completed.
    Scram(Box<Client>),
    /// There was no answer, and there will be none.
    Failed(Cannot),
}

/// One login at a server.
pub struct Answer {
    user: String,
    stored: Option<Stored>,
    nonce: [u8; NONCE_LEN],
    salted: Option<Salted>,
    state: State,
}

impl Answer {
    /// Prepares to log in as `user`, for whom `stored` is known.
    #[must_use]
    pub fn new(user: &str, stored: Option<&Stored>, entropy: &mut Entropy) -> Self {
        Self {
            user: user.to_owned(),
            stored: stored.cloned(),
            nonce: entropy.bytes(),
            salted: None,
            state: State::Unasked,
        }
    }

    /// Uses what an earlier login at this server has computed, as far as it still applies.
    #[must_use]
    pub fn with_salted(mut self, salted: Option<Salted>) -> Self {
        self.salted = salted;
        self
    }

    /// Takes what the server asks.
    pub fn handle(&mut self, request: Request<'_>) -> Reply {
        let reply = match request {
            Request::CleartextPassword => self.on_cleartext(),
            Request::Md5(salt) => self.on_md5(salt),
            Request::Sasl(mechanisms) => self.on_sasl(mechanisms),
            Request::SaslContinue(data) => self.on_continue(data),
            Request::SaslFinal(data) => self.on_final(data),
        };
        reply.unwrap_or_else(|cannot| {
            self.state = State::Failed(cannot);
            Reply::Cannot(cannot)
        })
    }

    /// Tells whether the server may say `AuthenticationOk` now.
    ///
    /// # Errors
    /// If SCRAM was begun and the server has not proved that it knows the password, or if there was
    /// no answer to its question: a server that lets us in nevertheless is not the one we want.
    pub const fn granted(&self) -> Result<(), Cannot> {
        match &self.state {
            State::Unasked | State::Answered => Ok(()),
            State::Scram(client) if client.is_done() => Ok(()),
            State::Scram(_) => Err(Cannot::ServerNotAuthentic),
            State::Failed(cannot) => Err(*cannot),
        }
    }

    /// Returns what this login has computed, for later ones; worth keeping once the server has
    /// granted it.
    #[must_use]
    pub const fn salted(&self) -> Option<&Salted> {
        match &self.state {
            State::Scram(client) => client.salted(),
            State::Unasked | State::Answered | State::Failed(_) => None,
        }
    }

    fn on_cleartext(&mut self) -> Result<Reply, Cannot> {
        let body = match self.asked()? {
            Stored::Plain(password) => [password.expose().as_bytes(), &[0]].concat(),
            Stored::Md5(_) => return Err(Cannot::Md5OnlyForPassword),
        };
        self.state = State::Answered;
        Ok(Reply::Send(body))
    }

    fn on_md5(&mut self, salt: [u8; 4]) -> Result<Reply, Cannot> {
        let answer = md5::challenge_response(self.asked()?, &self.user, salt);
        self.state = State::Answered;
        Ok(Reply::Send([answer.as_slice(), &[0]].concat()))
    }

    fn on_sasl(&mut self, mechanisms: &[u8]) -> Result<Reply, Cannot> {
        let password = match self.asked()? {
            Stored::Plain(password) => password.clone(),
            Stored::Md5(_) => return Err(Cannot::Md5OnlyForScram),
        };
        let mut names = mechanisms.split(|&byte| byte == 0).take_while(|name| !name.is_empty());
        if !names.any(|name| name == MECHANISM.as_bytes()) {
            return Err(Cannot::UnsupportedMechanism);
        }
        let client = Client::with_salted(&password, self.nonce, self.salted.take());
        let first = client.first();
        let len = u32::try_from(first.len()).expect("a client-first message is 32 bytes long");
        self.state = State::Scram(Box::new(client));
        Ok(Reply::Send([MECHANISM.as_bytes(), &[0], &len.to_be_bytes(), first.as_slice()].concat()))
    }

    fn on_continue(&mut self, data: &[u8]) -> Result<Reply, Cannot> {
        self.client()?.on_first(data).map(Reply::Send).map_err(Cannot::Scram)
    }

    fn on_final(&mut self, data: &[u8]) -> Result<Reply, Cannot> {
        match self.client()?.on_final(data) {
            Ok(()) => Ok(Reply::Nothing),
            Err(scram::Violation::ServerSignature) => Err(Cannot::ServerNotAuthentic),
            Err(violation) => Err(Cannot::Scram(violation)),
        }
    }

    /// Returns the secret, if the server may ask for a proof now.
    fn asked(&self) -> Result<&Stored, Cannot> {
        match &self.state {
            State::Unasked => self.stored.as_ref().ok_or(Cannot::NoSecret),
            State::Answered | State::Scram(_) => Err(Cannot::OutOfTurn),
            State::Failed(cannot) => Err(*cannot),
        }
    }

    fn client(&mut self) -> Result<&mut Client, Cannot> {
        match &mut self.state {
            State::Scram(client) => Ok(client),
            State::Unasked | State::Answered => Err(Cannot::OutOfTurn),
            State::Failed(cannot) => Err(*cannot),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Unasked => "Unasked",
            State::Answered => "Answered",
            State::Scram(_) => "Scram",
            State::Failed(_) => "Failed",
        };
        f.debug_struct("Answer")
            .field("user", &self.user)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
