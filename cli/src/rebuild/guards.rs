//! What has to hold before anything is touched.

use std::path::Path;

use super::access::Access;
use super::contents::{Contents, Data};
use super::primary::{Primary, is_slot_name};
use super::trouble::Trouble;

/// How long a server may take from its process's start to the moment that it tells as its start, in
/// seconds: it takes its memory in between.
const START_SPAN: i64 = 10;

/// Checks that the primary is one, and that what is in the directory is a copy of it and not the
/// primary itself.
pub(super) fn check(
    dir: &Path,
    contents: &Contents,
    primary: &Primary,
    access: &Access,
) -> Result<(), Trouble> {
    if primary.is_in_recovery {
        return Err(Trouble::NotPrimary { host: access.host.clone(), port: access.port });
    }
    let Contents::Data(data) = contents else { return Ok(()) };
    let dir = dir.to_owned();
    if data.control.system != primary.system {
        let (own, primary) = (data.control.system.clone(), primary.system.clone());
        return Err(Trouble::OtherCluster { dir, own, primary });
    }
    if data.version != primary.version {
        return Err(Trouble::OtherVersion { dir, own: data.version, primary: primary.version });
    }
    if is_same(data, primary) {
        return Err(Trouble::OwnDirectory { dir });
    }
    Ok(())
}

/// Whether the server in the directory is the primary: one of its port that was started when the
/// primary was.
fn is_same(data: &Data, primary: &Primary) -> bool {
    data.server.as_ref().is_some_and(|server| {
        let span = primary.started.saturating_sub(server.started);
        server.port == primary.port && (-1..=START_SPAN).contains(&span)
    })
}

/// Checks that the server's configuration can be found.
pub(super) fn check_configuration(
    dir: &Path,
    contents: &Contents,
    is_named: bool,
) -> Result<(), Trouble> {
    match contents {
        Contents::Data(data) if data.configuration.is_none() && !is_named => {
            Err(Trouble::NoConfiguration { dir: dir.to_owned() })
        }
        Contents::Data(_) | Contents::Nothing => Ok(()),
    }
}

/// Checks the name of the slot, if there is one.
pub(super) fn check_slot(name: Option<&str>) -> Result<(), Trouble> {
    match name.filter(|name| !is_slot_name(name)) {
        None => Ok(()),
        Some(name) => Err(Trouble::Slot {
            name: name.to_owned(),
            what: "has a name that is not made of up to 63 letters a-z, digits and _",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::control_data::ControlData;
    use super::super::pid_file::{PidFile, State};
    use super::*;

    const STARTED: i64 = 1_700_000_000;

    fn primary() -> Primary {
        Primary {
            is_in_recovery: false,
            version: 15,
            system: "7".into(),
            port: 5432,
            started: STARTED,
            tablespaces: 0,
        }
    }

    fn data() -> Data {
        Data {
            version: 15,
            control: ControlData { system: "7".into(), state: "in production".into() },
            server: None,
            configuration: Some("/d/postgresql.conf".into()),
            obstacle: None,
            is_half_rewound: false,
        }
    }

    fn server(port: u16, started: i64) -> Data {
        let server = PidFile { pid: 17, state: State::Up, started, port, host: None };
        Data { server: Some(server), ..data() }
    }

    #[test]
    fn nothing_is_touched_that_is_not_a_copy_of_the_primary() {
        let other_cluster = ControlData { system: "8".into(), state: "shut down".into() };
        let cases: [(&str, Contents, Primary, &str); 9] = [
            ("nothing there", Contents::Nothing, primary(), ""),
            ("a copy", Contents::Data(data()), primary(), ""),
            (
                "a standby is no primary",
                Contents::Nothing,
                Primary { is_in_recovery: true, ..primary() },
                "the server at db2:5432 is in recovery: name the primary",
            ),
            (
                "another cluster",
                Contents::Data(Data { control: other_cluster, ..data() }),
                primary(),
                "/d is of another cluster (system identifier 8, the primary's is 7)",
            ),
            (
                "another release",
                Contents::Data(Data { version: 14, ..data() }),
                primary(),
                "/d is of PostgreSQL 14, the primary of 15",
            ),
            (
                "the primary's own directory",
                Contents::Data(server(5432, STARTED - 2)),
                primary(),
                "/d is the data directory of the primary itself",
            ),
            ("a server at another port", Contents::Data(server(5433, STARTED)), primary(), ""),
            ("one that started later", Contents::Data(server(5432, STARTED + 9)), primary(), ""),
            ("one that started earlier", Contents::Data(server(5432, STARTED - 99)), primary(), ""),
        ];
        let access = Access { host: "db2".into(), port: 5432, user: "r".into() };
        for (case, contents, primary, expected) in cases {
            let found = check(Path::new("/d"), &contents, &primary, &access);
            let told = found.err().map(|trouble| trouble.to_string()).unwrap_or_default();
            assert!(told.starts_with(expected), "{case}: {told}");
            assert_eq!(told.is_empty(), expected.is_empty(), "{case}: {told}");
        }
    }

    #[test]
    fn a_server_without_configuration_is_not_started() {
        let bare = Contents::Data(Data { configuration: None, ..data() });
        let dir = Path::new("/d");
        assert!(check_configuration(dir, &bare, false).is_err());
        assert!(check_configuration(dir, &bare, true).is_ok());
        assert!(check_configuration(dir, &Contents::Data(data()), false).is_ok());
        assert!(check_configuration(dir, &Contents::Nothing, false).is_ok());
        assert!(check_slot(Some("a b")).is_err() && check_slot(Some("a")).is_ok());
    }
}
