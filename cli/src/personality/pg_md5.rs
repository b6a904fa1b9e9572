//! `pg_md5`: the digest of a password, for `pcp.conf`, or with a user's name for `pool_passwd`.
//!
//! Options, output and exit codes are Pgpool-II 4.3's.

use std::ffi::OsString;

use pgherd_core::auth::md5;
use pgherd_core::auth::secret::Secret;

use super::options::{Known, Line, flag, valued};
use super::pairs::{self, LEN_MAX, Pair};
use super::pool_passwd::PoolPasswd;
use super::{Stop, place, prompt, user};
use crate::say::say;

const KNOWN: [Known; 6] = [
    flag('h', "help"),
    flag('p', "prompt"),
    flag('m', "md5auth"),
    valued('u', "username"),
    valued('f', "config-file"),
    valued('i', "input-file"),
];

/// Does what the command line says.
pub(super) fn run(program: &str, args: &[OsString]) -> Result<(), Stop> {
    let line = Line::read(&KNOWN, args);
    let (mut is_entry, mut is_asked) = (false, false);
    let (mut name, mut config, mut input) = (String::new(), place("pgpool.conf"), None);
    for (letter, argument) in &line.options {
        let argument = argument.to_string_lossy().into_owned();
        match letter {
            'p' => is_asked = true,
            'm' => is_entry = true,
            'u' => name = argument,
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
    let digests = Digests { config: is_entry.then_some(config) };
    if let Some(path) = input {
        return digests.of_file(&path);
    }
    let password = match line.operands.first() {
        _ if is_asked => prompt::secret("password: ")?,
        None => return Err(Stop::new(usage(program))),
        Some(password) => Secret::new(super::text(password)?),
    };
    if password.expose().len() > LEN_MAX {
        let usage = usage(program);
        return Err(Stop::new(format!("Error: Input exceeds maximum password length!\n\n{usage}")));
    }
    digests.write(&name, password.expose())
}

/// What becomes of the digests.
struct Digests {
    /// They are stored beside this configuration; without one they are printed.
    config: Option<String>,
}

impl Digests {
    fn of_file(&self, path: &str) -> Result<(), Stop> {
        say(&format!("trying to read username:password pairs from file {path}\n"));
        for (index, line) in pairs::read(path)?.lines().enumerate() {
            let number = index + 1;
            let said = match Pair::read(line) {
                Pair::Valid { user, .. } => format!("USER: <{user}>"),
                Pair::Blank => "BLANK LINE".to_owned(),
                Pair::Invalid => "Invalid username:password pair".to_owned(),
                Pair::UserTooLong => {
                    format!("input exceeds maximum username length {LEN_MAX}\n")
                }
                Pair::PasswordTooLong => format!("input exceeds maximum password length {LEN_MAX}"),
            };
            say(&format!("LINE#{number:02}: {said}\n"));
            if let Pair::Valid { user, password } = Pair::read(line) {
                self.write(user, password)?;
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, password: &str) -> Result<(), Stop> {
        let Some(config) = &self.config else {
            say(&format!("{}\n", hexadecimal(&md5::digest(password, ""))));
            return Ok(());
        };
        let name = if name.is_empty() { user::own_name()? } else { name.to_owned() };
        let entry = format!("md5{}", hexadecimal(&md5::digest(password, &name)));
        PoolPasswd::of(config)?.store(&name, &entry)
    }
}

fn hexadecimal(digits: &[u8]) -> String {
    digits.iter().copied().map(char::from).collect()
}

fn usage(program: &str) -> String {
    format!(
        "Usage:

  {program} [OPTIONS]
  {program} <PASSWORD>

  --prompt, -p         Prompt password using standard input.
  --md5auth, -m        Produce md5 authentication password.
  --username, -u USER  When producing a md5 authentication password,
                       create the pool_passwd entry for USER.
  --config-file, -f CONFIG-FILE  Specify pgpool.conf.
  --input-file, -i INPUT-FILE  Specify file containing username and password pairs.
  --help, -h           This help menu.

Warning: At most 128 characters are allowed for input.
Warning: Plain password argument is deprecated for security concerns
         and kept for compatibility. Please prefer using password
         prompt or input file method.
"
    )
}
