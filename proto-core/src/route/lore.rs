//! What is known beyond a text when it is classified: the catalog of its database, and the
//! operator's rules.

use super::catalog::{Catalog, Function};
use super::class::{Hold, Reason, StateChange};
use super::functions::{self, Effect};
use super::rules::{Comments, FunctionRule, Rules, Saying};

/// What is known beyond a text.
#[derive(Clone, Copy, Debug)]
pub struct Lore<'a> {
    /// The database, as a number that the caller gives it.
    pub database: u32,
    /// Which edition of the catalog this is; another number where the catalog is another.
    pub generation: u32,
    /// The facts of the database.
    pub catalog: &'a Catalog,
    /// The operator's rules.
    pub rules: &'a Rules,
    /// `allow_sql_comments`, which a session may set for itself.
    pub comments: Comments,
}

/// What a call means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Called {
    /// What speaks against a read.
    pub(super) doubt: Option<Reason>,
    /// What it leaves in the session.
    pub(super) state: StateChange,
}

impl<'a> Lore<'a> {
    /// Makes what there is to know while nothing of the database is.
    #[must_use]
    pub fn bare(rules: &'a Rules) -> Self {
        Self {
            database: 0,
            generation: 0,
            catalog: Catalog::nothing(),
            rules,
            comments: rules.comments,
        }
    }

    /// Tells what the call of a function means. The names are folded; `is_quoted` tells whether
    /// the function's stood in double quotes.
    pub(super) fn call(&self, schema: Option<&str>, name: &str, is_quoted: bool) -> Called {
        let own = match schema {
            None => functions::effect(name, is_quoted),
            Some("pg_catalog") => functions::effect(name, true),
            Some(_) => Effect::Unknown,
        };
        let shown = || match schema {
            Some(schema) => format!("{schema}.{name}").into_boxed_str(),
            None => name.into(),
        };
        let doubt = match own {
            Effect::Unknown => return self.foreign_call(schema, name, shown()),
            Effect::None | Effect::Primary => match self.rules.say_of_own(name, own) {
                Effect::None => None,
                Effect::Primary
                | Effect::Lock
                | Effect::SessionLock
                | Effect::SessionUnlock
                | Effect::SetsParameter
                | Effect::Leaves
                | Effect::Unknown => Some(Reason::PrimaryFunction { name: shown() }),
            },
            Effect::Lock | Effect::SessionLock | Effect::SessionUnlock => {
                Some(Reason::AdvisoryLock { name: shown() })
            }
            Effect::SetsParameter | Effect::Leaves => {
                Some(Reason::SessionFunction { name: shown() })
            }
        };
        let namesake = self.catalog.function(name).filter(|_| schema.is_none());
        if namesake.is_some_and(|function| function != Function::Reads) {
            // A function of a user's may be what is called.
            let other = self.foreign_call(schema, name, shown());
            let state = other.state.and(state_of(own));
            return Called { doubt: doubt.or(other.doubt), state };
        }
        Called { doubt, state: state_of(own) }
    }

    /// Tells what the call of a function means that is not PostgreSQL's own.
    fn foreign_call(&self, schema: Option<&str>, name: &str, shown: Box<str>) -> Called {
        let fact = self.catalog.function(name);
        let state = match fact {
            _ if self.rules.is_stateless(schema, name) => StateChange::None,
            Some(Function::Reads) => StateChange::None,
            Some(Function::SetsParameters) => StateChange::Holds(Hold::Setting),
            Some(Function::Volatile) | None => StateChange::Unknown,
        };
        if matches!(state, StateChange::Holds(_)) {
            return Called { doubt: Some(Reason::SessionFunction { name: shown }), state };
        }
        let doubt = match (self.rules.say(schema, name), fact) {
            (Saying::Reads, _) | (Saying::Nothing, Some(Function::Reads)) => {
                return Called { doubt: None, state: StateChange::None };
            }
            (Saying::Writes, _) => Reason::ListedFunction { name: shown },
            (Saying::Nothing, Some(Function::Volatile | Function::SetsParameters)) => {
                Reason::VolatileFunction { name: shown }
            }
            (Saying::Nothing, None) => Reason::UnknownFunction { name: shown },
        };
        Called { doubt: Some(doubt), state }
    }

    /// Tells whether a name in front of a parenthesis, which the parser did not take for a call,
    /// must not be one.
    pub(super) fn suspect(&self, name: &str, is_quoted: bool) -> Option<Reason> {
        let own = self.rules.say_of_own(name, functions::effect(name, is_quoted));
        if !matches!(own, Effect::None | Effect::Unknown) {
            return Some(Reason::PrimaryFunction { name: name.into() });
        }
        let writes = self.rules.functions == FunctionRule::Catalog
            && self.catalog.function(name).is_some_and(|function| function != Function::Reads);
        writes.then(|| Reason::VolatileFunction { name: name.into() })
    }

