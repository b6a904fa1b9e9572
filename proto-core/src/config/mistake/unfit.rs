//! Values that do not fit their keys.

use super::{Words, shown};
use crate::auth::passwd;
use crate::config::affinity::BadAffinity;
use crate::config::parameters::Unit;
use crate::limits;
use crate::route::redirect::BadRedirect;

/// A value does not fit its key.
#[derive(Debug)]
pub enum Unfit {
    /// Not a boolean.
    NotABoolean {
        /// As written.
        value: String,
    },
    /// Not a number.
    NotANumber {
        /// As written.
        value: String,
    },
    /// Not a whole number of its units.
    NotWhole {
        /// As written.
        value: String,
        /// The unit.
        unit: Unit,
    },
    /// A unit that does not exist here.
    UnknownUnit {
        /// As written.
        suffix: String,
        /// What is counted.
        unit: Unit,
        /// The unit that it probably means.
        meant: Option<&'static str>,
    },
    /// A number beyond its range.
    OutOfRange {
        /// As written.
        value: String,
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
        /// What is counted.
        unit: Unit,
    },
    /// A number beyond its range.
    RealOutOfRange {
        /// As written.
        value: String,
        /// The least value.
        min: f64,
        /// The greatest value.
        max: f64,
    },
    /// Not one of the words.
    NotAChoice {
        /// As written.
        value: String,
        /// The words.
        choices: &'static [&'static str],
        /// The word that it probably means.
        meant: Option<&'static str>,
    },
    /// A TOML value of another type.
    WrongType {
        /// What the parameter takes.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A zero byte inside a text.
    ZeroByte,
    /// Ignoring the value would be worse than not starting, for this reason.
    Refused(&'static str),
    /// A clustering mode that pgherd does not serve.
    ClusteringMode(&'static str),
    /// Two flags that contradict one another.
    FlagConflict,
    /// A stored secret that cannot be read.
    Stored(passwd::Mistake),
    /// A hash where a password is needed.
    Hashed,
    /// An item of a list is no regular expression.
    BadPattern {
        /// As written.
        written: String,
        /// What its reader says.
        why: String,
    },
    /// A list of preferences is of another shape.
    BadRedirect(BadRedirect),
    /// A list of relations and what depends on them is of another shape.
    BadRelationships,
    /// A list of cores is of another shape.
    BadAffinity(BadAffinity),
    /// Not the name of a replication slot that pgherd may make.
    SlotName {
        /// As written.
        value: String,
    },
    /// The same replication slot for several standbys.
    SharedSlot {
        /// As written.
        value: String,
    },
}

impl Unfit {
    /// Says what is wrong and the way out, in one clause.
    pub(in crate::config) fn clause(&self) -> String {
        let Words { what, way_out } = self.words();
        format!("{what}; {way_out}")
    }

    pub(super) fn words(&self) -> Words {
        match self {
            Self::NotABoolean { value } => {
                Words::new(format!("{} is neither on nor off", shown(value)), "write on or off")
            }
            Self::NotANumber { value } => Words::new(
                format!("{} is no number", shown(value)),
                "write digits, with a unit right behind them where there is one",
            ),
            Self::NotWhole { value, unit } => not_whole(value, *unit),
            Self::UnknownUnit { suffix, unit, meant } => unknown_unit(suffix, *unit, *meant),
            Self::OutOfRange { value, min, max, unit } => out_of_range(value, *min, *max, *unit),
            Self::RealOutOfRange { value, min, max } => Words::new(
                format!("{} is outside {min} .. {max}", shown(value)),
                "choose a value within the range",
            ),
            Self::NotAChoice { value, choices, meant } => Words::new(
                format!("{} is none of {}", shown(value), choices.join(", ")),
                meant.map_or_else(
                    || "choose one of them".to_owned(),
                    |meant| format!("did you mean {meant}?"),
                ),
            ),
            Self::WrongType { expected, found } => {
                Words::new(format!("{found} does not fit"), format!("write {expected}"))
            }
            Self::ZeroByte => Words::new("there is a zero byte in it", "remove it"),
            Self::Refused(why) => Words::new(
                (*why).to_owned(),
                "remove the setting if that is acceptable, or wait for a later release",
            ),
            Self::ClusteringMode(mode) => clustering_mode(mode),
            Self::FlagConflict => Words::new(
                "ALLOW_TO_FAILOVER and DISALLOW_TO_FAILOVER contradict one another",
                "keep one of the two",
            ),
            Self::Stored(mistake) => {
                // It brings its own way out.
                let said = mistake.to_string();
                let (what, way_out) = said.split_once("; ").unwrap_or((&said, "store it anew"));
                Words::new(what, way_out)
            }
            Self::BadPattern { written, why } => Words::new(
                format!("{} is no regular expression: {}", shown(written), shown(why)),
                "put a backslash before what is meant as it stands",
            ),
            Self::BadRedirect(bad) => redirect(bad),
            Self::BadRelationships => Words::new(
                "an item is not of the form object:dependent",
                "write t1:t2,f():t3, with () behind the names of functions",
            ),
            Self::BadAffinity(bad) => affinity(bad),
            Self::SlotName { value } => slot_name(value),
            Self::SharedSlot { value } => shared_slot(value),
            Self::Hashed => Words::new(
                "a hash is not enough to log in with",
                "give the password plain, with TEXT before it, or encrypted",
            ),
        }
    }
}

fn out_of_range(value: &str, min: i64, max: i64, unit: Unit) -> Words {
    let range = match unit {
        Unit::Mode => format!("0o{min:o} .. 0o{max:o}"),
        Unit::One => format!("{min} .. {max}"),
        Unit::Milliseconds | Unit::Seconds | Unit::Minutes | Unit::Bytes | Unit::Kilobytes => {
            format!("{min} .. {max} {}", unit.name())
        }
    };
    Words::new(format!("{} is outside {range}", shown(value)), "choose a value within the range")
}

fn slot_name(value: &str) -> Words {
    Words::new(
        format!("{} is no name for a replication slot of a node", shown(value)),
        "write at most 63 small letters, digits and underscores, with %d for the node's \
         number, and not pgherd_fence, as in pgherd_%d",
    )
}

fn shared_slot(value: &str) -> Words {
    Words::new(
        format!("several standbys cannot share the replication slot {}", shown(value)),
        "write %d for the node's number, as in pgherd_%d",
    )
}

fn not_whole(value: &str, unit: Unit) -> Words {
    let counted = match unit.name() {
        "" => "a whole number".to_owned(),
        name => format!("a whole number of {name}"),
    };
    Words::new(format!("{} is not {counted}", shown(value)), "round it as you see fit")
}

fn unknown_unit(suffix: &str, unit: Unit, meant: Option<&str>) -> Words {
    let suffix = shown(suffix);
    match (unit, meant) {
        (Unit::One | Unit::Mode, _) => {
            Words::new(format!("{suffix} stands behind the number"), "write the number alone")
        }
        (_, Some(meant)) => {
            Words::new(format!("{suffix} is no unit"), format!("did you mean {meant}?"))
        }
        (unit, None) => {
            Words::new(format!("{suffix} is no unit here"), format!("write {}", unit.units()))
        }
    }
}

fn redirect(bad: &BadRedirect) -> Words {
    match bad {
        BadRedirect::NoTarget(item) => Words::new(
            format!("{} names no node", shown(item)),
            "write a pattern, a colon, and primary, standby or a node's number",
        ),
        BadRedirect::NoNode(node) => Words::new(
            format!("{} is no node", shown(node)),
            "write primary, standby or a node's number",
        ),
        BadRedirect::NoRatio(target) => Words::new(
            format!("{} has no ratio between 0 and 1", shown(target)),
            "write the ratio in parentheses, as in standby(0.5)",
        ),
        BadRedirect::Pattern(bad) => Words::new(
            format!("what is before the colon is no regular expression: {}", shown(&bad.why)),
            "put a backslash before what is meant as it stands",
        ),
    }
}

fn affinity(bad: &BadAffinity) -> Words {
    match bad {
        BadAffinity::NoCore(item) => Words::new(
            format!("\"{}\" is no core", shown(item)),
            "write none, auto, or numbers and ranges of cores, as in 0-3,6",
        ),
        BadAffinity::Backwards(range) => Words::new(
            format!("{} ends before it begins", shown(range)),
            "write the lower number first",
        ),
        BadAffinity::TooHigh(core) => Words::new(
            format!("{} is the number of no core", shown(core)),
            format!("choose cores below {}", limits::CORES_MAX),
        ),
        BadAffinity::Twice(core) => Words::new(
            format!("core {core} is named twice"),
            "name it once; threads share the cores where there are fewer",
        ),
    }
}

fn clustering_mode(mode: &str) -> Words {
    match mode {
        "native_replication" | "snapshot_isolation" => Words::new(
            format!("pgherd will never serve {mode}: it leaves replication to PostgreSQL"),
            "set up streaming replication between the servers",
        ),
        later => Words::new(
            format!("the mode {later} comes with a later release"),
            "write streaming_replication if the standbys follow one primary",
        ),
    }
}
