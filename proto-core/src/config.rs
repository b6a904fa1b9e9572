//! What the operator asked for, checked: every value has its type, unit and range.
//!
//! A [`Config`] is made from text by [`load`], which recognises `pgherd.toml` and `pgpool.conf`
//! by content and reports every [`Mistake`] at once, each with file, line, key and a way out; what
//! is in order but worth knowing is a [`Note`]. Opening files is the caller's business: it lends a
//! [`Files`].

mod affinity;
mod backends;
mod check;
mod checks;
mod file;
mod files;
mod findings;
mod format;
mod logs;
mod lookup;
pub mod mistake;
pub mod note;
pub mod parameters;
mod pcp;
mod pgpool;
mod policies;
mod pools;
mod recovery;
mod routing;
mod secrets;
mod settings;
mod shown;
mod signs;
mod value;
mod votes;

use crate::auth::passwd::Users;
use crate::auth::secret::Secret;
use crate::id::BackendId;
use crate::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use affinity::{BadAffinity, CpuAffinity};
pub use check::{Loaded, Rejected, load};
pub use files::{Files, KeyFault, KeyFile};
pub use logs::{LogFiles, LogPolicy};
pub use lookup::{password_file, text};
pub use mistake::{Mistake, Problem};
pub use note::{Note, NoteKind};
use parameters::{LAST_NODE, LAST_POOL};
pub use pcp::{Dialect, PcpPolicy, pcp_doors};
pub use pools::{PoolMode, PoolPolicy, PoolRule, Pooling};
pub use recovery::SlotName;
pub use routing::{Level, RoutingPolicy};
pub use shown::{Override, Shown};
pub use signs::{Failback, OnError, OnRival, OnShutdown, SignPolicy};

/// Everything in effect. Cheap to share; a reload makes a new one.
#[derive(Clone, Debug)]
pub struct Config {
    /// `listen_addresses`: where clients connect; `*` is every address, empty is none.
    pub listen_addresses: Vec<String>,
    /// `port`: TCP port for clients, and the name of the Unix socket.
    pub port: u16,
    /// `unix_socket_directories`: where client sockets are made.
    pub unix_socket_directories: Vec<String>,
    /// Where PCP is served, and to whom.
    pub pcp: PcpPolicy,
    /// The backend nodes. `backends[i].id` need not be `i`: numbers may have gaps.
    pub backends: Vec<Backend>,
    /// How server connections are pooled.
    pub pool: PoolPolicy,
    /// How clients prove who they are.
    pub auth: AuthPolicy,
    /// Where statements go.
    pub routing: RoutingPolicy,
    /// How servers are watched of which no more is said.
    pub checks: CheckPolicy,
    /// How those are watched for which a file has parameters of their own.
    pub node_checks: BTreeMap<BackendId, CheckPolicy>,
    /// `catalog_refresh_period`: how long facts of a database's catalog are used before they are
    /// looked up again.
    pub catalog_refresh_period: Duration,
    /// `client_max`: client connections at once, all shards together.
    pub client_max: usize,
    /// `client_idle_limit`: a client idle for so long is disconnected; none is never.
    pub client_idle_limit: Option<Duration>,
    /// `shutdown_timeout`: how long a smart shutdown waits for transactions to finish.
    pub shutdown_timeout: Duration,
    /// What is made of signs that a server is lost, or is back.
    pub signs: SignPolicy,
    /// What is done when the primary is lost.
    pub failover: FailoverPolicy,
    /// How a node that is out of service is made a standby again.
    pub recovery: RecoveryPolicy,
    /// The operator's commands that are run then.
    pub commands: Commands,
    /// `failover_wait_timeout`: how long a write waits for a primary server.
    pub failover_wait_timeout: Duration,
    /// `switchover_timeout`: how long a switchover may make clients wait until the new primary is
    /// told; then it is undone.
    pub switchover_timeout: Duration,
    /// `worker_threads`: shards, one thread each; 0 is one for every two cores, which the caller counts.
    pub worker_threads: usize,
    /// `cpu_affinity`: on which cores those threads run.
    pub cpu_affinity: CpuAffinity,
    /// `log_min_messages`, as a filter for the log.
    pub log_level: log::LevelFilter,
    /// `log_connections`, `log_disconnections`.
    pub log_sessions: LogSessions,
    /// Where the log goes, and what stands before its lines.
    pub log: LogPolicy,
    /// `pid_file_name`; none where the file names none.
    pub pid_file_name: Option<String>,
    /// `work_dir`: where it is written down what nodes are like; none where the file names none.
    pub work_dir: Option<String>,
    /// `log_statement` and its like: who hears of statements.
    pub statements: StatementNotes,
    /// Every parameter with its value in effect, in the order of `SHOW pool_status`.
    pub shown: Arc<Vec<Shown>>,
    /// Parameters whose effect comes with a later release, as `(name, value as written)`.
    pub not_yet: Vec<(String, String)>,
}

