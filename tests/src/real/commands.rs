//! The commands that scenarios have pgherd run, as shell scripts, like those that operators write.
//!
//! They are the programs of the simulated host, and do the same to real servers by `psql`. Each
//! says what it was run with, and writes it down for [`World::commands`](crate::world::World).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The scripts of one pgherd.
#[derive(Debug)]
pub struct Commands {
    dir: PathBuf,
}

impl Commands {
    /// Writes the scripts for servers on these ports, node by node.
    ///
    /// # Panics
    /// The directory cannot be written to.
    #[must_use]
    pub fn write(dir: PathBuf, psql: &Path, ports: &[u16]) -> Self {
        fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let ports: String = ports.iter().map(|port| format!(" {port}")).collect();
        let fill = |text: &str| {
            text.replace("{psql}", &psql.display().to_string())
                .replace("{ports}", &ports)
                .replace("{dir}", &dir.display().to_string())
        };
        for (name, body) in SCRIPTS {
            let path = dir.join(name);
            let begin = if REBUILDERS.contains(&name) { REBUILD } else { "" };
            fs::write(&path, fill(&format!("{PRELUDE}{begin}{body}")))
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        Self { dir }
    }

    /// What was run, the first one first.
    #[must_use]
    pub fn run(&self) -> Vec<String> {
        let journal = fs::read_to_string(self.dir.join("journal")).unwrap_or_default();
        journal.lines().map(str::to_owned).collect()
    }
}

/// What all of them begin with. `sql NODE STATEMENTS` asks a server.
const PRELUDE: &str = r#"#!/bin/sh
said="${0##*/} $*"
echo "$said" >> "{dir}/journal"
echo "$said"
export PGCONNECT_TIMEOUT=5
port() { shift "$1"; shift; echo "$1"; }
sql() {
    PGPASSWORD=postgres "{psql}" -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -U postgres \
        -p "$(port "$1"{ports})" -d postgres -c "$2"
}
"#;

/// What those begin with that make a standby of a node: `NODE PRIMARY DIRECTORY NAME SLOT`. They log
/// in as their environment says, and become the user to whom the directory belongs; while one works on
/// it, the next one waits.
const REBUILD: &str = r#"set -e
data="$3"
home=$(dirname "$data")
bin=$(dirname "{psql}")
exec 9>"{dir}/lock.$1"
flock 9
own() {
    if [ "$(id -u)" = 0 ]; then runuser -u "$(stat -c %U "$home")" -- "$@"; else "$@"; fi
}
stop() { own "$bin/pg_ctl" -D "$data" -m immediate stop >/dev/null 2>&1 || true; }
begin() { own "$bin/pg_ctl" -D "$data" -W -l "$home/start" start >/dev/null 2>&1 </dev/null 9>&-; }
copy() {
    if [ -f "$data/herd.conf" ]; then
        own mkdir -p "$home/own"
        own cp -p "$data/herd.conf" "$data/pg_hba.conf" "$home/own"
    fi
    slot="$1"
    shift
    rm -rf "$data"
    own "$bin/pg_basebackup" -D "$data" --checkpoint=fast --no-sync ${slot:+-S "$slot"} "$@" \
        -d "host=127.0.0.1 port=$port application_name=$name"
    [ -n "$slot" ] || sed -i /^primary_slot_name/d "$data/postgresql.auto.conf"
    own cp -p "$home"/own/* "$data"
}
port=$(port "$2"{ports})
name="$4"
"#;

/// Their names and what is particular to each.
const SCRIPTS: [(&str, &str); 10] = [
    ("failover", "[ \"$1\" = \"$2\" ] || exit 0\nsql \"$3\" 'select pg_promote()'\n"),
    ("late", "[ \"$1\" = \"$2\" ] || exit 0\nsleep 4\nsql \"$3\" 'select pg_promote()'\n"),
    (
        "stumble",
        "[ \"$1\" = \"$2\" ] || exit 0\nsql \"$3\" 'select pg_promote()'\necho 'and stumbles' >&2\nexit 1\n",
    ),
    (
        "follow",
        r#"set -e
slot=$(sql "$1" "select current_setting('primary_slot_name')")
sql "$2" "select pg_create_physical_replication_slot('$slot', true) where not exists
    (select from pg_replication_slots where slot_name = '$slot')"
there=$(sql "$1" "select regexp_replace(current_setting('primary_conninfo'),
    'port=[0-9]+', 'port=$(port "$2"{ports})')")
sql "$1" "alter system set primary_conninfo = \$\$$there\$\$"
sql "$1" "select pg_reload_conf()"
"#,
    ),
    ("note", ""),
    ("fail", "echo 'nothing is done' >&2\nexit 1\n"),
    ("hang", "sleep 1000\n"),
    ("rebuild", "stop\ncopy \"$5\" --write-recovery-conf\nbegin\n"),
    ("alone", "stop\ncopy ''\nbegin\n"),
    ("break", "stop\nexit 1\n"),
];

/// Those that make a standby of a node, or are to.
const REBUILDERS: [&str; 3] = ["rebuild", "alone", "break"];
