//! What is in a data directory.

use std::fs;
use std::path::{Path, PathBuf};

use super::control_data::ControlData;
use super::disk;
use super::obstacle::Obstacle;
use super::pid_file::PidFile;
use super::place::{Mark, Place};
use super::tools::Tools;
use super::trouble::Trouble;

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// Nothing, or what is left of a copy.
    Nothing,
    /// The data of a server.
    Data(Data),
}

/// The data of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Data {
    /// The major version that has written it.
    pub(super) version: u32,
    pub(super) control: ControlData,
    /// The server, if it runs.
    pub(super) server: Option<PidFile>,
    /// What keeps it from being replaced by a copy.
    pub(super) obstacle: Option<Obstacle>,
    /// Where its configuration is, if it is where data is.
    pub(super) configuration: Option<PathBuf>,
    pub(super) is_half_rewound: bool,
}

impl Contents {
    /// Looks into the directory.
    ///
    /// # Errors
    /// What is in it is not a server's.
    pub(super) fn examine(place: &Place, tools: &Tools) -> Result<Self, Trouble> {
        let dir = place.data()?;
        if place.is_marked(Mark::Emptied) || disk::is_void(&dir)? {
            return Ok(Self::Nothing);
        }
        let foreign = || Trouble::Foreign { dir: dir.clone() };
        let version = fs::read_to_string(dir.join("PG_VERSION")).map_err(|_| foreign())?;
        let version = version.trim().parse().map_err(|_| foreign())?;
        if !dir.join("global/pg_control").is_file() {
            return Err(foreign());
        }
        Ok(Self::Data(Data {
            version,
            control: tools.control_data(&dir)?,
            server: PidFile::of_server(&dir),
            obstacle: obstacle(&dir)?,
            configuration: [&dir, &place.own()]
                .into_iter()
                .map(|dir| dir.join("postgresql.conf"))
                .find(|file| file.exists()),
            is_half_rewound: place.is_marked(Mark::Rewinding),
        }))
    }
}

/// What of the data is not in the directory itself.
fn obstacle(dir: &Path) -> Result<Option<Obstacle>, Trouble> {
    if let Ok(target) = fs::read_link(dir.join("pg_wal")) {
        return Ok(Some(Obstacle::WalElsewhere(target)));
    }
    let has_tablespaces = !disk::is_void(&dir.join("pg_tblspc"))?;
    Ok(has_tablespaces.then_some(Obstacle::OwnTablespaces))
}
