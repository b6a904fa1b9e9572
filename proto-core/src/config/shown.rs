//! The values in effect, as people read them: `SHOW pool_status` and `PGPOOL SHOW`.
//!
//! Pgpool-II writes a value in two ways. In `pool_status` booleans are `1` and `0`, and numbers
//! count the parameter's base unit; `PGPOOL SHOW` says `on` and `5min`. A weight is a share of all
//! weights in the first, and as written in the second. Secrets are never shown.

use std::sync::Arc;

use super::Config;
use super::parameters::{self, Effect, Kind, Parameter, Scope, Unit};
use super::settings::{Settings, numbered};
use super::value::{self, Value, Written};

/// A parameter and the value in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The name, with the node's number if it has one.
    pub name: String,
    /// The parameter.
    pub parameter: &'static Parameter,
    /// The node that it is for.
    pub node: Option<u8>,
    /// The value as in `SHOW pool_status`.
    pub status: String,
    /// The value as in `PGPOOL SHOW`.
    pub words: String,
}

/// Parameters whose default is Pgpool-II's alone: where no file sets them, pgherd writes no such file,
/// and its lines have a form of their own. Called `pgpool`, it does as Pgpool-II.
const UNSET: [&str; 3] = ["pid_file_name", "work_dir", "log_line_prefix"];

/// What stands for a secret.
const SECRET: &str = "*****";

impl Shown {
    fn new(parameter: &'static Parameter, node: Option<u8>, value: Option<&Value>) -> Self {
        Self {
            name: numbered(parameter.name, node),
            parameter,
            node,
            status: value.map(|value| status(parameter, value)).unwrap_or_default(),
            words: match value {
                // As in Pgpool-II, although it is but the name of a file.
                Some(Value::Text(text)) if parameter.name == "pool_passwd" && !text.is_empty() => {
                    SECRET.to_owned()
                }
                Some(value) => words(parameter, value),
                None => String::new(),
            },
        }
    }

    /// Says what the parameter is for, and whether its value matters here.
    #[must_use]
    pub fn about(&self) -> String {
        let about = parameters::about(self.parameter.name);
        match self.parameter.effect {
            Effect::InEffect | Effect::Alias(_) => about.to_owned(),
            Effect::NotYet => format!("{about} (not in effect yet)"),
            Effect::Dead(_) | Effect::Refused(_) | Effect::RefusedOrDead(..) => {
                format!("{about} (not in effect)")
            }
        }
    }
}

/// A value that one session has set for itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// What is shown of it.
    pub shown: Shown,
    value: Value,
}

impl Override {
    /// Reads a value for a parameter.
    ///
    /// # Errors
    /// Why it does not fit, as a clause.
    pub fn read(parameter: &'static Parameter, text: &str) -> Result<Self, String> {
        let written = Written::Bare(text.to_owned());
        let value = value::read(parameter, &written).map_err(|unfit| unfit.clause())?;
        Ok(Self { shown: Shown::new(parameter, None, Some(&value)), value })
    }

    /// Returns the value of a switch.
    #[must_use]
    pub fn flag(&self) -> Option<bool> {
        if let Value::Bool(flag) = self.value { Some(flag) } else { None }
    }

    /// Returns the value of a number.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        if let Value::Integer(number) = self.value { u64::try_from(number).ok() } else { None }
    }
}

/// Lists what is in effect, in the order of `SHOW pool_status`.
pub(super) fn list(settings: &Settings, config: &Config) -> Vec<Shown> {
    let mut parameters: Vec<&'static Parameter> = parameters::all().iter().collect();
    parameters.retain(|parameter| !matches!(parameter.effect, Effect::Alias(_)));
    parameters.sort_by_key(|parameter| parameters::place(parameter.name));
    let backends: Vec<u8> = config.backends.iter().map(|backend| backend.id.0).collect();
    let mut shown = Vec::new();
    for parameter in parameters {
        let is_unset = |node| {
            UNSET.contains(&parameter.name) && settings.given(parameter.name, node).is_none()
        };
        let value = |node| settings.value(parameter.name, node).filter(|_| !is_unset(node));
        let mut show = |node| shown.push(Shown::new(parameter, node, value(node).as_ref()));
        match parameter.scope {
            Scope::One => show(None),
            Scope::NodeOrAll(_) => {
                show(None);
                backends.iter().for_each(|node| show(Some(*node)));
            }
            Scope::Node(_) if parameter.name.starts_with("backend_") => {
                backends.iter().for_each(|node| show(Some(*node)));
            }
            Scope::Node(_) | Scope::Pool(_) => {
                settings.nodes(parameter.name).for_each(|node| show(Some(node)));
            }
            Scope::PoolOrAll(_) => {
                show(None);
                settings.nodes(parameter.name).for_each(|node| show(Some(node)));
            }
        }
    }
    let total: f64 = config.backends.iter().map(|backend| backend.weight).sum();
    for backend in &config.backends {
        let share = if total > 0.0 { backend.weight / total } else { 0.0 };
        let name = numbered("backend_weight", Some(backend.id.0));
        if let Some(weight) = shown.iter_mut().find(|shown| shown.name == name) {
            weight.status = format!("{share:.6}");
            weight.words = backend.weight.to_string();
        }
    }
    shown
}

