//! Parameters that exist, what they may be, and how PostgreSQL prints them.

use super::key;
use crate::postgres::value::SqlError;

/// What a parameter may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    /// From the least to the greatest.
    Integer(i64, i64),
    /// In kilobytes, at least so many.
    Memory(i64),
    /// In milliseconds.
    Time,
    /// One of these, in lower case.
    Choice(&'static [&'static str]),
    Text,
    /// Names, quoted where they must be.
    Names,
    Encoding,
    DateStyle,
    TimeZone,
    /// Nobody can change it.
    Fixed,
    /// It takes a restart.
    Start,
}

const LEVELS: &[&str] = &["serializable", "repeatable read", "read committed", "read uncommitted"];
const MESSAGES: &[&str] = &["debug", "log", "notice", "warning", "error"];

/// Parameters that exist: the name that PostgreSQL shows, the default, what they may be.
pub(super) const KNOWN: [(&str, &str, Kind); 41] = [
    ("application_name", "", Kind::Text),
    ("bytea_output", "hex", Kind::Choice(&["escape", "hex"])),
    ("client_encoding", "UTF8", Kind::Encoding),
    ("client_min_messages", "notice", Kind::Choice(MESSAGES)),
    ("DateStyle", "ISO, MDY", Kind::DateStyle),
    ("default_table_access_method", "heap", Kind::Text),
    ("default_transaction_isolation", "read committed", Kind::Choice(LEVELS)),
    ("default_transaction_read_only", "off", Kind::Bool),
    ("enable_seqscan", "on", Kind::Bool),
    ("extra_float_digits", "1", Kind::Integer(-15, 3)),
    ("geqo", "on", Kind::Bool),
    ("idle_in_transaction_session_timeout", "0", Kind::Time),
    ("idle_session_timeout", "0", Kind::Time),
    ("in_hot_standby", "off", Kind::Fixed),
    ("integer_datetimes", "on", Kind::Fixed),
    ("IntervalStyle", "postgres", Kind::Text),
    ("is_superuser", "on", Kind::Fixed),
    ("jit", "on", Kind::Bool),
    ("lock_timeout", "0", Kind::Time),
    ("log_statement", "none", Kind::Choice(&["none", "ddl", "mod", "all"])),
    ("max_connections", "100", Kind::Start),
    ("password_encryption", "scram-sha-256", Kind::Choice(&["md5", "scram-sha-256"])),
    ("random_page_cost", "4", Kind::Text),
    ("role", "none", Kind::Text),
    ("row_security", "on", Kind::Bool),
    ("search_path", "\"$user\", public", Kind::Names),
    ("seed", "0", Kind::Text),
    ("server_encoding", "UTF8", Kind::Fixed),
    ("server_version", "15.18", Kind::Fixed),
    ("server_version_num", "150018", Kind::Fixed),
    ("session_authorization", "", Kind::Text),
    ("standard_conforming_strings", "on", Kind::Bool),
    ("statement_timeout", "0", Kind::Time),
    ("synchronous_commit", "on", Kind::Text),
    ("tcp_keepalives_idle", "0", Kind::Integer(0, 2_147_483_647)),
    ("temp_buffers", "8MB", Kind::Memory(800)),
    ("TimeZone", "Etc/UTC", Kind::TimeZone),
    ("transaction_isolation", "read committed", Kind::Choice(LEVELS)),
    ("transaction_read_only", "off", Kind::Bool),
    ("work_mem", "4MB", Kind::Memory(64)),
    ("xmloption", "content", Kind::Choice(&["content", "document"])),
];

/// Finds a parameter: its name as PostgreSQL shows it, and what it may be.
pub(super) fn known(name: &str) -> Option<(&'static str, Kind)> {
    let found = KNOWN.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
    found.map(|(known, _, kind)| (*known, *kind))
}

