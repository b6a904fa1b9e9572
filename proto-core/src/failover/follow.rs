//! What is said to servers so that a standby follows another primary.
//!
//! The standby's own `primary_conninfo` is kept, its host and port apart: with which role and
//! password it connects, and by which name, is its operator's affair. That a change of it is taken
//! up at a reload is so since PostgreSQL 13 (docs, "Standby Servers").

use super::conninfo::{self, Unreadable};
use crate::backend::applied::quote;

/// What a standby is asked first. Only members of `pg_read_all_settings` are told.
pub const QUERY: &str =
    "SELECT current_setting('primary_conninfo'), current_setting('primary_slot_name')";

/// Has a standby read its configuration again.
pub const RELOAD: &str = "SELECT pg_reload_conf()";

/// What must be done so that a standby follows a primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is said to the primary first, so that it has the slot that the standby uses.
    pub at_primary: Option<String>,
    /// What is said to the standby then, one after the other.
    pub at_standby: Vec<String>,
}

/// Why a standby cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It gave an answer of another shape.
    Shape,
    /// Its connection string cannot be changed.
    Conninfo(Unreadable),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shape => f.write_str("it does not say how it is connected"),
            Self::Conninfo(unreadable) => unreadable.fmt(f),
        }
    }
}

/// Makes the plan, from a standby's answer to [`QUERY`].
///
/// # Errors
/// The answer cannot be understood.
pub fn plan(rows: &[Vec<String>], host: &str, port: u16) -> Result<Plan, Trouble> {
    let [row] = rows else { return Err(Trouble::Shape) };
    let [conninfo, slot] = row.as_slice() else { return Err(Trouble::Shape) };
    let pointed = conninfo::point(conninfo, host, port).map_err(Trouble::Conninfo)?;
    let literal = |text: &str| quote(text.as_bytes()).ok_or(Trouble::Shape);
    let at_primary = if slot.is_empty() {
        None
    } else {
        let slot = literal(slot)?;
        Some(format!(
            "SELECT pg_create_physical_replication_slot({slot}, true) WHERE NOT EXISTS \
             (SELECT 1 FROM pg_replication_slots WHERE slot_name = {slot})"
        ))
    };
    let set = format!("ALTER SYSTEM SET primary_conninfo = {}", literal(&pointed)?);
    Ok(Plan { at_primary, at_standby: vec![set, RELOAD.to_owned()] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_is_told_whom_to_follow() {
        let rows = |conninfo: &str, slot: &str| vec![vec![conninfo.to_owned(), slot.to_owned()]];
        let bare = plan(&rows("host=a port=1 user=r", ""), "b", 2).unwrap();
        assert_eq!(bare.at_primary, None);
        assert_eq!(
            bare.at_standby,
            ["ALTER SYSTEM SET primary_conninfo = 'host=b port=2 user=r'", RELOAD]
        );
        let slotted = plan(&rows("password='it\\'s'", "node1"), "b", 2).unwrap();
        assert_eq!(
            slotted.at_primary.unwrap(),
            "SELECT pg_create_physical_replication_slot('node1', true) WHERE NOT EXISTS \
             (SELECT 1 FROM pg_replication_slots WHERE slot_name = 'node1')"
        );
        assert_eq!(
            slotted.at_standby[0],
            r"ALTER SYSTEM SET primary_conninfo = E'host=b port=2 password=''it\\''s'''"
        );
    }

    #[test]
    fn what_cannot_be_understood_is_left_alone() {
        let uri = Trouble::Conninfo(Unreadable::Uri);
        let rows = |values: &[&str]| vec![values.iter().map(|v| (*v).to_owned()).collect()];
        assert_eq!(plan(&rows(&["postgresql://a", ""]), "b", 2), Err(uri));
        assert_eq!(plan(&rows(&["host=a"]), "b", 2), Err(Trouble::Shape));
        assert_eq!(plan(&[], "b", 2), Err(Trouble::Shape));
    }
}
