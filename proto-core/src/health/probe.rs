//! A look at one server: one query, over a connection that is kept.
//!
//! The query tells whether the server is a primary or a standby, how far its WAL has come and on
//! which timeline; a primary also lists its standbys.
//!
//! Whoever looks need not be a member of `pg_monitor`, and then is not shown what standbys a primary
//! has, nor what a standby's receiver is at: of the receiver only that it is there, which it is once
//! it has been let in. The files of the WAL may not be listed, either. That is asked for in a query
//! of its own, which is made when the right to it is known: a function that is called by name has to
//! be allowed even where it would not come to the call.

use crate::time::Duration;
use crate::topology::Role;

/// What a server is asked. One row a standby, or one row with empty names. No operator needs a
/// conversion, for the reason that `backend::audit` has.
pub const QUERY: &str = "SELECT pg_is_in_recovery() AS is_in_recovery, \
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END \
    AS lsn, \
    CASE WHEN pg_is_in_recovery() THEN \
    greatest(coalesce(w.received_tli, \
    CASE WHEN has_function_privilege('pg_ls_waldir()', 'EXECUTE') THEN \
    ('x' || substring(query_to_xml('SELECT max(name) AS n FROM pg_ls_waldir() \
    WHERE name ~ ''^[0-9A-F]{24}$''', false, false, '')::text, '<n>(.{8})'))::bit(32)::int END), \
    (SELECT min_recovery_end_timeline FROM pg_control_recovery()), \
    (SELECT timeline_id FROM pg_control_checkpoint())) \
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END \
    AS timeline, \
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() END AS received, \
    coalesce(w.status, CASE WHEN w.pid IS NULL THEN '' ELSE 'streaming' END) AS receiver, \
    EXISTS (SELECT 1 FROM pg_replication_slots AS s WHERE s.slot_name = 'pgherd_fence') \
    AS fenced, \
    (SELECT system_identifier FROM pg_control_system()) AS system, \
    w.sender_host AS sender_host, w.sender_port AS sender_port, \
    coalesce(r.application_name, '') AS application_name, \
    coalesce(r.state, '') AS state, \
    coalesce(r.sync_state, '') AS sync_state, \
    (extract(epoch FROM r.replay_lag) * '1000000')::bigint AS replay_lag \
    FROM (SELECT 1) AS one LEFT JOIN pg_stat_wal_receiver AS w ON true \
    LEFT JOIN pg_stat_replication AS r ON true";

/// What a server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// What it is.
    pub role: Role,
    /// How far its WAL has come: written on a primary, replayed on a standby; in bytes.
    pub lsn: Option<u64>,
    /// Its timeline. Of a standby, the one that it receives or, while it receives nothing, the
    /// latest of which it has WAL: its last restartpoint may be on an earlier one.
    pub timeline: u32,
    /// How far a standby has received WAL, in bytes; none if it has streamed nothing since it was
    /// started.
    pub received: Option<u64>,
    /// Whether a standby receives WAL from another server.
    pub receiver: Receiver,
    /// Whether it carries a fence: pgherd has stopped its writes (`failover::fence`).
    pub is_fenced: bool,
    /// The cluster that it is of, by the number that `initdb` gave it.
    pub system: u64,
    /// The host and port that a standby receives WAL from, as its own settings name them; none if it
    /// receives nothing or does not say.
    pub sender: Option<(String, u16)>,
    /// The standbys that follow it.
    pub standbys: Vec<Standby>,
}

impl Sighting {
    /// Corrects what a standby says by what it said at its last look: the timeline that it received
    /// is still its own when it receives nothing.
    #[must_use]
    pub fn since(mut self, last: Option<&Self>) -> Self {
        let last = last.filter(|last| (self.role, last.role) == (Role::Standby, Role::Standby));
        self.timeline = last.map_or(self.timeline, |last| self.timeline.max(last.timeline));
        self
    }
}

/// Whether a standby receives WAL from another server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Receiver {
    /// It does not.
    #[default]
    None,
    /// It does.
    Streaming,
}

