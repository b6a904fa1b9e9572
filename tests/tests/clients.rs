//! Programs that people use, through pgherd in front of real servers: psql, pgbench, psycopg,
//! tokio-postgres and the `pcp_…` programs; and a cluster that is set up from nothing as for
//! Pgpool-II. A program that is missing fails the test, and says what to install.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};
use pgherd_tests::real::{Lot, Real};
use pgherd_tests::scenarios::panic_text;
use pgherd_tests::world::Setup;

#[path = "clients/native.rs"]
mod native;
#[path = "clients/pcp.rs"]
mod pcp;
#[path = "clients/pcp_twins.rs"]
mod pcp_twins;
#[path = "clients/pgbench.rs"]
mod pgbench;
#[path = "clients/pgpool.rs"]
mod pgpool;
#[path = "clients/psql.rs"]
mod psql;
#[path = "clients/tokio_postgres_traffic.rs"]
mod tokio_postgres_traffic;
#[path = "clients/tutorial.rs"]
mod tutorial;

/// A test: what one program does at this port.
type Traffic = fn(u16);

const TESTS: [(&str, Traffic); 15] = [
    ("psql_describes_tables", psql::describes_tables),
    ("psql_runs_several_statements", psql::runs_several_statements),
    ("psql_runs_one_command_and_leaves", psql::runs_one_command_and_leaves),
    ("psql_copies_from_and_to_files", psql::copies_from_and_to_files),
    ("psql_uses_variables_and_loops", psql::uses_variables_and_loops),
    ("psql_exits_with_an_error", psql::exits_with_an_error),
    ("pgbench_simple", pgbench::simple),
    ("pgbench_extended", pgbench::extended),
    ("pgbench_prepared", pgbench::prepared),
    ("pgbench_reads", pgbench::reads),
    ("pgbench_connects_for_each_transaction", pgbench::connects_for_each_transaction),
    ("psycopg_traffic", psycopg),
    ("tokio_postgres_queries", tokio_postgres_traffic::queries),
    ("tokio_postgres_copies", tokio_postgres_traffic::copies),
    ("tokio_postgres_cancels_and_listens", tokio_postgres_traffic::cancels_and_listens),
];

/// A test of administration, which is another port's business, and may end pgherd.
type Administration = fn(&mut Real);

const ADMINISTRATION: [(&str, Administration); 25] = [
    ("pcp_tells_of_nodes", pcp::nodes),
    ("pcp_tells_of_sessions", pcp::sessions),
    ("pcp_tells_of_settings_and_checks", pcp::settings_and_checks),
    ("pcp_takes_a_node_out_and_in", pcp::a_node_out_and_in),
    ("pcp_recovers_a_node", pcp::a_lost_node),
    ("pcp_switches_over", pcp::a_switchover),
    ("pcp_reloads", pcp::a_reload),
    ("pcp_with_a_wrong_password", pcp::a_wrong_password),
    ("pcp_stops_smartly", pcp::a_smart_stop),
    ("pcp_stops_fast", pcp::a_fast_stop),
    ("pcp_stops_at_once", pcp::an_immediate_stop),
    ("pcp_twins_tell_the_same", pcp_twins::tell_the_same),
    ("pcp_twins_do_the_same", pcp_twins::do_the_same),
    ("pcp_twins_read_command_lines_alike", pcp_twins::read_command_lines_alike),
    ("pcp_twins_find_passwords_alike", pcp_twins::find_passwords_alike),
    ("pgpool_has_the_same_columns", pgpool::columns),
    ("pgpool_has_the_same_settings", pgpool::settings),
    ("pgpool_has_the_same_values_of_nodes", pgpool::values_of_nodes),
    ("pgpool_refuses_in_the_same_words", pgpool::refusals),
    ("pgpool_understands_our_programs", pgpool::programs),
    ("pgherd_tells_of_nodes", native::nodes),
    ("pgherd_takes_a_node_out_and_in", native::a_node_out_and_in),
    ("pgherd_switches_over", native::a_switchover),
    ("pgherd_tells_why_not", native::refusals),
    ("pgherd_reloads_and_stops", native::a_reload_and_a_stop),
];

fn main() {
    let mut args = Arguments::from_args();
    // Load from one test would be noise in another.
    args.test_threads = Some(1);
    let lot = Lot::default();
    let traffic = TESTS.into_iter().map(|(name, traffic)| {
        let lot = Arc::clone(&lot);
        Trial::test(name, move || play(&lot, Setup::default, |world| traffic(world.port())))
    });
    let administration = ADMINISTRATION.into_iter().map(|(name, test)| {
        let lot = Arc::clone(&lot);
        Trial::test(name, move || play(&lot, pcp::setup, test))
    });
    let tutorial = Trial::test("the_tutorial", tutorial::play);
    let trials = traffic.chain(administration).chain([tutorial]).collect();
    let conclusion = libtest_mimic::run(&args, trials);
    // Exiting drops nothing.
    lot.lock().unwrap_or_else(PoisonError::into_inner).clear();
    conclusion.exit();
}

fn play(lot: &Lot, setup: fn() -> Setup, test: impl Fn(&mut Real)) -> Result<(), Failed> {
    let mut log = String::new();
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut world = Real::new(lot, &setup());
        let played = catch_unwind(AssertUnwindSafe(|| test(&mut world)));
        log = world.log();
        played
    }));
    match played {
        Ok(Ok(())) => Ok(()),
        Ok(Err(panic)) | Err(panic) => {
            Err(format!("{}\npgherd's log:\n{log}", panic_text(panic.as_ref())).into())
        }
    }
}

/// Everything that `clients/psycopg_traffic.py` does.
fn psycopg(port: u16) {
    let python = python();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/psycopg_traffic.py");
    let output = Command::new(&python).arg(script).arg(port.to_string()).output();
    check("psycopg", &output.unwrap_or_else(|error| panic!("{}: {error}", python.display())));
}

/// Finds a Python that has psycopg: `$PGHERD_PYTHON`, or the one in `target/clients`.
fn python() -> PathBuf {
    if let Some(path) = env::var_os("PGHERD_PYTHON") {
        return path.into();
    }
    let own = env::current_exe().expect("a process knows its program");
    let target = own.ancestors().nth(3).expect("a test is in target/<profile>/deps");
    let dir = target.join("clients");
    let path = dir.join("bin/python");
    assert!(
        path.exists(),
        "no program {path}: run `python3 -m venv {dir} && {dir}/bin/pip install \
         'psycopg[binary]'`, or set PGHERD_PYTHON to a Python that has psycopg 3",
        path = path.display(),
        dir = dir.display()
    );
    path
}

/// Prepares one of PostgreSQL's own programs to work through pgherd.
fn program(name: &str, port: u16) -> Command {
    let installed = pgherd_herd::Binaries::find().unwrap_or_else(|trouble| panic!("{trouble}"));
    let mut command = Command::new(installed.dir.join(name));
    command
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", port.to_string())
        .env("PGUSER", "postgres")
        .env("PGPASSWORD", "postgres")
        .env("PGDATABASE", "postgres")
        .env("LC_ALL", "C")
        .current_dir(env::temp_dir());
    command
}

/// Runs a program to its end; it has to succeed.
fn run(command: &mut Command) -> String {
    let what = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot run {what}: {error}; install the package \"postgresql\"")
    });
    check(&what, &output)
}

fn check(what: &str, output: &Output) -> String {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{out}\n{err}", output.status);
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
