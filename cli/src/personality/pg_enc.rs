//! `pg_enc`: a password encrypted with a key, for `pool_passwd`.
//!
//! Options, output and exit codes are Pgpool-II 4.3's, but that `-P`, which there never gets the key
//! that it asks for, works. pgherd's own entries, which protect better, are `pgherd passwd`'s.

use std::ffi::OsString;

use pgherd_core::auth::passwd::{Key, encrypt_as_pg_enc};
use pgherd_core::auth::secret::Secret;

use super::entry::{self, CONFIG, HELP, INPUT, Order, PROMPT, Target, USERNAME};
use super::key::{self, Source};
use super::options::{Known, flag, valued};
use super::pairs::{self, LEN_MAX, Pair};
use super::{Stop, VERSION, prompt};
use crate::say::say;

const KNOWN: [Known; 9] = [
    HELP,
    PROMPT,
    flag('P', "prompt-for-key"),
    flag('m', "update-pass"),
    USERNAME,
    valued('K', "enc-key"),
    valued('k', "key-file"),
    CONFIG,
    INPUT,
];

/// Does what the command line says.
pub(super) fn run(program: &str, args: &[OsString]) -> Result<(), Stop> {
    let Some(order) = Order::read(program, &KNOWN, args)? else {
        say(&usage(program));
        return Ok(());
    };
    let source = source(order.others);
    if let Some(path) = order.input {
        return Entries { key: source.key()?, target: order.target }.of_file(&path);
    }
    let password = match order.operands.first().filter(|_| !order.is_asked) {
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
    Entries { key: source.key()?, target: order.target }.write(&order.name, &password)
}

/// Where the key is from: asked for above all, then given, then in a file.
fn source(options: Vec<(char, OsString)>) -> Source {
    let (mut file, mut given, mut is_asked) = (None, String::new(), false);
    for (letter, argument) in options {
        match letter {
            'P' => is_asked = true,
            'K' => given = argument.to_string_lossy().into_owned(),
            _ => file = Some(argument.into()),
        }
    }
    match given {
        _ if is_asked => Source::Asked,
        text if text.is_empty() => Source::File(file),
        text => Source::Given(text),
    }
}

/// What encrypts, and what becomes of it.
struct Entries {
    key: Key,
    target: Target,
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
        match &self.target {
            Target::Output => {
                let bare = entry.strip_prefix("AES").unwrap_or(&entry);
                say(&format!("\n{bare}\npool_passwd string: {entry}\n"));
                Ok(())
            }
            Target::Beside(config) => entry::store(config, name, |_| entry),
        }
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
