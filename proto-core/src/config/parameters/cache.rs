//! Cached facts about tables, and cached results of queries.

use super::{INT_MAX, LONG_MAX, Parameter, Unit, choice, count, flag, list, measure, text};

pub(super) const TABLE: &[Parameter] = &[
    measure("relcache_expire", Unit::Seconds, 0, LONG_MAX, "0").now(),
    count("relcache_size", 0, INT_MAX, "256").start(),
    choice("check_temp_table", &["catalog", "trace", "none", "on", "off"], "catalog"),
    flag("check_unlogged_table", "on").session(),
    flag("enable_shared_relcache", "on").start(),
    choice("relcache_query_target", &["primary", "load_balance_node"], "primary"),
    flag("memory_cache_enabled", "off").start(),
    choice("memqcache_method", &["shmem", "memcached"], "shmem").start(),
    text("memqcache_memcached_host", "localhost").start(),
    count("memqcache_memcached_port", 0, 65_535, "11211").start(),
    measure("memqcache_total_size", Unit::Bytes, 0, LONG_MAX, "67108864").start(),
    count("memqcache_max_num_cache", 0, INT_MAX, "1000000").start(),
    measure("memqcache_expire", Unit::Seconds, 0, INT_MAX, "0").start(),
    flag("memqcache_auto_cache_invalidation", "on"),
    measure("memqcache_maxcache", Unit::Bytes, 0, INT_MAX, "409600").start(),
    measure("memqcache_cache_block_size", Unit::Bytes, 512, INT_MAX, "1048576").start(),
    text("memqcache_oiddir", "/var/log/pgpool/oiddir").start(),
    list("cache_safe_memqcache_table_list", ',', ""),
    list("cache_unsafe_memqcache_table_list", ',', ""),
];
