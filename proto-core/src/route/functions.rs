//! What is known of PostgreSQL's own functions, by name.
//!
//! The lists come from `pg_proc` of PostgreSQL 15 and the manuals of later versions. A text does
//! not tell the schema of an unqualified name nor the types of its arguments, so a function of a
//! user's that shares its name with one of these is taken for PostgreSQL's. Where that one writes,
//! a standby refuses it.

/// What a call of a function means for the server connection it happens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Any server gives the same answer, and nothing is left behind.
    None,
    /// The answer is the primary's to give, or something is written, yet the session is as before.
    Primary,
    /// A lock is taken that only counts on the primary, until the transaction ends.
    Lock,
    /// A lock is taken that only counts on the primary, and that the session keeps.
    SessionLock,
    /// Such a lock is given back.
    SessionUnlock,
    /// A parameter is set, for the session unless the arguments say otherwise.
    SetsParameter,
    /// Something is left in the session of which the server does not tell when asked.
    Leaves,
    /// Anything at all.
    Unknown,
}

/// Tells what a call does, from the name after identifier folding.
///
/// `is_quoted` tells whether the name stood in double quotes, which hides the forms of call that
/// are grammar and not functions.
pub(super) fn effect(name: &str, is_quoted: bool) -> Effect {
    let is_in = |names: &[&str]| names.binary_search(&name).is_ok();
    if is_in(READ_FUNCTIONS) || (!is_quoted && is_in(SPECIAL_FORMS)) {
        Effect::None
    } else if is_in(PRIMARY_FUNCTIONS) {
        Effect::Primary
    } else if name == "set_config" {
        Effect::SetsParameter
    } else if is_in(LEAVING_FUNCTIONS) {
        Effect::Leaves
    } else if !is_in(ADVISORY_LOCKS) {
        Effect::Unknown
    } else if name.contains("_xact_") {
        Effect::Lock
    } else if name.contains("_unlock") {
        Effect::SessionUnlock
    } else {
        Effect::SessionLock
    }
}

