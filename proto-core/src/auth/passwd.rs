//! Users and their secrets, as `pool_passwd` and `[users]` write them.
//!
//! A `pool_passwd` file has one `user:secret` to a line; a backslash takes the next character as it
//! is, further fields are ignored, empty lines are skipped, there are no comments, and the first
//! entry of a user counts. A stored secret is one of:
//!
//! | text                       | is                                                    |
//! |----------------------------|-------------------------------------------------------|
//! | `md5` + 32 hex digits      | `md5(password ‖ user)`, for the MD5 method only       |
//! | `AESGCM` + Base64          | the password encrypted by pgherd, see [`encrypt`]     |
//! | `AES` + Base64             | the password encrypted by Pgpool-II's `pg_enc`        |
//! | `TEXT` + password          | the password                                          |
//! | anything else              | the password                                          |
//!
//! A text that begins like one of the first three and is not one is a [`Mistake`], where Pgpool-II
//! takes it for a password: a damaged entry is likelier than a password of that look, which can be
//! written behind `TEXT`.

mod cipher;

pub use cipher::{Key, encrypt, encrypt_as_pg_enc};

use crate::auth::secret::Secret;
use std::collections::BTreeMap;
use std::fmt;

/// Longest user name or stored secret, in bytes, escapes taken out.
///
/// Pgpool-II cuts both at 128. A password of 700 bytes, as cloud providers hand out tokens of, is
/// 1,000 bytes when encrypted; more than that is a file of another kind.
pub const TOKEN_LEN_MAX: usize = 1024;

/// What is known of a user's password.
#[derive(Clone)]
pub enum Stored {
    /// The password itself, fit for every method.
    Plain(Secret),
    /// `md5(password ‖ user)` in lower-case hexadecimal, fit for the MD5 method and to check a
    /// clear-text password against.
    Md5([u8; 32]),
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever has the digest can log in with it, so it is as secret as the password.
        match self {
            Self::Plain(_) => f.write_str("Plain(…)"),
            Self::Md5(_) => f.write_str("Md5(…)"),
        }
    }
}

/// What is wrong with an entry, and the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A line has no colon after the user name.
    NoColon,
    /// There is nothing before the colon.
    EmptyName,
    /// There is nothing after the colon, or the password inside is empty.
    EmptyPassword,
    /// A name or a secret has more than [`TOKEN_LEN_MAX`] bytes.
    TooLong,
    /// A name or a secret contains a zero byte, which PostgreSQL's protocol cannot carry.
    ZeroByte,
    /// The entry is encrypted, and there is no key.
    KeyMissing,
    /// The entry is encrypted with another key, or damaged.
    WrongKey,
    /// The entry begins with `AES`, and what follows is not Base64.
    NotBase64,
    /// The entry begins with `AES`, and what follows is too short or not made of whole blocks.
    NotEncrypted,
    /// The entry is a server's SCRAM verifier.
    ScramVerifier,
    /// The entry looks like an MD5 digest that has lost or gained something.
    Md5Malformed,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoColon => {
                "there is no colon; write one entry per line as user:password (there are no comments)"
            }
            Self::EmptyName => "the user name is empty; write the entry as user:password",
            Self::EmptyPassword => {
                "the password is empty, and PostgreSQL accepts no empty password; \
                 remove the entry or set a password"
            }
            Self::TooLong => {
                "a user name or a password is longer than 1024 bytes; check that this is a \
                 password file"
            }
            Self::ZeroByte => {
                "a user name or a password contains a zero byte, which PostgreSQL cannot receive; \
                 remove it"
            }
            Self::KeyMissing => {
                "the password is encrypted and there is no key; name the key file (.pgpoolkey) that \
                 it was encrypted with"
            }
            Self::WrongKey => {
                "the key does not open this password; use the key file that it was encrypted with, \
                 or encrypt the password again"
            }
            Self::NotBase64 => {
                "what follows AES is not Base64; restore the entry, or write a password that begins \
                 with AES as TEXT followed by the password"
            }
            Self::NotEncrypted => {
                "what follows AES is not an encrypted password; restore the entry, or write a \
                 password that begins with AES as TEXT followed by the password"
            }
            Self::ScramVerifier => {
                "a SCRAM-SHA-256 verifier cannot open a server's side; store the password itself, \
                 in clear or encrypted"
            }
            Self::Md5Malformed => {
                "an MD5 entry is md5 followed by 32 lower-case hexadecimal digits; restore the \
                 entry, or write a password that begins with md5 as TEXT followed by the password"
            }
        })
    }
}

impl std::error::Error for Mistake {}

/// Users and what is known of their passwords.
#[derive(Clone, Debug, Default)]
pub struct Users(BTreeMap<String, Stored>);

impl Users {
    /// Makes a list of nobody.
    #[must_use]
    pub const fn empty() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a user, with the secret as it is stored; a user who is listed already keeps the first.
    ///
    /// # Errors
    /// If the stored text is not a secret that pgherd can use; nobody is added then.
    pub fn insert(&mut self, name: &str, stored: &str, key: Option<&Key>) -> Result<(), Mistake> {
        if name.is_empty() {
            return Err(Mistake::EmptyName);
        }
        if name.contains('\0') {
            return Err(Mistake::ZeroByte);
        }
        if name.len() > TOKEN_LEN_MAX || stored.len() > TOKEN_LEN_MAX {
            return Err(Mistake::TooLong);
        }
        let stored = read_stored(stored, key)?;
        self.0.entry(name.to_owned()).or_insert(stored);
        Ok(())
    }

