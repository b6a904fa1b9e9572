//! Files that cannot be read as settings.

use super::Words;

/// A file cannot be read as settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// The file cannot be read, for the operating system's reason.
    Unreadable(String),
    /// An included file includes itself.
    IncludeLoop,
    /// Included files include others too deep.
    IncludeTooDeep,
    /// The TOML reader's own words.
    Toml(String),
    /// A boolean as in `pgpool.conf`, in TOML.
    OnOff,
    /// A line of `pgpool.conf` does not begin with a name.
    NoName,
    /// A name has no value behind it.
    NoValue,
    /// A quote is not closed on its line.
    OpenQuote,
    /// Two single quotes inside a string, which Pgpool-II does not take for one.
    DoubledQuote,
    /// A value in double quotes.
    DoubleQuotes,
    /// A value without quotes that needs them.
    Unquoted,
    /// A number and its unit with a blank between them.
    UnitApart {
        /// The number.
        number: String,
        /// The unit.
        unit: String,
    },
    /// Something behind the value.
    TrailingText,
}

impl Syntax {
    pub(super) fn words(&self, key: &str) -> Words {
        match self {
            Self::Unreadable(why) => {
                Words::new(format!("cannot be read: {why}"), "check the path and who may read it")
            }
            Self::IncludeLoop => Words::new("the file includes itself", "remove this include"),
            Self::IncludeTooDeep => {
                Words::new("includes are more than 10 deep", "include the file from one further up")
            }
            Self::Toml(message) => Words::new(
                message.lines().collect::<Vec<_>>().join(", "),
                "see https://toml.io for how settings are written",
            ),
            Self::OnOff => Words::new(
                "on and off are no values in TOML",
                format!("write {key} = true or {key} = false"),
            ),
            Self::NoName => Words::new(
                "the line does not begin with a name",
                "write one setting a line, as in port = 9999",
            ),
            Self::NoValue => Words::new(
                "there is no value",
                format!("write {key} = '' if it shall be empty, or remove the line"),
            ),
            Self::OpenQuote => Words::new("the quote is not closed", "close it on the same line"),
            Self::DoubledQuote => Words::new(
                "a doubled quote ends the string",
                "write \\' for a quote inside a string",
            ),
            Self::DoubleQuotes => Words::new(
                "double quotes are no quotes here",
                format!("write {key} = '...' in single quotes"),
            ),
            Self::Unquoted => Words::new("the value needs quotes", format!("write {key} = '...'")),
            Self::UnitApart { number, unit } => Words::new(
                format!("{number} is cut off from its unit"),
                format!("write {key} = {number}{unit}"),
            ),
            Self::TrailingText => Words::new(
                "there is more behind the value",
                "write one setting a line, and quote a value that holds blanks",
            ),
        }
    }
}
