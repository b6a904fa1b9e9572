//! What is measured: a proxy, and how many servers it stands before.

/// A program between pgbench and the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proxy {
    /// pgherd, of this source tree.
    Pgherd,
    /// PgBouncer, pooling by session.
    PgBouncer,
    /// Pgpool-II.
    Pgpool,
}

/// One thing to measure.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What the tables call it.
    pub name: &'static str,
    /// Which proxy; none is the primary itself.
    pub proxy: Option<Proxy>,
    /// How many servers it uses: the primary and so many less one standbys.
    pub nodes: usize,
}

/// Everything that is measured, in the order of a round.
///
/// The measure of throughput is [`DIRECT`], that of CPU time [`YARDSTICK`].
pub const TARGETS: &[Target] = &[
    Target { name: DIRECT, proxy: None, nodes: 1 },
    Target { name: YARDSTICK, proxy: Some(Proxy::PgBouncer), nodes: 1 },
    Target { name: "pgpool", proxy: Some(Proxy::Pgpool), nodes: 1 },
    Target { name: "pgherd", proxy: Some(Proxy::Pgherd), nodes: 1 },
    Target { name: "pgpool split", proxy: Some(Proxy::Pgpool), nodes: 3 },
    Target { name: "pgherd split", proxy: Some(Proxy::Pgherd), nodes: 3 },
];

/// The target whose throughput is 1.
pub const DIRECT: &str = "direct";

/// The target whose CPU time is 1.
pub const YARDSTICK: &str = "pgbouncer";
