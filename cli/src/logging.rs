//! Where log lines go, and which.

use std::io::Write as _;

/// Starts logging to standard error. `RUST_LOG` overrules the configuration's level.
pub(crate) fn start(level: log::LevelFilter) {
    let mut builder = env_logger::Builder::new();
    // The level may change with a reload, so it is kept by the log facade; levels by module are
    // kept by the logger.
    builder.filter_level(log::LevelFilter::Trace).parse_default_env();
    builder.format(|out, record| {
        let time = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S%.3f");
        let target = record.target().strip_prefix("pgherd_").unwrap_or(record.target());
        writeln!(out, "{time} {:5} {target}: {}", record.level(), record.args())
    });
    // A second start in one process would be a fault of pgherd's, and costs only the first level.
    if builder.try_init().is_err() {
        eprintln!("pgherd: logging was started twice");
    }
    set_level(level);
}

/// Sets what is logged, unless `RUST_LOG` does.
pub(crate) fn set_level(level: log::LevelFilter) {
    if std::env::var_os("RUST_LOG").is_none() {
        log::set_max_level(level);
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
