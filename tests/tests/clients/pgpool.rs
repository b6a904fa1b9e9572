//! Pgpool-II itself, in front of the same servers as pgherd: what both can tell is told alike, and
//! pgherd's programs ask it as its own do.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use pgherd_herd::{free_port, poll};
use pgherd_tests::play::{LIMIT, Play as _};
use pgherd_tests::real::Real;
use pgherd_tests::world::{ADMIN, World as _};
use rustix::process::{Pid, Signal, kill_process};

use super::pcp::find;
use super::pcp_twins::Twins;
use super::{program, run};

/// Pgpool-II, as its package has it. It does not outlive its test.
struct Pgpool {
    process: Child,
    dir: PathBuf,
    port: u16,
    pcp_port: u16,
}

impl Pgpool {
    /// Starts it on a world's servers, with what that has pgherd told.
    fn start(world: &mut Real) -> Self {
        Self::start_numbered(world, [0, 1, 2])
    }

    /// Starts it on a world's servers under these numbers.
    fn start_numbered(world: &mut Real, numbers: [usize; NODES]) -> Self {
        let dir = std::env::temp_dir().join(format!("pgherd-pgpool-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory can be made");
        let free = || free_port().expect("this machine has a free port");
        let (port, pcp_port) = (free(), free());
        let place = dir.display();
        let mut conf = format!(
            "backend_clustering_mode = 'streaming_replication'\nlisten_addresses = '127.0.0.1'\n\
             port = {port}\npcp_listen_addresses = '127.0.0.1'\npcp_port = {pcp_port}\n\
             socket_dir = '{place}'\npcp_socket_dir = '{place}'\nwd_ipc_socket_dir = '{place}'\n\
             logdir = '{place}'\npid_file_name = '{place}/pgpool.pid'\nenable_pool_hba = on\n\
             pool_passwd = '{place}/pool_passwd'\nnum_init_children = 4\n\
             sr_check_user = 'postgres'\nsr_check_password = 'postgres'\nsr_check_period = 1\n\
             health_check_timeout = 5\nhealth_check_max_retries = 1\n\
             health_check_retry_delay = 1\n"
        );
        for (node, number) in numbers.into_iter().enumerate() {
            let server = world.sql(node, "show port").expect("the server is there");
            write!(
                conf,
                "backend_hostname{number} = '127.0.0.1'\nbackend_port{number} = {}\n\
                 backend_weight{number} = 1\nbackend_flag{number} = 'ALLOW_TO_FAILOVER'\n",
                server[0][0]
            )
            .expect("text can be written");
        }
        let hash = run(Command::new(find("pg_md5")).arg(ADMIN));
        let file = |name: &str, text: &str| {
            fs::write(dir.join(name), text).expect("a fresh directory can be written to");
        };
        file("pgpool.conf", &conf);
        file("pool_hba.conf", "host all all 127.0.0.1/32 trust\n");
        file("pool_passwd", "postgres:TEXTpostgres\n");
        file("pcp.conf", &format!("{ADMIN}:{hash}"));
        let log = fs::File::create(dir.join("log")).expect("a fresh directory can be written to");
        let mut command = Command::new(find("pgpool"));
        command.args(["-n", "-D", "-f", "pgpool.conf", "-a", "pool_hba.conf", "-F", "pcp.conf"]);
        command.current_dir(&dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().unwrap_or_else(|error| panic!("pgpool: {error}"));
        let pgpool = Self { process, dir, port, pcp_port };
        let is_there = poll(LIMIT, || {
            let output = psql(pgpool.port, "show pool_version").output();
            let serves = output.is_ok_and(|output| output.status.success());
            serves && TcpStream::connect((Ipv4Addr::LOCALHOST, pgpool.pcp_port)).is_ok()
        });
        assert!(is_there, "pgpool does not serve: {}", pgpool.log());
        pgpool
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Pgpool {
    fn drop(&mut self) {
        // It takes its own processes along.
        let _ = kill_process(Pid::from_child(&self.process), Signal::INT);
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// The servers of the world.
const NODES: usize = 3;

fn psql(port: u16, sql: &str) -> Command {
    let mut command = program("psql", port);
    command.args(["-XA", "-c", sql]);
    command
}

/// The lines of an answer, of which the first has the columns, and the last the number of rows.
fn table(port: u16, sql: &str) -> Vec<Vec<String>> {
    let told = run(&mut psql(port, sql));
    let rows = told.lines().map(|line| line.split('|').map(str::to_owned).collect());
    let mut rows: Vec<Vec<String>> = rows.collect();
    rows.pop();
    // One of Pgpool-II's values ends with a line of its own, behind which the rest of its row is.
    rows.retain(|row| !row[0].is_empty());
    rows
}

/// Every table has Pgpool-II's columns in front, and one that is only Pgpool-II's has no others.
pub(crate) fn columns(world: &mut Real) {
    world.settle();
    let pgpool = Pgpool::start(world);
    for show in [
        "pool_nodes",
        "pool_status",
        "pool_processes",
        "pool_pools",
        "pool_version",
        "pool_cache",
        "pool_health_check_stats",
        "pool_backend_stats",
    ] {
        let sql = format!("show {show}");
        let (theirs, ours) = (table(pgpool.port, &sql), table(world.port(), &sql));
        assert_eq!(ours[0][..theirs[0].len()], theirs[0], "{show}");
        assert!(show == "pool_pools" || ours[0].len() == theirs[0].len(), "{show}: {:?}", ours[0]);
    }
}

/// Every parameter that Pgpool-II tells of is told of in the same place.
pub(crate) fn settings(world: &mut Real) {
    world.settle();
    let pgpool = Pgpool::start(world);
    let mut theirs = table(pgpool.port, "show pool_status");
    let ours = table(world.port(), "show pool_status");
    for row in &mut theirs {
        let today = RENAMED.iter().find(|(old, _)| *old == row[0]);
        row[0] = today.map_or(row[0].clone(), |(_, today)| (*today).to_owned());
    }
    let names = |rows: &[Vec<String>]| rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    let (their_names, our_names) = (names(&theirs), names(&ours));
    assert_eq!(our_names[..their_names.len()], their_names);
    let further = &our_names[their_names.len()..];
    assert!(!further.iter().any(|name| their_names.contains(name)), "{further:?}");
    let of_node = |rows: &[Vec<String>]| -> Vec<(String, String)> {
        let parts = ["backend_hostname", "backend_port", "backend_weight", "backend_flag"];
        let rows = rows.iter().filter(|row| parts.iter().any(|part| row[0].starts_with(part)));
        rows.map(|row| (row[0].clone(), row[1].clone())).collect()
    };
    assert_eq!(of_node(&ours), of_node(&theirs));

    // Over PCP it is the same.
    let twins = Twins::new(world);
    let told = |port: u16| {
        let said = twins.at(port).theirs("pcp_pool_status", &[]).output;
        let lines = said.lines().filter_map(|line| line.strip_prefix("name "));
        lines.map(|line| line.trim_start_matches([' ', ':']).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told(pgpool.pcp_port).len(), theirs.len() - 1);
    assert_eq!(told(world.pcp_port()), our_names[1..]);
}

/// Names that Pgpool-II has given up since its release 4.3.
const RENAMED: [(&str, &str); 3] = [
    ("socket_dir", "unix_socket_directories"),
    ("logdir", "work_dir"),
    ("delegate_IP", "delegate_ip"),
];

/// What is set for each node has its value as Pgpool-II writes it.
pub(crate) fn values_of_nodes(world: &mut Real) {
    world.settle();
    let pgpool = Pgpool::start(world);
    let differing = ["user", "password", "database", "data_directory", "application_name"];
    for group in ["backend", "health_check", "backend_weight", "connect_timeout"] {
        let told = |port: u16| -> Vec<(String, String)> {
            let rows = table(port, &format!("pgpool show {group}"));
            let rows = rows.iter().filter(|row| !differing.iter().any(|it| row[0].contains(it)));
            rows.map(|row| (row[0].clone(), row[1].clone())).collect()
        };
        let theirs = told(pgpool.port);
        assert!(theirs.len() > NODES, "{group}: {theirs:?}");
        assert_eq!(told(world.port()), theirs, "{group}");
    }
    let one = |port| table(port, "pgpool show backend_weight1");
    assert_eq!(one(world.port()), one(pgpool.port));
}

/// What cannot be done is refused in the same words.
pub(crate) fn refusals(world: &mut Real) {
    world.settle();
    let pgpool = Pgpool::start(world);
    let twins = Twins::new(world);
    for (name, args) in [
        ("pcp_node_info", &["9"][..]),
        ("pcp_health_check_stats", &["9"]),
        ("pcp_proc_info", &["999"]),
        ("pcp_watchdog_info", &[]),
        ("pcp_detach_node", &["9"]),
        ("pcp_detach_node", &["-g", "9"]),
        ("pcp_promote_node", &["9"]),
        ("pcp_promote_node", &["-s", "9"]),
        ("pcp_promote_node", &["-s", "0"]),
        ("pcp_recovery_node", &["9"]),
        ("pcp_recovery_node", &["0"]),
        ("pcp_recovery_node", &["1"]),
    ] {
        let theirs = twins.at(pgpool.pcp_port).theirs(name, args);
        assert!(!theirs.errors.is_empty(), "{name} {args:?}: {theirs:?}");
        let ours = twins.at(world.pcp_port()).theirs(name, args);
        assert_eq!(ours, theirs, "{name} {args:?}");
    }
}

/// A Pgpool-II understands pgherd's programs, which tell what it says as its own do.
pub(crate) fn programs(world: &mut Real) {
    world.settle();
    // A number that no node has is told of, too.
    let pgpool = Pgpool::start_numbered(world, [0, 1, 3]);
    let twins = Twins::new(world);
    let there = twins.at(pgpool.pcp_port);
    for (name, args) in [
        ("pcp_node_count", &[][..]),
        ("pcp_node_info", &["-a"]),
        ("pcp_node_info", &["1", "-v"]),
        ("pcp_node_info", &[]),
        ("pcp_node_info", &["2"]),
        ("pcp_node_info", &["-a", "2"]),
        ("pcp_health_check_stats", &["2"]),
        ("pcp_health_check_stats", &["1"]),
        ("pcp_proc_count", &[]),
        ("pcp_pool_status", &[]),
        ("pcp_pool_status", &["-v"]),
        ("pcp_watchdog_info", &[]),
        ("pcp_detach_node", &["9"]),
        ("pcp_promote_node", &["-s", "0"]),
        ("pcp_recovery_node", &["1"]),
        ("pcp_reload_config", &[]),
    ] {
        let said = there.agree(name, args);
        assert_eq!(said.code, Some(0), "{name}: {said:?}");
    }
    let nodes = there.ours("pcp_node_info", &["-a"]).output;
    assert_eq!(nodes.lines().count(), NODES + 1, "{nodes}");
    assert_eq!(there.ours("pcp_stop_pgpool", &["-m", "fast"]).code, Some(0));
    let pid_file = pgpool.dir.join("pgpool.pid");
    assert!(poll(LIMIT, || !pid_file.exists()), "it was told to stop: {}", pgpool.log());
}
