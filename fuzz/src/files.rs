//! The readers of configuration and password files.

use pgherd_core::auth::passwd::{Key, Users};
use pgherd_core::config::KeyFault;
use pgherd_core::config::{Files, KeyFile, load};

/// Files in memory: one configuration, and what it may name.
struct Texts<'a> {
    path: &'a str,
    text: &'a str,
    key: KeyFile,
}

/// What the configuration may include, so that a file that includes itself is among the inputs.
const INCLUDED: &str = "port = 5433\ninclude 'loop.conf'\n";

impl Files for Texts<'_> {
    fn read(&self, path: &str) -> Result<String, String> {
        match path {
            path if path == self.path => Ok(self.text.to_owned()),
            "/etc/included.conf" | "/etc/loop.conf" => Ok(INCLUDED.to_owned()),
            "/etc/pool_passwd" => Ok("a:TEXTsecret\nb:AESGCMxxxx\n".to_owned()),
            _ => Err("No such file or directory".to_owned()),
        }
    }

    fn exists(&self, path: &str) -> bool {
        self.read(path).is_ok()
    }

    fn key_file(&self) -> Option<KeyFile> {
        Some(self.key.clone())
    }
}

/// A file loads, or every mistake in it has a sentence and a line that exists; both the same every
/// time.
fn loads(path: &str, data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let text_of_key = match data.len() % 3 {
        0 => Err(KeyFault::ReadableByOthers),
        1 => Ok(String::new()),
        _ => Ok("a key\n".to_owned()),
    };
    let key = KeyFile { path: "/root/.pgpoolkey".to_owned(), text: text_of_key };
    let files = Texts { path, text: &text, key };
    let lines = text.split('\n').count().max(INCLUDED.lines().count() + 1);
    let check_line = |line: Option<usize>| assert!(line.is_none_or(|n| (1..=lines).contains(&n)));
    let told = match load(path, &files) {
        Ok(loaded) => {
            assert!(!loaded.config.backends.is_empty(), "a configuration without servers loads");
            loaded.notes.iter().for_each(|note| check_line(note.line));
            loaded.notes.iter().map(ToString::to_string).collect::<Vec<_>>()
        }
        Err(rejected) => {
            let mistakes = rejected.mistakes;
            assert!(!mistakes.is_empty(), "it does not load, and nobody says why");
            mistakes.iter().for_each(|mistake| check_line(mistake.line));
            mistakes.iter().map(ToString::to_string).collect()
        }
    };
    assert!(told.iter().all(|sentence| !sentence.is_empty()));
    let again = match load(path, &files) {
        Ok(loaded) => loaded.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        Err(rejected) => rejected.mistakes.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(told, again, "the same file, another verdict");
}

/// Reads a `pgpool.conf`.
pub fn pgpool_conf(data: &[u8]) {
    loads("/etc/pgpool.conf", data);
}

/// Reads a `pgherd.toml`.
pub fn toml_conf(data: &[u8]) {
    loads("/etc/pgherd.toml", data);
}

/// Reads a `pool_passwd`, with a key and without: who is known without a key is known with one,
/// and no mistake is about a line that is not there.
pub fn pool_passwd(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines = text.lines().count();
    let (without, mistakes) = Users::read(&text, None);
    assert!(mistakes.iter().all(|(line, _)| (1..=lines).contains(line)), "{mistakes:?}");
    let key = Key::read("a key\n");
    let (with, mistakes_with) = Users::read(&text, Some(&key));
    assert!(mistakes_with.len() <= mistakes.len(), "a key makes more mistakes");
    assert!(without.names().all(|name| with.get(name).is_some()), "a key makes users disappear");
    for name in with.names() {
        assert!(!name.is_empty() && !name.contains('\0'));
        assert!(with.password(name).is_none_or(|password| !password.expose().is_empty()));
    }
    assert!(lines >= with.len());
}
