//! Every parameter that pgherd knows, by name: its type, unit, range and what became of it.
//!
//! The tables cover all of Pgpool-II 4.3 to 4.8, so that no parameter of a `pgpool.conf` is a
//! stranger: it is in effect, comes with a later release, or is dead, and then the table says
//! why. Reading a value by its kind is the business of `value`.

mod about;
mod backends;
mod cache;
mod checks;
mod connections;
mod failover;
mod logging;
mod obsolete;
mod own;
mod routing;
mod watchdog;

use std::sync::LazyLock;

pub use about::about;
pub(super) use about::place;

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// As written in a file, without a number.
    pub name: &'static str,
    /// What its values look like.
    pub kind: Kind,
    /// The value where no file gives one, as text; none is "not set".
    pub default: Option<&'static str>,
    /// Whether it exists once or with numbers.
    pub scope: Scope,
    /// When a change takes effect.
    pub context: Context,
    /// The first release of Pgpool-II that has it; empty is 4.3 or before.
    pub since: &'static str,
    /// What pgherd makes of it.
    pub effect: Effect,
}

/// What the values of a parameter look like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `on` or `off`, in TOML `true` or `false`.
    Bool,
    /// A whole number of `unit`s, `min <= value <= max`.
    Integer {
        /// What a number without a unit counts.
        unit: Unit,
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// A finite number, `min <= value <= max`.
    Real {
        /// The least value.
        min: f64,
        /// The greatest value.
        max: f64,
    },
    /// Any text.
    Text,
    /// Text that must never be shown.
    Secret,
    /// Several texts in one, between separators.
    List {
        /// What stands between two items.
        separator: char,
    },
    /// One word out of these, in upper or lower case.
    Choice(&'static [&'static str]),
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things; no unit may be written.
    One,
    /// A file's mode: customarily octal, no unit may be written.
    Mode,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Bytes.
    Bytes,
    /// Units of 1024 bytes.
    Kilobytes,
}

/// Whether a parameter exists once or with numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Once: the name bears no number.
    One,
    /// For nodes up to this number: the name bears it.
    Node(u8),
    /// For every node, and without a number for all those that have none of their own.
    NodeOrAll(u8),
    /// For rules about pools up to this number: the name bears it.
    Pool(u8),
    /// For every rule about pools, and without a number for what no rule says.
    PoolOrAll(u8),
}

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// At the next start.
    Start,
    /// At a reload.
    Reload,
    /// At a reload, or for one session with `PGPOOL SET`.
    Session,
}

/// What pgherd makes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What it says.
    InEffect,
    /// Nothing yet: a later release will.
    NotYet,
    /// Nothing ever, for this reason.
    Dead(&'static str),
    /// Any value but the default stops the start: ignoring it would be worse. This is why.
    Refused(&'static str),
    /// As `Refused`; and the default, written down, is dead for the second reason.
    RefusedOrDead(&'static str, &'static str),
    /// It is an older name of this one.
    Alias(&'static str),
}

/// A name that Pgpool-II itself no longer knows, or never knew but its users write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obsolete {
    /// As written in a file, without a node's number.
    pub name: &'static str,
    /// Whether a number follows it.
    pub numbered: bool,
    /// [`Effect::Alias`] or [`Effect::Dead`].
    pub effect: Effect,
}

/// The greatest number of a backend node.
pub(super) const LAST_NODE: u8 = 127;

/// The greatest number of a rule about pools.
pub(super) const LAST_POOL: u8 = 255;

/// The greatest number of a heartbeat interface.
const LAST_HEARTBEAT: u8 = 255;

/// The greatest value of what Pgpool-II keeps in a C `int`.
const INT_MAX: i64 = i32::MAX as i64;

/// The greatest value of what Pgpool-II keeps in a C `long`.
const LONG_MAX: i64 = i64::MAX;

/// What Pgpool-II takes for a level of messages.
const LEVELS: &[&str] = &[
    "debug", "debug5", "debug4", "debug3", "debug2", "debug1", "info", "notice", "warning",
    "error", "log", "fatal", "panic",
];

static ALL: LazyLock<Vec<Parameter>> = LazyLock::new(|| {
    [
        own::TABLE,
        connections::TABLE,
        backends::TABLE,
        logging::TABLE,
        routing::TABLE,
        checks::TABLE,
        failover::TABLE,
        watchdog::TABLE,
        cache::TABLE,
    ]
    .concat()
});

/// Lists every parameter, pgherd's own first, then Pgpool-II's by theme.
#[must_use]
pub fn all() -> &'static [Parameter] {
    &ALL
}