impl Config {
    /// Notes what a parameter comes to where its default depends on others.
    pub(super) fn show_count(&mut self, name: &str, count: usize) {
        self.show_word(name, &count.to_string());
    }

    /// Corrects the value of a parameter that the file leaves to others.
    pub(super) fn show_word(&mut self, name: &str, word: &str) {
        let shown = Arc::make_mut(&mut self.shown);
        if let Some(shown) = shown.iter_mut().find(|shown| shown.name == name) {
            word.clone_into(&mut shown.status);
            word.clone_into(&mut shown.words);
        }
    }

    /// Does as Pgpool-II where the file says nothing: names its pid file, and begins lines of the log
    /// as it does.
    pub fn default_as_pgpool(&mut self) {
        let default = |name| parameters::by_name(name).and_then(|it| it.default).map(str::to_owned);
        if self.pid_file_name.is_none() {
            self.pid_file_name = default("pid_file_name");
            self.show_word("pid_file_name", &self.pid_file_name.clone().unwrap_or_default());
        }
        if self.log.line_prefix.is_none() {
            self.log.line_prefix = default("log_line_prefix");
            self.show_word("log_line_prefix", &self.log.line_prefix.clone().unwrap_or_default());
        }
    }

    /// Corrects the value of a switch that the file leaves to others.
    pub(super) fn show_flag(&mut self, name: &str, is_on: bool) {
        let shown = Arc::make_mut(&mut self.shown);
        if let Some(shown) = shown.iter_mut().find(|shown| shown.name == name) {
            shown.status = status(shown.parameter, &Value::Bool(is_on));
            shown.words = words(shown.parameter, &Value::Bool(is_on));
        }
    }

    /// Finds what is shown of a parameter, by its name with the node's number.
    #[must_use]
    pub fn shown(&self, name: &str) -> Option<&Shown> {
        self.shown.iter().find(|shown| shown.name == name)
    }
}

fn status(parameter: &Parameter, value: &Value) -> String {
    match value {
        Value::Bool(value) => u8::from(*value).to_string(),
        Value::Integer(value) if unit(parameter) != Unit::Mode => value.to_string(),
        Value::Choice(_) if parameter.name == "backend_clustering_mode" => "1".to_owned(),
        Value::Text(_) | Value::Integer(_) | Value::Real(_) | Value::List(_) | Value::Choice(_) => {
            words(parameter, value)
        }
    }
}

fn words(parameter: &Parameter, value: &Value) -> String {
    match value {
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        // As in Pgpool-II, which has no units where there is a value for each node.
        Value::Integer(value) if matches!(parameter.scope, Scope::NodeOrAll(_)) => {
            value.to_string()
        }
        Value::Integer(value) => measure(*value, unit(parameter)),
        Value::Real(value) => format!("{value:.6}"),
        Value::Text(text) if parameter.kind == Kind::Secret && !text.is_empty() => {
            SECRET.to_owned()
        }
        Value::Text(text) => text.clone(),
        Value::List(items) => {
            let separator = match parameter.kind {
                Kind::List { separator } => separator,
                Kind::Bool
                | Kind::Integer { .. }
                | Kind::Real { .. }
                | Kind::Text
                | Kind::Secret
                | Kind::Choice(_) => ',',
            };
            items.join(&separator.to_string())
        }
        Value::Choice(word) => (*word).to_owned(),
    }
}

fn unit(parameter: &Parameter) -> Unit {
    match parameter.kind {
        Kind::Integer { unit, .. } => unit,
        Kind::Bool
        | Kind::Real { .. }
        | Kind::Text
        | Kind::Secret
        | Kind::List { .. }
        | Kind::Choice(_) => Unit::One,
    }
}

