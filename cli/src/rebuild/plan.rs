//! What is to be done, once it is known that it can be.

use crate::args::RebuildArgs;

use super::access::Access;
use super::attempts::Attempt;
use super::contents::Contents;
use super::place::Place;

/// What is there, what is asked for, and which ways lead from one to the other.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) args: &'a RebuildArgs,
    pub(super) place: &'a Place,
    pub(super) access: Access,
    pub(super) contents: Contents,
    /// In the order in which they are tried, at least one.
    pub(super) attempts: Vec<Attempt>,
}

impl Plan<'_> {
    /// The slot, if there is to be one.
    pub(super) fn slot(&self) -> Option<&str> {
        slot(self.args)
    }

    /// What the standby is told in `postgresql.auto.conf`.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let name = self.args.application_name.as_deref().filter(|name| !name.is_empty());
        let conninfo = self.access.for_standby(name);
        let mut settings = vec![("primary_conninfo", conninfo)];
        settings.extend(self.slot().map(|slot| ("primary_slot_name", slot.to_owned())));
        // A node that has a configuration has its port there.
        let is_new = self.contents == Contents::Nothing && !self.place.own().exists();
        let port = self.args.node_port.filter(|_| is_new);
        settings.extend(port.map(|port| ("port", port.to_string())));
        settings
    }

    /// Tells what was found.
    pub(super) fn facts(&self) -> String {
        let found = match &self.contents {
            Contents::Nothing => "nothing is there yet".to_owned(),
            Contents::Data(data) => {
                let runs = data.server.as_ref().map_or_else(
                    || "its server does not run".to_owned(),
                    |server| format!("its server runs as process {}", server.pid),
                );
                let half = if data.is_half_rewound { ", half rewound" } else { "" };
                format!("PostgreSQL {}, {}{half}; {runs}", data.version, data.control.state)
            }
        };
        let Access { host, port, user } = &self.access;
        let dir = self.place.dir.display();
        format!("primary {host}:{port} as user {user}; {dir}: {found}")
    }

    /// Tells what would be done.
    pub(super) fn steps(&self) -> Vec<String> {
        let mut steps = Vec::new();
        if matches!(&self.contents, Contents::Data(data) if data.server.is_some()) {
            let how = self.args.stop_command.as_deref().unwrap_or("pg_ctl stop -m fast");
            steps.push(format!("stop the server: {how}"));
        }
        if let Some(slot) = self.slot() {
            steps.push(format!("use the replication slot {slot}, and make it if it is not there"));
        }
        let mut before = "";
        for attempt in &self.attempts {
            steps.push(format!("{before}{}", self.way(*attempt)));
            before = "if that fails, ";
        }
        let settings: Vec<&str> = self.settings().iter().map(|(name, _)| *name).collect();
        steps.push(format!("set {} in postgresql.auto.conf", settings.join(", ")));
        let how = self.args.start_command.as_deref().unwrap_or("pg_ctl start");
        steps.push(format!("start the server: {how}"));
        steps
    }

    fn way(&self, attempt: Attempt) -> String {
        match (attempt, self.place.fixed) {
            (Attempt::Follow, _) => "start the directory as a standby, as it is".to_owned(),
            (Attempt::Rewind, _) => "rewind the directory with pg_rewind".to_owned(),
            (Attempt::Copy, None) => {
                "copy the primary with pg_basebackup, and replace the directory".to_owned()
            }
            (Attempt::Copy, Some(why)) => format!(
                "empty the directory and copy the primary into it with pg_basebackup, because {why}"
            ),
        }
    }
}

/// The slot, if there is to be one: a placeholder may stand for nothing.
pub(super) fn slot(args: &RebuildArgs) -> Option<&str> {
    args.slot.as_deref().filter(|slot| !slot.is_empty())
}
