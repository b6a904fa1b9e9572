//! Pools that contradict themselves or one another.

use super::{Words, shown};

/// Pools contradict themselves or one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pools {
    /// A rule names neither a database nor a user.
    Nobody,
    /// A rule names a database or user without a letter.
    EmptyName,
    /// A rule that comes first leaves nothing for this one.
    Eclipsed {
        /// The number of that one.
        other: u8,
    },
    /// More connections are to be kept than there may be.
    MinimumAboveSize {
        /// How many are to be kept.
        size_min: usize,
        /// How many there may be.
        size_max: usize,
    },
    /// More connections are to be kept than a limit allows that other pools share.
    MinimumAboveLimit {
        /// How many are to be kept.
        size_min: usize,
        /// The limit's name.
        limit: &'static str,
        /// Its value.
        max: usize,
    },
    /// Nobody waits for as long as the reserve asks for.
    ReserveTooLate,
}

impl Pools {
    pub(super) fn words(&self, key: &str) -> Words {
        match self {
            Self::Nobody => Words::new(
                "it is not said whose pools this is about",
                match key.strip_suffix(|c: char| c.is_ascii_digit()) {
                    Some(_) => {
                        let digits = key.trim_start_matches(|c: char| !c.is_ascii_digit());
                        format!(
                            "name them with pool_database{digits} or pool_user{digits}, of which \
                             '*' is any"
                        )
                    }
                    None => "name them with database or user, of which \"*\" is any".to_owned(),
                },
            ),
            Self::EmptyName => Words::new(
                "nothing has an empty name",
                format!("write '*' for any, or leave {} out", shown(key)),
            ),
            Self::Eclipsed { other } => Words::new(
                format!("the pools of number {other} come first and leave nothing for these"),
                "give the more particular ones the lower number, or remove these",
            ),
            Self::MinimumAboveSize { size_min, size_max } => Words::new(
                format!("{size_min} connections to keep are more than the {size_max} of a pool"),
                "lower pool_size_min, or raise pool_size_max",
            ),
            Self::MinimumAboveLimit { size_min, limit, max } => Words::new(
                format!("{size_min} connections to keep are more than the {max} of {limit}"),
                format!("lower pool_size_min, or raise {limit}"),
            ),
            Self::ReserveTooLate => Words::new(
                "a client gives up waiting before it may use the reserve",
                "set pool_reserve_timeout below pool_wait_timeout",
            ),
        }
    }
}
