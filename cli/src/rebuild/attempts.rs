//! Which ways lead from what is there to a standby, and in which order they are tried.

use std::path::Path;

use crate::args::Method;

use super::contents::Contents;
use super::obstacle::Obstacle;
use super::trouble::Trouble;

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The directory is started as a standby as it is.
    Follow,
    /// The directory is rewound.
    Rewind,
    /// The primary is copied.
    Copy,
}

/// What an operator asks for, as an order of attempts.
///
/// `pg_rewind` insists on a server that has shut down, and makes it so by recovering it from a
/// crash. A standby it cannot recover: that has to be a standby for that, and may then follow without
/// any more ado. What an earlier `pg_rewind` has left half done is nothing to start from (PostgreSQL
/// docs, "pg_rewind", Notes), unless somebody insists.
pub(super) fn attempts(
    asked: Method,
    dir: &Path,
    contents: &Contents,
    primary_has_tablespaces: bool,
) -> Result<Vec<Attempt>, Trouble> {
    let copy = match obstacle(contents, primary_has_tablespaces) {
        Some(obstacle) => Err(Trouble::NoCopy(obstacle)),
        None => Ok(Attempt::Copy),
    };
    let Contents::Data(data) = contents else {
        return match asked {
            Method::Rewind => Err(Trouble::NothingToRewind { dir: dir.to_owned() }),
            Method::Auto | Method::Basebackup => copy.map(|copy| vec![copy]),
        };
    };
    let is_crashed_standby = data.server.is_none() && data.control.is_in_recovery();
    let follow = (is_crashed_standby && !data.is_half_rewound).then_some(Attempt::Follow);
    let rewind = follow.into_iter().chain([Attempt::Rewind]);
    match asked {
        Method::Rewind => Ok(rewind.collect()),
        Method::Auto if !data.is_half_rewound => Ok(rewind.chain(copy).collect()),
        Method::Auto | Method::Basebackup => copy.map(|copy| vec![copy]),
    }
}

/// What is in the way of a copy.
fn obstacle(contents: &Contents, primary_has_tablespaces: bool) -> Option<Obstacle> {
    let own = match contents {
        Contents::Data(data) => data.obstacle.clone(),
        Contents::Nothing => None,
    };
    own.or_else(|| primary_has_tablespaces.then_some(Obstacle::PrimaryTablespaces))
}

#[cfg(test)]
mod tests {
    use super::super::contents::Data;
    use super::super::control_data::ControlData;
    use super::super::pid_file::{PidFile, State};
    use super::*;

    /// What is there, and what is tried by auto, rewind and basebackup.
    type Case = (&'static str, Option<Data>, [&'static [Attempt]; 3]);

    fn data(state: &str) -> Data {
        Data {
            version: 15,
            control: ControlData { system: "7".into(), state: state.into() },
            server: None,
            configuration: Some("/d/postgresql.conf".into()),
            obstacle: None,
            is_half_rewound: false,
        }
    }

    #[test]
    fn what_is_tried_depends_on_what_is_there() {
        use Attempt::{Copy, Follow, Rewind};
        let server = PidFile { pid: 1, state: State::Up, started: 1, port: 1, host: None };
        let old_primary = || data("in production");
        let crashed_standby = || data("in archive recovery");
        let running_standby = || Data { server: Some(server.clone()), ..crashed_standby() };
        let half_rewound = || Data { is_half_rewound: true, ..crashed_standby() };
        let with_tablespaces =
            |data: Data| Data { obstacle: Some(Obstacle::OwnTablespaces), ..data };
        let none: &[Attempt] = &[];
        let cases: [Case; 7] = [
            ("nothing", None, [&[Copy], none, &[Copy]]),
            ("an old primary", Some(old_primary()), [&[Rewind, Copy], &[Rewind], &[Copy]]),
            (
                "a standby that crashed",
                Some(crashed_standby()),
                [&[Follow, Rewind, Copy], &[Follow, Rewind], &[Copy]],
            ),
            ("a standby that runs", Some(running_standby()), [&[Rewind, Copy], &[Rewind], &[Copy]]),
            ("half of a rewind", Some(half_rewound()), [&[Copy], &[Rewind], &[Copy]]),
            ("tablespaces", Some(with_tablespaces(old_primary())), [&[Rewind], &[Rewind], none]),
            (
                "tablespaces and half of a rewind",
                Some(with_tablespaces(half_rewound())),
                [none, &[Rewind], none],
            ),
        ];
        for (case, data, expected) in cases {
            let contents = data.map_or(Contents::Nothing, Contents::Data);
            let methods = [Method::Auto, Method::Rewind, Method::Basebackup];
            for (method, expected) in methods.into_iter().zip(expected) {
                let found = attempts(method, Path::new("/d"), &contents, false);
                assert_eq!(found.unwrap_or_default(), expected, "{case}, {method:?}");
            }
        }
    }

    #[test]
    fn tablespaces_of_the_primary_are_not_copied() {
        let dir = Path::new("/d");
        let nothing = attempts(Method::Auto, dir, &Contents::Nothing, true).unwrap_err();
        assert!(nothing.to_string().starts_with("the primary has tablespaces, and "), "{nothing}");
        let there = Contents::Data(data("shut down"));
        assert_eq!(attempts(Method::Auto, dir, &there, true).unwrap(), [Attempt::Rewind]);
    }
}
