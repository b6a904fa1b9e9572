//! The results, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::crowd::Gathering;
use crate::rounds::{Effort, Result, Sample};
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
    /// What could not be measured, and why.
    pub missing: Vec<String>,
}

/// Where a run took place: without it, its numbers say nothing.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// CPUs that this process may use.
    pub cores: usize,
    /// Name and release of the operating system.
    pub system: String,
    /// What the servers say that they are.
    pub postgres: String,
}

/// The middle of a few numbers, and how far they spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Half of the numbers are below.
    pub median: f64,
    /// The least of them.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Looks at numbers; there is nothing to say about none.
    #[must_use]
    pub fn of(mut numbers: Vec<f64>) -> Option<Self> {
        numbers.sort_by(f64::total_cmp);
        let middle = numbers.len() / 2;
        let upper = *numbers.get(middle)?;
        let median = match numbers.len() % 2 {
            0 => f64::midpoint(*numbers.get(middle.checked_sub(1)?)?, upper),
            _ => upper,
        };
        Some(Self { median, min: *numbers.first()?, max: *numbers.last()? })
    }
}

impl Result {
    /// Transactions a second.
    #[must_use]
    pub fn tps(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().map(|sample| sample.tps).collect())
    }

    /// The proxy's CPU time, in milliseconds for each 1,000 transactions.
    #[must_use]
    pub fn cpu(&self) -> Option<Spread> {
        Spread::of(
            self.samples.iter().filter_map(|sample: &Sample| sample.cpu_ms_per_1000).collect(),
        )
    }
}

/// Prints the results of one scenario as a table in Markdown.
#[must_use]
pub fn table(heading: &str, results: &[Result]) -> String {
    let direct = median(results, DIRECT, Result::tps);
    let columns = ["", "tps", "min..max", "/ direct", "CPU ms", "min..max", "/ PgBouncer"];
    let mut rows = vec![columns.map(str::to_owned)];
    rows.extend(results.iter().map(|result| {
        let peer = median(results, result.yardstick, Result::cpu);
        row(result, direct, peer.or_else(|| median(results, YARDSTICK, Result::cpu)))
    }));
    let mut text = format!("### {heading}\n\n{}", markdown(&rows));
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

fn row(result: &Result, direct: Option<f64>, peer: Option<f64>) -> [String; 7] {
    let ratio = |value: f64, unit: Option<f64>| match unit {
        Some(unit) if unit > 0.0 => format!("{:.2}", value / unit),
        Some(_) | None => "-".to_owned(),
    };
    let dash = || "-".to_owned();
    let [tps, tps_range, to_direct] = result.tps().map_or_else(
        || [(); 3].map(|()| dash()),
        |tps| {
            let range = format!("{:.0}..{:.0}", tps.min, tps.max);
            [format!("{:.0}", tps.median), range, ratio(tps.median, direct)]
        },
    );
    let [cpu, cpu_range, to_peer] = result.cpu().map_or_else(
        || [(); 3].map(|()| dash()),
        |cpu| {
            let range = format!("{:.1}..{:.1}", cpu.min, cpu.max);
            [format!("{:.1}", cpu.median), range, ratio(cpu.median, peer)]
        },
    );
    [result.target.to_owned(), tps, tps_range, to_direct, cpu, cpu_range, to_peer]
}

/// Prints rows, the first of which is the heading; all columns but the first are numbers.
#[must_use]
pub fn markdown<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(2)
    });
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Writing to a String cannot fail.
            let _ = match column {
                0 => write!(text, "| {cell:width$} |"),
                _ => write!(text, " {cell:>width$} |"),
            };
        }
        text.push('\n');
        if number == 0 {
            for (column, width) in widths.into_iter().enumerate() {
                let _ = match column {
                    0 => write!(text, "|{:-<1$}|", "", width + 2),
                    _ => write!(text, "{:-<1$}:|", "", width + 1),
                };
            }
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (&'static [f64], Option<(f64, f64, f64)>);

    #[test]
    fn the_median_is_in_the_middle() {
        let cases: &[Case] = &[
            (&[], None),
            (&[2.0], Some((2.0, 2.0, 2.0))),
            (&[9.0, 1.0], Some((5.0, 1.0, 9.0))),
            (&[9.0, 1.0, 2.0], Some((2.0, 1.0, 9.0))),
        ];
        for (numbers, expected) in cases {
            let found = Spread::of(numbers.to_vec()).map(|s| (s.median, s.min, s.max));
            assert_eq!(found, *expected, "{numbers:?}");
        }
    }

    #[test]
    fn ratios_are_to_the_server_and_to_the_yardstick() {
        let result = |target, yardstick, tps, cpu_ms_per_1000| Result {
            scenario: "s",
            target,
            yardstick,
            samples: vec![Sample { transactions: 1, tps, latency_ms: 1.0, cpu_ms_per_1000 }],
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
        let text = table("s", &results);
        let ends: Vec<&str> = text
            .lines()
            .rev()
            .take(4)
            .map(|row| row.trim_end_matches('|').rsplit_once('|').unwrap().1.trim())
            .collect();
        assert_eq!(ends, ["1.25", "2.50", "1.00", "1.25"], "{text}");
        assert!(text.lines().last().unwrap().contains(" 0.25 |"), "{text}");
    }
}
