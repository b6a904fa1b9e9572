//! Encrypted entries of a password file: Pgpool-II's, which are read, and pgherd's, which are also
//! written.
//!
//! Pgpool-II's `AES` entries are AES-256-CBC with a key and an initial vector that depend on the
//! key file only (OpenSSL's `EVP_BytesToKey` with SHA-1, one round, no salt). The same password
//! gives the same entry every time, and a wrong key is noticed only by the padding, which one wrong
//! key in 256 gets right; a result that is not UTF-8 is then noticed as well.
//!
//! pgherd writes `AESGCM` and the Base64 of `salt ‖ nonce ‖ ciphertext ‖ tag`: AES-256-GCM under
//! PBKDF2-HMAC-SHA-256 of the key text and the entry's own salt. A wrong key or a changed byte is
//! always noticed.
//!
//! The two cannot be taken for each other, although Base64 may begin with `GCM`. Padded Base64 is a
//! multiple of four characters long. Behind `AES`, an old entry is that; a new one has three
//! characters more. So an entry whose text behind `AESGCM` is a multiple of four is new, and any
//! other is old, and Pgpool-II rejects a new entry rather than decrypt it to nonsense.

use super::Mistake;
use crate::auth::scram;
use crate::auth::secret::Secret;
use crate::entropy::Entropy;
use aes::Aes256;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use std::fmt;
use zeroize::Zeroizing;

/// What Pgpool-II's entries begin with, and pgherd's too.
pub(super) const PREFIX_CBC: &str = "AES";

/// What pgherd's entries begin with. Authenticated along with the password.
const PREFIX_GCM: &str = "AESGCM";

/// Longest key text, in bytes: as much as Pgpool-II reads of the file's first line.
const KEY_LEN_MAX: usize = 255;

/// Length of the salt of an entry, in bytes. Keys of different entries are unrelated.
const SALT_LEN: usize = 16;

/// Length of the nonce of AES-GCM, in bytes.
const NONCE_LEN: usize = 12;

/// Length of the tag of AES-GCM, in bytes.
const TAG_LEN: usize = 16;

/// Rounds of PBKDF2, as many as PostgreSQL spends on a password by default.
///
/// They slow down whoever guesses a key text from a stolen password file, and cost about a
/// millisecond for each entry whenever a file is read. What protects a file is a random key text.
const ROUNDS: u32 = 4096;

/// The text that encrypts password files: the first line of `.pgpoolkey`.
#[derive(Clone)]
pub struct Key(Secret);

