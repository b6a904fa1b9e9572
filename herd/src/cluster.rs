//! The herd: how it is made, and how it ends.

use std::env;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::binaries::Binaries;
use crate::directory::{Directory, make_private};
use crate::disk;
use crate::guard::{self, Guard};
use crate::launcher::Launcher;
use crate::node::{Mode, Node};
use crate::plan::Plan;
use crate::port;
use crate::processes::POLL_INTERVAL;
use crate::settings;
use crate::trouble::Trouble;
use crate::user::Account;

/// A primary and its standbys, running. Dropping it stops them and removes a temporary directory.
#[derive(Debug)]
pub struct Herd {
    nodes: Vec<Node>,
    pub(crate) launcher: Launcher,
    directory: Directory,
    // Last, because fields are dropped in this order: should this process be killed while it
    // removes the directory, the guard goes on with it.
    _guard: Guard,
}

impl Herd {
    /// Builds a herd and starts it: when this returns, all nodes take connections and every standby
    /// receives from the primary.
    ///
    /// `progress` is told of each step that takes a while, before it begins, as in "copying the
    /// primary to 2 standbys". A build that fails leaves no process and no file behind.
    pub fn build(plan: Plan, progress: &mut dyn FnMut(&str)) -> Result<Herd, Trouble> {
        let count = plan.standbys.saturating_add(1);
        let binaries = plan.binaries.clone().map_or_else(Binaries::find, Ok)?;
        let account = Account::choose()?;
        let ports = port::choose(count, plan.base_port)?;
        disk::check(plan.directory.as_ref().unwrap_or(&env::temp_dir()), count)?;
        let directory = Directory::make(plan.directory.as_deref(), &account)?;
        let home = directory.path().to_owned();
        let launcher = Launcher { binaries, account, home, interrupt: plan.interrupt.clone() };
        let guard = Guard::post(&launcher, &directory)?;
        let nodes = (0..).zip(ports).map(|(id, port)| Node::new(&launcher, id, port)).collect();
        // From here on dropping the herd cleans up, whatever fails.
        let mut herd = Herd { nodes, launcher, directory, _guard: guard };
        herd.make_primary(&plan, progress)?;
        herd.make_standbys(&plan, progress)?;
        herd.directory.finish();
        Ok(herd)
    }

    /// Returns the nodes, the first of which was built as the primary.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns node `id`.
    pub fn node(&self, id: usize) -> Result<&Node, Trouble> {
        let count = self.nodes.len();
        self.nodes.get(id).ok_or(Trouble::NoSuchNode { node: id, count })
    }

    /// Returns node 0, which was built as the primary. The herd does not follow failovers.
    pub fn primary(&self) -> &Node {
        self.nodes.first().expect("a herd is built with a primary")
    }

    /// Returns the herd's directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the directory of the nodes' Unix sockets.
    pub fn socket_directory(&self) -> PathBuf {
        self.directory.socket()
    }

    /// Returns the PostgreSQL that the nodes run.
    pub fn binaries(&self) -> &Binaries {
        &self.launcher.binaries
    }

    /// Runs statements on node `id` as the superuser, in the database `postgres`, and returns the
    /// rows: one a line, with `|` between columns.
    ///
    /// `psql` reads the text, so there may be several statements, each a transaction of its own,
    /// and its commands too, such as `\c otherdb`. It ends at the first error.
    pub fn psql(&self, id: usize, sql: &str) -> Result<String, Trouble> {
        self.psql_within(id, sql, SQL_LIMIT)
    }

    fn psql_within(&self, id: usize, sql: &str, limit: Duration) -> Result<String, Trouble> {
        let port = self.node(id)?.port.to_string();
        let mut command = self.launcher.command("psql");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        command.args(["-U", crate::USER, "-d", "postgres", "-p", &port]);
        command.arg("-h").arg(self.directory.socket());
        command.env("PGPASSWORD", crate::PASSWORD).env("PGCONNECT_TIMEOUT", "10");
        let outcome = self.launcher.wait("psql", command, sql.to_owned(), limit)?;
        if outcome.status.success() {
            return Ok(outcome.stdout.trim_end_matches('\n').to_owned());
        }
        Err(Trouble::Sql { node: id, said: outcome.stderr.trim().to_owned() })
    }

