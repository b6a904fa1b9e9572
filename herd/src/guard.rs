//! Cleans up after a caller that was killed and could not do it itself.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use crate::directory::Directory;
use crate::launcher::Launcher;
use crate::trouble::Trouble;

/// A shell that waits for the end of its input, which only this process holds open, and then stops
/// the servers and removes the directory if it is temporary.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
}

impl Guard {
    /// Posts the guard over a directory, before anything is started in it.
    pub(crate) fn post(launcher: &Launcher, directory: &Directory) -> Result<Guard, Trouble> {
        let mut command = launcher.prepare(Command::new(SHELL));
        let fate = if directory.is_temporary() { "remove" } else { "keep" };
        command.args(["-c", SCRIPT, "pgherd-guard"]);
        command.arg(directory.path()).arg(directory.socket()).arg(fate);
        // Not in the directory that it may have to remove.
        command.current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let shell = command.spawn().map_err(Trouble::io("run", SHELL.as_ref()))?;
        Ok(Guard { shell })
    }
}

impl Drop for Guard {
    /// Dismisses the guard: there is nothing left to clean up.
    fn drop(&mut self) {
        let told = self.shell.stdin.take().map(|mut pipe| pipe.write_all(DISMISSED.as_bytes()));
        if let Some(Err(error)) = told {
            log::warn!("cannot dismiss the guard: {error}");
        }
        if let Err(error) = self.shell.wait() {
            log::warn!("cannot wait for the guard: {error}");
        }
    }
}

/// Finds and frees the segment of System V shared memory that a killed server leaves behind: the
/// seventh line of its `postmaster.pid` is `key id`.
pub(crate) fn free_segment(launcher: &Launcher, postmaster_pid: &str) {
    let Some(id) = postmaster_pid.lines().nth(6).and_then(|line| line.split_whitespace().last())
    else {
        return;
    };
    let mut command = launcher.prepare(Command::new("ipcrm"));
    command.args(["-m", id]).stdout(Stdio::null()).stderr(Stdio::null());
    // It fails where a restart has freed the segment already, and is then not needed.
    if let Err(error) = command.status() {
        log::debug!("cannot run ipcrm: {error}");
    }
}

/// The shell that every Unix has.
const SHELL: &str = "/bin/sh";

/// What dismisses the guard: any line.
const DISMISSED: &str = "dismissed\n";

/// What the guard does. Arguments: the directory, that of the sockets, and `remove` or `keep`.
///
/// Servers get SIGQUIT, upon which they end at once but free their shared memory; SIGCONT, should
/// they be paused; and after five seconds SIGKILL. The names are checked so that a person's shell
/// in the directory survives.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
read -r word && exit 0
ours() {
    for process in /proc/[0-9]*; do
        read -r name <"$process/comm" || continue
        case $name in postgres|initdb|pg_basebackup|psql) ;; *) continue ;; esac
        case $(readlink "$process/cwd") in "$1"|"$1"/*) echo "${process#/proc/}" ;; esac
    done
}
left=$(ours "$1")
[ -n "$left" ] && kill -QUIT $left && kill -CONT $left
tries=0
while left=$(ours "$1"); [ -n "$left" ] && [ $tries -lt 100 ]; do
    tries=$((tries + 1))
    [ $tries -gt 50 ] && kill -KILL $left
    sleep 0.1
done
for file in "$1"/node*/data/postmaster.pid; do
    segment=$(sed -n '7s/.* //p' "$file")
    [ -n "$segment" ] && ipcrm -m "$segment"
done
[ "$3" = remove ] && rm -rf -- "$1"
case $2 in "$1"/*) ;; *) rm -rf -- "$2" ;; esac
"#;
