//! A node's own configuration, which neither `pg_rewind` nor `pg_basebackup` leaves to it.
//!
//! Both bring the primary's files, its port and its certificate among them. So what is the node's own
//! is put aside before, and back afterwards: of the data directory itself every file that the
//! server does not write, and of directories in it that are not the server's the files that
//! `include_dir` would read.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use super::disk;
use super::place::Place;
use super::settings;
use super::trouble::Trouble;

/// What the server writes in its data directory (PostgreSQL docs, "Database File Layout"), besides
/// what its programs leave there.
const SERVERS_FILES: [&str; 13] = [
    "PG_VERSION",
    "postmaster.pid",
    "postmaster.opts",
    "standby.signal",
    "recovery.signal",
    "backup_label",
    "backup_label.old",
    "tablespace_map",
    "tablespace_map.old",
    "backup_manifest",
    "current_logfiles",
    "promote",
    "logrotate",
];

/// Endings of the names of what nobody configures a server with.
const PASSING: [&str; 4] = ["log", "tmp", "old", "pgherd"];

/// Directories that the server writes to, besides those whose name begins with `pg_`.
const SERVERS_DIRECTORIES: [&str; 3] = ["base", "global", "log"];

/// The file of `ALTER SYSTEM`.
const AUTO_CONF: &str = "postgresql.auto.conf";

/// What makes a server a standby.
const STANDBY_SIGNAL: &str = "standby.signal";

/// The longest file that is taken for configuration, in bytes. Those of hundreds of users are a tenth
/// of it.
const FILE_LEN_MAX: u64 = 1 << 20;

/// Puts a data directory's configuration aside, unless an earlier rebuild has; returns the names.
pub(super) fn keep(place: &Place) -> Result<Vec<String>, Trouble> {
    let (own, unfinished) = (place.own(), place.own_unfinished());
    if !own.exists() {
        disk::remove(&unfinished)?;
        disk::make_private(&unfinished)?;
        transfer(&place.dir, &unfinished)?;
        disk::rename(&unfinished, &own)?;
    }
    Ok(list(&own)?.iter().map(|name| name.display().to_string()).collect())
}

/// Gives a data directory the configuration that was put aside, and no other.
pub(super) fn restore(place: &Place, dir: &Path) -> Result<(), Trouble> {
    let own = place.own();
    if !own.exists() || disk::is_void(dir)? {
        return Ok(());
    }
    let kept = list(&own)?;
    for name in list(dir)?.iter().filter(|name| !kept.contains(name)) {
        disk::remove(&dir.join(name))?;
    }
    transfer(&own, dir)
}

/// Forgets what was put aside.
pub(super) fn discard(place: &Place) -> Result<(), Trouble> {
    disk::remove(&place.own())
}

/// Makes a standby of a data directory whose server does not run.
pub(super) fn make_standby(dir: &Path, added: &[(&str, String)]) -> Result<(), Trouble> {
    let path = dir.join(AUTO_CONF);
    let text = if path.exists() {
        fs::read_to_string(&path).map_err(Trouble::io("read", &path))?
    } else {
        String::new()
    };
    // The signal first: with it and without the rest, the server would wait; the other way around it
    // would be a second primary.
    disk::write(&dir.join(STANDBY_SIGNAL), "")?;
    disk::remove(&dir.join("recovery.signal"))?;
    disk::write(&path, &settings::of_standby(&text, added))
}

/// Removes the replication slots of a data directory whose server does not run: nobody would come to
/// take the WAL that they keep.
pub(super) fn drop_slots(dir: &Path) -> Result<(), Trouble> {
    disk::empty(&dir.join("pg_replslot"))
}

fn transfer(from: &Path, to: &Path) -> Result<(), Trouble> {
    for name in list(from)? {
        let target = to.join(&name);
        if let Some(dir) = target.parent().filter(|dir| !dir.is_dir()) {
            disk::make_private(dir)?;
        }
        disk::copy(&from.join(&name), &target)?;
    }
    Ok(())
}

/// Lists the files of a data directory that are the node's own, by their names in it.
fn list(dir: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let mut found = Vec::new();
    for (name, metadata) in entries(dir)? {
        if !metadata.is_dir() {
            if is_own_file(&name, &metadata) {
                found.push(PathBuf::from(name));
            }
        } else if is_own_directory(&name) {
            let files = entries(&dir.join(&name))?;
            let read = files.into_iter().filter(|(file, metadata)| {
                is_own_file(file, metadata) && Path::new(file).extension() == Some("conf".as_ref())
            });
            found.extend(read.map(|(file, _)| Path::new(&name).join(file)));
        }
    }
    found.sort();
    Ok(found)
}

fn entries(dir: &Path) -> Result<Vec<(std::ffi::OsString, Metadata)>, Trouble> {
    let entries = fs::read_dir(dir).map_err(Trouble::io("read", dir))?;
    let read = entries.map(|entry| {
        let entry = entry?;
        Ok((entry.file_name(), entry.metadata()?))
    });
    read.collect::<Result<_, std::io::Error>>().map_err(Trouble::io("read", dir))
}

fn is_own_file(name: &OsStr, metadata: &Metadata) -> bool {
    let is_configuration =
        metadata.is_symlink() || metadata.is_file() && metadata.len() <= FILE_LEN_MAX;
    let ending = Path::new(name).extension();
    // `pg_wal` may be a symbolic link.
    is_configuration
        && !SERVERS_FILES.iter().any(|file| name == *file)
        && !PASSING.iter().any(|passing| ending.is_some_and(|ending| ending == *passing))
        && (!metadata.is_symlink() || is_own_directory(name))
}

fn is_own_directory(name: &OsStr) -> bool {
    let is_servers =
        name.as_encoded_bytes().starts_with(b"pg_") && Path::new(name).extension().is_none();
    !is_servers && !SERVERS_DIRECTORIES.iter().any(|directory| name == *directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_own_files_are_told_from_the_servers() {
        let dir = std::env::temp_dir().join(format!("pgherd-own-{}", std::process::id()));
        for name in ["base/1", "pg_wal", "log", "conf.d", "pg_replslot"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        for name in [
            "PG_VERSION",
            "postmaster.pid",
            "startup.log",
            "backup_label.old",
            "postgresql.conf",
            "postgresql.auto.conf",
            "pg_hba.conf",
            "server.key",
            "base/1/1259",
            "pg_wal/x.conf",
            "conf.d/10-own.conf",
            "conf.d/README",
        ] {
            fs::write(dir.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("/etc/ident", dir.join("pg_ident.conf")).unwrap();
        std::os::unix::fs::symlink("/elsewhere", dir.join("pg_xact")).unwrap();
        let own = list(&dir)
            .map(|names| names.iter().map(|name| name.display().to_string()).collect::<Vec<_>>());
        let expected = [
            "conf.d/10-own.conf",
            "pg_hba.conf",
            "pg_ident.conf",
            "postgresql.auto.conf",
            "postgresql.conf",
            "server.key",
        ];
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(own.unwrap(), expected);
    }
}
