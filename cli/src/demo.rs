//! `pgherd demo`: a throw-away herd of real servers with pgherd in front, for trying things out.

mod deed;

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pgherd_core::auth::md5;
use pgherd_core::auth::passwd::Stored;
use pgherd_core::auth::secret::Secret;
use pgherd_core::config::KeyFile;
use pgherd_core::config::{Config, Files, load};
use pgherd_core::memory::Memory;
use pgherd_core::message::Shutdown;
use pgherd_herd::{Herd, PASSWORD, Plan, Trouble, USER, free_port};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::args::DemoArgs;
use crate::dial::{Dial, Line};
use crate::ending::Ending;
use crate::pcp::Peer;
use crate::say::say;
use crate::{files, logging, run};
use deed::{Deed, LEGEND};

/// Pause between two looks at the herd.
const STATUS_PERIOD: Duration = Duration::from_secs(1);

/// How long the demo waits for pgherd to know its nodes.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two looks at whether somebody asked to stop.
const STOP_POLL: Duration = Duration::from_millis(50);

/// Sets up the herd, shows how it is until it is asked to stop, and takes it down.
pub(crate) fn demo(args: &DemoArgs) -> Result<(), Ending> {
    logging::start_on_stderr(log::LevelFilter::Warn);
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())
            .map_err(|error| Ending::Broken(format!("cannot wait for signals: {error}")))?;
    }
    ensure_free(args.port)?;
    let plan = Plan {
        standbys: usize::from(args.standbys),
        directory: args.dir.clone(),
        interrupt: Some(stop.clone()),
        ..Plan::default()
    };
    // Servers that were started by a recovery are reaped here if they are killed.
    pgherd_herd::adopt_orphans()
        .map_err(|error| Ending::Broken(format!("cannot adopt processes: {error}")))?;
    let started = Instant::now();
    let herd = Herd::build(plan, &mut |step| {
        print(&format!("{:5.1} s  {step}", started.elapsed().as_secs_f64()));
    });
    let herd = match herd {
        Ok(herd) => herd,
        // Whoever asked to stop has what they asked for.
        Err(Trouble::Interrupted) => return Ok(()),
        Err(trouble) => return Err(Ending::CannotStart(trouble.to_string())),
    };
    let pcp_port = free_port().map_err(|trouble| Ending::CannotStart(trouble.to_string()))?;
    let pcp = Peer { host: "127.0.0.1".to_owned(), port: pcp_port };
    let config = files::share(config(&herd, args.port, &pcp)?);
    let operator = run::start(args.runtime, config, Memory::default())?;
    // Nothing is remembered of a throw-away herd.
    operator.heed(Box::new(|_| ()));
    let watched = watch(&herd, args, &pcp, &stop);
    print(&format!("\nstopping pgherd and {} servers …", herd.nodes().len()));
    operator.shut_down(Shutdown::Fast);
    let is_well = operator.join();
    drop(herd);
    watched?;
    if is_well { Ok(()) } else { Err(Ending::Broken("a thread has panicked".into())) }
}

/// A port that is taken is worth knowing before servers are set up.
fn ensure_free(port: u16) -> Result<(), Ending> {
    TcpListener::bind(("127.0.0.1", port)).map(drop).map_err(|error| {
        Ending::CannotStart(format!(
            "cannot listen on 127.0.0.1:{port}: {error}; choose another with --port"
        ))
    })
}

/// The configuration, as a file would hold it.
fn config(herd: &Herd, port: u16, pcp: &Peer) -> Result<Config, Ending> {
    let Peer { host, port: pcp_port } = pcp;
    let mut text = format!(
        "listen_addresses = \"127.0.0.1\"\nport = {port}\nunix_socket_directories = \"\"\n\
         pcp_listen_addresses = \"{host}\"\npcp_port = {pcp_port}\npcp_socket_dir = \"\"\n\
         sr_check_user = \"{USER}\"\nsr_check_period = \"1s\"\n\
         recovery_user = \"{USER}\"\nrecovery_password = \"{PASSWORD}\"\n\
         recovery_slot = \"node%d_slot\"\nrecovery_command = '{}'\n",
        rebuild(herd)?
    );
    for node in herd.nodes() {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[backends]]\nhostname = \"{}\"\nport = {}\nweight = {}\napplication_name = \"{}\"\n\
             data_directory = '{}'\n",
            node.host(),
            node.port(),
            // Reads go to the standbys, so that the split can be seen.
            u8::from(node.id() > 0 || herd.nodes().len() == 1),
            node.name(),
            node.data_dir().display()
        );
    }
    let _ = write!(text, "\n[users]\n{USER} = \"{PASSWORD}\"\n");
    match load("demo.toml", &InMemory(text)) {
        Ok(loaded) => Ok(files::resolve(loaded.config)),
        Err(rejected) => {
            rejected.mistakes.iter().for_each(|mistake| eprintln!("{mistake}"));
            Err(Ending::Mistakes(rejected.mistakes.len()))
        }
    }
}

/// The command that recovers a node.
fn rebuild(herd: &Herd) -> Result<String, Ending> {
    let program = std::env::current_exe()
        .map_err(|error| Ending::CannotStart(format!("cannot find this program: {error}")))?;
    Ok(format!(
        "\"{}\" rebuild --data-directory %D --node-port %p --host %H --port %r \
         --application-name %a --slot %s --bin-directory \"{}\"",
        program.display(),
        herd.binaries().dir.display()
    ))
}

struct InMemory(String);