/// Lists the names that only old files and tutorials have.
#[must_use]
pub fn obsolete() -> &'static [Obsolete] {
    obsolete::TABLE
}

/// What a name in a file stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found {
    /// A parameter, and the node or rule it is for, if the name bears one.
    Known(&'static Parameter, Option<u8>),
    /// A name of old, and its number, if it bears one.
    Obsolete(&'static Obsolete, Option<u8>),
    /// A parameter of nodes or rules without a number.
    NumberMissing(&'static Parameter),
    /// A parameter of nodes or rules with a number above the greatest one.
    NumberTooBig(&'static Parameter, u8),
    /// Nothing.
    Unknown,
}

/// Looks a name up, as it stands in a file.
#[must_use]
pub fn find(written: &str) -> Found {
    if let Some(parameter) = all().iter().find(|p| p.name == written) {
        return match parameter.scope {
            Scope::Node(_) | Scope::Pool(_) => Found::NumberMissing(parameter),
            Scope::One | Scope::NodeOrAll(_) | Scope::PoolOrAll(_) => Found::Known(parameter, None),
        };
    }
    if let Some(old) = obsolete().iter().find(|o| o.name == written) {
        return Found::Obsolete(old, None);
    }
    let (stem, digits) = split_number(written);
    if digits.is_empty() {
        return Found::Unknown;
    }
    let number = digits.parse::<u8>().ok();
    for parameter in all().iter().filter(|p| p.name == stem) {
        let (Scope::Node(last)
        | Scope::NodeOrAll(last)
        | Scope::Pool(last)
        | Scope::PoolOrAll(last)) = parameter.scope
        else {
            continue;
        };
        return match number.filter(|number| *number <= last) {
            Some(number) => Found::Known(parameter, Some(number)),
            None => Found::NumberTooBig(parameter, last),
        };
    }
    obsolete()
        .iter()
        .find(|o| o.numbered && o.name == stem)
        .map_or(Found::Unknown, |old| Found::Obsolete(old, number))
}

/// Finds a parameter by its name without a number.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Parameter> {
    all().iter().find(|p| p.name == name)
}

/// Finds the parameter that a mistyped name probably means; the answer bears no node's number.
#[must_use]
pub fn did_you_mean(written: &str) -> Option<&'static str> {
    let (stem, _) = split_number(written);
    nearest(stem, all().iter().filter(|p| !matches!(p.effect, Effect::Alias(_))).map(|p| p.name))
}

/// Finds the word that a mistyped one probably means: at most one slip in three letters.
pub(super) fn nearest<'a>(
    written: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_ascii_lowercase();
    let limit = (written.chars().count() / 3).clamp(1, 4);
    // A name of unbounded length would make the distance expensive, and is near to nothing.
    if written.len() > 100 {
        return None;
    }
    // Each letter too many or too few is a slip, which most names differ by too many of.
    let count = written.chars().count();
    words
        .into_iter()
        .filter(|word| word.chars().count().abs_diff(count) <= limit)
        .map(|word| (distance(&written, &word.to_ascii_lowercase()), word))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Splits a name into what it begins with and the digits at its end.
fn split_number(name: &str) -> (&str, &str) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem, name.get(stem.len()..).unwrap_or_default())
}

