//! The built program as whoever types its name meets it: exit codes, the one clear line, signals,
//! and what it leaves behind.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use pgherd_tests::real::child::ends_within;
use pgherd_tests::scenarios::panic_text;
use rustix::process::{Pid, Signal, kill_process};

#[path = "program/admin.rs"]
mod admin;
#[path = "program/demo.rs"]
mod demo;
#[path = "program/personality.rs"]
mod personality;
#[path = "program/rebuild.rs"]
mod rebuild;

const TESTS: [(&str, fn()); 15] = [
    ("a_command_line_that_is_not_understood", a_command_line_that_is_not_understood),
    ("the_version", the_version),
    ("check_finds_no_mistakes", check_finds_no_mistakes),
    ("check_tells_every_mistake_and_its_line", check_tells_every_mistake_and_its_line),
    ("a_missing_file_is_named", a_missing_file_is_named),
    ("check_reports_a_server_that_is_not_there", check_reports_a_server_that_is_not_there),
    ("run_says_which_port_is_taken", run_says_which_port_is_taken),
    ("sigquit_ends_it", sigquit_ends_it),
    ("sigint_ends_it", sigint_ends_it),
    ("sigterm_ends_it", sigterm_ends_it),
    ("a_broken_file_does_not_end_it", a_broken_file_does_not_end_it),
    ("check_tells_of_cores_that_are_none", check_tells_of_cores_that_are_none),
    ("smol_keeps_threads_on_their_cores", smol_keeps_threads_on_their_cores),
    ("glommio_keeps_threads_on_their_cores", glommio_keeps_threads_on_their_cores),
    ("a_core_that_is_not_there_stops_the_start", a_core_that_is_not_there_stops_the_start),
];

fn main() {
    let mut args = Arguments::from_args();
    // A port that one test found free shall still be free when its program listens.
    args.test_threads = Some(1);
    let trials = TESTS
        .into_iter()
        .chain(demo::TESTS)
        .chain(personality::TESTS)
        .chain(admin::TESTS)
        .chain(rebuild::TESTS)
        .map(|(name, test)| {
            Trial::test(name, move || {
                let played = catch_unwind(AssertUnwindSafe(test));
                played.map_err(|panic| panic_text(panic.as_ref()).into())
            })
        })
        .collect();
    libtest_mimic::run(&args, trials).exit();
}

fn a_command_line_that_is_not_understood() {
    let room = Room::new();
    let bare = room.pgherd([]).ended();
    assert_eq!(bare.code, 2, "{bare:?}");
    assert!(bare.errors.contains("Usage: pgherd"), "{bare:?}");
    for args in [&["--frobnicate"][..], &["run"], &["run", "--config"], &["walk"]] {
        let ended = room.pgherd(args.iter().map(OsStr::new)).ended();
        assert_eq!(ended.code, 2, "{args:?}: {ended:?}");
        assert!(ended.errors.starts_with("error: "), "{args:?}: {ended:?}");
    }
}

fn the_version() {
    let ended = Room::new().pgherd(["--version"].map(OsStr::new)).ended();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.output.trim(), concat!("pgherd ", env!("CARGO_PKG_VERSION")));
}

