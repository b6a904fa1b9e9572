//! `pgherd run`: starts the machines and passes signals on to them.

use std::path::Path;
use std::sync::Arc;

use pgherd_core::config::{Config, Note, Rejected};
use pgherd_core::memory::Memory;
use pgherd_core::message::{Shutdown, Wish};
use pgherd_host::process::Operator;
use pgherd_host::trouble::StartError;
use pgherd_host::worker::Options;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::args::{RunArgs, Runtime};
use crate::ending::Ending;
use crate::files::{self, Disk};
use crate::memory::{self, Keeper};
use crate::pid::PidFile;
use crate::{logfile, logging};

/// What is to be served, and how.
pub(crate) struct Start<'a> {
    /// The configuration.
    pub(crate) config: &'a Path,
    /// The key file, if one is named.
    pub(crate) key_file: Option<&'a Path>,
    /// The file with the users of PCP, if one is named.
    pub(crate) pcp_file: Option<&'a Path>,
    pub(crate) runtime: Runtime,
    /// What is logged until the configuration is read again, whatever that says.
    pub(crate) level: Option<log::LevelFilter>,
    pub(crate) name: Name<'a>,
    pub(crate) past: Past,
}

/// By which name it was called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name<'a> {
    /// Its own.
    Pgherd,
    /// `pgpool`: what the configuration leaves open is as in Pgpool-II. If it has left the directory
    /// in which it was started, this is the one.
    Pgpool { left: Option<&'a Path> },
}

/// What becomes of what was remembered of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// It is taken for a hint.
    Recalled,
    /// It is forgotten.
    Discarded,
}

/// Serves until a signal ends it.
pub(crate) fn run(args: &RunArgs) -> Result<(), Ending> {
    let start = Start {
        config: &args.config,
        key_file: args.key_file.as_deref(),
        pcp_file: args.pcp_file.as_deref(),
        runtime: args.runtime,
        level: None,
        name: Name::Pgherd,
        past: if args.discard_status { Past::Discarded } else { Past::Recalled },
    };
    serve(&start, || Ok(()))
}

/// Serves until a signal ends it; `started` is called once clients can come.
pub(crate) fn serve(
    what: &Start<'_>,
    started: impl FnOnce() -> Result<(), Ending>,
) -> Result<(), Ending> {
    let disk = Disk::new(what.key_file).with_pcp_file(what.pcp_file);
    let (mut config, notes) = what.read(&disk).map_err(|rejected| {
        rejected.notes.iter().for_each(|note| eprintln!("{note}"));
        rejected.mistakes.iter().for_each(|mistake| eprintln!("{mistake}"));
        Ending::Mistakes(rejected.mistakes.len())
    })?;
    config.log_level = what.level.unwrap_or(config.log_level);
    logging::start(&config).map_err(Ending::CannotStart)?;
    for note in notes {
        log::log!(note.severity(), "{note}");
    }
    if !config.pcp.is_served() {
        log::info!("PCP is not served: no pcp.conf beside the configuration names a user");
    }
    let config = files::share(config);
    let pid_file = config.pid_file_name.as_deref().map(Path::new);
    // From here on a signal is not lost: whoever reads the pid file may send one.
    let signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1])
        .map_err(|error| Ending::Broken(format!("cannot wait for signals: {error}")))?;
    let _pid_file = pid_file.map(PidFile::write).transpose()?;
    let work_dir = config.work_dir.as_deref();
    if what.past == Past::Discarded {
        memory::discard(work_dir);
    }
    let keeper = Keeper::start(work_dir)
        .map_err(|error| Ending::Broken(format!("cannot start a thread: {error}")))?;
    let operator = start(what.runtime, config.clone(), memory::recall(work_dir))?;
    heed(&operator, &keeper);
    started()?;
    let ended = obey(signals, operator, config, what, &disk);
    keeper.end();
    ended
}

impl Start<'_> {
    /// Reads the configuration.
    fn read(&self, disk: &Disk) -> Result<(Config, Vec<Note>), Rejected> {
        let (mut config, notes) = files::read(self.config, disk)?;
        if let Name::Pgpool { left } = self.name {
            config.default_as_pgpool();
            if let Some(directory) = left {
                files::anchor(&mut config, directory);
            }
        }
        Ok((config, notes))
    }
}

/// Fulfils the machines' wishes.
fn heed(operator: &Operator, keeper: &Keeper) {
    let keep = keeper.hand();
    operator.heed(Box::new(move |wish| {
        // As if somebody had sent the signal: it is dealt with where signals are.
        let signal = match wish {
            Wish::Reload => SIGHUP,
            Wish::RotateLog => SIGUSR1,
            Wish::Remember(texts) => return keep(texts),
        };
        if let Err(error) = signal_hook::low_level::raise(signal) {
            log::error!("{wish:?} cannot be passed on: {error}");
        }
    }));
}

