//! Secrets, which never print.

use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A password, or the text of a key.
///
/// It prints as `Secret(…)`, is wiped from memory when dropped, and is compared by
/// [`Secret::matches`] only: `==` would stop at the first difference and tell where it was.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes custody of a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Lends the text, to the code that proves it to somebody and to nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Tells whether `other` is this secret, all of it, in a time that does not depend on where
    /// they differ.
    ///
    /// Digests are compared, so that a difference in length is found no sooner than any other.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        let own = Sha256::digest(self.0.as_bytes());
        let others = Sha256::digest(other);
        own.as_slice().ct_eq(others.as_slice()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {:#?}", Some(&secret)),
            "Secret(…) Some(\n    Secret(…),\n)"
        );
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn only_the_whole_secret_matches() {
        let secret = Secret::new("hunter2");
        for (other, matches) in [
            ("hunter2", true),
            ("", false),
            ("hunter", false),
            ("hunter22", false),
            ("Hunter2", false),
        ] {
            assert_eq!(secret.matches(other.as_bytes()), matches, "{other:?}");
        }
        assert!(!secret.matches(b"hunter2\0"));
    }

    proptest! {
        /// Matching is equality of bytes.
        #[test]
        fn matching_is_equality(one in "\\PC{0,80}", other in "\\PC{0,80}") {
            prop_assert_eq!(Secret::new(one.clone()).matches(other.as_bytes()), one == other);
            prop_assert!(Secret::new(one.clone()).matches(one.as_bytes()));
        }
    }
}
