//! `pgherd-bench`: pgbench against a herd, directly and through each proxy that is installed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::Parser;
use pgherd_benches::crowd;
use pgherd_benches::pgbench;
use pgherd_benches::proxy::{Layout, Running};
use pgherd_benches::report::{self, Machine, Report};
use pgherd_benches::rounds::{self, Effort, Ready};
use pgherd_benches::scenario::{SCALE, SCENARIOS, Scenario};
use pgherd_benches::target::{TARGETS, Target};
use pgherd_benches::trouble::Trouble;
use pgherd_herd::{Herd, Plan};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Measure pgherd beside its peers on a throw-away herd of this machine
#[derive(Debug, Parser)]
struct Args {
    /// How many times each target has its turn in each scenario
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long a turn takes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=250))]
    seconds: u32,
    /// Clients, instead of what the scenarios say
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=60))]
    clients: Option<u16>,
    /// Play only scenarios whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Measure only targets whose name contains this, `direct` and PgBouncer beside them
    #[arg(long, value_name = "TEXT")]
    target: Option<String>,
    /// Write the results to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match bench(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("pgherd-bench: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: &Args) -> Result<(), Trouble> {
    let scenarios: Vec<&Scenario> =
        SCENARIOS.iter().filter(|scenario| matches(args.only.as_deref(), scenario.name)).collect();
    let targets: Vec<&Target> =
        TARGETS.iter().filter(|target| is_wanted(args, target.name)).collect();
    let has_crowd = matches(args.only.as_deref(), crowd::NAME);
    if scenarios.is_empty() && !has_crowd {
        return Err(Trouble::Nothing);
    }
    let started = Instant::now();
    let progress = |step: &str| eprintln!("{:6.1} s  {step}", started.elapsed().as_secs_f64());
    let herd = build(&targets, &mut { progress })?;
    // Declared after the herd, so that they end before it.
    let targets = if scenarios.is_empty() { Vec::new() } else { targets };
    let (ready, mut missing) = start(&herd, &targets, &mut { progress })?;
    let effort = Effort { rounds: args.rounds, seconds: args.seconds, clients: args.clients };
    let machine = machine(&herd)?;
    println!("{} CPUs, {}, {}\n", machine.cores, machine.system, machine.postgres);
    let mut results = Vec::new();
    for scenario in scenarios {
        let played = rounds::play(&herd, scenario, &ready, effort, &mut { progress })?;
        println!("{}", report::table(&heading(scenario, effort), &played));
        results.extend(played);
    }
    // Nobody else is to have a server connection meanwhile.
    drop(ready);
    let mut crowds = Vec::new();
    if has_crowd {
        let is_wanted = |name: &str| is_wanted(args, name);
        let (found, lacking) = crowd::play(&herd, is_wanted, &mut { progress })?;
        println!("{}", crowd::table(&found));
        crowds = found;
        missing.extend(lacking);
    }
    println!("CPU ms: user and system time of the proxy's processes for each 1,000 transactions.");
    for reason in &missing {
        println!("Not measured: {reason}");
    }
    let report = Report { machine, effort, results, crowds, missing };
    args.json.as_ref().map_or(Ok(()), |path| write(path, &report))
}

fn matches(filter: Option<&str>, name: &str) -> bool {
    filter.is_none_or(|filter| name.contains(filter))
}

/// Whether a target is measured. Without those that the ratios are to, there were no ratios.
fn is_wanted(args: &Args, target: &str) -> bool {
    use pgherd_benches::target::{DIRECT, YARDSTICK, YARDSTICK_POOLED};
    let always = [DIRECT, YARDSTICK, YARDSTICK_POOLED];
    matches(args.target.as_deref(), target) || always.contains(&target)
}

fn heading(scenario: &Scenario, effort: Effort) -> String {
    let clients = effort.clients.unwrap_or(scenario.clients);
    format!("{}: pgbench -c {clients} {}", scenario.name, scenario.options.join(" "))
}

fn build(targets: &[&Target], progress: &mut dyn FnMut(&str)) -> Result<Herd, Trouble> {
    let interrupt = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, interrupt.clone())
            .map_err(Trouble::io("wait for", "signals".as_ref()))?;
    }
    let nodes = targets.iter().map(|target| target.nodes).max().unwrap_or(1);
    let plan = Plan {
        standbys: nodes.saturating_sub(1),
        max_connections: CONNECTIONS_MAX,
        interrupt: Some(interrupt),
        ..Plan::default()
    };
    let herd = Herd::build(plan, progress)?;
    progress("filling pgbench's tables");
    pgbench::prepare(&herd, SCALE)?;
    Ok(herd)
}

/// Starts the targets that can be had, and tells why the others cannot.
fn start(
    herd: &Herd,
    targets: &[&'static Target],
    progress: &mut dyn FnMut(&str),
) -> Result<(Vec<Ready>, Vec<String>), Trouble> {
    let (mut ready, mut missing) = (Vec::new(), Vec::new());
    for target in targets {
        let Some(proxy) = target.proxy else {
            ready.push(Ready { target, proxy: None, port: herd.primary().port() });
            continue;
        };
        progress(&format!("starting {}", target.name));
        match Running::start(herd, Layout::of(proxy, target)) {
            Ok(proxy) => ready.push(Ready { target, port: proxy.port(), proxy: Some(proxy) }),
            Err(trouble @ Trouble::Missing { program: "pgherd", .. }) => return Err(trouble),
            Err(trouble) if trouble.is_interrupt() => return Err(trouble),
            Err(trouble) => missing.push(format!("{}: {trouble}", target.name)),
        }
    }
    Ok((ready, missing))
}

fn machine(herd: &Herd) -> Result<Machine, Trouble> {
    let name = rustix::system::uname();
    let system = [name.sysname(), name.release(), name.machine()];
    Ok(Machine {
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        system: system.map(|part| part.to_string_lossy().into_owned()).join(" "),
        postgres: herd.psql(0, "select 'PostgreSQL ' || current_setting('server_version')")?,
    })
}

fn write(path: &std::path::Path, report: &Report) -> Result<(), Trouble> {
    let text = serde_json::to_string_pretty(report).map_err(std::io::Error::other);
    text.and_then(|text| std::fs::write(path, text + "\n")).map_err(Trouble::io("write", path))
}

/// What every proxy may hold, and some for pgbench itself.
const CONNECTIONS_MAX: u32 = 400;