/// Immutable and stable functions that read neither the state of the session nor of the server:
/// the same data gives the same answer on every node. Sorted.
#[rustfmt::skip]
const READ_FUNCTIONS: &[&str] = &[
    "abbrev", "abs", "aclcontains", "acldefault", "aclexplode", "aclinsert", "aclremove",
    "acos", "acosd", "acosh", "age", "any_value", "area", "array_agg", "array_append",
    "array_cat", "array_dims", "array_fill", "array_length", "array_lower", "array_ndims",
    "array_position", "array_positions", "array_prepend", "array_remove", "array_replace",
    "array_reverse", "array_sort", "array_to_json", "array_to_string", "array_to_tsvector",
    "array_upper", "arraycontained", "arraycontains", "arrayoverlap", "ascii", "asin", "asind",
    "asinh", "atan", "atan2", "atan2d", "atand", "atanh", "avg", "bit", "bit_and", "bit_count",
    "bit_length", "bit_or", "bit_xor", "bool", "bool_and", "bool_or", "box", "bpchar",
    "broadcast", "btrim", "cardinality", "casefold", "cbrt", "ceil", "ceiling", "center",
    "char", "char_length", "character_length", "chr", "cidr", "circle", "col_description",
    "concat", "concat_ws", "convert", "convert_from", "convert_to", "corr", "cos", "cosd",
    "cosh", "cot", "cotd", "count", "covar_pop", "covar_samp", "crc32", "crc32c", "cume_dist",
    "current_database", "current_schema", "current_schemas", "current_user", "date", "date_add",
    "date_bin", "date_part", "date_subtract", "date_trunc", "datemultirange", "daterange",
    "decode", "degrees", "dense_rank", "diagonal", "diameter", "div", "encode", "enum_first",
    "enum_last", "enum_range", "erf", "erfc", "every", "exp", "extract", "factorial", "family",
    "first_value", "float4", "float8", "floor", "format", "format_type", "gamma", "gcd",
    "generate_series", "generate_subscripts", "get_bit", "get_byte", "get_current_ts_config",
    "getdatabaseencoding", "has_any_column_privilege", "has_column_privilege",
    "has_database_privilege", "has_foreign_data_wrapper_privilege", "has_function_privilege",
    "has_language_privilege", "has_parameter_privilege", "has_schema_privilege",
    "has_sequence_privilege", "has_server_privilege", "has_table_privilege",
    "has_tablespace_privilege", "has_type_privilege", "hashtext", "hashtextextended", "height",
    "host", "hostmask", "icu_unicode_version", "inet_merge", "inet_same_family", "initcap",
    "int2", "int4", "int4multirange", "int4range", "int8", "int8multirange", "int8range",
    "interval", "is_normalized", "isclosed", "isempty", "isfinite", "ishorizontal", "isopen",
    "isparallel", "isperp", "isvertical", "json_agg", "json_agg_strict", "json_array_elements",
    "json_array_elements_text", "json_array_length", "json_build_array", "json_build_object",
    "json_each", "json_each_text", "json_extract_path", "json_extract_path_text", "json_object",
    "json_object_agg", "json_object_agg_strict", "json_object_agg_unique",
    "json_object_agg_unique_strict", "json_object_keys", "json_populate_record",
    "json_populate_recordset", "json_strip_nulls", "json_to_record", "json_to_recordset",
    "json_to_tsvector", "json_typeof", "jsonb_agg", "jsonb_agg_strict", "jsonb_array_elements",
    "jsonb_array_elements_text", "jsonb_array_length", "jsonb_build_array",
    "jsonb_build_object", "jsonb_concat", "jsonb_contained", "jsonb_contains", "jsonb_delete",
    "jsonb_delete_path", "jsonb_each", "jsonb_each_text", "jsonb_exists", "jsonb_exists_all",
    "jsonb_exists_any", "jsonb_extract_path", "jsonb_extract_path_text", "jsonb_insert",
    "jsonb_object", "jsonb_object_agg", "jsonb_object_agg_strict", "jsonb_object_agg_unique",
    "jsonb_object_agg_unique_strict", "jsonb_object_keys", "jsonb_path_exists",
    "jsonb_path_exists_tz", "jsonb_path_match", "jsonb_path_match_tz", "jsonb_path_query",
    "jsonb_path_query_array", "jsonb_path_query_array_tz", "jsonb_path_query_first",
    "jsonb_path_query_first_tz", "jsonb_path_query_tz", "jsonb_populate_record",
    "jsonb_populate_recordset", "jsonb_pretty", "jsonb_set", "jsonb_set_lax",
    "jsonb_strip_nulls", "jsonb_to_record", "jsonb_to_recordset", "jsonb_to_tsvector",
    "jsonb_typeof", "justify_days", "justify_hours", "justify_interval", "lag", "last_value",
    "lcm", "lead", "left", "length", "lgamma", "line", "ln", "log", "log10", "lower",
    "lower_inc", "lower_inf", "lpad", "lseg", "ltrim", "macaddr", "macaddr8",
    "macaddr8_set7bit", "make_date", "make_interval", "make_time", "make_timestamp",
    "make_timestamptz", "makeaclitem", "masklen", "max", "md5", "min", "min_scale", "mod",
    "mode", "money", "multirange", "mxid_age", "name", "netmask", "network", "normalize", "now",
    "npoints", "nth_value", "ntile", "num_nonnulls", "num_nulls", "numeric", "nummultirange",
    "numnode", "numrange", "obj_description", "octet_length", "oid", "oidvectortypes",
    "overlaps", "overlay", "parse_ident", "path", "percent_rank", "percentile_cont",
    "percentile_disc", "pg_basetype", "pg_client_encoding", "pg_collation_for",
    "pg_collation_is_visible", "pg_column_compression", "pg_column_is_updatable",
    "pg_column_size", "pg_conversion_is_visible", "pg_describe_object",
    "pg_encoding_max_length", "pg_function_is_visible", "pg_get_constraintdef", "pg_get_expr",
    "pg_get_function_arg_default", "pg_get_function_arguments",
    "pg_get_function_identity_arguments", "pg_get_function_result", "pg_get_function_sqlbody",
    "pg_get_functiondef", "pg_get_indexdef", "pg_get_keywords",
    "pg_get_partition_constraintdef", "pg_get_partkeydef", "pg_get_ruledef",
    "pg_get_serial_sequence", "pg_get_statisticsobjdef", "pg_get_triggerdef", "pg_get_userbyid",
    "pg_get_viewdef", "pg_has_role", "pg_identify_object", "pg_identify_object_as_address",
    "pg_index_column_has_property", "pg_index_has_property", "pg_indexam_has_property",
    "pg_lsn", "pg_opclass_is_visible", "pg_operator_is_visible", "pg_opfamily_is_visible",
    "pg_options_to_table", "pg_partition_root", "pg_relation_is_updatable", "pg_size_bytes",
    "pg_size_pretty", "pg_statistics_obj_is_visible", "pg_table_is_visible",
    "pg_timezone_abbrevs", "pg_timezone_names", "pg_ts_config_is_visible",
    "pg_ts_dict_is_visible", "pg_ts_parser_is_visible", "pg_ts_template_is_visible",
    "pg_type_is_visible", "pg_typeof", "pg_wal_lsn_diff", "phraseto_tsquery", "pi",
    "plainto_tsquery", "point", "polygon", "position", "pow", "power", "querytree",
    "quote_ident", "quote_literal", "quote_nullable", "radians", "radius", "range_agg",
    "range_intersect_agg", "range_merge", "rank", "regclass", "regexp_count", "regexp_instr",
    "regexp_like", "regexp_match", "regexp_matches", "regexp_replace", "regexp_split_to_array",
    "regexp_split_to_table", "regexp_substr", "regr_avgx", "regr_avgy", "regr_count",
    "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", "repeat",
    "replace", "reverse", "right", "round", "row_number", "row_security_active", "row_to_json",
    "rpad", "rtrim", "scale", "session_user", "set_bit", "set_byte", "set_masklen", "setweight",
    "sha224", "sha256", "sha384", "sha512", "shobj_description", "sign", "sin", "sind", "sinh",
    "slope", "split_part", "sqrt", "starts_with", "statement_timestamp", "stddev", "stddev_pop",
    "stddev_samp", "string_agg", "string_to_array", "string_to_table", "strip", "strpos",
    "substr", "substring", "sum", "tan", "tand", "tanh", "text", "time", "timestamp",
    "timestamptz", "timetz", "timezone", "to_ascii", "to_bin", "to_char", "to_date", "to_hex",
    "to_json", "to_jsonb", "to_number", "to_oct", "to_regclass", "to_regcollation",
    "to_regnamespace", "to_regoper", "to_regoperator", "to_regproc", "to_regprocedure",
    "to_regrole", "to_regtype", "to_regtypemod", "to_timestamp", "to_tsquery", "to_tsvector",
    "transaction_timestamp", "translate", "trim_array", "trim_scale", "trunc", "ts_debug",
    "ts_delete", "ts_filter", "ts_headline", "ts_lexize", "ts_parse", "ts_rank", "ts_rank_cd",
    "ts_token_type", "tsmultirange", "tsquery_phrase", "tsrange", "tstzmultirange", "tstzrange",
    "tsvector_to_array", "unicode_assigned", "unicode_version", "unistr", "unnest", "upper",
    "upper_inc", "upper_inf", "uuid_extract_timestamp", "uuid_extract_version", "var_pop",
    "var_samp", "varbit", "varchar", "variance", "version", "websearch_to_tsquery", "width",
    "width_bucket", "xid", "xml", "xml_is_well_formed", "xml_is_well_formed_content",
    "xml_is_well_formed_document", "xmlagg", "xmlcomment", "xmlexists", "xmltext",
    "xmlvalidate", "xpath", "xpath_exists",
];

