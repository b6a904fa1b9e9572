//! What happens when a server is lost, and how it comes back.

use super::{INT_MAX, Parameter, Unit, flag, measure, secret, text};

pub(super) const TABLE: &[Parameter] = &[
    text("failover_command", ""),
    text("failback_command", ""),
    text("follow_primary_command", ""),
    flag("failover_on_backend_error", "on"),
    flag("fail_over_on_backend_error", "on").alias("failover_on_backend_error"),
    flag("failover_on_backend_shutdown", "off"),
    flag("detach_false_primary", "off"),
    measure("search_primary_node_timeout", Unit::Seconds, 0, INT_MAX, "300"),
    flag("auto_failback", "off"),
    measure("auto_failback_interval", Unit::Seconds, 0, INT_MAX, "60"),
    text("recovery_user", ""),
    secret("recovery_password"),
    text("recovery_database", "postgres").since("4.7"),
    text("recovery_1st_stage_command", ""),
    text("recovery_2nd_stage_command", ""),
    measure("recovery_timeout", Unit::Seconds, 0, INT_MAX, "90"),
    measure("client_idle_limit_in_recovery", Unit::Seconds, -1, INT_MAX, "0").session(),
];