/// Starts the machines on a runtime.
pub(crate) fn start(
    runtime: Runtime,
    config: Arc<Config>,
    memory: Memory,
) -> Result<Operator, Ending> {
    match runtime {
        Runtime::Smol => start_on("smol", config, memory, pgherd_smol::start),
        Runtime::Glommio => start_on("glommio", config, memory, start_glommio),
        Runtime::Auto => match lack_of_glommio() {
            None => start_on("glommio", config, memory, start_glommio),
            Some(lack) => {
                log::warn!("running on smol: {lack}");
                start_on("smol", config, memory, pgherd_smol::start)
            }
        },
    }
}

fn start_on(
    name: &str,
    config: Arc<Config>,
    memory: Memory,
    start: impl FnOnce(Options) -> Result<Operator, StartError>,
) -> Result<Operator, Ending> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Ending::Broken(format!("no random bytes: {error}")))?;
    let shards = config.worker_threads;
    let options = Options { config, clock: logging::clock(), seed, memory };
    let operator = start(options).map_err(|error| Ending::CannotStart(error.to_string()))?;
    log::info!("started with {shards} shards on {name}");
    Ok(operator)
}

#[cfg(all(target_os = "linux", feature = "glommio"))]
use pgherd_glommio::start as start_glommio;

#[cfg(not(all(target_os = "linux", feature = "glommio")))]
fn start_glommio(_: Options) -> Result<Operator, StartError> {
    Err(not_built())
}

/// Why the host has no use for glommio, if so.
#[cfg(all(target_os = "linux", feature = "glommio"))]
fn lack_of_glommio() -> Option<StartError> {
    pgherd_glommio::check().err()
}

#[cfg(not(all(target_os = "linux", feature = "glommio")))]
fn lack_of_glommio() -> Option<StartError> {
    Some(not_built())
}

#[cfg(not(all(target_os = "linux", feature = "glommio")))]
fn not_built() -> StartError {
    StartError::Runtime("this pgherd was built without glommio; choose --runtime smol".to_owned())
}

/// Passes signals on until the machines have ended.
fn obey(
    mut signals: Signals,
    operator: Operator,
    mut config: Arc<Config>,
    what: &Start<'_>,
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
                SIGHUP => {
                    if let Some(next) = reload(what, disk, &config) {
                        config = next;
                        remote.reload(config.clone());
                    }
                }
                SIGUSR1 => {
                    if !logfile::rotate() {
                        log::info!("there is no log file to rotate: logging_collector is off");
                    }
                }
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
fn reload(what: &Start<'_>, disk: &Disk, running: &Config) -> Option<Arc<Config>> {
    match what.read(disk) {
        Ok((mut config, notes)) => {
            for note in notes {
                log::log!(note.severity(), "{note}");
            }
            keep_what_is_settled(&mut config, running);
            logging::reload(&config);
            log::info!("{} has been read again", what.config.display());
            Some(files::share(config))
        }
        Err(rejected) => {
            for mistake in &rejected.mistakes {
                log::error!("{mistake}");
            }
            log::error!("{}: the earlier configuration stays in effect", what.config.display());
            None
        }
    }
}

/// Leaves what a running process cannot change as it is, and says so.
fn keep_what_is_settled(config: &mut Config, running: &Config) {
    let changed = [
        ("listen_addresses", config.listen_addresses != running.listen_addresses),
        ("port", config.port != running.port),
        (
            "unix_socket_directories",
            config.unix_socket_directories != running.unix_socket_directories,
        ),
        ("pcp_listen_addresses", config.pcp.listen_addresses != running.pcp.listen_addresses),
        ("pcp_port", config.pcp.port != running.pcp.port),
        ("pcp_socket_dir", config.pcp.socket_directories != running.pcp.socket_directories),
        ("worker_threads", config.worker_threads != running.worker_threads),
        ("cpu_affinity", config.cpu_affinity != running.cpu_affinity),
        ("pid_file_name", config.pid_file_name != running.pid_file_name),
        ("work_dir", config.work_dir != running.work_dir),
        ("logging_collector", config.log.is_collected != running.log.is_collected),
    ];
    for (name, _) in changed.iter().filter(|(_, is_changed)| *is_changed) {
        log::warn!("{name} has changed: that takes effect at the next start");
    }
    if config.pcp.is_served() && !running.pcp.is_served() {
        log::warn!("there are users of PCP now: it is served from the next start on");
    }
    config.worker_threads = running.worker_threads;
    for backend in &mut config.backends {
        let Some(old) = running.backend(backend.id) else { continue };
        if (&old.hostname, old.port) != (&backend.hostname, backend.port) {
            // What is known of a node, and every connection to it, is of the server that it was.
            log::warn!(
                "node {}: another host or port takes effect at the next start; until then it stays \
                 {}:{}",
                backend.id,
                old.hostname,
                old.port
            );
            backend.hostname.clone_from(&old.hostname);
            backend.port = old.port;
        }
    }
}
