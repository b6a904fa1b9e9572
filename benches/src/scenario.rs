//! What clients do.

use crate::target::{DIRECT, FLOOR, Target, YARDSTICK};

/// One thing that clients do with every target.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What the tables call it.
    pub name: &'static str,
    /// What is done.
    pub work: Work,
    /// Who does it.
    pub extent: Extent,
}

/// What is done for a while.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// pgbench runs.
    Pgbench {
        /// Clients at once.
        clients: u16,
        /// pgbench's options beside the number of clients and the time.
        options: &'static [&'static str],
    },
    /// Clients ask [`SHORT`] again and again, each as soon as it has its answer.
    Load {
        /// Clients at once.
        clients: usize,
    },
    /// One client asks again and again for more than fits into any buffer.
    Large {
        /// What it asks.
        query: &'static str,
    },
}

impl Work {
    /// Says it in a heading.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Pgbench { clients, options } => {
                format!("pgbench -c {clients} {}", options.join(" "))
            }
            Self::Load { clients: 1 } => format!("one client asks {SHORT}"),
            Self::Load { clients } => format!("{clients} clients ask {SHORT}"),
            Self::Large { query } => query.to_owned(),
        }
    }

    /// What is counted.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Pgbench { .. } | Self::Load { .. } => "transaction",
            Self::Large { .. } => "MB",
        }
    }
}

/// Which targets a scenario is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of them.
    All,
    /// Those before one server.
    OneNode,
    /// Those before one server that have a certain number of cores, and what they are compared with.
    Cores,
    /// Those that share a few connections by transaction, and with few connections.
    Shared,
}

impl Extent {
    /// Tells whether a scenario of this extent is for a target.
    #[must_use]
    pub fn covers(self, target: &Target) -> bool {
        let is_peer = [DIRECT, FLOOR, YARDSTICK].contains(&target.name.as_str());
        match self {
            Self::All | Self::Shared => target.cores.is_none(),
            Self::OneNode => target.cores.is_none() && target.nodes == 1,
            Self::Cores => target.cores.is_some() || is_peer,
        }
    }
}

const fn pgbench(
    name: &'static str,
    clients: u16,
    options: &'static [&'static str],
    extent: Extent,
) -> Scenario {
    Scenario { name, work: Work::Pgbench { clients, options }, extent }
}

const SIMPLE: &[&str] = &["-S", "-M", "simple"];
const EXTENDED: &[&str] = &["-S", "-M", "extended"];
const PREPARED: &[&str] = &["-S", "-M", "prepared"];

/// Everything that is run, in order.
pub const SCENARIOS: &[Scenario] = &[
    pgbench("select simple 1", 1, SIMPLE, Extent::OneNode),
    pgbench("select simple 16", 16, SIMPLE, Extent::All),
    pgbench("select simple 64", 64, SIMPLE, Extent::All),
    pgbench("select extended 1", 1, EXTENDED, Extent::OneNode),
    pgbench("select extended 16", 16, EXTENDED, Extent::All),
    pgbench("select extended 64", 64, EXTENDED, Extent::All),
    pgbench("select prepared 1", 1, PREPARED, Extent::OneNode),
    pgbench("select prepared 16", 16, PREPARED, Extent::All),
    pgbench("select prepared 64", 64, PREPARED, Extent::All),
    pgbench("cores", 64, SIMPLE, Extent::Cores),
    pgbench("tpcb", 16, &["-M", "simple"], Extent::All),
    pgbench("connect", 4, &["-S", "-C"], Extent::All),
    Scenario { name: "latency", work: Work::Load { clients: 1 }, extent: Extent::OneNode },
    Scenario { name: "large select", work: Work::Large { query: SELECT }, extent: Extent::OneNode },
    Scenario { name: "large copy", work: Work::Large { query: COPY }, extent: Extent::OneNode },
    Scenario { name: "tail", work: Work::Load { clients: 1000 }, extent: Extent::Shared },
];

/// What asks for no table and next to no work: what remains is the way there and back.
pub const SHORT: &str = "SELECT 1";

/// About 20 MB in rows of 200 bytes.
const SELECT: &str = "SELECT repeat('x', 200) FROM generate_series(1, 100000)";

/// The same by `COPY`.
const COPY: &str = "COPY (SELECT repeat('x', 200) FROM generate_series(1, 100000)) TO STDOUT";

/// pgbench's scale: no less than the clients of a scenario that writes, or they would wait for one
/// another's rows (PostgreSQL docs, "pgbench", Good Practices).
pub const SCALE: u16 = 16;
