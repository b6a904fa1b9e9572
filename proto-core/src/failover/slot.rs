//! Replication slots that pgherd makes on a primary for its standbys, and drops again.
//!
//! A slot keeps the WAL that its standby has not received, for as long as it is there (PostgreSQL
//! docs, "Replication Slots"): one without a standby to come fills the primary's disk.

/// What a primary is told so that it has a slot that keeps WAL from now on. The first statement
/// takes away a slot of that name which has lost its WAL, and which nobody can use; the second one's
/// answer has a row if the slot was not there. The name is one that needs no quotes in a literal.
#[must_use]
pub fn make(name: &str) -> [String; 2] {
    [
        format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
             WHERE slot_name = '{name}' AND restart_lsn IS NULL AND NOT active"
        ),
        format!(
            "SELECT pg_create_physical_replication_slot('{name}', true) WHERE NOT EXISTS \
             (SELECT 1 FROM pg_replication_slots WHERE slot_name = '{name}')"
        ),
    ]
}

/// What a primary is told so that it has the slot no longer, unless somebody uses it: the last answer
/// has a row then.
#[must_use]
pub fn drop(name: &str) -> [String; 2] {
    [
        format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
             WHERE slot_name = '{name}' AND NOT active"
        ),
        format!("SELECT slot_name FROM pg_replication_slots WHERE slot_name = '{name}'"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_names_the_slot() {
        for text in make("s1").into_iter().chain(drop("s1")) {
            assert!(text.contains("'s1'"), "{text}");
        }
    }
}
