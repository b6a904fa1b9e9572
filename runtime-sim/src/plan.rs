//! What a simulation begins with.

use std::collections::BTreeMap;

use pgherd_core::config::{PoolPolicy, Pooling};
use pgherd_core::time::Duration;

/// The beginning of a world. Everything that it leaves open, the seed decides.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of the scenario, for messages.
    pub scenario: String,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Standbys beside the primary, which is node 0.
    pub standbys: usize,
    /// What the servers ask of clients.
    pub auth: Auth,
    /// Users that exist on the servers, with their passwords.
    pub users: BTreeMap<String, String>,
    /// Databases that exist on the servers.
    pub databases: Vec<String>,
    /// Sessions that a server accepts (`max_connections`).
    pub server_connections_max: usize,
    /// The statement by which health checks look at a server; answered as a real server would.
    pub probe: String,
    /// Shards of the proxy.
    pub shards: u16,
    /// Sessions that the proxy may hold on one server, in all and of each pool, user and database;
    /// more break a rule.
    pub pools: PoolPolicy,
    /// How long a client may wait for the proxy to say anything, where no server works for it. A proxy
    /// for which that is not said is a relay: it need not keep sessions, either.
    pub patience: Option<Duration>,
}

/// What a server asks of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// `scram-sha-256`.
    #[default]
    Scram,
    /// `md5`.
    Md5,
    /// `password`.
    Password,
    /// `trust`.
    Trust,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            scenario: "unnamed".to_owned(),
            seed: 1,
            standbys: 2,
            auth: Auth::Scram,
            users: BTreeMap::from([("postgres".to_owned(), "postgres".to_owned())]),
            databases: vec!["postgres".to_owned(), "template1".to_owned()],
            server_connections_max: 100,
            probe: String::new(),
            shards: 2,
            pools: PoolPolicy {
                defaults: Pooling { size_max: usize::MAX, ..Pooling::default() },
                backend_connections_max: usize::MAX,
                ..PoolPolicy::default()
            },
            patience: None,
        }
    }
}
