//! Values, their types, and how they look on the wire.

use std::fmt;

use pgherd_core::time::Duration;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
}

/// A type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Int4,
    Int8,
    Text,
    Void,
}

/// How a value is written on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Text,
    Binary,
}

/// What a statement failed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SqlError {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl SqlError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn syntax(near: &str) -> Self {
        Self::new("42601", format!("syntax error at or near \"{near}\""))
    }

    pub(super) fn unsupported(what: &str) -> Self {
        Self::new("0A000", format!("{what} is not simulated"))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Bool(true) => f.write_str("t"),
            Self::Bool(false) => f.write_str("f"),
            Self::Int(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

impl Type {
    /// Finds a type by name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "bool" | "boolean" => Self::Bool,
            "int" | "int4" | "integer" | "smallint" | "int2" | "serial" => Self::Int4,
            "bigint" | "int8" | "bigserial" | "numeric" | "oid" => Self::Int8,
            "text" | "varchar" | "char" | "character" | "name" | "bytea" | "json" | "jsonb"
            | "timestamptz" | "timestamp" | "date" | "uuid" | "regclass" | "unknown" | "float8"
            | "real" | "interval" | "pg_lsn" => Self::Text,
            "void" => Self::Void,
            _ => return None,
        })
    }

    pub(super) const fn oid(self) -> u32 {
        match self {
            Self::Bool => 16,
            Self::Int4 => 23,
            Self::Int8 => 20,
            Self::Text => 25,
            Self::Void => 2278,
        }
    }

    pub(super) const fn len(self) -> i16 {
        match self {
            Self::Bool => 1,
            Self::Int4 | Self::Void => 4,
            Self::Int8 => 8,
            Self::Text => -1,
        }
    }

    pub(super) const fn from_oid(oid: u32) -> Option<Self> {
        match oid {
            16 => Some(Self::Bool),
            21 | 23 => Some(Self::Int4),
            20 => Some(Self::Int8),
            25 | 1043 | 705 => Some(Self::Text),
            _ => None,
        }
    }

    /// PostgreSQL's name for the type.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Text => "text",
            Self::Void => "void",
        }
    }

    /// Makes a value of this type out of another.
    pub(super) fn cast(self, value: Value) -> Result<Value, SqlError> {
        let refuse = |text: &str| {
            let what = format!("invalid input syntax for type {}: \"{text}\"", self.name());
            Err(SqlError::new("22P02", what))
        };
        match (self, value) {
            (_, Value::Null) => Ok(Value::Null),
            (Self::Int4 | Self::Int8, Value::Text(text)) => match text.trim().parse::<i64>() {
                Ok(value) => self.cast(Value::Int(value)),
                Err(_) => refuse(&text),
            },
            (Self::Int4, Value::Int(value)) if i32::try_from(value).is_err() => {
                Err(SqlError::new("22003", "integer out of range"))
            }
            (Self::Int4 | Self::Int8, Value::Bool(value)) => Ok(Value::Int(i64::from(value))),
            (Self::Bool, Value::Text(text)) => match text.to_ascii_lowercase().as_str() {
                "t" | "true" | "on" | "yes" | "1" => Ok(Value::Bool(true)),
                "f" | "false" | "off" | "no" | "0" => Ok(Value::Bool(false)),
                _ => refuse(&text),
            },
            (Self::Bool, Value::Int(value)) => Ok(Value::Bool(value != 0)),
            (Self::Text, Value::Bool(value)) => Ok(Value::Text(value.to_string())),
            (Self::Text, value) => Ok(Value::Text(value.to_string())),
            (_, value) => Ok(value),
        }
    }

    /// Reads a parameter from the wire.
    pub(super) fn read(self, format: Format, bytes: &[u8]) -> Result<Value, SqlError> {
        let wrong = || SqlError::new("22P03", "incorrect binary data format in bind parameter");
        match (format, self) {
            (Format::Text, _) | (Format::Binary, Self::Text | Self::Void) => {
                let text = String::from_utf8(bytes.to_vec()).ok();
                // No text has a zero byte in it.
                let text = text.filter(|text| !text.contains('\0'));
                let wrong = || SqlError::new("22021", "invalid byte sequence for UTF8");
                let text = text.ok_or_else(wrong)?;
                self.cast(Value::Text(text))
            }
            (Format::Binary, Self::Bool) => match bytes {
                [byte] => Ok(Value::Bool(*byte != 0)),
                _ => Err(wrong()),
            },
            (Format::Binary, Self::Int4 | Self::Int8) => match bytes.len() {
                2 | 4 | 8 => {
                    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
                    let start = if negative { -1i64 } else { 0 };
                    let value = bytes.iter().fold(start, |v, byte| (v << 8) | i64::from(*byte));
                    Ok(Value::Int(value))
                }
                _ => Err(wrong()),
            },
        }
    }

    /// Writes a value as it goes over the wire; none for null.
    pub(super) fn write(self, format: Format, value: &Value) -> Option<Vec<u8>> {
        match (format, self, value) {
            (_, _, Value::Null) => None,
            (Format::Binary, Self::Int4, Value::Int(value)) => {
                Some(i32::try_from(*value).unwrap_or(i32::MAX).to_be_bytes().to_vec())
            }
            (Format::Binary, Self::Int8, Value::Int(value)) => Some(value.to_be_bytes().to_vec()),
            (Format::Binary, Self::Bool, Value::Bool(value)) => Some(vec![u8::from(*value)]),
            (_, _, value) => Some(value.to_string().into_bytes()),
        }
    }
}

/// Prints an interval as PostgreSQL does.
pub(super) fn print_interval(span: Duration) -> String {
    let micros = span.as_micros();
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let fraction = format!(".{rest:06}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{hours:02}:{minutes:02}:{:02}{fraction}", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_written() {
        let cases = [
            (Type::Int4, Value::Int(-7)),
            (Type::Int8, Value::Int(1 << 40)),
            (Type::Bool, Value::Bool(true)),
            (Type::Text, Value::Text("Jürgen".to_owned())),
        ];
        for (ty, value) in cases {
            for format in [Format::Text, Format::Binary] {
                let bytes = ty.write(format, &value).unwrap();
                assert_eq!(ty.read(format, &bytes), Ok(value.clone()), "{ty:?} {format:?}");
            }
        }
        assert_eq!(Type::Int4.write(Format::Text, &Value::Null), None);
        assert!(Type::Int4.cast(Value::Text("x".to_owned())).is_err());
        assert!(Type::Int4.cast(Value::Int(1 << 40)).is_err());
    }

    #[test]
    fn intervals_are_printed_as_by_postgresql() {
        assert_eq!(print_interval(Duration::from_micros(3_123)), "00:00:00.003123");
        assert_eq!(print_interval(Duration::from_micros(5_130)), "00:00:00.00513");
        assert_eq!(print_interval(Duration::from_secs(3_723)), "01:02:03");
    }
}
