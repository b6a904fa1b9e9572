//! Where a run takes place and what took part: without it, its numbers say nothing.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use pgherd_core::time::{WallClock, WallTime};
use pgherd_herd::Herd;
use serde::Serialize;

use crate::trouble::Trouble;

/// Where a run takes place, and what takes part.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// When it began, in UTC.
    pub date: String,
    /// The commit that was built, and whether the tree had changed since.
    pub commit: String,
    /// CPUs that this process may use.
    pub cores: usize,
    /// What the processor calls itself.
    pub processor: String,
    /// Memory of the machine.
    pub memory: String,
    /// Name and release of the operating system.
    pub system: String,
    /// The versions of the servers and of the other proxies.
    pub programs: Vec<String>,
}

impl Machine {
    /// Looks around.
    pub fn look(herd: &Herd) -> Result<Self, Trouble> {
        let name = rustix::system::uname();
        let system = [name.sysname(), name.release(), name.machine()];
        let mut programs =
            vec![herd.psql(0, "select 'PostgreSQL ' || current_setting('server_version')")?];
        programs.extend(PEERS.iter().filter_map(|peer| version(peer)));
        Ok(Self {
            date: date(),
            commit: commit(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor: field("/proc/cpuinfo", "model name"),
            memory: field("/proc/meminfo", "MemTotal"),
            system: system.map(|part| part.to_string_lossy().into_owned()).join(" "),
            programs,
        })
    }

    /// Says it in a few lines.
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "{}, commit {}. {} CPUs ({}), {}, {}. {}.\n",
            self.date,
            self.commit,
            self.cores,
            self.processor,
            self.memory,
            self.system,
            self.programs.join(", ")
        )
    }
}

fn date() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallClock::default().print(WallTime(now.as_secs())) + " UTC"
}

fn commit() -> String {
    let found = said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]);
    found.unwrap_or_else(|| "unknown".to_owned())
}

/// The first line that says which version a program is.
fn version(program: &str) -> Option<String> {
    let paths = [program.to_owned(), format!("/usr/sbin/{program}")];
    paths.iter().find_map(|path| said(path, &["--version"]))
}

fn said(program: &str, args: &[&str]) -> Option<String> {
    let ended = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    // Pgpool-II says it where others complain.
    let text = [ended.stdout, ended.stderr].concat();
    let line = String::from_utf8_lossy(&text).lines().next()?.trim().to_owned();
    (ended.status.success() && !line.is_empty()).then_some(line)
}

/// The first value of a name in one of the kernel's files of names and values.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    value.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

/// The proxies whose versions are told.
const PEERS: [&str; 2] = ["pgbouncer", "pgpool"];
