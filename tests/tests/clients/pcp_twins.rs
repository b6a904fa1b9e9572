//! Pgpool-II's `pcp_…` programs and pgherd by the same names, side by side: whatever is asked of
//! both, they say the same and end alike.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use pgherd_tests::play::Play as _;
use pgherd_tests::real::Real;
use pgherd_tests::real::proxy::binary;
use pgherd_tests::world::{ADMIN, World as _};

use super::pcp::{Home, find};
use super::text;

/// What a program has said, and its exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) output: String,
    pub(crate) errors: String,
    pub(crate) code: Option<i32>,
}

/// A home with links to pgherd in it.
pub(crate) struct Twins {
    home: Home,
    port: u16,
}

/// The programs where all of them ask the same server, as the same administrator.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    twins: &'a Twins,
    port: u16,
}

impl Twins {
    pub(crate) fn new(world: &Real) -> Self {
        Self { home: Home::new(), port: world.pcp_port() }
    }

    /// The same where they ask who serves PCP at a port.
    pub(crate) const fn at(&self, port: u16) -> Asked<'_> {
        Asked { twins: self, port }
    }

    const fn there(&self) -> Asked<'_> {
        self.at(self.port)
    }

    /// Runs a program, which is called by its name whosever it is.
    fn run(&self, program: PathBuf, name: &str, args: &[&str]) -> Said {
        let mut command = Command::new(program);
        command.arg0(name).args(args).stdin(Stdio::null());
        command.env("PCPPASSFILE", self.home.file()).env("LC_ALL", "C").env("TZ", "Asia/Kolkata");
        let output = command.output().unwrap_or_else(|error| panic!("{name}: {error}"));
        Said {
            output: text(&output.stdout),
            errors: text(&output.stderr),
            code: output.status.code(),
        }
    }

    fn theirs(&self, name: &str, args: &[&str]) -> Said {
        self.run(find(name), name, args)
    }

    fn ours(&self, name: &str, args: &[&str]) -> Said {
        let link = self.home.0.join(name);
        if !link.exists() {
            let program = binary().unwrap_or_else(|why| panic!("{why}"));
            symlink(program, &link).unwrap_or_else(|error| panic!("{}: {error}", link.display()));
        }
        self.run(link, name, args)
    }

    /// Has both do something, which is told alike.
    ///
    /// What they are told may have changed between two looks, and sessions are told of in any order:
    /// theirs looks before and after, and once all three have to agree.
    fn agree(&self, name: &str, args: &[&str]) -> Said {
        let mut before = self.theirs(name, args);
        let mut last = None;
        for _ in 0..TRIALS_MAX {
            let ours = self.ours(name, args);
            let after = self.theirs(name, args);
            if before == after && ours == after {
                return ours;
            }
            last = Some((ours, after.clone()));
            before = after;
        }
        panic!("{name} {args:?}: ours, and theirs: {last:#?}");
    }
}

impl Asked<'_> {
    pub(crate) fn theirs(self, name: &str, args: &[&str]) -> Said {
        self.with_all(args, |all| self.twins.theirs(name, all))
    }

    pub(crate) fn ours(self, name: &str, args: &[&str]) -> Said {
        self.with_all(args, |all| self.twins.ours(name, all))
    }

    /// As [`Twins::agree`].
    pub(crate) fn agree(self, name: &str, args: &[&str]) -> Said {
        self.with_all(args, |all| self.twins.agree(name, all))
    }

    /// Puts in front what says whom to ask, and as whom.
    fn with_all(self, args: &[&str], run: impl FnOnce(&[&str]) -> Said) -> Said {
        let port = self.port.to_string();
        let place = ["-h", "127.0.0.1", "-p", &port, "-U", ADMIN, "-w"];
        run(&[&place, args].concat())
    }
}

/// How often it is tried to look at something thrice between two changes of it: checks of servers are
/// seconds apart.
const TRIALS_MAX: usize = 50;

