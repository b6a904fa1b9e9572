//! Settings of a session, how far they reach, and which of them its client is told.

mod known;

use std::collections::BTreeMap;
use std::rc::Rc;

use self::known::{KNOWN, Kind, known, normal};
use super::syntax::Scope;
use super::value::SqlError;

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

/// The role that may do everything.
pub(super) const SUPERUSER: &str = "postgres";

/// Settings that `reset all` leaves alone, and that `pg_settings` does not list.
const APART: [&str; 4] =
    ["role", "session_authorization", "transaction_isolation", "transaction_read_only"];

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The server or the startup packet.
    Default,
    /// The session, by `set`.
    Session,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    value: String,
    source: Source,
}

/// Values under names in lower case.
type Map = Rc<BTreeMap<String, Setting>>;

/// Values as of a moment.
#[derive(Clone, Debug)]
pub(super) struct Values(Map);

/// Settings at a savepoint.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    values: Map,
    lasting: Map,
}

/// Settings of one session.
#[derive(Debug)]
pub(super) struct Settings {
    /// What `reset` comes back to.
    defaults: Map,
    values: Map,
    /// Values that outlast the transaction: all but those of `set local`.
    lasting: Map,
    /// Values before the transaction, once it has changed one.
    saved: Option<Map>,
    /// What the client was told last.
    told: BTreeMap<&'static str, String>,
}

impl Settings {
    pub(super) fn new() -> Self {
        let setting = |value: &str| Setting { value: value.to_owned(), source: Source::Default };
        let pairs = KNOWN.iter().map(|(name, value, _)| (key(name), setting(value)));
        let defaults: Map = Rc::new(pairs.collect());
        Self {
            values: Rc::clone(&defaults),
            lasting: Rc::clone(&defaults),
            defaults,
            saved: None,
            told: BTreeMap::new(),
        }
    }

    /// Takes a value from the startup packet, which becomes the session's default; what does not
    /// exist is refused.
    pub(super) fn begin(&mut self, name: &str, value: &str) -> Result<(), SqlError> {
        check(name)?;
        let before = self.values().show(name).unwrap_or_default().to_owned();
        let value = normal(name, &[value.to_owned()], &before)?;
        self.force(name, &value);
        Ok(())
    }

    /// Sets what the server says of itself, and what the session begins with.
    pub(super) fn force(&mut self, name: &str, value: &str) {
        let setting = Setting { value: value.to_owned(), source: Source::Default };
        for map in [&mut self.defaults, &mut self.values, &mut self.lasting] {
            Rc::make_mut(map).insert(key(name), setting.clone());
        }
    }

    /// Returns the values of now.
    pub(super) fn values(&self) -> Values {
        Values(Rc::clone(&self.values))
    }

    /// Returns a value.
    pub(super) fn show(&self, name: &str) -> Result<String, SqlError> {
        self.values().show(name).map(str::to_owned)
    }

    /// Changes a value, until the transaction fails or for as long as it lasts; none is the
    /// default.
    pub(super) fn set(
        &mut self,
        name: &str,
        given: Option<&[String]>,
        scope: Scope,
    ) -> Result<(), SqlError> {
        let before = self.values().show(name).unwrap_or_default().to_owned();
        let value = given.map(|given| normal(name, given, &before)).transpose();
        check(name)?;
        self.put(name, value?, scope);
        Ok(())
    }

    /// Changes a value as `set_config` does, which takes a list of names as it is written.
    pub(super) fn set_raw(
        &mut self,
        name: &str,
        given: Option<&str>,
        scope: Scope,
    ) -> Result<(), SqlError> {
        let Some(list) = given.filter(|_| known(name).is_some_and(|(_, k)| k == Kind::Names))
        else {
            let given = given.map(|given| vec![given.to_owned()]);
            return self.set(name, given.as_deref(), scope);
        };
        self.put(name, Some(list.to_owned()), scope);
        Ok(())
    }

