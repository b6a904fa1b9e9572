//! The command line of `pgherd rebuild`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

const REBUILD_EXAMPLES: &str = "\
Examples:
  pgherd rebuild --data-directory /var/lib/postgresql/15/main --host db2 --dry-run
  pgherd rebuild --data-directory /var/lib/postgresql/15/main \\
    --config-file /etc/postgresql/15/main/postgresql.conf --host db2 --user rewinder --slot db1 \\
    --stop-command 'sudo systemctl stop postgresql@15-main' \\
    --start-command 'sudo systemctl start postgresql@15-main'
  recovery_command = 'ssh postgres@%h pgherd rebuild --data-directory %D --node-port %p
    --host %H --port %r --user rewinder --application-name %a --slot %s'

The password is found as psql finds it: in $PGPASSWORD, or in the ~/.pgpass of the data directory's
owner. What the owner needs to be allowed at the primary, docs/administration.md tells.";

/// What is to be rebuilt, and from whom.
#[derive(Debug, Args)]
#[command(after_help = REBUILD_EXAMPLES)]
pub(crate) struct RebuildArgs {
    /// The data directory on this machine: of the same cluster, empty, or not there
    #[arg(long, short = 'D', value_name = "DIR")]
    pub(crate) data_directory: PathBuf,
    /// The primary's host, or the directory of its socket
    #[arg(long, value_name = "HOST")]
    pub(crate) host: String,
    /// The primary's port
    #[arg(long, short = 'p', value_name = "PORT", default_value_t = 5432, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,
    /// Whom the primary knows; else $PGUSER, else the data directory's owner
    #[arg(long, short = 'U', value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// How the primary's data gets here
    #[arg(long, value_enum, default_value_t = Method::Auto)]
    pub(crate) method: Method,
    /// The replication slot to use at the primary, made if it is not there; '' is none
    #[arg(long, value_name = "NAME")]
    pub(crate) slot: Option<String>,
    /// What the standby calls itself at the primary
    #[arg(long, value_name = "NAME")]
    pub(crate) application_name: Option<String>,
    /// The port of a server that has no configuration of its own yet
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) node_port: Option<u16>,
    /// Where PostgreSQL's programs are; else $PG_BINDIR, $PATH, or where packages put them
    #[arg(long, value_name = "DIR")]
    pub(crate) bin_directory: Option<PathBuf>,
    /// The server's postgresql.conf, where it is not in the data directory
    #[arg(long, value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,
    /// What starts the server, instead of pg_ctl
    #[arg(long, value_name = "COMMAND")]
    pub(crate) start_command: Option<String>,
    /// What stops the server, instead of pg_ctl
    #[arg(long, value_name = "COMMAND")]
    pub(crate) stop_command: Option<String>,
    /// Where the server writes until it logs elsewhere; else startup.log in the data directory
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// How long the server may take to stop, and to start
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=604_800))]
    pub(crate) timeout: u32,
    /// Only tell what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// How the primary's data gets here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// By pg_rewind if there is a data directory, and by pg_basebackup where that fails
    Auto,
    /// By pg_rewind: only what has changed is copied
    Rewind,
    /// By pg_basebackup: everything is copied
    Basebackup,
}
