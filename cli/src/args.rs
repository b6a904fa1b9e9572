//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

mod admin;
mod rebuild;

pub(crate) use admin::{AdminCommand, AskArgs, Mode, PeerArgs};
pub(crate) use rebuild::{Method, RebuildArgs};

const EXIT_CODES: &str = "\
Exit codes:
  0  stopped as asked, or everything checked is well
  1  a fault of pgherd itself
  2  the command line is not understood
  3  mistakes in the configuration
  4  something needed to start is taken or missing, and nothing was touched
  5  `pgherd check` found a server or a credential that does not work
  6  the pgherd that was asked cannot be reached, or does not do what it was asked;
     `pgherd rebuild` has begun and not come to its end: run it again

Signals of `pgherd run`:
  SIGHUP   reads the configuration again
  SIGTERM  accepts nobody, lets transactions finish up to shutdown_timeout, then ends
  SIGINT   accepts nobody, tells every client, ends
  SIGQUIT  ends at once

Environment:
  RUST_LOG       log levels by module, e.g. RUST_LOG=info,pgherd_core::session=debug
  PGPOOLKEYFILE  the key to AES entries of pool_passwd; else ~/.pgpoolkey
  PCPPASSFILE    the passwords of administrators, host:port:user:password; else ~/.pcppass
  PG_BINDIR      where PostgreSQL's programs are, for `pgherd demo` and `rebuild`";

/// One address in front of a herd of PostgreSQL servers.
#[derive(Debug, Parser)]
#[command(name = "pgherd", version, about, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve clients in front of the configured servers
    Run(RunArgs),
    /// Report every mistake of a configuration, then try each server and each credential
    Check(CheckArgs),
    /// Set up a throw-away herd with pgherd in front of it
    Demo(DemoArgs),
    /// Print an encrypted entry of pool_passwd for a password read from standard input
    Passwd(PasswdArgs),
    #[command(flatten)]
    Admin(AdminCommand),
    /// Make a data directory of this machine a running standby of the primary
    Rebuild(Box<RebuildArgs>),
    /// Print a script that has a shell complete these commands
    Completion(CompletionArgs),
}

const RUN_EXAMPLES: &str = "\
Examples:
  pgherd run --config pgherd.toml
  pgherd run --config /etc/pgpool-II/pgpool.conf
  RUST_LOG=debug pgherd run --config pgherd.toml";

#[derive(Debug, ClapArgs)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// A pgherd.toml or a pgpool.conf; which, its content tells
    #[arg(long, short = 'c', value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// What moves the bytes
    #[arg(long, value_enum, default_value_t = Runtime::Smol)]
    pub(crate) runtime: Runtime,
    /// The file with the key to AES entries of pool_passwd
    #[arg(long, short = 'k', value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// The file with the users of PCP; else the pcp.conf beside the configuration
    #[arg(long, short = 'F', value_name = "FILE")]
    pub(crate) pcp_file: Option<PathBuf>,
    /// Forget which nodes were detached before: discard pgpool_status in work_dir
    #[arg(long, short = 'D')]
    pub(crate) discard_status: bool,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  pgherd check --config pgherd.toml
  pgherd check --config /etc/pgpool-II/pgpool.conf --offline";

#[derive(Debug, ClapArgs)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct CheckArgs {
    /// A pgherd.toml or a pgpool.conf
    #[arg(long, short = 'c', value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The file with the key to AES entries of pool_passwd
    #[arg(long, short = 'k', value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// The file with the users of PCP; else the pcp.conf beside the configuration
    #[arg(long, short = 'F', value_name = "FILE")]
    pub(crate) pcp_file: Option<PathBuf>,
    /// Only read the files; connect to nothing
    #[arg(long)]
    pub(crate) offline: bool,
}

const DEMO_EXAMPLES: &str = "\
Examples:
  pgherd demo
  pgherd demo --standbys 4 --port 6432
  pgherd demo --dir /tmp/herd --for 60";

#[derive(Debug, ClapArgs)]
#[command(after_help = DEMO_EXAMPLES)]
pub(crate) struct DemoArgs {
    /// How many standbys follow the primary
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=16))]
    pub(crate) standbys: u8,
    /// Where pgherd listens, on 127.0.0.1
    #[arg(long, short = 'p', value_name = "PORT", default_value_t = 9999, value_parser = clap::value_parser!(u16).range(1024..))]
    pub(crate) port: u16,
    /// Where the servers live; kept afterwards. Without it, a directory that is removed
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// End after so many seconds instead of at Ctrl-C
    #[arg(long = "for", value_name = "SECONDS")]
    pub(crate) seconds: Option<u64>,
    /// What moves the bytes
    #[arg(long, value_enum, default_value_t = Runtime::Smol)]
    pub(crate) runtime: Runtime,
}

const PASSWD_EXAMPLES: &str = "\
Examples:
  pgherd passwd app < password.txt >> pool_passwd
  pgherd passwd app --key-file /etc/pgherd/key";

#[derive(Debug, ClapArgs)]
#[command(after_help = PASSWD_EXAMPLES)]
pub(crate) struct PasswdArgs {
    /// Whose password it is
    pub(crate) user: String,
    /// The file with the key; else $PGPOOLKEYFILE, else ~/.pgpoolkey
    #[arg(long, short = 'k', value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

const COMPLETION_EXAMPLES: &str = "\
Examples:
  source <(pgherd completion bash)
  pgherd completion zsh > ~/.zfunc/_pgherd
  pgherd completion fish > ~/.config/fish/completions/pgherd.fish";

#[derive(Debug, ClapArgs)]
#[command(after_help = COMPLETION_EXAMPLES)]
pub(crate) struct CompletionArgs {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// A shell that completes commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// glommio where io_uring is to be had, else smol
    Auto,
    /// glommio: an executor a thread, on Linux with io_uring
    Glommio,
    /// smol: any host
    Smol,
}
