//! `pg_enc`: a password encrypted with a key, for `pool_passwd`.
//!
//! Options, output and exit codes are Pgpool-II 4.3's, but that `-P`, which there never gets the key
//! that it asks for, works. pgherd's own entries, which protect better, are `pgherd passwd`'s.

use std::ffi::OsString;

use pgherd_core::auth::passwd::{Key, encrypt_as_pg_enc};
use pgherd_core::auth::secret::Secret;

use super::key::{self, Source};
use super::options::{Known, Line, flag, valued};
use super::pairs::{self, LEN_MAX, Pair};
use super::pool_passwd::PoolPasswd;
use super::{Stop, VERSION, place, prompt, user};
use crate::say::say;

const KNOWN: [Known; 9] = [
    flag('h', "help"),
    flag('p', "prompt"),
    flag('P', "prompt-for-key"),
    flag('m', "update-pass"),
    valued('u', "username"),
    valued('K', "enc-key"),
    valued('k', "key-file"),
    valued('f', "config-file"),
    valued('i', "input-file"),
];

/// Does what the command line says.
pub(super) fn run(program: &str, args: &[OsString]) -> Result<(), Stop> {
    let line = Line::read(&KNOWN, args);
    let (mut is_asked, mut is_entry) = (false, false);
    let (mut key_file, mut key_given, mut key_asked) = (None, String::new(), false);
    let (mut name, mut config, mut input) = (String::new(), place("pgpool.conf"), None);
    for (letter, argument) in &line.options {
        let argument = argument.to_string_lossy().into_owned();
        match letter {
            'p' => is_asked = true,
            'P' => key_asked = true,
            'm' => is_entry = true,
            'u' => name = argument,
            'K' => key_given = argument,
            'k' => key_file = Some(argument.into()),
            'f' => config = argument,
            'i' => input = Some(argument),
            _ => {
                say(&usage(program));
                return Ok(());
            }
        }
    }
    if let Some(fault) = line.fault {
        eprintln!("{program}: {fault}");
        say(&usage(program));
        return Ok(());
    }
    if name.len() > LEN_MAX {
        return Err(Stop::new("Error: input exceeds maximum username length!\n\n"));
    }
    let config = is_entry.then_some(config);
    let source = match key_given {
        _ if key_asked => Source::Asked,
        text if text.is_empty() => Source::File(key_file),
        text => Source::Given(text),
    };
    if let Some(path) = input {
        return Entries { key: source.key()?, config }.of_file(&path);
    }
    let password = match line.operands.first().filter(|_| !is_asked) {
        None => prompt::secret("db password: ")?,
        Some(password) => Secret::new(super::text(password)?),
    };
    let len = password.expose().len();
    if len > LEN_MAX {
        let usage = usage(program);
        return Err(Stop::new(format!(
            "Error: Input exceeds maximum password length given:{len} max allowed:{LEN_MAX}!\n\n\
             {usage}"
        )));
    }
    Entries { key: source.key()?, config }.write(&name, &password)
}

/// What encrypts, and what becomes of it.
struct Entries {
    key: Key,
    /// They are stored beside this configuration; without one they are printed.
    config: Option<String>,
}

impl Entries {
    fn of_file(&self, path: &str) -> Result<(), Stop> {
        say(&format!("trying to read username:password pairs from file {path}\n"));
        for (index, line) in pairs::read(path)?.lines().enumerate() {
            let number = index + 1;
            match Pair::read(line) {
                Pair::Valid { user, password } => self.write(user, &Secret::new(password))?,
                Pair::Blank => {}
                Pair::Invalid => eprintln!("LINE#{number:02}: invalid username:password pair"),
                Pair::UserTooLong => {
                    eprintln!("LINE#{number:02}: input exceeds maximum username length {LEN_MAX}");
                }
                Pair::PasswordTooLong => {
                    eprintln!("LINE#{number:02}: input exceeds maximum password length {LEN_MAX}");
                }
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, password: &Secret) -> Result<(), Stop> {
        let entry = encrypt_as_pg_enc(password, &self.key);
        let Some(config) = &self.config else {
            let bare = entry.strip_prefix("AES").unwrap_or(&entry);
            say(&format!("\n{bare}\npool_passwd string: {entry}\n"));
            return Ok(());
        };
        let name = if name.is_empty() { user::own_name()? } else { name.to_owned() };
        PoolPasswd::of(config)?.store(&name, &entry)
    }
}

fn usage(program: &str) -> String {
    let key_file = key::default();
    format!(
        "{VERSION},
  password encryption utility for Pgpool

Usage:
  {program} [OPTIONS] <PASSWORD>
  -k, --key-file=KEY_FILE
                       Set the path to the encryption key file.
                       Default: {key_file}
                       Can be overridden by the PGPOOLKEYFILE environment variable.
  -K, --enc-key=ENCRYPTION_KEY
                       Encryption key to be used for encrypting database passwords.
  -f, --config-file=CONFIG_FILE
                       Specifies the pgpool.conf file.
  -i, --input-file=INPUT-FILE
                       Specify file containing username and password pairs.
  -p, --prompt         Prompt for database password using standard input.
  -P, --prompt-for-key Prompt for encryption key using standard input.
  -m, --update-pass    Create encrypted password entry in the pool_passwd file.
  -u, --username       The username for the pool_password entry.
  -h, --help           Print this help.

"
    )
}
