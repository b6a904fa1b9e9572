//! The command line of the commands that administer a pgherd that serves.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What a pgherd that serves is asked over PCP.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Show every server: whether it is used, what it is, how far it is behind
    Nodes(ShowArgs),
    /// Show how the checks of every server went, and who is connected to it
    Stats(ShowArgs),
    /// Let a server in again
    Attach(NodeArgs),
    /// Take a server out of service until it is attached again
    Detach(DetachArgs),
    /// Make a standby the primary while there is none
    Promote(NodeArgs),
    /// Make a standby the primary in place of one that is well; new work waits meanwhile, and the old
    /// primary stays out of service until it is a standby
    Switchover(NodeArgs),
    /// Rebuild a server from the primary
    Recover(RecoverArgs),
    /// Have the configuration read again
    Reload(ReloadArgs),
    /// Stop pgherd
    Stop(StopArgs),
}

/// Whom to ask, and as whom.
#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    /// The configuration of the pgherd to ask, which tells where PCP is
    #[arg(long, short = 'c', value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where it is, whatever that says: a host, or the directory of a socket; else localhost
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Its port for PCP, whatever that says; else 9898
    #[arg(long, short = 'p', value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// The administrator's name in pcp.conf; else yours
    #[arg(long, short = 'U', value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Never ask for the password: it has to stand in $PCPPASSFILE or ~/.pcppass
    #[arg(long, short = 'w')]
    pub(crate) no_password: bool,
}

/// Whom to ask, and how the answer is printed.
#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    #[command(flatten)]
    pub(crate) peer: PeerArgs,
    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

const SHOW_EXAMPLES: &str = "\
Examples:
  pgherd nodes --config pgherd.toml
  pgherd nodes --host db1 --user admin --json
  pgherd stats --host /run/pgherd --port 9898";

#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

const NODE_EXAMPLES: &str = "\
Examples:
  pgherd attach 1 --config pgherd.toml
  pgherd promote 1 --host db1 --user admin --json
  pgherd switchover 2 --config /etc/pgpool-II/pgpool.conf";

#[derive(Debug, Args)]
#[command(after_help = NODE_EXAMPLES)]
pub(crate) struct NodeArgs {
    /// The number of the server, as `pgherd nodes` shows it
    #[arg(value_name = "NODE")]
    pub(crate) node: u8,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

const DETACH_EXAMPLES: &str = "\
Examples:
  pgherd detach 1 --config pgherd.toml
  pgherd detach 1 --graceful --host db1 --user admin";

#[derive(Debug, Args)]
#[command(after_help = DETACH_EXAMPLES)]
pub(crate) struct DetachArgs {
    /// The number of the server, as `pgherd nodes` shows it
    #[arg(value_name = "NODE")]
    pub(crate) node: u8,
    /// Have statements and transactions on it end first
    #[arg(long)]
    pub(crate) graceful: bool,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

const RECOVER_EXAMPLES: &str = "\
Examples:
  pgherd recover 1 --dry-run --config pgherd.toml
  pgherd recover 1 --host db1 --user admin";

#[derive(Debug, Args)]
#[command(after_help = RECOVER_EXAMPLES)]
pub(crate) struct RecoverArgs {
    /// The number of the server, as `pgherd nodes` shows it
    #[arg(value_name = "NODE")]
    pub(crate) node: u8,
    /// Only tell what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

const RELOAD_EXAMPLES: &str = "\
Examples:
  pgherd reload --config pgherd.toml
  pgherd reload --host db1 --user admin";

#[derive(Debug, Args)]
#[command(after_help = RELOAD_EXAMPLES)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

const STOP_EXAMPLES: &str = "\
Examples:
  pgherd stop --config pgherd.toml
  pgherd stop --mode fast --host db1 --user admin";

#[derive(Debug, Args)]
#[command(after_help = STOP_EXAMPLES)]
pub(crate) struct StopArgs {
    /// What becomes of those who are connected
    #[arg(long, short = 'm', value_enum, default_value_t = Mode::Smart)]
    pub(crate) mode: Mode,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// What becomes of those who are connected when pgherd stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Transactions may finish, as at SIGTERM
    Smart,
    /// Every client is told, as at SIGINT
    Fast,
    /// Nothing is waited for, as at SIGQUIT
    Immediate,
}