/// Who hears of statements, and in what way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatementNotes(u8);

impl StatementNotes {
    /// `log_statement`: the log, as they come.
    pub const LOG: Self = Self(1);
    /// `log_per_node_statement`: the log, with the node that they go to.
    pub const LOG_PER_NODE: Self = Self(2);
    /// `notice_per_node_statement`: the client, with the node that they go to.
    pub const NOTICE_PER_NODE: Self = Self(4);

    /// Whether all of these are asked for.
    #[must_use]
    pub const fn has(self, notes: Self) -> bool {
        self.0 & notes.0 == notes.0
    }

    /// The same with or without these.
    #[must_use]
    pub const fn set(self, notes: Self, wanted: bool) -> Self {
        if wanted { Self(self.0 | notes.0) } else { Self(self.0 & !notes.0) }
    }

    /// Whether nobody hears of anything.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Which ends of a session are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogSessions {
    /// Neither.
    #[default]
    None,
    /// `log_connections` only.
    Connections,
    /// `log_disconnections` only.
    Disconnections,
    /// Both.
    Both,
}

impl LogSessions {
    /// Whether the begin of a session is logged.
    #[must_use]
    pub const fn has_connections(self) -> bool {
        matches!(self, Self::Connections | Self::Both)
    }

    /// Whether the end of a session is logged.
    #[must_use]
    pub const fn has_disconnections(self) -> bool {
        matches!(self, Self::Disconnections | Self::Both)
    }
}

/// One PostgreSQL server.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// The node's number, as in `backend_hostname0`.
    pub id: BackendId,
    /// `backend_hostname`: a host name, an address, or a socket directory (begins with `/`).
    pub hostname: String,
    /// `backend_port`.
    pub port: u16,
    /// `backend_weight`: its share of reads, relative to the others'; finite and not negative.
    pub weight: f64,
    /// `backend_data_directory`, for scripts.
    pub data_directory: String,
    /// `backend_application_name`: how the standby names itself in `pg_stat_replication`.
    pub application_name: String,
    /// `backend_flag` has `DISALLOW_TO_FAILOVER`... or not.
    pub failover: FailoverFlag,
    /// `backend_flag` has `ALWAYS_PRIMARY`.
    pub always_primary: bool,
    /// `backend_priority`: of standbys that have equally much WAL, the one of greater priority is
    /// promoted; 0 is never promoted.
    pub priority: u16,
    /// `connect_timeout` for this node: for every connection to it, name look-up included.
    pub connect_timeout: Duration,
}

/// A command of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What is run, with placeholders.
    pub line: String,
    /// How long it may take.
    pub within: Duration,
}

/// The operator's commands that are run when nodes are lost and come back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    /// `failover_command`: a node is lost; if it was the primary, this promotes another.
    pub failover: Option<Command>,
    /// `failback_command`: a node is back.
    pub failback: Option<Command>,
    /// `follow_primary_command`: a standby is to follow another primary.
    pub follow_primary: Option<Command>,
}

/// What is done when the primary is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailoverPolicy {
    /// `failover_mode`: by whom.
    pub mode: FailoverMode,
    /// `failover_max_lag`: how much of the primary's WAL the standby to be promoted may lack, in
    /// bytes, as far as is known.
    pub lag_max: u64,
}

/// `failover_mode`: by whom something is done when the primary is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailoverMode {
    /// By pgherd: it promotes a standby, and has the others follow it; where there are commands for
    /// that, by them.
    Promote,
    /// By somebody else: pgherd waits for a primary to appear.
    Off,
}

impl FailoverMode {
    /// The word for it in a file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Off => "off",
        }
    }
}

/// How a node that is out of service is made a standby of the primary again.
#[derive(Clone, Debug)]
pub struct RecoveryPolicy {
    /// `recovery_mode`: in which way.
    pub mode: RecoveryMode,
    /// `recovery_user`, and `recovery_password` or the user's entry among the users; none where it is
    /// whoever looks at the servers.
    pub user: Option<(String, Option<Secret>)>,
    /// Where the extension's functions are: `recovery_database`, or where they are looked for, first
    /// first. Never empty.
    pub databases: Vec<String>,
    /// `recovery_1st_stage_command`: the script in the primary's data directory; empty is none.
    pub first_stage: String,
    /// `recovery_slot`: the replication slot that the primary has for a node.
    pub slot: SlotName,
    /// `auto_recovery`: whether a former primary is recovered without being asked.
    pub auto: AutoRecovery,
    /// `recovery_timeout`: how long a node may take to be started, and then to follow the primary.
    pub timeout: Duration,
    /// `recovery_command_timeout`: how long the copy of the data may take.
    pub command_timeout: Duration,
}

