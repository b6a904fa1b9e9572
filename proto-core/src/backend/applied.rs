//! The parameters that have been set on a connection, and what it takes to set others.

use bytes::Bytes;

use crate::wire::frontend;

/// A parameter that has been set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The parameter, in lower case; several with commas between them.
    pub name: Bytes,
    /// The `Query` message that sets it.
    pub query: Bytes,
}

impl Setting {
    /// Makes a setting of a statement's text; none if the text cannot stand in a message.
    #[must_use]
    pub fn of_text(name: &str, text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let query = frontend::compose_query(text);
        let name = Bytes::copy_from_slice(name.as_bytes());
        (!query.is_empty()).then_some(Self { name, query })
    }

    /// Tells whether it gives back the value with which the connection began.
    fn is_reset(&self) -> bool {
        *self == reset(&self.name)
    }

    /// Lists the parameters.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.name.split(|byte| *byte == b',')
    }

    /// Makes a setting of a value as it would stand in a startup packet.
    #[must_use]
    pub fn of_value(name: &[u8], value: &[u8]) -> Option<Self> {
        let lower = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        let literal = quote(value)?;
        let text = if LISTS.contains(&lower.as_str()) {
            // SET would take the literal for the list's only item.
            format!("SELECT pg_catalog.set_config('{lower}', {literal}, false)")
        } else {
            format!("SET {} = {literal}", identifier(&lower))
        };
        Self::of_text(&lower, text.as_bytes())
    }
}

/// Parameters whose values are lists of names (`GUC_LIST_QUOTE` in PostgreSQL's source) and that a
/// client may set.
const LISTS: [&str; 4] =
    ["search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"];

/// Writes a literal that means itself whatever `standard_conforming_strings` is.
pub(crate) fn quote(value: &[u8]) -> Option<String> {
    let value = std::str::from_utf8(value).ok()?.replace('\'', "''");
    Some(if value.contains('\\') {
        format!("E'{}'", value.replace('\\', "\\\\"))
    } else {
        format!("'{value}'")
    })
}

/// Writes a parameter's name; one of an extension has a dot between two identifiers.
fn identifier(name: &str) -> String {
    let part = |part: &str| format!("\"{}\"", part.replace('"', "\"\""));
    name.split('.').map(part).collect::<Vec<_>>().join(".")
}

/// What is set on a connection beyond what it was opened with.
#[derive(Debug, PartialEq, Eq)]
pub enum Applied {
    /// These parameters, each once.
    Known(Vec<Setting>),
    /// Perhaps others too.
    Unknown,
}

impl Default for Applied {
    fn default() -> Self {
        Self::Known(Vec::new())
    }
}

impl Applied {
    /// Tells whether nothing is set.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Known(settings) if settings.is_empty())
    }

    /// Tells whether exactly these are set.
    #[must_use]
    pub fn is(&self, wanted: Wanted<'_>) -> bool {
        let Self::Known(known) = self else { return false };
        known.iter().eq(wanted.iter())
    }

    /// The statements that make `wanted` of it: what is set and not wanted is reset, what is
    /// wanted and not set is set.
    #[must_use]
    pub fn steps_to(&self, wanted: Wanted<'_>) -> Vec<Setting> {
        let Self::Known(known) = self else {
            let query = frontend::compose_query("RESET ALL");
            let reset = Setting { name: Bytes::from_static(ALL), query };
            return std::iter::once(reset).chain(wanted.iter().cloned()).collect();
        };
        let is_wanted = |name: &Bytes| wanted.iter().any(|setting| setting.name == *name);
        let resets = known
            .iter()
            .filter(|setting| !is_wanted(&setting.name))
            .map(|setting| reset(&setting.name));
        let sets = wanted.iter().filter(|s| !known.contains(s)).flat_map(|setting| {
            // A value of this one may name one half and leave the other as it was.
            let is_halved = setting.name == b"datestyle"[..]
                && known.iter().any(|set| set.name == setting.name);
            let reset = is_halved.then(|| reset(&setting.name));
            reset.into_iter().chain(std::iter::once(setting.clone()))
        });
        resets.chain(sets).collect()
    }

    /// Notes that one of the steps has been carried out.
    pub fn take_step(&mut self, step: Setting) {
        if step.name == ALL {
            *self = Self::default();
        } else if let Self::Known(known) = self {
            known.retain(|setting| setting.name != step.name);
            if !step.is_reset() {
                known.push(step);
            }
        }
    }

    /// Notes that a parameter is as it was when the connection began.
    pub fn forget(&mut self, name: &[u8]) {
        if let Self::Known(known) = self {
            known.retain(|setting| setting.name != name);
        }
    }

    /// Notes that exactly these are set now.
    pub fn become_these(&mut self, wanted: Wanted<'_>) {
        *self = Self::Known(wanted.iter().cloned().collect());
    }
}

/// What a session wants to be set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// What it asked for when it began.
    pub first: &'a [Setting],
    /// What it has set since, which counts for more.
    pub then: &'a [Setting],
    /// What is left out of both, by name.
    pub without: &'a [Bytes],
}

impl<'a> Wanted<'a> {
    fn iter(self) -> impl Iterator<Item = &'a Setting> {
        let is_overridden =
            move |setting: &&Setting| self.then.iter().any(|later| later.name == setting.name);
        let first = self.first.iter().filter(move |s| !is_overridden(s));
        first.chain(self.then).filter(move |s| !self.without.contains(&s.name))
    }
}

