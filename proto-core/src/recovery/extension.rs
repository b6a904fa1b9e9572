//! Pgpool-II's way: two functions of its extension `pgpool_recovery`, called on the primary, run two
//! scripts in the primary's data directory, as the user whose server that is.
//!
//! The first script copies the primary's data to the node, the second one starts the server there.
//! Each release of the extension added an argument to the first function and kept the forms before
//! it, so that the longest form that a server has is the one that its scripts were written for.

use crate::backend::applied::quote;

/// How pgherd's sessions for a recovery call themselves, by which they are found again.
pub const APPLICATION_NAME: &str = "pgherd recovery";

/// What the primary is asked first: the longest form of the function that copies, whether there is
/// the one that starts, whether whoever asks may call them, and which earlier session still waits for
/// a script, if any does.
pub const QUERY: &str = "SELECT \
    (SELECT coalesce(max(p.pronargs), 0) FROM pg_proc AS p WHERE p.proname = 'pgpool_recovery' \
    AND p.pronargs BETWEEN 3 AND 7 AND pg_function_is_visible(p.oid)) AS arguments, \
    EXISTS (SELECT 1 FROM pg_proc AS p WHERE p.proname = 'pgpool_remote_start' \
    AND pg_function_is_visible(p.oid)) AS can_start, \
    (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user) AS is_superuser, \
    coalesce((SELECT max(a.pid) FROM pg_stat_activity AS a WHERE a.application_name = \
    'pgherd recovery' AND a.pid <> pg_backend_pid() AND a.state = 'active'), 0) AS busy";

/// Lifts a limit that is meant for statements, and not for copying a data directory.
pub const NO_LIMIT: &str = "SET statement_timeout TO 0";

/// What the functions can do on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Arguments of the longest form of `pgpool_recovery`; 0 if there is none.
    pub arguments: u8,
    /// Whether there is `pgpool_remote_start`.
    pub can_start: bool,
    /// Who has asked: both functions demand a superuser.
    pub caller: Caller,
    /// The process in which a script of an earlier recovery still runs.
    pub busy: Option<u32>,
}

/// Whether somebody may call the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A superuser may.
    Superuser,
    /// Nobody else may.
    Other,
}

impl Offer {
    /// Reads the answer to [`QUERY`]; none if it has another shape.
    #[must_use]
    pub fn read(rows: &[Vec<String>]) -> Option<Self> {
        let [row] = rows else { return None };
        let [arguments, can_start, is_superuser, busy] = row.as_slice() else { return None };
        Some(Self {
            arguments: arguments.parse().ok()?,
            can_start: can_start == "t",
            caller: if is_superuser == "t" { Caller::Superuser } else { Caller::Other },
            busy: Some(busy.parse().ok()?).filter(|process| *process != 0),
        })
    }
}

/// Who is copied to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sites {
    /// The node's number.
    pub node: u8,
    /// The node's host, as scripts reach it.
    pub host: String,
    /// The node's port.
    pub port: u16,
    /// The node's data directory.
    pub data_directory: String,
    /// The primary's host, as scripts reach it.
    pub primary_host: String,
    /// The primary's port.
    pub primary_port: u16,
}

/// A host as scripts are told it: a socket's directory is this very host, as in Pgpool-II.
#[must_use]
pub fn host(hostname: &str) -> String {
    let is_here = hostname.is_empty() || hostname.starts_with('/');
    if is_here { "localhost".to_owned() } else { hostname.to_owned() }
}

impl Sites {
    /// Composes the call that copies, with so many arguments; none if a name cannot be written.
    #[must_use]
    pub fn copy(&self, script: &str, arguments: u8) -> Option<String> {
        let literal = |text: &str| quote(text.as_bytes());
        let all = [
            literal(script)?,
            literal(&self.host)?,
            literal(&self.data_directory)?,
            literal(&self.primary_port.to_string())?,
            self.node.to_string(),
            literal(&self.port.to_string())?,
            literal(&self.primary_host)?,
        ];
        let given = all.get(..usize::from(arguments)).unwrap_or(&all);
        Some(format!("SELECT pgpool_recovery({})", given.join(", ")))
    }

    /// Composes the call that starts; none if a name cannot be written.
    #[must_use]
    pub fn start(&self) -> Option<String> {
        let host = quote(self.host.as_bytes())?;
        let directory = quote(self.data_directory.as_bytes())?;
        Some(format!("SELECT pgpool_remote_start({host}, {directory})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(host: &str) -> Sites {
        Sites {
            node: 1,
            host: super::host(host),
            port: 5433,
            data_directory: "/data/it's".to_owned(),
            primary_host: "pg0".to_owned(),
            primary_port: 5432,
        }
    }

    #[test]
    fn each_release_of_the_extension_is_called_in_its_own_form() {
        let call = |arguments| sites("pg1").copy("stage 1", arguments).unwrap();
        let head = "SELECT pgpool_recovery('stage 1', 'pg1', '/data/it''s'";
        let cases = [
            (3, ")"),
            (4, ", '5432')"),
            (5, ", '5432', 1)"),
            (6, ", '5432', 1, '5433')"),
            (7, ", '5432', 1, '5433', 'pg0')"),
        ];
        for (arguments, rest) in cases {
            assert_eq!(call(arguments), format!("{head}{rest}"), "{arguments}");
        }
        let start = "SELECT pgpool_remote_start('pg1', '/data/it''s')";
        assert_eq!(sites("pg1").start().unwrap(), start);
    }

    #[test]
    fn a_host_with_a_socket_is_this_one() {
        assert_eq!(sites("/run/postgresql").host, "localhost");
        assert_eq!(sites("").host, "localhost");
    }

    #[test]
    fn what_a_server_offers_is_read() {
        let rows = |values: [&str; 4]| vec![values.map(str::to_owned).to_vec()];
        let all = Offer { arguments: 7, can_start: true, caller: Caller::Superuser, busy: None };
        assert_eq!(Offer::read(&rows(["7", "t", "t", "0"])), Some(all));
        let none =
            Offer { arguments: 0, can_start: false, caller: Caller::Other, busy: Some(4711) };
        assert_eq!(Offer::read(&rows(["0", "f", "f", "4711"])), Some(none));
        assert_eq!(Offer::read(&rows(["x", "t", "t", "0"])), None);
        assert_eq!(Offer::read(&[]), None);
    }

    #[test]
    fn an_earlier_recovery_is_found_by_its_name() {
        assert!(QUERY.contains(&format!("'{APPLICATION_NAME}'")));
    }
}
