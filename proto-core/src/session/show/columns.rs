//! The columns of each answer: Pgpool-II's in its order, pgherd's own behind.

use crate::admin::nodes::CHECKS;
use crate::config::parameters::{self, Found, Scope};
use crate::route::asks::Asked;
use crate::route::class::PoolShow;

const NODES: &[&str] = &[
    "node_id",
    "hostname",
    "port",
    "status",
    "pg_status",
    "lb_weight",
    "role",
    "pg_role",
    "select_cnt",
    "load_balance_node",
    "replication_delay",
    "replication_state",
    "replication_sync_state",
    "last_status_change",
];

const PROCESSES: &[&str] = &[
    "pool_pid",
    "start_time",
    "client_connection_count",
    "database",
    "username",
    "backend_connection_time",
    "pool_counter",
    "status",
];

const POOLS: &[&str] = &[
    // Pgpool-II 4.7.
    "pool_pid",
    "start_time",
    "client_connection_count",
    "pool_id",
    "backend_id",
    "database",
    "username",
    "backend_connection_time",
    "client_connection_time",
    "client_disconnection_time",
    "client_idle_duration",
    "majorversion",
    "minorversion",
    "pool_counter",
    "pool_backendpid",
    "pool_connected",
    "status",
    "load_balance_node",
    "client_host",
    "client_port",
    "statement",
    // pgherd's own.
    "pool_mode",
    "pool_state",
    "pins",
    "shard",
    "pool_open",
    "pool_idle",
    "pool_waiting",
    "pool_size_max",
    "node_open",
    "node_quota",
];

const ITEMS: &[&str] = &["item", "value", "description"];

pub(super) const CACHE: &[&str] = &[
    "num_cache_hits",
    "num_selects",
    "cache_hit_ratio",
    "num_hash_entries",
    "used_hash_entries",
    "num_cache_entries",
    "used_cache_entries_size",
    "free_cache_entries_size",
    "fragment_cache_entries_size",
];

const TRAFFIC: &[&str] = &[
    "node_id",
    "hostname",
    "port",
    "status",
    "role",
    "select_cnt",
    "insert_cnt",
    "update_cnt",
    "delete_cnt",
    "ddl_cnt",
    "other_cnt",
    "panic_cnt",
    "fatal_cnt",
    "error_cnt",
];

pub(super) const PINS: &[&str] = &[
    "cause",
    "sessions",
    "total",
    "pool_pid",
    "client_host",
    "database",
    "username",
    "backend_id",
    "pool_backendpid",
    "since",
];

const ROUTES: &[&str] = &["node_id", "figure", "reason", "count"];

const EXPLAIN: &[&str] = &["server", "reason", "depends_on"];

const fn of_table(show: PoolShow) -> &'static [&'static str] {
    match show {
        PoolShow::Nodes => NODES,
        PoolShow::Processes => PROCESSES,
        PoolShow::Pools => POOLS,
        PoolShow::Status => ITEMS,
        PoolShow::Version => &["pool_version"],
        PoolShow::Cache => CACHE,
        PoolShow::HealthCheckStats => &CHECKS,
        PoolShow::BackendStats => TRAFFIC,
        PoolShow::Pins => PINS,
        PoolShow::RouteStats => ROUTES,
    }
}

/// Groups of parameters that `PGPOOL SHOW` knows by one name.
pub(super) const GROUPS: [(&str, &[&str]); 4] = [
    (
        "backend",
        &[
            "backend_hostname",
            "backend_port",
            "backend_weight",
            "backend_data_directory",
            "backend_application_name",
            "backend_flag",
        ],
    ),
    ("watchdog", &["hostname", "pgpool_port", "wd_port"]),
    ("heartbeat", &["heartbeat_hostname", "heartbeat_port", "heartbeat_device"]),
    (
        "health_check",
        &[
            "health_check_period",
            "health_check_timeout",
            "health_check_user",
            "health_check_password",
            "health_check_database",
            "health_check_max_retries",
            "health_check_retry_delay",
            "connect_timeout",
        ],
    ),
];

/// The parameters that `PGPOOL SHOW` of a name is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// One value.
    One,
    /// The values of all nodes, of one parameter or of several.
    Many(&'static [&'static str], Option<&'static str>),
    /// Nothing by that name.
    Unknown,
}

/// Finds what a name means in `PGPOOL SHOW`.
pub(super) fn target(name: &str) -> Target {
    if let Some((_, members)) = GROUPS.iter().find(|(group, _)| *group == name) {
        return Target::Many(members, None);
    }
    match parameters::find(name) {
        Found::Known(parameter, None) => match parameter.scope {
            Scope::One => Target::One,
            Scope::Node(_) | Scope::NodeOrAll(_) | Scope::Pool(_) | Scope::PoolOrAll(_) => {
                Target::Many(&[], Some(parameter.name))
            }
        },
        Found::Known(_, Some(_)) => Target::One,
        Found::NumberMissing(parameter) => Target::Many(&[], Some(parameter.name)),
        Found::NumberTooBig(..) | Found::Obsolete(..) | Found::Unknown => Target::Unknown,
    }
}

/// Returns the columns of an answer; none if it has no rows.
pub(super) fn of(asked: &Asked) -> Option<Vec<String>> {
    let named = |columns: &[&str]| Some(columns.iter().map(|name| (*name).to_owned()).collect());
    match asked {
        Asked::Show(show) => named(of_table(*show)),
        Asked::ExplainRoute { .. } => named(EXPLAIN),
        Asked::PgpoolShowAll => named(ITEMS),
        Asked::PgpoolShow { name } => match target(name) {
            Target::Many(..) => named(ITEMS),
            Target::One | Target::Unknown => named(&[name]),
        },
        Asked::PgpoolSet { .. }
        | Asked::PgpoolCacheDelete { .. }
        | Asked::PgpoolReset { .. }
        | Asked::PgpoolResetAll => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_value_or_many() {
        let cases: &[(&str, Target)] = &[
            ("port", Target::One),
            ("backend_port0", Target::One),
            ("backend_port", Target::Many(&[], Some("backend_port"))),
            ("health_check_period", Target::Many(&[], Some("health_check_period"))),
            ("health_check_period1", Target::One),
            ("health_check", Target::Many(GROUPS[3].1, None)),
            ("backend_port200", Target::Unknown),
            ("fax_number", Target::Unknown),
            ("master_slave_mode", Target::Unknown),
        ];
        for (name, expected) in cases {
            assert_eq!(target(name), *expected, "{name}");
        }
    }

    #[test]
    fn pgpools_columns_come_first() {
        assert_eq!(of_table(PoolShow::Pools).get(17..21), Some(&POOLS[17..21]));
        let cases = [
            (PoolShow::Nodes, 14, "node_id"),
            (PoolShow::Processes, 8, "pool_pid"),
            (PoolShow::Pools, 31, "pool_pid"),
            (PoolShow::Status, 3, "item"),
            (PoolShow::Cache, 9, "num_cache_hits"),
            (PoolShow::HealthCheckStats, 20, "node_id"),
            (PoolShow::BackendStats, 14, "node_id"),
        ];
        for (show, count, first) in cases {
            let columns = of_table(show);
            assert_eq!((columns.len(), columns.first()), (count, Some(&first)), "{show:?}");
        }
        let show = |name: &str| of(&Asked::PgpoolShow { name: name.into() });
        assert_eq!(show("port"), Some(vec!["port".to_owned()]));
        assert_eq!(show("backend").map(|columns| columns.len()), Some(3));
        assert_eq!(of(&Asked::PgpoolResetAll), None);
    }
}