fn check_finds_no_mistakes() {
    let room = Room::new();
    let file = room.config(room.free_port(), "");
    let ended = room.check(&file, &["--offline"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let line = format!("{}: no mistakes in the files", file.display());
    assert!(ended.output.lines().any(|said| said == line), "{ended:?}");
}

fn check_tells_every_mistake_and_its_line() {
    let room = Room::new();
    let file = room.file(
        "pgherd.toml",
        "port = 99999\nno_such_setting = 1\nload_balance_mode = \"perhaps\"\n\n\
         [[backends]]\nhostname = \"127.0.0.1\"\nport = \"ninety\"\n",
    );
    let ended = room.check(&file, &["--offline"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    for line in [1, 2, 3, 7] {
        let place = format!("{}:{line}: ", file.display());
        let count = ended.output.lines().filter(|said| said.starts_with(&place)).count();
        assert_eq!(count, 1, "line {line}: {ended:?}");
    }
    // What is missing has no line.
    let missing = format!("{}: sr_check_user: ", file.display());
    assert!(ended.output.lines().any(|said| said.starts_with(&missing)), "{ended:?}");
    assert_eq!(ended.errors.trim(), "pgherd: 5 mistakes in the configuration");
}

fn a_missing_file_is_named() {
    let room = Room::new();
    let file = room.path("absent.toml");
    let name = file.display().to_string();
    let checked = room.check(&file, &["--offline"]);
    assert!(checked.code == 3 && checked.output.contains(&name), "{checked:?}");
    let ran = room.run(&file).ended();
    assert!(ran.code == 3 && ran.errors.contains(&name), "{ran:?}");
}

fn check_reports_a_server_that_is_not_there() {
    let room = Room::new();
    let ended = room.check(&room.config(room.free_port(), ""), &[]);
    assert_eq!(ended.code, 5, "{ended:?}");
    let line = ended.output.lines().find(|line| line.starts_with("node 0 (127.0.0.1:"));
    assert!(line.is_some(), "the server is named: {ended:?}");
    assert!(ended.errors.starts_with("pgherd: ") && ended.errors.contains("failed"), "{ended:?}");
}

fn run_says_which_port_is_taken() {
    let room = Room::new();
    let (_taken, port) = taken_port();
    let ended = room.run(&room.config(port, "")).ended();
    assert_eq!(ended.code, 4, "{ended:?}");
    let line = ended.errors.lines().last().unwrap_or_default();
    assert!(line.starts_with("pgherd: cannot listen on "), "{ended:?}");
    assert!(line.contains(&format!("127.0.0.1:{port}")), "{ended:?}");
}

fn sigquit_ends_it() {
    ends_at(Signal::QUIT);
}

fn sigint_ends_it() {
    ends_at(Signal::INT);
}

fn sigterm_ends_it() {
    ends_at(Signal::TERM);
}

/// Its servers are not there, which is no reason not to start, nor not to end.
fn ends_at(signal: Signal) {
    let room = Room::new();
    let mut running = room.run(&room.config(room.free_port(), ""));
    running.wait_said("started with");
    running.signal(signal);
    let ended = running.ended();
    assert_eq!(ended.code, 0, "{signal:?}: {ended:?}");
    assert!(!room.path("pgherd.pid").exists(), "its pid file goes with it");
}

fn a_broken_file_does_not_end_it() {
    let room = Room::new();
    let port = room.free_port();
    let file = room.config(port, "");
    let mut running = room.run(&file);
    running.wait_said("started with");
    room.config(port, "no_such_setting = 1\n");
    running.signal(Signal::HUP);
    running.wait_said("the earlier configuration stays in effect");
    assert!(running.errors().contains("no_such_setting"), "{}", running.errors());
    room.config(port, "");
    running.signal(Signal::HUP);
    running.wait_said("has been read again");
    running.signal(Signal::INT);
    let ended = running.ended();
    assert_eq!(ended.code, 0, "{ended:?}");
}

fn check_tells_of_cores_that_are_none() {
    let room = Room::new();
    for (cores, said) in [
        (
            "all",
            "\"all\" is no core; write none, auto, or numbers and ranges of cores, as in 0-3,6",
        ),
        ("3-0", "3-0 ends before it begins; write the lower number first"),
        ("1024", "1024 is the number of no core; choose cores below 1024"),
        (
            "0-3,2",
            "core 2 is named twice; name it once; threads share the cores where there are fewer",
        ),
    ] {
        let file = room.config(room.free_port(), &format!("cpu_affinity = \"{cores}\""));
        let ended = room.check(&file, &["--offline"]);
        assert_eq!(ended.code, 3, "{ended:?}");
        let line = format!("{}:6: cpu_affinity: {said}", file.display());
        assert!(ended.output.lines().any(|line_said| line_said == line), "{line}: {ended:?}");
    }
}

fn smol_keeps_threads_on_their_cores() {
    threads_keep_to_their_cores("smol");
}

fn glommio_keeps_threads_on_their_cores() {
    threads_keep_to_their_cores("glommio");
}

/// The system says which cores a thread may use.
fn threads_keep_to_their_cores(runtime: &str) {
    let room = Room::new();
    let all = cores(Path::new("/proc/self/status"));
    let (first, last) = (core(&all, 0), core(&all, 1));
    for (affinity, shards, control) in [
        ("none", [&all, &all], &all),
        ("auto", [&first, &last], &all),
        (last.as_str(), [&last, &last], &last),
    ] {
        let lines = format!("worker_threads = 2\ncpu_affinity = \"{affinity}\"");
        let file = room.config(room.free_port(), &lines);
        let mut command = room.command(&["run", "--runtime", runtime, "--config"]);
        let mut running = room.start(command.arg(file));
        running.wait_said("started with");
        let [one, two] = shards;
        for (name, cores) in [("control", control), ("shard-0", one), ("shard-1", two)] {
            // On glommio another one of the same name does for it what blocks.
            let found = running.cores_of(name);
            let is_kept = !found.is_empty() && found.iter().all(|found| found == cores);
            assert!(is_kept, "{affinity} on {runtime}: {name} is on {found:?}, not on {cores}");
        }
        running.signal(Signal::INT);
        let ended = running.ended();
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}

fn a_core_that_is_not_there_stops_the_start() {
    let room = Room::new();
    let all = cores(Path::new("/proc/self/status"));
    for runtime in ["smol", "glommio"] {
        let file = room.config(room.free_port(), "cpu_affinity = \"1023\"");
        let mut command = room.command(&["run", "--runtime", runtime, "--config"]);
        let ended = room.start(command.arg(file)).ended();
        assert_eq!(ended.code, 4, "{ended:?}");
        let line = format!(
            "pgherd: cpu_affinity: there is no core 1023 that this process may use; choose of {all}"
        );
        assert_eq!(ended.errors.lines().last(), Some(line.as_str()), "{ended:?}");
    }
}

/// A directory for the files of one test, and for the temporary ones of its programs.
struct Room {
    dir: PathBuf,
    /// A port at which nobody listens: that of the configured server.
    nobody: u16,
}

impl Room {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("pgherd-program-{}-{number}", std::process::id()));
        for dir in [dir.clone(), dir.join(TEMPORARY)] {
            fs::create_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
            // PostgreSQL refuses to run as root, so the demo's servers may run as another user.
            fs::set_permissions(&dir, Permissions::from_mode(0o755))
                .expect("the directory is ours");
        }
        let dir = dir.canonicalize().expect("it has just been made");
        Self { dir, nobody: free_port() }
    }

    /// Finds a port for pgherd.
    fn free_port(&self) -> u16 {
        loop {
            let port = free_port();
            if port != self.nobody {
                return port;
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Writes a configuration with this port, these further lines, and a server that is not there.
    fn config(&self, port: u16, lines: &str) -> PathBuf {
        let pid_file = self.path("pgherd.pid").display().to_string();
        let nobody = self.nobody;
        assert_ne!(port, nobody, "two different ports are asked for");
        self.file(
            "pgherd.toml",
            &format!(
                "listen_addresses = \"127.0.0.1\"\nport = {port}\nunix_socket_directories = \"\"\n\
                 pid_file_name = \"{pid_file}\"\nsr_check_user = \"postgres\"\n{lines}\n\
                 [[backends]]\nhostname = \"127.0.0.1\"\nport = {nobody}\n\n\
                 [users]\n\"postgres\" = \"postgres\"\n"
            ),
        )
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).env("TMPDIR", self.path(TEMPORARY));
        // What the tester has set is not what is tested.
        command.env("HOME", &self.dir).env_remove("RUST_LOG").env_remove("PGPOOLKEYFILE");
        command.env_remove("PCPPASSFILE");
        command
    }

    fn start(&self, command: &mut Command) -> Running {
        self.spawn(command.stdin(Stdio::null()))
    }

    fn spawn(&self, command: &mut Command) -> Running {
        let (output, errors) = (self.path("stdout"), self.path("stderr"));
        let create = |path: &Path| File::create(path).expect("a fresh directory can be written to");
        let child = command
            .stdout(create(&output))
            .stderr(create(&errors))
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        Running { child, output, errors }
    }

    fn pgherd<'a>(&self, args: impl IntoIterator<Item = &'a OsStr>) -> Running {
        self.start(self.command(&[]).args(args))
    }

    fn check(&self, file: &Path, flags: &[&str]) -> Ended {
        self.start(self.command(&["check", "--config"]).arg(file).args(flags)).ended()
    }

    fn run(&self, file: &Path) -> Running {
        self.start(self.command(&["run", "--config"]).arg(file))
    }

    fn demo(&self, port: u16, flags: &[&str]) -> Running {
        self.start(self.command(&["demo", "--port", &port.to_string()]).args(flags))
    }

    /// A server names its data directory in its command line.
    fn assert_nothing_left(&self) {
        let left = entries(&self.path(TEMPORARY));
        assert!(left.is_empty(), "left behind: {left:?}");
        let dir = self.dir.display().to_string();
        let processes: Vec<String> = entries(Path::new("/proc"))
            .iter()
            .filter_map(|pid| fs::read(format!("/proc/{pid}/cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(&dir))
            .collect();
        assert!(processes.is_empty(), "still running: {processes:?}");
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // What is left after a failure is in the way of nobody.
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// A program under way. It does not outlive its test.
struct Running {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

/// A program that has ended, and what it said.
#[derive(Debug)]
struct Ended {
    code: i32,
    output: String,
    errors: String,
}

impl Running {
    fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a child can be signalled");
    }

    /// The cores that its threads of this name may use, a list each.
    fn cores_of(&self, name: &str) -> Vec<String> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        let mut found = Vec::new();
        for task in entries(&tasks).iter().map(|task| tasks.join(task)) {
            if fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name) {
                found.push(cores(&task.join("status")));
            }
        }
        found
    }

    /// Waits until it has said this, on either stream.
    fn wait_said(&mut self, words: &str) {
        let end = Instant::now() + LIMIT;
        while !self.output().contains(words) && !self.errors().contains(words) {
            let status = self.child.try_wait().expect("a child can be waited for");
            let said = || format!("{}{}", self.output(), self.errors());
            assert!(status.is_none(), "ended before it said {words:?}:\n{}", said());
            assert!(Instant::now() < end, "never said {words:?}:\n{}", said());
            // If it ends, the next look tells.
            let _ = ends_within(&self.child, POLL_INTERVAL);
        }
    }

    /// Waits for its end.
    fn ended(mut self) -> Ended {
        let ends = ends_within(&self.child, LIMIT);
        let (output, errors) = (self.output(), self.errors());
        assert!(ends, "it does not end:\n{output}{errors}");
        let status = self.child.wait().expect("a child can be waited for");
        Ended { code: status.code().unwrap_or(-1), output, errors }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            // A demo takes its servers along if it is asked, and only then.
            // It may have ended by itself at this very moment.
            let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
            let _ = ends_within(&self.child, LAST_CHANCE);
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// The cores that a thread may use, as the kernel lists them.
fn cores(status: &Path) -> String {
    let text = fs::read_to_string(status).expect("the kernel tells of every thread");
    let line = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.expect("each thread has cores").trim().to_owned()
}

/// The core of a list that is next after so many, with the first behind the last.
fn core(list: &str, number: usize) -> String {
    let mut cores: Vec<usize> = Vec::new();
    for run in list.split(',') {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let read = |core: &str| core.parse::<usize>().expect("a core has a number");
        cores.extend(read(first)..=read(last));
    }
    let core = number.checked_rem(cores.len()).and_then(|turn| cores.get(turn));
    core.expect("a list has a core").to_string()
}

/// The names in a directory.
fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn free_port() -> u16 {
    pgherd_herd::free_port().expect("this machine has a free port")
}

/// A port at which somebody listens as long as the listener is there.
fn taken_port() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

/// Finds the program.
fn binary() -> PathBuf {
    pgherd_tests::real::proxy::binary().unwrap_or_else(|why| panic!("{why}"))
}

/// Where a room's programs put temporary files.
const TEMPORARY: &str = "tmp";

/// How long anything may take; a demo on a busy machine takes longest.
const LIMIT: Duration = Duration::from_secs(120);

/// How long a program of a failed test may take to clean up.
const LAST_CHANCE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
