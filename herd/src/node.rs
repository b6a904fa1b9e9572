//! One server: started, stopped, paused and killed.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::launcher::{Launcher, telling_line};
use crate::processes::{self, KILL_LIMIT, poll};
use crate::settings;
use crate::trouble::Trouble;

/// One PostgreSQL server of a herd, running or not.
///
/// All methods take `&self`, so that a node can be killed while another thread uses the herd.
#[derive(Debug)]
pub struct Node {
    id: usize,
    pub(crate) port: u16,
    data_dir: PathBuf,
    log_file: PathBuf,
    launcher: Launcher,
    server: Mutex<Option<Server>>,
}

/// A server that was started, whether or not it still runs.
#[derive(Debug)]
struct Server {
    child: Child,
    /// Where in the log file its messages begin, in bytes.
    log_start: u64,
}

/// How a server is told to stop. PostgreSQL docs, "Shutting Down the Server".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Waits until all clients have left.
    Smart,
    /// Disconnects the clients, rolls back, writes a checkpoint.
    Fast,
    /// Leaves at once; the next start recovers as from a crash.
    Immediate,
}

impl Mode {
    fn signal(self) -> Signal {
        match self {
            Mode::Smart => Signal::TERM,
            Mode::Fast => Signal::INT,
            Mode::Immediate => Signal::QUIT,
        }
    }
}

impl Node {
    /// Describes node `id` of the herd that `launcher` is for. It is still to be made.
    pub(crate) fn new(launcher: &Launcher, id: usize, port: u16) -> Node {
        let home = launcher.home.join(settings::name(id));
        Node {
            id,
            port,
            data_dir: home.join("data"),
            log_file: home.join("log"),
            launcher: launcher.clone(),
            server: Mutex::new(None),
        }
    }

    /// Returns its number: 0 was built as the primary.
    pub fn id(&self) -> usize {
        self.id
    }

    /// Returns the address that it listens on.
    pub fn host(&self) -> &'static str {
        crate::HOST
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its data directory, as an absolute path without symbolic links.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Returns the file in which the server logs.
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// Returns the name by which it goes as `cluster_name`, and as `application_name` at its
    /// primary.
    pub fn name(&self) -> String {
        settings::name(self.id)
    }

    /// Returns a connection string for the superuser, password included.
    pub fn conninfo(&self) -> String {
        format!(
            "host={} port={} user={} password={} dbname=postgres",
            crate::HOST,
            self.port,
            crate::USER,
            crate::PASSWORD
        )
    }

    /// Starts the server unless it runs. It is not ready yet: see [`Node::wait_ready`].
    ///
    /// If somebody else has started one on its data directory, that one is killed first.
    pub fn start(&self) -> Result<(), Trouble> {
        let mut server = self.server();
        if live_pid(&mut server).is_some() {
            return Ok(());
        }
        // A server that somebody else has started takes its lock files along when it is told to stop.
        // Killed, it may stay a zombie, which is not ours to reap and passes for one that runs.
        for pid in processes::of_server(None, &self.data_dir) {
            processes::signal(pid, Mode::Immediate.signal());
        }
        poll(KILL_LIMIT, || processes::of_server(None, &self.data_dir).is_empty());
        // A server that was killed on its own may have left children that hold on to its memory;
        // the next one would refuse to start.
        if !processes::kill_all(None, &self.data_dir) {
            return Err(Trouble::Stop { node: self.id, waited: KILL_LIMIT });
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log_file)
            .map_err(Trouble::io("open", &self.log_file))?;
        let log_start = log.metadata().map_err(Trouble::io("examine", &self.log_file))?.len();
        let stdout = log.try_clone().map_err(Trouble::io("open", &self.log_file))?;
        let mut command = self.launcher.command("postgres");
        command.arg("-D").arg(&self.data_dir);
        // On the command line too, because pg_rewind brings the other node's files with it.
        command.args(["-c", &format!("port={}", self.port)]);
        command.args(["-c", &format!("cluster_name={}", self.name())]);
        command.stdin(Stdio::null()).stdout(stdout).stderr(log);
        let path = self.launcher.binaries.program("postgres");
        let child = command.spawn().map_err(Trouble::io("run", &path))?;
        *server = Some(Server { child, log_start });
        Ok(())
    }

    /// Waits until the server takes connections, for at most `limit`.
    ///
    /// If the server ends instead, the error has the reason from its log.
    pub fn wait_ready(&self, limit: Duration) -> Result<(), Trouble> {
        let mut verdict = None;
        poll(limit, || {
            verdict = self.readiness();
            verdict.is_some()
        });
        verdict.unwrap_or_else(|| {
            let said = telling_line(&self.log_tail(1));
            Err(Trouble::NotReady { node: self.id, waited: limit, said })
        })
    }

