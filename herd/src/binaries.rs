//! Where PostgreSQL's programs are: `$PG_BINDIR`, then `PATH`, then where packages put them.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::trouble::Trouble;

/// One installation of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The directory with `postgres`, `initdb`, `pg_basebackup` and `psql`.
    pub dir: PathBuf,
    /// The major version, as in `15`.
    pub version: u32,
}

impl Binaries {
    /// Finds the programs: in `$PG_BINDIR` if it is set, else along `PATH`, else the newest of the
    /// directories in which Debian's and Red Hat's packages put them.
    ///
    /// On Debian `PATH` has `psql` but not `postgres`, so a directory of `PATH` counts only if it
    /// has the server too.
    pub fn find() -> Result<Binaries, Trouble> {
        let bindir = env::var_os("PG_BINDIR").filter(|dir| !dir.is_empty());
        let path = env::var_os("PATH").unwrap_or_default();
        let dir = search(bindir.as_deref(), &path, &packaged(Path::new("/usr")))?;
        Binaries::in_dir(dir)
    }

    /// Finds the programs of one major version, in the same places; `$PG_BINDIR` has to be of that
    /// version if it is set.
    pub fn of_version(wanted: u32) -> Result<Binaries, Trouble> {
        let bindir = env::var_os("PG_BINDIR").filter(|dir| !dir.is_empty());
        let path = env::var_os("PATH").unwrap_or_default();
        let places = match &bindir {
            Some(dir) => vec![PathBuf::from(dir)],
            None => places(&path, &packaged(Path::new("/usr"))).collect(),
        };
        places
            .into_iter()
            .filter_map(|dir| Binaries::in_dir(dir).ok())
            .find(|binaries| binaries.version == wanted)
            .ok_or(Trouble::NoSuchVersion { wanted })
    }

    /// Takes the programs from `dir`, and asks the server for its version.
    pub fn in_dir(dir: PathBuf) -> Result<Binaries, Trouble> {
        if let Some(missing) = missing(&dir) {
            return Err(Trouble::Incomplete { dir, missing });
        }
        let program = dir.join("postgres");
        let output = Command::new(&program)
            .arg("--version")
            .output()
            .map_err(Trouble::io("run", &program))?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let Some(version) = major(&said) else { return Err(Trouble::NoVersion { program, said }) };
        if version < VERSION_MIN {
            return Err(Trouble::TooOld { dir, version, least: VERSION_MIN });
        }
        Ok(Binaries { dir, version })
    }

    /// Returns the path of one of the programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Chooses a directory. `packaged` is in order of preference.
fn search(bindir: Option<&OsStr>, path: &OsStr, packaged: &[PathBuf]) -> Result<PathBuf, Trouble> {
    if let Some(dir) = bindir {
        let dir = PathBuf::from(dir);
        return match missing(&dir) {
            None => Ok(dir),
            Some(missing) => Err(Trouble::Incomplete { dir, missing }),
        };
    }
    places(path, packaged).next().ok_or(Trouble::NoBinaries)
}

/// Lists the directories that have the programs.
fn places<'a>(path: &'a OsStr, packaged: &'a [PathBuf]) -> impl Iterator<Item = PathBuf> + 'a {
    env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .chain(packaged.iter().cloned())
        .filter(|dir| missing(dir).is_none())
}

/// Lists the directories of packages under `usr`, newest version first.
fn packaged(usr: &Path) -> Vec<PathBuf> {
    let debian = versions(&usr.join("lib/postgresql"), "");
    let red_hat = versions(usr, "pgsql-");
    let mut found: Vec<(u32, PathBuf)> = debian.into_iter().chain(red_hat).collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, dir)| dir.join("bin")).collect()
}

/// Lists the subdirectories of `dir` named `prefix` and a number.
fn versions(dir: &Path, prefix: &str) -> Vec<(u32, PathBuf)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name.strip_prefix(prefix)?.parse().ok()?, entry.path()))
        })
        .collect()
}

/// Names the first program that is not in `dir`.
fn missing(dir: &Path) -> Option<&'static str> {
    PROGRAMS.into_iter().find(|name| !dir.join(name).is_file())
}

/// Reads the major version from `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn major(said: &str) -> Option<u32> {
    let (_, version) = said.split_once("(PostgreSQL) ")?;
    let len = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version.get(..len)?.parse().ok()
}

/// What a herd runs. `postgres` first, because its absence is the telling one.
const PROGRAMS: [&str; 4] = ["postgres", "initdb", "pg_basebackup", "psql"];

/// The first version in which a standby is a `standby.signal` file and settings, and
/// `pg_basebackup -R` writes both.
const VERSION_MIN: u32 = 12;

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::directory::Temporary;

    fn install(dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        for program in PROGRAMS {
            fs::write(dir.join(program), "").unwrap();
        }
    }

    #[test]
    fn the_search_goes_from_the_explicit_to_the_usual() {
        let temporary = Temporary::new("pgherd-test").unwrap();
        let root = temporary.path();
        for dir in ["lib/postgresql/9/bin", "lib/postgresql/15/bin", "pgsql-14/bin", "own"] {
            install(&root.join(dir));
        }
        fs::create_dir_all(root.join("lib/postgresql/common")).unwrap();
        fs::create_dir_all(root.join("client")).unwrap();
        fs::write(root.join("client/psql"), "").unwrap();
        let usual = packaged(root);
        let own = root.join("own").into_os_string();
        let client = root.join("client").into_os_string();
        let mut both = client.clone();
        both.push(":");
        both.push(&own);

        let cases: &[(&str, Option<&OsString>, &OsString, &str)] = &[
            ("asked for", Some(&own), &client, "own"),
            ("on PATH", None, &own, "own"),
            ("on PATH after a client", None, &both, "own"),
            ("newest package", None, &client, "lib/postgresql/15/bin"),
        ];
        for (name, bindir, path, expected) in cases {
            let found = search(bindir.map(OsString::as_os_str), path, &usual);
            assert_eq!(found.unwrap(), root.join(expected), "{name}");
        }
        assert_eq!(usual.get(1), Some(&root.join("pgsql-14/bin")), "numbers, not text");
    }

    #[test]
    fn absence_is_one_line_with_a_way_out() {
        let none = search(None, OsStr::new(""), &[]).unwrap_err().to_string();
        assert!(none.contains("install the package \"postgresql\""), "{none}");
        let asked = search(Some(OsStr::new("/nonexistent")), OsStr::new(""), &[]);
        let asked = asked.unwrap_err().to_string();
        assert!(asked.starts_with("no program \"postgres\" in /nonexistent"), "{asked}");
        assert!(!none.contains('\n') && !asked.contains('\n'));
    }

    #[test]
    fn versions_are_read_as_postgres_prints_them() {
        let cases = [
            ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", Some(15)),
            ("postgres (PostgreSQL) 18beta1", Some(18)),
            ("postgres (PostgreSQL) 19devel", Some(19)),
            ("postgres (PostgreSQL) 16", Some(16)),
            ("postgres (PostgreSQL) devel", None),
            ("", None),
        ];
        for (said, expected) in cases {
            assert_eq!(major(said), expected, "{said}");
        }
    }
}
