//! Who may log in with which secret: `[users]`, the password file, and the key to both.

use super::files::{Files, KeyFault, beside};
use super::findings::Findings;
use super::format::Format;
use super::mistake::{Herd, Unfit};
use super::settings::{Settings, Stored};
use crate::auth::passwd::{Key, Users};
use crate::auth::secret::Secret;

/// Reads stored secrets, and the key file the first time that one is encrypted.
pub(super) struct Vault<'a> {
    files: &'a dyn Files,
    key: Keyring,
}

/// What is known about the key.
enum Keyring {
    /// Nothing was encrypted so far.
    Unasked,
    /// Here it is.
    Ready(Key),
    /// There is none that may be used, which has been reported once.
    Lost,
}

impl<'a> Vault<'a> {
    /// Makes one that has not looked at the key file.
    pub(super) const fn new(files: &'a dyn Files) -> Self {
        Self { files, key: Keyring::Unasked }
    }

    /// Collects the users; those of `[users]` win over the password file.
    pub(super) fn users(
        &mut self,
        settings: &Settings,
        stored: &[Stored],
        findings: &mut Findings,
    ) -> Users {
        let mut users = Users::empty();
        for Stored { line, name, text } in stored {
            let key = format!("users.{name}");
            self.insert(&mut users, name, text, (&settings.path, *line, &key), findings);
        }
        if let Some((path, text)) = self.password_file(settings, findings) {
            users.merge(self.read_file(&path, &text, findings));
        }
        users
    }

    /// Decodes a secret that stands in a setting; none if it is a mistake, which is reported.
    pub(super) fn decode(
        &mut self,
        user: &str,
        stored: &str,
        place: (&str, Option<usize>, &str),
        findings: &mut Findings,
    ) -> Option<Secret> {
        let before = findings.mistakes.len();
        let mut alone = Users::empty();
        self.insert(&mut alone, user, stored, place, findings);
        let secret = alone.password(user).cloned();
        if secret.is_none() && findings.mistakes.len() == before && !self.lost(stored) {
            let (file, line, key) = place;
            findings.mistake(file, line, Some(key), Unfit::Hashed);
        }
        secret
    }

    fn insert(
        &mut self,
        users: &mut Users,
        name: &str,
        stored: &str,
        (file, line, key): (&str, Option<usize>, &str),
        findings: &mut Findings,
    ) {
        let aes = self.key_for(stored, file, line, findings);
        match users.insert(name, stored, aes) {
            Err(mistake) if !self.lost(stored) => {
                findings.mistake(file, line, Some(key), Unfit::Stored(mistake));
            }
            Ok(()) | Err(_) => {}
        }
    }

    fn read_file(&mut self, path: &str, text: &str, findings: &mut Findings) -> Users {
        let encrypted: Vec<bool> = text.lines().map(|line| is_encrypted(secret_of(line))).collect();
        if let Some(first) = encrypted.iter().position(|encrypted| *encrypted) {
            self.key_for(ENCRYPTED, path, Some(first + 1), findings);
        }
        let key = match &self.key {
            Keyring::Ready(key) => Some(key),
            Keyring::Unasked | Keyring::Lost => None,
        };
        let (users, mistakes) = Users::read(text, key);
        for (line, mistake) in mistakes {
            // Without a key each of them fails; that there is none has been said.
            let for_lack_of_key = encrypted.get(line.wrapping_sub(1)).copied().unwrap_or(false);
            if key.is_some() || !for_lack_of_key {
                findings.mistake(path, Some(line), None, Unfit::Stored(mistake));
            }
        }
        users
    }

    /// Tells whether a secret could not be read because there is no key.
    fn lost(&self, stored: &str) -> bool {
        is_encrypted(stored) && matches!(self.key, Keyring::Lost)
    }

    /// Returns the key for a secret, if it needs one and there is one.
    fn key_for(
        &mut self,
        stored: &str,
        file: &str,
        line: Option<usize>,
        findings: &mut Findings,
    ) -> Option<&Key> {
        if is_encrypted(stored) && matches!(self.key, Keyring::Unasked) {
            self.key = match self.files.key_file() {
                None => {
                    findings.mistake(file, line, None, Herd::KeyMissing);
                    Keyring::Lost
                }
                Some(found) => match found.text {
                    Ok(text) => Keyring::Ready(Key::read(&text)),
                    Err(KeyFault::ReadableByOthers) => {
                        findings.mistake(&found.path, None, None, Herd::KeyReadableByOthers);
                        Keyring::Lost
                    }
                    Err(KeyFault::Unreadable(why)) => {
                        findings.mistake(&found.path, None, None, Herd::KeyUnreadable(why));
                        Keyring::Lost
                    }
                },
            };
        }
        match &self.key {
            Keyring::Ready(key) if is_encrypted(stored) => Some(key),
            Keyring::Ready(_) | Keyring::Unasked | Keyring::Lost => None,
        }
    }

    /// Reads the password file, if there shall be one.
    fn password_file(
        &self,
        settings: &Settings,
        findings: &mut Findings,
    ) -> Option<(String, String)> {
        let setting = settings.setting("pool_passwd", None);
        if setting.is_none() && settings.format == Format::Toml {
            return None;
        }
        let name = settings.text("pool_passwd", None);
        if name.is_empty() {
            return None;
        }
        let path = beside(&settings.path, &name);
        if setting.is_none() && !self.files.exists(&path) {
            return None;
        }
        match self.files.read(&path) {
            Ok(text) => Some((path, text)),
            Err(why) => {
                let (file, line) = setting
                    .map_or((path.as_str(), None), |setting| (setting.file.as_str(), setting.line));
                let (file, path) = (file.to_owned(), path.clone());
                let herd = Herd::PasswordFile { path, why };
                findings.mistake(&file, line, Some("pool_passwd"), herd);
                None
            }
        }
    }
}

/// What an encrypted secret begins with: `AES` for Pgpool-II's, `AESGCM` for pgherd's own.
const ENCRYPTED: &str = "AES";

fn is_encrypted(stored: &str) -> bool {
    stored.starts_with(ENCRYPTED)
}

/// Finds the secret in a line of a password file: what is behind the first colon that no
/// backslash escapes.
fn secret_of(line: &str) -> &str {
    let mut letters = line.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            ':' => return line.get(at + 1..).unwrap_or_default(),
            _ => {}
        }
    }
    ""
}
