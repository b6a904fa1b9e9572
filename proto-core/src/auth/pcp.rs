//! The users of `pcp.conf` and the challenge by which they prove themselves.
//!
//! A line is `user:digest`, the digest being `md5(password)` in hexadecimal, as `pg_md5 PASSWORD`
//! prints it. Unlike PostgreSQL's, it holds no user name, and an answer has no prefix `md5`
//! (Pgpool-II docs, "pcp.conf"). Whoever holds the digest can log in with it.

use super::md5::hex_of;
use super::secret::Secret;
use crate::limits;
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// Length of a digest in hexadecimal, in bytes.
const DIGEST_LEN: usize = 32;

/// Who may administer, in the order of the file.
///
/// A name may stand there more than once: any of its digests will do, as in Pgpool-II.
#[derive(Clone, Debug, Default)]
pub struct Users(Vec<(String, Secret)>);

/// A line of `pcp.conf` that cannot be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a line of `pcp.conf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has no colon.
    NoColon,
    /// There is nothing before the colon.
    NoName,
    /// The name is longer than Pgpool-II takes.
    LongName,
    /// What follows the colon is not 32 hexadecimal digits.
    NoDigest,
    /// There are more users than are kept.
    TooMany,
}

impl Users {
    /// Reads the text of a `pcp.conf`.
    ///
    /// # Errors
    /// The first line that is neither a user, empty nor a comment. The digest is never told.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let mut users = Vec::new();
        for (at, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let user =
                if users.len() < limits::ADMIN_USERS_MAX { user(line) } else { Err(Why::TooMany) };
            users.push(user.map_err(|why| BadLine { line: at + 1, why })?);
        }
        Ok(Self(users))
    }

    /// Tells whether nobody may administer.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether `answer` proves that it comes from `name`, who was sent `salt`.
    ///
    /// Every line is computed, whosever it is, so that the time tells neither whether there is
    /// such a user nor where an answer is wrong.
    #[must_use]
    pub fn verify(&self, name: &[u8], salt: [u8; 4], answer: &[u8]) -> bool {
        let mut proved = Choice::from(0);
        for (user, digest) in &self.0 {
            let right = challenge_response(digest.expose().as_bytes(), name, salt);
            proved |= user.as_bytes().ct_eq(name) & right.as_slice().ct_eq(answer);
        }
        proved.into()
    }
}

/// Computes the answer to a challenge from the digest of a password.
#[must_use]
pub fn challenge_response(digest: &[u8], name: &[u8], salt: [u8; 4]) -> [u8; DIGEST_LEN] {
    hex_of(&[&hex_of(&[digest, name]), &salt])
}

fn user(line: &str) -> Result<(String, Secret), Why> {
    let (name, digest) = line.split_once(':').ok_or(Why::NoColon)?;
    if name.is_empty() {
        return Err(Why::NoName);
    }
    if name.len() > limits::ADMIN_NAME_LEN_MAX {
        return Err(Why::LongName);
    }
    // Editors leave blanks behind; clients hash the digits in lower case.
    let digest = digest.trim_end();
    if digest.len() != DIGEST_LEN || !digest.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Why::NoDigest);
    }
    Ok((name.to_owned(), Secret::new(digest.to_ascii_lowercase())))
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoColon => f.write_str("there is no colon"),
            Self::NoName => f.write_str("there is no user name before the colon"),
            Self::LongName => {
                write!(f, "the user name is longer than {} bytes", limits::ADMIN_NAME_LEN_MAX)
            }
            Self::NoDigest => f.write_str("what follows the colon is not 32 hexadecimal digits"),
            Self::TooMany => write!(f, "there are more than {} users", limits::ADMIN_USERS_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `pg_md5 pcpadmin` prints.
    const DIGEST: &str = "3090be164580c74a25efe7abdf542eb2";

    /// A login of a stock client, seen on the wire.
    #[test]
    fn the_answer_is_the_one_stock_clients_give() {
        let salt = [0x08, 0xb5, 0xcd, 0x28];
        let users = Users::parse(&format!("# who\n\npcpadmin:{DIGEST}\n")).unwrap();
        let answer = b"d7c0213c5b0540ee98a8c0d3092e9251";
        assert_eq!(&challenge_response(DIGEST.as_bytes(), b"pcpadmin", salt), answer);
        assert!(users.verify(b"pcpadmin", salt, answer));
        assert!(!users.verify(b"pcpadmin", [0; 4], answer));
        assert!(!users.verify(b"other", salt, answer));
        assert!(!Users::default().verify(b"pcpadmin", salt, answer));
    }

    #[test]
    fn any_line_of_a_user_will_do_and_capitals_are_digits_too() {
        let text = format!("a:{}\na:{}\r\n", "0".repeat(32), DIGEST.to_uppercase());
        let users = Users::parse(&text).unwrap();
        let answer = challenge_response(DIGEST.as_bytes(), b"a", [1; 4]);
        assert!(users.verify(b"a", [1; 4], &answer));
    }

    #[test]
    fn what_cannot_be_meant_is_told_by_its_line() {
        let table = [
            ("#\nadmin", 2, Why::NoColon),
            (":3090be164580c74a25efe7abdf542eb2", 1, Why::NoName),
            ("admin:secret", 1, Why::NoDigest),
            ("admin:md53090be164580c74a25efe7abdf542eb2", 1, Why::NoDigest),
            ("admin:zz90be164580c74a25efe7abdf542eb2", 1, Why::NoDigest),
        ];
        for (text, line, why) in table {
            let mistake = Users::parse(text).unwrap_err();
            assert_eq!(mistake, BadLine { line, why }, "{text:?}");
            assert!(!mistake.to_string().contains("secret"));
        }
        let long = format!("{}:{DIGEST}", "a".repeat(limits::ADMIN_NAME_LEN_MAX + 1));
        assert_eq!(Users::parse(&long).unwrap_err().why, Why::LongName);
        let many = format!("a:{DIGEST}\n").repeat(limits::ADMIN_USERS_MAX + 1);
        assert_eq!(Users::parse(&many).unwrap_err().why, Why::TooMany);
    }

    proptest! {
        /// Whatever a file holds, it is read or refused, and nobody gets in by chance.
        #[test]
        fn any_text_is_read_or_refused(text in "([a-z:#]{0,9}[0-9a-f]{0,33}\n?){0,5}", answer in any::<[u8; 32]>()) {
            if let Ok(users) = Users::parse(&text) {
                prop_assert!(!users.verify(b"a", [0; 4], &answer));
            }
        }
    }
}
