//! Runs PostgreSQL's programs.

use std::env;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pgherd_herd::{Binaries, telling_line};

use super::access::{Access, is_inherited};
use super::control_data::ControlData;
use super::lock::Lock;
use super::trouble::Trouble;

/// The programs of one release.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) binaries: Binaries,
}

impl Tools {
    /// Prepares a program that asks the primary.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.program(program));
        clean(&mut command, is_inherited);
        command
    }

    /// Prepares a program that asks nobody, or starts a server.
    pub(super) fn local(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.program(program));
        clean(&mut command, |_| false);
        command
    }

    /// Asks a server and returns the rows.
    ///
    /// # Errors
    /// What `psql` says of why there is no answer.
    pub(super) fn ask(&self, access: &Access, sql: &str) -> Result<Vec<Vec<String>>, Trouble> {
        let mut command = self.client("psql");
        command.args(["-XAtqw", "-v", "ON_ERROR_STOP=1", "-d", &access.for_programs(), "-c", sql]);
        let text = run("psql", command)?;
        Ok(text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect())
    }

    /// Asks of which cluster a data directory is.
    pub(super) fn control_data(&self, dir: &Path) -> Result<ControlData, Trouble> {
        let mut command = self.local("pg_controldata");
        command.arg("-D").arg(dir);
        let text = run("pg_controldata", command)?;
        let unclear = || Trouble::Unclear { program: "pg_controldata", said: text.clone() };
        ControlData::read(&text).ok_or_else(unclear)
    }

    /// Copies the primary to a directory that is empty or not there.
    pub(super) fn base_backup(
        &self,
        lock: &Lock,
        access: &Access,
        slot: Option<&str>,
        dir: &Path,
    ) -> Result<(), Trouble> {
        let mut command = self.client("pg_basebackup");
        command.args(["--no-password", "--checkpoint=fast", "--wal-method=stream"]);
        command.arg("--dbname").arg(access.for_programs()).arg("--pgdata").arg(dir);
        if let Some(slot) = slot {
            command.args(["--slot", slot]);
        }
        command.stdin(lock.share()?);
        run("pg_basebackup", command).map(drop)
    }

    /// Rewinds a directory to where it left the primary's history.
    pub(super) fn rewind(
        &self,
        lock: &Lock,
        access: &Access,
        config_file: Option<&Path>,
        dir: &Path,
    ) -> Result<(), Unrewound> {
        let untouched = |trouble| Unrewound { trouble, is_touched: false };
        let mut command = self.client("pg_rewind");
        command.args(["--progress", "--source-server", &access.for_programs()]);
        command.arg("--target-pgdata").arg(dir);
        if let Some(file) = config_file.filter(|_| self.binaries.version >= CONFIG_FILE_SINCE) {
            command.arg("--config-file").arg(file);
        }
        command.stdin(lock.share().map_err(untouched)?);
        let output = output(command).map_err(untouched)?;
        let said = String::from_utf8_lossy(&output.stderr);
        let is_touched = [&said, &String::from_utf8_lossy(&output.stdout)]
            .iter()
            .any(|text| text.contains(COPIES_FROM_HERE));
        if output.status.success() {
            return Ok(());
        }
        Err(Unrewound { trouble: failed("pg_rewind", &output), is_touched })
    }
}

/// Why a directory was not rewound.
#[derive(Debug)]
pub(super) struct Unrewound {
    pub(super) trouble: Trouble,
    /// Whether some of it may be.
    pub(super) is_touched: bool,
}

/// What `pg_rewind --progress` tells before it changes anything.
const COPIES_FROM_HERE: &str = "need to copy";

/// Takes from a command what would lead it astray, and has it speak English, of which some is read.
fn clean(command: &mut Command, is_kept: impl Fn(&str) -> bool) {
    for (name, _) in env::vars_os() {
        let is_libpq = name.as_encoded_bytes().starts_with(b"PG");
        if is_libpq && !name.to_str().is_some_and(&is_kept) {
            command.env_remove(name);
        }
    }
    // Not in a directory that may go, or that is somebody else's.
    command.env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
}

/// Prepares a command of the operator's.
pub(super) fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    clean(&mut command, |_| false);
    command.args(["-c", line]);
    command
}

/// Runs a program to its end, and gives back what it printed.
fn run(program: &'static str, command: Command) -> Result<String, Trouble> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(program, &output))
}

fn output(mut command: Command) -> Result<Output, Trouble> {
    let path = Path::new(command.get_program()).to_owned();
    command.output().map_err(Trouble::io("run", &path))
}

fn failed(program: &'static str, output: &Output) -> Trouble {
    Trouble::Tool { program, said: telling_line(&String::from_utf8_lossy(&output.stderr)) }
}

/// The first release whose `pg_rewind` can be told where the configuration is.
const CONFIG_FILE_SINCE: u32 = 14;
