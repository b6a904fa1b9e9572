//! The proxies: configured, started, asked whether they serve, and stopped.

mod pgbouncer;
mod pgherd;
mod pgpool;
mod relay;

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pgherd_herd::{HOST, Herd, USER, free_port};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::target::{Pooling, Proxy, Target};
use crate::trouble::Trouble;

/// A proxy that runs. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    port: u16,
    stop: Signal,
}

/// How a proxy is started.
struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    port: u16,
    /// The signal at which it ends at once and in good order.
    stop: Signal,
    user: RunAs,
}

/// Whose process a proxy is.
enum RunAs {
    Caller,
    /// The servers' user: some proxies refuse to be root.
    Servers,
}

/// How a proxy is set up.
#[derive(Clone, Debug)]
pub struct Layout {
    /// What the tables call the target.
    pub name: String,
    /// Which proxy.
    pub proxy: Proxy,
    /// How many servers it uses.
    pub nodes: usize,
    /// When it takes a server connection back.
    pub pooling: Pooling,
    /// Server connections that it may hold to each server.
    pub connections_max: u16,
    /// Clients that it may serve.
    pub clients_max: u16,
    /// Threads of pgherd; without it, one for every two cores.
    pub worker_threads: Option<u16>,
    /// Whether each has a core of its own.
    pub placement: Placement,
}

/// Where threads run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Where the system places them.
    Free,
    /// Each on a core of its own.
    Pinned,
}

impl Layout {
    /// Sets a target up for the clients of pgbench: none of them waits for a connection.
    #[must_use]
    pub fn of(proxy: Proxy, target: &Target) -> Self {
        Self {
            name: target.name.clone(),
            proxy,
            nodes: target.nodes,
            pooling: target.pooling,
            connections_max: CONNECTIONS_MAX,
            clients_max: CONNECTIONS_MAX,
            worker_threads: target.cores,
            placement: target.cores.map_or(Placement::Free, |_| Placement::Pinned),
        }
    }

    /// Sets a target up for thousands of clients that share [`CONNECTIONS_SHARED`].
    #[must_use]
    pub fn shared(proxy: Proxy, target: &Target) -> Self {
        Self {
            connections_max: CONNECTIONS_SHARED,
            clients_max: CLIENTS_SHARING,
            ..Self::of(proxy, target)
        }
    }
}

/// Where the files of one proxy are.
struct Place<'a> {
    herd: &'a Herd,
    layout: Layout,
    directory: PathBuf,
}

impl Running {
    /// Starts a proxy before the first servers of a herd, and waits until it serves.
    pub fn start(herd: &Herd, layout: Layout) -> Result<Self, Trouble> {
        let place = Place::make(herd, layout)?;
        let launch = match place.layout.proxy {
            Proxy::Pgherd(runtime) => pgherd::launch(&place, runtime),
            Proxy::PgBouncer => pgbouncer::launch(&place),
            Proxy::Pgpool => pgpool::launch(&place),
            Proxy::Relay => relay::launch(&place),
            Proxy::External(_) => Err(Trouble::Nothing),
        }?;
        let log = place.directory.join("log");
        let mut running = launch.spawn(&place, &log)?;
        running.wait_ready(herd, &launch, &log)?;
        Ok(running)
    }