impl Key {
    /// Takes the key from the text of a key file: its first line without the newline, and at most
    /// 255 bytes of it, as Pgpool-II does.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let line = text.split('\n').next().unwrap_or_default();
        // Pgpool-II cuts between any two bytes; a key is text here, so a character that would be
        // cut in two is left out. Only key texts of that length in a non-ASCII script differ.
        let cuts = line.char_indices().map(|(start, char)| start + char.len_utf8());
        let end = cuts.take_while(|&end| end <= KEY_LEN_MAX).last().unwrap_or(0);
        Self(Secret::new(line.get(..end).unwrap_or_default()))
    }

    /// Tells whether there is no text at all, which protects nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.expose().is_empty()
    }

    /// Derives the key and the initial vector of `AES` entries.
    fn cbc(&self) -> Zeroizing<[u8; 60]> {
        let mut derived = Zeroizing::new([0; 60]);
        let mut last: Option<Zeroizing<[u8; 20]>> = None;
        for chunk in derived.chunks_exact_mut(20) {
            let mut hash = Sha1::new();
            if let Some(last) = &last {
                hash.update(last.as_slice());
            }
            hash.update(self.0.expose());
            let digest: Zeroizing<[u8; 20]> = Zeroizing::new(hash.finalize().into());
            chunk.copy_from_slice(digest.as_slice());
            last = Some(digest);
        }
        derived
    }

    /// Makes the cipher of one `AESGCM` entry.
    fn gcm(&self, salt: &[u8; SALT_LEN]) -> Aes256Gcm {
        let key = Zeroizing::new(scram::pbkdf2(self.0.expose().as_bytes(), salt, ROUNDS));
        Aes256Gcm::new((&*key).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Encrypts a password into an entry of a password file, which begins with `AESGCM`.
#[must_use]
pub fn encrypt(password: &Secret, key: &Key, entropy: &mut Entropy) -> String {
    let salt = entropy.bytes::<SALT_LEN>();
    let nonce = entropy.bytes::<NONCE_LEN>();
    let payload = Payload { msg: password.expose().as_bytes(), aad: PREFIX_GCM.as_bytes() };
    let sealed = key
        .gcm(&salt)
        .encrypt(&Nonce::from(nonce), payload)
        .expect("AES-GCM encrypts up to 64 GiB, and a password is in memory");
    let entry = [salt.as_slice(), nonce.as_slice(), sealed.as_slice()].concat();
    format!("{PREFIX_GCM}{}", STANDARD.encode(entry))
}

/// Encrypts a password into an entry as Pgpool-II's `pg_enc` writes it, which begins with `AES`.
///
/// The same password and key give the same entry every time, as in Pgpool-II: this is for files that
/// Pgpool-II shall read as well. [`encrypt`] protects better.
#[must_use]
pub fn encrypt_as_pg_enc(password: &Secret, key: &Key) -> String {
    let derived = key.cbc();
    let (key, rest) = derived.split_at(32);
    let iv = rest.get(..16).unwrap_or_default();
    let sealed = cbc::Encryptor::<Aes256>::new_from_slices(key, iv)
        .expect("the key has 32 bytes and the initial vector 16")
        .encrypt_padded_vec::<Pkcs7>(password.expose().as_bytes());
    format!("{PREFIX_CBC}{}", STANDARD.encode(sealed))
}

/// Decrypts an entry that begins with `AES`, of either kind.
pub(super) fn decrypt(entry: &str, key: Option<&Key>) -> Result<Secret, Mistake> {
    let password = match entry.strip_prefix(PREFIX_GCM) {
        Some(new) if new.len() % 4 == 0 => decrypt_gcm(new, key)?,
        Some(_) | None => decrypt_cbc(entry.strip_prefix(PREFIX_CBC).unwrap_or(entry), key)?,
    };
    // Not `String::from_utf8`: its error would carry the bytes to where nobody wipes them.
    match std::str::from_utf8(&password) {
        // No password that was ever encrypted contains a zero byte, so this is a wrong key as well.
        Ok(text) if !text.contains('\0') => Ok(Secret::new(text)),
        Ok(_) | Err(_) => Err(Mistake::WrongKey),
    }
}

fn decrypt_gcm(text: &str, key: Option<&Key>) -> Result<Zeroizing<Vec<u8>>, Mistake> {
    let entry = STANDARD.decode(text).map_err(|_| Mistake::NotBase64)?;
    let (salt, rest) = entry.split_first_chunk::<SALT_LEN>().ok_or(Mistake::NotEncrypted)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Mistake::NotEncrypted)?;
    if sealed.len() < TAG_LEN {
        return Err(Mistake::NotEncrypted);
    }
    let payload = Payload { msg: sealed, aad: PREFIX_GCM.as_bytes() };
    let cipher = key.ok_or(Mistake::KeyMissing)?.gcm(salt);
    cipher.decrypt(&Nonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| Mistake::WrongKey)
}

fn decrypt_cbc(text: &str, key: Option<&Key>) -> Result<Zeroizing<Vec<u8>>, Mistake> {
    let entry = STANDARD.decode(text).map_err(|_| Mistake::NotBase64)?;
    if entry.is_empty() || entry.len() % 16 != 0 {
        return Err(Mistake::NotEncrypted);
    }
    let derived = key.ok_or(Mistake::KeyMissing)?.cbc();
    let (key, rest) = derived.split_at(32);
    let iv = rest.get(..16).unwrap_or_default();
    cbc::Decryptor::<Aes256>::new_from_slices(key, iv)
        .expect("the key has 32 bytes and the initial vector 16")
        .decrypt_padded_vec::<Pkcs7>(&entry)
        .map(Zeroizing::new)
        .map_err(|_| Mistake::WrongKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector was decrypted with OpenSSL.
    #[test]
    fn the_derivation_is_openssl_s() {
        let hex: String =
            Key::read("mypoolkey\n").cbc()[..48].iter().map(|byte| format!("{byte:02x}")).collect();
        let key = "6ba40444345af16c4dfd0c1e193159935e216c3a87beea243854ea21c4527cff";
        assert_eq!(hex, format!("{key}ede3d5759bbd3aaa16e7693b9c83e5f5"));
    }

    /// The entries were written by Pgpool-II 4.3's `pg_enc`.
    #[test]
    fn entries_are_those_of_pg_enc() {
        let key = Key::read("mypoolkey\n");
        for (password, entry) in [
            ("secretpw", "AES1soDBPtppom8N8KknAjANw=="),
            ("other", "AESLm0C5grzOZNmR6TeC02EVQ=="),
            ("", "AESKQsbgCLxUiyv0+5WEkpuug=="),
        ] {
            assert_eq!(encrypt_as_pg_enc(&Secret::new(password), &key), entry, "{password:?}");
            let opened = decrypt(entry, Some(&key)).expect("it is the same key");
            assert_eq!(opened.expose(), password);
        }
    }

    #[test]
    fn the_key_is_the_first_line() {
        let long = "k".repeat(300);
        let split = format!("{}éé", "k".repeat(254));
        for (text, key) in [
            ("abc", "abc"),
            ("abc\n", "abc"),
            ("abc\ndef\n", "abc"),
            ("\nabc", ""),
            ("", ""),
            ("a b \n", "a b "),
            (long.as_str(), &long[..255]),
            (split.as_str(), &split[..254]),
        ] {
            assert_eq!(Key::read(text).0.expose(), key, "{text:?}");
        }
        assert!(Key::read("\n").is_empty());
        assert_eq!(format!("{:?}", Key::read("abc")), "Key(…)");
    }
}
