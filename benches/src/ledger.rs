//! The instruction counts that are committed, and whether new ones may stand beside them.
//!
//! A line an operation: its name, its count and the unit. Lines that begin with `#` are for people.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use crate::ops::Op;

/// Instructions a unit, by operation.
pub type Counts = BTreeMap<String, f64>;

/// Why new counts may not stand beside the committed ones.
#[derive(Clone, Debug, PartialEq)]
pub enum Objection {
    /// An operation takes more than [`GROWTH_MAX`] times what it took.
    Grown {
        /// Which.
        name: String,
        /// What is committed.
        was: f64,
        /// What was counted.
        is: f64,
    },
    /// An operation has no committed count.
    Unknown(String),
    /// There is a committed count of an operation that is gone.
    Gone(String),
    /// A line of the file is not understood.
    Line(String),
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grown { name, was, is } => write!(
                f,
                "{name}: {is:.1} instructions, {:+.1} percent of the committed {was:.1}",
                (is / was - 1.0) * 100.0
            ),
            Self::Unknown(name) => write!(f, "{name}: no committed count"),
            Self::Gone(name) => write!(f, "{name}: a committed count, and no such operation"),
            Self::Line(line) => write!(f, "a line that is not understood: {line}"),
        }
    }
}

/// Reads a file of counts.
///
/// # Errors
/// A line is not a name, a count and a unit.
pub fn read(text: &str) -> Result<Counts, Objection> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| entry(line).ok_or_else(|| Objection::Line(line.to_owned()))).collect()
}

/// Reads "simple query  123.4  a query".
fn entry(line: &str) -> Option<(String, f64)> {
    let (name, rest) = line.split_once("  ")?;
    let (count, _unit) = rest.trim_start().split_once("  a ")?;
    let count = count.parse().ok().filter(|count: &f64| count.is_finite() && *count > 0.0)?;
    Some((name.to_owned(), count))
}

/// Prints a count as a line of the file.
#[must_use]
pub fn line(op: &Op, count: f64) -> String {
    format!("{:18}{count:>12.1}  a {}", op.name, op.unit)
}

/// Composes the file.
#[must_use]
pub fn compose<'a>(lines: impl Iterator<Item = (&'a Op, f64)>) -> String {
    let mut text = HEADING.to_owned();
    for (op, count) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line(op, count));
    }
    text
}

/// Compares all counts with the committed ones.
#[must_use]
pub fn objections(committed: &Counts, counted: &Counts) -> Vec<Objection> {
    let gone = committed.keys().filter(|name| !counted.contains_key(*name));
    let gone = gone.map(|name| Objection::Gone(name.clone()));
    let objections = counted.iter().filter_map(|(name, &is)| match committed.get(name) {
        None => Some(Objection::Unknown(name.clone())),
        Some(&was) if is > was * GROWTH_MAX => {
            Some(Objection::Grown { name: name.clone(), was, is })
        }
        Some(_) => None,
    });
    objections.chain(gone).collect()
}

/// How many times its committed count an operation may take: what another compiler of the same
/// version, C library or processor makes of the same source stays below.
pub const GROWTH_MAX: f64 = 1.05;

/// What the committed file begins with.
const HEADING: &str = "\
# Instructions of the core's operations, counted by valgrind in builds of the profile `ci`: with
# assertions and little optimised, so more than in service, but it is what every change is built
# with anyway, and what grows there grows in service. `make test` fails when an operation takes
# 5 percent more than it says here. To renew:
#     cargo run --locked --profile ci -p pgherd-benches --bin pgherd-instructions -- renew
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::OPS;

    fn counts(counts: &[(&str, f64)]) -> Counts {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn what_is_composed_is_read() {
        let text = compose(OPS.iter().zip(1u32..).map(|(op, count)| (op, f64::from(count))));
        let expected: Vec<_> =
            OPS.iter().zip(1u32..).map(|(op, count)| (op.name, f64::from(count))).collect();
        assert_eq!(read(&text), Ok(counts(&expected)), "{text}");
    }

    #[test]
    fn lines_that_say_nothing_are_refused() {
        for line in
            ["simple query", "simple query  12", "simple query  0.0  a query", "x  nan  a y"]
        {
            assert_eq!(read(line), Err(Objection::Line(line.to_owned())));
        }
    }

    #[test]
    fn growth_and_strangers_are_objected_to() {
        let grown = |was, is| Objection::Grown { name: "a".to_owned(), was, is };
        let cases: &[(&str, &[_], &[_], &[Objection])] = &[
            ("the same", &[("a", 100.0)], &[("a", 100.0)], &[]),
            ("less", &[("a", 100.0)], &[("a", 50.0)], &[]),
            ("a little more", &[("a", 100.0)], &[("a", 104.9)], &[]),
            ("more", &[("a", 100.0)], &[("a", 105.1)], &[grown(100.0, 105.1)]),
            ("new", &[], &[("a", 1.0)], &[Objection::Unknown("a".to_owned())]),
            ("gone", &[("a", 1.0)], &[], &[Objection::Gone("a".to_owned())]),
        ];
        for (name, committed, counted, expected) in cases {
            assert_eq!(objections(&counts(committed), &counts(counted)), *expected, "{name}");
        }
    }
}
