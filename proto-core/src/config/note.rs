//! What the operator should know although the configuration is in order.

use super::mistake::{shown, write_place};
use std::fmt;

/// Something to know. It prints as one line: `file:line: key: what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file it is about.
    pub file: String,
    /// Its line, counted from one; none where it is about something that is not there.
    pub line: Option<usize>,
    /// The key as written, if it is about one.
    pub key: Option<String>,
    /// What there is to know.
    pub kind: NoteKind,
}

/// What there is to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// A key of `pgpool.conf` that is no parameter.
    Unknown {
        /// The parameter that it probably means.
        meant: Option<String>,
    },
    /// The parameter will never have an effect, for this reason.
    Dead(&'static str),
    /// The parameter has a new name, under which its value counts.
    Renamed {
        /// The new name.
        to: String,
    },
    /// The parameter is set several times; this is the last and counts.
    Duplicate {
        /// Where else it is set, as `line 3` or `other.conf:3`.
        earlier: Vec<String>,
    },
    /// The effect comes with a later release.
    NotYet,
    /// Digits behind a leading zero were read as an octal number.
    Octal {
        /// The number.
        value: i64,
    },
    /// Zero would mean "no limit" in Pgpool-II.
    ZeroReplaced {
        /// What is used instead.
        used: &'static str,
    },
    /// A node of which something is set but no port: there is no such node.
    NodeWithoutPort,
    /// No node has a weight, so that all reads go to the primary.
    NoWeight,
    /// No password is known for looking at the servers.
    NoCheckPassword {
        /// The user.
        user: String,
    },
    /// It is about a login for looking at servers, and `sr_check_user`'s is used.
    Overruled,
    /// A user has the name of a parameter that was perhaps meant.
    UserLikeParameter,
}

impl Note {
    /// Says how loud the log should be about it.
    #[must_use]
    pub const fn severity(&self) -> log::Level {
        match &self.kind {
            NoteKind::Unknown { .. }
            | NoteKind::Dead(_)
            | NoteKind::Renamed { .. }
            | NoteKind::Duplicate { .. }
            | NoteKind::NotYet
            | NoteKind::Octal { .. }
            | NoteKind::ZeroReplaced { .. }
            | NoteKind::NodeWithoutPort
            | NoteKind::Overruled
            | NoteKind::UserLikeParameter => log::Level::Warn,
            NoteKind::NoWeight | NoteKind::NoCheckPassword { .. } => log::Level::Info,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, &self.file, self.line, self.key.as_deref())?;
        self.kind.fmt(f)
    }
}

impl fmt::Display for NoteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { meant } => {
                f.write_str(
                    "no parameter of this name exists; Pgpool-II would ignore it silently",
                )?;
                match meant {
                    Some(meant) => write!(f, "; did you mean {meant}?"),
                    None => Ok(()),
                }
            }
            Self::Dead(why) => write!(f, "has no effect: {why}"),
            Self::Renamed { to } => write!(f, "is called {to} now, and counts as that"),
            Self::Duplicate { earlier } => {
                write!(f, "is also set on {}; this last one counts", earlier.join(", "))
            }
            Self::NotYet => f.write_str("is not in effect yet; a later release brings it"),
            Self::Octal { value } => {
                write!(f, "the leading zero makes the number octal: it is {value}")
            }
            Self::ZeroReplaced { used } => {
                write!(f, "0 would switch the limit or the look off; {used} is used instead")
            }
            Self::NodeWithoutPort => {
                f.write_str("the node has neither port nor host name, so it does not exist")
            }
            Self::NoWeight => {
                f.write_str("no node has a weight above 0, so all reads go to the primary")
            }
            Self::NoCheckPassword { user } => write!(
                f,
                "no password is known for {}, so servers must let it in without one",
                shown(user)
            ),
            Self::Overruled => f.write_str(
                "has no effect: pgherd looks at a server once, by sr_check_user; name another login \
                 for single nodes (health_check_user0), or leave sr_check_user out",
            ),
            Self::UserLikeParameter => f.write_str(
                "this adds a user; if it is meant as a parameter, move it above the first section",
            ),
        }
    }
}
