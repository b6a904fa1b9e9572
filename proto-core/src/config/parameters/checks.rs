//! How servers are watched: lag and health.

use super::{INT_MAX, LONG_MAX, Parameter, Unit, count, flag, measure, secret, text};

pub(super) const TABLE: &[Parameter] = &[
    measure("sr_check_period", Unit::Seconds, 0, INT_MAX, "10").now(),
    text("sr_check_user", "").now(),
    secret("sr_check_password").now(),
    text("sr_check_database", "postgres").now(),
    measure("delay_threshold", Unit::Bytes, 0, LONG_MAX, "0").now(),
    measure("delay_threshold_by_time", Unit::Milliseconds, 0, INT_MAX, "0").since("4.4").now(),
    flag("prefer_lower_delay_standby", "off").now(),
    text("replication_delay_source_cmd", "").since("4.8"),
    measure("replication_delay_source_timeout", Unit::Seconds, 1, 3600, "10").since("4.8"),
    measure("health_check_period", Unit::Seconds, 0, INT_MAX, "0").node_or_all().now(),
    measure("health_check_timeout", Unit::Seconds, 0, INT_MAX, "20").node_or_all().now(),
    text("health_check_user", "").node_or_all().now(),
    secret("health_check_password").node_or_all().now(),
    text("health_check_database", "postgres").node_or_all().now(),
    count("health_check_max_retries", 0, INT_MAX, "0").node_or_all().now(),
    measure("health_check_retry_delay", Unit::Seconds, 0, INT_MAX, "1").node_or_all().now(),
    measure("connect_timeout", Unit::Milliseconds, 0, INT_MAX, "10000").node_or_all().now(),
    flag("health_check_test", "off").start(),
];