    /// Returns where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the process at the root of its tree.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_ready(&mut self, herd: &Herd, launch: &Launch, log: &Path) -> Result<(), Trouble> {
        let end = Instant::now() + READY_LIMIT;
        let port = self.port.to_string();
        let args = ["-XAtq", "-h", HOST, "-p", &port, "-U", USER, "-c", "select 1", "postgres"];
        loop {
            let gone = self.child.try_wait().ok().flatten().is_some();
            match herd.run("psql", args.map(OsString::from)) {
                Ok(_) if !gone => return Ok(()),
                Err(trouble @ pgherd_herd::Trouble::Interrupted) => return Err(trouble.into()),
                Ok(_) | Err(_) if gone || Instant::now() >= end => {
                    let program = launch.program.display().to_string();
                    return Err(Trouble::Proxy { program, said: tail(log) });
                }
                Ok(_) | Err(_) => std::thread::sleep(READY_PAUSE),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        let end = Instant::now() + STOP_LIMIT;
        let mut is_told = kill_process(pid, self.stop).is_ok();
        while let Ok(None) = self.child.try_wait() {
            if is_told && Instant::now() < end {
                std::thread::sleep(READY_PAUSE);
                continue;
            }
            is_told = false;
            if let Err(error) = kill_process_group(pid, Signal::KILL) {
                eprintln!("process group {} cannot be killed: {error}", self.child.id());
                return;
            }
            std::thread::sleep(READY_PAUSE);
        }
    }
}

impl Launch {
    fn spawn(&self, place: &Place<'_>, log: &Path) -> Result<Running, Trouble> {
        let out = File::create(log).map_err(Trouble::io("write", log))?;
        let err = out.try_clone().map_err(Trouble::io("write", log))?;
        let mut command = Command::new(&self.program);
        // A group of its own: a Ctrl-C at the terminal is for this program, which stops it then.
        command.args(&self.args).process_group(0).current_dir(&place.directory);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        if let RunAs::Servers = self.user {
            let (user, group) = place.owner()?;
            command.uid(user).gid(group);
        }
        let child = command.spawn().map_err(Trouble::io("run", &self.program))?;
        Ok(Running { child, port: self.port, stop: self.stop })
    }
}

impl<'a> Place<'a> {
    /// Makes a directory in the herd's, with which it goes.
    fn make(herd: &'a Herd, layout: Layout) -> Result<Self, Trouble> {
        let name = format!("{}-{}", layout.name.replace(' ', "-"), layout.clients_max);
        let place = Self { herd, layout, directory: herd.directory().join(name) };
        let path = &place.directory;
        DirBuilder::new().mode(0o700).create(path).map_err(Trouble::io("create", path))?;
        place.own(path)?;
        Ok(place)
    }

    fn owner(&self) -> Result<(u32, u32), Trouble> {
        let path = self.herd.directory();
        let found = fs::metadata(path).map_err(Trouble::io("look at", path))?;
        Ok((found.uid(), found.gid()))
    }

    fn own(&self, path: &Path) -> Result<(), Trouble> {
        let (user, group) = self.owner()?;
        chown(path, Some(user), Some(group)).map_err(Trouble::io("change the owner of", path))
    }

    /// Writes a file and returns its path.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf, Trouble> {
        let path = self.directory.join(name);
        fs::write(&path, text).map_err(Trouble::io("write", &path))?;
        self.own(&path)?;
        Ok(path)
    }

    /// Lists the servers: name and port.
    fn servers(&self) -> impl Iterator<Item = (String, u16)> {
        self.herd.nodes().iter().take(self.layout.nodes).map(|node| (node.name(), node.port()))
    }

    fn port() -> Result<u16, Trouble> {
        Ok(free_port()?)
    }
}

/// Finds a program of this source tree beside this one: in a build for release, whatever this is.
fn find_own(program: &'static str, remedy: &'static str) -> Result<PathBuf, Trouble> {
    let own = std::env::current_exe().map_err(Trouble::io("find", "this program".as_ref()))?;
    // target/release/pgherd-bench, or target/debug/pgherd-bench.
    let directory = own.ancestors().nth(1).unwrap_or(&own);
    let release = own.ancestors().nth(2).unwrap_or(&own).join("release");
    let places = [release.join(program), directory.join(program)];
    places.into_iter().find(|path| path.is_file()).ok_or(Trouble::Missing { program, remedy })
}

/// Finds a program where services are installed, which need not be on a user's `PATH`.
fn find(program: &'static str, remedy: &'static str) -> Result<PathBuf, Trouble> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let service: [PathBuf; 2] = ["/usr/sbin".into(), "/usr/local/sbin".into()];
    std::env::split_paths(&path)
        .chain(service)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
        .ok_or(Trouble::Missing { program, remedy })
}

/// Returns the last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// How long a proxy may take until it serves.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Pause between two looks.
const READY_PAUSE: Duration = Duration::from_millis(50);

/// How long a proxy may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// How much of a log is shown.
const TAIL_LINES: usize = 10;

/// How clients prove who they are. `scram-sha-256` would take a proxy that derives the keys anew
/// for each login milliseconds, and so short a turn would measure little else.
const METHOD: &str = "md5";

/// Server connections that each proxy may hold, and clients that it may serve. More than the
/// clients of any scenario, so that no client waits for a connection.
const CONNECTIONS_MAX: u16 = 64;

/// Server connections that thousands of clients share.
pub const CONNECTIONS_SHARED: u16 = 20;

/// Clients that may share them: 10,000, and some that look after the rest.
const CLIENTS_SHARING: u16 = 10_200;
