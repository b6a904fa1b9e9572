//! The beginning of a session: the startup packet and the proof of who the client is.
//!
//! Written apart from the core's authentication, so that the two check each other: RFC 5802 and
//! RFC 7677 for SCRAM-SHA-256, PostgreSQL docs, "Message Flow", for the rest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256};

use super::outbox::Outbox;
use super::value::SqlError;
use crate::plan::Auth;

/// Rounds of PBKDF2. Far fewer than a server's 4096, since a simulated login has nothing to guard
/// and its time counts.
const ITERATIONS: u32 = 32;

const MECHANISM: &str = "SCRAM-SHA-256";

/// The proof in progress.
#[derive(Debug)]
pub(super) enum Proof {
    Password,
    Md5 { salt: [u8; 4] },
    ScramFirst { nonce: String, salt: [u8; 16] },
    ScramFinal { bare: String, server_first: String, salt: [u8; 16], nonce: String },
}

/// What a step of the proof came to.
#[derive(Debug)]
pub(super) enum Step {
    /// It is proved.
    Proved,
    /// More is to come.
    Further(Proof),
}

/// Asks for the proof; none if there is nothing to prove.
pub(super) fn ask(auth: Auth, chance: [u8; 40], out: &mut Outbox) -> Option<Proof> {
    let (salt, nonce) = chance.split_at_checked(16).unwrap_or_default();
    let mut salt_16 = [0; 16];
    salt_16.copy_from_slice(salt);
    let proof = match auth {
        Auth::Trust => return None,
        Auth::Password => {
            out.authentication(3, b"");
            Proof::Password
        }
        Auth::Md5 => {
            let mut salt_4 = [0; 4];
            salt_4.copy_from_slice(salt.get(..4).unwrap_or_default());
            out.authentication(5, &salt_4);
            Proof::Md5 { salt: salt_4 }
        }
        Auth::Scram => {
            out.authentication(10, b"SCRAM-SHA-256\0\0");
            Proof::ScramFirst { nonce: STANDARD.encode(nonce), salt: salt_16 }
        }
    };
    out.flush();
    Some(proof)
}

/// Looks at the client's answer. A user that does not exist has no password, and fails like a
/// wrong one.
pub(super) fn answer(
    proof: Proof,
    user: &str,
    password: Option<&str>,
    body: &[u8],
    out: &mut Outbox,
) -> Result<Step, SqlError> {
    let wrong = || {
        let what = format!("password authentication failed for user \"{user}\"");
        SqlError::new("28P01", what)
    };
    let malformed = || SqlError::new("08P01", "malformed SCRAM message");
    match proof {
        Proof::Password => {
            let given = body.strip_suffix(b"\0").unwrap_or(body);
            let right = password.is_some_and(|password| password.as_bytes() == given);
            if right { Ok(Step::Proved) } else { Err(wrong()) }
        }
        Proof::Md5 { salt } => {
            let given = body.strip_suffix(b"\0").unwrap_or(body);
            let right = password.is_some_and(|p| md5_proof(user, p, salt).as_bytes() == given);
            if right { Ok(Step::Proved) } else { Err(wrong()) }
        }
        Proof::ScramFirst { nonce, salt } => {
            let text = String::from_utf8(body.to_vec()).map_err(|_| malformed())?;
            let (mechanism, rest) = text.split_once('\0').ok_or_else(malformed)?;
            if mechanism != MECHANISM {
                let what = "client selected an invalid SASL authentication mechanism";
                return Err(SqlError::new("08P01", what));
            }
            let first = rest.get(4..).ok_or_else(malformed)?;
            let bare = first
                .strip_prefix("n,,")
                .or_else(|| first.strip_prefix("y,,"))
                .ok_or_else(malformed)?;
            let client = bare.split(',').find_map(|part| part.strip_prefix("r="));
            let nonce = format!("{}{nonce}", client.ok_or_else(malformed)?);
            let server_first = format!("r={nonce},s={},i={ITERATIONS}", STANDARD.encode(salt));
            out.authentication(11, server_first.as_bytes());
            out.flush();
            let bare = bare.to_owned();
            Ok(Step::Further(Proof::ScramFinal { bare, server_first, salt, nonce }))
        }
        Proof::ScramFinal { bare, server_first, salt, nonce } => {
            let text = String::from_utf8(body.to_vec()).map_err(|_| malformed())?;
            let (without, given) = text.rsplit_once(",p=").ok_or_else(malformed)?;
            if without.split(',').nth(1) != Some(&format!("r={nonce}")) {
                return Err(malformed());
            }
            let given = STANDARD.decode(given).map_err(|_| malformed())?;
            let messages = format!("{bare},{server_first},{without}");
            let keys = Keys::derive(password.unwrap_or(""), &salt);
            let signature = keyed(&keys.stored, messages.as_bytes());
            let client: Vec<u8> = given.iter().zip(signature).map(|(a, b)| a ^ b).collect();
            let proved = Sha256::digest(&client).as_slice() == keys.stored;
            if password.is_none() || given.len() != 32 || !proved {
                return Err(wrong());
            }
            let signature = STANDARD.encode(keyed(&keys.server, messages.as_bytes()));
            out.authentication(12, format!("v={signature}").as_bytes());
            Ok(Step::Proved)
        }
    }
}

