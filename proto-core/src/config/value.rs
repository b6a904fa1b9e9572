//! What was written, read by the kind of its parameter.
//!
//! Stricter than Pgpool-II on purpose: what it takes for `true`, for zero or for the nearest
//! whole number is a [`Unfit`] value here.

use super::mistake::Unfit;
use super::parameters::{Kind, Parameter, Unit, nearest};
use std::fmt;

/// A value as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Written {
    /// From `pgpool.conf`, whose quotes say nothing about the type.
    Bare(String),
    /// A TOML string.
    Text(String),
    /// A TOML boolean.
    Bool(bool),
    /// A TOML integer; beyond 128 bits it is cut to the nearest.
    Integer(i128),
    /// A TOML float.
    Real(f64),
    /// A TOML array of strings.
    List(Vec<String>),
    /// Something that no parameter takes, by what it is called.
    Other(&'static str),
}

/// A value as its parameter means it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Integer(i64),
    Real(f64),
    Text(String),
    List(Vec<String>),
    Choice(&'static str),
}

/// Reads a value.
pub(super) fn read(parameter: &Parameter, written: &Written) -> Result<Value, Unfit> {
    if written.has_zero_byte() {
        return Err(Unfit::ZeroByte);
    }
    match parameter.kind {
        Kind::Bool => read_bool(written).map(Value::Bool),
        Kind::Integer { unit, min, max } => {
            read_integer(written, unit, (min, max)).map(Value::Integer)
        }
        Kind::Real { min, max } => read_real(written, min, max).map(Value::Real),
        Kind::Text | Kind::Secret => match written.text() {
            Some(text) => Ok(Value::Text(text.to_owned())),
            None => Err(written.instead_of("a text in quotes")),
        },
        Kind::List { separator } => match (written, written.text()) {
            (Written::List(items), _) => Ok(Value::List(items.clone())),
            (_, Some(text)) => Ok(Value::List(split(text, separator))),
            (_, None) => Err(written.instead_of("a list of texts")),
        },
        Kind::Choice(words) => read_choice(written, words).map(Value::Choice),
    }
}

/// Tells which number a leading zero made of digits where octal is not customary.
pub(super) fn surprising_octal(parameter: &Parameter, written: &Written) -> Option<i64> {
    let Kind::Integer { unit, .. } = parameter.kind else { return None };
    let Written::Bare(text) = written else { return None };
    let digits = text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
    let octal = digits.strip_prefix('0').filter(|rest| !rest.is_empty())?;
    let value = i64::from_str_radix(octal, 8).ok()?;
    (unit != Unit::Mode && value > 7).then_some(value)
}

fn read_bool(written: &Written) -> Result<bool, Unfit> {
    if let Written::Bool(value) = written {
        return Ok(*value);
    }
    let Written::Bare(text) = written else {
        return Err(written.instead_of("true or false, without quotes"));
    };
    let text = text.trim().to_ascii_lowercase();
    // Pgpool-II manual, "Boolean": any unambiguous prefix, in upper or lower case.
    let prefix_of = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    if text == "1" || prefix_of("on", 2) || prefix_of("true", 1) || prefix_of("yes", 1) {
        return Ok(true);
    }
    if text == "0" || prefix_of("off", 2) || prefix_of("false", 1) || prefix_of("no", 1) {
        return Ok(false);
    }
    Err(Unfit::NotABoolean { value: text })
}

fn read_integer(written: &Written, unit: Unit, range: (i64, i64)) -> Result<i64, Unfit> {
    let (min, max) = range;
    let outside = |value: String| Unfit::OutOfRange { value, min, max, unit };
    let value = if let Written::Integer(value) = written {
        Some(*value)
    } else {
        // A TOML string makes sense only for what takes a unit.
        let plain = unit == Unit::One && matches!(written, Written::Text(_));
        match written.text().filter(|_| !plain) {
            Some(text) => scaled(text, unit)?,
            None => return Err(written.instead_of(unit.expectation())),
        }
    };
    value
        .and_then(|value| i64::try_from(value).ok())
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| outside(written.to_string()))
}

