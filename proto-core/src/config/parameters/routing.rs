//! Where statements go.

use super::{Kind, Parameter, Unit, choice, count, flag, list, measure, text};

pub(super) const TABLE: &[Parameter] = &[
    flag("load_balance_mode", "on").start().now(),
    flag("ignore_leading_white_space", "on").dead(BLANKS),
    list("read_only_function_list", ',', "").now(),
    list("write_function_list", ',', "").now(),
    list("primary_routing_query_pattern_list", ';', "").now(),
    text("user_redirect_preference_list", "").since("4.5").now(),
    text("database_redirect_preference_list", "").now(),
    text("app_name_redirect_preference_list", "").now(),
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
    )
    .now(),
    text("dml_adaptive_object_relationship_list", "").now(),
    flag("statement_level_load_balance", "off").now(),
    Parameter::new(
        "track_table_mutation_ttl_factor",
        Kind::Real { min: 1.0, max: 100.0 },
        Some("5.0"),
    )
    .since("4.8")
    .now(),
    measure("track_table_mutation_max_staleness", Unit::Milliseconds, 0, 3_600_000, "60000")
        .since("4.8")
        .now(),
    measure("track_table_mutation_cold_start_duration", Unit::Milliseconds, 0, 60_000, "2000")
        .since("4.8")
        .now(),
    count("track_table_mutation_table_buckets", 64, 65_536, "1024")
        .start()
        .since("4.8")
        .dead(BUCKETS),
    count("track_table_mutation_table_size", 128, 131_072, "2048").start().since("4.8").now(),
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

/// Why it makes no difference whether blanks are ignored.
const BLANKS: &str = "pgherd reads a statement as PostgreSQL does, to which blanks in front of it \
                      mean nothing";

/// Why there are no buckets.
const BUCKETS: &str = "pgherd keeps the tables written a moment ago in order of their names, and \
                       shares no memory that would need buckets";
