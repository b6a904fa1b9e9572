//! Why a session declines, and the one table that says how a client hears of it.

use std::borrow::Cow;

use bytes::Bytes;

use crate::id::BackendId;
use crate::pool::{Figures, Occupancy, PoolKey};
use crate::time::Duration;
use crate::wire::backend::Report;
use crate::wire::error::{Fields, Violation};

/// Why a session declines.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// There are `client_max` clients already.
    TooManyClients,
    /// The startup packet names no user.
    NoUser,
    /// The startup packet asks for a protocol of another major version.
    Protocol {
        /// Its major part.
        major: u16,
        /// Its minor part.
        minor: u16,
    },
    /// The startup packet asks for a replication connection.
    Replication,
    /// The client did not prove who it is.
    Password {
        /// Who it said it is.
        user: Bytes,
    },
    /// The client took longer than `authentication_timeout` to log in.
    LoginTimeout,
    /// The client broke the protocol.
    Violation(Violation),
    /// The client broke the rules of an authentication exchange.
    Exchange(crate::auth::exchange::Violation),
    /// No connection became free in time.
    WaitTimeout {
        /// The pool.
        pool: PoolKey,
        /// Its figures.
        figures: Box<Figures>,
        /// How long the session waited.
        waited: Duration,
    },
    /// Too many wait for a connection already.
    QueueFull {
        /// The pool.
        pool: PoolKey,
        /// Its figures.
        figures: Box<Figures>,
    },
    /// No node takes writes.
    NoPrimary {
        /// How long the session waited.
        waited: Duration,
    },
    /// No node serves reads.
    NoServer {
        /// How long the session waited.
        waited: Duration,
    },
    /// The server did not set a parameter as the session has it.
    Unset {
        /// The parameter.
        name: Bytes,
        /// The body of the server's error.
        body: Bytes,
    },
    /// The server refused the session's login, with the body of its error.
    Server {
        /// The body of its error.
        body: Bytes,
    },
    /// No stored secret can answer the server.
    NoSecret {
        /// Who the client is.
        user: Bytes,
    },
    /// A login at a server failed for a reason that is pgherd's to know.
    ServerLogin {
        /// Which server.
        backend: BackendId,
    },
    /// The connection to a server was lost, with its last words.
    Lost {
        /// Which server.
        backend: BackendId,
        /// The body of its fatal error, if it sent one.
        words: Option<Bytes>,
    },
    /// The transaction was lost with its server; the client has been told and must end it.
    Aborted,
    /// The statement would take a lock or leave state on a standby.
    NotOnStandby,
    /// It asks for the last value of a sequence, and the connection that knows it is another's now.
    NoLastValue,
    /// It begins a transaction, and the pool gives connections back after every statement.
    NoTransactions,
    /// There is no parameter of this name.
    NoParameter {
        /// The name.
        name: Box<str>,
    },
    /// The parameter cannot be set for a session.
    NotInSession {
        /// Its name.
        name: Box<str>,
    },
    /// The value does not fit the parameter.
    UnfitValue {
        /// The parameter's name.
        name: Box<str>,
        /// The value.
        value: Box<str>,
        /// Why not, as a clause.
        why: Box<str>,
    },
    /// A text asks pgherd something and a server something else.
    AsksBeside,
    /// A pipeline holds both statements for a server and one for pgherd.
    MixedPipeline,
    /// The client names more statements or portals than pgherd remembers.
    TooManyStatements,
    /// The control plane did not answer in time.
    ControlSilent,
    /// The client was idle for longer than `client_idle_limit`.
    Idle,
    /// pgherd is stopping.
    ShuttingDown,
}

/// What a client is told; texts are owned where they hold figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The SQLSTATE.
    pub code: Cow<'static, str>,
    /// What happened.
    pub message: Cow<'static, str>,
    /// More of it.
    pub detail: Cow<'static, str>,
    /// The way out.
    pub hint: Cow<'static, str>,
}