    /// Reads a `pool_passwd` file: the users, and each mistake with its line, counted from one.
    #[must_use]
    pub fn read(text: &str, key: Option<&Key>) -> (Self, Vec<(usize, Mistake)>) {
        let mut users = Self::empty();
        let mut mistakes = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            let inserted = entry(line).and_then(|(name, stored)| users.insert(&name, &stored, key));
            if let Err(mistake) = inserted {
                mistakes.push((index + 1, mistake));
            }
        }
        (users, mistakes)
    }

    /// Adds the users of another list; who is in both keeps the secret of this one.
    pub fn merge(&mut self, other: Self) {
        for (name, stored) in other.0 {
            self.0.entry(name).or_insert(stored);
        }
    }

    /// Finds what is stored for a user.
    #[must_use]
    pub fn get(&self, user: &str) -> Option<&Stored> {
        self.0.get(user)
    }

    /// Finds the password of a user, if it is known itself and not only as a digest.
    #[must_use]
    pub fn password(&self, user: &str) -> Option<&Secret> {
        match self.get(user)? {
            Stored::Plain(password) => Some(password),
            Stored::Md5(_) => None,
        }
    }

    /// Tells whether nobody is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts the users.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Lists the names of the users, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Lists the users with what is stored for them, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Stored)> {
        self.0.iter().map(|(name, stored)| (name.as_str(), stored))
    }
}

/// Reads what one secret, stored in any of the ways, stands for.
///
/// Outside of a list of users, this is for the passwords of single roles in the configuration.
///
/// # Errors
/// If the text is not a secret that pgherd can use.
pub fn read_stored(text: &str, key: Option<&Key>) -> Result<Stored, Mistake> {
    if text.starts_with("SCRAM-SHA-256$") {
        return Err(Mistake::ScramVerifier);
    }
    if let Some(digits) = text.strip_prefix("md5")
        && let Some(digest) = md5_digest(digits)?
    {
        return Ok(Stored::Md5(digest));
    }
    let password = if let Some(plain) = text.strip_prefix("TEXT") {
        Secret::new(plain)
    } else if text.starts_with(cipher::PREFIX_CBC) {
        cipher::decrypt(text, key)?
    } else {
        Secret::new(text)
    };
    match password.expose() {
        "" => Err(Mistake::EmptyPassword),
        text if text.contains('\0') => Err(Mistake::ZeroByte),
        _ => Ok(Stored::Plain(password)),
    }
}

/// Reads the digits of an MD5 entry; none if the entry is a password that begins with `md5`.
fn md5_digest(digits: &str) -> Result<Option<[u8; 32]>, Mistake> {
    /// So many hexadecimal digits in a row are a piece of a digest, and not the end of a password.
    const PIECE_LEN: usize = 16;

    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match <[u8; 32]>::try_from(digits.as_bytes()) {
        Ok(digest) if digest.iter().all(|&byte| is_digit(byte)) => Ok(Some(digest)),
        Ok(_) => Err(Mistake::Md5Malformed),
        Err(_) if digits.len() >= PIECE_LEN && digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Err(Mistake::Md5Malformed)
        }
        Err(_) => Ok(None),
    }
}

/// Cuts a line into the user name and the stored secret.
fn entry(line: &str) -> Result<(String, String), Mistake> {
    let (name, rest) = token(line);
    let (stored, _unused) = token(rest.ok_or(Mistake::NoColon)?);
    Ok((name, stored))
}

/// Takes the text up to the next bare colon, without its escapes, and what follows the colon.
fn token(line: &str) -> (String, Option<&str>) {
    let mut token = String::new();
    let mut rest = line.chars();
    while let Some(next) = rest.next() {
        match next {
            ':' => return (token, Some(rest.as_str())),
            '\\' => token.extend(rest.next()),
            other => token.push(other),
        }
    }
    (token, None)
}

/// Changes the text of a `pool_passwd` file so that this is what is stored for the user: in the place
/// of the first entry, which is the one that counts, or else behind all others.
///
/// Every other line stays as it is, also one that is a mistake.
#[must_use]
pub fn store(text: &str, user: &str, stored: &str) -> String {
    let is_theirs = |line: &str| entry(line).is_ok_and(|(name, _)| name == user);
    let mut line = Some(line(user, stored));
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Some(old) = lines.iter_mut().find(|line| is_theirs(line)) {
        *old = line.take().unwrap_or_default();
    }
    lines.extend(line);
    lines.push(String::new());
    lines.join("\n")
}

/// Writes a line of a `pool_passwd` file, escaped so that [`Users::read`] reads the same.
#[must_use]
pub fn line(user: &str, stored: &str) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
    format!("{}:{}", escaped(user), escaped(stored))
}

#[cfg(test)]
mod tests;
