//! Who runs the servers. PostgreSQL refuses to run as root, so root hands them to a lesser user.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::trouble::Trouble;

/// Whom the servers run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// Whoever runs this process.
    Own,
    /// Another user, because this process is root's.
    Other {
        /// Its name.
        name: String,
        /// Its number, which is not root's.
        uid: u32,
        /// The number of its group.
        gid: u32,
    },
}

impl Account {
    /// Chooses the account: the own one, or for root that of `postgres` or, failing that, `nobody`.
    pub fn choose() -> Result<Account, Trouble> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Account::Own);
        }
        let path = Path::new("/etc/passwd");
        let passwd = fs::read_to_string(path).map_err(Trouble::io("read", path))?;
        lesser(&passwd).ok_or(Trouble::NoUser)
    }

    /// Makes a command run as this user. The standard library then also drops root's supplementary
    /// groups.
    pub fn apply(&self, command: &mut Command) {
        if let Account::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
    }

    /// Gives a file or directory to this user.
    pub fn own(&self, path: &Path) -> Result<(), Trouble> {
        match self {
            Account::Own => Ok(()),
            Account::Other { uid, gid, .. } => {
                chown(path, Some(*uid), Some(*gid)).map_err(Trouble::io("give away", path))
            }
        }
    }

    /// Checks that this user can get to what is in `dir`, an absolute path without symbolic links.
    pub(crate) fn check_reach(&self, dir: &Path) -> Result<(), Trouble> {
        let Account::Other { name, uid, gid } = self else { return Ok(()) };
        for path in dir.ancestors() {
            let metadata = fs::metadata(path).map_err(Trouble::io("examine", path))?;
            let search = match () {
                () if metadata.uid() == *uid => 0o100,
                () if metadata.gid() == *gid => 0o010,
                () => 0o001,
            };
            if metadata.mode() & search == 0 {
                return Err(Trouble::Unreachable { path: path.to_owned(), user: name.clone() });
            }
        }
        Ok(())
    }
}

/// Picks the user from the text of `/etc/passwd`. One with root's id would be no help.
fn lesser(passwd: &str) -> Option<Account> {
    ["postgres", "nobody"].into_iter().find_map(|wanted| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| *name == wanted)?;
            let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
            let gid = fields.next()?.parse().ok()?;
            Some(Account::Other { name: name.to_owned(), uid, gid })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_is_preferred_and_root_is_never_chosen() {
        let root = "root:x:0:0:root:/root:/bin/bash";
        let nobody = "nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin";
        let postgres = "postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash";
        let alias = "postgres:x:0:0::/:/bin/sh";
        let cases = [
            ("both", [root, nobody, postgres], Some(("postgres", 101, 104))),
            ("only nobody", [root, nobody, "+::"], Some(("nobody", 65534, 65533))),
            ("postgres is root", [root, alias, nobody], Some(("nobody", 65534, 65533))),
            ("neither", [root, "postgres", "nobody:x"], None),
        ];
        for (case, lines, expected) in cases {
            let expected =
                expected.map(|(name, uid, gid)| Account::Other { name: name.into(), uid, gid });
            assert_eq!(lesser(&lines.join("\n")), expected, "{case}");
        }
    }
}
