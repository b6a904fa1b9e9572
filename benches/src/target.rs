//! What is measured: a proxy, how it is set up, and how many servers it stands before.

use serde::Serialize;

/// A program between the clients and the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// pgherd, of this source tree, on one of [`RUNTIMES`].
    Pgherd(&'static str),
    /// PgBouncer.
    PgBouncer,
    /// Pgpool-II.
    Pgpool,
    /// What passes bytes and looks at none of them: the floor.
    Relay,
    /// One that runs already.
    External(Address),
}

/// Where a proxy is that runs already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The process at the root of its tree, if that is on this machine.
    pub pid: Option<u32>,
}

/// When a proxy takes a server connection back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Pooling {
    /// When its client leaves.
    Session,
    /// When a transaction has ended.
    Transaction,
}

impl Pooling {
    /// As both PgBouncer and pgherd call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
        }
    }
}

/// One thing to measure.
#[derive(Clone, Debug)]
pub struct Target {
    /// What the tables call it.
    pub name: String,
    /// Which proxy; none is the primary itself.
    pub proxy: Option<Proxy>,
    /// When server connections are given back.
    pub pooling: Pooling,
    /// How many servers it uses: the primary and so many less one standbys.
    pub nodes: usize,
    /// Cores that it has, with a thread on each, if that is what is measured.
    pub cores: Option<u16>,
}

impl Target {
    fn new(name: &str, proxy: Option<Proxy>, pooling: Pooling, nodes: usize) -> Self {
        Self { name: name.to_owned(), proxy, pooling, nodes, cores: None }
    }

    /// The target whose CPU time this one's is compared with.
    #[must_use]
    pub const fn yardstick(&self) -> &'static str {
        match self.pooling {
            Pooling::Session => YARDSTICK,
            Pooling::Transaction => YARDSTICK_POOLED,
        }
    }

    /// Reads "NAME=HOST:PORT" or "NAME=HOST:PORT,PID": a proxy that runs already.
    ///
    /// # Errors
    /// The text is not that.
    pub fn external(text: &str) -> Result<Self, String> {
        let read = || {
            let (name, address) = text.split_once('=')?;
            let (address, pid) = match address.split_once(',') {
                Some((address, pid)) => (address, Some(pid.parse().ok()?)),
                None => (address, None),
            };
            let (host, port) = address.rsplit_once(':')?;
            let port = port.parse().ok().filter(|&port: &u16| port != 0)?;
            let address = Address { host: host.to_owned(), port, pid };
            let is_named = !name.is_empty() && !host.is_empty();
            is_named.then(|| Self::new(name, Some(Proxy::External(address)), Pooling::Session, 1))
        };
        read().ok_or_else(|| "not NAME=HOST:PORT or NAME=HOST:PORT,PID".to_owned())
    }
}

/// Makes everything that is measured, in the order of a round.
///
/// The measure of throughput is [`DIRECT`], that of CPU time [`YARDSTICK`], or
/// [`YARDSTICK_POOLED`] for those who pool by transaction, too.
#[must_use]
pub fn all() -> Vec<Target> {
    use Pooling::{Session, Transaction};
    let mut targets = vec![
        Target::new(DIRECT, None, Session, 1),
        Target::new(FLOOR, Some(Proxy::Relay), Session, 1),
        Target::new(YARDSTICK, Some(Proxy::PgBouncer), Session, 1),
        Target::new(YARDSTICK_POOLED, Some(Proxy::PgBouncer), Transaction, 1),
        Target::new("pgpool", Some(Proxy::Pgpool), Session, 1),
        Target::new("pgpool split", Some(Proxy::Pgpool), Session, 3),
    ];
    for runtime in RUNTIMES {
        targets.extend(MODES.map(|(mode, pooling, nodes)| {
            let name = format!("pgherd {runtime}{mode}");
            Target::new(&name, Some(Proxy::Pgherd(runtime)), pooling, nodes)
        }));
        targets.extend(CORES.map(|(cores, title)| {
            let name = format!("pgherd {runtime}{title}");
            let proxy = Some(Proxy::Pgherd(runtime));
            Target { cores: Some(cores), ..Target::new(&name, proxy, Session, 1) }
        }));
    }
    targets
}

/// The runtimes of pgherd, as `pgherd run --runtime` calls them. One that a build does not have is
/// left out.
pub const RUNTIMES: [&str; 2] = ["smol", "glommio"];

/// How pgherd is measured: what is added to its name, and what is meant by it.
const MODES: [(&str, Pooling, usize); 4] = [
    ("", Pooling::Session, 1),
    (" pooled", Pooling::Transaction, 1),
    (" split", Pooling::Session, 3),
    (" split pooled", Pooling::Transaction, 3),
];

/// On how many cores pgherd is measured where that matters.
const CORES: [(u16, &str); 2] = [(1, " on one core"), (2, " on two cores")];

/// The target whose throughput is 1.
pub const DIRECT: &str = "direct";

/// The target below whose CPU time no proxy gets that passes bytes by the same system calls.
pub const FLOOR: &str = "relay";

/// The target whose CPU time is 1.
pub const YARDSTICK: &str = "pgbouncer";

/// The target whose CPU time is 1 to those who pool by transaction.
pub const YARDSTICK_POOLED: &str = "pgbouncer pooled";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_named_with_its_address() {
        let address = |host: &str, port, pid| Address { host: host.to_owned(), port, pid };
        let cases = [
            ("odyssey=127.0.0.1:6432", Some(address("127.0.0.1", 6432, None))),
            ("odyssey=localhost:6432,17", Some(address("localhost", 6432, Some(17)))),
            ("odyssey=::1:6432", Some(address("::1", 6432, None))),
            ("odyssey", None),
            ("=localhost:6432", None),
            ("odyssey=:6432", None),
            ("odyssey=localhost:0", None),
            ("odyssey=localhost:6432,x", None),
        ];
        for (text, expected) in cases {
            let found = Target::external(text).ok().and_then(|target| target.proxy);
            assert_eq!(found, expected.map(Proxy::External), "{text}");
        }
    }
}