/// Prints a value as PostgreSQL shows it; `before` is the value that it takes the place of.
pub(super) fn normal(name: &str, given: &[String], before: &str) -> Result<String, SqlError> {
    let Some((shown, kind)) = known(name) else { return Ok(given.join(", ")) };
    if kind == Kind::Names {
        return Ok(given.iter().map(|one| quoted(one)).collect::<Vec<_>>().join(", "));
    }
    if kind == Kind::DateStyle {
        return date_style(&given.join(","), before);
    }
    let [value] = given else {
        return Err(SqlError::new("22023", format!("SET {shown} takes only one argument")));
    };
    let invalid = || {
        let what = format!("invalid value for parameter \"{shown}\": \"{value}\"");
        SqlError::new("22023", what)
    };
    let lower = value.to_ascii_lowercase();
    match kind {
        Kind::Bool => match lower.as_str() {
            "on" | "true" | "yes" | "1" | "t" => Ok("on".to_owned()),
            "off" | "false" | "no" | "0" | "f" => Ok("off".to_owned()),
            _ => {
                let what = format!("parameter \"{shown}\" requires a Boolean value");
                Err(SqlError::new("22023", what))
            }
        },
        Kind::Integer(least, greatest) => {
            let number: i64 = value.trim().parse().map_err(|_| invalid())?;
            in_range(shown, number, "", least, greatest)?;
            Ok(number.to_string())
        }
        Kind::Memory(least) => {
            let number = scaled(&lower, &MEMORY).ok_or_else(invalid)?;
            in_range(shown, number, " kB", least, 2_147_483_647)?;
            Ok(printed(number, &MEMORY))
        }
        Kind::Time => {
            let number = scaled(&lower, &TIME).ok_or_else(invalid)?;
            in_range(shown, number, " ms", 0, 2_147_483_647)?;
            Ok(printed(number, &TIME))
        }
        Kind::Choice(choices) if choices.contains(&lower.as_str()) => Ok(lower),
        Kind::Choice(_) => Err(invalid()),
        Kind::Encoding => match lower.replace(['-', '_'], "").as_str() {
            "utf8" | "unicode" => Ok("UTF8".to_owned()),
            "latin1" | "iso88591" => Ok("LATIN1".to_owned()),
            "sqlascii" => Ok("SQL_ASCII".to_owned()),
            _ => Err(invalid()),
        },
        Kind::TimeZone => time_zone(value).ok_or_else(invalid),
        // Bytes that are not ASCII are replaced one by one.
        Kind::Text if key(name) == "application_name" => {
            Ok(value.bytes().map(|b| if b.is_ascii() { char::from(b) } else { '?' }).collect())
        }
        Kind::Text | Kind::Names | Kind::DateStyle | Kind::Fixed | Kind::Start => Ok(value.clone()),
    }
}

fn in_range(
    name: &str,
    number: i64,
    unit: &str,
    least: i64,
    greatest: i64,
) -> Result<(), SqlError> {
    if (least..=greatest).contains(&number) {
        return Ok(());
    }
    let what = format!(
        "{number}{unit} is outside the valid range for parameter \"{name}\" \
         ({least} .. {greatest})"
    );
    Err(SqlError::new("22023", what))
}

