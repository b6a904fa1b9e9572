//! What the user that looks at servers must be allowed to do for a failover.

/// Asks for the server's version, as a number: 150004 is 15.4.
pub const VERSION: &str = "SHOW server_version_num";

/// The first version in which a single parameter can be granted (PostgreSQL 15).
const GRANTS_PARAMETERS: u32 = 150_000;

/// What is needed, in the order of the columns of the answer.
const NEEDED: [&str; 4] = [
    "EXECUTE on pg_promote(boolean, integer)",
    "EXECUTE on pg_reload_conf()",
    "ALTER SYSTEM on parameter primary_conninfo",
    "REPLICATION",
];

/// Composes the question what of it the user may do, for a server of this version.
#[must_use]
pub fn query(version: u32) -> String {
    let alter = if version >= GRANTS_PARAMETERS {
        "has_parameter_privilege('primary_conninfo', 'ALTER SYSTEM')"
    } else {
        "r.rolsuper"
    };
    format!(
        "SELECT has_function_privilege('pg_promote(boolean, integer)', 'EXECUTE'), \
         has_function_privilege('pg_reload_conf()', 'EXECUTE'), {alter}, \
         r.rolsuper OR r.rolreplication FROM pg_roles AS r WHERE r.rolname = current_user"
    )
}

/// Names what the user lacks, from the answer; everything, if it cannot be understood.
#[must_use]
pub fn lacking(rows: &[Vec<String>]) -> Vec<&'static str> {
    let row = rows.first().map_or(&[][..], Vec::as_slice);
    let has = |at: usize| row.get(at).is_some_and(|value| value == "t");
    NEEDED.into_iter().enumerate().filter(|(at, _)| !has(*at)).map(|(_, what)| what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named() {
        let row = |values: [&str; 4]| vec![values.map(str::to_owned).to_vec()];
        assert!(lacking(&row(["t"; 4])).is_empty());
        assert_eq!(lacking(&row(["t", "f", "t", "f"])), [NEEDED[1], NEEDED[3]]);
        assert_eq!(lacking(&[]), NEEDED);
    }

    #[test]
    fn a_server_that_grants_no_parameters_wants_a_superuser() {
        assert!(query(140_012).contains("r.rolsuper,"));
        assert!(query(150_000).contains("has_parameter_privilege"));
    }
}
