//! The scripts that come with Pgpool-II's package, with the edits of somebody who follows a
//! tutorial.

use std::fs;
use std::path::Path;

use super::ground::Ground;

/// Copies the samples beside the configuration, edited for these hosts.
pub(super) fn install(ground: &Ground) {
    let common = [("PGHOME", ground.pg_home()), ("SSH_KEY_FILE", "id_rsa".to_owned())];
    let replication =
        [("REPLUSER", "replicator".to_owned()), ("ARCHIVEDIR", ground.place("archive"))];
    let pcp = [
        ("PCP_USER", "pcpadmin".to_owned()),
        ("PCP_PORT", ground.pcp_port.to_string()),
        ("PGPOOL_PATH", ground.programs.display().to_string()),
    ];
    let passfile = ("/var/lib/pgsql/.pgpass", ground.place(".pgpass"));

    let mut script = Script::sample("recovery_1st_stage");
    script.set(&common);
    script.set(&replication);
    script.replace(passfile.0, &passfile.1);
    let copy = "-D $DEST_NODE_PGDATA -X stream";
    script.replace(copy, "-D $DEST_NODE_PGDATA --checkpoint=fast -X stream");
    script.strip("DEST_NODE_PGDATA");
    ground.program("etc/recovery_1st_stage", &script.text);

    let mut script = Script::sample("follow_primary.sh");
    script.set(&common);
    script.set(&replication);
    script.set(&pcp);
    script.replace(passfile.0, &passfile.1);
    script.strip("NODE_PGDATA");
    ground.program("etc/follow_primary.sh", &script.text);

    for name in ["failover.sh", "pgpool_remote_start"] {
        let mut script = Script::sample(name);
        script.set(&common);
        ground.program(&format!("etc/{name}"), &script.text);
    }
}

/// One of the scripts.
struct Script {
    name: &'static str,
    text: String,
}

impl Script {
    fn sample(name: &'static str) -> Self {
        let path = Path::new(SAMPLES).join(format!("{name}.sample"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; install the package \"pgpool2\" with its documentation, which some \
                 images of Debian leave out",
                path.display()
            )
        });
        Self { name, text }
    }

    /// Gives variables other values. Each has to be there.
    fn set(&mut self, values: &[(&str, String)]) {
        for (variable, value) in values {
            let begin = format!("{variable}=");
            let line = self.text.lines().find(|line| line.starts_with(&begin));
            let line = line.unwrap_or_else(|| panic!("{}: no {variable} in it", self.name));
            self.text =
                self.text.replacen(&format!("\n{line}\n"), &format!("\n{begin}{value}\n"), 1);
        }
    }

    /// Replaces words wherever they are, which they have to be.
    fn replace(&mut self, words: &str, others: &str) {
        assert!(self.text.contains(words), "{}: no {words:?} in it", self.name);
        self.text = self.text.replace(words, others);
    }

    /// Lets it remove what another way of setting up replication has left in the copy, after the
    /// last place where it says how to replicate.
    fn strip(&mut self, data: &str) {
        let end = "\nEOT\n";
        let at = self.text.rfind(end).expect("it writes settings") + end.len();
        let command = format!(
            "sed -i -e '/^primary_conninfo/d' -e '/^primary_slot_name/d' \
             -e '/^recovery_target_timeline/d' ${{{data}}}/postgresql.auto.conf\n"
        );
        self.text.insert_str(at, &command);
    }
}

/// Where Debian's package has them.
const SAMPLES: &str = "/usr/share/doc/pgpool2/examples/scripts";