/// Counts the slips between two words: a letter too many, too few, wrong, or two swapped.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (row, letter) in from.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let at =
                |cells: &[usize], index: usize| cells.get(index).copied().unwrap_or(usize::MAX);
            let mut best = at(&last, column) + usize::from(letter != *other);
            best = best.min(at(&last, column + 1) + 1).min(at(&current, column) + 1);
            let before = column.checked_sub(1);
            if let Some(before) =
                before.filter(|b| previous == Some(*other) && to.get(*b) == Some(&letter))
            {
                best = best.min(at(&before_last, before) + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
        previous = Some(letter);
    }
    last.last().copied().unwrap_or(0)
}

/// A boolean.
const fn flag(name: &'static str, default: &'static str) -> Parameter {
    Parameter::new(name, Kind::Bool, Some(default))
}

/// A count of things.
const fn count(name: &'static str, min: i64, max: i64, default: &'static str) -> Parameter {
    measure(name, Unit::One, min, max, default)
}

/// A number of units.
const fn measure(
    name: &'static str,
    unit: Unit,
    min: i64,
    max: i64,
    default: &'static str,
) -> Parameter {
    Parameter::new(name, Kind::Integer { unit, min, max }, Some(default))
}

/// A TCP or UDP port without a default.
const fn port(name: &'static str, min: i64) -> Parameter {
    Parameter::new(name, Kind::Integer { unit: Unit::One, min, max: 65_535 }, None)
}

/// A text.
const fn text(name: &'static str, default: &'static str) -> Parameter {
    Parameter::new(name, Kind::Text, Some(default))
}

/// A secret.
const fn secret(name: &'static str) -> Parameter {
    Parameter::new(name, Kind::Secret, Some(""))
}

/// A list.
const fn list(name: &'static str, separator: char, default: &'static str) -> Parameter {
    Parameter::new(name, Kind::List { separator }, Some(default))
}

/// One word out of several.
const fn choice(
    name: &'static str,
    words: &'static [&'static str],
    default: &'static str,
) -> Parameter {
    Parameter::new(name, Kind::Choice(words), Some(default))
}

impl Parameter {
    /// Makes a parameter that exists once, may be reloaded and is not yet in effect: most of
    /// them.
    const fn new(name: &'static str, kind: Kind, default: Option<&'static str>) -> Self {
        Self {
            name,
            kind,
            default,
            scope: Scope::One,
            context: Context::Reload,
            since: "",
            effect: Effect::NotYet,
        }
    }

    const fn node(mut self) -> Self {
        self.scope = Scope::Node(LAST_NODE);
        self
    }

    const fn heartbeat(mut self) -> Self {
        self.scope = Scope::Node(LAST_HEARTBEAT);
        self
    }

    const fn node_or_all(mut self) -> Self {
        self.scope = Scope::NodeOrAll(LAST_NODE);
        self
    }

    const fn pool(mut self) -> Self {
        self.scope = Scope::Pool(LAST_POOL);
        self
    }

    const fn pool_or_all(mut self) -> Self {
        self.scope = Scope::PoolOrAll(LAST_POOL);
        self
    }

    const fn start(mut self) -> Self {
        self.context = Context::Start;
        self
    }

    const fn session(mut self) -> Self {
        self.context = Context::Session;
        self
    }

    const fn since(mut self, release: &'static str) -> Self {
        self.since = release;
        self
    }

    const fn now(mut self) -> Self {
        self.effect = Effect::InEffect;
        self
    }

    const fn dead(mut self, why: &'static str) -> Self {
        self.effect = Effect::Dead(why);
        self
    }

    const fn refused(mut self, why: &'static str) -> Self {
        self.effect = Effect::Refused(why);
        self
    }

    const fn refused_or_dead(mut self, refused: &'static str, dead: &'static str) -> Self {
        self.effect = Effect::RefusedOrDead(refused, dead);
        self
    }

    const fn alias(mut self, name: &'static str) -> Self {
        self.effect = Effect::Alias(name);
        self
    }
}

#[cfg(test)]
mod tests;
