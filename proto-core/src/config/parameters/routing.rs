//! Where statements go.

use super::{Kind, Parameter, Unit, choice, count, flag, list, measure, text};

pub(super) const TABLE: &[Parameter] = &[
    flag("load_balance_mode", "on").start().now(),
    flag("ignore_leading_white_space", "on"),
    list("read_only_function_list", ',', ""),
    list("write_function_list", ',', ""),
    list("primary_routing_query_pattern_list", ';', ""),
    text("user_redirect_preference_list", "").since("4.5"),
    text("database_redirect_preference_list", ""),
    text("app_name_redirect_preference_list", ""),
    flag("allow_sql_comments", "off").session().now(),
    choice(
        "disable_load_balance_on_write",
        &[
            "off",
            "transaction",
            "trans_transaction",
            "always",
            "dml_adaptive",
            "dml_adaptive_global",
        ],
        "transaction",
    ),
    text("dml_adaptive_object_relationship_list", ""),
    flag("statement_level_load_balance", "off"),
    Parameter::new(
        "track_table_mutation_ttl_factor",
        Kind::Real { min: 1.0, max: 100.0 },
        Some("5.0"),
    )
    .since("4.8"),
    measure("track_table_mutation_max_staleness", Unit::Milliseconds, 0, 3_600_000, "60000")
        .since("4.8"),
    measure("track_table_mutation_cold_start_duration", Unit::Milliseconds, 0, 60_000, "2000")
        .since("4.8"),
    count("track_table_mutation_table_buckets", 64, 65_536, "1024").start().since("4.8"),
    count("track_table_mutation_table_size", 128, 131_072, "2048").start().since("4.8"),
    flag("replicate_select", "off").dead(NO_REPLAY),
    flag("insert_lock", "on").dead(NO_REPLAY),
    text("lobj_lock_table", "").dead(NO_REPLAY),
    flag("replication_stop_on_mismatch", "off").dead(NO_REPLAY),
    flag("failover_if_affected_tuples_mismatch", "off").dead(NO_REPLAY),
    flag("replication_mode", "off").start().refused_or_dead(
        "it asks the proxy to write to every server itself; pgherd leaves replication to \
         PostgreSQL",
        "a leftover of Pgpool-II 3; backend_clustering_mode says how the servers replicate",
    ),
];

/// Why nothing about statement replay has an effect.
const NO_REPLAY: &str = "it belongs to native replication, where the proxy writes to every \
                         server; pgherd leaves replication to PostgreSQL";