    /// Runs one of PostgreSQL's programs, such as `pg_rewind` or `pgbench`, as the servers' user,
    /// with the superuser's password at hand, and returns what it printed.
    pub fn run<A: Into<OsString>>(
        &self,
        program: &'static str,
        args: impl IntoIterator<Item = A>,
    ) -> Result<String, Trouble> {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        self.launcher.run(program, &args)
    }

    /// Stops all nodes, standbys first, and reports the first that did not obey.
    pub fn stop_all(&self, mode: Mode) -> Result<(), Trouble> {
        let results: Vec<_> = self.nodes.iter().rev().map(|node| node.stop(mode)).collect();
        results.into_iter().collect()
    }

    fn make_primary(&mut self, plan: &Plan, progress: &mut dyn FnMut(&str)) -> Result<(), Trouble> {
        progress("initialising the primary");
        let primary = self.primary();
        self.make_home(primary)?;
        initdb(&self.launcher, primary)?;
        let conf = primary.data_dir().join("postgresql.conf");
        append(&conf, &format!("\ninclude '{}'\n", settings::FILE))?;
        self.write(&primary.data_dir().join("pg_hba.conf"), &settings::pg_hba_conf(&plan.hba))?;
        self.configure(primary, plan)?;
        progress("starting the primary");
        self.start(0, plan)
    }

    fn make_standbys(
        &mut self,
        plan: &Plan,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), Trouble> {
        let standbys = match plan.standbys {
            0 => return Ok(()),
            1 => "1 standby".to_owned(),
            count => format!("{count} standbys"),
        };
        progress(&format!("copying the primary to {standbys}"));
        self.make_slots()?;
        self.copy_primary()?;
        progress(&format!("starting {standbys}"));
        for node in self.nodes.iter().skip(1) {
            self.configure(node, plan)?;
            // All at once here; the loop below waits for one after the other.
            node.start()?;
        }
        for id in 1..self.nodes.len() {
            self.start(id, plan)?;
        }
        self.wait_streaming(plan.standbys)
    }

    /// Makes the standbys' replication slots.
    ///
    /// `pg_basebackup` could make its own, but does so only once the copy has begun. The checkpoint
    /// of another copy may have removed by then the WAL that this one begins with.
    fn make_slots(&self) -> Result<(), Trouble> {
        let sql: String = (1..self.nodes.len())
            .map(settings::slot)
            .map(|slot| format!("select pg_create_physical_replication_slot('{slot}', true);\n"))
            .collect();
        self.psql(0, &sql).map(drop)
    }

    /// Copies the primary's data directory to each standby's, all at the same time.
    fn copy_primary(&self) -> Result<(), Trouble> {
        let primary = self.primary();
        thread::scope(|scope| {
            let copies: Vec<_> = self
                .nodes
                .iter()
                .skip(1)
                .map(|node| {
                    scope.spawn(move || {
                        self.make_home(node)?;
                        base_backup(&self.launcher, primary, node)
                    })
                })
                .collect();
            let results: Vec<_> = copies.into_iter().map(|copy| copy.join()).collect();
            results.into_iter().try_for_each(|result| result.expect("copying does not panic"))
        })
    }

    /// Starts a node and waits until it is ready, on another port if need be and allowed.
    fn start(&mut self, id: usize, plan: &Plan) -> Result<(), Trouble> {
        for _ in 0..PORT_TRIES {
            let node = self.node(id)?;
            node.start()?;
            match node.wait_ready(READY_LIMIT) {
                Err(Trouble::PortInUse { .. }) if plan.base_port.is_none() => {}
                Err(trouble @ Trouble::Start { .. }) => {
                    return disk::check_restart(self.directory.path()).and(Err(trouble));
                }
                result => return result,
            }
            let port = port::free_port()?;
            if let Some(node) = self.nodes.get_mut(id) {
                log::info!("port {} was taken meanwhile; node {id} uses {port}", node.port);
                node.port = port;
            }
            self.configure(self.node(id)?, plan)?;
        }
        let port = self.node(id)?.port;
        Err(Trouble::PortInUse { port })
    }

