//! Where clients connect, how they prove who they are, and how server connections are pooled.

use super::{INT_MAX, Parameter, Unit, choice, count, flag, list, measure, secret, text};

/// Why nothing about Pgpool-II's processes has an effect.
const NO_PROCESSES: &str = "pgherd serves clients with threads and has no child processes";

pub(super) const TABLE: &[Parameter] = &[
    choice(
        "backend_clustering_mode",
        &[
            "streaming_replication",
            "native_replication",
            "logical_replication",
            "raw",
            "snapshot_isolation",
        ],
        "streaming_replication",
    )
    .start()
    .now(),
    list("listen_addresses", ',', "localhost").start().now(),
    count("port", 1024, 65_535, "9999").start().now(),
    list("unix_socket_directories", ',', "/tmp").start().since("4.4").now(),
    text("unix_socket_group", "")
        .start()
        .since("4.4")
        .refused("the sockets would not belong to that group, and others could connect"),
    measure("unix_socket_permissions", Unit::Mode, 0, 0o777, "0777")
        .start()
        .since("4.4")
        .refused("the sockets would be open to everyone on this host"),
    list("pcp_listen_addresses", ',', "localhost").start().now(),
    count("pcp_port", 1024, 65_535, "9898").start().now(),
    list("pcp_socket_dir", ',', "/tmp").start().now(),
    count("listen_backlog_multiplier", 1, INT_MAX, "2").start().dead(NO_PROCESSES),
    flag("serialize_accept", "off").start().dead(NO_PROCESSES),
    count("reserved_connections", 0, INT_MAX, "0")
        .start()
        .dead("pgherd does not run out of child processes; client_max limits the clients"),
    measure("authentication_timeout", Unit::Seconds, 0, INT_MAX, "60").start().now(),
    flag("enable_pool_hba", "off")
        .refused("pgherd does not read pool_hba.conf yet, so clients that it rejects could log in"),
    text("pool_passwd", "pool_passwd").start().now(),
    flag("allow_clear_text_frontend_auth", "off"),
    flag("ssl", "off")
        .start()
        .refused("pgherd does not speak TLS yet, so passwords and rows would travel in clear text"),
    text("ssl_key", ""),
    text("ssl_cert", ""),
    text("ssl_ca_cert", ""),
    text("ssl_ca_cert_dir", ""),
    text("ssl_crl_file", ""),
    text("ssl_ciphers", "HIGH:MEDIUM:+3DES:!aNULL"),
    flag("ssl_prefer_server_ciphers", "off"),
    text("ssl_ecdh_curve", "prime256v1"),
    text("ssl_dh_params_file", ""),
    secret("ssl_passphrase_command"),
    choice("process_management_mode", &["static", "dynamic"], "static")
        .since("4.4")
        .dead(NO_PROCESSES),
    choice("process_management_strategy", &["aggressive", "gentle", "lazy"], "gentle")
        .since("4.4")
        .dead(NO_PROCESSES),
    count("num_init_children", 1, 1_000_000, "32").start().now(),
    count("min_spare_children", 1, INT_MAX, "5").since("4.4").dead(NO_PROCESSES),
    count("max_spare_children", 1, INT_MAX, "10").since("4.4").dead(NO_PROCESSES),
    count("max_pool", 0, INT_MAX, "4").start().dead(
        "pgherd has one pool for each server, database and user instead of one in each process; \
         pool_size_max limits it",
    ),
    measure("child_life_time", Unit::Seconds, 0, INT_MAX, "300").start().dead(NO_PROCESSES),
    count("child_max_connections", 0, INT_MAX, "0").start().dead(NO_PROCESSES),
    measure("connection_life_time", Unit::Seconds, 0, INT_MAX, "0").start().now(),
    measure("client_idle_limit", Unit::Seconds, 0, INT_MAX, "0").session().now(),
    flag("connection_cache", "on").start().now(),
    list("reset_query_list", ';', "ABORT;DISCARD ALL").now(),
];
