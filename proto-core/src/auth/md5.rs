//! The MD5 challenge of PostgreSQL: proof of knowing `md5(password ‖ user)`.
//!
//! PostgreSQL docs, "Message Flow", AuthenticationMD5Password: the answer is
//! `concat('md5', md5(concat(md5(concat(password, username)), random-salt)))`, each digest in
//! lower-case hexadecimal. MD5 is weak, and whoever holds the inner digest can log in with it; it
//! is here because servers and clients still ask for it.

use crate::auth::passwd::Stored;
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// What an answer and a stored digest begin with.
const PREFIX: &[u8; 3] = b"md5";

/// Length of an answer, in bytes: the prefix and 32 hexadecimal digits.
pub const ANSWER_LEN: usize = 35;

/// Computes `md5(password ‖ user)` in lower-case hexadecimal, as servers and `pool_passwd` store it.
#[must_use]
pub fn digest(password: impl AsRef<[u8]>, user: &str) -> [u8; 32] {
    hex_of(&[password.as_ref(), user.as_bytes()])
}

/// Computes the answer to a challenge, without the NUL that ends it on the wire.
#[must_use]
pub fn challenge_response(stored: &Stored, user: &str, salt: [u8; 4]) -> [u8; ANSWER_LEN] {
    let inner = match stored {
        Stored::Plain(password) => digest(password.expose(), user),
        Stored::Md5(digest) => *digest,
    };
    let outer = hex_of(&[&inner, &salt]);
    let mut answer = [0; ANSWER_LEN];
    for (place, byte) in answer.iter_mut().zip(PREFIX.iter().chain(&outer)) {
        *place = *byte;
    }
    answer
}

/// Tells whether `answer` proves the secret, in a time that does not depend on where it is wrong.
///
/// The length of a right answer is public, so that a wrong length may be found at once.
#[must_use]
pub fn verify(stored: &Stored, user: &str, salt: [u8; 4], answer: &[u8]) -> bool {
    challenge_response(stored, user, salt).as_slice().ct_eq(answer).into()
}

pub(super) fn hex_of(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    let mut hex = [0; 32];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(hash.finalize()) {
        for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        }
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret::Secret;
    use proptest::prelude::*;

    fn plain(password: &str) -> Stored {
        Stored::Plain(Secret::new(password))
    }

    #[test]
    fn the_digest_is_the_one_pg_md5_writes() {
        assert_eq!(&digest("secretpw", "bob"), b"4827d22203568d0d5b46bf27f000a914");
    }

    /// The vector is computed by the field's own client library.
    #[test]
    fn the_answer_is_the_one_other_clients_give() {
        let salt = [0x2a, 0x3d, 0x8f, 0xe0];
        let ours = challenge_response(&plain("password"), "md5_user", salt);
        let theirs = postgres_protocol::authentication::md5_hash(b"md5_user", b"password", salt);
        assert_eq!(std::str::from_utf8(&ours), Ok(theirs.as_str()));
        assert_eq!(&ours, b"md562af4dd09bbb41884907a838a3233294");
    }

    #[test]
    fn a_password_and_its_digest_give_the_same_answer() {
        let stored = Stored::Md5(digest("secretpw", "bob"));
        let answer = challenge_response(&plain("secretpw"), "bob", [1, 2, 3, 4]);
        assert!(verify(&stored, "bob", [1, 2, 3, 4], &answer));
        assert!(!verify(&stored, "bob", [1, 2, 3, 5], &answer), "another challenge");
        assert!(!verify(&plain("secretpw"), "eve", [1, 2, 3, 4], &answer), "another user");
        assert!(!verify(&stored, "bob", [1, 2, 3, 4], &answer[..34]), "a part of the answer");
    }

    proptest! {
        /// No bytes but the right ones are an answer, and none panic.
        #[test]
        fn nothing_else_is_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let stored = plain("secretpw");
            let right = challenge_response(&stored, "bob", [0; 4]);
            prop_assert_eq!(verify(&stored, "bob", [0; 4], &bytes), bytes == right);
        }
    }
}
