//! Of a few numbers, what is said of them.

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
}
