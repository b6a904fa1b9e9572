//! How far pgherd may be from its peers: what is asked of it, and what was measured.

use serde::Serialize;

use crate::crowd::Gathering;
use crate::markdown::markdown;
use crate::rounds::{Result, Sample};
use crate::spread::Spread;
use crate::target::{DIRECT, FLOOR, RUNTIMES, YARDSTICK, YARDSTICK_POOLED};

/// What is asked of each runtime, in the order of [`RUNTIMES`].
struct Bar {
    figure: &'static str,
    limits: [f64; RUNTIMES.len()],
    measure: Measure,
}

/// Where the figure comes from. Names of pgherd's targets are what stands behind the runtime's.
enum Measure {
    /// CPU time of a mode of pgherd in a scenario, over that of another target.
    Cpu { scenario: &'static str, mode: &'static str, over: &'static str },
    /// What a mode of pgherd adds to the direct median latency, over what another target adds.
    Added { mode: &'static str, over: &'static str },
    /// p99 over p50 of a mode of pgherd.
    Tail { mode: &'static str },
    /// Bytes of an idle client.
    Idle { mode: &'static str },
}

/// A bar, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// What is compared.
    pub figure: &'static str,
    /// Which runtime of pgherd.
    pub runtime: &'static str,
    /// What it may be at most.
    pub bar: f64,
    /// What it is; nothing if it was not measured.
    pub measured: Option<f64>,
}

impl Standing {
    const fn verdict(&self) -> &'static str {
        match self.measured {
            Some(measured) if measured <= self.bar => "ok",
            Some(_) => "missed",
            None => "-",
        }
    }
}

/// Compares what was measured with what is asked.
#[must_use]
pub fn standings(results: &[Result], crowds: &[Gathering]) -> Vec<Standing> {
    let of_bar = |bar: &'static Bar| {
        RUNTIMES.into_iter().zip(bar.limits).map(|(runtime, limit)| Standing {
            figure: bar.figure,
            runtime,
            bar: limit,
            measured: bar.measure.find(&format!("pgherd {runtime}"), results, crowds),
        })
    };
    BARS.iter().flat_map(of_bar).collect()
}

/// Prints what was measured beside what is asked; runtimes that took no part are left out.
#[must_use]
pub fn table(standings: &[Standing]) -> String {
    let takes_part = |runtime| {
        standings.iter().any(|found| found.runtime == runtime && found.measured.is_some())
    };
    let columns = ["figure", "runtime", "bar", "measured", ""];
    let mut rows = vec![columns.map(str::to_owned)];
    rows.extend(standings.iter().filter(|found| takes_part(found.runtime)).map(|found| {
        let digits = if found.bar < 10.0 { 2 } else { 0 };
        [
            found.figure.to_owned(),
            found.runtime.to_owned(),
            format!("{:.digits$}", found.bar),
            found.measured.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}")),
            found.verdict().to_owned(),
        ]
    }));
    format!("### Bars\n\n{}", markdown(&rows))
}

impl Measure {
    fn find(&self, name: &str, results: &[Result], crowds: &[Gathering]) -> Option<f64> {
        let pick = |scenario: &str, target: &str, of: fn(&Sample) -> Option<f64>| {
            let is_it = |result: &&Result| result.scenario == scenario && result.target == target;
            results.iter().find(is_it)?.spread(of).map(|spread: Spread| spread.median)
        };
        let named = |mode: &str| format!("{name}{mode}");
        match self {
            Self::Cpu { scenario, mode, over } => {
                let cpu = |target: &str| pick(scenario, target, |sample| sample.cpu_ms_per_1000);
                Some(cpu(&named(mode))? / cpu(over)?)
            }
            Self::Added { mode, over } => {
                let p50 = |target: &str| pick("latency", target, |sample| sample.p50_us);
                let added = |target: &str| Some(p50(target)? - p50(DIRECT)?);
                let yardstick = added(over).filter(|&micros| micros > 0.0)?;
                Some(added(&named(mode))? / yardstick)
            }
            Self::Tail { mode } => {
                let target = named(mode);
                let p50 = pick("tail", &target, |sample| sample.p50_us)?;
                Some(pick("tail", &target, |sample| sample.p99_us)? / p50)
            }
            Self::Idle { mode } => {
                let found = crowds.iter().find(|found| found.target == named(mode))?;
                u32::try_from(found.idle_bytes).ok().map(f64::from)
            }
        }
    }
}

