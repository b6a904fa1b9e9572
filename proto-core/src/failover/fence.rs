//! What is said to a primary so that it takes no more writes, and so that it does again.
//!
//! `default_transaction_read_only` in `postgresql.auto.conf` outlives pgherd, and the server's
//! restart. So that whoever comes later knows whose it is, the server is marked first: by a
//! replication slot, which nobody uses and which reserves no WAL. Slots are a server's own; they are
//! neither replicated nor copied (PostgreSQL docs, "Replication Slots", `pg_rewind`).

use super::follow::RELOAD;

/// Marks a server whose writes pgherd has stopped.
pub const SLOT: &str = "pgherd_fence";

/// The parameter of an order's session that names who looks at the server, whose sessions are
/// spared, where somebody else gives the order.
pub const LOOKER: &str = "pgherd.looker";

/// Marks the server, and has sessions that begin take no writes; the next ones of those that are
/// there take none either.
pub const RAISE: [&str; 3] = [
    "SELECT pg_create_physical_replication_slot('pgherd_fence') WHERE NOT EXISTS \
     (SELECT 1 FROM pg_replication_slots WHERE slot_name = 'pgherd_fence')",
    "ALTER SYSTEM SET default_transaction_read_only = on",
    RELOAD,
];

/// Ends the sessions of others, as far as that is allowed (PostgreSQL docs, "Server Signaling
/// Functions"); of the rest those count that are in a transaction, since the next one takes no
/// writes. Nor do sessions that began since the server has read its configuration again. And asks
/// how far the server is with all of it, and where its WAL ends. `CASE` decides what is called: the
/// order of other conditions is the planner's.
pub const EMPTY: &str = "SELECT current_setting('default_transaction_read_only'), \
    (SELECT count(*) FROM (SELECT CASE WHEN a.pid = pg_backend_pid() \
    OR a.backend_type <> 'client backend' \
    OR a.application_name = 'pgherd' AND (a.usename = current_user \
    OR a.usename = current_setting('pgherd.looker', true)) \
    OR a.backend_start > pg_conf_load_time() AND a.backend_xid IS NULL THEN NULL \
    WHEN own.rolsuper OR pg_has_role('pg_signal_backend', 'USAGE') \
    AND NOT coalesce(other.rolsuper, true) THEN pg_terminate_backend(a.pid) \
    WHEN a.xact_start IS NOT NULL THEN false END AS ended FROM pg_stat_activity AS a \
    JOIN pg_roles AS own ON own.rolname = current_user \
    LEFT JOIN pg_roles AS other ON other.oid = a.usesysid) AS o \
    WHERE o.ended IS NOT NULL), \
    pg_current_wal_insert_lsn(), current_setting('wal_block_size'), \
    pg_size_bytes(current_setting('wal_segment_size'))";

/// Has the server take writes again, as far as its own configuration has it, and takes the mark away
/// once that is in force.
pub const LIFT: [&str; 3] = [
    "ALTER SYSTEM RESET default_transaction_read_only",
    RELOAD,
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
     WHERE slot_name = 'pgherd_fence' AND NOT EXISTS (SELECT 1 FROM pg_settings \
     WHERE name = 'default_transaction_read_only' AND sourcefile LIKE '%postgresql.auto.conf')",
];

/// How far a server is with stopping its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Sessions may begin that write, or are there.
    Open,
    /// Nobody writes; its WAL ends here.
    Shut(u64),
}

/// Reads the answer to [`EMPTY`]; none if it has another shape.
#[must_use]
pub fn progress(rows: &[Vec<String>]) -> Option<Progress> {
    let [row] = rows else { return None };
    let [read_only, others, written, block, segment] = row.as_slice() else { return None };
    let others: u64 = others.parse().ok()?;
    let written = crate::health::probe::read_lsn(written)?;
    let end = end_of_wal(written, block.parse().ok()?, segment.parse().ok()?);
    Some(if read_only == "on" && others == 0 { Progress::Shut(end) } else { Progress::Open })
}

/// Where the last record ends, of which is told where the next one begins: behind the header of a
/// page, if that page is still empty (`XLogBytePosToRecPtr` and `XLogBytePosToEndRecPtr` differ).
const fn end_of_wal(next: u64, block: u64, segment: u64) -> u64 {
    const LONG_HEADER: u64 = 40;
    const SHORT_HEADER: u64 = 24;
    if segment > 0 && next % segment == LONG_HEADER {
        next - LONG_HEADER
    } else if block > 0 && next % block == SHORT_HEADER {
        next - SHORT_HEADER
    } else {
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_from_a_row() {
        let row = |read_only: &str, others: &str, lsn: &str| {
            vec![[read_only, others, lsn, "8192", "16777216"].map(str::to_owned).to_vec()]
        };
        for (rows, expected) in [
            (row("on", "0", "0/5000100"), Some(Progress::Shut(0x0500_0100))),
            (row("on", "2", "0/5000100"), Some(Progress::Open)),
            (row("off", "0", "0/5000100"), Some(Progress::Open)),
            (row("on", "0", "nonsense"), None),
            (row("on", "", "0/5000100"), None),
            (Vec::new(), None),
        ] {
            assert_eq!(progress(&rows), expected, "{rows:?}");
        }
    }

    #[test]
    fn wal_ends_in_front_of_the_header_of_an_empty_page() {
        const SEGMENT: u64 = 16 << 20;
        for (next, end) in [
            (SEGMENT + 40, SEGMENT),
            (SEGMENT + 8192 + 24, SEGMENT + 8192),
            (SEGMENT + 8192 + 40, SEGMENT + 8192 + 40),
            (SEGMENT + 100, SEGMENT + 100),
        ] {
            assert_eq!(end_of_wal(next, 8192, SEGMENT), end, "{next:x}");
        }
    }

    #[test]
    fn every_text_names_the_same_slot() {
        for text in [RAISE[0], LIFT[2]] {
            assert!(text.contains(&format!("'{SLOT}'")), "{text}");
        }
    }
}
