//! The configuration files of a node.

use std::path::Path;

use crate::plan::{Hba, Plan};

/// The name of our file in the data directory, which `postgresql.conf` includes at its end.
pub(crate) const FILE: &str = "herd.conf";

/// Composes [`FILE`] for one node.
pub(crate) fn herd_conf(plan: &Plan, socket: &Path, node: usize, port: u16) -> String {
    // Each standby takes two of these while it is copied, and one afterwards; the rest is for
    // whoever plays with the herd.
    let senders = plan.standbys.saturating_mul(2).saturating_add(10).to_string();
    let connections = plan.max_connections.to_string();
    let cluster_name = name(node);
    let port = port.to_string();
    // In double quotes, because the value is a list, and a comma would separate two directories.
    let socket = format!("\"{}\"", socket.display());
    let own = [
        ("listen_addresses", crate::HOST),
        ("port", &port),
        ("unix_socket_directories", &socket),
        ("cluster_name", &cluster_name),
        ("max_connections", &connections),
        ("password_encryption", "scram-sha-256"),
        ("wal_level", "replica"),
        ("max_wal_senders", &senders),
        ("max_replication_slots", &senders),
        ("hot_standby", "on"),
        ("hot_standby_feedback", "on"),
        // Lets pg_rewind turn a former primary into a standby.
        ("wal_log_hints", "on"),
        // So that pg_stat_replication is never long behind, and a standby finds its primary again
        // soon: the defaults are 10 s and 5 s.
        ("wal_receiver_status_interval", "1s"),
        ("wal_retrieve_retry_interval", "500ms"),
        // Files in the data directory, because those in /dev/shm outlive a server that is killed.
        ("dynamic_shared_memory_type", "mmap"),
        ("fsync", if plan.durable { "on" } else { "off" }),
    ];
    let asked = plan.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    own.into_iter().chain(asked).map(|(name, value)| setting(name, value)).collect()
}

/// Composes `pg_hba.conf`, the same for all nodes.
pub(crate) fn pg_hba_conf(hba: &Hba) -> String {
    let asked: &[String] = match hba {
        Hba::Scram => &[],
        Hba::Lines(lines) => lines,
    };
    let mut text = String::new();
    let user = crate::USER;
    let door = format!("local all {user} scram-sha-256");
    let rest = ["all", "replication"].into_iter().flat_map(|database| {
        [
            format!("local {database} all scram-sha-256"),
            format!("host {database} all 127.0.0.1/32 scram-sha-256"),
        ]
    });
    for line in [door].into_iter().chain(asked.iter().cloned()).chain(rest) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Returns what a node calls itself: as `cluster_name`, and to its primary as `application_name`.
pub(crate) fn name(node: usize) -> String {
    format!("node{node}")
}

/// Returns the name of the replication slot that a standby uses at its primary.
pub(crate) fn slot(node: usize) -> String {
    format!("node{node}_slot")
}

/// Composes a line of `postgresql.conf`.
#[must_use]
pub fn setting(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n");
    format!("{name} = '{value}'\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_asked_for_come_last_and_are_quoted() {
        let settings = vec![("archive_command".into(), "echo 'it\\s'".into())];
        let conf = herd_conf(&Plan { settings, ..Plan::default() }, Path::new("/s"), 1, 5);
        assert!(conf.ends_with("archive_command = 'echo ''it\\\\s'''\n"), "{conf}");
        assert!(conf.contains("port = '5'\n") && conf.contains("cluster_name = 'node1'\n"));
    }

    #[test]
    fn lines_asked_for_come_before_the_general_ones() {
        let hba = pg_hba_conf(&Hba::Lines(vec!["host all md5user 127.0.0.1/32 md5".into()]));
        let lines: Vec<&str> = hba.lines().collect();
        assert_eq!(lines[0], "local all postgres scram-sha-256");
        assert_eq!(lines[1], "host all md5user 127.0.0.1/32 md5");
        assert_eq!(lines.len(), 6);
        assert!(pg_hba_conf(&Hba::Scram).lines().all(|line| line.ends_with(" scram-sha-256")));
    }
}