impl Told {
    /// Borrows it as a report of a severity.
    #[must_use]
    pub fn report(&self, severity: &'static str) -> Report<'_> {
        Report {
            severity,
            code: &self.code,
            message: &self.message,
            detail: &self.detail,
            hint: &self.hint,
        }
    }
}

/// Begins what a client is told.
pub(super) fn told(code: &'static str, message: impl Into<Cow<'static, str>>) -> Told {
    Told { code: code.into(), message: message.into(), detail: "".into(), hint: "".into() }
}

impl Told {
    pub(super) fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl Refusal {
    /// Says what a client is told.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "it is one table")]
    pub fn tell(&self) -> Told {
        match self {
            Self::TooManyClients => told("53300", "sorry, too many clients already")
                .hint("Raise client_max, or let clients leave."),
            Self::NoUser => told("28000", "no PostgreSQL user name specified in startup packet"),
            Self::Protocol { major, minor } => told(
                "0A000",
                format!(
                    "unsupported frontend protocol {major}.{minor}: pgherd supports 3.0 to 3.2"
                ),
            ),
            Self::Replication => told("0A000", "replication connections are not supported")
                .hint("Connect to the server itself."),
            Self::Password { user } => told(
                "28P01",
                format!("password authentication failed for user \"{}\"", lossy(user)),
            ),
            Self::LoginTimeout => told("57014", "canceling authentication due to timeout"),
            Self::Violation(violation) => told("08P01", violation.to_string()),
            Self::Exchange(violation) => told("08P01", violation.to_string()),
            Self::NoSecret { user } => told(
                "28000",
                format!("pgherd has no usable password for user \"{}\"", lossy(user)),
            )
            .hint("Add the user to [users] or pool_passwd, with its password, not an MD5 hash."),
            Self::ServerLogin { .. } => told("08001", "pgherd could not log in to the server")
                .hint("See pgherd's log for details."),
            Self::WaitTimeout { pool, figures, waited } => {
                let waited = seconds(*waited);
                tell_pool(
                    format!("no server connection became free within {waited}"),
                    pool,
                    figures,
                )
            }
            Self::QueueFull { pool, figures } => {
                tell_pool("too many clients wait for a server connection".into(), pool, figures)
            }
            Self::NoPrimary { waited } => told(
                "57P03",
                format!("no primary server is available (waited {})", seconds(*waited)),
            )
            .detail("Reads go on where a standby is available.")
            .hint("SHOW pool_nodes tells the state of the nodes."),
            Self::NoServer { waited } => {
                told("57P03", format!("no server is available (waited {})", seconds(*waited)))
                    .hint("See pgherd's log for the state of the nodes.")
            }
            Self::Unset { name, body } => copied(body).detail(format!(
                "The statement was not sent: parameter \"{}\" of this session could not be restored \
                 on the connection that it got.",
                lossy(name)
            )),
            Self::Server { body } => copied(body),
            Self::Lost { backend, words } => match words {
                Some(body) => copied(body),
                None => told("08006", format!("lost the connection to node {backend}"))
                    .hint("Whether the statement took effect is not known."),
            },
            Self::Aborted => told(
                "25P02",
                "current transaction is aborted, commands ignored until end of transaction block",
            ),
            Self::NoLastValue => told(
                "55000",
                "lastval and currval are not defined on the connection that this statement got",
            )
            .detail("Another session has written there since, or this one has not written there.")
            .hint(
                "Use INSERT ... RETURNING, ask in the transaction that drew the value, or use \
                 pool_mode = session.",
            ),
            Self::NoTransactions => {
                told("0A000", "transaction blocks are not allowed where pool_mode is \"statement\"")
                    .hint("Use pool_mode = transaction for this database and user.")
            }
            Self::NotOnStandby => told(
                "25006",
                "cannot execute this statement in a read-only transaction on a standby",
            )
            .hint("Begin the transaction without READ ONLY."),
            Self::NoParameter { name } => {
                told("XX000", format!("config variable \"{name}\" not found"))
            }
            Self::NotInSession { name } => told(
                "XX000",
                format!("invalid Context, value for parameter \"{name}\" cannot be changed"),
            ),
            Self::UnfitValue { name, value, why } => {
                told("XX000", format!("invalid value for parameter \"{name}\": \"{value}\""))
                    .detail(why.to_string())
            }
            Self::AsksBeside => told(
                "0A000",
                "what pgherd answers cannot be asked together with other statements",
            )
            .hint("Send SHOW pool_\u{2026}, PGPOOL and EXPLAIN ROUTE each in a text of its own."),
            Self::MixedPipeline => {
                told("0A000", "a pipeline cannot hold both SHOW pool_… and other statements")
                    .hint("Send a Sync between them.")
            }
            Self::TooManyStatements => {
                told("54000", "too many prepared statements or portals, or too long a name")
                    .hint("Close what is no longer needed, or send a Sync.")
            }
            Self::ControlSilent => told("57014", "the control plane did not answer in time"),
            Self::Idle => told("57P05", "terminating connection due to client_idle_limit"),
            Self::ShuttingDown => {
                told("57P01", "terminating connection due to administrator command")
            }
        }
    }
}

fn tell_pool(message: String, pool: &PoolKey, figures: &Figures) -> Told {
    let shares = figures.shards > 1;
    let count = |occupancy: Occupancy| {
        let Occupancy { open, quota, max } = occupancy;
        if shares {
            format!("{open} of now {quota} (in all threads {max})")
        } else {
            format!("{open} of {max}")
        }
    };
    let shared = |occupancy: Option<Occupancy>, whose: &str| {
        occupancy.map_or_else(String::new, |shared| format!(", {} {whose}", count(shared)))
    };
    told("53300", message)
        .detail(format!(
            "Pool of user \"{}\", database \"{}\" on node {}{}: {} connections open, {} idle, {} of \
             {} clients waiting; {} connections to the node open{}{}.",
            lossy(&pool.user),
            lossy(&pool.database),
            pool.backend,
            if shares { ", in this worker thread" } else { "" },
            count(figures.pool),
            figures.idle,
            figures.waiting,
            figures.queue_max,
            count(figures.node),
            shared(figures.user, "of the user"),
            shared(figures.database, "to the database"),
        ))
        .hint(match full(figures) {
            Some(limit) => format!("Raise {limit}, or let clients leave."),
            None => "Let clients leave.".to_owned(),
        })
}

/// The limit that keeps clients waiting.
fn full(figures: &Figures) -> Option<&'static str> {
    let is_full = |occupancy: Occupancy| occupancy.open >= occupancy.quota;
    [
        (figures.waiting >= figures.queue_max, "pool_queue_max"),
        (is_full(figures.pool), "pool_size_max"),
        (figures.user.is_some_and(is_full), "user_connections_max"),
        (figures.database.is_some_and(is_full), "database_connections_max"),
        (is_full(figures.node), "backend_connections_max"),
    ]
    .into_iter()
    .find_map(|(is_full, limit)| is_full.then_some(limit))
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Tells what a server said.
fn copied(body: &[u8]) -> Told {
    let fields = Fields::read(body);
    let own = |field: &[u8]| Cow::Owned(lossy(field).into_owned());
    Told {
        code: own(fields.code),
        message: own(fields.message),
        detail: own(fields.detail),
        hint: own(fields.hint),
    }
}