/// Writes a number with the largest unit of which it is a whole multiple, as PostgreSQL does.
fn measure(value: i64, base: Unit) -> String {
    const TIMES: [(&str, i64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];
    const SIZES: [(&str, i64); 5] =
        [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10), ("B", 1)];
    let (units, size) = match base {
        Unit::Milliseconds => (TIMES, 1),
        Unit::Seconds => (TIMES, 1000),
        Unit::Minutes => (TIMES, 60_000),
        Unit::Bytes => (SIZES, 1),
        Unit::Kilobytes => (SIZES, 1 << 10),
        Unit::Mode => return format!("{value:04o}"),
        Unit::One => return value.to_string(),
    };
    let whole = value.checked_mul(size).filter(|whole| *whole > 0);
    let fit = whole.and_then(|whole| {
        let (name, unit) = units.iter().find(|(_, unit)| whole % unit == 0)?;
        Some(format!("{}{name}", whole / unit))
    });
    fit.unwrap_or_else(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::tests::load_one;
    use crate::config::parameters::by_name;

    #[test]
    fn what_no_file_sets_is_shown_as_it_is() {
        let conf = "backend_hostname0 = a\nbackend_port0 = 5432\nsr_check_user = u\n";
        let mut config = load_one("pgpool.conf", conf).unwrap().config;
        let shown = |config: &Config| {
            UNSET.map(|name| config.shown(name).map(|shown| shown.words.clone()).unwrap())
        };
        assert_eq!(shown(&config), ["", "", ""]);
        config.default_as_pgpool();
        assert_eq!(shown(&config), ["/var/run/pgpool/pgpool.pid", "", "%m: %a pid %p: "]);
        assert_eq!(config.log.line_prefix.as_deref(), Some("%m: %a pid %p: "));

        let set = "pid_file_name = p\nlogdir = d\nlog_line_prefix = ''\n";
        let mut config = load_one("pgpool.conf", &format!("{conf}{set}")).unwrap().config;
        config.default_as_pgpool();
        assert_eq!(shown(&config), ["p", "d", ""]);
        assert_eq!(config.log.line_prefix.as_deref(), Some(""));
    }

    #[test]
    fn values_are_written_in_both_ways() {
        let cases: &[(&str, &str, &str, &str)] = &[
            // Parameter, written, in pool_status, in PGPOOL SHOW.
            ("log_connections", "on", "1", "on"),
            ("log_connections", "off", "0", "off"),
            ("client_idle_limit", "300", "300", "5min"),
            ("client_idle_limit", "0", "0", "0"),
            ("client_idle_limit", "1h", "3600", "1h"),
            ("client_idle_limit", "33", "33", "33s"),
            ("client_idle_limit_in_recovery", "-1", "-1", "-1"),
            ("log_rotation_age", "1440", "1440", "1d"),
            ("connect_timeout", "10s", "10000", "10000"),
            ("health_check_period", "2", "2", "2"),
            ("memqcache_total_size", "67108864", "67108864", "64MB"),
            ("memqcache_maxcache", "409600", "409600", "400kB"),
            ("log_rotation_size", "10240", "10240", "10MB"),
            ("unix_socket_permissions", "0777", "0777", "0777"),
            ("port", "9999", "9999", "9999"),
            ("sr_check_password", "secret", "*****", "*****"),
            ("sr_check_password", "", "", ""),
            ("backend_clustering_mode", "streaming_replication", "1", "streaming_replication"),
            ("reset_query_list", "ABORT; DISCARD ALL", "ABORT;DISCARD ALL", "ABORT;DISCARD ALL"),
            ("listen_addresses", "a, b", "a,b", "a,b"),
            ("track_table_mutation_ttl_factor", "5", "5.000000", "5.000000"),
        ];
        for (name, written, status, words) in cases {
            let parameter = by_name(name).expect("it exists");
            let read = Override::read(parameter, written).expect("it fits");
            assert_eq!((&*read.shown.status, &*read.shown.words), (*status, *words), "{name}");
        }
        let parameter = by_name("client_idle_limit").expect("it exists");
        assert!(Override::read(parameter, "soon").is_err());
        let read = Override::read(parameter, "1min").expect("it fits");
        assert_eq!((read.number(), read.flag()), (Some(60), None));
    }
}
