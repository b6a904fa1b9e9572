//! pgherd as its users run it: a process, a file and signals.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::child::ends_within;
use super::commands::Commands;
use super::grounds::{CHECK_PASSWORD, CHECK_USER, Grounds};
use crate::world::{PCP_CONF, Setup};

/// A running pgherd.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    runtime: String,
    /// Its files. Removed with it.
    dir: PathBuf,
    port: u16,
    pcp_port: u16,
    commands: Commands,
    exit_code: Option<i32>,
}

impl Proxy {
    /// Writes the configuration and starts pgherd; when this returns, it takes connections.
    ///
    /// # Errors
    /// It does not; the message has its log.
    pub fn start(runtime: &str, grounds: &Grounds, setup: &Setup) -> Result<Self, String> {
        let dir = fresh_dir();
        let free = || pgherd_herd::free_port().expect("this machine has a free port");
        let (port, pcp_port) = (free(), free());
        let ports: Vec<u16> = (0..=setup.standbys).map(|node| grounds.port(node)).collect();
        let commands = Commands::write(dir.join("commands"), &grounds.psql_path(), &ports);
        write_config(&dir, &config(grounds, setup, (port, pcp_port), &dir));
        let path = dir.join("pcp.conf");
        fs::write(&path, PCP_CONF).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let child = spawn(runtime, &dir)?;
        let runtime = runtime.to_owned();
        let mut proxy = Self { child, runtime, dir, port, pcp_port, commands, exit_code: None };
        proxy.wait_ready()?;
        Ok(proxy)
    }

    /// Starts it again, once it has ended.
    ///
    /// # Errors
    /// As of [`Proxy::start`].
    pub fn start_again(&mut self) -> Result<(), String> {
        self.child = spawn(&self.runtime, &self.dir)?;
        self.exit_code = None;
        self.wait_ready()
    }

