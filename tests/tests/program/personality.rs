//! The program when it is called by a name of Pgpool-II's.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use pgherd_herd::poll;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{Ended, LIMIT, Room, binary, taken_port};

pub(super) const TESTS: [(&str, fn()); 11] = [
    ("pg_md5_writes_what_pgpool_s_does", pg_md5_writes_what_pgpool_s_does),
    ("pg_enc_writes_what_pgpool_s_does", pg_enc_writes_what_pgpool_s_does),
    ("entries_are_stored_in_pool_passwd", entries_are_stored_in_pool_passwd),
    ("a_stored_entry_is_one_that_check_can_read", a_stored_entry_is_one_that_check_can_read),
    ("pgpool_serves_in_the_background", pgpool_serves_in_the_background),
    ("pgpool_tells_why_it_does_not_start", pgpool_tells_why_it_does_not_start),
    ("pgpool_finds_nobody_to_stop", pgpool_finds_nobody_to_stop),
    ("the_log_goes_to_files", the_log_goes_to_files),
    ("pcp_is_served_at_a_socket", pcp_is_served_at_a_socket),
    ("a_number_that_no_node_has_is_unused", a_number_that_no_node_has_is_unused),
    ("links_are_made_for_all_programs", links_are_made_for_all_programs),
];

/// A tool's arguments, its exit code, and what it says on standard output and standard error. An
/// error that is all of its usage is cut behind the first line.
type Case<'a> = (&'a [&'a str], i32, &'a str, &'a str);

/// The answers are those of Pgpool-II 4.3.5.
fn pg_md5_writes_what_pgpool_s_does() {
    let room = Room::new();
    room.file("pairs", "u1:p1\nu2:p2:x\n\nnocolon\nu3:\n");
    let too_long = "x".repeat(129);
    let too_long = too_long.as_str();
    let cases: &[Case<'_>] = &[
        (&["secretpw"], 0, "51149f6fea1a3179b364f1994e06e4d4\n", ""),
        (&["-u", "bob", "a", "b"], 0, "0cc175b9c0f1b6a831c399e269772661\n", ""),
        (&["--", "-h"], 0, "914071b8934b1d6035495f1ed02aa5fd\n", ""),
        (&[""], 0, "d41d8cd98f00b204e9800998ecf8427e\n", ""),
        (&[], 1, "", "Usage:\n"),
        (&[too_long], 1, "", "Error: Input exceeds maximum password length!\n"),
        (&["-u", too_long, "x"], 1, "", "Error: input exceeds maximum username length!\n"),
        (&["-p"], 1, "", "stdin is not tty\n"),
        (&["-h"], 0, "Usage:\n", ""),
        (&["-z"], 0, "Usage:\n", "pg_md5: invalid option -- 'z'\n"),
        (
            &["-i", "pairs"],
            0,
            "trying to read username:password pairs from file pairs\nLINE#01: USER: <u1>\n\
             ec6ef230f1828039ee794566b9c58adc\nLINE#02: USER: <u2>\n\
             25195a0059f3e7b121399a5a4f767894\nLINE#03: BLANK LINE\n\
             LINE#04: Invalid username:password pair\nLINE#05: Invalid username:password pair\n",
            "",
        ),
        (
            &["-i", "absent"],
            1,
            "trying to read username:password pairs from file absent\n",
            "failed to open input_file \"absent\" (No such file or directory)\n",
        ),
    ];
    assert_cases(&room, "pg_md5", cases);
}

/// The answers are those of Pgpool-II 4.3.5.
fn pg_enc_writes_what_pgpool_s_does() {
    let room = Room::new();
    let key = room.file("key", "mypoolkey\nnot this\n");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("it is ours");
    room.file("pairs", "u1:secretpw\n\nnocolon\n");
    let cases: &[Case<'_>] = &[
        (&["-K", "mypoolkey", "secretpw"], 0, ENTRY, ""),
        (&["-k", "key", "secretpw"], 0, KEY_AND_ENTRY, ""),
        (&["-k", "absent", "x"], 1, "trying to read key from file absent\n", NO_KEY),
        (&["-k", "key", "-p"], 1, "", "stdin is not tty\n"),
        (&["-k", "key"], 1, "", "stdin is not tty\n"),
        (
            &["-K", "mypoolkey", "-i", "pairs"],
            0,
            "trying to read username:password pairs from file pairs\n\n1soDBPtppom8N8KknAjANw==\n\
             pool_passwd string: AES1soDBPtppom8N8KknAjANw==\n",
            "LINE#03: invalid username:password pair\n",
        ),
    ];
    assert_cases(&room, "pg_enc", cases);
}

const ENTRY: &str = "\n1soDBPtppom8N8KknAjANw==\npool_passwd string: AES1soDBPtppom8N8KknAjANw==\n";

const KEY_AND_ENTRY: &str = "trying to read key from file key\n\n1soDBPtppom8N8KknAjANw==\n\
                             pool_passwd string: AES1soDBPtppom8N8KknAjANw==\n";

const NO_KEY: &str = "encryption key not provided\n";

fn entries_are_stored_in_pool_passwd() {
    let room = Room::new();
    room.file("pgpool.conf", "port = 9999\n");
    let config = room.path("pgpool.conf");
    fs::set_permissions(config, fs::Permissions::from_mode(0o640)).expect("it is ours");
    let stores: &[(&str, &[&str], &str)] = &[
        ("pg_md5", &["-u", "bob", "secretpw"], "bob:md54827d22203568d0d5b46bf27f000a914\n"),
        (
            "pg_enc",
            &["-u", "al", "-K", "mypoolkey", "secretpw"],
            "bob:md54827d22203568d0d5b46bf27f000a914\nal:AES1soDBPtppom8N8KknAjANw==\n",
        ),
        (
            "pg_enc",
            &["-u", "bob", "-K", "mypoolkey", "secretpw"],
            "bob:AES1soDBPtppom8N8KknAjANw==\nal:AES1soDBPtppom8N8KknAjANw==\n",
        ),
    ];
    for (tool, args, file) in stores {
        let mut all = vec!["-m", "-f", "pgpool.conf"];
        all.extend(*args);
        let ended = room.tool(tool, &all);
        assert_eq!((ended.code, ended.output.as_str()), (0, ""), "{tool} {args:?}: {ended:?}");
        let text = fs::read_to_string(room.path("pool_passwd")).expect("it has been made");
        assert_eq!(text, *file, "{tool} {args:?}");
        let mode =
            fs::metadata(room.path("pool_passwd")).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "whoever reads the configuration reads the passwords");
    }
    let ended = room.tool("pg_md5", &["-m", "-f", "absent.conf", "-u", "bob", "x"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let said = "could not open configuration file: \"absent.conf\"\n\
                Unable to get configuration. Exiting...\n\n";
    assert!(ended.errors.starts_with("WARNING: pid ") && ended.errors.ends_with(said), "{ended:?}");
}

fn a_stored_entry_is_one_that_check_can_read() {
    let room = Room::new();
    let key = room.file("key", "mypoolkey\n");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let config = room.pgpool_conf(room.free_port(), "pool_passwd = 'pool_passwd'\n");
    for entry in [&["-u", "bob", "with:colon"], &["-u", "a:b", "x"]] {
        let mut args = vec!["-m", "-f", "pgpool.conf", "-k", "key"];
        args.extend(entry);
        let ended = room.tool("pg_enc", &args);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    let key = key.display().to_string();
    let ended = room.check(&config, &["--offline", "--key-file", &key]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let ended = room.check(&config, &["--offline"]);
    assert_eq!(ended.code, 3, "it is encrypted: {ended:?}");
}

fn pgpool_serves_in_the_background() {
    let room = Room::new();
    let port = room.free_port();
    // Files are found from where it was started, although it does not stay there.
    let lines = "logging_collector = on\nlog_directory = 'log'\nlog_filename = 'pgpool.log'\n\
                 pid_file_name = 'pgpool.pid'\nwork_dir = '.'\n";
    room.pgpool_conf(port, lines);
    let started = room.tool("pgpool", &["-f", "pgpool.conf", "-D"]);
    assert_eq!((started.code, started.output.as_str()), (0, ""), "{started:?}");
    let daemon = Daemon::of(&room);
    let directory = fs::read_link(format!("/proc/{}/cwd", daemon.0)).expect("it runs");
    assert_eq!(directory, Path::new("/"), "it is in nobody's way");
    let mode = fs::metadata(room.path("pgpool.pid")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "as Pgpool-II's");
    let prefixed = format!(" pid {}: LOG:  started with ", daemon.0);
    assert!(room.logged("pgpool.log").contains(&prefixed), "{}", room.logged("pgpool.log"));
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it serves once the parent has ended");

    let second = room.tool("pgpool", &["-f", "pgpool.conf"]);
    let running = format!("ERROR: pid file found. is another pgpool({}) is running?\n", daemon.0);
    assert_eq!((second.code, second.errors), (1, running));

    let reloaded = room.tool("pgpool", &["-f", "pgpool.conf", "reload"]);
    assert_eq!((reloaded.code, reloaded.errors.as_str()), (0, ""), "{reloaded:?}");
    room.wait_logged("pgpool.log", "has been read again");

    let stopped = room.tool("pgpool", &["-f", "pgpool.conf", "-m", "fast", "stop"]);
    assert_eq!(stopped.code, 0, "{stopped:?}");
    let said = format!(
        "LOG:  stop request sent to pgpool (pid: {}). waiting for termination...\n.",
        daemon.0
    );
    assert!(stopped.errors.contains(&said) && stopped.errors.ends_with(".done.\n"), "{stopped:?}");
    assert!(!daemon.is_running(), "it was waited for");
    assert!(!room.path("pgpool.pid").exists(), "its pid file is gone with it");
}

fn pgpool_tells_why_it_does_not_start() {
    let room = Room::new();
    let (_taken, port) = taken_port();
    room.pgpool_conf(port, "");
    for args in [&["-f", "pgpool.conf"][..], &["-n", "-f", "pgpool.conf"]] {
        let ended = room.tool("pgpool", args);
        assert_eq!(ended.code, 4, "{args:?}: {ended:?}");
        let line = ended.errors.lines().last().unwrap_or_default();
        assert!(line.starts_with("pgpool: cannot listen on "), "{args:?}: {ended:?}");
    }
    for (args, code, said) in [
        (&["--help"][..], 0, "pgpool-II version "),
        (&["--version"], 0, "pgpool-II version "),
        (&["bogus"], 1, "pgpool-II version "),
        (&["-m", "x", "stop"], 1, "pgpool-II version "),
        (&["-z"], 1, "pgpool: illegal option -- z\n"),
    ] {
        let ended = room.tool("pgpool", args);
        assert_eq!((ended.code, ended.output.as_str()), (code, ""), "{args:?}");
        assert!(ended.errors.starts_with(said), "{args:?}: {ended:?}");
    }
}

fn pgpool_finds_nobody_to_stop() {
    let room = Room::new();
    room.pgpool_conf(room.free_port(), "");
    // Nobody has the first number; the second is ours, and not that of a pgherd.
    let own = std::process::id().to_string();
    for file in [None, Some("abc\0"), Some("99999999\n"), Some(own.as_str())] {
        if let Some(text) = file {
            room.file("pgpool.pid", text);
        }
        let number = file.and_then(|text| text.trim().parse::<u32>().ok());
        for (word, code, failed) in [
            ("stop", 3, "could not stop process with pid:"),
            ("reload", 1, "could not reload configuration file pid:"),
        ] {
            let ended = room.tool("pgpool", &["-f", "pgpool.conf", word]);
            assert_eq!(ended.code, code, "{file:?}: {ended:?}");
            let (said, end) = match number {
                Some(number) => (format!("{failed} {number}"), "DETAIL:  No such process\n"),
                None => ("could not read pid file".to_owned(), "\n"),
            };
            assert!(ended.errors.contains(&format!("FATAL:  {said}\n")), "{file:?}: {ended:?}");
            assert!(ended.errors.ends_with(end), "{file:?}: {ended:?}");
        }
    }
}

fn the_log_goes_to_files() {
    let room = Room::new();
    let lines = room.collected("a.log") + "log_line_prefix = '<%p> '\n" + &room.pcp();
    let config = room.pgpool_conf(room.free_port(), &lines);
    let running = room.run(&config);
    room.wait_logged("a.log", "started with");
    let first = room.logged("a.log");
    let prefix = format!("<{}> LOG:  started with ", running.child.id());
    assert!(first.lines().any(|line| line.starts_with(&prefix)), "{first}");
    assert_eq!(running.errors(), "", "nothing is said in two places");

    fs::rename(room.path("log/a.log"), room.path("log/a.log.1")).expect("it is there");
    running.signal(Signal::USR1);
    room.wait_until("another file", || room.path("log/a.log").exists());
    fs::rename(room.path("log/a.log"), room.path("log/a.log.2")).expect("it is there");
    let rotated = room.pcp_tool("pcp_log_rotate", &[]);
    assert_eq!(rotated.output, "pcp_log_rotate -- Command Successful\n", "{rotated:?}");
    room.wait_until("yet another file", || room.path("log/a.log").exists());
    running.signal(Signal::INT);
    let ended = running.ended();
    assert_eq!(ended.code, 0, "{ended:?}");
    let mode = fs::metadata(room.path("log/a.log")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    room.file("taken", "");
    let lines =
        format!("logging_collector = on\nlog_directory = '{}'\n", room.path("taken").display());
    let ended = room.run(&room.pgpool_conf(room.free_port(), &lines)).ended();
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.errors.contains("log_directory"), "{ended:?}");
}

fn pcp_is_served_at_a_socket() {
    let room = Room::new();
    let running = room.run(&room.pgpool_conf(room.free_port(), &room.pcp()));
    let socket = room.path(&format!(".s.PGSQL.{PCP_PORT}"));
    room.wait_until("the socket", || socket.exists());
    let counted = room.pcp_tool("pcp_node_count", &[]);
    assert_eq!((counted.code, counted.output.as_str()), (0, "1\n"), "{counted:?}");
    running.signal(Signal::INT);
    assert_eq!(running.ended().code, 0);
    assert!(!socket.exists(), "it goes with pgherd");
}

/// As Pgpool-II 4.3 tells of it, which shows and counts a number that no node has.
fn a_number_that_no_node_has_is_unused() {
    let room = Room::new();
    let nobody = room.nobody;
    let third =
        format!("backend_hostname2 = '127.0.0.2'\nbackend_port2 = {nobody}\nbackend_weight2 = 3\n");
    let config = room.pgpool_conf(room.free_port(), &format!("{third}{}", room.pcp()));
    let running = room.run(&config);
    let socket = room.path(&format!(".s.PGSQL.{PCP_PORT}"));
    room.wait_until("the socket", || socket.exists());
    let told = |name: &str, args: &[&str]| {
        let ended = room.pcp_tool(name, args);
        assert_eq!((ended.code, ended.errors.as_str()), (0, ""), "{name} {args:?}: {ended:?}");
        ended.output
    };
    assert_eq!(told("pcp_node_count", &[]), "3\n");
    let all = told("pcp_node_info", &["-a"]);
    let unused = " 0 0 0.000000 unused unknown standby unknown 0 none none ";
    let starts = ["127.0.0.1 ", unused, "127.0.0.2 "];
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 3, "{all}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "no {start:?} in {all}");
    }
    assert!(lines[2].contains(" 0.750000 "), "{all}");
    assert_eq!(told("pcp_node_info", &["1"]), "No node information available\n\n");
    assert!(told("pcp_health_check_stats", &["1"]).starts_with("1  0 unused standby "));
    let refused = room.pcp_tool("pcp_attach_node", &["1"]);
    assert!(refused.errors.contains("invalid node ID : 1"), "{refused:?}");

    let config = config.display().to_string();
    let asked = ["nodes", "--config", &config, "--user", "admin", "--no-password"];
    let mut command = Command::new(binary());
    let home = command.args(asked).env("HOME", room.path(".")).env_remove("PCPPASSFILE");
    let table = room.start(home).ended();
    let row = |id: &str| {
        let rows = table.output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.into_iter().find(|row| row.first() == Some(&id)).unwrap_or_default()
    };
    assert_eq!(row("1")[..4], ["1", "-", "-", "unused"], "{table:?}");
    assert_eq!(row("2")[1], "127.0.0.2", "{table:?}");
    running.signal(Signal::INT);
    assert_eq!(running.ended().code, 0);
}

/// What an installation does behind the copy of the program.
fn links_are_made_for_all_programs() {
    let room = Room::new();
    symlink(binary(), room.path("pgherd")).expect("nothing is in the way");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/link");
    let link = || room.start(Command::new(&script).arg(room.path(""))).ended();
    // Twice, as whoever installs a later release.
    for _ in 0..2 {
        let ended = link();
        assert_eq!((ended.code, ended.errors.as_str()), (0, ""), "{ended:?}");
    }
    let is_link = |name: &String| room.path(name).is_symlink();
    let mut links: Vec<String> =
        super::entries(&room.path("")).into_iter().filter(is_link).collect();
    links.sort();
    assert_eq!(links.iter().filter(|name| name.starts_with("pcp_")).count(), 15, "{links:?}");
    for name in ["pg_enc", "pg_md5", "pgpool"] {
        assert!(links.iter().any(|link| link == name), "no {name} in {links:?}");
    }
    fs::remove_file(room.path("pgpool")).expect("it is ours");
    room.file("pgpool", "a real Pgpool-II");
    let ended = link();
    assert!(ended.code == 4 && ended.errors.contains("is there and no link"), "{ended:?}");
    let kept = fs::read_to_string(room.path("pgpool")).expect("it is there");
    assert_eq!(kept, "a real Pgpool-II");
}

/// The number in the name of the socket for PCP. Nothing listens at such a port.
const PCP_PORT: u16 = 9898;

fn assert_cases(room: &Room, tool: &str, cases: &[Case<'_>]) {
    for (args, code, output, errors) in cases {
        let ended = room.tool(tool, args);
        assert_eq!(ended.code, *code, "{args:?}: {ended:?}");
        for (said, expected) in [(&ended.output, *output), (&ended.errors, *errors)] {
            let is_usage = said.contains("[OPTIONS]") && !expected.is_empty();
            let is_same = if is_usage {
                said.starts_with(expected)
            } else {
                said.trim_end() == expected.trim_end()
            };
            assert!(is_same, "{args:?}: {expected:?}, and not {ended:?}");
        }
    }
}

impl Room {
    /// Runs the program by another name, in the room.
    pub(super) fn tool(&self, name: &str, args: &[&str]) -> Ended {
        let link = self.path(name);
        if !link.exists() {
            symlink(binary(), &link).unwrap_or_else(|error| panic!("{}: {error}", link.display()));
        }
        let mut command = Command::new(link);
        command.arg0(name).args(args).current_dir(self.path("."));
        command.env("HOME", self.path(".")).env_remove("RUST_LOG").env_remove("PGPOOLKEYFILE");
        command.env_remove("PCPPASSFILE");
        self.start(&mut command).ended()
    }

    /// Writes a `pgpool.conf` with this port and these further lines.
    fn pgpool_conf(&self, port: u16, lines: &str) -> PathBuf {
        let pid_file = self.path("pgpool.pid").display().to_string();
        let nobody = self.nobody;
        self.file(
            "pgpool.conf",
            &format!(
                "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\n\
                 pid_file_name = '{pid_file}'\nsr_check_user = 'postgres'\n\
                 sr_check_password = 'secret'\nbackend_hostname0 = '127.0.0.1'\n\
                 backend_port0 = {nobody}\nbackend_weight0 = 1\n{lines}"
            ),
        )
    }

    /// Writes an administrator down, and returns the lines that serve PCP at a socket alone.
    fn pcp(&self) -> String {
        let hash = self.tool("pg_md5", &["secret"]).output;
        self.file("pcp.conf", &format!("admin:{hash}"));
        let path = self.file(".pcppass", "*:*:admin:secret\n");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let directory = self.directory();
        format!(
            "pcp_listen_addresses = ''\npcp_socket_dir = '{directory}'\npcp_port = {PCP_PORT}\n"
        )
    }

    /// Runs one of the administrators' programs at that socket.
    fn pcp_tool(&self, name: &str, args: &[&str]) -> Ended {
        let port = PCP_PORT.to_string();
        let place = ["-h", &self.directory(), "-p", &port, "-U", "admin", "-w"];
        self.tool(name, &[&place, args].concat())
    }

    fn directory(&self) -> String {
        self.path("").display().to_string().trim_end_matches('/').to_owned()
    }

    /// The lines that collect the log into this file of the directory `log`.
    fn collected(&self, name: &str) -> String {
        let directory = self.path("log").display().to_string();
        format!("logging_collector = on\nlog_directory = '{directory}'\nlog_filename = '{name}'\n")
    }

    fn logged(&self, name: &str) -> String {
        fs::read_to_string(self.path("log").join(name)).unwrap_or_default()
    }

    fn wait_logged(&self, name: &str, words: &str) {
        self.wait_until(words, || self.logged(name).contains(words));
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let log = || entries_of(&self.path("log"));
        assert!(poll(LIMIT, is_so), "waited in vain for {what}; the log has {:?}", log());
    }
}

fn entries_of(dir: &Path) -> Vec<String> {
    if dir.exists() { super::entries(dir) } else { Vec::new() }
}

/// A process of nobody's, which does not outlive its test.
struct Daemon(i32);

impl Daemon {
    fn of(room: &Room) -> Self {
        let text = fs::read_to_string(room.path("pgpool.pid")).expect("it writes its pid file");
        Self(text.trim().parse().expect("a pid file holds a number"))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0).expect("a process has a number")
    }

    /// Whether it is there and has not ended.
    fn is_running(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        test_kill_process(self.pid()).is_ok() && !stat.contains(") Z ")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.is_running() {
            // It may have ended by itself at this very moment.
            let _ = kill_process(self.pid(), Signal::KILL);
        }
    }
}