/// Reads a number with its unit as a count of `base`; none is a number beyond all ranges.
fn scaled(text: &str, base: Unit) -> Result<Option<i128>, Unfit> {
    let garbage = || Unfit::NotANumber { value: text.to_owned() };
    let trimmed = text.trim();
    let (negative, unsigned) = match trimmed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let sign = if negative { -1 } else { 1 };
    if let Some(hex) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        if hex.is_empty() || !hex.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(garbage());
        }
        return Ok(i128::from_str_radix(hex, 16).ok().map(|value| sign * value));
    }
    let suffix = unsigned.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = unsigned.get(..unsigned.len() - suffix.len()).unwrap_or_default();
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || part.contains('.') {
        return Err(garbage());
    }
    let (factor, divisor) = base.factor(suffix.trim_start())?;
    let octal = whole.len() > 1 && whole.starts_with('0') && !number.contains('.');
    if octal && whole.contains(['8', '9']) {
        return Err(garbage());
    }
    let part = part.trim_end_matches('0');
    let Ok(mantissa) = i128::from_str_radix(&format!("{whole}{part}"), if octal { 8 } else { 10 })
    else {
        return Ok(None);
    };
    let power = u32::try_from(part.len()).ok().and_then(|digits| 10_i128.checked_pow(digits));
    let numerator = mantissa.checked_mul(factor);
    let denominator = power.and_then(|power| power.checked_mul(divisor));
    let (Some(numerator), Some(denominator)) = (numerator, denominator) else { return Ok(None) };
    if numerator % denominator != 0 {
        return Err(Unfit::NotWhole { value: text.to_owned(), unit: base });
    }
    Ok(Some(sign * (numerator / denominator)))
}

fn read_real(written: &Written, min: f64, max: f64) -> Result<f64, Unfit> {
    // TOML's numbers print as they are parsed here, so one reader serves both formats.
    let text = match written {
        Written::Bare(text) => text.trim().to_owned(),
        Written::Real(_) | Written::Integer(_) => written.to_string(),
        Written::Text(_) | Written::Bool(_) | Written::List(_) | Written::Other(_) => {
            return Err(written.instead_of("a number, without quotes"));
        }
    };
    let Ok(value) = text.parse::<f64>() else { return Err(Unfit::NotANumber { value: text }) };
    if value.is_finite() && (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(Unfit::RealOutOfRange { value: written.to_string(), min, max })
}

fn read_choice(written: &Written, words: &'static [&'static str]) -> Result<&'static str, Unfit> {
    let switch = match written {
        Written::Bool(true) => Some("on"),
        Written::Bool(false) => Some("off"),
        Written::Bare(_)
        | Written::Text(_)
        | Written::Integer(_)
        | Written::Real(_)
        | Written::List(_)
        | Written::Other(_) => None,
    };
    let switch = switch.filter(|word| words.contains(word));
    let Some(text) = written.text().map(str::trim).or(switch) else {
        return Err(written.instead_of("one word, in quotes"));
    };
    words.iter().copied().find(|word| word.eq_ignore_ascii_case(text)).ok_or_else(|| {
        let meant = nearest(text, words.iter().copied());
        Unfit::NotAChoice { value: text.to_owned(), choices: words, meant }
    })
}

/// Splits a list: blanks around items and empty items are dropped, `\` before the separator
/// keeps an item together.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == separator {
            items.push(String::new());
            continue;
        }
        let kept = match letter {
            '\\' => letters.next_if_eq(&separator).unwrap_or(letter),
            other => other,
        };
        if let Some(item) = items.last_mut() {
            item.push(kept);
        }
    }
    items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

