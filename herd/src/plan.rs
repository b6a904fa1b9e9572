//! What herd to build.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::binaries::Binaries;

/// What herd to build. `Plan::default()` is a primary alone, temporary, on a free port.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many standbys to make beside the primary; they become nodes 1, 2 and so on.
    pub standbys: usize,
    /// Where to build, if the files are to be kept: a directory that is empty or does not exist.
    /// Without it they go under [`std::env::temp_dir`], and are removed when the herd is dropped.
    pub directory: Option<PathBuf>,
    /// The primary's port; node `i` gets the `i`-th after it. Without it free ones are chosen.
    pub base_port: Option<u16>,
    /// `max_connections`, of every node: a standby may not have fewer than its primary.
    pub max_connections: u32,
    /// Whether commits wait for the disk. Off, a crash of the machine ruins the servers, while a
    /// crash of the servers does not.
    pub durable: bool,
    /// Further lines of `postgresql.conf`, as (name, value); the last of a name counts.
    pub settings: Vec<(String, String)>,
    /// How clients prove who they are.
    pub hba: Hba,
    /// Ends the build early once it is true, with [`Trouble::Interrupted`](crate::Trouble), and
    /// later whatever waits for a program or for a server to be ready. A signal handler can set it.
    /// Stopping is never cut short.
    pub interrupt: Option<Arc<AtomicBool>>,
    /// Which PostgreSQL to run; without it, what [`Binaries::find`] finds.
    pub binaries: Option<Binaries>,
}

/// How clients prove who they are: `pg_hba.conf`, of every node.
#[derive(Clone, Debug, Default)]
pub enum Hba {
    /// By SCRAM-SHA-256, all of them.
    #[default]
    Scram,
    /// As these lines of `pg_hba.conf` say, and by SCRAM-SHA-256 where none of them applies. The
    /// superuser can always come in by the Unix socket, which is how [`Herd::psql`](crate::Herd)
    /// does.
    Lines(Vec<String>),
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            standbys: 0,
            directory: None,
            base_port: None,
            max_connections: 100,
            durable: false,
            settings: Vec::new(),
            hba: Hba::Scram,
            interrupt: None,
            binaries: None,
        }
    }
}