    /// Returns what is known of the start: nothing while it goes on.
    fn readiness(&self) -> Option<Result<(), Trouble>> {
        if self.launcher.is_interrupted() {
            return Some(Err(Trouble::Interrupted));
        }
        let mut server = self.server();
        let Some(pid) = live_pid(&mut server) else {
            let Some(ended) = server.as_ref() else {
                return Some(Err(Trouble::NotRunning { node: self.id }));
            };
            let said = read_from(&self.log_file, ended.log_start);
            if said.contains("Address already in use") {
                return Some(Err(Trouble::PortInUse { port: self.port }));
            }
            return Some(Err(Trouble::Start { node: self.id, said: telling_line(&said) }));
        };
        // The file of a server that was killed is still there when its successor starts.
        let file = self.postmaster_pid();
        let is_own = file.lines().next() == Some(pid.as_raw_nonzero().to_string().as_str());
        // The eighth line is "starting", "stopping", "ready" or, of a standby that takes no
        // connections, "standby".
        (is_own && file.lines().nth(7).map(str::trim_end) == Some("ready")).then_some(Ok(()))
    }

    /// Stops the server, even if it is paused or somebody else has started it, and waits until it is
    /// gone.
    ///
    /// One that takes too long is killed, and that is an error. In particular a smart stop takes as
    /// long as clients stay.
    pub fn stop(&self, mode: Mode) -> Result<(), Trouble> {
        self.stop_within(mode, STOP_LIMIT)
    }

    pub(crate) fn stop_within(&self, mode: Mode, limit: Duration) -> Result<(), Trouble> {
        let mut server = self.server();
        let Some(pid) = live_pid(&mut server) else {
            self.stop_stranger(mode, limit);
            return self.end(&mut server);
        };
        processes::signal(pid, mode.signal());
        processes::thaw(Some(pid), &self.data_dir);
        let stopped = poll(limit, || live_pid(&mut server).is_none());
        self.end(&mut server)?;
        if stopped { Ok(()) } else { Err(Trouble::Stop { node: self.id, waited: limit }) }
    }

    /// Stops the server that somebody else has started on the data directory, if there is one.
    fn stop_stranger(&self, mode: Mode, limit: Duration) {
        let number = self.postmaster_pid().lines().next().and_then(|line| line.trim().parse().ok());
        let found = || processes::of_server(None, &self.data_dir);
        let Some(pid) = number.and_then(Pid::from_raw).filter(|pid| found().contains(pid)) else {
            return;
        };
        processes::signal(pid, mode.signal());
        processes::thaw(Some(pid), &self.data_dir);
        poll(limit, || found().is_empty());
    }

    /// Kills the server and all of its children outright, as a power cut would.
    pub fn kill(&self) -> Result<(), Trouble> {
        self.end(&mut self.server())
    }

    /// Kills what is left of the server.
    fn end(&self, server: &mut Option<Server>) -> Result<(), Trouble> {
        let pid = live_pid(server);
        let gone = processes::kill_all(pid, &self.data_dir);
        let reaped = pid.is_none() || poll(KILL_LIMIT, || live_pid(server).is_none());
        let failed = Trouble::Stop { node: self.id, waited: KILL_LIMIT };
        if gone && reaped { Ok(()) } else { Err(failed) }
    }

    /// Stops the server and its children in their tracks: they keep their connections and answer
    /// nothing, as on a machine that hangs.
    pub fn pause(&self) -> Result<(), Trouble> {
        let mut server = self.server();
        let pid = live_pid(&mut server).ok_or(Trouble::NotRunning { node: self.id })?;
        processes::freeze(Some(pid), &self.data_dir);
        Ok(())
    }

    /// Lets a paused server go on.
    pub fn resume(&self) -> Result<(), Trouble> {
        let mut server = self.server();
        let pid = live_pid(&mut server).ok_or(Trouble::NotRunning { node: self.id })?;
        processes::thaw(Some(pid), &self.data_dir);
        Ok(())
    }

    /// Whether the server runs, ready or not, paused or not.
    pub fn is_running(&self) -> bool {
        live_pid(&mut self.server()).is_some()
    }

    /// Returns the process ids of the server and its children. Those of a server that died without
    /// them are included.
    pub fn pids(&self) -> Vec<u32> {
        let pid = live_pid(&mut self.server());
        let mut pids: Vec<u32> = processes::of_server(pid, &self.data_dir)
            .into_iter()
            .map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
            .collect();
        pids.sort_unstable();
        pids
    }

    /// Returns the last `count` lines of its log.
    pub fn log_tail(&self, count: usize) -> String {
        let len = fs::metadata(&self.log_file).map_or(0, |metadata| metadata.len());
        let text = read_from(&self.log_file, len.saturating_sub(LOG_TAIL_LEN));
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
    }

    /// Reads the file in which the server tells how it is, or nothing if there is none.
    pub(crate) fn postmaster_pid(&self) -> String {
        fs::read_to_string(self.data_dir.join("postmaster.pid")).unwrap_or_default()
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the server's process id if it still runs, and reaps it if it does not.
fn live_pid(server: &mut Option<Server>) -> Option<Pid> {
    let server = server.as_mut()?;
    match server.child.try_wait() {
        Ok(None) => Some(Pid::from_child(&server.child)),
        Ok(Some(_)) | Err(_) => None,
    }
}

/// Reads a log from byte `start` on; nothing if it cannot be read.
fn read_from(path: &Path, start: u64) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(start))?;
        file.read_to_end(&mut bytes)
    });
    if let Err(error) = read {
        log::debug!("cannot read {}: {error}", path.display());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How long a server may take to stop before it is killed. A fast stop writes a checkpoint and
/// waits for the standbys to have received it.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How far back the last lines of a log are looked for, in bytes.
const LOG_TAIL_LEN: u64 = 64 * 1024;
