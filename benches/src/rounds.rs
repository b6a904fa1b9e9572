//! The rounds: every target once, then every target again.
//!
//! Interleaved, because a machine that gets slower for a while would otherwise be blamed on the
//! target that was running.

use std::time::Duration;

use pgherd_herd::Herd;
use serde::Serialize;

use crate::cpu;
use crate::pgbench;
use crate::proxy::Running;
use crate::scenario::Scenario;
use crate::target::Target;
use crate::trouble::Trouble;

/// How much is run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Effort {
    /// How many times each target has its turn.
    pub rounds: u32,
    /// How long a turn takes, in seconds.
    pub seconds: u32,
    /// Clients, instead of what the scenarios say.
    pub clients: Option<u16>,
}

/// A target that is up.
#[derive(Debug)]
pub struct Ready {
    /// What it is.
    pub target: &'static Target,
    /// Its process, unless it is a server.
    pub proxy: Option<Running>,
    /// Where it listens.
    pub port: u16,
}

/// What one turn came to.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// Transactions done.
    pub transactions: u64,
    /// Transactions a second.
    pub tps: f64,
    /// Mean time of a transaction, in milliseconds.
    pub latency_ms: f64,
    /// CPU time of the proxy, user and system, logins included, in milliseconds for each 1,000
    /// transactions. That is microseconds for one.
    pub cpu_ms_per_1000: Option<f64>,
}

/// What the turns of one target in one scenario came to.
#[derive(Clone, Debug, Serialize)]
pub struct Result {
    /// The scenario's name.
    pub scenario: &'static str,
    /// The target's name.
    pub target: &'static str,
    /// The target that its CPU time is compared with.
    pub yardstick: &'static str,
    /// A sample a round.
    pub samples: Vec<Sample>,
    /// Why a turn failed; the last reason, if more did.
    pub failure: Option<String>,
}

/// Plays a scenario on all targets.
pub fn play(
    herd: &Herd,
    scenario: &'static Scenario,
    targets: &[Ready],
    effort: Effort,
    progress: &mut dyn FnMut(&str),
) -> std::result::Result<Vec<Result>, Trouble> {
    let (name, clients) = (scenario.name, effort.clients.unwrap_or(scenario.clients));
    let empty = |ready: &Ready| Result {
        scenario: name,
        target: ready.target.name,
        yardstick: ready.target.yardstick(),
        samples: Vec::new(),
        failure: None,
    };
    let mut results: Vec<Result> = targets.iter().map(empty).collect();
    for round in 1..=effort.rounds {
        for (ready, result) in targets.iter().zip(&mut results) {
            progress(&format!("{name}, round {round} of {}: {}", effort.rounds, result.target));
            match turn(herd, scenario, clients, ready, effort.seconds) {
                Ok(sample) => result.samples.push(sample),
                Err(trouble) if trouble.is_interrupt() => return Err(trouble),
                Err(trouble) => result.failure = Some(trouble.to_string()),
            }
        }
    }
    Ok(results)
}

fn turn(
    herd: &Herd,
    scenario: &Scenario,
    clients: u16,
    ready: &Ready,
    seconds: u32,
) -> std::result::Result<Sample, Trouble> {
    let used = || ready.proxy.as_ref().map(|proxy| cpu::of_tree(proxy.pid()));
    let before = used();
    let outcome = pgbench::run(herd, scenario, clients, ready.port, seconds)?;
    let cpu = used().zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok(Sample {
        transactions: outcome.transactions,
        tps: outcome.tps,
        latency_ms: outcome.latency,
        cpu_ms_per_1000: cpu.map(|cpu| per_1000(cpu, outcome.transactions)),
    })
}

/// Milliseconds for each 1,000 transactions.
pub(crate) fn per_1000(cpu: Duration, transactions: u64) -> f64 {
    // Transactions of one run are far below 2^52.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    let count = transactions.max(1) as f64;
    cpu.as_secs_f64() * 1e6 / count
}