impl Unit {
    /// Lists what may stand behind a number, with its size: microseconds or bytes.
    const fn suffixes(self) -> &'static [(&'static str, i128)] {
        match self {
            Self::One | Self::Mode => &[],
            Self::Milliseconds | Self::Seconds | Self::Minutes => &[
                ("us", 1),
                ("ms", 1_000),
                ("s", 1_000_000),
                ("min", 60_000_000),
                ("h", 3_600_000_000),
                ("d", 86_400_000_000),
            ],
            Self::Bytes | Self::Kilobytes => &[
                ("B", 1),
                ("kB", 1 << 10),
                ("MB", 1 << 20),
                ("GB", 1 << 30),
                ("TB", 1 << 40),
                ("KiB", 1 << 10),
                ("MiB", 1 << 20),
                ("GiB", 1 << 30),
                ("TiB", 1 << 40),
            ],
        }
    }

    /// Returns the size of the unit itself, in microseconds or bytes.
    const fn size(self) -> i128 {
        match self {
            Self::One | Self::Mode | Self::Bytes => 1,
            Self::Milliseconds => 1_000,
            Self::Seconds => 1_000_000,
            Self::Minutes => 60_000_000,
            Self::Kilobytes => 1 << 10,
        }
    }

    /// Returns by what to multiply and divide a number with this suffix.
    fn factor(self, suffix: &str) -> Result<(i128, i128), Unfit> {
        if suffix.is_empty() {
            return Ok((1, 1));
        }
        let suffixes = self.suffixes();
        if let Some((_, size)) = suffixes.iter().find(|(name, _)| *name == suffix) {
            return Ok((*size, self.size()));
        }
        let meant = suffixes.iter().map(|(n, _)| *n).find(|n| n.eq_ignore_ascii_case(suffix));
        Err(Unfit::UnknownUnit { suffix: suffix.to_owned(), unit: self, meant })
    }

    /// Says which suffixes there are, for a message.
    pub(super) const fn units(self) -> &'static str {
        match self {
            Self::One | Self::Mode => "no unit",
            Self::Milliseconds | Self::Seconds | Self::Minutes => "us, ms, s, min, h or d",
            Self::Bytes | Self::Kilobytes => "B, kB, MB, GB or TB",
        }
    }

    /// Says what one is called, for a message; empty for mere counts.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::One | Self::Mode => "",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Minutes => "min",
            Self::Bytes => "B",
            Self::Kilobytes => "kB",
        }
    }

    const fn expectation(self) -> &'static str {
        match self {
            Self::One => "a whole number, without quotes",
            Self::Mode => "a mode such as 0o770",
            Self::Milliseconds | Self::Seconds | Self::Minutes => {
                "a whole number, or a text with a unit such as \"10s\""
            }
            Self::Bytes | Self::Kilobytes => {
                "a whole number, or a text with a unit such as \"64kB\""
            }
        }
    }
}

impl Written {
    fn instead_of(&self, expected: &'static str) -> Unfit {
        Unfit::WrongType { expected, found: self.type_name() }
    }

    /// Returns the text, if it is one.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Bare(text) | Self::Text(text) => Some(text),
            Self::Bool(_) | Self::Integer(_) | Self::Real(_) | Self::List(_) | Self::Other(_) => {
                None
            }
        }
    }

    /// Names the type, for a message.
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::Bare(_) | Self::Text(_) => "a text",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "a whole number",
            Self::Real(_) => "a number with a fraction",
            Self::List(_) => "a list",
            Self::Other(what) => what,
        }
    }

    /// Tells whether a zero byte is in it, which no message to a server could carry.
    fn has_zero_byte(&self) -> bool {
        match self {
            Self::Bare(text) | Self::Text(text) => text.contains('\0'),
            Self::List(items) => items.iter().any(|item| item.contains('\0')),
            Self::Bool(_) | Self::Integer(_) | Self::Real(_) | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare(text) | Self::Text(text) => f.write_str(text),
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Real(value) => value.fmt(f),
            Self::List(items) => f.write_str(&items.join(", ")),
            Self::Other(what) => f.write_str(what),
        }
    }
}

#[cfg(test)]
mod tests;
