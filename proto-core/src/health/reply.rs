//! What it means for a server's health that it did not answer a look with a sighting.
//!
//! A server that refuses is alive: it is full, or the password is wrong, or a disk is. Whoever took
//! that for a loss would replace a primary that works by another one, and lose what it has. Only
//! silence, a broken conversation and a server that is not open to anybody are failed looks.

use crate::backend::dialogue::Trouble;
use crate::backend::login::Failure;
use crate::wire::error::Fields;

/// What it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It lives, and refuses to tell how it is.
    Lives,
    /// It ends this session; perhaps it ends them all, because it stops (57P01, 57P02).
    SaysGoodbye,
    /// It takes no sessions at the moment: it starts, or stops (57P03).
    NotOpen,
    /// Nothing can be told.
    Nothing,
}

impl Meaning {
    /// Reads it off what went wrong.
    #[must_use]
    pub fn of(trouble: &Trouble) -> Self {
        match trouble {
            Trouble::Login(failure @ Failure::Refused { .. }) => Self::of_code(failure.code()),
            // It has asked for a password, as servers do that are well.
            Trouble::Login(Failure::NoSecret { .. } | Failure::NotSupported) => Self::Lives,
            Trouble::Query(body) => Self::of_code(Fields::read(body).code),
            Trouble::Login(Failure::Violation(_)) | Trouble::Violation(_) => Self::Nothing,
        }
    }

    fn of_code(code: &[u8]) -> Self {
        match code {
            b"57P01" | b"57P02" => Self::SaysGoodbye,
            b"57P03" => Self::NotOpen,
            // Errors of the system below it and its own faults: it may be unable to work at all.
            [b'5', b'8', ..] | [b'X', b'X', ..] | [] => Self::Nothing,
            _ => Self::Lives,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Method;
    use crate::wire::error::Violation;
    use bytes::Bytes;

    #[test]
    fn a_refusal_is_no_loss() {
        let cases = [
            ("too many connections", "53300", Meaning::Lives),
            ("disk full", "53100", Meaning::Lives),
            ("wrong password", "28P01", Meaning::Lives),
            ("no entry in pg_hba.conf", "28000", Meaning::Lives),
            ("no such database", "3D000", Meaning::Lives),
            ("no privilege", "42501", Meaning::Lives),
            ("cancelled", "57014", Meaning::Lives),
            ("terminated", "57P01", Meaning::SaysGoodbye),
            ("another session has crashed", "57P02", Meaning::SaysGoodbye),
            ("starting up", "57P03", Meaning::NotOpen),
            ("I/O error", "58030", Meaning::Nothing),
            ("internal error", "XX000", Meaning::Nothing),
        ];
        for (name, code, meaning) in cases {
            let body = Bytes::from(format!("SFATAL\0VFATAL\0C{code}\0M{name}\0\0"));
            let refused = Failure::Refused { method: None, body: body.clone() };
            assert_eq!(Meaning::of(&Trouble::Login(refused)), meaning, "{name}");
            assert_eq!(Meaning::of(&Trouble::Query(body)), meaning, "{name}");
        }
        let no_secret = Failure::NoSecret { method: Method::Scram };
        assert_eq!(Meaning::of(&Trouble::Login(no_secret)), Meaning::Lives);
        let broken = Trouble::Violation(Violation::Malformed { tag: b'D' });
        assert_eq!(Meaning::of(&broken), Meaning::Nothing);
    }
}
