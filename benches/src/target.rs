//! What is measured: a proxy, and how many servers it stands before.

/// A program between pgbench and the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proxy {
    /// pgherd, of this source tree.
    Pgherd,
    /// PgBouncer.
    PgBouncer,
    /// Pgpool-II.
    Pgpool,
}

/// When a proxy takes a server connection back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What the tables call it.
    pub name: &'static str,
    /// Which proxy; none is the primary itself.
    pub proxy: Option<Proxy>,
    /// When server connections are given back.
    pub pooling: Pooling,
    /// How many servers it uses: the primary and so many less one standbys.
    pub nodes: usize,
}

impl Target {
    const fn new(name: &'static str, proxy: Proxy, pooling: Pooling, nodes: usize) -> Self {
        Self { name, proxy: Some(proxy), pooling, nodes }
    }

    /// The target whose CPU time this one's is compared with.
    #[must_use]
    pub const fn yardstick(&self) -> &'static str {
        match self.pooling {
            Pooling::Session => YARDSTICK,
            Pooling::Transaction => YARDSTICK_POOLED,
        }
    }
}

/// Everything that is measured, in the order of a round.
///
/// The measure of throughput is [`DIRECT`], that of CPU time [`YARDSTICK`], or
/// [`YARDSTICK_POOLED`] for those who pool by transaction, too.
pub const TARGETS: &[Target] = &[
    Target { name: DIRECT, proxy: None, pooling: Pooling::Session, nodes: 1 },
    Target::new(YARDSTICK, Proxy::PgBouncer, Pooling::Session, 1),
    Target::new(YARDSTICK_POOLED, Proxy::PgBouncer, Pooling::Transaction, 1),
    Target::new("pgpool", Proxy::Pgpool, Pooling::Session, 1),
    Target::new("pgherd", Proxy::Pgherd, Pooling::Session, 1),
    Target::new("pgherd pooled", Proxy::Pgherd, Pooling::Transaction, 1),
    Target::new("pgpool split", Proxy::Pgpool, Pooling::Session, 3),
    Target::new("pgherd split", Proxy::Pgherd, Pooling::Session, 3),
    Target::new("pgherd split pooled", Proxy::Pgherd, Pooling::Transaction, 3),
];

/// The target whose throughput is 1.
pub const DIRECT: &str = "direct";

/// The target whose CPU time is 1.
pub const YARDSTICK: &str = "pgbouncer";

/// The target whose CPU time is 1 to those who pool by transaction.
pub const YARDSTICK_POOLED: &str = "pgbouncer pooled";
