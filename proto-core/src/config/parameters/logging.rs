//! What is logged, and where.

use super::{INT_MAX, LEVELS, Parameter, Unit, choice, flag, measure, text};

pub(super) const TABLE: &[Parameter] = &[
    text("log_destination", "stderr"),
    text("log_line_prefix", "%m: %a pid %p: ").now(),
    flag("log_connections", "off").now(),
    flag("log_disconnections", "off").now(),
    flag("log_pcp_processes", "off").since("4.5").dead("pgherd has no PCP processes"),
    flag("log_hostname", "off"),
    flag("log_statement", "off").session().now(),
    flag("log_per_node_statement", "off").session().now(),
    flag("notice_per_node_statement", "off").session().since("4.5").now(),
    flag("log_client_messages", "off").session(),
    choice("log_backend_messages", &["none", "terse", "verbose"], "none").session().since("4.6"),
    choice("log_standby_delay", &["always", "if_over_threshold", "none"], "if_over_threshold"),
    choice(
        "syslog_facility",
        &["LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6", "LOCAL7"],
        "LOCAL0",
    ),
    text("syslog_ident", "pgpool"),
    choice("log_error_verbosity", &["terse", "default", "verbose"], "default").session(),
    choice("client_min_messages", LEVELS, "notice").session(),
    choice("log_min_messages", LEVELS, "warning").session().now(),
    flag("logging_collector", "off").start().now(),
    text("log_directory", "/tmp/pgpool_logs").now(),
    text("log_filename", "pgpool-%Y-%m-%d_%H%M%S.log").now(),
    measure("log_file_mode", Unit::Mode, 0, INT_MAX, "0600").now(),
    flag("log_truncate_on_rotation", "off").now(),
    measure("log_rotation_age", Unit::Minutes, 0, INT_MAX, "1440").now(),
    measure("log_rotation_size", Unit::Kilobytes, 0, 2_097_151, "10240").now(),
    text("pid_file_name", "/var/run/pgpool/pgpool.pid").start().now(),
    text("work_dir", "/tmp").start().since("4.7").now(),
    text("logdir", "").start().alias("work_dir"),
];
