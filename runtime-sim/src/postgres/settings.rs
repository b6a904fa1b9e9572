//! Settings of a session, and which of them its client is told.

use std::collections::BTreeMap;

use super::value::SqlError;

/// Settings that exist, with their defaults, under the names that PostgreSQL shows.
const DEFAULTS: [(&str, &str); 33] = [
    ("application_name", ""),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    ("DateStyle", "ISO, MDY"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("extra_float_digits", "1"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("in_hot_standby", "off"),
    ("integer_datetimes", "on"),
    ("IntervalStyle", "postgres"),
    ("is_superuser", "on"),
    ("jit", "on"),
    ("lock_timeout", "0"),
    ("log_statement", "none"),
    ("max_connections", "100"),
    ("password_encryption", "scram-sha-256"),
    ("role", "none"),
    ("search_path", "\"$user\", public"),
    ("server_encoding", "UTF8"),
    ("server_version", "15.18"),
    ("server_version_num", "150018"),
    ("session_authorization", ""),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("synchronous_commit", "on"),
    ("temp_buffers", "8MB"),
    ("TimeZone", "Etc/UTC"),
    ("transaction_isolation", "read committed"),
    ("transaction_read_only", "off"),
    ("work_mem", "4MB"),
    ("row_security", "on"),
];

/// Settings whose values the client is told, as by PostgreSQL 15, in its order at a login.
const REPORTED: [&str; 13] = [
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
];

/// Settings that nobody can change.
const FIXED: [&str; 7] = [
    "in_hot_standby",
    "integer_datetimes",
    "is_superuser",
    "max_connections",
    "server_encoding",
    "server_version",
    "server_version_num",
];

/// Settings of one session.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    defaults: BTreeMap<String, String>,
    values: BTreeMap<String, String>,
    /// What the client was told last.
    told: BTreeMap<&'static str, String>,
}

impl Settings {
    pub(super) fn new() -> Self {
        let pairs = DEFAULTS.iter().map(|(name, value)| (key(name), (*value).to_owned()));
        let defaults: BTreeMap<_, _> = pairs.collect();
        Self { values: defaults.clone(), defaults, told: BTreeMap::new() }
    }

    /// Takes a value from the startup packet, which becomes the session's default; what does not
    /// exist is refused.
    pub(super) fn begin(&mut self, name: &str, value: &str) -> Result<(), SqlError> {
        self.check(name)?;
        self.defaults.insert(key(name), value.to_owned());
        self.values.insert(key(name), value.to_owned());
        Ok(())
    }

    /// Sets what the server says of itself.
    pub(super) fn force(&mut self, name: &str, value: &str) {
        self.defaults.insert(key(name), value.to_owned());
        self.values.insert(key(name), value.to_owned());
    }

    fn check(&self, name: &str) -> Result<(), SqlError> {
        if self.defaults.contains_key(&key(name)) || name.contains('.') {
            return Ok(());
        }
        let what = format!("unrecognized configuration parameter \"{name}\"");
        Err(SqlError::new("42704", what))
    }

    /// Returns a value.
    pub(super) fn show(&self, name: &str) -> Result<&str, SqlError> {
        match self.values.get(&key(name)) {
            Some(value) => Ok(value),
            None => Err(SqlError::new(
                "42704",
                format!("unrecognized configuration parameter \"{name}\""),
            )),
        }
    }

    /// Changes a value; none is the default.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), SqlError> {
        self.check(name)?;
        if FIXED.iter().any(|fixed| fixed.eq_ignore_ascii_case(name)) {
            let what = format!("parameter \"{name}\" cannot be changed");
            return Err(SqlError::new("55P02", what));
        }
        match value.or(self.defaults.get(&key(name)).map(String::as_str)) {
            Some(value) => {
                let value = normal(name, value)?;
                self.values.insert(key(name), value);
            }
            None => {
                self.values.remove(&key(name));
            }
        }
        Ok(())
    }

    /// Resets everything.
    pub(super) fn reset_all(&mut self) {
        self.values = self.defaults.clone();
    }

    /// Returns the values, to come back to them.
    pub(super) fn snapshot(&self) -> BTreeMap<String, String> {
        self.values.clone()
    }

    /// Comes back to former values.
    pub(super) fn restore(&mut self, values: BTreeMap<String, String>) {
        self.values = values;
    }

    /// Lists the values that the client has not been told, and notes that it will be.
    pub(super) fn news(&mut self) -> Vec<(&'static str, String)> {
        let mut news = Vec::new();
        for name in REPORTED {
            let Some(value) = self.values.get(&key(name)) else { continue };
            if self.told.get(name) != Some(value) {
                self.told.insert(name, value.clone());
                news.push((name, value.clone()));
            }
        }
        news
    }
}

/// Writes a value as PostgreSQL shows it.
fn normal(name: &str, value: &str) -> Result<String, SqlError> {
    let lower = value.to_ascii_lowercase();
    let is = |what: &str| name.eq_ignore_ascii_case(what);
    if is("default_transaction_read_only") || is("standard_conforming_strings") {
        return match lower.as_str() {
            "on" | "true" | "yes" | "1" | "t" => Ok("on".to_owned()),
            "off" | "false" | "no" | "0" | "f" => Ok("off".to_owned()),
            _ => Err(SqlError::new(
                "22023",
                format!("parameter \"{name}\" requires a Boolean value"),
            )),
        };
    }
    if is("client_encoding") {
        return match lower.replace(['-', '_'], "").as_str() {
            "utf8" | "unicode" => Ok("UTF8".to_owned()),
            "latin1" | "iso88591" => Ok("LATIN1".to_owned()),
            "sqlascii" => Ok("SQL_ASCII".to_owned()),
            _ => {
                let what = format!("invalid value for parameter \"{name}\": \"{value}\"");
                Err(SqlError::new("22023", what))
            }
        };
    }
    if is("DateStyle") {
        return Ok(match lower.as_str() {
            "iso" => "ISO, MDY".to_owned(),
            "german" => "German, DMY".to_owned(),
            "sql" => "SQL, MDY".to_owned(),
            "postgres" => "Postgres, MDY".to_owned(),
            _ => value.to_owned(),
        });
    }
    Ok(value.to_owned())
}

fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once() {
        let mut settings = Settings::new();
        assert_eq!(settings.news().len(), REPORTED.len());
        assert_eq!(settings.news(), []);
        settings.set("timezone", Some("Europe/Berlin")).unwrap();
        settings.set("work_mem", Some("1MB")).unwrap();
        assert_eq!(settings.news(), [("TimeZone", "Europe/Berlin".to_owned())]);
        settings.reset_all();
        assert_eq!(settings.news(), [("TimeZone", "Etc/UTC".to_owned())]);
        assert_eq!(settings.set("nonsense", Some("1")).unwrap_err().code, "42704");
        assert_eq!(settings.set("server_version", Some("1")).unwrap_err().code, "55P02");
        assert!(settings.set("my.own", Some("1")).is_ok());
        assert_eq!(settings.show("My.Own"), Ok("1"));
    }
}
