//! pgherd's own parameters, valid in both formats.

use super::{Parameter, Unit, choice, count, measure};

/// The longest wait that may be asked for, in seconds: a day. A longer one is a slip of units.
const DAY: i64 = 86_400;

/// The most connections that may be asked for: no host has more ports or file handles for them.
const CONNECTIONS: i64 = 1_000_000;

pub(super) const TABLE: &[Parameter] = &[
    choice("pool_mode", &["session", "transaction", "statement"], "session").now(),
    count("pool_size_max", 1, CONNECTIONS, "32").now(),
    count("backend_connections_max", 1, CONNECTIONS, "90").now(),
    measure("pool_wait_timeout", Unit::Seconds, 1, DAY, "30").now(),
    count("client_max", 1, CONNECTIONS, "10000").now(),
    measure("failover_wait_timeout", Unit::Seconds, 0, DAY, "30").now(),
    measure("shutdown_timeout", Unit::Seconds, 0, DAY, "60").now(),
    Parameter {
        default: None,
        ..choice("auth_method", &["trust", "password", "md5", "scram-sha-256"], "").now()
    },
    count("worker_threads", 0, 1024, "0").start().now(),
];
