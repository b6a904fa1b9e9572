//! pgherd's own parameters, valid in both formats.

use super::{LONG_MAX, Parameter, Unit, choice, count, flag, list, measure, text};

/// The longest wait that may be asked for, in seconds: a day. A longer one is a slip of units.
const DAY: i64 = 86_400;

/// The longest time that copying a data directory may be given, in seconds.
const WEEK: i64 = 7 * DAY;

/// The longest age that may be asked for, in seconds: a year of 365 days.
const YEAR: i64 = 365 * DAY;

/// The most connections that may be asked for: no host has more ports or file handles for them.
const CONNECTIONS: i64 = 1_000_000;

pub(super) const TABLE: &[Parameter] = &[
    text("pool_database", "*").pool().now(),
    text("pool_user", "*").pool().now(),
    choice("pool_mode", &["session", "transaction", "statement"], "session").pool_or_all().now(),
    count("pool_size_min", 0, CONNECTIONS, "0").pool_or_all().now(),
    count("pool_size_max", 1, CONNECTIONS, "32").pool_or_all().now(),
    count("pool_reserve_size", 0, CONNECTIONS, "0").pool_or_all().now(),
    measure("pool_reserve_timeout", Unit::Seconds, 0, DAY, "5").now(),
    count("backend_connections_max", 1, CONNECTIONS, "90").now(),
    count("user_connections_max", 0, CONNECTIONS, "0").now(),
    count("database_connections_max", 0, CONNECTIONS, "0").now(),
    measure("pool_wait_timeout", Unit::Seconds, 1, DAY, "30").now(),
    count("pool_queue_max", 0, CONNECTIONS, "10000").now(),
    measure("pool_connection_age_max", Unit::Seconds, 0, YEAR, "3600").now(),
    measure("catalog_refresh_period", Unit::Seconds, 1, DAY, "60").now(),
    choice("transaction_reads", &["primary", "until_write"], "primary").now(),
    list("stateless_function_list", ',', "").now(),
    count("client_max", 1, CONNECTIONS, "10000").now(),
    Parameter { default: None, ..choice("failover_mode", &["promote", "off"], "").now() },
    measure("failover_max_lag", Unit::Bytes, 0, LONG_MAX, "1048576").now(),
    measure("failover_command_timeout", Unit::Seconds, 1, DAY, "90").now(),
    measure("failback_command_timeout", Unit::Seconds, 1, DAY, "90").now(),
    measure("follow_primary_command_timeout", Unit::Seconds, 1, 7 * DAY, "3600").now(),
    measure("failover_wait_timeout", Unit::Seconds, 0, DAY, "30").now(),
    measure("switchover_timeout", Unit::Seconds, 1, 3600, "10").now(),
    Parameter {
        default: None,
        ..choice("recovery_mode", &["command", "extension", "off"], "").now()
    },
    text("recovery_command", "").now(),
    text("recovery_slot", "").now(),
    flag("auto_recovery", "on").now(),
    measure("recovery_command_timeout", Unit::Seconds, 1, WEEK, "86400").now(),
    measure("shutdown_timeout", Unit::Seconds, 0, DAY, "60").now(),
    Parameter {
        default: None,
        ..choice("auth_method", &["trust", "password", "md5", "scram-sha-256"], "").now()
    },
    choice("pcp_dialect", &["4.3", "4.4"], "4.4").now(),
    count("worker_threads", 0, 1024, "0").start().now(),
    Parameter { default: None, ..text("cpu_affinity", "").start().now() },
];
