//! `pgherd run`: starts the machines and passes signals on to them.

use std::path::Path;
use std::sync::Arc;

use pgherd_core::config::Config;
use pgherd_core::message::Shutdown;
use pgherd_smol::{Operator, Options};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::args::{RunArgs, Runtime};
use crate::ending::Ending;
use crate::files::{self, Disk};
use crate::logging;
use crate::pid::PidFile;

/// Serves until a signal ends it.
pub(crate) fn run(args: &RunArgs) -> Result<(), Ending> {
    let disk = Disk::new(args.key_file.as_deref());
    let (config, notes) = files::read(&args.config, &disk).map_err(|mistakes| {
        for mistake in &mistakes {
            eprintln!("{mistake}");
        }
        Ending::Mistakes(mistakes.len())
    })?;
    logging::start(config.log_level);
    for note in notes {
        log::log!(note.severity(), "{note}");
    }
    let config = files::share(config);
    let _pid_file =
        config.pid_file_name.as_deref().map(Path::new).map(PidFile::write).transpose()?;
    // From here on a signal is not lost.
    let signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])
        .map_err(|error| Ending::Broken(format!("cannot wait for signals: {error}")))?;
    let shards = config.worker_threads;
    let operator = match args.runtime {
        Runtime::Smol => start(config)?,
    };
    obey(signals, operator, shards, &args.config, &disk)
}

/// Starts the machines.
pub(crate) fn start(config: Arc<Config>) -> Result<Operator, Ending> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Ending::Broken(format!("no random bytes: {error}")))?;
    let shards = config.worker_threads;
    let options = Options { config, clock: logging::clock(), seed };
    let operator =
        pgherd_smol::start(options).map_err(|error| Ending::CannotStart(error.to_string()))?;
    log::info!("started with {shards} shards on smol");
    Ok(operator)
}

/// Passes signals on until the machines have ended.
fn obey(
    mut signals: Signals,
    operator: Operator,
    shards: usize,
    path: &Path,
    disk: &Disk,
) -> Result<(), Ending> {
    let handle = signals.handle();
    std::thread::scope(|scope| {
        let remote = operator.remote();
        let joined = scope.spawn(move || {
            let is_well = operator.join();
            handle.close();
            is_well
        });
        for signal in signals.forever() {
            match signal {
                SIGHUP => reload(path, disk, shards, |config| remote.reload(config)),
                SIGTERM => remote.shut_down(Shutdown::Smart),
                SIGINT => remote.shut_down(Shutdown::Fast),
                _ => remote.shut_down(Shutdown::Immediate),
            }
        }
        match joined.join() {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Ending::Broken("a thread has panicked; see the log".into())),
        }
    })
}

/// Reads the configuration again. With mistakes in it, everything stays as it was.
fn reload(path: &Path, disk: &Disk, shards: usize, hand_out: impl FnOnce(Arc<Config>)) {
    match files::read(path, disk) {
        Ok((mut config, notes)) => {
            // How many threads there are is settled at the start.
            config.worker_threads = shards;
            logging::set_level(config.log_level);
            for note in notes {
                log::log!(note.severity(), "{note}");
            }
            log::info!("{} has been read again", path.display());
            hand_out(files::share(config));
        }
        Err(mistakes) => {
            for mistake in &mistakes {
                log::error!("{mistake}");
            }
            log::error!("{}: the earlier configuration stays in effect", path.display());
        }
    }
}