/// Functions whose answer differs from call to call or from server to server, or that write, but
/// that leave nothing in the session beyond what the primary connection is asked for again.
/// Sorted.
#[rustfmt::skip]
const PRIMARY_FUNCTIONS: &[&str] = &[
    "array_sample", "array_shuffle", "brin_summarize_new_values", "clock_timestamp",
    "current_setting", "currval", "database_to_xml", "database_to_xml_and_xmlschema",
    "database_to_xmlschema", "gen_random_uuid", "gin_clean_pending_list", "inet_client_addr",
    "inet_client_port", "inet_server_addr", "inet_server_port", "lastval", "lo_close",
    "lo_creat", "lo_create", "lo_export", "lo_from_bytea", "lo_get", "lo_import", "lo_lseek",
    "lo_lseek64", "lo_open", "lo_put", "lo_tell", "lo_tell64", "lo_truncate", "lo_truncate64",
    "lo_unlink", "loread", "lowrite", "nextval", "pg_available_extension_versions",
    "pg_available_extensions", "pg_backend_pid", "pg_blocking_pids", "pg_cancel_backend",
    "pg_collation_actual_version", "pg_conf_load_time", "pg_config", "pg_control_checkpoint",
    "pg_control_init", "pg_control_recovery", "pg_control_system",
    "pg_create_logical_replication_slot", "pg_create_physical_replication_slot",
    "pg_create_restore_point", "pg_current_logfile", "pg_current_snapshot",
    "pg_current_wal_flush_lsn", "pg_current_wal_insert_lsn", "pg_current_wal_lsn",
    "pg_current_xact_id", "pg_current_xact_id_if_assigned", "pg_cursor", "pg_database_size",
    "pg_drop_replication_slot", "pg_extension_update_paths", "pg_filenode_relation",
    "pg_get_catalog_foreign_keys", "pg_get_object_address", "pg_get_publication_tables",
    "pg_get_replica_identity_index", "pg_get_replication_slots",
    "pg_get_statisticsobjdef_columns", "pg_get_statisticsobjdef_expressions",
    "pg_get_wal_replay_pause_state", "pg_hba_file_rules", "pg_indexam_progress_phasename",
    "pg_indexes_size", "pg_is_in_recovery", "pg_is_other_temp_schema",
    "pg_is_wal_replay_paused", "pg_isolation_test_session_is_blocked", "pg_jit_available",
    "pg_last_committed_xact", "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp", "pg_listening_channels", "pg_lock_status",
    "pg_log_backend_memory_contexts", "pg_logical_slot_get_changes",
    "pg_logical_slot_peek_changes", "pg_ls_archive_statusdir", "pg_ls_dir", "pg_ls_logdir",
    "pg_ls_tmpdir", "pg_ls_waldir", "pg_my_temp_schema", "pg_notification_queue_usage",
    "pg_notify", "pg_partition_ancestors", "pg_partition_tree", "pg_postmaster_start_time",
    "pg_prepared_statement", "pg_prepared_xact", "pg_promote", "pg_read_binary_file",
    "pg_read_file", "pg_relation_filenode", "pg_relation_filepath",
    "pg_relation_is_publishable", "pg_relation_size", "pg_reload_conf",
    "pg_replication_origin_oid", "pg_replication_slot_advance", "pg_rotate_logfile",
    "pg_safe_snapshot_blocking_pids", "pg_sequence_last_value", "pg_sequence_parameters",
    "pg_show_all_settings", "pg_sleep", "pg_sleep_for", "pg_sleep_until", "pg_snapshot_xip",
    "pg_snapshot_xmax", "pg_snapshot_xmin", "pg_stat_clear_snapshot", "pg_stat_file",
    "pg_stat_reset", "pg_stat_reset_shared", "pg_stat_reset_single_function_counters",
    "pg_stat_reset_single_table_counters", "pg_stat_reset_slru", "pg_switch_wal",
    "pg_table_size", "pg_tablespace_databases", "pg_tablespace_location", "pg_tablespace_size",
    "pg_terminate_backend", "pg_total_relation_size", "pg_trigger_depth",
    "pg_visible_in_snapshot", "pg_wal_replay_pause", "pg_wal_replay_resume", "pg_walfile_name",
    "pg_walfile_name_offset", "pg_xact_commit_timestamp", "pg_xact_status", "random",
    "random_normal", "schema_to_xml", "schema_to_xml_and_xmlschema", "schema_to_xmlschema",
    "setval", "table_to_xml", "table_to_xml_and_xmlschema", "table_to_xmlschema", "timeofday",
    "txid_current", "txid_current_if_assigned", "txid_current_snapshot", "txid_snapshot_xip",
    "txid_snapshot_xmax", "txid_snapshot_xmin", "txid_status", "txid_visible_in_snapshot",
    "uuidv4", "uuidv7",
];