    fn put(&mut self, name: &str, value: Option<String>, scope: Scope) {
        self.saved.get_or_insert_with(|| Rc::clone(&self.values));
        let setting = match value {
            Some(value) => Setting { value, source: Source::Session },
            None => self.default_of(name),
        };
        if !self.defaults.contains_key(&key(name)) {
            // A parameter of one's own exists for ever once it was set, and is empty then.
            let empty = Setting { value: String::new(), source: Source::Default };
            Rc::make_mut(&mut self.defaults).insert(key(name), empty.clone());
            Rc::make_mut(&mut self.lasting).insert(key(name), empty);
        }
        Rc::make_mut(&mut self.values).insert(key(name), setting.clone());
        if scope == Scope::Session {
            Rc::make_mut(&mut self.lasting).insert(key(name), setting);
        }
        self.know_superuser();
    }

    fn default_of(&self, name: &str) -> Setting {
        let empty = Setting { value: String::new(), source: Source::Default };
        self.defaults.get(&key(name)).cloned().unwrap_or(empty)
    }

    /// Resets everything but who the session is, until the transaction fails.
    pub(super) fn reset_all(&mut self) {
        self.saved.get_or_insert_with(|| Rc::clone(&self.values));
        for map in [&mut self.values, &mut self.lasting] {
            let mut fresh = (*self.defaults).clone();
            for name in APART {
                if let Some(kept) = map.get(name) {
                    fresh.insert(name.to_owned(), kept.clone());
                }
            }
            *map = Rc::new(fresh);
        }
        self.know_superuser();
    }

    /// Notes the values, to come back to them within the transaction.
    pub(super) fn mark(&self) -> Mark {
        Mark { values: Rc::clone(&self.values), lasting: Rc::clone(&self.lasting) }
    }

    /// Comes back to former values.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.saved.get_or_insert_with(|| Rc::clone(&self.values));
        self.values = mark.values;
        self.lasting = mark.lasting;
        self.know_superuser();
    }

    /// Keeps what the transaction has set beyond itself.
    pub(super) fn commit(&mut self) {
        if self.saved.take().is_some() {
            self.values = Rc::clone(&self.lasting);
            self.know_superuser();
        }
    }

    /// Takes back what the transaction has set.
    pub(super) fn roll_back(&mut self) {
        let Some(mut saved) = self.saved.take() else { return };
        for (name, default) in self.defaults.iter() {
            if !saved.contains_key(name) {
                Rc::make_mut(&mut saved).insert(name.clone(), default.clone());
            }
        }
        self.lasting = Rc::clone(&saved);
        self.values = saved;
        self.know_superuser();
    }

    /// Whether the session may do everything depends on who it is at the moment.
    fn know_superuser(&mut self) {
        for map in [&mut self.values, &mut self.lasting] {
            let is = if user_of(map) == SUPERUSER { "on" } else { "off" };
            if map.get("is_superuser").is_some_and(|known| known.value != is) {
                let setting = Setting { value: is.to_owned(), source: Source::Default };
                Rc::make_mut(map).insert("is_superuser".to_owned(), setting);
            }
        }
    }

    /// Names the parameters that the session has set, as `pg_settings` lists them.
    pub(super) fn changed(&self) -> Vec<String> {
        let changed = self.values.iter().filter(|(name, setting)| {
            setting.source == Source::Session
                && !name.contains('.')
                && !APART.contains(&name.as_str())
        });
        changed.map(|(name, _)| name.clone()).collect()
    }

    /// Lists the values that the client has not been told, and notes that it will be.
    pub(super) fn news(&mut self) -> Vec<(&'static str, String)> {
        let mut news = Vec::new();
        for name in REPORTED {
            let Some(Setting { value, .. }) = self.values.get(&key(name)) else { continue };
            if self.told.get(name) != Some(value) {
                self.told.insert(name, value.clone());
                news.push((name, value.clone()));
            }
        }
        news
    }
}

