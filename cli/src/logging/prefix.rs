//! `log_line_prefix`: what stands before each line of the log.

use std::fmt::Write as _;

/// A prefix, cut into its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Fact { which: Which, width: usize, is_left: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Milliseconds,
    Seconds,
    Process,
    Thread,
    Program,
    Line,
    Unknown,
}

/// What is known of a line.
pub(super) struct Facts<'a> {
    pub(super) now: &'a jiff::Zoned,
    pub(super) pid: u32,
    pub(super) thread: &'a str,
    pub(super) program: &'a str,
    pub(super) number: u64,
}

/// Widest padding. More would fill the log with blanks.
const WIDTH_MAX: usize = 100;

impl Prefix {
    /// Reads a prefix. What is no escape of Pgpool-II's is left out, as there.
    pub(super) fn read(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('%') {
            push(&mut parts, before);
            let is_left = behind.starts_with('-');
            let padded = behind.strip_prefix('-').unwrap_or(behind);
            let escape = padded.trim_start_matches(|digit: char| digit.is_ascii_digit());
            let digits = padded.get(..padded.len() - escape.len()).unwrap_or_default();
            let width = digits.parse().map_or(0, |width: usize| width.min(WIDTH_MAX));
            let mut letters = escape.chars();
            match letters.next() {
                Some('%') => push(&mut parts, "%"),
                letter => parts.extend(letter.and_then(which).map(|which| Part::Fact {
                    which,
                    width,
                    is_left,
                })),
            }
            rest = letters.as_str();
        }
        push(&mut parts, rest);
        Self(parts)
    }

    /// Writes the prefix of a line.
    pub(super) fn write(&self, facts: &Facts<'_>) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Fact { which, width, is_left } => {
                    let fact = which.of(facts);
                    // Writing to a string does not fail.
                    let _ = if *is_left {
                        write!(out, "{fact:<width$}")
                    } else {
                        write!(out, "{fact:>width$}")
                    };
                }
            }
        }
        out
    }
}

fn push(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Text(last)) => last.push_str(text),
        _ if text.is_empty() => {}
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

fn which(letter: char) -> Option<Which> {
    match letter {
        'm' => Some(Which::Milliseconds),
        't' => Some(Which::Seconds),
        'p' => Some(Which::Process),
        'P' => Some(Which::Thread),
        'a' => Some(Which::Program),
        'l' => Some(Which::Line),
        'd' | 'u' => Some(Which::Unknown),
        _ => None,
    }
}

impl Which {
    fn of(self, facts: &Facts<'_>) -> String {
        match self {
            Self::Milliseconds => facts.now.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
            Self::Seconds => facts.now.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            Self::Process => facts.pid.to_string(),
            Self::Thread => facts.thread.to_owned(),
            Self::Program => facts.program.to_owned(),
            Self::Line => facts.number.to_string(),
            Self::Unknown => "[unknown]".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_filled_in() {
        let now = jiff::civil::date(2026, 1, 2).at(3, 4, 5, 67_000_000);
        let now = now.to_zoned(jiff::tz::TimeZone::UTC).expect("a time in UTC");
        let facts = Facts { now: &now, pid: 42, thread: "shard 0", program: "session", number: 7 };
        for (prefix, line) in [
            ("", ""),
            ("%m: %a pid %p: ", "2026-01-02 03:04:05.067: session pid 42: "),
            ("%t [%l] %P ", "2026-01-02 03:04:05 [7] shard 0 "),
            ("%u@%d", "[unknown]@[unknown]"),
            ("100%% %%p", "100% %p"),
            ("<%5p|%-5p|%05p>", "<   42|42   |   42>"),
            ("a%zb%", "ab"),
            ("%9999l", &format!("{:>100}", 7)),
            ("é%-é", "é"),
        ] {
            assert_eq!(Prefix::read(prefix).write(&facts), line, "{prefix}");
        }
    }
}
