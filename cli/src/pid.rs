//! The pid file, which keeps two processes from running on one configuration.

use std::fs;
use std::path::{Path, PathBuf};

use crate::ending::Ending;

/// A pid file, removed when it is dropped.
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file, unless it names a process that runs.
    pub(crate) fn write(path: &Path) -> Result<Self, Ending> {
        if let Ok(text) = fs::read_to_string(path)
            && let Ok(pid) = text.trim().parse::<u32>()
            && pid != std::process::id()
            && is_pgherd(pid)
        {
            return Err(Ending::CannotStart(format!(
                "{}: process {pid} runs already; stop it, or set another pid_file_name",
                path.display()
            )));
        }
        fs::write(path, format!("{}\n", std::process::id())).map_err(|error| {
            Ending::CannotStart(format!("{}: {error}; see pid_file_name", path.display()))
        })?;
        Ok(Self(path.to_path_buf()))
    }
}

/// Tells whether a process runs this program: numbers are given again, in containers soon.
fn is_pgherd(pid: u32) -> bool {
    let own = fs::read_to_string("/proc/self/comm");
    let other = fs::read_to_string(format!("/proc/{pid}/comm"));
    matches!((own, other), (Ok(own), Ok(other)) if own == other)
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            log::debug!("{}: {error}", self.0.display());
        }
    }
}
