//! `pg_md5`: the digest of a password, for `pcp.conf`, or with a user's name for `pool_passwd`.
//!
//! Options, output and exit codes are Pgpool-II 4.3's.

use std::ffi::OsString;

use pgherd_core::auth::md5;
use pgherd_core::auth::secret::Secret;

use super::entry::{self, CONFIG, HELP, INPUT, Order, PROMPT, Target, USERNAME};
use super::options::{Known, flag};
use super::pairs::{self, LEN_MAX, Pair};
use super::{Stop, prompt};
use crate::say::say;

const KNOWN: [Known; 6] = [HELP, PROMPT, flag('m', "md5auth"), USERNAME, CONFIG, INPUT];

/// Does what the command line says.
pub(super) fn run(program: &str, args: &[OsString]) -> Result<(), Stop> {
    let Some(order) = Order::read(program, &KNOWN, args)? else {
        say(&usage(program));
        return Ok(());
    };
    let digests = Digests(order.target);
    if let Some(path) = order.input {
        return digests.of_file(&path);
    }
    let password = match order.operands.first() {
        _ if order.is_asked => prompt::secret("password: ")?,
        None => return Err(Stop::new(usage(program))),
        Some(password) => Secret::new(super::text(password)?),
    };
    if password.expose().len() > LEN_MAX {
        let usage = usage(program);
        return Err(Stop::new(format!("Error: Input exceeds maximum password length!\n\n{usage}")));
    }
    digests.write(&order.name, password.expose())
}

/// What becomes of the digests.
struct Digests(Target);

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
        let digest = |salt: &str| hexadecimal(&md5::digest(password, salt));
        match &self.0 {
            Target::Output => {
                say(&format!("{}\n", digest("")));
                Ok(())
            }
            Target::Beside(config) => {
                entry::store(config, name, |name| format!("md5{}", digest(name)))
            }
        }
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
