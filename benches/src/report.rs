//! The results, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

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

/// Prints the results of one scenario as a table.
#[must_use]
pub fn table(heading: &str, results: &[Result]) -> String {
    let of = |name: &str| results.iter().find(|result| result.target == name);
    let direct = of(DIRECT).and_then(Result::tps).map(|spread| spread.median);
    let yardstick = of(YARDSTICK).and_then(Result::cpu).map(|spread| spread.median);
    let mut text = format!("{heading}\n");
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "  {:14} {:>8} {:19} {:>10}   {:>8} {:15} {:>12}",
        "", "tps", " (min..max)", "/ direct", "CPU ms", " (min..max)", "/ PgBouncer"
    );
    for result in results {
        let _ = writeln!(text, "  {}", row(result, direct, yardstick));
        if let Some(failure) = &result.failure {
            let _ = writeln!(text, "    a turn failed: {failure}");
        }
    }
    text
}

fn row(result: &Result, direct: Option<f64>, yardstick: Option<f64>) -> String {
    let ratio = |value: f64, unit: Option<f64>| match unit {
        Some(unit) if unit > 0.0 => format!("{:.2}", value / unit),
        Some(_) | None => "-".to_owned(),
    };
    let mut text = format!("{:14}", result.target);
    match result.tps() {
        Some(tps) => {
            let spread = format!("({:.0}..{:.0})", tps.min, tps.max);
            let _ = write!(text, " {:>8.0} {spread:19}", tps.median);
            let _ = write!(text, " {:>10}", ratio(tps.median, direct));
        }
        None => text.push_str("        -"),
    }
    if let Some(cpu) = result.cpu() {
        let spread = format!("({:.1}..{:.1})", cpu.min, cpu.max);
        let _ = write!(text, "   {:>8.1} {spread:15}", cpu.median);
        let _ = write!(text, " {:>12}", ratio(cpu.median, yardstick));
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
        let result = |target, tps, cpu_ms_per_1000| Result {
            scenario: "s",
            target,
            samples: vec![Sample { transactions: 1, tps, latency_ms: 1.0, cpu_ms_per_1000 }],
            failure: None,
        };
        let results = [
            result(DIRECT, 1000.0, None),
            result(YARDSTICK, 800.0, Some(10.0)),
            result("pgherd", 500.0, Some(12.5)),
        ];
        let text = table("s", &results);
        let last = text.lines().last().unwrap();
        assert!(last.contains("0.50") && last.ends_with("1.25"), "{text}");
    }
}
