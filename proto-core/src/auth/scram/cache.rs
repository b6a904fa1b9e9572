//! Verifiers made beforehand, so that a login takes no rounds of PBKDF2.

use super::{ITERATIONS, Verifier, mock_salt};
use crate::auth::passwd::Users;
use crate::auth::secret::Secret;
use std::collections::BTreeMap;
use std::fmt;

/// Most users whose verifiers are made beforehand. Each takes about a millisecond, so that this
/// many delay a start, or a reload that changes them all, by about a second.
pub const VERIFIERS_MAX: usize = 1000;

/// The verifiers of all users, or of none.
///
/// Never of some: if a verifier were made at its user's first login and kept, an unknown user, whose
/// verifier costs nothing to make up, could be told from a known one by the time that a refusal
/// takes. With all of them here, both take no rounds; with none, both take all rounds.
#[derive(Clone, Default)]
pub struct VerifierCache(Option<BTreeMap<String, Entry>>);

#[derive(Clone)]
struct Entry {
    /// What the verifier was made of: a user whose password has changed needs another.
    password: Secret,
    verifier: Verifier,
}

impl VerifierCache {
    /// Makes a cache that holds nothing, and lets every login take its rounds.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// Makes the verifiers of all users whose password is known, and takes those from an earlier
    /// cache that are still right. More users than [`VERIFIERS_MAX`] switch the cache off.
    ///
    /// The key must be the one that exchanges are given.
    #[must_use]
    pub fn of(users: &Users, mock_key: &[u8; 32], earlier: &Self) -> Self {
        Self::with_iterations(users, mock_key, earlier, ITERATIONS)
    }

    fn with_iterations(
        users: &Users,
        mock_key: &[u8; 32],
        earlier: &Self,
        iterations: u32,
    ) -> Self {
        if users.len() > VERIFIERS_MAX {
            return Self::off();
        }
        let entries = users.names().filter_map(|user| {
            let password = users.password(user)?;
            let salt = mock_salt(user, mock_key);
            let verifier = match earlier.verifier(user, password) {
                Some(known) if known.salt() == salt && known.iterations() == iterations => {
                    known.clone()
                }
                Some(_) | None => Verifier::from_password(password, salt, iterations),
            };
            Some((user.to_owned(), Entry { password: password.clone(), verifier }))
        });
        Self(Some(entries.collect()))
    }

    /// Finds the verifier of a user with this password.
    #[must_use]
    pub fn verifier(&self, user: &str, password: &Secret) -> Option<&Verifier> {
        let entry = self.0.as_ref()?.get(user)?;
        let same = entry.password.matches(password.expose().as_bytes());
        same.then_some(&entry.verifier)
    }

    /// Tells whether every login takes its rounds.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Debug for VerifierCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.as_ref().map(BTreeMap::len);
        f.debug_struct("VerifierCache").field("count", &count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn cache(text: &str, key: [u8; 32], earlier: &VerifierCache) -> VerifierCache {
        let (users, mistakes) = Users::read(text, None);
        assert_eq!(mistakes, []);
        VerifierCache::with_iterations(&users, &key, earlier, 2)
    }

    #[test]
    fn a_cache_has_everybody_s_verifier() {
        let text = "ann:one\nbob:two\neve:md54827d22203568d0d5b46bf27f000a914";
        let cache = cache(text, KEY, &VerifierCache::off());
        let finds = |user, password| cache.verifier(user, &Secret::new(password)).is_some();
        assert!(finds("ann", "one") && finds("bob", "two"));
        assert!(!finds("ann", "two"), "another password");
        assert!(!finds("kim", "one"), "another user");
        assert!(!cache.is_off());
        assert_eq!(format!("{cache:?}"), "VerifierCache { count: Some(2), .. }");
    }

    #[test]
    fn a_reload_keeps_what_is_still_right() {
        let mut earlier = cache("ann:one\nbob:two\nkim:three", KEY, &VerifierCache::off());
        // Marked verifiers show which of them were kept.
        for entry in earlier.0.iter_mut().flat_map(BTreeMap::values_mut) {
            entry.verifier.stored_key = [0; 32];
        }
        let is_marked = |cache: &VerifierCache, user: &str, password: &str| {
            cache.verifier(user, &Secret::new(password)).map(|it| it.stored_key == [0; 32])
        };
        let later = cache("ann:one\nbob:changed", KEY, &earlier);
        assert_eq!(is_marked(&later, "ann", "one"), Some(true));
        assert_eq!(is_marked(&later, "bob", "changed"), Some(false));
        assert_eq!(is_marked(&later, "kim", "three"), None);
        let other_key = cache("ann:one", [8; 32], &earlier);
        assert_eq!(is_marked(&other_key, "ann", "one"), Some(false));
    }

    #[test]
    fn too_many_users_switch_the_cache_off() {
        let text: String = (0..=VERIFIERS_MAX).map(|number| format!("user{number}:x\n")).collect();
        let cache = cache(&text, KEY, &VerifierCache::off());
        assert!(cache.is_off());
    }
}