impl Values {
    /// Returns a value.
    pub(super) fn show(&self, name: &str) -> Result<&str, SqlError> {
        let found = self.0.get(&key(name)).map(|setting| setting.value.as_str());
        found.ok_or_else(|| unknown(name))
    }

    /// Who the session acts as.
    pub(super) fn user(&self) -> &str {
        user_of(&self.0)
    }
}

fn user_of(map: &BTreeMap<String, Setting>) -> &str {
    let value = |name| map.get(name).map_or("", |setting| setting.value.as_str());
    match value("role") {
        "none" => value("session_authorization"),
        role => role,
    }
}

/// Prints a parameter's name as PostgreSQL does.
pub(super) fn shown(name: &str) -> String {
    known(name).map_or(name, |(known, _)| known).to_owned()
}

fn check(name: &str) -> Result<(), SqlError> {
    match known(name) {
        Some((shown, kind @ (Kind::Fixed | Kind::Start))) => {
            let rest = if kind == Kind::Start { " without restarting the server" } else { "" };
            let what = format!("parameter \"{shown}\" cannot be changed{rest}");
            Err(SqlError::new("55P02", what))
        }
        None if !name.contains('.') => Err(unknown(name)),
        Some(_) | None => Ok(()),
    }
}

fn unknown(name: &str) -> SqlError {
    SqlError::new("42704", format!("unrecognized configuration parameter \"{name}\""))
}

fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &mut Settings, name: &str, value: &str, scope: Scope) {
        settings.set(name, Some(&[value.to_owned()]), scope).unwrap();
    }

    #[test]
    fn changes_are_told_once() {
        let mut settings = Settings::new();
        settings.force("session_authorization", "postgres");
        assert_eq!(settings.news().len(), REPORTED.len());
        assert_eq!(settings.news(), []);
        set(&mut settings, "timezone", "Europe/Berlin", Scope::Session);
        set(&mut settings, "work_mem", "1MB", Scope::Session);
        assert_eq!(settings.changed(), ["timezone", "work_mem"]);
        settings.commit();
        assert_eq!(settings.news(), [("TimeZone", "Europe/Berlin".to_owned())]);
        settings.reset_all();
        assert_eq!(settings.news(), [("TimeZone", "Etc/UTC".to_owned())]);
        assert!(settings.changed().is_empty());
        let refused = |settings: &mut Settings, name| {
            settings.set(name, Some(&["1".to_owned()]), Scope::Session).unwrap_err().code
        };
        assert_eq!(refused(&mut settings, "nonsense"), "42704");
        assert_eq!(refused(&mut settings, "server_version"), "55P02");
    }

    #[test]
    fn settings_last_as_long_as_they_should() {
        let mut settings = Settings::new();
        settings.force("session_authorization", "postgres");
        set(&mut settings, "work_mem", "1MB", Scope::Session);
        set(&mut settings, "work_mem", "2MB", Scope::Transaction);
        set(&mut settings, "my.own", "x", Scope::Transaction);
        assert_eq!(settings.show("work_mem").unwrap(), "2MB");
        assert_eq!(settings.show("My.Own").unwrap(), "x");
        settings.commit();
        assert_eq!(settings.show("work_mem").unwrap(), "1MB");
        assert_eq!(settings.show("my.own").unwrap(), "", "it exists from then on");
        let mark = settings.mark();
        set(&mut settings, "work_mem", "3MB", Scope::Session);
        settings.back_to(mark);
        assert_eq!(settings.show("work_mem").unwrap(), "1MB");
        set(&mut settings, "role", "app", Scope::Session);
        assert_eq!(settings.show("is_superuser").unwrap(), "off");
        settings.roll_back();
        assert_eq!(settings.show("work_mem").unwrap(), "1MB");
        assert_eq!(settings.show("role").unwrap(), "none");
        assert_eq!(settings.show("their.own").unwrap_err().code, "42704");
    }
}
