//! Values that together make no herd that could be served.

use super::{Words, shown};
use crate::auth::pcp::Why;

/// The values together make no herd that could be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Herd {
    /// No server at all.
    NoBackend,
    /// A `[[backends]]` section with nothing in it.
    EmptyBackend,
    /// A node with a host name and no port.
    PortMissing,
    /// A node with a port and no host name.
    HostnameMissing,
    /// Two nodes with the same host name and port.
    SameServer {
        /// The other one.
        other: u8,
    },
    /// More than one node is always the primary.
    TwoAlwaysPrimary {
        /// The other one.
        other: u8,
    },
    /// Neither an address nor a directory for sockets.
    NowhereToListen,
    /// Nobody to log in as for looking at the servers.
    NoCheckUser,
    /// Nodes are to be recovered by a command, and there is none.
    NoRecoveryCommand,
    /// A password file that is named and cannot be read.
    PasswordFile {
        /// Its path.
        path: String,
        /// The operating system's reason.
        why: String,
    },
    /// A `pcp.conf` that cannot be read, for this reason.
    PcpFile(String),
    /// A line of `pcp.conf` that cannot be meant.
    PcpLine(Why),
    /// Clients and PCP share a port.
    PcpPort,
    /// Encrypted secrets and no key file.
    KeyMissing,
    /// Encrypted secrets and a key file that cannot be read, for this reason.
    KeyUnreadable(String),
    /// Encrypted secrets and a key file that others can read.
    KeyReadableByOthers,
}

impl Herd {
    pub(super) fn words(&self, key: &str) -> Words {
        match self {
            Self::NoBackend => Words::new(
                "no server is configured",
                "add a [[backends]] section with hostname and port, or backend_hostname0 and \
                 backend_port0",
            ),
            Self::EmptyBackend => {
                Words::new("the section names no server", "add hostname and port")
            }
            Self::PortMissing => Words::new(
                "the node has a host name and no port",
                format!("add {} = 5432", shown(&key.replace("hostname", "port"))),
            ),
            Self::HostnameMissing => Words::new(
                "the node has a port and no host name",
                format!(
                    "add {}, which may be the directory of the server's socket",
                    shown(&key.replace("port", "hostname"))
                ),
            ),
            Self::SameServer { other } => Words::new(
                format!("the node has the host name and port of node {other}"),
                "remove one of the two, or correct it",
            ),
            Self::TwoAlwaysPrimary { other } => Words::new(
                format!("node {other} is ALWAYS_PRIMARY as well"),
                "a herd has one primary: keep the flag on one node at most",
            ),
            Self::NowhereToListen => Words::new(
                "clients have nowhere to connect to",
                "name an address, or a directory in unix_socket_directories",
            ),
            Self::NoCheckUser => Words::new(
                "pgherd must log in to see which server is the primary, and has no user for it",
                "name a user with the role pg_monitor, and its password in sr_check_password or \
                 the password file",
            ),
            Self::NoRecoveryCommand => Words::new(
                "nodes are to be recovered by a command, and there is none",
                "name it in recovery_command",
            ),
            Self::PasswordFile { path, why } => Words::new(
                format!("{path} cannot be read: {why}"),
                "check the path and who may read it, or write '' for no password file",
            ),
            Self::PcpFile(why) => Words::new(
                format!("the users of PCP cannot be read: {why}"),
                "check the path and who may read it",
            ),
            Self::PcpLine(why) => Words::new(
                why.to_string(),
                "a line is user:digest, where the digest is what pg_md5 PASSWORD prints",
            ),
            Self::PcpPort => Words::new(
                "it is the port for clients as well",
                "choose another one; Pgpool-II's is 9898",
            ),
            Self::KeyMissing => Words::new(
                "secrets are encrypted and there is no key file",
                "write the key into ~/.pgpoolkey, or name its file",
            ),
            Self::KeyUnreadable(why) => Words::new(
                format!("secrets are encrypted and the key file cannot be read: {why}"),
                "check the path and who may read it",
            ),
            Self::KeyReadableByOthers => Words::new(
                "others can read the key file, so the encryption protects nothing",
                "take the permission away, as with chmod 600",
            ),
        }
    }
}
