//! How a client proves who it is.
//!
//! The client's nonce is not random: what a client sends must be the same whenever a seed is
//! played again. For a test that costs nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::compose;
use super::message::Request;
use crate::world::Conn;

/// What a client asks for and presents.
#[derive(Clone, Debug)]
pub struct Login {
    /// `user`.
    pub user: String,
    /// The password.
    pub password: String,
    /// `database`.
    pub database: String,
    /// Further parameters of the startup packet.
    pub params: Vec<(String, String)>,
    /// The version of the protocol.
    pub version: u32,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            user: "postgres".into(),
            password: "postgres".into(),
            database: "postgres".into(),
            params: Vec::new(),
            version: compose::VERSION_3_0,
        }
    }
}

impl Login {
    /// The superuser's, by an application of this name.
    #[must_use]
    pub fn app(name: &str) -> Self {
        Self::default().with("application_name", name)
    }

    /// Another user's.
    #[must_use]
    pub fn user(user: &str, password: &str) -> Self {
        Self { user: user.into(), password: password.into(), ..Self::default() }
    }

    /// The same with one more parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.params.push((name.into(), value.into()));
        self
    }

    /// The `StartupMessage`.
    #[must_use]
    pub fn packet(&self) -> Vec<u8> {
        let mut params = vec![
            ("user".to_owned(), self.user.clone()),
            ("database".to_owned(), self.database.clone()),
        ];
        params.extend(self.params.iter().cloned());
        compose::startup(self.version, &params)
    }
}

/// The proof that is under way.
#[derive(Debug)]
pub(super) struct Proof {
    user: String,
    password: String,
    nonce: String,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// Nothing was asked yet.
    Waiting,
    /// A password was sent.
    Presented,
    /// `SASLInitialResponse` was sent.
    Begun,
    /// The proof was sent; the server has to prove that it knows the password too.
    Proven { signature: Vec<u8> },
    /// The server proved it.
    Convinced,
    /// `AuthenticationOk`.
    Finished,
}

impl Proof {
    pub(super) fn new(login: &Login, conn: Conn) -> Self {
        Self {
            user: login.user.clone(),
            password: login.password.clone(),
            nonce: format!("nonce-of-client-{}", conn.0),
            step: Step::Waiting,
        }
    }

    /// Tells whether the server has said that it is satisfied.
    pub(super) fn check_finished(&self) -> Result<(), String> {
        match self.step {
            Step::Finished => Ok(()),
            Step::Waiting
            | Step::Presented
            | Step::Begun
            | Step::Proven { .. }
            | Step::Convinced => Err(format!("ready in the middle of a login: {:?}", self.step)),
        }
    }

    /// Answers what the server asks for.
    pub(super) fn answer(&mut self, request: &Request) -> Result<Vec<u8>, String> {
        match (request, &self.step) {
            (Request::Ok, Step::Waiting | Step::Presented | Step::Convinced) => {
                self.step = Step::Finished;
                Ok(Vec::new())
            }
            (Request::CleartextPassword, Step::Waiting) => {
                self.step = Step::Presented;
                Ok(compose::password(&[self.password.as_bytes(), b"\0"].concat()))
            }
            (Request::Md5Password(salt), Step::Waiting) => {
                self.step = Step::Presented;
                let (user, password) = (self.user.as_bytes(), self.password.as_bytes());
                let hash = postgres_protocol::authentication::md5_hash(user, password, *salt);
                Ok(compose::password(&[hash.as_bytes(), b"\0"].concat()))
            }
            (Request::Sasl(mechanisms), Step::Waiting) => self.begin(mechanisms),
            (Request::SaslContinue(data), Step::Begun) => self.prove(data),
            (Request::SaslFinal(data), Step::Proven { signature }) => {
                let expected = format!("v={}", STANDARD.encode(signature));
                if *data != expected.as_bytes() {
                    return Err("the server does not know the password".into());
                }
                self.step = Step::Convinced;
                Ok(Vec::new())
            }
            (request, step) => Err(format!("{request:?} after {step:?}")),
        }
    }

    fn begin(&mut self, mechanisms: &[String]) -> Result<Vec<u8>, String> {
        if !mechanisms.iter().any(|mechanism| mechanism == MECHANISM) {
            return Err(format!("{MECHANISM} is not among {mechanisms:?}"));
        }
        self.step = Step::Begun;
        let first = format!("n,,{}", self.first_bare());
        let len = u32::try_from(first.len()).map_err(|error| error.to_string())?;
        let mut body = format!("{MECHANISM}\0").into_bytes();
        body.extend_from_slice(&len.to_be_bytes());
        body.extend_from_slice(first.as_bytes());
        Ok(compose::password(&body))
    }

    fn first_bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// RFC 5802, section 3.
    fn prove(&mut self, server_first: &[u8]) -> Result<Vec<u8>, String> {
        let server_first = str::from_utf8(server_first).map_err(|error| error.to_string())?;
        let mut attributes = server_first.split(',');
        let mut next = |name: &str| {
            let attribute = attributes.next().and_then(|a| a.strip_prefix(name));
            attribute.ok_or_else(|| format!("no {name} in {server_first:?}"))
        };
        let (nonce, salt, count) = (next("r=")?, next("s=")?, next("i=")?);
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the server added nothing to the nonce".into());
        }
        let salt = STANDARD.decode(salt).map_err(|error| error.to_string())?;
        let count = count.parse().map_err(|_| format!("{count:?} iterations"))?;
        let salted = salted_password(&self.password, &salt, count);
        let without_proof = format!("c=biws,r={nonce}");
        let messages = format!("{},{server_first},{without_proof}", self.first_bare());

        let client_key = hmac(&salted, b"Client Key");
        let mut proof = hmac(&Sha256::digest(&client_key), messages.as_bytes());
        for (byte, key) in proof.iter_mut().zip(&client_key) {
            *byte ^= key;
        }
        let signature = hmac(&hmac(&salted, b"Server Key"), messages.as_bytes());
        self.step = Step::Proven { signature };
        let last = format!("{without_proof},p={}", STANDARD.encode(proof));
        Ok(compose::password(last.as_bytes()))
    }
}

/// Salted passwords by password, salt and count of iterations.
type Salted = BTreeMap<(String, Vec<u8>, u32), Vec<u8>>;

thread_local! {
    /// Thousands of logins with the same password and salt would spend their time here.
    static SALTED: RefCell<Salted> = const { RefCell::new(BTreeMap::new()) };
}

/// `Hi()` of RFC 5802.
fn salted_password(password: &str, salt: &[u8], count: u32) -> Vec<u8> {
    SALTED.with_borrow_mut(|known| {
        let key = (password.to_owned(), salt.to_vec(), count);
        known.entry(key).or_insert_with(|| stretch(password, salt, count)).clone()
    })
}

fn stretch(password: &str, salt: &[u8], count: u32) -> Vec<u8> {
    let mut block = hmac(password.as_bytes(), &[salt, &[0, 0, 0, 1]].concat());
    let mut sum = block.clone();
    for _ in 1..count {
        block = hmac(password.as_bytes(), &block);
        for (byte, more) in sum.iter_mut().zip(&block) {
            *byte ^= more;
        }
    }
    sum
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

const MECHANISM: &str = "SCRAM-SHA-256";

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3, as far as it does not depend on the user's name.
    #[test]
    fn passwords_are_salted_as_the_standard_says() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = salted_password("pencil", &salt, 4096);
        let messages = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
             r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
             c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac(&hmac(&salted, b"Server Key"), messages.as_bytes());
        assert_eq!(STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }
}