struct Keys {
    stored: [u8; 32],
    server: [u8; 32],
}

impl Keys {
    fn derive(password: &str, salt: &[u8]) -> Self {
        let mut round = keyed(password.as_bytes(), &[salt, &[0, 0, 0, 1]].concat());
        let mut salted = round;
        for _ in 1..ITERATIONS {
            round = keyed(password.as_bytes(), &round);
            salted.iter_mut().zip(round).for_each(|(sum, byte)| *sum ^= byte);
        }
        let stored = Sha256::digest(keyed(&salted, b"Client Key")).into();
        Self { stored, server: keyed(&salted, b"Server Key") }
    }
}

fn keyed(key: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// PostgreSQL docs, "AuthenticationMD5Password".
fn md5_proof(user: &str, password: &str, salt: [u8; 4]) -> String {
    let inner = hex(&Md5::digest(format!("{password}{user}")));
    format!("md5{}", hex(&Md5::digest([inner.as_bytes(), &salt].concat())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_md5_proof_is_the_one_that_postgresql_computes() {
        // md5(md5('postgres' || 'postgres') || salt), by psql's own `\password` arithmetic.
        let inner = hex(&Md5::digest("postgrespostgres"));
        assert_eq!(inner, "3175bce1d3201d16594cebf9d7eb3f9d");
        assert_eq!(md5_proof("postgres", "postgres", [1, 2, 3, 4]).len(), 35);
    }

    /// The client's side, written out from RFC 5802.
    fn client_final(password: &str, first: &str, server_first: &str) -> Vec<u8> {
        let part = |name| server_first.split(',').find_map(|p| p.strip_prefix(name)).unwrap();
        let salt = STANDARD.decode(part("s=")).unwrap();
        let mut round = keyed(password.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat());
        let mut salted = round;
        for _ in 1..part("i=").parse::<u32>().unwrap() {
            round = keyed(password.as_bytes(), &round);
            salted.iter_mut().zip(round).for_each(|(sum, byte)| *sum ^= byte);
        }
        let key = keyed(&salted, b"Client Key");
        let without = format!("c=biws,r={}", part("r="));
        let messages = format!("{first},{server_first},{without}");
        let signature = keyed(&Sha256::digest(key), messages.as_bytes());
        let proof: Vec<u8> = key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        format!("{without},p={}", STANDARD.encode(proof)).into_bytes()
    }

    #[test]
    fn scram_tells_the_right_password_from_others() {
        for (password, known, right) in
            [("secret", Some("secret"), true), ("Secret", Some("secret"), false), ("", None, false)]
        {
            let mut out = Outbox::default();
            let proof = ask(Auth::Scram, [7; 40], &mut out).unwrap();
            let first = "n=,r=abc";
            let initial = [&b"SCRAM-SHA-256\0\0\0\0\x0b"[..], b"n,,", first.as_bytes()].concat();
            out.left(usize::MAX);
            let step = answer(proof, "a", known, &initial, &mut out).unwrap();
            let Step::Further(proof) = step else { panic!("{step:?}") };
            let server_first = String::from_utf8(out.leaving()[9..].to_vec()).unwrap();
            let last = client_final(password, first, &server_first);
            let proved = answer(proof, "a", known, &last, &mut out);
            assert_eq!(matches!(proved, Ok(Step::Proved)), right, "{password}");
        }
    }
}
