//! `pgherd.toml`: its shape.
//!
//! Parameters at the top, under Pgpool-II's names; a `[[backends]]` section for every server and a
//! `[[pools]]` section for pools that differ, both numbered in their order; and `[users]`, names and stored secrets. The reader goes on behind
//! a mistake, so that all of them are found at once.

use super::findings::Findings;
use super::mistake::{Herd, Naming, Pools, Problem, Syntax, Unfit};
use super::parameters::{self, Found};
use super::settings::{Setting, Stored};
use super::value::Written;
use super::{LAST_NODE, LAST_POOL};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Sections of one kind, which are numbered in their order.
struct Kind {
    name: &'static str,
    /// What stands in the place of one, for a message.
    shape: &'static str,
    /// The keys, and the parameters they stand for.
    keys: &'static [(&'static str, &'static str)],
    /// The number of the last one.
    last: u8,
    /// What is wrong with one that is empty.
    empty: fn() -> Problem,
}

const BACKENDS: Kind = Kind {
    name: "backends",
    shape: "[[backends]] sections",
    keys: &[
        ("hostname", "backend_hostname"),
        ("port", "backend_port"),
        ("weight", "backend_weight"),
        ("data_directory", "backend_data_directory"),
        ("application_name", "backend_application_name"),
        ("flag", "backend_flag"),
        ("priority", "backend_priority"),
        ("connect_timeout", "connect_timeout"),
        ("health_check_period", "health_check_period"),
        ("health_check_timeout", "health_check_timeout"),
        ("health_check_user", "health_check_user"),
        ("health_check_password", "health_check_password"),
        ("health_check_database", "health_check_database"),
        ("health_check_max_retries", "health_check_max_retries"),
        ("health_check_retry_delay", "health_check_retry_delay"),
    ],
    last: LAST_NODE,
    empty: || Herd::EmptyBackend.into(),
};

const POOLS: Kind = Kind {
    name: "pools",
    shape: "[[pools]] sections",
    keys: &[
        ("database", "pool_database"),
        ("user", "pool_user"),
        ("mode", "pool_mode"),
        ("size_min", "pool_size_min"),
        ("size_max", "pool_size_max"),
        ("reserve_size", "pool_reserve_size"),
    ],
    last: LAST_POOL,
    empty: || Pools::Nobody.into(),
};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The settings, in the order of their lines.
    pub(super) settings: Vec<Setting>,
    /// `[users]`.
    pub(super) users: Vec<Stored>,
}

/// Reads a file.
pub(super) fn read(path: &str, text: &str, findings: &mut Findings) -> Contents {
    let text = text.trim_start_matches('\u{feff}');
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reading = Reading { path, text, findings, contents: Contents::default() };
    let mut broken: Vec<usize> = Vec::new();
    for error in errors {
        let line = reading.line_of(error.span().map_or(0, |span| span.start));
        // What follows on the same line is mostly the same mistake once more.
        if !broken.contains(&line) {
            broken.push(line);
            let (key, syntax) = broken_line(text, line, error.message());
            reading.findings.mistake(path, Some(line), key, syntax);
        }
    }
    reading.top(table.get_ref());
    let mut contents = reading.contents;
    // The reader's guess at a broken line is not what the operator wrote.
    contents.settings.retain(|s| !s.line.is_some_and(|line| broken.contains(&line)));
    contents.settings.sort_by_key(|setting| setting.line);
    contents.users.sort_by_key(|user| user.line);
    contents
}

/// A file being read.
struct Reading<'a> {
    path: &'a str,
    text: &'a str,
    findings: &'a mut Findings,
    contents: Contents,
}