/// The file of the users of PCP.
const PCP_CONF: &str = "pcp.conf";

impl Files for InMemory {
    fn read(&self, path: &str) -> Result<String, String> {
        if path == PCP_CONF {
            let digest = md5::digest(PASSWORD, "");
            return Ok(format!("{USER}:{}\n", String::from_utf8_lossy(&digest)));
        }
        Ok(self.0.clone())
    }

    fn pcp_file(&self, _path: &str) -> Option<String> {
        Some(PCP_CONF.to_owned())
    }

    fn exists(&self, _path: &str) -> bool {
        true
    }

    fn key_file(&self) -> Option<KeyFile> {
        None
    }
}

fn greet(herd: &Herd, args: &DemoArgs, pcp: &Peer) {
    print(&format!(
        "\npgherd is in front of {} servers. In another terminal:\n",
        herd.nodes().len()
    ));
    print(&format!(
        "  PGPASSWORD={PASSWORD} psql -h 127.0.0.1 -p {} -U {USER} -d postgres\n",
        args.port
    ));
    print(&format!(
        "  pgherd nodes --host {} --port {} --user {USER}   (password {PASSWORD})\n",
        pcp.host, pcp.port
    ));
    for node in herd.nodes() {
        print(&format!(
            "  node {} itself: port {}, log {}",
            node.id(),
            node.port(),
            node.log_file().display()
        ));
    }
    if args.dir.is_some() {
        print(&format!("  the servers' directory is kept: {}", herd.directory().display()));
    }
    print(&format!("\n{LEGEND}"));
    match args.seconds {
        Some(seconds) => print(&format!("Ends after {seconds} seconds, or at Ctrl-C.\n")),
        None => print("Ctrl-C stops everything.\n"),
    }
}

/// Shows how the nodes are until it is time to stop.
fn watch(herd: &Herd, args: &DemoArgs, pcp: &Peer, stop: &AtomicBool) -> Result<(), Ending> {
    let mut dial = dial(args.port)?;
    let ready = Instant::now() + READY_TIMEOUT;
    let is_known = |rows: &[Vec<String>]| rows.iter().all(|row| status(row) != "down");
    while !is_known(&ask(&mut dial)?) && Instant::now() < ready && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(STOP_POLL);
    }
    greet(herd, args, pcp);
    let end = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let is_over = || stop.load(Ordering::Relaxed) || end.is_some_and(|end| Instant::now() >= end);
    let mut board = Board::default();
    let deeds = Deed::listen();
    while !is_over() {
        let rows = ask(&mut dial)?;
        if !board.show(&rows) {
            break;
        }
        let next = Instant::now() + STATUS_PERIOD;
        while Instant::now() < next && !is_over() {
            if let Ok(deed) = deeds.try_recv() {
                board = Board::default();
                let rows = ask(&mut dial)?;
                let progress = |step: &str| print(&format!("\n{step}"));
                if let Err(trouble) = deed.carry_out(herd, pcp, &rows, &progress) {
                    print(&format!("{trouble}"));
                }
            }
            std::thread::sleep(STOP_POLL);
        }
    }
    Ok(())
}

fn dial(port: u16) -> Result<Dial, Ending> {
    let stored = Stored::Plain(Secret::new(PASSWORD));
    let line = Line {
        host: "127.0.0.1",
        port,
        user: USER,
        database: "postgres",
        stored: Some(&stored),
        timeout: READY_TIMEOUT,
    };
    Dial::up(&line).map_err(|error| Ending::CannotStart(format!("pgherd does not answer: {error}")))
}

fn ask(dial: &mut Dial) -> Result<Vec<Vec<String>>, Ending> {
    let answer = dial.ask("SHOW pool_nodes");
    answer.map_err(|error| Ending::Broken(format!("pgherd does not answer: {error}")))
}

/// The column `role` of `SHOW pool_nodes`.
fn role(row: &[String]) -> &str {
    row.get(6).map_or("", String::as_str)
}

/// The column `status` of `SHOW pool_nodes`.
fn status(row: &[String]) -> &str {
    row.get(3).map_or("", String::as_str)
}

/// The status lines: rewritten in place on a terminal, printed when they change elsewhere.
#[derive(Default)]
struct Board {
    shown: String,
}

impl Board {
    /// Shows the nodes; whether anybody still looks.
    fn show(&mut self, rows: &[Vec<String>]) -> bool {
        let on_terminal = std::io::stdout().is_terminal();
        let text: String = rows.iter().map(|row| status_line(row)).collect();
        let mut shown = text.clone();
        if on_terminal && !self.shown.is_empty() {
            let lines = self.shown.lines().count();
            shown.insert_str(0, &format!("\x1b[{lines}A\x1b[J"));
        } else if !on_terminal && text == self.shown {
            return true;
        }
        self.shown = text;
        say(&shown)
    }
}

fn status_line(row: &[String]) -> String {
    let column = |at: usize| row.get(at).map_or("", String::as_str);
    let lag = column(10).parse::<u64>().unwrap_or(0);
    format!(
        "  node {}  {:7}  {:8}  {:>9} reads  {:>8} bytes behind  {}\n",
        column(0),
        role(row),
        // A node that no session has used yet is as well as any other.
        if status(row) == "waiting" { "up" } else { status(row) },
        column(8),
        lag,
        column(11),
    )
}

/// Prints a line. Whoever reads may have left; the demo ends at its next status line.
fn print(line: &str) {
    say(&format!("{line}\n"));
}
