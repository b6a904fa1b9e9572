//! What the user that looks at servers must be allowed to do for a failover, and for a switchover.

/// Asks for the server's version, as a number: 150004 is 15.4.
pub const VERSION: &str = "SHOW server_version_num";

/// The first version in which a single parameter can be granted (PostgreSQL 15).
const GRANTS_PARAMETERS: u32 = 150_000;

/// What is needed, in the order of the columns of the answer.
const NEEDED: [&str; 6] = [
    "EXECUTE on pg_promote(boolean, integer)",
    "EXECUTE on pg_reload_conf()",
    "ALTER SYSTEM on parameter primary_conninfo",
    "REPLICATION",
    "ALTER SYSTEM on parameter default_transaction_read_only",
    "pg_signal_backend",
];

/// How many of them a failover needs, in front; a switchover needs all.
const NEEDED_IN_FAILOVER: usize = 4;

/// Composes the question what of it the user may do, for a server of this version.
#[must_use]
pub fn query(version: u32) -> String {
    let alter = |parameter: &str| {
        if version >= GRANTS_PARAMETERS {
            format!("has_parameter_privilege('{parameter}', 'ALTER SYSTEM')")
        } else {
            "r.rolsuper".to_owned()
        }
    };
    let (point, stop) = (alter("primary_conninfo"), alter("default_transaction_read_only"));
    format!(
        "SELECT has_function_privilege('pg_promote(boolean, integer)', 'EXECUTE'), \
         has_function_privilege('pg_reload_conf()', 'EXECUTE'), {point}, \
         r.rolsuper OR r.rolreplication, {stop}, pg_has_role('pg_signal_backend', 'USAGE') \
         FROM pg_roles AS r WHERE r.rolname = current_user"
    )
}

/// What the user lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacks {
    /// Of what a failover takes.
    pub failover: Vec<&'static str>,
    /// Of what a switchover takes beside that.
    pub switchover: Vec<&'static str>,
}

/// Names what the user lacks, from the answer; everything, if it cannot be understood.
#[must_use]
pub fn lacking(rows: &[Vec<String>]) -> Lacks {
    let row = rows.first().map_or(&[][..], Vec::as_slice);
    let mut lacks = Lacks::default();
    for (at, what) in NEEDED.into_iter().enumerate() {
        let list =
            if at < NEEDED_IN_FAILOVER { &mut lacks.failover } else { &mut lacks.switchover };
        if row.get(at).is_none_or(|value| value != "t") {
            list.push(what);
        }
    }
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named() {
        let row = |values: [&str; 6]| vec![values.map(str::to_owned).to_vec()];
        assert_eq!(lacking(&row(["t"; 6])), Lacks::default());
        let some = Lacks { failover: vec![NEEDED[1], NEEDED[3]], switchover: vec![NEEDED[5]] };
        assert_eq!(lacking(&row(["t", "f", "t", "f", "t", "f"])), some);
        let (failover, switchover) = NEEDED.split_at(NEEDED_IN_FAILOVER);
        let all = Lacks { failover: failover.to_vec(), switchover: switchover.to_vec() };
        assert_eq!(lacking(&[]), all);
    }

    #[test]
    fn a_server_that_grants_no_parameters_wants_a_superuser() {
        assert!(query(140_012).contains("r.rolsuper,"));
        assert!(query(150_000).contains("has_parameter_privilege"));
    }
}
