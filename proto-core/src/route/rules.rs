//! The operator's rules about what statements do: which functions write, which texts are for the
//! primary, what a comment means.

use super::functions::Effect;
use super::pattern::Pattern;

/// What the operator says of functions, texts and comments.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Which functions write.
    pub functions: FunctionRule,
    /// `stateless_function_list`: functions that may write, and leave nothing in the session.
    pub stateless: Vec<Pattern>,
    /// `primary_routing_query_pattern_list`: texts that go to the primary.
    pub primary_texts: Vec<Pattern>,
    /// `allow_sql_comments`.
    pub comments: Comments,
    /// Differs between rules under which a text might be of another class.
    stamp: u64,
}

/// What tells whether a function that is not PostgreSQL's own writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum FunctionRule {
    /// The catalog: a volatile one does.
    #[default]
    Catalog,
    /// `read_only_function_list`: all others do.
    ReadOnly(Vec<Pattern>),
    /// `write_function_list`: these do, and no others.
    Writing(Vec<Pattern>),
}

/// `allow_sql_comments`: what a comment in front of a statement does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Comments {
    /// It sends the statement to the primary, as in Pgpool-II.
    #[default]
    Bind,
    /// Nothing.
    Ignored,
}

/// What the operator's lists say of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saying {
    /// Nothing: the catalog decides.
    Nothing,
    /// It only reads.
    Reads,
    /// It writes.
    Writes,
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(FunctionRule::Catalog, Vec::new(), Vec::new(), Comments::Bind)
    }
}

impl Rules {
    /// Makes rules.
    #[must_use]
    pub fn new(
        functions: FunctionRule,
        stateless: Vec<Pattern>,
        primary_texts: Vec<Pattern>,
        comments: Comments,
    ) -> Self {
        let mut stamp = Stamp(0xcbf2_9ce4_8422_2325);
        let (kind, listed) = match &functions {
            FunctionRule::Catalog => ("catalog", &[][..]),
            FunctionRule::ReadOnly(patterns) => ("read", patterns.as_slice()),
            FunctionRule::Writing(patterns) => ("write", patterns.as_slice()),
        };
        stamp.add(kind);
        for list in [listed, &stateless, &primary_texts] {
            stamp.add("\n");
            list.iter().for_each(|pattern| stamp.add(pattern.written()));
        }
        Self { functions, stateless, primary_texts, comments, stamp: stamp.0 }
    }

    /// Tells what the lists say of a function, by its name and, where the text has it, its schema.
    pub(super) fn say(&self, schema: Option<&str>, name: &str) -> Saying {
        match &self.functions {
            FunctionRule::Catalog => Saying::Nothing,
            FunctionRule::ReadOnly(patterns) if is_in(patterns, schema, name) => Saying::Reads,
            FunctionRule::ReadOnly(_) => Saying::Writes,
            FunctionRule::Writing(patterns) if is_in(patterns, schema, name) => Saying::Writes,
            FunctionRule::Writing(_) => Saying::Reads,
        }
    }

    /// Tells whether a function is said to leave nothing in the session.
    pub(super) fn is_stateless(&self, schema: Option<&str>, name: &str) -> bool {
        is_in(&self.stateless, schema, name)
    }

    /// Tells whether the lists name a function of PostgreSQL's own, which they otherwise do not
    /// speak of.
    pub(super) fn say_of_own(&self, name: &str, known: Effect) -> Effect {
        let own = Some("pg_catalog");
        match (&self.functions, known) {
            (FunctionRule::ReadOnly(patterns), Effect::Primary) if is_in(patterns, own, name) => {
                Effect::None
            }
            (FunctionRule::Writing(patterns), Effect::None) if is_in(patterns, own, name) => {
                Effect::Primary
            }
            _ => known,
        }
    }

    /// Returns a number that differs between rules under which a text might be of another class.
    pub(super) const fn stamp(&self) -> u64 {
        self.stamp
    }
}

/// FNV-1a: it keeps apart the few sets of rules that one operator ever writes.
struct Stamp(u64);

impl Stamp {
    fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

fn is_in(patterns: &[Pattern], schema: Option<&str>, name: &str) -> bool {
    if patterns.is_empty() {
        return false;
    }
    let qualified = schema.map(|schema| format!("{schema}.{name}"));
    let qualified = qualified.as_deref();
    patterns.iter().any(|pattern| {
        pattern.matches(name) || qualified.is_some_and(|qualified| pattern.matches(qualified))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(written: &[&str]) -> Vec<Pattern> {
        written.iter().map(|written| Pattern::new(written).unwrap()).collect()
    }

    fn with(functions: FunctionRule) -> Rules {
        Rules::new(functions, vec![], vec![], Comments::Bind)
    }

    #[test]
    fn lists_speak_of_functions() {
        let none = Rules::default();
        let reading = FunctionRule::ReadOnly(patterns(&["get_.*", "shop\\.sum_up"]));
        let reading = with(reading);
        let writing = FunctionRule::Writing(patterns(&["put_.*"]));
        let writing = with(writing);
        let cases: &[(&Rules, Option<&str>, &str, Saying)] = &[
            (&none, None, "get_user", Saying::Nothing),
            (&reading, None, "get_user", Saying::Reads),
            (&reading, Some("shop"), "get_user", Saying::Reads),
            (&reading, Some("shop"), "sum_up", Saying::Reads),
            (&reading, None, "sum_up", Saying::Writes),
            (&reading, None, "forget_user", Saying::Writes),
            (&writing, None, "put_user", Saying::Writes),
            (&writing, None, "get_user", Saying::Reads),
        ];
        for (rules, schema, name, expected) in cases {
            assert_eq!(rules.say(*schema, name), *expected, "{schema:?} {name}");
        }
    }

    #[test]
    fn own_functions_are_spoken_of_by_name_only() {
        let read = FunctionRule::ReadOnly(patterns(&["random"]));
        let write = FunctionRule::Writing(patterns(&["now"]));
        let [read, write] = [read, write].map(with);
        let cases: &[(&Rules, &str, Effect, Effect)] = &[
            (&read, "random", Effect::Primary, Effect::None),
            (&read, "nextval", Effect::Primary, Effect::Primary),
            (&read, "count", Effect::None, Effect::None),
            (&write, "now", Effect::None, Effect::Primary),
            (&write, "random", Effect::Primary, Effect::Primary),
        ];
        for (rules, name, known, expected) in cases {
            assert_eq!(rules.say_of_own(name, *known), *expected, "{name}");
        }
    }

    #[test]
    fn every_list_is_in_the_stamp() {
        let some = || patterns(&["a"]);
        let texts = |texts| Rules::new(FunctionRule::Catalog, vec![], texts, Comments::Bind);
        let all = [
            with(FunctionRule::Catalog),
            with(FunctionRule::ReadOnly(some())),
            with(FunctionRule::Writing(some())),
            Rules::new(FunctionRule::Catalog, some(), vec![], Comments::Bind),
            texts(some()),
            texts(patterns(&["a", "b"])),
        ];
        let mut stamps: Vec<u64> = all.iter().map(Rules::stamp).collect();
        stamps.sort_unstable();
        stamps.dedup();
        assert_eq!(stamps.len(), all.len());
    }
}