    fn wait_ready(&mut self) -> Result<(), String> {
        let end = Instant::now() + START_LIMIT;
        let listens = |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        while !listens(self.port) || !listens(self.pcp_port) {
            if let Some(code) = self.exit_code() {
                let log = self.log();
                return Err(format!("pgherd ended with {code} instead of starting:\n{log}"));
            }
            if Instant::now() >= end {
                return Err(format!("pgherd does not listen:\n{}", self.log()));
            }
            // If it ends, the next look tells.
            let _ = ends_within(&self.child, POLL_INTERVAL);
        }
        Ok(())
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The file with its configuration.
    pub fn config_file(&self) -> PathBuf {
        self.dir.join(CONFIG)
    }

    /// Where it serves PCP.
    pub fn pcp_port(&self) -> u16 {
        self.pcp_port
    }

    /// Writes another configuration; pgherd is not told.
    pub fn configure(&self, grounds: &Grounds, setup: &Setup) {
        write_config(&self.dir, &config(grounds, setup, (self.port, self.pcp_port), &self.dir));
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// pgherd has ended.
    pub fn signal(&mut self, signal: Signal) {
        assert_eq!(self.exit_code(), None, "pgherd has ended:\n{}", self.log());
        kill_process(Pid::from_child(&self.child), signal).expect("a child can be signalled");
    }

    /// Its exit code, or -1 if a signal killed it, once it has ended.
    pub fn exit_code(&mut self) -> Option<i32> {
        if self.exit_code.is_none() {
            let status = self.child.try_wait().expect("a child can be waited for");
            self.exit_code = status.map(|status| status.code().unwrap_or(-1));
        }
        self.exit_code
    }

    /// Bytes that it has in memory; none once it has ended.
    pub fn memory(&self) -> usize {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes.and_then(|count| count.trim().parse::<usize>().ok()).unwrap_or(0) * 1024
    }

    /// The commands that it has had run.
    pub fn commands(&self) -> Vec<String> {
        self.commands.run()
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join(LOG)).unwrap_or_default()
    }

    /// Ends it, however it is.
    pub fn end(&mut self) {
        if self.exit_code.is_none() {
            // It may end by itself at this very moment.
            drop(self.child.kill());
            drop(self.child.wait());
            self.exit_code = Some(-1);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end();
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// Starts the program on the files of a directory.
fn spawn(runtime: &str, dir: &Path) -> Result<Child, String> {
    let log = OpenOptions::new().create(true).append(true).open(dir.join(LOG));
    let log = log.expect("a fresh directory can be written to");
    let errors = log.try_clone().expect("a file can be opened twice");
    let binary = binary()?;
    Command::new(&binary)
        .args(["run", "--runtime", runtime, "--config"])
        .arg(dir.join(CONFIG))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("cannot run {}: {error}", binary.display()))
}

/// Composes `pgherd.toml`.
fn config(grounds: &Grounds, setup: &Setup, ports: (u16, u16), dir: &Path) -> String {
    let (port, pcp_port) = ports;
    let commands = dir.join("commands").display().to_string();
    let mut text = setup.settings.join("\n").replace("{commands}", &commands);
    let pid_file = dir.join("pgherd.pid").display().to_string();
    let own = [
        ("listen_addresses", quoted("127.0.0.1")),
        ("port", port.to_string()),
        ("unix_socket_directories", quoted("")),
        ("pcp_listen_addresses", quoted("127.0.0.1")),
        ("pcp_port", pcp_port.to_string()),
        ("pcp_socket_dir", quoted("")),
        ("pid_file_name", quoted(&pid_file)),
        ("work_dir", quoted(&dir.display().to_string())),
        ("worker_threads", "2".to_owned()),
        ("sr_check_user", quoted(CHECK_USER)),
        ("sr_check_password", quoted(CHECK_PASSWORD)),
        ("sr_check_period", quoted("1s")),
        ("health_check_timeout", quoted("5s")),
        ("health_check_max_retries", "1".to_owned()),
        ("health_check_retry_delay", quoted("1s")),
        // Only scenarios that are about it lose a primary for good.
        ("failover_mode", quoted("off")),
    ];
    let asked = |name: &str| {
        setup.settings.iter().any(|line| line.split('=').next().is_some_and(|n| n.trim() == name))
    };
    for (name, value) in own {
        if !asked(name) {
            write!(text, "\n{name} = {value}").expect("text can be written");
        }
    }
    for node in 0..=setup.standbys {
        let weight = setup.weights.get(node).copied().unwrap_or(1.0);
        let port = grounds.port(node);
        let data_directory = quoted(&grounds.data_dir(node).display().to_string());
        write!(
            text,
            "\n\n[[backends]]\nhostname = \"127.0.0.1\"\nport = {port}\nweight = {weight:?}\n\
             data_directory = {data_directory}{}",
            setup.lines_of(node)
        )
        .expect("text can be written");
    }
    text.push_str("\n\n[users]\n");
    let own = [("postgres".to_owned(), "postgres".to_owned())];
    for (name, password) in own.iter().chain(&setup.users) {
        writeln!(text, "{} = {}", quoted(name), quoted(password)).expect("text can be written");
    }
    text
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn write_config(dir: &Path, text: &str) {
    let path = dir.join(CONFIG);
    fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Makes a directory that only we use.
fn fresh_dir() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = env::temp_dir().join(format!("pgherd-tests-{}-{number}", std::process::id()));
    fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    dir
}

/// Finds the program: `$PGHERD_BIN`, or what `cargo build` put beside the tests.
///
/// # Errors
/// There is none; the message says how to get it.
pub fn binary() -> Result<PathBuf, String> {
    if let Some(path) = env::var_os("PGHERD_BIN") {
        return Ok(path.into());
    }
    // A test is target/<profile>/deps/<name>-<hash>.
    let own = env::current_exe().expect("a process knows its program");
    let profile = own.ancestors().nth(2).expect("a test is in target/<profile>/deps");
    let path = profile.join("pgherd");
    if path.is_file() {
        return Ok(path);
    }
    let path = path.display();
    Err(format!(
        "no program {path}: run `cargo build -p pgherd` with the same profile first, or set \
         PGHERD_BIN"
    ))
}

const CONFIG: &str = "pgherd.toml";
const LOG: &str = "log";

/// How long pgherd may take to listen. It takes milliseconds.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often that is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
