//! The log in files: which one is written to, and when the next begins.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Zoned;
use pgherd_core::config::LogFiles;
use rustix::fs::OFlags;

/// The files of this process's log, once it is collected.
static COLLECTED: Mutex<Option<LogFile>> = Mutex::new(None);

/// Why another file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The age says so, or the process starts.
    Time,
    /// The size says so, or a person, or the clock has been set back: what was written at that time
    /// the first time is kept.
    Other,
}

/// A log that is written to files.
struct LogFile {
    policy: LogFiles,
    file: File,
    path: PathBuf,
    /// Bytes in the file.
    len: u64,
    /// Which multiple of the age it is from, since 1970 on the local clock; none if files do not age.
    period: Option<i64>,
}

/// Sends the log to files from now on.
pub(crate) fn start(policy: &LogFiles) -> Result<(), String> {
    let log = LogFile::open(policy.clone(), &Zoned::now())?;
    *lock() = Some(log);
    Ok(())
}

/// Begins another file, or opens the same one again after somebody has moved it away. Returns
/// whether the log is in files at all.
pub(crate) fn rotate() -> bool {
    lock().as_mut().map(|log| log.rotate(Cause::Other, &Zoned::now())).is_some()
}

/// Follows another policy: with another name or directory, another file begins.
pub(crate) fn reload(policy: &LogFiles) {
    if let Some(log) = lock().as_mut() {
        log.reload(policy, &Zoned::now());
    }
}

/// Where the logger writes: to the file, or to standard error.
pub(crate) struct Sink;

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match lock().as_mut() {
            Some(log) => log.write(line, &Zoned::now()),
            None => io::stderr().write_all(line),
        }?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<LogFile>> {
    // A log that a panicking thread was writing to is still a log.
    COLLECTED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogFile {
    fn open(policy: LogFiles, now: &Zoned) -> Result<Self, String> {
        let path = path(&policy, now)?;
        let (file, len) = open(&path, &policy, false)?;
        let period = period(&policy, now);
        Ok(Self { policy, file, path, len, period })
    }

    fn write(&mut self, line: &[u8], now: &Zoned) -> io::Result<()> {
        let period = period(&self.policy, now);
        if period > self.period {
            self.rotate(Cause::Time, now);
        } else if period < self.period || self.policy.size.is_some_and(|size| size <= self.len) {
            self.rotate(Cause::Other, now);
        }
        self.append(line)
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        self.len += line.len() as u64;
        Ok(())
    }

    fn reload(&mut self, policy: &LogFiles, now: &Zoned) {
        let is_elsewhere =
            (&policy.directory, &policy.name) != (&self.policy.directory, &self.policy.name);
        let old = std::mem::replace(&mut self.policy, policy.clone());
        self.period = period(policy, now);
        if is_elsewhere && !self.rotate(Cause::Other, now) {
            // The next try shall not be at every line.
            self.policy = old;
        }
    }

    /// Begins another file; whether that worked. If not, this one goes on until the next time.
    fn rotate(&mut self, cause: Cause, now: &Zoned) -> bool {
        let next = path(&self.policy, now).and_then(|next| {
            // What has been written in this turn is not thrown away.
            let is_anew = cause == Cause::Time && self.policy.is_truncated && next != self.path;
            open(&next, &self.policy, is_anew).map(|(file, len)| (next, file, len))
        });
        self.period = period(&self.policy, now);
        match next {
            Ok((path, file, len)) => {
                // A file that goes on is not rotated again before as much has come once more.
                let len = if path == self.path { 0 } else { len };
                (self.path, self.file, self.len) = (path, file, len);
                true
            }
            Err(why) => {
                // A full disk refuses this as well; there is nobody else to tell.
                drop(self.append(format!("cannot begin another log file: {why}\n").as_bytes()));
                self.len = 0;
                false
            }
        }
    }
}

fn path(policy: &LogFiles, now: &Zoned) -> Result<PathBuf, String> {
    let name = jiff::fmt::strtime::format(&policy.name, now)
        .map_err(|error| format!("log_filename = '{}': {error}", policy.name))?;
    if name.is_empty() {
        return Err("log_filename is empty".to_owned());
    }
    Ok(Path::new(&policy.directory).join(name))
}

fn open(path: &Path, policy: &LogFiles, is_anew: bool) -> Result<(File, u64), String> {
    let fault = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| format!("{path}: {error}; see log_directory")
    };
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(fault(directory))?;
    let is_new = !path.exists();
    // The default directory is in /tmp, where somebody else may have made it, with a link in the
    // file's place that has this process write to a file of its own.
    let no_link = OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(policy.mode).custom_flags(no_link);
    let file = options.open(path).map_err(fault(path))?;
    if is_anew {
        file.set_len(0).map_err(fault(path))?;
    }
    if is_new {
        // The mode that was asked for, whatever this process gives to other files.
        drop(file.set_permissions(std::fs::Permissions::from_mode(policy.mode)));
    }
    let len = file.metadata().map_or(0, |metadata| metadata.len());
    Ok((file, len))
}

/// The multiple of the age on the local clock, so that a file a day begins at midnight.
fn period(policy: &LogFiles, now: &Zoned) -> Option<i64> {
    let age = i64::try_from(policy.age?.as_secs()).ok().filter(|age| *age > 0)?;
    Some(local_seconds(now).div_euclid(age))
}

fn local_seconds(now: &Zoned) -> i64 {
    now.timestamp().as_second() + i64::from(now.offset().seconds())
}

#[cfg(test)]
mod tests;