/// Units, the largest first; the last one is understood where none is written.
const MEMORY: [(&str, i64); 4] = [("TB", 1 << 30), ("GB", 1 << 20), ("MB", 1 << 10), ("kB", 1)];
const TIME: [(&str, i64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];

fn scaled(text: &str, units: &[(&str, i64)]) -> Option<i64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let number: i64 = number.parse().ok()?;
    let unit = unit.trim();
    let scale = match unit {
        "" => 1,
        unit => units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    number.checked_mul(scale)
}

fn printed(number: i64, units: &[(&str, i64)]) -> String {
    let unit = units.iter().find(|(_, scale)| number % scale == 0);
    match unit {
        Some((name, scale)) if number != 0 => format!("{}{name}", number / scale),
        Some(_) | None => number.to_string(),
    }
}

fn date_style(value: &str, before: &str) -> Result<String, SqlError> {
    let (mut style, mut order) = match before.split_once(", ") {
        Some((style, order)) => (style.to_owned(), order.to_owned()),
        None => ("ISO".to_owned(), "MDY".to_owned()),
    };
    for word in value.split(',') {
        match word.trim().to_ascii_lowercase().as_str() {
            "iso" => "ISO".clone_into(&mut style),
            "sql" => "SQL".clone_into(&mut style),
            "postgres" => "Postgres".clone_into(&mut style),
            "german" => {
                "German".clone_into(&mut style);
                "DMY".clone_into(&mut order);
            }
            "ymd" => "YMD".clone_into(&mut order),
            "dmy" | "euro" | "european" => "DMY".clone_into(&mut order),
            "mdy" | "us" | "noneuro" => "MDY".clone_into(&mut order),
            _ => {
                let what = format!("invalid value for parameter \"DateStyle\": \"{value}\"");
                return Err(SqlError::new("22023", what));
            }
        }
    }
    Ok(format!("{style}, {order}"))
}

fn time_zone(value: &str) -> Option<String> {
    if let Ok(hours) = value.parse::<i32>() {
        // What PostgreSQL makes of an offset: a name in brackets, and POSIX's opposite sign.
        let (own, posix) = if hours < 0 { ('-', '+') } else { ('+', '-') };
        return Some(format!("<{own}{0:02}>{posix}{0:02}", hours.abs()));
    }
    let lower = value.to_ascii_lowercase();
    match lower.as_str() {
        "utc" | "gmt" | "zulu" | "uct" => Some(value.to_ascii_uppercase()),
        _ if value.contains('/') => Some(value.to_owned()),
        _ => None,
    }
}

/// Quotes a name if it must be.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let first = name.chars().next().is_some_and(|c| !c.is_ascii_digit());
    if first && name.chars().all(plain) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_printed_as_by_postgresql() {
        let cases: &[(&str, &[&str], Result<&str, &str>)] = &[
            ("work_mem", &["5120"], Ok("5MB")),
            ("work_mem", &["1500kB"], Ok("1500kB")),
            ("work_mem", &["abc"], Err("invalid value for parameter \"work_mem\": \"abc\"")),
            (
                "WORK_MEM",
                &["1"],
                Err("1 kB is outside the valid range for parameter \"work_mem\" \
                     (64 .. 2147483647)"),
            ),
            ("statement_timeout", &["5000"], Ok("5s")),
            ("statement_timeout", &["1500ms"], Ok("1500ms")),
            ("statement_timeout", &["60s"], Ok("1min")),
            ("statement_timeout", &["0"], Ok("0")),
            ("datestyle", &["german"], Ok("German, DMY")),
            ("datestyle", &["iso"], Ok("ISO, MDY")),
            ("datestyle", &["sql, dmy"], Ok("SQL, DMY")),
            ("datestyle", &["x"], Err("invalid value for parameter \"DateStyle\": \"x\"")),
            ("timezone", &["utc"], Ok("UTC")),
            ("timezone", &["-5"], Ok("<-05>+05")),
            (
                "timezone",
                &["nowhere"],
                Err("invalid value for parameter \"TimeZone\": \"nowhere\""),
            ),
            ("extra_float_digits", &["3"], Ok("3")),
            (
                "extra_float_digits",
                &["9"],
                Err("9 is outside the valid range for parameter \"extra_float_digits\" (-15 .. 3)"),
            ),
            ("client_encoding", &["latin1"], Ok("LATIN1")),
            ("search_path", &["a", "B c"], Ok("a, \"B c\"")),
            ("search_path", &["a, b"], Ok("\"a, b\"")),
            ("jit", &["maybe"], Err("parameter \"jit\" requires a Boolean value")),
            ("application_name", &["jürgen"], Ok("j??rgen")),
            ("default_transaction_isolation", &["Serializable"], Ok("serializable")),
        ];
        for (name, given, expected) in cases {
            let given: Vec<_> = given.iter().map(|one| (*one).to_owned()).collect();
            let printed = normal(name, &given, "ISO, MDY");
            let printed = printed.as_deref().map_err(|error| error.message.as_str());
            assert_eq!(printed, *expected, "{name} = {given:?}");
        }
    }
}
