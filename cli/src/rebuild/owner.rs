//! Who rebuilds: whom the data directory belongs to, as everything in it has to.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use pgherd_herd::Account;

use super::trouble::Trouble;

/// Goes on as the owner of a data directory, for root: PostgreSQL's programs refuse to be root's, and
/// root would follow wherever a link of the owner's leads.
pub(super) fn become_owner(dir: &Path) -> Result<(), Trouble> {
    let dir = std::path::absolute(dir).map_err(Trouble::io("find", dir))?;
    let account = Account::of(&dir)?;
    let Account::Other { home, name, .. } = &account else { return Ok(()) };
    let mut args = env::args_os();
    let program = own_program()?;
    let mut command = Command::new(&program);
    command.arg0(args.next().unwrap_or_default()).args(args);
    // Where passwords are kept, and by which name a server knows whom it is not told.
    command.env("HOME", home).env("USER", name).env("LOGNAME", name);
    account.apply(&mut command);
    Err(Trouble::io("run", &program)(command.exec()))
}

/// This program, by a name that leads to it also where its directory is closed to the owner.
fn own_program() -> Result<PathBuf, Trouble> {
    let own = Path::new("/proc/self/exe");
    if own.exists() {
        return Ok(own.to_owned());
    }
    env::current_exe().map_err(Trouble::io("find", own))
}
