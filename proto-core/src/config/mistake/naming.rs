//! Keys that are none, or not where they stand.

use super::Words;

/// A key is none, or not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// A key that is no parameter.
    Unknown {
        /// The parameter that it probably means.
        meant: Option<String>,
    },
    /// A key in `[[backends]]` or `[[pools]]` that belongs to the top of the file.
    Misplaced,
    /// A section that does not exist.
    UnknownSection,
    /// A parameter of nodes or pools without a number.
    NumberMissing,
    /// A number that is too big.
    NumberTooBig {
        /// The greatest one.
        last: u8,
    },
    /// The same parameter twice, under two spellings.
    SetTwice {
        /// Where it stands first.
        line: Option<usize>,
    },
}

impl Naming {
    pub(super) fn words(&self, key: &str) -> Words {
        match self {
            Self::Unknown { meant: Some(meant) } => {
                Words::new("there is no such parameter", format!("did you mean {meant}?"))
            }
            Self::Unknown { meant: None } => {
                Words::new("there is no such parameter", "remove it, or look its name up")
            }
            Self::Misplaced => Words::new(
                "this is no key of this section",
                "move it to the top of the file, above the first section",
            ),
            Self::UnknownSection => Words::new(
                "there is no such section",
                "write its keys at the top of the file; the sections are [[backends]], [[pools]] \
                 and [users]",
            ),
            Self::NumberMissing => Words::new(
                "the number behind the name is missing",
                format!("write {key}0 for the first, {key}1 for the next"),
            ),
            Self::NumberTooBig { last } => {
                Words::new(format!("the number is above {last}"), "number them from 0")
            }
            Self::SetTwice { line } => Words::new(
                line.map_or_else(
                    || "it is set twice".to_owned(),
                    |line| format!("it is also set on line {line}"),
                ),
                "keep one of the two",
            ),
        }
    }
}
