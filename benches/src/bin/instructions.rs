//! `pgherd-instructions`: how many instructions the core's operations take, counted by valgrind.
//!
//! Unlike nanoseconds these are the same on a busy machine, so that two builds can be compared. The
//! program runs itself under callgrind, once with few repetitions and once with more; the
//! difference is what the further repetitions took, without what it takes to get there.
//!
//! `check` compares them with those that are committed, `renew` writes new ones there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::{Parser, ValueEnum};
use pgherd_benches::ledger::{self, Counts};
use pgherd_benches::ops::{OPS, Op};
use pgherd_benches::trouble::Trouble;

/// Count the instructions of the core's operations, with valgrind
#[derive(Debug, Parser)]
struct Args {
    /// Count only operations whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// What to do with the counts that are committed, which are of all operations
    #[arg(value_enum, conflicts_with = "only")]
    committed: Option<Committed>,
    /// Do one operation so many times and end: what valgrind is given to run
    #[arg(long, value_name = "NUMBER", requires = "only", hide = true)]
    repeat: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Committed {
    /// Fail if an operation takes more now
    Check,
    /// Write them anew
    Renew,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(count) = args.repeat {
        if let Some(op) = OPS.iter().find(|op| Some(op.name) == args.only.as_deref()) {
            println!("{}", repeat(op, count));
        }
        return ExitCode::SUCCESS;
    }
    match act(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("pgherd-instructions: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn act(args: &Args) -> Result<(), Trouble> {
    if args.committed.is_some() && !cfg!(debug_assertions) {
        return Err(Trouble::Profile);
    }
    let is_wanted = |op: &&Op| args.only.as_deref().is_none_or(|text| op.name.contains(text));
    let mut counts = Vec::new();
    for op in OPS.iter().filter(is_wanted) {
        let count = count(op)?;
        println!("{}", ledger::line(op, count));
        counts.push((op, count));
    }
    match args.committed {
        Some(Committed::Renew) => {
            let text = ledger::compose(counts.into_iter());
            fs::write(COMMITTED, text).map_err(Trouble::io("write", COMMITTED.as_ref()))
        }
        Some(Committed::Check) => {
            check(&counts.into_iter().map(|(op, count)| (op.name.to_owned(), count)).collect())
        }
        None => Ok(()),
    }
}

fn check(counts: &Counts) -> Result<(), Trouble> {
    let text = fs::read_to_string(COMMITTED);
    let text = text.map_err(Trouble::io("read", COMMITTED.as_ref()))?;
    let objections = match ledger::read(&text) {
        Ok(committed) => ledger::objections(&committed, counts),
        Err(objection) => vec![objection],
    };
    if objections.is_empty() { Ok(()) } else { Err(Trouble::Instructions(objections)) }
}

/// Does an operation, and returns how many units that was.
fn repeat(op: &Op, count: u64) -> usize {
    let mut act = (op.make)();
    (0..count).map(|_| act()).sum()
}

/// Returns instructions a unit.
fn count(op: &Op) -> Result<f64, Trouble> {
    let (few, more) = (counted(op, FEW)?, counted(op, MORE)?);
    let instructions = more.instructions.saturating_sub(few.instructions);
    let units = more.units.saturating_sub(few.units).max(1);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let per_unit = instructions as f64 / units as f64;
    Ok(per_unit)
}

struct Counted {
    instructions: u64,
    units: u64,
}

fn counted(op: &Op, repetitions: u64) -> Result<Counted, Trouble> {
    let own = std::env::current_exe().map_err(Trouble::io("find", "this program".as_ref()))?;
    let out = Scratch::new();
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.0.display()));
    command.arg(own).args(["--only", op.name, "--repeat", &repetitions.to_string()]);
    let ended = command.stdin(Stdio::null()).output();
    let ended = ended.map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            return Trouble::Missing { program: "valgrind", remedy: "apt-get install valgrind" };
        }
        Trouble::io("run", "valgrind".as_ref())(error)
    })?;
    let text = fs::read_to_string(&out.0).map_err(Trouble::io("read", &out.0))?;
    let units = String::from_utf8_lossy(&ended.stdout).trim().parse().ok();
    match (total(&text), units) {
        (Some(instructions), Some(units)) => Ok(Counted { instructions, units }),
        _ => {
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            Err(Trouble::Output { program: "valgrind", said })
        }
    }
}

/// Finds the total in callgrind's file: a line such as "totals: 123456".
fn total(text: &str) -> Option<u64> {
    let line = |label: &str| text.lines().find_map(|line| line.strip_prefix(label));
    line("totals: ").or_else(|| line("summary: "))?.trim().parse().ok()
}

/// A file that is removed when it is no longer needed.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("pgherd-instructions-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        eprintln!("{}: {error}", path.display());
    }
}

/// The counts that are committed.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

/// Repetitions after which everything has grown to its size.
const FEW: u64 = 100;

/// Repetitions of the second run: enough for the difference to be exact to a tenth of an
/// instruction in most operations, and few enough for seconds.
const MORE: u64 = 2100;