impl Reading<'_> {
    fn line_of(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    fn mistake(&mut self, at: usize, key: &str, problem: impl Into<Problem>) {
        let line = self.line_of(at);
        self.findings.mistake(self.path, Some(line), Some(key), problem);
    }

    fn top(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            match (name, value.get_ref()) {
                ("backends", DeValue::Array(backends)) => self.sections(&BACKENDS, backends),
                ("pools", DeValue::Array(pools)) => self.sections(&POOLS, pools),
                ("users", DeValue::Table(users)) => self.users(users),
                ("backends", _) => self.mistake(at, name, unfit(BACKENDS.shape, value)),
                ("pools", _) => self.mistake(at, name, unfit(POOLS.shape, value)),
                ("users", _) => self.mistake(at, name, unfit("a [users] section", value)),
                (_, DeValue::Table(_)) if parameters::find(name) == Found::Unknown => {
                    self.mistake(at, name, Naming::UnknownSection);
                }
                (_, other) => self.setting(name.to_owned(), name.to_owned(), at, other),
            }
        }
    }

    fn setting(&mut self, key: String, name: String, at: usize, value: &DeValue<'_>) {
        let line = Some(self.line_of(at));
        let file = self.path.to_owned();
        self.contents.settings.push(Setting { file, line, key, name, written: written(value) });
    }

    fn sections(&mut self, kind: &Kind, sections: &DeArray<'_>) {
        let Kind { name, shape, keys, last, empty } = kind;
        for (index, section) in sections.iter().enumerate() {
            let at = section.span().start;
            let Some(table) = section.get_ref().as_table() else {
                self.mistake(at, name, unfit(shape, section));
                continue;
            };
            if index > usize::from(*last) {
                self.mistake(at, name, Naming::NumberTooBig { last: *last });
                return;
            }
            if table.is_empty() {
                self.mistake(at, &format!("{name}[{index}]"), empty());
            }
            for (key, value) in table {
                let (key, at) = (key.get_ref().as_ref(), key.span().start);
                let path = format!("{name}[{index}].{key}");
                match keys.iter().find(|(known, _)| *known == key) {
                    Some((_, parameter)) => {
                        self.setting(path, format!("{parameter}{index}"), at, value.get_ref());
                    }
                    None => self.mistake(at, &path, misnamed(keys, key)),
                }
            }
        }
    }

    fn users(&mut self, users: &DeTable<'_>) {
        for (user, secret) in users {
            let (name, at) = (user.get_ref().as_ref(), user.span().start);
            match secret.get_ref().as_str() {
                Some(text) => {
                    let line = Some(self.line_of(at));
                    let (name, text) = (name.to_owned(), text.to_owned());
                    self.contents.users.push(Stored { line, name, text });
                }
                None => {
                    self.mistake(at, &format!("users.{name}"), unfit("a text in quotes", secret));
                }
            }
        }
    }
}

/// Says what is wrong with a line that is no TOML. Pgpool-II's `on` and `off` are the slip that
/// its users make first, and the reader's words for it would not help them.
fn broken_line<'a>(text: &'a str, line: usize, message: &str) -> (Option<&'a str>, Syntax) {
    let line = text.lines().nth(line - 1).unwrap_or_default();
    if let Some((key, value)) = line.split_once('=') {
        let value = value.split('#').next().unwrap_or_default().trim();
        if ["on", "off", "yes", "no"].iter().any(|word| value.eq_ignore_ascii_case(word)) {
            return (Some(key.trim()), Syntax::OnOff);
        }
    }
    (None, Syntax::Toml(message.to_owned()))
}

/// Says what is wrong with a key in a section of these keys.
fn misnamed(keys: &[(&'static str, &'static str)], name: &str) -> Naming {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if let Some((key, _)) = keys.iter().find(|(_, parameter)| *parameter == stem) {
        return Naming::Unknown { meant: Some((*key).to_owned()) };
    }
    if matches!(parameters::find(name), Found::Known(..) | Found::Obsolete(..)) {
        return Naming::Misplaced;
    }
    // `host` is what other programs call it, and too short for a slip to be found.
    let stem = if stem == "host" { "hostname" } else { stem };
    let meant = parameters::nearest(stem, keys.iter().map(|(key, _)| *key));
    Naming::Unknown { meant: meant.map(str::to_owned) }
}

fn unfit(expected: &'static str, value: &Spanned<DeValue<'_>>) -> Unfit {
    Unfit::WrongType { expected, found: written(value.get_ref()).type_name() }
}

/// Turns a TOML value into what the parameters' kinds read.
fn written(value: &DeValue<'_>) -> Written {
    match value {
        DeValue::String(text) => Written::Text(text.clone().into_owned()),
        DeValue::Boolean(value) => Written::Bool(*value),
        DeValue::Integer(number) => {
            let digits = number.as_str();
            let beyond = if digits.starts_with('-') { i128::MIN } else { i128::MAX };
            Written::Integer(i128::from_str_radix(digits, number.radix()).unwrap_or(beyond))
        }
        DeValue::Float(number) => Written::Real(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Datetime(_) => Written::Other("a date"),
        DeValue::Table(_) => Written::Other("a section"),
        DeValue::Array(items) => items
            .iter()
            .map(|item| item.get_ref().as_str().map(str::to_owned))
            .collect::<Option<Vec<String>>>()
            .map_or(Written::Other("a list of something else than texts"), Written::List),
    }
}

#[cfg(test)]
mod tests;
