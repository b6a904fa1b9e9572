//! The results, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::bars::{self, Standing};
use crate::crowd::{self, Gathering};
use crate::machine::Machine;
use crate::markdown::markdown;
use crate::rounds::{Effort, Result};
use crate::scenario::SCENARIOS;
use crate::spread::Spread;
use crate::target::{DIRECT, YARDSTICK};

/// Everything about one run, as it is written to the JSON file.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it ran.
    pub machine: Machine,
    /// How much was run.
    pub effort: Effort,
    /// What it came to, in the order of the run.
    pub results: Vec<Result>,
    /// What thousands of clients came to.
    pub crowds: Vec<Gathering>,
    /// What is asked of pgherd, and what was measured.
    pub bars: Vec<Standing>,
    /// What could not be measured, and why.
    pub missing: Vec<String>,
}

impl Report {
    /// Composes all of it for people, in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Effort { rounds, seconds, worker_threads } = self.effort;
        let threads = worker_threads.map_or_else(
            || "a thread for every two cores".to_owned(),
            |count| format!("threads: {count}"),
        );
        let mut text = format!(
            "# What pgherd costs, beside its peers\n\n{}\n{METHOD} Here: {rounds} rounds, turns of \
             {seconds} s; pgherd has {threads}.\n\n{}\n",
            self.machine.describe(),
            bars::table(&self.bars)
        );
        for scenario in SCENARIOS {
            let of_it = |result: &&Result| result.scenario == scenario.name;
            let results: Vec<Result> = self.results.iter().filter(of_it).cloned().collect();
            if !results.is_empty() {
                text.push_str(&table(scenario.name, &scenario.work.describe(), &results));
                text.push('\n');
            }
        }
        if !self.crowds.is_empty() {
            text.push_str(&crowd::table(&self.crowds));
        }
        for reason in &self.missing {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\nNot measured: {reason}");
        }
        text
    }
}

/// How it is measured.
const METHOD: &str = "\
One primary and its standbys, the proxies and the load run on one machine, in one run. In each \
scenario every target has a turn, and then all of them again (interleaved rounds): a machine that \
gets slower for a while slows all of them. Figures are medians of the turns, with the least and the \
greatest. CPU ms is user and system time of the proxy's processes, by the scheduler's count, logins \
included, for each 1,000 transactions or MB: it bears noise best. It is compared with PgBouncer's, \
in the same mode (session, or transaction where it says pooled). Clients log in by MD5, and nobody \
waits for a connection, except where many share a few. `split` reads \
from three servers. `cores` gives pgherd a thread on one core, and one on each of two; where there \
are no more than two, the load and the servers run on the same ones, and two cores can serve no \
more than what those leave. The relay passes bytes and looks at none; it has a server connection for every \
client. Servers do not wait for their disk.";

impl Result {
    fn speed(&self) -> Option<Spread> {
        self.spread(|sample| Some(sample.per_second))
    }

    fn cpu(&self) -> Option<Spread> {
        self.spread(|sample| sample.cpu_ms_per_1000)
    }
}

/// Prints the results of one scenario as a table in Markdown.
#[must_use]
pub fn table(name: &str, what: &str, results: &[Result]) -> String {
    let direct = median(results, DIRECT, Result::speed);
    let columns = [
        "",
        "per s",
        "min..max",
        "/ direct",
        "CPU ms",
        "min..max",
        "/ PgBouncer",
        "p50 us",
        "p99 us",
        "least/most",
    ];
    let mut rows = vec![columns.map(str::to_owned)];
    rows.extend(results.iter().map(|result| {
        let peer = median(results, result.yardstick, Result::cpu);
        row(result, direct, peer.or_else(|| median(results, YARDSTICK, Result::cpu)))
    }));
    let mut text = format!("### {name}: {what}\n\n{}", markdown(&rows));
    for result in results {
        if let Some(failure) = &result.failure {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\n{}: a turn failed: {failure}", result.target);
        }
    }
    text
}

fn median(results: &[Result], target: &str, of: impl Fn(&Result) -> Option<Spread>) -> Option<f64> {
    let result = results.iter().find(|result| result.target == target)?;
    of(result).map(|spread| spread.median)
}

fn row(result: &Result, direct: Option<f64>, peer: Option<f64>) -> [String; 10] {
    let dash = || "-".to_owned();
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(dash, |value| format!("{value:.digits$}"))
    };
    let middle = |spread: Option<Spread>| spread.map(|spread| spread.median);
    let range = |spread: Option<Spread>, digits: usize| {
        spread.map_or_else(dash, |s| format!("{:.digits$}..{:.digits$}", s.min, s.max))
    };
    let ratio = |spread: Option<Spread>, unit: Option<f64>| {
        let unit = unit.filter(|&unit| unit > 0.0);
        number(middle(spread).zip(unit).map(|(value, unit)| value / unit), 2)
    };
    let (speed, cpu) = (result.speed(), result.cpu());
    [
        result.target.clone(),
        number(middle(speed), 0),
        range(speed, 0),
        ratio(speed, direct),
        number(middle(cpu), 1),
        range(cpu, 1),
        ratio(cpu, peer),
        number(middle(result.spread(|sample| sample.p50_us)), 0),
        number(middle(result.spread(|sample| sample.p99_us)), 0),
        number(middle(result.spread(|sample| sample.fairness)), 2),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Sample;

    #[test]
    fn ratios_are_to_the_server_and_to_the_yardstick() {
        let result = |target: &str, yardstick, per_second, cpu_ms_per_1000| Result {
            scenario: "s",
            target: target.to_owned(),
            yardstick,
            samples: vec![Sample { per_second, cpu_ms_per_1000, ..Sample::default() }],
            failure: None,
        };
        let results = [
            result(DIRECT, YARDSTICK, 1000.0, None),
            result(YARDSTICK, YARDSTICK, 800.0, Some(10.0)),
            result("pgherd", YARDSTICK, 500.0, Some(12.5)),
            result("pgbouncer pooled", "pgbouncer pooled", 500.0, Some(5.0)),
            result("pgherd pooled", "pgbouncer pooled", 250.0, Some(12.5)),
            result("other pooled", "not measured", 250.0, Some(12.5)),
        ];
        let text = table("s", "something", &results);
        let cell = |row: &str, place| row.split('|').nth(place).unwrap().trim().to_owned();
        let rows: Vec<&str> = text.lines().rev().take(4).collect();
        let ratios: Vec<String> = rows.iter().map(|row| cell(row, 7)).collect();
        assert_eq!(ratios, ["1.25", "2.50", "1.00", "1.25"], "{text}");
        assert_eq!(rows.first().map(|row| cell(row, 4)).as_deref(), Some("0.25"), "{text}");
    }
}
