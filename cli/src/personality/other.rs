//! The process that serves already, of which its pid file tells: to stop it, or have it read its
//! configuration again.

use std::path::Path;
use std::time::Duration;

use pgherd_core::config;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::Stop;
use crate::files::Disk;
use crate::pid;

/// How a process is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Smart,
    Fast,
    Immediate,
}

impl Mode {
    /// Reads the name of a mode, or its first letter.
    pub(super) fn read(name: &str) -> Option<Self> {
        match name {
            "smart" | "s" => Some(Self::Smart),
            "fast" | "f" => Some(Self::Fast),
            "immediate" | "i" => Some(Self::Immediate),
            _ => None,
        }
    }

    const fn signal(self) -> Signal {
        match self {
            Self::Smart => Signal::TERM,
            Self::Fast => Signal::INT,
            Self::Immediate => Signal::QUIT,
        }
    }
}

/// How often somebody who stops is looked at, and a dot is written.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Stops the process and waits until it is gone.
pub(super) fn stop(config: &str, mode: Mode) -> Result<(), Stop> {
    const CODE: u8 = 3;
    let pid = send(config, mode.signal(), CODE, "could not stop process with pid:")?;
    let what = format!("stop request sent to pgpool (pid: {pid}). waiting for termination...");
    eprint!("{}.", said("LOG", &what));
    while pid::is_running(pid) {
        std::thread::sleep(LOOK_INTERVAL);
        eprint!(".");
    }
    eprintln!("done.");
    Ok(())
}

/// Has the process read its configuration again.
pub(super) fn reload(config: &str) -> Result<(), Stop> {
    send(config, Signal::HUP, 1, "could not reload configuration file pid:").map(drop)
}

/// Refuses to start beside a process that serves already.
pub(super) fn refuse_second(config: &str) -> Result<(), Stop> {
    // A configuration that cannot be read ends the start with all that is wrong in it.
    let Ok(file) = pid_file(config) else { return Ok(()) };
    match pid::named_in(Path::new(&file)).filter(|pid| pid::is_ours(*pid)) {
        Some(pid) => {
            Err(Stop::new(format!("ERROR: pid file found. is another pgpool({pid}) is running?\n")))
        }
        None => Ok(()),
    }
}

fn send(config: &str, signal: Signal, code: u8, failed: &str) -> Result<u32, Stop> {
    let fatal = |what: &str| Stop { text: said("FATAL", what), code };
    // Pgpool-II goes on to its default file, which may be another one's.
    let file = pid_file(config).map_err(|why| fatal(&why))?;
    let pid = pid::named_in(Path::new(&file));
    let pid = pid.ok_or_else(|| fatal("could not read pid file"))?;
    let sent = match i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Whoever has been given the number of one that is gone is not to be stopped.
        Some(process) if pid::is_ours(pid) => kill_process(process, signal),
        Some(_) | None => Err(Errno::SRCH),
    };
    match sent {
        Ok(()) => Ok(pid),
        Err(error) => {
            let why = std::io::Error::from(error).to_string();
            let why = why.split(" (os error").next().unwrap_or_default();
            let mut stop = fatal(&format!("{failed} {pid}"));
            stop.text.push_str(&said("DETAIL", why));
            Err(stop)
        }
    }
}

/// Finds the pid file that a configuration names, or Pgpool-II's where it names none.
fn pid_file(config: &str) -> Result<String, String> {
    let name = config::text(config, "pid_file_name", &Disk::new(None))
        .map_err(|_| format!("could not open configuration file: \"{config}\""))?;
    Ok(if name.is_empty() { pid::PGPOOL_S.to_owned() } else { name })
}

/// A line as Pgpool-II logs it.
fn said(severity: &str, what: &str) -> String {
    let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S%.3f");
    format!("{now}: main pid {}: {severity}:  {what}\n", std::process::id())
}