const fn cpu(
    figure: &'static str,
    limits: [f64; RUNTIMES.len()],
    scenario: &'static str,
    mode: &'static str,
    over: &'static str,
) -> Bar {
    Bar { figure, limits, measure: Measure::Cpu { scenario, mode, over } }
}

const ONE_NODE: [f64; 2] = [1.05, 0.90];
const SPLIT: [f64; 2] = [1.10, 0.95];
const BATCHES: [f64; 2] = [1.00, 0.90];
const WRITES: [f64; 2] = [1.05, 0.95];
const RELAYED: [f64; 2] = [1.05, 1.05];
const LATENCY: [f64; 2] = [1.10, 1.10];

/// What is asked of pgherd on a machine of two cores.
const BARS: &[Bar] = &[
    cpu("CPU, simple, 16 clients, over PgBouncer's", ONE_NODE, "select simple 16", "", YARDSTICK),
    cpu("the same, 64 clients", ONE_NODE, "select simple 64", "", YARDSTICK),
    cpu(
        "the same, 16 clients, pooling by transaction",
        ONE_NODE,
        "select simple 16",
        " pooled",
        YARDSTICK_POOLED,
    ),
    cpu(
        "the same, 64 clients, pooling by transaction",
        ONE_NODE,
        "select simple 64",
        " pooled",
        YARDSTICK_POOLED,
    ),
    cpu(
        "CPU, simple, 16 clients, splitting over three, over PgBouncer's on one",
        SPLIT,
        "select simple 16",
        " split",
        YARDSTICK,
    ),
    cpu("the same, 64 clients", SPLIT, "select simple 64", " split", YARDSTICK),
    cpu("CPU, extended, over PgBouncer's", BATCHES, "select extended 16", "", YARDSTICK),
    cpu(
        "the same, pooling by transaction",
        BATCHES,
        "select extended 16",
        " pooled",
        YARDSTICK_POOLED,
    ),
    cpu("CPU, prepared, over PgBouncer's", BATCHES, "select prepared 16", "", YARDSTICK),
    cpu("CPU, TPC-B, over PgBouncer's", WRITES, "tpcb", "", YARDSTICK),
    cpu("CPU, a connection a transaction, over PgBouncer's", LATENCY, "connect", "", YARDSTICK),
    Bar {
        figure: "added p50 of SELECT 1, over PgBouncer's",
        limits: LATENCY,
        measure: Measure::Added { mode: "", over: YARDSTICK },
    },
    cpu("CPU a MB, SELECT, over the relay's", RELAYED, "large select", "", FLOOR),
    cpu("CPU a MB, COPY, over the relay's", RELAYED, "large copy", "", FLOOR),
    Bar {
        figure: "bytes an idle client, 10,000 clients",
        limits: [1500.0, 2500.0],
        measure: Measure::Idle { mode: " pooled" },
    },
    Bar {
        figure: "p99 over p50, 1,000 clients over 20 connections",
        limits: [1.5, 1.5],
        measure: Measure::Tail { mode: " pooled" },
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SCENARIOS;

    #[test]
    fn every_bar_is_of_a_scenario_that_there_is() {
        for bar in BARS {
            if let Measure::Cpu { scenario, .. } = bar.measure {
                assert!(SCENARIOS.iter().any(|other| other.name == scenario), "{scenario}");
            }
        }
    }

    #[test]
    fn what_is_added_is_compared_and_not_the_whole() {
        let result = |target: &str, p50| Result {
            scenario: "latency",
            target: target.to_owned(),
            yardstick: YARDSTICK,
            samples: vec![Sample { p50_us: Some(p50), ..Sample::default() }],
            failure: None,
        };
        let results = [(DIRECT, 50.0), (YARDSTICK, 70.0), ("pgherd smol", 80.0)];
        let results = results.map(|(target, p50)| result(target, p50));
        let added = |standings: &[Standing]| {
            standings.iter().find(|found| found.measured.is_some()).map(|found| found.measured)
        };
        let standings = standings(&results, &[]);
        assert_eq!(added(&standings), Some(Some(1.5)));
        let text = table(&standings);
        assert!(text.contains("| missed |") && !text.contains("glommio"), "{text}");
    }
}
