//! What administrators do with Pgpool-II's programs, which come with its package.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pgherd_tests::play::{LIMIT, Play as _, secs};
use pgherd_tests::real::Real;
use pgherd_tests::world::{ADMIN, Fate, Scripts, Setup, World as _};

use super::{check, text};

/// What administrators' programs of this host understand: those of Pgpool-II 4.3 know one field less
/// than later ones.
pub(crate) fn dialect() -> &'static str {
    let version = text(&run(Path::new("/"), "pcp_node_count", &["--version"]).stdout);
    let number = version.split_whitespace().find(|word| word.starts_with("4."));
    if number.is_none_or(|n| n.starts_with("4.3")) { "4.3" } else { "4.4" }
}

pub(crate) fn setup() -> Setup {
    Setup::default()
        .set(&format!("pcp_dialect = \"{}\"", dialect()))
        .set("recovery_user = \"postgres\"")
        .set("recovery_1st_stage_command = \"recovery_1st_stage\"")
}

/// A directory with the administrator's password in it.
pub(crate) struct Home(pub(crate) PathBuf);

impl Home {
    pub(crate) fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("pgherd-pcp-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory can be made");
        let home = Self(dir);
        home.keep(ADMIN);
        home
    }

    pub(crate) fn keep(&self, password: &str) {
        self.write(&format!("127.0.0.1:*:{ADMIN}:{password}\n"), 0o600);
    }

    /// Writes the file of passwords, with this mode.
    pub(crate) fn write(&self, text: &str, mode: u32) {
        let path = self.file();
        fs::write(&path, text).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    /// The file of passwords.
    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("pcppass")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Finds one of the programs, wherever the package has put it.
pub(crate) fn find(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = format!("{path}:/usr/sbin:/usr/local/sbin:/usr/local/bin");
    let found = places.split(':').map(|place| Path::new(place).join(name)).find(|it| it.exists());
    found.unwrap_or_else(|| panic!("no {name}; install the package \"pgpool2\""))
}

/// Runs one of the programs.
fn run(home: &Path, name: &str, args: &[&str]) -> Output {
    let mut command = Command::new(find(name));
    command.args(args).env("PCPPASSFILE", home.join("pcppass")).env("LC_ALL", "C");
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Runs one of the programs at pgherd's port for them.
fn pcp(world: &Real, home: &Home, name: &str, args: &[&str]) -> Output {
    let port = world.pcp_port().to_string();
    let mut all = vec!["-h", "127.0.0.1", "-p", &port, "-U", ADMIN, "-w"];
    all.extend(args);
    run(&home.0, name, &all)
}

/// The same, where nothing may go wrong. The programs tell errors by words, and not by their code.
fn good(world: &Real, home: &Home, name: &str, args: &[&str]) -> String {
    let output = pcp(world, home, name, args);
    let errors = text(&output.stderr);
    assert!(!errors.contains("ERROR") && !errors.contains("FATAL"), "{name}: {errors}");
    check(name, &output)
}

/// The words of an error that the program survives.
fn bad(world: &Real, home: &Home, name: &str, args: &[&str]) -> String {
    let output = pcp(world, home, name, args);
    text(&output.stderr)
}

pub(crate) fn nodes(world: &mut Real) {
    world.settle();
    let home = Home::new();
    assert_eq!(good(world, &home, "pcp_node_count", &[]), "3\n");
    let all = good(world, &home, "pcp_node_info", &["-a"]);
    let lines: Vec<Vec<&str>> = all.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 3, "{all}");
    let roles: Vec<_> = lines.iter().map(|line| (line[5], line[6], line[7])).collect();
    let standby = ("up", "standby", "standby");
    assert_eq!(roles, [("up", "primary", "primary"), standby, standby], "{all}");
    for line in &lines {
        assert!(["waiting", "up"].contains(&line[4]), "{all}");
        assert_eq!((line[0], line[3], line.len()), ("127.0.0.1", "0.333333", 13), "{all}");
        assert!(line[11].starts_with("20"), "a date: {all}");
    }
    let labelled = good(world, &home, "pcp_node_info", &["-v", "-n", "0"]);
    for label in ["Hostname", "Backend Role", "Replication Delay", "Last Status Change"] {
        assert!(labelled.contains(label), "no {label} in {labelled}");
    }
    assert!(labelled.contains(": primary"), "{labelled}");
    let none = bad(world, &home, "pcp_node_info", &["9"]);
    assert_eq!(none, "ERROR:  informing node info failed\nDETAIL:  invalid node ID : 9\n\n");
}

pub(crate) fn sessions(world: &mut Real) {
    let home = Home::new();
    let app = world.connect("app");
    world.run(&app, "begin");
    world.run(&app, "select 1");
    let (process, _) = app.state().key.clone().expect("it is logged in");
    let process = process.to_string();
    let pids = good(world, &home, "pcp_proc_count", &[]);
    assert!(pids.split_whitespace().any(|pid| pid == process), "{process} in {pids}");
    let numbered = good(world, &home, "pcp_proc_count", &["-v"]);
    assert!(numbered.contains(&process), "{numbered}");

    let one = good(world, &home, "pcp_proc_info", &[&process]);
    let row: Vec<&str> = one.split_whitespace().collect();
    assert_eq!(&row[..2], ["postgres", "postgres"], "{one}");
    assert!(one.contains(&format!(" {process} ")) && one.contains("Idle in transaction"), "{one}");
    let labelled = good(world, &home, "pcp_proc_info", &["-v", "-P", &process]);
    for label in ["Database", "Username", "Pool Counter", "Backend PID", "Status"] {
        assert!(labelled.contains(label), "no {label} in {labelled}");
    }
    let all = good(world, &home, "pcp_proc_info", &["-a"]);
    assert!(all.lines().any(|line| line.contains(&process)), "{all}");
    let none = bad(world, &home, "pcp_proc_info", &["999"]);
    assert!(none.contains("invalid process ID : 999"), "{none}");
    world.run(&app, "rollback");
}

pub(crate) fn settings_and_checks(world: &mut Real) {
    let home = Home::new();
    let app = world.connect("app");
    let settings = good(world, &home, "pcp_pool_status", &[]);
    let count = settings.lines().filter(|line| line.starts_with("name ")).count();
    assert_eq!(count, world.run(&app, "show pool_status").rows().len(), "{settings}");
    assert!(settings.contains("backend_hostname2"), "{settings}");

    let checks = good(world, &home, "pcp_health_check_stats", &["0"]);
    assert!(checks.starts_with("0 127.0.0.1 ") && checks.contains(" primary "), "{checks}");
    let labelled = good(world, &home, "pcp_health_check_stats", &["-v", "-n", "1"]);
    assert!(labelled.contains("standby"), "{labelled}");
    let dog = bad(world, &home, "pcp_watchdog_info", &[]);
    assert!(dog.contains("watchdog is not enabled"), "{dog}");
}

pub(crate) fn a_node_out_and_in(world: &mut Real) {
    world.settle();
    let home = Home::new();
    let app = world.connect("app");
    good(world, &home, "pcp_detach_node", &["-n", "1"]);
    world.wait_down(&app, 1);
    let line = good(world, &home, "pcp_node_info", &["1"]);
    assert!(line.contains(" down up standby standby "), "{line}");
    good(world, &home, "pcp_attach_node", &["1"]);
    world.wait_up(&app, 1);
    let told = bad(world, &home, "pcp_recovery_node", &["-n", "1"]);
    assert!(told.starts_with("ERROR:  "), "{told}");
}

pub(crate) fn a_switchover(world: &mut Real) {
    world.settle();
    let home = Home::new();
    let app = world.connect("app");
    let told = good(world, &home, "pcp_promote_node", &["-s", "1"]);
    assert_eq!(told, "pcp_promote_node -- Command Successful\n");
    world.wait_primary(&app, 1);
}

pub(crate) fn a_lost_node(world: &mut Real) {
    world.settle();
    let home = Home::new();
    let app = world.connect("app");
    world.table(&app, "t", 2);
    world.crash(2);
    world.wait_down(&app, 2);

    world.befall(0, Fate::Scripts(Scripts::CopyFails));
    let told = bad(world, &home, "pcp_recovery_node", &["-n", "2"]);
    let error =
        "ERROR:  node recovery failed, node id: 2\nDETAIL:  recovery_1st_stage_command failed";
    assert!(told.starts_with(error), "{told}");

    world.befall(0, Fate::Scripts(Scripts::Work));
    // It takes no offence at the notices in front of the answer.
    let told = good(world, &home, "pcp_recovery_node", &["-n", "2"]);
    assert!(told.contains("Command Successful"), "{told}");
    world.wait_up(&app, 2);
    world.run(&app, "insert into t values (1)");
    world.wait_truth(2, "select count(*) from t", "1");
    let told = bad(world, &home, "pcp_recovery_node", &["-n", "2"]);
    assert_eq!(told, "ERROR:  node recovery failed, node id: 2 is alive\n\n");
}

pub(crate) fn a_reload(world: &mut Real) {
    let home = Home::new();
    let app = world.connect("app");
    world.configure(&Setup { weights: vec![3.0, 1.0, 0.0], ..setup() });
    let told = good(world, &home, "pcp_reload_config", &["--scope=local"]);
    assert!(told.contains("Command Successful"), "{told}");
    world.wait("the weights are in effect", LIMIT, |w| {
        let weights: Vec<f64> = w.pool_nodes(&app).iter().map(|node| node.weight).collect();
        weights == [0.75, 0.25, 0.0]
    });
    assert!(world.log().contains("has been read again"), "{}", world.log());
}

pub(crate) fn a_wrong_password(world: &mut Real) {
    let home = Home::new();
    home.keep("wrong");
    for (name, args) in [("pcp_node_count", &[][..]), ("pcp_stop_pgpool", &["-m", "f"])] {
        let output = pcp(world, &home, name, args);
        let told = text(&output.stderr);
        assert!(told.starts_with("FATAL:  authentication failed for user \"pcpadmin\""), "{told}");
        assert_eq!(output.status.code(), Some(1), "{told}");
    }
    let app = world.connect("app");
    world.run(&app, "select 1");
    assert!(world.log().contains("authentication failed for user"), "{}", world.log());
}

pub(crate) fn a_smart_stop(world: &mut Real) {
    let app = world.connect("app");
    world.run(&app, "begin");
    stop(world, "s");
    world.never("it does not wait", secs(1), |w| w.exit_code().is_some());
    world.run(&app, "commit");
    ended(world);
}

pub(crate) fn a_fast_stop(world: &mut Real) {
    let app = world.connect("app");
    world.run(&app, "begin");
    stop(world, "fast");
    ended(world);
}

pub(crate) fn an_immediate_stop(world: &mut Real) {
    stop(world, "immediate");
    ended(world);
}

fn stop(world: &Real, how: &str) {
    let told = good(world, &Home::new(), "pcp_stop_pgpool", &["-m", how]);
    assert!(told.contains("Command Successful"), "{told}");
}

fn ended(world: &mut Real) {
    world.wait("pgherd ends", LIMIT, |w| w.exit_code().is_some());
    assert_eq!(world.exit_code(), Some(0));
}