/// `recovery_mode`: in which way a node is made a standby again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryMode {
    /// By `recovery_command`, which pgherd runs.
    Command(Command),
    /// By the scripts in the primary's data directory, which the extension `pgpool_recovery` runs.
    Extension,
    /// Not at all.
    Off,
}

impl RecoveryMode {
    /// The word for it in a file.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Extension => "extension",
            Self::Off => "off",
        }
    }
}

/// `auto_recovery`: what becomes of a former primary that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoRecovery {
    /// It is recovered, where there is a command for that.
    On,
    /// It is left to the operator.
    Off,
}

/// `backend_flag`: whether losing the node may start a failover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailoverFlag {
    /// `ALLOW_TO_FAILOVER`.
    #[default]
    Allow,
    /// `DISALLOW_TO_FAILOVER`.
    Disallow,
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// It need not.
    Trust,
    /// By its password in clear text.
    Password,
    /// By the MD5 challenge.
    Md5,
    /// By SCRAM-SHA-256 (RFC 5802, RFC 7677).
    Scram,
}

/// How clients prove who they are, and with which secrets.
#[derive(Clone, Debug)]
pub struct AuthPolicy {
    /// `auth_method`; none asks for what the servers ask for.
    pub method: Option<Method>,
    /// `authentication_timeout`: limit of a login; none is no limit but the default one.
    pub timeout: Option<Duration>,
    /// `[users]` and `pool_passwd`.
    pub users: Users,
}

/// How a server is watched.
#[derive(Clone, Debug, Default)]
pub struct CheckPolicy {
    /// Pause between two looks at it: the shorter one of `sr_check_period` and
    /// `health_check_period`.
    pub period: Duration,
    /// `health_check_timeout`: a look that takes longer has failed.
    pub timeout: Duration,
    /// `health_check_max_retries`: further looks before it counts as down.
    pub max_retries: u32,
    /// `health_check_retry_delay`: pause between those.
    pub retry_delay: Duration,
    /// `sr_check_user`, or `health_check_user`.
    pub user: String,
    /// The password of the same name, or the user's entry among the users.
    pub password: Option<Secret>,
    /// The database of the same name.
    pub database: String,
}

impl Config {
    /// Settles how many shards there are: as many as configured, else one for every two cores.
    ///
    /// What a proxy does is the kernel's work for the most part, which needs the other half, as do
    /// the servers where they are on the same host; and the fewer threads there are, the more each
    /// finds to do when it wakes up, so that a query costs less.
    pub fn settle_threads(&mut self, cores: usize) {
        let wanted = if self.worker_threads == 0 { cores / 2 } else { self.worker_threads };
        self.worker_threads = wanted.max(1);
        self.show_count("worker_threads", self.worker_threads);
    }

    /// Returns how a node is watched.
    #[must_use]
    pub fn checks_of(&self, id: BackendId) -> &CheckPolicy {
        self.node_checks.get(&id).unwrap_or(&self.checks)
    }

    /// Finds who tells a node what to do, and with which password: the user who recovers, where there
    /// is one who can log in, since whoever looks is often allowed no more than that.
    #[must_use]
    pub fn commander_of(&self, id: BackendId) -> (&str, Option<&Secret>) {
        if let Some((user, Some(password))) = &self.recovery.user {
            return (user, Some(password));
        }
        let checks = self.checks_of(id);
        (&checks.user, checks.password.as_ref())
    }

    /// Whether a former primary is recovered by the command without anybody asking for it.
    #[must_use]
    pub fn demotes(&self) -> bool {
        let has_command = matches!(self.recovery.mode, RecoveryMode::Command(_));
        has_command && self.recovery.auto == AutoRecovery::On
    }

    /// Who recovers nodes: `recovery_user`, where it is set, and otherwise whoever looks at the servers.
    #[must_use]
    pub fn recoverer(&self) -> (&str, Option<&Secret>) {
        match &self.recovery.user {
            Some((user, password)) => (user, password.as_ref()),
            None => (&self.checks.user, self.checks.password.as_ref()),
        }
    }

    /// Finds a node.
    #[must_use]
    pub fn backend(&self, id: BackendId) -> Option<&Backend> {
        self.backends.iter().find(|backend| backend.id == id)
    }
}