/// What a step is called that resets every parameter.
const ALL: &[u8] = b"all";

/// Composes the step that gives a parameter back the value with which the connection began.
fn reset(name: &Bytes) -> Setting {
    let names = String::from_utf8_lossy(name);
    let one = |name: &str| format!("RESET {}", identifier(name));
    let text = names.split(',').map(one).collect::<Vec<_>>().join("; ");
    Setting { name: name.clone(), query: frontend::compose_query(&text) }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn setting(name: &str, value: &str) -> Setting {
        Setting::of_text(name, format!("SET {name} TO {value}").as_bytes()).unwrap()
    }

    fn texts(steps: &[Setting]) -> Vec<String> {
        let text = |Setting { query, .. }: &Setting| {
            String::from_utf8_lossy(query.get(5..query.len() - 1).unwrap_or_default()).into_owned()
        };
        steps.iter().map(text).collect()
    }

    #[test]
    fn only_what_differs_is_set_or_reset() {
        let (a, a2, b, c) =
            (setting("a", "1"), setting("a", "2"), setting("b", "1"), setting("c", "1"));
        let known = |settings: &[&Setting]| {
            Applied::Known(settings.iter().map(|setting| (*setting).clone()).collect())
        };
        let cases: [(&str, Applied, Wanted<'_>, &[&str]); 8] = [
            (
                "nothing to do",
                known(&[&a]),
                Wanted { first: &[], then: from_ref(&a), without: &[] },
                &[],
            ),
            (
                "more",
                known(&[&a]),
                Wanted { first: &[], then: &[a.clone(), b.clone()], without: &[] },
                &["SET b TO 1"],
            ),
            (
                "another value",
                known(&[&a]),
                Wanted { first: &[], then: from_ref(&a2), without: &[] },
                &["SET a TO 2"],
            ),
            (
                "less",
                known(&[&a, &c]),
                Wanted { first: &[], then: from_ref(&a), without: &[] },
                &["RESET \"c\""],
            ),
            (
                "of its own at login",
                known(&[]),
                Wanted { first: from_ref(&a), then: from_ref(&b), without: &[] },
                &["SET a TO 1", "SET b TO 1"],
            ),
            (
                "changed since login",
                known(&[]),
                Wanted { first: from_ref(&a), then: from_ref(&a2), without: &[] },
                &["SET a TO 2"],
            ),
            (
                "back to what it was at login",
                known(&[&a2]),
                Wanted { first: from_ref(&a), then: &[], without: &[] },
                &["SET a TO 1"],
            ),
            (
                "in doubt",
                Applied::Unknown,
                Wanted { first: &[], then: from_ref(&a), without: &[] },
                &["RESET ALL", "SET a TO 1"],
            ),
        ];
        for (name, mut applied, wanted, expected) in cases {
            assert_eq!(texts(&applied.steps_to(wanted)), expected, "{name}");
            let mut stepped = Applied::Unknown;
            for step in stepped.steps_to(wanted) {
                stepped.take_step(step);
            }
            assert!(stepped.is(wanted), "{name}");
            for step in applied.steps_to(wanted) {
                applied.take_step(step);
            }
            assert!(applied.steps_to(wanted).is_empty(), "{name}");
            let mut applied = Applied::Unknown;
            applied.become_these(wanted);
            assert!(applied.is(wanted) && applied.steps_to(wanted).is_empty(), "{name}");
        }
    }

    #[test]
    fn what_is_let_go_is_reset_wherever_it_is_wanted() {
        let (a, a2, b) = (setting("a", "1"), setting("a", "2"), setting("b", "1"));
        let without = &[Bytes::from_static(b"a")];
        let wanted = Wanted { first: from_ref(&a), then: &[a2.clone(), b], without };
        for known in [a.clone(), a2.clone()] {
            let applied = Applied::Known(vec![known]);
            assert_eq!(texts(&applied.steps_to(wanted)), ["RESET \"a\"", "SET b TO 1"]);
        }
    }

    #[test]
    fn values_are_quoted_for_every_reading() {
        let text = |name: &str, value: &[u8]| {
            let setting = Setting::of_value(name.as_bytes(), value).unwrap();
            assert_eq!(setting.name, name.to_ascii_lowercase());
            texts(&[setting]).concat()
        };
        assert_eq!(text("DateStyle", b"ISO, DMY"), "SET \"datestyle\" = 'ISO, DMY'");
        assert_eq!(text("application_name", b"o'c"), "SET \"application_name\" = 'o''c'");
        assert_eq!(text("a.b", b"\\'; drop"), "SET \"a\".\"b\" = E'\\\\''; drop'");
        assert_eq!(
            text("search_path", b"a, b"),
            "SELECT pg_catalog.set_config('search_path', 'a, b', false)"
        );
        assert_eq!(Setting::of_value(b"a", b"\xff"), None);
    }

    #[test]
    fn parameters_of_extensions_are_reset_by_both_names() {
        assert_eq!(texts(&[reset(&Bytes::from_static(b"app.user"))]), ["RESET \"app\".\"user\""]);
        assert_eq!(texts(&[reset(&Bytes::from_static(b"a,b"))]), ["RESET \"a\"; RESET \"b\""]);
    }
}
