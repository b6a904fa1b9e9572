//! Names that Pgpool-II ignores without a word, so that old files lose their meaning silently.

use super::{Effect, Obsolete};

pub(super) const TABLE: &[Obsolete] = &[
    renamed("socket_dir", "unix_socket_directories"),
    renamed("follow_master_command", "follow_primary_command"),
    renamed("black_query_pattern_list", "primary_routing_query_pattern_list"),
    renamed("white_function_list", "read_only_function_list"),
    renamed("black_function_list", "write_function_list"),
    renamed("white_memqcache_table_list", "cache_safe_memqcache_table_list"),
    renamed("black_memqcache_table_list", "cache_unsafe_memqcache_table_list"),
    dead(
        "master_slave_mode",
        "it said that PostgreSQL replicates; backend_clustering_mode says so since 4.2",
    ),
    dead(
        "master_slave_sub_mode",
        "it said how PostgreSQL replicates; backend_clustering_mode says so since 4.2",
    ),
    dead(
        "reset_query_on_pool_release",
        "Pgpool-II 4 ignores it; reset_query_list says what runs when a client leaves",
    ),
    dead(
        "replicate_on_reset",
        "Pgpool-II 4 ignores it; a reset always reaches every server that the session used",
    ),
    dead(
        "statement_cache_mode",
        "Pgpool-II 4 ignores it; memory_cache_enabled switches the query cache",
    ),
    dead(
        "query_cache_mode",
        "Pgpool-II 4 ignores it; memory_cache_enabled switches the query cache",
    ),
    dead(
        "online_recovery",
        "Pgpool-II 4 ignores it; recovery_1st_stage_command makes recovery possible",
    ),
    dead("parallel_mode", "it ran one query on many servers, which Pgpool-II 4 no longer does"),
    dead("system_db_hostname", SYSTEM_DB),
    dead("system_db_port", SYSTEM_DB),
    dead("system_db_dbname", SYSTEM_DB),
    dead("system_db_schema", SYSTEM_DB),
    dead("system_db_user", SYSTEM_DB),
    dead("system_db_password", SYSTEM_DB),
    dead(
        "replication_timeout",
        "Pgpool-II 4 ignores it; PostgreSQL replicates, and has wal_sender_timeout",
    ),
    dead("print_timestamp", "it put the time on log lines; log_line_prefix has %t for that"),
    dead("print_user", "it put the user on log lines; log_line_prefix has %u for that"),
    dead("debug_level", "it made the log talkative; log_min_messages does that"),
    dead("pgpool2_hostname", "it named this proxy to itself; hostname0 and up name the proxies"),
    numbered("other_pgpool_hostname", "it named another proxy; hostname0 and up name all of them"),
    numbered("other_pgpool_port", "it named another proxy; pgpool_port0 and up name all of them"),
    numbered("other_wd_port", "it named another proxy; wd_port0 and up name all of them"),
    dead("wd_hostname", "it named this proxy; hostname0 and up name all of them"),
    numbered(
        "heartbeat_destination",
        "it said where heartbeats go; heartbeat_hostname0 and up say so since 4.2",
    ),
    numbered(
        "heartbeat_destination_port",
        "it said where heartbeats go; heartbeat_port0 and up say so since 4.2",
    ),
];

/// What the `system_db_` parameters were.
const SYSTEM_DB: &str = "it belonged to parallel_mode, which Pgpool-II 4 no longer has";

const fn renamed(name: &'static str, now: &'static str) -> Obsolete {
    Obsolete { name, numbered: false, effect: Effect::Alias(now) }
}

const fn dead(name: &'static str, why: &'static str) -> Obsolete {
    Obsolete { name, numbered: false, effect: Effect::Dead(why) }
}

const fn numbered(name: &'static str, why: &'static str) -> Obsolete {
    Obsolete { name, numbered: true, effect: Effect::Dead(why) }
}
