//! Logging in to a server: from its first message to its first `ReadyForQuery`.
//!
//! Sessions' links and the control plane's probes log in by the same code. PostgreSQL docs,
//! "Message Flow", Start-up.

use bytes::Bytes;

use crate::auth::answer::{Answer, Cannot, Reply, Request};
use crate::config::Method;
use crate::wire::backend::tag;
use crate::wire::error::{Fields, Violation};
use crate::wire::{frontend, text, word};

/// A login in progress.
#[derive(Debug)]
pub struct Login {
    answer: Answer,
    /// What the server asked for; nothing yet, or nothing at all, is `Trust`.
    method: Option<Method>,
    parameters: Vec<(Bytes, Bytes)>,
    key: Option<(u32, Bytes)>,
}

/// What a server told during a successful login.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// What it asked for.
    pub method: Method,
    /// Its `ParameterStatus` messages, in its order.
    pub parameters: Vec<(Bytes, Bytes)>,
    /// Its `BackendKeyData`; none from servers that have no cancel requests.
    pub key: Option<(u32, Bytes)>,
}

/// What to do after a message of the server.
#[derive(Debug)]
pub enum Step {
    /// Wait for the next one.
    Wait,
    /// Send this and wait.
    Send(Bytes),
    /// The server is ready.
    Done(Welcome),
    /// The login has failed; the connection is of no use.
    Failed(Failure),
}

/// Why a login failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server refused, with the body of its `ErrorResponse`.
    Refused {
        /// What it had asked for.
        method: Option<Method>,
        /// The error's fields.
        body: Bytes,
    },
    /// No stored secret can answer what the server asked for.
    NoSecret {
        /// What it asked for.
        method: Method,
    },
    /// The server could not prove that it knows the password, or asked for what is not supported.
    NotSupported,
    /// The server broke the protocol.
    Violation(Violation),
}

impl Failure {
    /// The SQLSTATE of the server's refusal, if it is one.
    #[must_use]
    pub fn code(&self) -> &[u8] {
        match self {
            Self::Refused { body, .. } => Fields::read(body).code,
            Self::NoSecret { .. } | Self::NotSupported | Self::Violation(_) => b"",
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { body, .. } => {
                let fields = Fields::read(body);
                write!(
                    f,
                    "refused: {} ({})",
                    String::from_utf8_lossy(fields.message),
                    String::from_utf8_lossy(fields.code)
                )
            }
            Self::NoSecret { method } => {
                write!(f, "no stored secret of this user can answer {method:?}")
            }
            Self::NotSupported => {
                f.write_str("the server asked for an authentication that is not supported")
            }
            Self::Violation(violation) => violation.fmt(f),
        }
    }
}

impl Login {
    /// Begins after the startup packet has been sent.
    #[must_use]
    pub fn new(answer: Answer) -> Self {
        Self { answer, method: None, parameters: Vec::new(), key: None }
    }

    /// Acts on a whole message of the server.
    pub fn handle_message(&mut self, tag: u8, body: &[u8]) -> Step {
        match tag {
            tag::AUTHENTICATION => self.on_authentication(body),
            tag::PARAMETER_STATUS => {
                if let Some((name, rest)) = text(body)
                    && let Some((value, _)) = text(rest)
                {
                    let pair = (Bytes::copy_from_slice(name), Bytes::copy_from_slice(value));
                    self.parameters.push(pair);
                }
                Step::Wait
            }
            tag::KEY_DATA => {
                let key = frontend::key_data(body);
                self.key = key.map(|(process, secret)| (process, Bytes::copy_from_slice(secret)));
                Step::Wait
            }
            tag::NOTICE | tag::NEGOTIATE => Step::Wait,
            tag::READY => Step::Done(Welcome {
                method: self.method.unwrap_or(Method::Trust),
                parameters: std::mem::take(&mut self.parameters),
                key: self.key.take(),
            }),
            tag::ERROR => Step::Failed(Failure::Refused {
                method: self.method,
                body: Bytes::copy_from_slice(body),
            }),
            _ => Step::Failed(Failure::Violation(Violation::Unexpected { tag })),
        }
    }

    fn on_authentication(&mut self, body: &[u8]) -> Step {
        let malformed =
            Step::Failed(Failure::Violation(Violation::Malformed { tag: tag::AUTHENTICATION }));
        let (Some(code), Some(rest)) = (word(body, 0), body.get(4..)) else { return malformed };
        let (method, request) = match code {
            0 => {
                return match self.answer.granted() {
                    Ok(()) => Step::Wait,
                    Err(_) => Step::Failed(Failure::NotSupported),
                };
            }
            3 => (Method::Password, Request::CleartextPassword),
            5 => match rest.try_into() {
                Ok(salt) => (Method::Md5, Request::Md5(salt)),
                Err(_) => return malformed,
            },
            10 => (Method::Scram, Request::Sasl(rest)),
            11 => (Method::Scram, Request::SaslContinue(rest)),
            12 => (Method::Scram, Request::SaslFinal(rest)),
            _ => return Step::Failed(Failure::NotSupported),
        };
        self.method = Some(method);
        match self.answer.handle(request) {
            Reply::Send(body) => Step::Send(frontend::compose_password(&body)),
            Reply::Nothing => Step::Wait,
            Reply::Cannot(why) => {
                log::debug!("cannot answer {method:?}: {why}");
                Step::Failed(if is_secret_at_fault(why) {
                    Failure::NoSecret { method }
                } else {
                    Failure::NotSupported
                })
            }
        }
    }
}

/// Tells whether another stored secret would have helped.
const fn is_secret_at_fault(why: Cannot) -> bool {
    match why {
        Cannot::NoSecret | Cannot::Md5OnlyForPassword | Cannot::Md5OnlyForScram => true,
        Cannot::UnsupportedMechanism
        | Cannot::ServerNotAuthentic
        | Cannot::OutOfTurn
        | Cannot::Scram(_) => false,
    }
}
