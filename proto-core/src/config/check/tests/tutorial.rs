//! The `pgpool.conf` of a well-known tutorial, as people copy it: one parameter five times, and
//! seven that no longer do anything.

use super::*;

const TUTORIAL: &str = "\
pool_passwd     = '/etc/pgpool-II/pool_passwd'

# --- Connection Settings ---

listen_addresses     = '*'
port                 = 9999

# --- pcp connection Settings ---

pcp_socket_dir       = '/tmp'
pcp_listen_addresses = '*'
pcp_port             = 9898

# --- Replication stuff

backend_clustering_mode = 'streaming_replication'
sr_check_period         = 10
sr_check_user           = 'replicator'
sr_check_password       = ''
follow_primary_command  = '/etc/pgpool-II/follow_primary.sh %d %h %p %D %m %H %M %P %r %R'
replication_mode        = off  # On means pgpool does the syncing
master_slave_mode       = on   # On means postgres does the syncing.

# --- Load Balancing and Query Routing ---

load_balance_mode           = on
reset_query_on_pool_release = on
replicate_on_reset          = on

# --- Backend Server Configuration ---

backend_hostname0         = 'pg1'
backend_port0             = 5432
backend_weight0           = 1
backend_data_directory0   = '/pgdata/17/data'
backend_clustering_mode   = 'streaming_replication'
backend_flag0             = 'ALLOW_TO_FAILOVER'
backend_application_name0 = 'pgserver0'

backend_hostname1         = 'pg2'
backend_port1             = 5432
backend_weight1           = 1
backend_data_directory1   = '/pgdata/17/data'
backend_clustering_mode   = 'streaming_replication'
backend_flag1             = 'ALLOW_TO_FAILOVER'
backend_application_name1 = 'pgserver1'

backend_hostname2         = 'pg3'
backend_port2             = 5432
backend_weight2           = 1
backend_data_directory2   = '/pgdata/17/data'
backend_clustering_mode   = 'streaming_replication'
backend_flag2             = 'ALLOW_TO_FAILOVER'
backend_application_name2 = 'pgserver2'

backend_hostname3         = 'pg4'
backend_port3             = 5432
backend_weight3           = 1
backend_data_directory3   = '/pgdata/17/data'
backend_clustering_mode   = 'streaming_replication'
backend_flag3             = 'ALLOW_TO_FAILOVER'
backend_application_name3 = 'pgserver3'

# --- failover and recovery info

online_recovery               = on
detach_false_primary          = on
failover_command              = '/etc/pgpool-II/failover.sh %d %h %p %D %m %H %M %P %r %R %N %S'
recovery_user                 = 'postgres'
recovery_password             = ''
recovery_1st_stage_command    = 'recovery_1st_stage'
recovery_timeout              = 60
client_idle_limit_in_recovery = -1

health_check_user             = 'pgpool'
health_check_password         = ''
health_check_database         = ''
health_check_period           = 5
health_check_timeout          = 30
health_check_max_retries      = 5

# --- disable cache
statement_cache_mode = off
query_cache_mode = off

# --- logging info

logging_collector = on
#log_min_messages = DEBUG1
log_destination = 'stderr'
log_line_prefix = '%m: %a pid %p: '
log_directory = '/var/log/pgpool_log'
log_filename = 'pgpool-%a.log'
log_truncate_on_rotation = on
log_rotation_age = 1d
log_rotation_size = 0
log_per_node_statement = on
notice_per_node_statement = on
";

