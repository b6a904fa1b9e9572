//! The scripts with which Pgpool-II's extension makes a standby of another node, as an operator
//! writes them into a primary's data directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::world::Scripts;

/// Writes the scripts of a server into its data directory.
///
/// # Panics
/// They cannot be written.
pub fn write(data_dir: &Path, scripts: Scripts) {
    let binaries = pgherd_herd::Binaries::find().unwrap_or_else(|trouble| panic!("{trouble}"));
    let binaries = binaries.dir.display();
    let stop = format!("{binaries}/pg_ctl -D \"$3\" -m immediate stop >/dev/null 2>&1 || true\n");
    let recovery = if scripts == Scripts::StartsAlone { "" } else { "--write-recovery-conf" };
    let copy = format!(
        "{stop}keep=$(mktemp -d)\n\
         cp -p \"$3\"/herd.conf \"$3\"/pg_hba.conf \"$keep\"\n\
         rm -rf \"$3\"\n\
         {binaries}/pg_basebackup -D \"$3\" {recovery} --checkpoint=fast --no-sync -d \
         \"host=127.0.0.1 port=$4 user=postgres password=postgres application_name=node$5\"\n\
         sed -i /^primary_slot_name/d \"$3\"/postgresql.auto.conf\n\
         cp -p \"$keep\"/* \"$3\"\n\
         rm -rf \"$keep\"\n"
    );
    let start = format!(
        "test -d \"$2\"\n\
         {binaries}/pg_ctl -D \"$2\" -W -l \"$2.start\" start >/dev/null 2>&1 </dev/null\n"
    );
    let fail = "exit 1\n";
    let (copy, start) = match scripts {
        Scripts::None | Scripts::Work | Scripts::StartsAlone => (copy, start),
        Scripts::CopyFails => (format!("{stop}{fail}"), start),
        Scripts::CopyHangs => ("sleep 10\nexit 1\n".to_owned(), start),
        Scripts::StartFails => (copy, fail.to_owned()),
        Scripts::StartLies => (copy, String::new()),
    };
    let numbered = format!(
        "# arguments: the primary's data directory, the node's host and data directory, the \
         primary's port, the node's number and port, the primary's host\ntest $# -eq 7\n{copy}"
    );
    for (name, text) in [("recovery_1st_stage", numbered), ("pgpool_remote_start", start)] {
        let path = data_dir.join(name);
        let text = format!("#!/bin/sh\nset -e\n{text}");
        let mode = fs::Permissions::from_mode(0o755);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, mode))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
