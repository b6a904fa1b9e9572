//! Settings as written, each found in the table of parameters and read by its kind.

use super::findings::Findings;
use super::format::Format;
use super::mistake::{Naming, Unfit};
use super::note::NoteKind;
use super::parameters::{self, Effect, Found, Kind, Parameter};
use super::value::{self, Value, Written};
use crate::time::Duration;
use std::collections::BTreeMap;

/// A setting as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    pub(super) file: String,
    pub(super) line: Option<usize>,
    /// As shown to people: `backends[0].port`.
    pub(super) key: String,
    /// As looked up: `backend_port0`.
    pub(super) name: String,
    pub(super) written: Written,
}

/// A user and a secret as they stand in a file.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) line: Option<usize>,
    pub(super) name: String,
    pub(super) text: String,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored").field("line", &self.line).field("name", &self.name).finish()
    }
}

/// A parameter's name, and the node it is for.
type Target = (&'static str, Option<u8>);

/// All settings that are in effect, by parameter; the last one wins.
#[derive(Debug)]
pub(super) struct Settings {
    /// The file that was asked for.
    pub(super) path: String,
    pub(super) format: Format,
    /// Parameters whose effect comes later, with their values as written.
    pub(super) not_yet: Vec<(String, String)>,
    values: BTreeMap<Target, (Setting, Value)>,
    /// Where each parameter was set.
    places: BTreeMap<Target, Vec<(String, Option<usize>)>>,
}

impl Settings {
    /// Finds and reads every setting.
    pub(super) fn resolve(
        path: &str,
        format: Format,
        written: Vec<Setting>,
        findings: &mut Findings,
    ) -> Self {
        let mut settings = Self {
            path: path.to_owned(),
            format,
            not_yet: Vec::new(),
            values: BTreeMap::new(),
            places: BTreeMap::new(),
        };
        for setting in written {
            settings.name(setting, findings);
        }
        settings.note_duplicates(findings);
        settings.collect_not_yet(findings);
        settings
    }

    /// Looks a setting's name up.
    fn name(&mut self, setting: Setting, findings: &mut Findings) {
        let Setting { file, line, key, .. } = &setting;
        let mut mistake = |naming: Naming| findings.mistake(file, *line, Some(key), naming);
        match parameters::find(&setting.name) {
            Found::NumberMissing(_) => mistake(Naming::NumberMissing),
            Found::NumberTooBig(_, last) => mistake(Naming::NumberTooBig { last }),
            Found::Unknown => {
                let meant = meant_by(&setting.name);
                match self.format {
                    Format::Toml => mistake(Naming::Unknown { meant }),
                    Format::Pgpool => {
                        findings.note(file, *line, Some(key), NoteKind::Unknown { meant });
                    }
                }
            }
            Found::Known(parameter, node) => {
                self.apply(parameter.effect, Some(parameter), node, setting, findings);
            }
            Found::Obsolete(old, node) => self.apply(old.effect, None, node, setting, findings),
        }
    }

    /// Does what the table says about a name; names of old have an effect but no parameter.
    fn apply(
        &mut self,
        effect: Effect,
        parameter: Option<&'static Parameter>,
        node: Option<u8>,
        setting: Setting,
        findings: &mut Findings,
    ) {
        if let Effect::Alias(name) = effect {
            let to = name.to_owned();
            let Setting { file, line, key, .. } = &setting;
            findings.note(file, *line, Some(key), NoteKind::Renamed { to });
            if let Some(parameter) = parameters::by_name(name) {
                self.apply(parameter.effect, Some(parameter), node, setting, findings);
            }
            return;
        }
        let value = match parameter.map(|parameter| value::read(parameter, &setting.written)) {
            Some(Err(unfit)) => {
                return findings.mistake(&setting.file, setting.line, Some(&setting.key), unfit);
            }
            Some(Ok(value)) => Some(value),
            None => None,
        };
        let is_default = parameter.is_none_or(|parameter| value == default(parameter));
        let Setting { file, line, key, .. } = &setting;
        match effect {
            Effect::Dead(why) => findings.note(file, *line, Some(key), NoteKind::Dead(why)),
            Effect::Refused(why) | Effect::RefusedOrDead(why, _) if !is_default => {
                findings.mistake(file, *line, Some(key), Unfit::Refused(why));
            }
            Effect::RefusedOrDead(_, why) => {
                findings.note(file, *line, Some(key), NoteKind::Dead(why));
            }
            Effect::InEffect | Effect::NotYet | Effect::Refused(_) | Effect::Alias(_) => {}
        }
        if let (Some(parameter), Some(value)) = (parameter, value) {
            self.keep(parameter, node, setting, value, findings);
        }
    }

    fn keep(
        &mut self,
        parameter: &'static Parameter,
        node: Option<u8>,
        setting: Setting,
        value: Value,
        findings: &mut Findings,
    ) {
        let Setting { file, line, key, .. } = &setting;
        if let Some(value) = value::surprising_octal(parameter, &setting.written) {
            findings.note(file, *line, Some(key), NoteKind::Octal { value });
        }
        let target = (parameter.name, node);
        let places = self.places.entry(target).or_default();
        if let (Format::Toml, Some((_, first))) = (self.format, places.first()) {
            findings.mistake(file, *line, Some(key), Naming::SetTwice { line: *first });
        }
        places.push((file.clone(), *line));
        self.values.insert(target, (setting, value));
    }

    fn note_duplicates(&self, findings: &mut Findings) {
        if self.format == Format::Toml {
            return;
        }
        for (target, (setting, _)) in &self.values {
            let places = self.places.get(target).map(Vec::as_slice).unwrap_or_default();
            let Some((_, earlier)) = places.split_last().filter(|(_, e)| !e.is_empty()) else {
                continue;
            };
            let earlier = earlier
                .iter()
                .map(|(file, line)| {
                    let line = line.unwrap_or_default();
                    if *file == setting.file {
                        format!("line {line}")
                    } else {
                        format!("{file}:{line}")
                    }
                })
                .collect();
            let kind = NoteKind::Duplicate { earlier };
            findings.note(&setting.file, setting.line, Some(&setting.key), kind);
        }
    }

    /// Collects what has no effect yet. A switch that is left off asks for nothing.
    fn collect_not_yet(&mut self, findings: &mut Findings) {
        for ((name, node), (setting, value)) in &self.values {
            let Some(parameter) = parameters::by_name(name) else { continue };
            if parameter.effect != Effect::NotYet
                || (*value == Value::Bool(false) && default(parameter).as_ref() == Some(value))
            {
                continue;
            }
            findings.note(&setting.file, setting.line, Some(&setting.key), NoteKind::NotYet);
            let written = if parameter.kind == Kind::Secret {
                "(not shown)".to_owned()
            } else {
                setting.written.to_string()
            };
            self.not_yet.push((numbered(name, *node), written));
        }
    }

    /// Returns what a file says about a parameter, if any does.
    pub(super) fn given(&self, name: &'static str, node: Option<u8>) -> Option<&Value> {
        self.values.get(&(name, node)).map(|(_, value)| value)
    }

    /// Returns the setting behind a value, if a file has one.
    pub(super) fn setting(&self, name: &'static str, node: Option<u8>) -> Option<&Setting> {
        self.values.get(&(name, node)).map(|(setting, _)| setting)
    }

    /// Lists the nodes for which a file says anything about a parameter.
    pub(super) fn nodes(&self, name: &'static str) -> impl Iterator<Item = u8> {
        self.values.keys().filter(move |(n, _)| *n == name).filter_map(|(_, node)| *node)
    }

    /// Returns a value: the node's own, or that of all nodes, or the default.
    pub(super) fn value(&self, name: &'static str, node: Option<u8>) -> Option<Value> {
        let given = self.given(name, node).or_else(|| self.given(name, None));
        given.cloned().or_else(|| parameters::by_name(name).and_then(default))
    }

    /// Returns a boolean.
    pub(super) fn flag(&self, name: &'static str) -> bool {
        self.value(name, None) == Some(Value::Bool(true))
    }

    /// Returns a number, which its range keeps from being negative.
    pub(super) fn number(&self, name: &'static str, node: Option<u8>) -> u64 {
        match self.value(name, node) {
            Some(Value::Integer(value)) => u64::try_from(value).unwrap_or_default(),
            _ => 0,
        }
    }

    /// Returns a count of things in memory.
    pub(super) fn count(&self, name: &'static str) -> usize {
        usize::try_from(self.number(name, None)).unwrap_or(usize::MAX)
    }

    /// Returns a time, for a parameter counted in seconds.
    pub(super) fn seconds(&self, name: &'static str) -> Duration {
        Duration::from_secs(self.number(name, None))
    }

    /// Returns a time, for a parameter counted in milliseconds.
    pub(super) fn milliseconds(&self, name: &'static str) -> Duration {
        Duration::from_millis(self.number(name, None))
    }

    /// Returns a number with a fraction.
    pub(super) fn real(&self, name: &'static str) -> f64 {
        match self.value(name, None) {
            Some(Value::Real(value)) => value,
            _ => 0.0,
        }
    }

    /// Returns a time for a parameter counted in seconds, of which zero is none.
    pub(super) fn limit(&self, name: &'static str) -> Option<Duration> {
        Some(self.seconds(name)).filter(|limit| !limit.is_zero())
    }

    /// Returns a text.
    pub(super) fn text(&self, name: &'static str, node: Option<u8>) -> String {
        match self.value(name, node) {
            Some(Value::Text(text)) => text,
            _ => String::new(),
        }
    }

    /// Returns the name of a file or directory, if a file gives one.
    pub(super) fn path(&self, name: &'static str) -> Option<String> {
        let given = self.setting(name, None).map(|_| self.text(name, None));
        given.filter(|path| !path.is_empty())
    }

    /// Returns the items of a list.
    pub(super) fn list(&self, name: &'static str, node: Option<u8>) -> Vec<String> {
        match self.value(name, node) {
            Some(Value::List(items)) => items,
            _ => Vec::new(),
        }
    }

    /// Returns a word out of several; none if it is not set.
    pub(super) fn choice(&self, name: &'static str) -> Option<&'static str> {
        match self.value(name, None) {
            Some(Value::Choice(word)) => Some(word),
            _ => None,
        }
    }

    /// Returns how the key of a node's parameter is written in this file.
    pub(super) fn key(&self, name: &'static str, node: u8) -> String {
        if let Some(setting) = self.setting(name, Some(node)) {
            return setting.key.clone();
        }
        let sections = ["backend_hostname", "backend_port", "backend_weight"];
        let sectioned = sections.iter().filter_map(|other| self.setting(other, Some(node)));
        let sectioned = sectioned.into_iter().any(|setting| setting.key.starts_with("backends["));
        match name.strip_prefix("backend_").filter(|_| sectioned) {
            Some(short) => format!("backends[{node}].{short}"),
            None => numbered(name, Some(node)),
        }
    }
}

/// Returns the value where no file gives one.
pub(super) fn default(parameter: &Parameter) -> Option<Value> {
    let text = parameter.default?;
    value::read(parameter, &Written::Bare(text.to_owned())).ok()
}

/// Finds the parameter that a mistyped name probably means, with the node's number.
fn meant_by(written: &str) -> Option<String> {
    let meant = parameters::did_you_mean(written)?;
    let digits = written.trim_start_matches(|c: char| !c.is_ascii_digit());
    let number = digits.parse::<u8>().ok();
    if matches!(parameters::find(meant), Found::NumberMissing(_)) {
        return Some(numbered(meant, Some(number.unwrap_or(0))));
    }
    Some(meant.to_owned())
}

pub(super) fn numbered(name: &str, node: Option<u8>) -> String {
    node.map_or_else(|| name.to_owned(), |node| format!("{name}{node}"))
}