/// A standby, as its primary sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standby {
    /// `application_name`.
    pub name: String,
    /// `state`.
    pub state: String,
    /// `sync_state`.
    pub sync_state: String,
    /// `replay_lag`; zero where the primary knows of none, because the standby has everything and
    /// nothing was written lately.
    pub replay_lag: Duration,
}

/// Reads the answer to [`QUERY`]; none if it has another shape.
#[must_use]
pub fn sighting(rows: &[Vec<String>]) -> Option<Sighting> {
    let mut sighting = Sighting::default();
    for row in rows {
        let [in_recovery, lsn, timeline, received, receiver, fenced, rest @ ..] = row.as_slice()
        else {
            return None;
        };
        let [system, host, port, standby @ ..] = rest else { return None };
        let [name, state, sync_state, replay_lag] = standby else { return None };
        sighting.role = match in_recovery.as_str() {
            "t" => Role::Standby,
            "f" => Role::Primary,
            _ => return None,
        };
        sighting.lsn = read_lsn(lsn);
        sighting.timeline = timeline.parse().ok()?;
        sighting.received = read_lsn(received);
        sighting.receiver = match receiver.as_str() {
            "streaming" => Receiver::Streaming,
            _ => Receiver::None,
        };
        sighting.is_fenced = match fenced.as_str() {
            "t" => true,
            "f" => false,
            _ => return None,
        };
        sighting.system = system.parse().ok()?;
        sighting.sender = port.parse().ok().map(|port| (host.clone(), port));
        if !state.is_empty() {
            sighting.standbys.push(Standby {
                name: name.clone(),
                state: state.clone(),
                sync_state: sync_state.clone(),
                replay_lag: Duration::from_micros(replay_lag.parse().unwrap_or(0)),
            });
        }
    }
    (!rows.is_empty()).then_some(sighting)
}

/// Prints a place in the WAL as PostgreSQL does.
pub(crate) fn print_lsn(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff)
}

/// Reads a WAL position: two hexadecimal numbers of 32 bits, `16/B374D848`.
pub(crate) fn read_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let high = u32::from_str_radix(high, 16).ok()?;
    let low = u32::from_str_radix(low, 16).ok()?;
    Some(u64::from(high) << 32 | u64::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sighting_is_read_from_rows() {
        let standby = Standby {
            name: "node1".into(),
            state: "streaming".into(),
            sync_state: "async".into(),
            replay_lag: Duration::from_millis(1500),
        };
        let primary = Sighting {
            role: Role::Primary,
            lsn: Some(0x1_0000_0010),
            timeline: 2,
            system: 7,
            standbys: vec![standby],
            ..Sighting::default()
        };
        let streaming = Sighting {
            role: Role::Standby,
            lsn: Some(0x1_0000_0000),
            timeline: 2,
            received: Some(0x1_0000_0010),
            receiver: Receiver::Streaming,
            is_fenced: true,
            system: 7,
            sender: Some(("node0".into(), 5432)),
            standbys: Vec::new(),
        };
        let fresh = Sighting { role: Role::Standby, timeline: 1, system: 7, ..Sighting::default() };
        let cases = [
            ("a primary", "f|1/10|2|||f|7|||node1|streaming|async|1500000", Some(primary)),
            ("a standby", "t|1/0|2|1/10|streaming|t|7|node0|5432||||", Some(streaming)),
            ("a standby that has replayed nothing", "t||1|||f|7||||||", Some(fresh)),
            ("nonsense", "x|0/0|1|||f|7||||||", None),
            ("no word of a fence", "f|0/0|1||||7||||||", None),
            ("of no cluster", "t|0/0|1|||f|||||||", None),
            ("no timeline", "t|0/0||||f|7||||||", None),
            ("too short", "t|0/0|1|||f|7", None),
        ];
        for (name, row, expected) in cases {
            let rows = [row.split('|').map(str::to_owned).collect()];
            assert_eq!(sighting(&rows), expected, "{name}");
        }
        assert_eq!(sighting(&[]), None, "no row");
    }
}