    /// Finds what speaks against reading a relation anywhere but on the primary.
    pub(super) fn relation(&self, parts: &[String]) -> Option<Reason> {
        let relation = || parts.join(".").into();
        if parts.iter().any(|part| part.starts_with("pg_")) {
            return Some(Reason::SystemCatalog { relation: relation() });
        }
        let name = parts.last()?;
        if self.catalog.is_unlogged(name) {
            return Some(Reason::UnloggedRelation { relation: relation() });
        }
        self.catalog.is_sequence(name).then(|| Reason::Sequence { relation: relation() })
    }
}

/// Tells what the call of a function leaves behind, whatever its arguments.
const fn state_of(effect: Effect) -> StateChange {
    match effect {
        Effect::None | Effect::Primary | Effect::Lock => StateChange::None,
        Effect::SessionLock => StateChange::Holds(Hold::AdvisoryLock),
        Effect::SessionUnlock => StateChange::Undoes,
        Effect::SetsParameter | Effect::Leaves => StateChange::Holds(Hold::Setting),
        Effect::Unknown => StateChange::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::Reader;
    use super::super::pattern::Pattern;
    use super::*;

    fn catalog() -> Catalog {
        let mut reader = Reader::new();
        for [name, detail] in [
            ["total", ""],
            ["buy", "v"],
            ["tune", "s"],
            ["lower", "v"],
            ["upper", ""],
            ["nextval", "v"],
        ] {
            reader.fact([b"f", name.as_bytes(), detail.as_bytes()]);
        }
        reader.finish()
    }

    fn patterns(written: &[&str]) -> Vec<Pattern> {
        written.iter().map(|written| Pattern::new(written).unwrap()).collect()
    }

    #[test]
    fn calls_are_judged_by_table_catalog_and_lists() {
        let with = |functions, stateless| Rules::new(functions, stateless, vec![], Comments::Bind);
        let by_catalog = with(FunctionRule::Catalog, patterns(&["buy"]));
        let reading = FunctionRule::ReadOnly(patterns(&["buy", "random", "tune"]));
        let reading = with(reading, vec![]);
        let writing = FunctionRule::Writing(patterns(&["total", "now"]));
        let writing = with(writing, vec![]);
        let none = Rules::default();
        let known = catalog();
        let nothing = Catalog::unknown();
        type Case<'a> = (&'a Rules, &'a Catalog, &'a str, &'a str, &'a str);
        let cases: &[Case<'_>] = &[
            // Rules, catalog, call, word of the doubt, state.
            (&none, &known, "count", "-", "None"),
            (&none, &known, "total", "-", "None"),
            (&none, &known, "shop.total", "-", "None"),
            (&none, &nothing, "total", "unknown_function", "Unknown"),
            (&none, &known, "absent", "unknown_function", "Unknown"),
            (&none, &known, "buy", "volatile_function", "Unknown"),
            (&by_catalog, &known, "buy", "volatile_function", "None"),
            (&none, &known, "tune", "session_function", "Holds(Setting)"),
            (&none, &known, "set_config", "session_function", "Holds(Setting)"),
            (&none, &known, "random", "primary_function", "None"),
            // A namesake of a user's.
            (&none, &known, "lower", "volatile_function", "Unknown"),
            (&none, &known, "pg_catalog.lower", "-", "None"),
            (&none, &known, "upper", "-", "None"),
            (&none, &known, "nextval", "primary_function", "Unknown"),
            (&none, &known, "pg_advisory_lock", "advisory_lock", "Holds(AdvisoryLock)"),
            // read_only_function_list
            (&reading, &nothing, "buy", "-", "None"),
            (&reading, &known, "buy", "-", "None"),
            (&reading, &known, "random", "-", "None"),
            (&reading, &known, "total", "listed_function", "None"),
            (&reading, &nothing, "absent", "listed_function", "Unknown"),
            (&reading, &known, "count", "-", "None"),
            (&reading, &known, "tune", "session_function", "Holds(Setting)"),
            // write_function_list
            (&writing, &known, "total", "listed_function", "None"),
            (&writing, &nothing, "absent", "-", "None"),
            (&writing, &known, "buy", "-", "None"),
            (&writing, &known, "now", "primary_function", "None"),
            (&writing, &known, "nextval", "primary_function", "None"),
            (&writing, &nothing, "nextval", "primary_function", "None"),
        ];
        for (rules, catalog, call, doubt, state) in cases {
            let lore = Lore { catalog, ..Lore::bare(rules) };
            let (schema, name) = match call.split_once('.') {
                Some((schema, name)) => (Some(schema), name),
                None => (None, *call),
            };
            let called = lore.call(schema, name, false);
            let found = called.doubt.as_ref().map_or("-", Reason::word);
            let found_state = format!("{:?}", called.state);
            assert_eq!((found, found_state.as_str()), (*doubt, *state), "{call}, {rules:?}");
        }
    }
}
