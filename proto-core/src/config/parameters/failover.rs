//! What happens when a server is lost, and how it comes back.

use super::{INT_MAX, Parameter, Unit, flag, measure, secret, text};

/// Why there is no second stage.
const SECOND_STAGE: &str = "a second stage, for which clients have to leave, is part of Pgpool-II's \
     native replication; a streaming standby needs none";

pub(super) const TABLE: &[Parameter] = &[
    text("failover_command", "").now(),
    text("failback_command", "").now(),
    text("follow_primary_command", "").now(),
    flag("failover_on_backend_error", "on").now(),
    flag("fail_over_on_backend_error", "on").alias("failover_on_backend_error"),
    flag("failover_on_backend_shutdown", "off").now(),
    flag("detach_false_primary", "off").now(),
    measure("search_primary_node_timeout", Unit::Seconds, 0, INT_MAX, "300"),
    flag("auto_failback", "off").now(),
    measure("auto_failback_interval", Unit::Seconds, 0, INT_MAX, "60").now(),
    text("recovery_user", "").now(),
    secret("recovery_password").now(),
    text("recovery_database", "postgres").since("4.7").now(),
    text("recovery_1st_stage_command", "").now(),
    text("recovery_2nd_stage_command", "").dead(SECOND_STAGE),
    measure("recovery_timeout", Unit::Seconds, 0, INT_MAX, "90").now(),
    measure("client_idle_limit_in_recovery", Unit::Seconds, -1, INT_MAX, "0")
        .session()
        .dead(SECOND_STAGE),
];
