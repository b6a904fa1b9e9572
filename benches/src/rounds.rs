//! The rounds: every target once, then every target again.
//!
//! Interleaved, because a machine that gets slower for a while would otherwise be blamed on the
//! target that was running.

use std::time::{Duration, Instant};

use pgherd_herd::Herd;
use serde::Serialize;

use crate::client::{BUFFER_LEN_LARGE, Client};
use crate::cpu;
use crate::load;
use crate::pgbench;
use crate::ready::Ready;
use crate::scenario::{Scenario, Work};
use crate::spread::Spread;
use crate::trouble::Trouble;

/// How much is run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Effort {
    /// How many times each target has its turn.
    pub rounds: u32,
    /// How long a turn takes, in seconds.
    pub seconds: u32,
    /// Threads of pgherd, if not as many as it has by itself.
    pub worker_threads: Option<u16>,
}

/// What one turn came to.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Sample {
    /// Units done: transactions, or megabytes where so much is asked for that they count.
    pub units: f64,
    /// Units a second.
    pub per_second: f64,
    /// CPU time of the proxy, user and system, logins included, in milliseconds for each 1,000
    /// units. That is microseconds for one.
    pub cpu_ms_per_1000: Option<f64>,
    /// What half of the transactions stay under, in microseconds.
    pub p50_us: Option<f64>,
    /// What 99 of 100 transactions stay under, in microseconds.
    pub p99_us: Option<f64>,
    /// Transactions of the client that had fewest, for each of the one that had most.
    pub fairness: Option<f64>,
}

/// What the turns of one target in one scenario came to.
#[derive(Clone, Debug, Serialize)]
pub struct Result {
    /// The scenario's name.
    pub scenario: &'static str,
    /// The target's name.
    pub target: String,
    /// The target that its CPU time is compared with.
    pub yardstick: &'static str,
    /// A sample a round.
    pub samples: Vec<Sample>,
    /// Why a turn failed; the last reason, if more did.
    pub failure: Option<String>,
}

impl Result {
    /// Looks at one figure of all samples.
    pub fn spread(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(of).collect())
    }
}

/// Plays a scenario on all targets.
pub fn play(
    herd: &Herd,
    scenario: &Scenario,
    targets: &[&Ready],
    effort: Effort,
    progress: &mut dyn FnMut(&str),
) -> std::result::Result<Vec<Result>, Trouble> {
    let name = scenario.name;
    let empty = |ready: &&Ready| Result {
        scenario: name,
        target: ready.target.name.clone(),
        yardstick: ready.target.yardstick(),
        samples: Vec::new(),
        failure: None,
    };
    let mut results: Vec<Result> = targets.iter().map(empty).collect();
    for round in 1..=effort.rounds {
        for (ready, result) in targets.iter().zip(&mut results) {
            progress(&format!("{name}, round {round} of {}: {}", effort.rounds, result.target));
            match turn(herd, scenario.work, ready, effort.seconds) {
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
    work: Work,
    ready: &Ready,
    seconds: u32,
) -> std::result::Result<Sample, Trouble> {
    let before = ready.pid().map(cpu::of_tree);
    let mut sample = match work {
        Work::Pgbench { clients, options } => {
            let outcome = pgbench::run(herd, clients, options, ready, seconds)?;
            Sample { units: outcome.transactions, per_second: outcome.tps, ..Sample::default() }
        }
        Work::Load { clients } => {
            let outcome = load::run(ready.host(), ready.port, clients, time(seconds));
            of_load(&outcome.map_err(Trouble::io("talk to", ready.target.name.as_ref()))?)
        }
        Work::Large { query } => {
            let outcome = large(ready, query, time(seconds));
            outcome.map_err(Trouble::io("talk to", ready.target.name.as_ref()))?
        }
    };
    let used = ready.pid().map(cpu::of_tree).zip(before);
    let used = used.map(|(after, before)| after.saturating_sub(before));
    sample.cpu_ms_per_1000 = used.map(|used| per_1000(used, sample.units));
    Ok(sample)
}

fn time(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

#[expect(clippy::cast_precision_loss, reason = "transactions of one run are far below 2^52")]
fn of_load(outcome: &load::Outcome) -> Sample {
    let units = outcome.latencies.len() as f64;
    let percentile = |percent| outcome.percentile(percent).map(|micros| micros as f64);
    Sample {
        units,
        per_second: units / outcome.elapsed.as_secs_f64(),
        p50_us: percentile(50),
        p99_us: percentile(99),
        fairness: Some(outcome.fairness),
        ..Sample::default()
    }
}

/// Asks for much, again and again, and counts what comes.
fn large(ready: &Ready, query: &str, time: Duration) -> std::io::Result<Sample> {
    let mut client = Client::open(ready.host(), ready.port, BUFFER_LEN_LARGE)?;
    client.enter()?;
    let (start, mut bytes) = (Instant::now(), 0);
    while start.elapsed() < time {
        client.ask(query)?;
        bytes += client.finish()?.1;
    }
    #[expect(clippy::cast_precision_loss, reason = "bytes of one run are far below 2^52")]
    let units = bytes as f64 / 1e6;
    Ok(Sample { units, per_second: units / start.elapsed().as_secs_f64(), ..Sample::default() })
}

/// Milliseconds for each 1,000 units.
pub(crate) fn per_1000(cpu: Duration, units: f64) -> f64 {
    cpu.as_secs_f64() * 1e6 / units.max(1.0)
}
