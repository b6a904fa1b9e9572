//! Where log lines go, and which.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use pgherd_core::config::{Config, LogPolicy};

use crate::logfile::{self, Sink};

mod prefix;

use prefix::{Facts, Prefix};

/// `log_line_prefix`; without one, lines look as pgherd's own do.
static PREFIX: RwLock<Option<Prefix>> = RwLock::new(None);

/// Lines since the start.
static LINES: AtomicU64 = AtomicU64::new(0);

/// Starts logging to where the configuration says. `RUST_LOG` overrules its level.
///
/// # Errors
/// If no file can be written; whatever is logged goes to standard error then.
pub(crate) fn start(config: &Config) -> Result<(), String> {
    start_on_stderr(config.log_level);
    set_prefix(&config.log);
    if config.log.is_collected {
        logfile::start(&config.log.files)?;
        // Nobody reads standard error then.
        std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    }
    Ok(())
}

/// Starts logging to standard error.
pub(crate) fn start_on_stderr(level: log::LevelFilter) {
    let mut builder = env_logger::Builder::new();
    // The level may change with a reload, so it is kept by the log facade; levels by module are
    // kept by the logger.
    builder.filter_level(log::LevelFilter::Trace).parse_default_env();
    // The parser would log every statement that it is given.
    builder.filter_module("sqlparser", log::LevelFilter::Off);
    builder.format(|out, record| writeln!(out, "{}", line(record)));
    builder.target(env_logger::Target::Pipe(Box::new(Sink)));
    // A second start in one process would be a fault of pgherd's, and costs only the first level.
    if builder.try_init().is_err() {
        eprintln!("pgherd: logging was started twice");
    }
    set_level(level);
}

/// Follows another configuration, as far as a running process can.
pub(crate) fn reload(config: &Config) {
    set_level(config.log_level);
    set_prefix(&config.log);
    logfile::reload(&config.log.files);
}

/// Sets what is logged, unless `RUST_LOG` does.
fn set_level(level: log::LevelFilter) {
    if std::env::var_os("RUST_LOG").is_none() {
        log::set_max_level(level);
    }
}

fn set_prefix(policy: &LogPolicy) {
    let prefix = policy.line_prefix.as_deref().map(Prefix::read);
    *PREFIX.write().unwrap_or_else(PoisonError::into_inner) = prefix;
}

/// Writes a line, without its end.
fn line(record: &log::Record<'_>) -> String {
    let now = jiff::Zoned::now();
    let number = LINES.fetch_add(1, Ordering::Relaxed) + 1;
    let target = record.target().strip_prefix("pgherd_").unwrap_or(record.target());
    let prefix = PREFIX.read().unwrap_or_else(PoisonError::into_inner);
    let Some(prefix) = prefix.as_ref() else {
        let time = now.strftime("%Y-%m-%d %H:%M:%S%.3f");
        return format!("{time} {:5} {target}: {}", record.level(), record.args());
    };
    let thread = std::thread::current();
    let prefix = prefix.write(&Facts {
        now: &now,
        pid: std::process::id(),
        thread: thread.name().unwrap_or("pgherd"),
        program: target.rsplit("::").next().unwrap_or(target),
        number,
    });
    format!("{prefix}{}:  {}", severity(record.level()), record.args())
}

/// What Pgpool-II calls a level.
const fn severity(level: log::Level) -> &'static str {
    match level {
        log::Level::Error => "ERROR",
        log::Level::Warn => "WARNING",
        log::Level::Info => "LOG",
        log::Level::Debug => "DEBUG1",
        log::Level::Trace => "DEBUG5",
    }
}

/// Wall-clock time for the machines.
pub(crate) fn clock() -> pgherd_core::time::WallClock {
    let now = jiff::Zoned::now();
    pgherd_core::time::WallClock {
        start: pgherd_core::time::WallTime(u64::try_from(now.timestamp().as_second()).unwrap_or(0)),
        offset: now.offset().seconds(),
    }
}
