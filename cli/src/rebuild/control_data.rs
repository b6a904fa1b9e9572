//! What `pg_controldata` tells of a data directory.

/// Of which cluster a data directory is, and how its server ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ControlData {
    /// The system identifier of the cluster, the same in all copies of it.
    pub(super) system: String,
    /// What the server was when it wrote that last, in `pg_controldata`'s words.
    pub(super) state: String,
}

impl ControlData {
    /// Reads what the program prints in English.
    pub(super) fn read(text: &str) -> Option<Self> {
        let value = |name: &str| {
            text.lines()
                .find_map(|line| Some(line.split_once(':')?).filter(|(key, _)| *key == name))
        };
        let (_, system) = value("Database system identifier")?;
        let (_, state) = value("Database cluster state")?;
        Some(Self { system: system.trim().to_owned(), state: state.trim().to_owned() })
    }

    /// Whether it was a standby that runs, or that has not ended well. So is a directory that was
    /// rewound and not started yet.
    pub(super) fn is_in_recovery(&self) -> bool {
        self.state == "in archive recovery"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        let text = "pg_control version number:            1300\n\
                    Database system identifier:           7431295573927183123\n\
                    Database cluster state:               in archive recovery\n\
                    pg_control last modified:             Mon 30 Nov 2026 06:00:05 AM UTC\n";
        let data = ControlData::read(text).unwrap();
        assert_eq!(data.system, "7431295573927183123");
        assert!(data.is_in_recovery());
        let shut_down = text.replace("in archive recovery", "shut down in recovery");
        assert!(!ControlData::read(&shut_down).unwrap().is_in_recovery());
        assert_eq!(ControlData::read("Database cluster state: in production\n"), None);
    }
}
