//! `pgherd-bench`: pgherd beside its peers on a throw-away herd of this machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::Parser;
use pgherd_benches::bars;
use pgherd_benches::crowd::{self, Gathering};
use pgherd_benches::machine::Machine;
use pgherd_benches::pgbench;
use pgherd_benches::proxy::{Layout, Running};
use pgherd_benches::ready::Ready;
use pgherd_benches::report::{self, Report};
use pgherd_benches::rounds::{self, Effort, Result as Played};
use pgherd_benches::scenario::{Extent, SCALE, SCENARIOS, Scenario};
use pgherd_benches::soak;
use pgherd_benches::target::{self, Pooling, Proxy, Target};
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
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=250))]
    seconds: u32,
    /// One round: for a first look
    #[arg(long, conflicts_with = "rounds")]
    quick: bool,
    /// Play only scenarios whose name contains this; may be given several times
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Measure only targets whose name contains this, beside those that the ratios are to
    #[arg(long, value_name = "TEXT")]
    target: Option<String>,
    /// Measure a further proxy that runs before the primary; with its process, its CPU time, too
    #[arg(long, value_name = "NAME=HOST:PORT[,PID]", value_parser = Target::external)]
    proxy: Vec<Target>,
    /// Give pgherd so many threads, instead of one for every two cores
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    worker_threads: Option<u16>,
    /// The primary's port; its standbys have those after it
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    server_port: Option<u16>,
    /// Instead of measuring, let 1,000 clients come and go, and fail if anything of pgherd grows
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "600")]
    soak: Option<u64>,
    /// Where to write the results
    #[arg(long, value_name = "DIRECTORY", default_value = RESULTS)]
    out: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let started = Instant::now();
    let mut progress = |step: &str| eprintln!("{:6.1} s  {step}", started.elapsed().as_secs_f64());
    let ended = match args.soak {
        Some(seconds) => soak(&args, Duration::from_secs(seconds), &mut progress),
        None => bench(&args, &mut progress),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("pgherd-bench: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: &Args, progress: &mut dyn FnMut(&str)) -> Result<(), Trouble> {
    let is_played = |name: &str| args.only.is_empty() || args.only.iter().any(|o| name.contains(o));
    let is_wanted = |target: &Target| is_wanted(args, &target.name);
    let mut targets: Vec<Target> = target::all().into_iter().filter(is_wanted).collect();
    targets.extend(args.proxy.iter().cloned());
    let scenarios: Vec<&Scenario> = SCENARIOS.iter().filter(|s| is_played(s.name)).collect();
    let (shared, open): (Vec<_>, Vec<_>) =
        scenarios.into_iter().partition(|scenario| scenario.extent == Extent::Shared);
    let has_crowd = is_played(crowd::NAME);
    if shared.is_empty() && open.is_empty() && !has_crowd {
        return Err(Trouble::Nothing);
    }
    crowd::room_for_clients();
    let herd = build(args, &targets, progress)?;
    let machine = Machine::look(&herd)?;
    println!("{}", machine.describe());
    let Args { seconds, worker_threads, .. } = *args;
    let rounds = if args.quick { 1 } else { args.rounds };
    let effort = Effort { rounds, seconds, worker_threads };
    let mut missing = Vec::new();
    let mut results = Vec::new();
    if !open.is_empty() {
        let ready = start(&herd, &targets, laid(args, Layout::of), &mut missing, progress)?;
        results.extend(play(&herd, &open, &ready, effort, progress)?);
    }
    let mut crowds = Vec::new();
    if has_crowd || !shared.is_empty() {
        let targets: Vec<Target> = targets.into_iter().filter(is_shared).collect();
        let ready = start(&herd, &targets, laid(args, Layout::shared), &mut missing, progress)?;
        if has_crowd {
            crowds = gather(&ready, &mut missing, progress);
            println!("{}", crowd::table(&crowds));
        }
        results.extend(play(&herd, &shared, &ready, effort, progress)?);
    }
    missing.sort();
    missing.dedup();
    let bars = bars::standings(&results, &crowds);
    println!("{}", bars::table(&bars));
    missing.iter().for_each(|reason| println!("Not measured: {reason}"));
    let report = Report { machine, effort, results, crowds, bars, missing };
    let is_whole =
        args.only.is_empty() && args.target.is_none() && !args.quick && worker_threads.is_none();
    write(&args.out, if is_whole { "full" } else { "partial" }, &report, progress)
}

/// Whether a target is measured. Without those that the ratios are to, there were no ratios.
fn is_wanted(args: &Args, target: &str) -> bool {
    use pgherd_benches::target::{DIRECT, FLOOR, YARDSTICK, YARDSTICK_POOLED};
    let always = [DIRECT, FLOOR, YARDSTICK, YARDSTICK_POOLED];
    args.target.as_deref().is_none_or(|text| target.contains(text)) || always.contains(&target)
}

/// Sets targets up as the caller wants it.
fn laid(
    args: &Args,
    layout: impl Fn(Proxy, &Target) -> Layout,
) -> impl Fn(Proxy, &Target) -> Layout {
    let worker_threads = args.worker_threads;
    move |proxy, target| {
        let layout = layout(proxy, target);
        Layout { worker_threads: layout.worker_threads.or(worker_threads), ..layout }
    }
}

/// Whether a target can share a few connections between many clients.
fn is_shared(target: &Target) -> bool {
    let is_pooler = matches!(target.proxy, Some(Proxy::Pgherd(_) | Proxy::PgBouncer));
    is_pooler && target.pooling == Pooling::Transaction && target.nodes == 1
}

fn play(
    herd: &Herd,
    scenarios: &[&Scenario],
    ready: &[Ready],
    effort: Effort,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Played>, Trouble> {
    let mut results = Vec::new();
    for scenario in scenarios {
        let is_meant = |ready: &&Ready| scenario.extent.covers(&ready.target);
        let ready: Vec<&Ready> = ready.iter().filter(is_meant).collect();
        let played = rounds::play(herd, scenario, &ready, effort, progress)?;
        println!("{}", report::table(scenario.name, &scenario.work.describe(), &played));
        results.extend(played);
    }
    Ok(results)
}

fn gather(
    ready: &[Ready],
    missing: &mut Vec<String>,
    progress: &mut dyn FnMut(&str),
) -> Vec<Gathering> {
    let mut crowds = Vec::new();
    for Ready { target, proxy, .. } in ready {
        let Some(proxy) = proxy else { continue };
        progress(&format!("{}: {}", crowd::NAME, target.name));
        match crowd::gather(&target.name, proxy) {
            Ok(crowd) => crowds.push(crowd),
            Err(error) => missing.push(format!("{} of {}: {error}", crowd::NAME, target.name)),
        }
    }
    crowds
}

fn soak(args: &Args, time: Duration, progress: &mut dyn FnMut(&str)) -> Result<(), Trouble> {
    let is_meant = |target: &Target| {
        let is_pgherd = matches!(target.proxy, Some(Proxy::Pgherd(_)));
        is_pgherd && is_shared(target) && is_wanted(args, &target.name)
    };
    let targets: Vec<Target> = target::all().into_iter().filter(is_meant).collect();
    crowd::room_for_clients();
    let herd = build(args, &targets, progress)?;
    let mut missing = Vec::new();
    let mut growths = Vec::new();
    for target in &targets {
        let target = std::slice::from_ref(target);
        let ready = start(&herd, target, laid(args, Layout::shared), &mut missing, progress)?;
        for Ready { target, proxy, .. } in &ready {
            let Some(proxy) = proxy else { continue };
            let samples = soak::play(&herd, proxy, time, progress)?;
            growths.extend(soak::growths(&samples).into_iter().map(|growth| {
                let soak::Growth { what, was, is } = growth;
                format!("{}: {what} grew from {was} to {is}", target.name)
            }));
            println!("{}: {} samples", target.name, samples.len());
        }
    }
    missing.iter().for_each(|reason| println!("Not tried: {reason}"));
    if growths.is_empty() { Ok(()) } else { Err(Trouble::Growth(growths)) }
}

fn build(args: &Args, targets: &[Target], progress: &mut dyn FnMut(&str)) -> Result<Herd, Trouble> {
    let interrupt = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, interrupt.clone())
            .map_err(Trouble::io("wait for", "signals".as_ref()))?;
    }
    let nodes = targets.iter().map(|target| target.nodes).max().unwrap_or(1);
    let plan = Plan {
        standbys: nodes.saturating_sub(1),
        base_port: args.server_port,
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
    targets: &[Target],
    layout: impl Fn(Proxy, &Target) -> Layout,
    missing: &mut Vec<String>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Ready>, Trouble> {
    let mut ready = Vec::new();
    for target in targets {
        let (port, proxy) = match &target.proxy {
            None => (herd.primary().port(), None),
            Some(Proxy::External(address)) => (address.port, None),
            Some(proxy) => {
                progress(&format!("starting {}", target.name));
                match Running::start(herd, layout(proxy.clone(), target)) {
                    Ok(proxy) => (proxy.port(), Some(proxy)),
                    Err(trouble @ Trouble::Missing { program: "pgherd", .. }) => {
                        return Err(trouble);
                    }
                    Err(trouble) if trouble.is_interrupt() => return Err(trouble),
                    Err(trouble) => {
                        missing.push(format!("{}: {trouble}", target.name));
                        continue;
                    }
                }
            }
        };
        ready.push(Ready { target: target.clone(), proxy, port });
    }
    Ok(ready)
}

fn write(
    directory: &Path,
    name: &str,
    report: &Report,
    progress: &mut dyn FnMut(&str),
) -> Result<(), Trouble> {
    std::fs::create_dir_all(directory).map_err(Trouble::io("create", directory))?;
    let json = serde_json::to_string_pretty(report).map_err(std::io::Error::other);
    let json = json.map_err(Trouble::io("compose", directory))?;
    for (ending, text) in [("md", report.markdown()), ("json", json + "\n")] {
        let path = directory.join(name).with_extension(ending);
        std::fs::write(&path, text).map_err(Trouble::io("write", &path))?;
        progress(&format!("written: {}", path.display()));
    }
    Ok(())
}

/// What every proxy may hold, and some for pgbench itself.
const CONNECTIONS_MAX: u32 = 1200;

/// Where results are kept.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");