/// Functions, some of them of PostgreSQL's own extensions, that leave in the session what no view of
/// the server shows: a seed, a backup in progress, an origin, a connection to elsewhere. Sorted.
#[rustfmt::skip]
const LEAVING_FUNCTIONS: &[&str] = &[
    "dblink_connect", "dblink_connect_u", "pg_backup_start",
    "pg_replication_origin_session_setup", "pg_start_backup", "setseed",
];

/// Forms that read like a call and are part of the grammar. Sorted.
#[rustfmt::skip]
const SPECIAL_FORMS: &[&str] = &[
    "all", "any", "array", "cast", "coalesce", "collation", "current_catalog", "current_date",
    "current_role", "current_schema", "current_time", "current_timestamp", "current_user",
    "exists", "extract", "greatest", "grouping", "json", "json_array", "json_arrayagg",
    "json_exists", "json_object", "json_objectagg", "json_query", "json_scalar",
    "json_serialize", "json_table", "json_value", "least", "localtime", "localtimestamp",
    "normalize", "nullif", "overlay", "position", "row", "session_user", "some", "substring",
    "treat", "trim", "user", "xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlparse",
    "xmlpi", "xmlroot", "xmlserialize", "xmltable",
];

/// Advisory locks, which exclude nobody when taken on a standby. Sorted.
#[rustfmt::skip]
const ADVISORY_LOCKS: &[&str] = &[
    "pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_unlock",
    "pg_advisory_unlock_all", "pg_advisory_unlock_shared", "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared",
    "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_apart() {
        let lists = [READ_FUNCTIONS, PRIMARY_FUNCTIONS, LEAVING_FUNCTIONS, SPECIAL_FORMS];
        for names in lists.into_iter().chain([ADVISORY_LOCKS]) {
            assert!(names.is_sorted_by(|one, next| one < next));
            assert!(names.iter().all(|name| name.to_ascii_lowercase() == *name));
        }
        for name in PRIMARY_FUNCTIONS.iter().chain(LEAVING_FUNCTIONS).chain(ADVISORY_LOCKS) {
            assert!(READ_FUNCTIONS.binary_search(name).is_err(), "{name} is in two lists");
            assert!(SPECIAL_FORMS.binary_search(name).is_err(), "{name} is in two lists");
        }
    }

    #[test]
    fn names_have_effects() {
        let cases: &[(&str, bool, Effect)] = &[
            ("count", false, Effect::None),
            ("now", true, Effect::None),
            ("coalesce", false, Effect::None),
            ("coalesce", true, Effect::Unknown),
            ("nextval", false, Effect::Primary),
            ("random", false, Effect::Primary),
            ("pg_is_in_recovery", false, Effect::Primary),
            ("current_setting", false, Effect::Primary),
            ("set_config", false, Effect::SetsParameter),
            ("setseed", false, Effect::Leaves),
            ("pg_advisory_unlock_all", false, Effect::SessionUnlock),
            ("query_to_xml", false, Effect::Unknown),
            ("pg_advisory_lock", false, Effect::SessionLock),
            ("pg_try_advisory_xact_lock", false, Effect::Lock),
            ("my_function", false, Effect::Unknown),
        ];
        for (name, is_quoted, expected) in cases {
            assert_eq!(effect(name, *is_quoted), *expected, "{name}");
        }
    }
}