    /// Waits until the primary sends to all standbys.
    fn wait_streaming(&self, standbys: usize) -> Result<(), Trouble> {
        // The server itself looks, since each run of psql takes longer than our interval.
        let sql = format!(
            "do $$ begin \
               while (select count(*) from pg_stat_replication where state = 'streaming') \
                     < {standbys} loop \
                 perform pg_sleep({}); perform pg_stat_clear_snapshot(); \
               end loop; \
             end $$",
            POLL_INTERVAL.as_secs_f64()
        );
        match self.psql_within(0, &sql, READY_LIMIT) {
            Ok(_) => Ok(()),
            Err(Trouble::TooSlow { waited, .. }) => Err(Trouble::NotStreaming { standbys, waited }),
            Err(trouble) => Err(trouble),
        }
    }

    /// Makes the directory of a node, in which its log and its data directory will be.
    fn make_home(&self, node: &Node) -> Result<(), Trouble> {
        let home = self.launcher.home.join(node.name());
        make_private(&home).map_err(Trouble::io("create", &home))?;
        self.launcher.account.own(&home)
    }

    /// Writes the settings of a node, which must not be starting: it could read half of them.
    fn configure(&self, node: &Node, plan: &Plan) -> Result<(), Trouble> {
        let conf = settings::herd_conf(plan, &self.directory.socket(), node.id(), node.port);
        self.write(&node.data_dir().join(settings::FILE), &conf)
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), Trouble> {
        write_private(path, text)?;
        self.launcher.account.own(path)
    }
}

impl Drop for Herd {
    fn drop(&mut self) {
        // Not SIGKILL at once: a server that is told to leave frees its shared memory.
        let mode = if self.directory.is_temporary() { Mode::Immediate } else { Mode::Fast };
        for node in self.nodes.iter().rev() {
            if let Err(trouble) = node.stop_within(mode, DROP_LIMIT) {
                log::warn!("{trouble}");
            }
            guard::free_segment(&self.launcher, &node.postmaster_pid());
        }
    }
}

/// Initialises a node's data directory.
fn initdb(launcher: &Launcher, node: &Node) -> Result<(), Trouble> {
    let password = launcher.home.join(node.name()).join("password");
    write_private(&password, &format!("{}\n", crate::PASSWORD))?;
    launcher.account.own(&password)?;
    // Sorting by code point, so that results are the same on every machine.
    let locale = if cfg!(target_os = "linux") { "C.UTF-8" } else { "C" };
    let mut args: Vec<OsString> =
        ["--no-sync", "--auth=scram-sha-256", "-E", "UTF8", "--locale", locale, "-U", crate::USER]
            .map(OsString::from)
            .into();
    args.extend(["--pwfile".into(), password.clone().into(), "-D".into()]);
    args.push(node.data_dir().into());
    launcher.run("initdb", &args)?;
    fs::remove_file(&password).map_err(Trouble::io("remove", &password))
}

/// Copies the data directory of a running primary, by way of the standby's replication slot.
pub(crate) fn base_backup(
    launcher: &Launcher,
    primary: &Node,
    standby: &Node,
) -> Result<(), Trouble> {
    let conninfo = format!("{} application_name={}", primary.conninfo(), standby.name());
    let slot = settings::slot(standby.id());
    let mut args: Vec<OsString> =
        ["--no-sync", "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf"]
            .map(OsString::from)
            .into();
    args.extend(["--slot".into(), slot.into()]);
    args.extend(["--dbname".into(), conninfo.into(), "--pgdata".into()]);
    args.push(standby.data_dir().into());
    launcher.run("pg_basebackup", &args).map(drop)
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> Result<(), Trouble> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Trouble::io("write", path))
}

fn append(path: &Path, text: &str) -> Result<(), Trouble> {
    OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Trouble::io("write", path))
}

/// How long a new node may take to be ready. It takes well under a second; the rest is for a
/// machine that is busy with other things.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(60);

/// How long statements may run: enough to fill a table for a benchmark.
const SQL_LIMIT: Duration = Duration::from_secs(600);

/// How long a server may take to stop when the herd is dropped. An immediate stop gives children
/// five seconds before it kills them.
const DROP_LIMIT: Duration = Duration::from_secs(10);

/// How many ports to try for one node, where they are not prescribed.
const PORT_TRIES: usize = 5;
