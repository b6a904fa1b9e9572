//! Which program this is: called by a name of Pgpool-II's, pgherd takes that program's options.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

mod daemon;
mod entry;
mod key;
mod options;
mod other;
mod pairs;
mod pcp;
mod pg_enc;
mod pg_md5;
mod pgpool;
mod pool_passwd;
mod prompt;

/// A program that pgherd can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Personality {
    /// Itself.
    Pgherd,
    /// Pgpool-II's `pgpool`.
    Pgpool,
    /// Pgpool-II's `pg_md5`.
    PgMd5,
    /// Pgpool-II's `pg_enc`.
    PgEnc,
    /// One of Pgpool-II's `pcp_…`.
    Pcp(pcp::Tool),
}

impl Personality {
    /// Tells a program by the name that it is called by, with or without a directory.
    pub(crate) fn called(program: &OsStr) -> Self {
        let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default();
        match name {
            "pgpool" => Self::Pgpool,
            "pg_md5" => Self::PgMd5,
            "pg_enc" => Self::PgEnc,
            _ => pcp::Tool::called(name).map_or(Self::Pgherd, Self::Pcp),
        }
    }

    /// Runs the program, if it is one of Pgpool-II's.
    pub(crate) fn run(self, program: &OsStr, args: &[OsString]) -> Option<ExitCode> {
        let name = program.to_string_lossy();
        match self {
            Self::Pgherd => None,
            Self::Pgpool => Some(ended(pgpool::run(program, args))),
            Self::PgMd5 => Some(ended(pg_md5::run(&name, args))),
            Self::PgEnc => Some(ended(pg_enc::run(&name, args))),
            Self::Pcp(tool) => Some(ended(pcp::run(tool, &name, args))),
        }
    }
}

/// Why one of the tools ends before its work is done: what it says on standard error, and its exit
/// code, which is 0 where Pgpool-II's says so.
#[derive(Debug, PartialEq, Eq)]
struct Stop {
    text: String,
    code: u8,
}

impl Stop {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 1 }
    }
}

fn ended(result: Result<(), Stop>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprint!("{}", stop.text);
            ExitCode::from(stop.code)
        }
    }
}

/// What the programs say of their version.
///
/// Scripts look for Pgpool-II's name and a number here, which is the one of `SHOW pool_version`. What
/// follows says whose program it is.
const VERSION: &str = concat!("pgpool-II version 4.5.0 (pgherd ", env!("CARGO_PKG_VERSION"), ")");

/// The same where the program's name stands in front.
const VERSION_BEHIND: &str = concat!("(pgpool-II) 4.5.0 (pgherd ", env!("CARGO_PKG_VERSION"), ")");

/// Takes a text from the command line.
fn text(argument: &OsStr) -> Result<String, Stop> {
    argument.to_str().map(str::to_owned).ok_or_else(|| Stop::new("the password is not UTF-8\n"))
}

/// Where Pgpool-II's packages keep its configuration: Debian's, Red Hat's, and what is built by hand.
const DIRECTORIES: [&str; 3] = ["/etc/pgpool2", "/etc/pgpool-II", "/usr/local/etc"];

/// Finds a file of Pgpool-II's that the command line does not name: in the first of the directories
/// that has a `pgpool.conf`.
fn place(file: &str) -> String {
    place_among(&DIRECTORIES, file)
}

fn place_among(directories: &[&str], file: &str) -> String {
    let has_one = |directory: &&&str| Path::new(directory).join("pgpool.conf").exists();
    let found = directories.iter().find(has_one).or(directories.first());
    format!("{}/{file}", found.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_beside_the_first_configuration_there_is() {
        let dir = std::env::temp_dir().join(format!("pgherd-place-{}", std::process::id()));
        let names = ["first", "second", "third"].map(|name| dir.join(name));
        for name in &names {
            std::fs::create_dir_all(name).unwrap();
        }
        let texts = names.each_ref().map(|name| name.display().to_string());
        let directories = texts.each_ref().map(String::as_str);
        let beside = |name: &str| format!("{}/{name}/pcp.conf", dir.display());
        // With none, as a message names it.
        assert_eq!(place_among(&directories, "pcp.conf"), beside("first"));
        for (last, found) in [("third", "third"), ("second", "second"), ("first", "first")] {
            std::fs::write(dir.join(last).join("pgpool.conf"), "").unwrap();
            assert_eq!(place_among(&directories, "pcp.conf"), beside(found));
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_program_is_told_by_its_name() {
        for (called, is) in [
            ("pgherd", Personality::Pgherd),
            ("/usr/sbin/pgpool", Personality::Pgpool),
            ("/usr/local/bin/pg_md5", Personality::PgMd5),
            ("./pg_enc", Personality::PgEnc),
            ("pg_enc2", Personality::Pgherd),
            ("/usr/sbin/pcp_node_info", Personality::Pcp(pcp::Tool::NodeInfo)),
            ("pcp_log_rotate", Personality::Pcp(pcp::Tool::RotateLog)),
            ("pcp_", Personality::Pgherd),
            ("pg_md5/", Personality::PgMd5),
            ("", Personality::Pgherd),
        ] {
            assert_eq!(Personality::called(OsStr::new(called)), is, "{called:?}");
        }
    }
}
