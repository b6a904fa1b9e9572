//! Why a process does not start.

use std::fmt;
use std::io;

/// Why a process did not start.
#[derive(Debug)]
pub enum StartError {
    /// No address to listen on is configured.
    Nowhere,
    /// An address cannot be listened on.
    Listen {
        /// The address or path.
        address: String,
        /// The operating system's reason.
        error: io::ErrorKind,
        /// The same in words.
        reason: String,
    },
    /// The system lacks what a machine waits with.
    Poller(io::Error),
    /// The host lacks what the runtime needs, and what to change is this.
    Runtime(String),
    /// A thread has ended and not said why; a panic has its message in the log.
    Silent,
    /// Threads cannot be bound to cores.
    Affinity(io::Error),
    /// A core is asked for that the process may not use.
    Core {
        /// Its number.
        core: usize,
        /// Those that it may use, as the kernel lists them.
        allowed: String,
    },
    /// A thread cannot be started.
    Thread(io::Error),
}

impl StartError {
    /// Makes one of an error that came of listening.
    pub fn listen(address: impl fmt::Display, error: &io::Error) -> Self {
        Self::Listen {
            address: address.to_string(),
            error: error.kind(),
            reason: error.to_string(),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str(
                "there is nothing to listen on; set listen_addresses or unix_socket_directories",
            ),
            Self::Listen { address, error: io::ErrorKind::AddrInUse, .. } => write!(
                f,
                "cannot listen on {address}: another process does already; stop it, or set \
                 another port"
            ),
            Self::Listen { address, reason, .. } => {
                write!(f, "cannot listen on {address}: {reason}; see listen_addresses and port")
            }
            Self::Poller(error) => {
                write!(f, "cannot make a poller: {error}; see the limit on open files")
            }
            Self::Runtime(reason) => f.write_str(reason),
            Self::Silent => {
                f.write_str("a thread has ended at once; the log says where it panicked")
            }
            Self::Affinity(error) => {
                write!(f, "cannot bind threads to cores: {error}; set cpu_affinity to none")
            }
            Self::Core { core, allowed } => write!(
                f,
                "cpu_affinity: there is no core {core} that this process may use; choose of \
                 {allowed}"
            ),
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}
