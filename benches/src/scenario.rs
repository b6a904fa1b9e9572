//! What pgbench does.

/// One way to run pgbench.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What the tables call it.
    pub name: &'static str,
    /// Clients at once.
    pub clients: u16,
    /// pgbench's options beside the number of clients and the time.
    pub options: &'static [&'static str],
}

/// Everything that is run, in order.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "select simple", clients: 16, options: &["-S", "-M", "simple"] },
    Scenario { name: "select extended", clients: 16, options: &["-S", "-M", "extended"] },
    Scenario { name: "select prepared", clients: 16, options: &["-S", "-M", "prepared"] },
    Scenario { name: "tpcb simple", clients: 16, options: &["-M", "simple"] },
    Scenario { name: "connect", clients: 4, options: &["-S", "-C"] },
];

/// pgbench's scale: no less than the clients of a scenario that writes, or they would wait for one
/// another's rows (PostgreSQL docs, "pgbench", Good Practices).
pub const SCALE: u16 = 16;
