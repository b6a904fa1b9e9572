//! Who runs the servers. PostgreSQL refuses to run as root, so root hands them to a lesser user.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
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
        /// Its home directory.
        home: PathBuf,
    },
}

impl Account {
    /// Chooses the account: the own one, or for root that of `postgres` or, failing that, `nobody`.
    pub fn choose() -> Result<Account, Trouble> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Account::Own);
        }
        lesser(&passwd()?).ok_or(Trouble::NoUser)
    }

    /// Chooses the account for a data directory: the own one, or for root that of its owner. Of a
    /// directory that is not there yet it is the owner of the one in which it would be; if that is
    /// root, it is chosen as ever.
    pub fn of(directory: &Path) -> Result<Account, Trouble> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Account::Own);
        }
        let there = directory.ancestors().find_map(|path| fs::metadata(path).ok());
        match there.filter(|metadata| metadata.uid() != 0) {
            Some(owner) => Ok(numbered(&passwd()?, owner.uid(), owner.gid())),
            None => Account::choose(),
        }
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
        let Account::Other { name, uid, gid, .. } = self else { return Ok(()) };
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

/// Reads the users of this machine.
fn passwd() -> Result<String, Trouble> {
    let path = Path::new("/etc/passwd");
    fs::read_to_string(path).map_err(Trouble::io("read", path))
}

/// Picks the user from the text of `/etc/passwd`. One with root's id would be no help.
fn lesser(passwd: &str) -> Option<Account> {
    ["postgres", "nobody"].into_iter().find_map(|wanted| {
        users(passwd).find(
            |user| matches!(user, Account::Other { name, uid, .. } if name == wanted && *uid != 0),
        )
    })
}

/// Finds the user of a number. One that has no name, as in a container, can run servers as well.
fn numbered(passwd: &str, number: u32, group: u32) -> Account {
    users(passwd)
        .find(|user| matches!(user, Account::Other { uid, .. } if *uid == number))
        .unwrap_or_else(|| Account::Other {
            name: number.to_string(),
            uid: number,
            gid: group,
            home: PathBuf::from("/"),
        })
}

/// Reads the users in the text of `/etc/passwd`.
fn users(passwd: &str) -> impl Iterator<Item = Account> + '_ {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = PathBuf::from(fields.nth(1).filter(|home| !home.is_empty()).unwrap_or("/"));
        Some(Account::Other { name, uid, gid, home })
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
            ("both", [root, nobody, postgres], Some(("postgres", 101, 104, "/var/lib/postgresql"))),
            ("only nobody", [root, nobody, "+::"], Some(("nobody", 65534, 65533, "/nonexistent"))),
            (
                "postgres is root",
                [root, alias, nobody],
                Some(("nobody", 65534, 65533, "/nonexistent")),
            ),
            ("neither", [root, "postgres", "nobody:x"], None),
        ];
        for (case, lines, expected) in cases {
            let expected = expected.map(|(name, uid, gid, home)| Account::Other {
                name: name.into(),
                uid,
                gid,
                home: home.into(),
            });
            assert_eq!(lesser(&lines.join("\n")), expected, "{case}");
        }
    }

    #[test]
    fn an_owner_has_a_name_or_a_number() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npg:x:70:71::/var/lib/pg:/bin/sh\n";
        let user = |name: &str, uid, gid, home: &str| Account::Other {
            name: name.into(),
            uid,
            gid,
            home: home.into(),
        };
        assert_eq!(numbered(passwd, 70, 5), user("pg", 70, 71, "/var/lib/pg"));
        assert_eq!(numbered(passwd, 999, 5), user("999", 999, 5, "/"));
    }
}