pub(crate) fn tell_the_same(world: &mut Real) {
    world.settle();
    let app = world.connect("app");
    world.run(&app, "begin");
    world.run(&app, "select 1");
    let (process, _) = app.state().key.clone().expect("it is logged in");
    let process = process.to_string();
    let twins = Twins::new(world);
    let process: &str = &process;
    let questions: &[(&str, &[&str])] = &[
        ("pcp_node_count", &[]),
        ("pcp_node_info", &[]),
        ("pcp_node_info", &["-a"]),
        ("pcp_node_info", &["-n", "1"]),
        ("pcp_node_info", &["2"]),
        ("pcp_node_info", &["9"]),
        ("pcp_health_check_stats", &["0"]),
        ("pcp_health_check_stats", &["-n", "1"]),
        ("pcp_health_check_stats", &["9"]),
        ("pcp_proc_count", &[]),
        ("pcp_proc_info", &[]),
        ("pcp_proc_info", &["-a"]),
        ("pcp_proc_info", &[process]),
        ("pcp_proc_info", &["-P", process]),
        ("pcp_proc_info", &["999"]),
        ("pcp_pool_status", &[]),
        ("pcp_watchdog_info", &[]),
        ("pcp_watchdog_info", &["0"]),
    ];
    for (name, args) in questions {
        for flags in [&[][..], &["-v"], &["-d"], &["-v", "-d"]] {
            let said = twins.there().agree(name, &[args, flags].concat());
            assert_eq!(said.code, Some(0), "{said:?}");
            assert!(!said.output.is_empty() || said.errors.starts_with("ERROR:  "), "{said:?}");
        }
    }
    world.run(&app, "rollback");
}

pub(crate) fn do_the_same(world: &mut Real) {
    world.settle();
    let app = world.connect("app");
    let twins = Twins::new(world);
    let theirs = |name: &str, args: &[&str]| twins.there().theirs(name, args);
    let ours = |name: &str, args: &[&str]| twins.there().ours(name, args);
    let done = |name: &str| Said {
        output: format!("{name} -- Command Successful\n"),
        errors: String::new(),
        code: Some(0),
    };
    for args in [&["1"][..], &["-n", "1", "-v"], &["-g", "1", "-d"]] {
        let [detach, attach] = ["pcp_detach_node", "pcp_attach_node"];
        let mut said = Vec::new();
        for run in [&theirs as &dyn Fn(&str, &[&str]) -> Said, &ours] {
            let detached = run(detach, args);
            world.wait_down(&app, 1);
            // Once more: it is down already.
            let refused = twins.there().agree(detach, &["1"]);
            assert!(refused.errors.contains("is not valid for failover"), "{refused:?}");
            let attached = run(attach, if args.contains(&"-d") { &["1", "-d"] } else { &["1"] });
            world.wait_up(&app, 1);
            said.push((detached, attached));
        }
        assert_eq!(said[1], said[0], "ours, and theirs: {args:?}");
        if args == ["1"] {
            assert_eq!(said[0], (done(detach), done(attach)));
        }
    }
    let orders: &[(&str, &[&str])] = &[
        ("pcp_attach_node", &["1"]),
        ("pcp_attach_node", &["9"]),
        ("pcp_detach_node", &["9"]),
        ("pcp_promote_node", &["9"]),
        ("pcp_promote_node", &["-s", "9"]),
        ("pcp_recovery_node", &["9"]),
        ("pcp_reload_config", &[]),
        ("pcp_reload_config", &["-s", "cluster", "-d"]),
    ];
    for (name, args) in orders {
        twins.there().agree(name, args);
    }
    let rotated = ours("pcp_log_rotate", &[]);
    assert_eq!(rotated.errors, "ERROR:  logging_collector is disabled\n\n", "{rotated:?}");
    let forgotten = ours("pcp_invalidate_query_cache", &[]);
    assert_eq!(forgotten.errors, "ERROR:  query cache is not enabled\n\n", "{forgotten:?}");
    assert_eq!(ours("pcp_stop_pgpool", &["-m", "fast"]), done("pcp_stop_pgpool"));
    world.wait("pgherd ends", pgherd_tests::play::LIMIT, |w| w.exit_code().is_some());
    // Nobody is there any more.
    for flags in [&[][..], &["-d"]] {
        let said = twins.there().agree("pcp_node_count", flags);
        assert_eq!(said.code, Some(1), "{said:?}");
    }
}

