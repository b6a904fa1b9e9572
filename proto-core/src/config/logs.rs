//! Where log lines go, and what stands before each of them.

use super::settings::Settings;
use crate::time::Duration;

/// How the log is written. Opening files is the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPolicy {
    /// `log_line_prefix`; none where the file says nothing, and lines look as pgherd's own do.
    pub line_prefix: Option<String>,
    /// `logging_collector`: whether lines go to files instead of standard error.
    pub is_collected: bool,
    /// To which files, if they do.
    pub files: LogFiles,
}

/// The files of a log, and when another one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFiles {
    /// `log_directory`.
    pub directory: String,
    /// `log_filename`, with the escapes of `strftime`.
    pub name: String,
    /// `log_file_mode`: the mode of a file that is made.
    pub mode: u32,
    /// `log_truncate_on_rotation`: whether a file that is there already when its time comes is begun
    /// anew.
    pub is_truncated: bool,
    /// `log_rotation_age`: another file begins at every multiple of this; none is never.
    pub age: Option<Duration>,
    /// `log_rotation_size`: another file begins behind so many bytes; none is never.
    pub size: Option<u64>,
}

/// Reads the parameters of the log.
pub(super) fn log(settings: &Settings) -> LogPolicy {
    let minutes = settings.number("log_rotation_age", None);
    let kilobytes = settings.number("log_rotation_size", None);
    let prefix = settings.setting("log_line_prefix", None);
    LogPolicy {
        line_prefix: prefix.map(|_| settings.text("log_line_prefix", None)),
        is_collected: settings.flag("logging_collector"),
        files: LogFiles {
            directory: settings.text("log_directory", None),
            name: settings.text("log_filename", None),
            mode: u32::try_from(settings.number("log_file_mode", None)).unwrap_or(0o600) & 0o777,
            is_truncated: settings.flag("log_truncate_on_rotation"),
            age: (minutes > 0).then(|| Duration::from_secs(minutes.saturating_mul(60))),
            size: (kilobytes > 0).then(|| kilobytes.saturating_mul(1024)),
        },
    }
}
