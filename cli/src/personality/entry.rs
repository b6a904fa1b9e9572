//! The command line that `pg_md5` and `pg_enc` have in common: for whom an entry is made, and what
//! becomes of it.

use std::ffi::OsString;

use super::options::{Known, Line, flag, valued};
use super::pairs::LEN_MAX;
use super::pool_passwd::PoolPasswd;
use super::{Stop, place};
use crate::account;

/// `-h`: tells how the program is used.
pub(super) const HELP: Known = flag('h', "help");
/// `-p`: asks for the password.
pub(super) const PROMPT: Known = flag('p', "prompt");
/// `-u`: for whom.
pub(super) const USERNAME: Known = valued('u', "username");
/// `-f`: the configuration that the entries are beside.
pub(super) const CONFIG: Known = valued('f', "config-file");
/// `-i`: a file of users and passwords.
pub(super) const INPUT: Known = valued('i', "input-file");

/// What is asked of either program.
#[derive(Debug)]
pub(super) struct Order {
    /// The password is asked for.
    pub(super) is_asked: bool,
    /// For whom; empty for whoever runs the program.
    pub(super) name: String,
    /// A file of users and passwords, instead of one.
    pub(super) input: Option<String>,
    /// Where entries go.
    pub(super) target: Target,
    /// What else stands on the command line, options by their letters.
    pub(super) others: Vec<(char, OsString)>,
    /// The password, and what is not heeded.
    pub(super) operands: Vec<OsString>,
}

impl Order {
    /// Reads the command line; none if all that is to be done is to tell how the program is used.
    pub(super) fn read(
        program: &str,
        known: &[Known],
        args: &[OsString],
    ) -> Result<Option<Self>, Stop> {
        let line = Line::read(known, args);
        let (mut is_asked, mut is_entry) = (false, false);
        let (mut name, mut config, mut input) = (String::new(), place("pgpool.conf"), None);
        let mut others = Vec::new();
        for (letter, argument) in line.options {
            let text = argument.to_string_lossy().into_owned();
            match letter {
                'p' => is_asked = true,
                'm' => is_entry = true,
                'u' => name = text,
                'f' => config = text,
                'i' => input = Some(text),
                'h' => return Ok(None),
                _ => others.push((letter, argument)),
            }
        }
        if let Some(fault) = line.fault {
            eprintln!("{program}: {fault}");
            return Ok(None);
        }
        if name.len() > LEN_MAX {
            return Err(Stop::new("Error: input exceeds maximum username length!\n\n"));
        }
        let target = if is_entry { Target::Beside(config) } else { Target::Output };
        Ok(Some(Self { is_asked, name, input, target, others, operands: line.operands }))
    }
}

/// Where entries go.
#[derive(Debug)]
pub(super) enum Target {
    /// They are printed.
    Output,
    /// They are stored in the `pool_passwd` of this configuration.
    Beside(String),
}

/// Finds for whom an entry is stored: a user without a name is whoever runs the program.
pub(super) fn store(
    config: &str,
    name: &str,
    entry: impl FnOnce(&str) -> String,
) -> Result<(), Stop> {
    let name = if name.is_empty() {
        account::own_name().map_err(|why| Stop::new(format!("{why}; give one with -u\n")))?
    } else {
        name.to_owned()
    };
    PoolPasswd::of(config)?.store(&name, &entry(&name))
}