pub(crate) fn read_command_lines_alike(world: &mut Real) {
    let twins = Twins::new(world);
    let names = [
        "pcp_attach_node",
        "pcp_detach_node",
        "pcp_health_check_stats",
        "pcp_node_count",
        "pcp_node_info",
        "pcp_pool_status",
        "pcp_proc_count",
        "pcp_proc_info",
        "pcp_promote_node",
        "pcp_recovery_node",
        "pcp_reload_config",
        "pcp_stop_pgpool",
        "pcp_watchdog_info",
    ];
    let lines: &[&[&str]] = &[
        &["--help"],
        &["-?"],
        &["-w", "--help"],
        &["-w", "-?"],
        &["-z"],
        &["-U"],
        &["--ver"],
        &["--n"],
        &["--p"],
        &["--foo"],
        &["--password=1"],
        &["--mode", "x"],
        &["--scope=x", "1"],
        &["-s", "x"],
        &["-m", "x"],
        &["-p", "80", "-z"],
        &["-p", "65536"],
        &["-p", "x"],
        &["-n", "129"],
        &["-n", "-1"],
        &["-P", "0"],
        &["-w"],
        &["-w", "-h", "/nowhere", "1"],
        &["-w", "-h", "127.0.0.1", "-p", "1025", "1", "2"],
        &["-W", "-h", "127.0.0.1", "-p", "1025", "1"],
    ];
    for name in names {
        for args in lines {
            // `-s` has no argument there, and a node that is no number is another matter: see below.
            if name != "pcp_promote_node" || args[0] != "-s" {
                twins.agree(name, args);
            }
        }
        let version = twins.ours(name, &["--version"]);
        let start = format!("{name} (pgpool-II) 4.");
        assert!(version.errors.starts_with(&start) && version.code == Some(0), "{version:?}");
        assert!(twins.theirs(name, &["--version"]).errors.starts_with(&start));
    }
    // What pgherd does not copy: a word that is no number is not node 0.
    let slip = twins.ours("pcp_detach_node", &["-w", "-n", "x"]);
    let told = "pcp_detach_node: Invalid node-id \"x\", must be between 0 and 128\n";
    assert_eq!((slip.errors.as_str(), slip.code), (told, Some(1)));
}

pub(crate) fn find_passwords_alike(world: &mut Real) {
    let twins = Twins::new(world);
    let right = |line: &str| line.replace("RIGHT", ADMIN);
    let other_port = world.port();
    let files: &[(String, u32)] = &[
        (right("127.0.0.1:*:pcpadmin:RIGHT\n"), 0o600),
        (right("127.0.0.1:*:pcpadmin:RIGHT"), 0o400),
        (right("# who\n\n*:*:*:RIGHT:more\n"), 0o600),
        (right("*:*:*:wrong\n*:*:*:RIGHT\n"), 0o600),
        (right("localhost:*:*:RIGHT\n"), 0o600),
        (right(&format!("*:{other_port}:*:RIGHT\n")), 0o600),
        (right(r"*:*:pcp\admin:RIGHT"), 0o600),
        (right("*:*:*:RIGHT\r\n"), 0o600),
        (right("*:*:*:RIGHT\n"), 0o640),
        (right("*:*:*:RIGHT\n"), 0o604),
        (String::new(), 0o600),
    ];
    let mut codes = Vec::new();
    for (text, mode) in files {
        twins.home.write(text, *mode);
        for flags in [&[][..], &["-d"], &["-W"]] {
            // With the last, it is asked for, and nothing is typed.
            codes.push(twins.there().agree("pcp_node_count", flags).code);
        }
    }
    for code in [Some(0), Some(1)] {
        assert!(codes.contains(&code), "{codes:?}");
    }
    fs::remove_file(twins.home.file()).expect("it is there");
    let said = twins.there().agree("pcp_node_count", &[]);
    assert!(said.errors.starts_with("FATAL:  authentication failed for user"), "{said:?}");
    fs::create_dir(twins.home.file()).expect("there is nothing of that name");
    twins.there().agree("pcp_node_count", &["-d"]);
    let long = ["x".repeat(127), "x".repeat(128)];
    for user in &long {
        let port = twins.port.to_string();
        twins.agree("pcp_node_count", &["-h", "127.0.0.1", "-p", &port, "-w", "-U", user]);
    }
}
