//! What the primary tells of itself, and what it is asked to do for the standby.

use std::time::Duration;

use pgherd_herd::poll;

use super::access::Access;
use super::tools::Tools;
use super::trouble::Trouble;

/// What it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Primary {
    pub(super) is_in_recovery: bool,
    pub(super) version: u32,
    pub(super) system: String,
    pub(super) port: u16,
    /// When it was started, in seconds since 1970.
    pub(super) started: i64,
    /// How many it has besides those that every cluster has.
    pub(super) tablespaces: u32,
}

const FACTS: &str = "SELECT pg_is_in_recovery(), current_setting('server_version_num')::int / 10000, \
    (SELECT system_identifier FROM pg_control_system()), current_setting('port'), \
    floor(extract(epoch FROM pg_postmaster_start_time()))::bigint, \
    (SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global'))";

/// Whether its last checkpoint is on another timeline than its WAL. `pg_rewind` reads from the
/// former which history to follow: of a server that has just been promoted it is the wrong one.
const IS_FRESH: &str = "SELECT timeline_id <> \
    ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int \
    FROM pg_control_checkpoint()";

impl Primary {
    /// Asks it.
    pub(super) fn ask(tools: &Tools, access: &Access) -> Result<Self, Trouble> {
        let unanswered =
            |said| Trouble::Primary { host: access.host.clone(), port: access.port, said };
        let rows = tools.ask(access, FACTS).map_err(|trouble| {
            if let Trouble::Tool { said, .. } = trouble { unanswered(said) } else { trouble }
        })?;
        Self::read(&rows).ok_or_else(|| unanswered(format!("it tells {rows:?}")))
    }

    fn read(rows: &[Vec<String>]) -> Option<Self> {
        let [row] = rows else { return None };
        let [recovery, version, system, port, started, tablespaces] = row.as_slice() else {
            return None;
        };
        Some(Self {
            is_in_recovery: recovery == "t",
            version: version.parse().ok()?,
            system: system.clone(),
            port: port.parse().ok()?,
            started: started.parse().ok()?,
            tablespaces: tablespaces.parse().ok()?,
        })
    }
}

/// Has the primary make a checkpoint if it has made none since it was promoted.
pub(super) fn settle_timeline(tools: &Tools, access: &Access) -> Result<(), Trouble> {
    let rows = tools.ask(access, IS_FRESH)?;
    if rows.first().and_then(|row| row.first()).is_some_and(|fresh| fresh == "t") {
        tools.ask(access, "CHECKPOINT")?;
    }
    Ok(())
}

/// How a replication slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Absent,
    Logical,
    /// The WAL that it was to keep is gone.
    Lost,
    Used,
    Free,
}

impl Slot {
    fn ask(tools: &Tools, access: &Access, name: &str) -> Result<Self, Trouble> {
        // The column is not there in every release.
        let sql = format!(
            "SELECT slot_type, active, coalesce(to_jsonb(s)->>'wal_status', '') \
             FROM pg_replication_slots AS s WHERE slot_name = '{name}'"
        );
        Ok(Self::read(&tools.ask(access, &sql)?))
    }

    fn read(rows: &[Vec<String>]) -> Self {
        let Some(row) = rows.first() else { return Self::Absent };
        let row: Vec<&str> = row.iter().map(String::as_str).collect();
        match row.as_slice() {
            ["logical", ..] => Self::Logical,
            [_, "t", ..] => Self::Used,
            [_, _, "lost", ..] => Self::Lost,
            _ => Self::Free,
        }
    }
}

/// Whether a text can be the name of a slot (PostgreSQL, `ReplicationSlotValidateName`).
pub(super) fn is_slot_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !name.is_empty() && name.len() < 64 && name.chars().all(is_letter)
}

/// Makes the slot for the standby if it is not there. It keeps WAL from now on, so that none is
/// missing when the standby comes. Whoever used it until now has so long to let go of it.
pub(super) fn reserve(
    tools: &Tools,
    access: &Access,
    name: &str,
    limit: Duration,
) -> Result<(), Trouble> {
    let mut slot = Slot::ask(tools, access, name);
    // A server that was stopped or lost is the one that used it, as far as its primary knows.
    poll(limit, || {
        if matches!(slot, Ok(Slot::Used)) {
            slot = Slot::ask(tools, access, name);
        }
        !matches!(slot, Ok(Slot::Used))
    });
    let refused = |what| Err(Trouble::Slot { name: name.to_owned(), what });
    let create = format!("SELECT pg_create_physical_replication_slot('{name}', true)");
    match slot? {
        Slot::Free => Ok(()),
        Slot::Used => refused("is used by another standby"),
        Slot::Logical => refused("is a logical one"),
        Slot::Absent => tools.ask(access, &create).map(drop),
        Slot::Lost => {
            tools.ask(access, &format!("SELECT pg_drop_replication_slot('{name}')"))?;
            tools.ask(access, &create).map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[&str]) -> Vec<Vec<String>> {
        vec![columns.iter().map(|&column| column.to_owned()).collect()]
    }

    #[test]
    fn what_the_primary_tells_is_read() {
        let primary = Primary::read(&row(&["f", "15", "743", "5432", "1700000000", "1"])).unwrap();
        let expected = Primary {
            is_in_recovery: false,
            version: 15,
            system: "743".into(),
            port: 5432,
            started: 1_700_000_000,
            tablespaces: 1,
        };
        assert_eq!(primary, expected);
        assert_eq!(Primary::read(&row(&["f", "15"])), None);
        assert_eq!(Primary::read(&[]), None);
    }

    #[test]
    fn a_slot_is_one_of_these() {
        for (rows, expected) in [
            (Vec::new(), Slot::Absent),
            (row(&["physical", "f", "reserved"]), Slot::Free),
            (row(&["physical", "f", ""]), Slot::Free),
            (row(&["physical", "t", "reserved"]), Slot::Used),
            (row(&["physical", "f", "lost"]), Slot::Lost),
            (row(&["logical", "f", "reserved"]), Slot::Logical),
        ] {
            assert_eq!(Slot::read(&rows), expected, "{rows:?}");
        }
        for (name, expected) in [
            ("node1_slot", true),
            ("", false),
            ("Node", false),
            ("a'b", false),
            (&"x".repeat(63), true),
            (&"x".repeat(64), false),
        ] {
            assert_eq!(is_slot_name(name), expected, "{name}");
        }
    }
}