#[test]
fn the_tutorials_file_loads() {
    let path = "/etc/pgpool-II/pgpool.conf";
    let passwords = "replicator:TEXTreplicator\npgpool:TEXTpgpool\n";
    let files = [(path, TUTORIAL), ("/etc/pgpool-II/pool_passwd", passwords)];
    let Loaded { config, .. } = load(path, &Texts::new(&files)).unwrap();
    assert_eq!(config.listen_addresses, ["*"]);
    assert_eq!(config.port, 9999);
    assert_eq!(config.checks.user, "replicator");
    assert_eq!(config.checks.password.as_ref().map(Secret::expose), Some("replicator"));
    assert_eq!(config.checks.period, Duration::from_secs(5));
    assert_eq!(config.checks.timeout, Duration::from_secs(30));
    assert_eq!(config.checks.max_retries, 5);
    let hosts: Vec<&str> = config.backends.iter().map(|b| b.hostname.as_str()).collect();
    assert_eq!(hosts, ["pg1", "pg2", "pg3", "pg4"]);
    assert!(config.backends.iter().all(|b| b.port == 5432 && b.weight == 1.0));
    assert_eq!(config.backends[2].application_name, "pgserver2");
    assert_eq!(config.recovery.first_stage, "recovery_1st_stage");
    assert_eq!(config.backends[3].data_directory, "/pgdata/17/data");
    let failover = config.commands.failover.as_ref().map(|command| command.line.as_str());
    assert_eq!(failover, Some("/etc/pgpool-II/failover.sh %d %h %p %D %m %H %M %P %r %R %N %S"));
    // The script promotes, once pgherd has chosen whom.
    assert_eq!(config.failover.mode, FailoverMode::Promote);
}

/// Somebody who moves over may not have the password file at hand yet.
#[test]
fn a_missing_file_does_not_hide_what_else_there_is_to_know() {
    let path = "/etc/pgpool-II/pgpool.conf";
    let rejected = load(path, &Texts::new(&[(path, TUTORIAL)])).unwrap_err();
    assert_eq!(rejected.mistakes.len(), 1, "{:?}", rejected.mistakes);
    let dead = rejected.notes.iter().filter(|note| matches!(note.kind, NoteKind::Dead(_)));
    assert_eq!(dead.count(), 8);
}

#[test]
fn each_dead_parameter_of_the_tutorial_is_named() {
    let path = "/etc/pgpool-II/pgpool.conf";
    let passwords = "replicator:TEXTreplicator\n";
    let files = [(path, TUTORIAL), ("/etc/pgpool-II/pool_passwd", passwords)];
    let notes = load(path, &Texts::new(&files)).unwrap().notes;
    let said = |wanted: fn(&NoteKind) -> bool| -> Vec<(usize, &str)> {
        let notes = notes.iter().filter(|note| wanted(&note.kind));
        notes.map(|n| (n.line.unwrap(), n.key.as_deref().unwrap())).collect()
    };
    assert_eq!(
        said(|kind| matches!(kind, NoteKind::Dead(_))),
        [
            (21, "replication_mode"),
            (22, "master_slave_mode"),
            (27, "reset_query_on_pool_release"),
            (28, "replicate_on_reset"),
            (66, "online_recovery"),
            (73, "client_idle_limit_in_recovery"),
            (83, "statement_cache_mode"),
            (84, "query_cache_mode"),
        ]
    );
    let duplicates = said(|kind| matches!(kind, NoteKind::Duplicate { .. }));
    assert_eq!(duplicates, [(60, "backend_clustering_mode")]);
    let duplicate = notes.iter().find(|note| matches!(note.kind, NoteKind::Duplicate { .. }));
    assert_eq!(
        duplicate.unwrap().to_string(),
        "/etc/pgpool-II/pgpool.conf:60: backend_clustering_mode: is also set on line 16, \
         line 36, line 44, line 52; this last one counts"
    );
    assert_eq!(said(|kind| *kind == NoteKind::NotYet), NOT_YET);
    let others = said(|kind| {
        !matches!(kind, NoteKind::Dead(_) | NoteKind::Duplicate { .. } | NoteKind::NotYet)
    });
    assert_eq!(others, [(75, "health_check_user")], "another user looks at the servers");
}

/// What the file asks for that a later release brings.
const NOT_YET: [(usize, &str); 1] = [(90, "log_destination")];
