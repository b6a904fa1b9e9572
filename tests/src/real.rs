//! The world of processes: real PostgreSQL servers, and pgherd as its users run it.
//!
//! Servers are handed from one scenario of a lane to the next, since they take longer to make than
//! most scenarios to play; what a scenario did to them is repaired before the next one. pgherd itself
//! is started anew for each. Scenarios that are played at the same time have servers of their own.

pub mod child;
pub mod commands;
pub mod crash;
pub mod drill;
pub mod grounds;
pub mod proxy;
pub mod scripts;
mod sockets;
pub mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, Signal as ProcessSignal, getrlimit, setrlimit};

use crate::client::{Answer, Client, Login};
use crate::play::{LIMIT, Play};
use crate::world::{Conn, End, Fate, Scale, Setup, Signal, World};
use grounds::Grounds;
use proxy::Proxy;
use wire::Wire;

/// Where servers wait for the next scenario.
pub type Lot = Arc<Mutex<Vec<Grounds>>>;

/// pgherd in front of real servers.
#[derive(Debug)]
pub struct Real {
    lot: Lot,
    /// Taken out of the lot, and put back when this is dropped. Always there in between.
    grounds: Option<Grounds>,
    proxy: Proxy,
    wires: BTreeMap<Conn, Wire>,
    conn_count: usize,
    /// One session on each server, for [`World::sql`].
    admins: BTreeMap<usize, Client>,
    began: Instant,
}

impl Real {
    /// Takes the servers from the lot, or makes them, and starts pgherd in front of them.
    ///
    /// # Panics
    /// There is no PostgreSQL or no pgherd to run.
    #[must_use]
    pub fn new(lot: &Lot, setup: &Setup) -> Self {
        Self::on("smol", lot, setup)
    }

    /// As `new`, on a runtime of choice.
    ///
    /// # Panics
    /// There is no PostgreSQL or no pgherd to run, or the runtime is not to be had.
    #[must_use]
    pub fn on(runtime: &str, lot: &Lot, setup: &Setup) -> Self {
        allow_a_crowd();
        let taken = lot.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut grounds = taken.unwrap_or_else(Grounds::build);
        grounds.prepare(setup);
        let proxy = match Proxy::start(runtime, &grounds, setup) {
            Ok(proxy) => proxy,
            Err(why) => {
                // The servers are good for the next scenario.
                lot.lock().unwrap_or_else(PoisonError::into_inner).push(grounds);
                panic!("{why}");
            }
        };
        Self {
            lot: Arc::clone(lot),
            grounds: Some(grounds),
            proxy,
            wires: BTreeMap::new(),
            conn_count: 0,
            admins: BTreeMap::new(),
            began: Instant::now(),
        }
    }

    /// What pgherd has logged, for a scenario that failed.
    #[must_use]
    pub fn log(&self) -> String {
        self.proxy.log()
    }

    /// The port at which pgherd listens, for clients that bring their own sockets.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.proxy.port()
    }

    /// The file with pgherd's configuration.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.proxy.config_file()
    }

    /// The port at which pgherd serves PCP.
    #[must_use]
    pub fn pcp_port(&self) -> u16 {
        self.proxy.pcp_port()
    }

    fn grounds(&self) -> &Grounds {
        self.grounds.as_ref().expect("put back only when this is dropped")
    }

    fn connect_to(&mut self, port: u16) -> Conn {
        let conn = Conn(self.conn_count);
        self.conn_count += 1;
        self.wires.insert(conn, Wire::open(port));
        conn
    }

    fn wire(&mut self, conn: Conn) -> Option<&mut Wire> {
        self.wires.get_mut(&conn)
    }

    /// Returns the session for [`World::sql`] on a node, a new one if need be.
    fn admin(&mut self, node: usize) -> Result<Client, String> {
        if let Some(admin) = self.admins.remove(&node) {
            if !self.is_gone(&admin) {
                return Ok(admin);
            }
            self.close(admin.conn, End::Orderly);
        }
        let login = Login::app(grounds::ADMIN_APP);
        let admin = Client::new(self.open_direct(node), &login);
        self.send(admin.conn, &login.packet());
        let answer = self.exchange(&admin)?;
        if answer.failed() { Err(answer.trouble()) } else { Ok(admin) }
    }

    /// Waits for an answer; a server that does not answer is no reason to fail.
    fn exchange(&mut self, client: &Client) -> Result<Answer, String> {
        let end = Instant::now() + SQL_LIMIT;
        loop {
            self.pump(client);
            if let Some(answer) = client.take_answer() {
                return Ok(answer);
            }
            if self.is_closed(client.conn) {
                return Ok(client.take_rest());
            }
            if Instant::now() >= end {
                return Err(format!("no answer within {SQL_LIMIT:?}"));
            }
            self.step();
        }
    }

    fn delay_replay(&mut self, node: usize, delay: Duration) {
        let millis = delay.as_millis();
        let set = format!("alter system set recovery_min_apply_delay = '{millis}ms'");
        for sql in [&set, "select pg_reload_conf()"] {
            self.sql(node, sql).expect("the standby is well");
        }
    }

    fn pause_replay(&mut self, node: usize) {
        self.sql(node, "select pg_wal_replay_pause()").expect("the standby is well");
        // Asking for a pause is not having one. Before PostgreSQL 14 one cannot know.
        let state = "select pg_get_wal_replay_pause_state()";
        if self.sql(node, state).is_ok() {
            self.wait_truth(node, state, "paused");
        }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.wires.clear();
        self.proxy.end();
        self.lot.lock().unwrap_or_else(PoisonError::into_inner).extend(self.grounds.take());
    }
}

impl World for Real {
    fn open(&mut self) -> Conn {
        self.connect_to(self.proxy.port())
    }

    fn open_admin(&mut self) -> Conn {
        self.connect_to(self.proxy.pcp_port())
    }

    fn open_direct(&mut self, node: usize) -> Conn {
        let port = self.grounds().port(node);
        self.connect_to(port)
    }

    fn send(&mut self, conn: Conn, bytes: &[u8]) {
        if let Some(wire) = self.wire(conn) {
            wire.send(bytes);
        }
    }

    fn take(&mut self, conn: Conn) -> Vec<u8> {
        self.wire(conn).map(Wire::take).unwrap_or_default()
    }

    fn is_closed(&mut self, conn: Conn) -> bool {
        self.wire(conn).is_none_or(|wire| wire.is_closed())
    }

    fn unsent(&mut self, conn: Conn) -> usize {
        self.wire(conn).map_or(0, |wire| wire.unsent())
    }

    fn close(&mut self, conn: Conn, how: End) {
        match how {
            End::Reset => {
                if let Some(wire) = self.wires.remove(&conn) {
                    wire.reset();
                }
            }
            End::Orderly => {
                if let Some(wire) = self.wire(conn) {
                    wire.close();
                }
            }
        }
    }

    fn stop_reading(&mut self, conn: Conn) {
        if let Some(wire) = self.wire(conn) {
            wire.stop_reading();
        }
    }

    fn resume_reading(&mut self, conn: Conn) {
        if let Some(wire) = self.wire(conn) {
            wire.resume_reading();
        }
    }

    fn step(&mut self) {
        let watched: Vec<(Conn, PollFlags)> = self
            .wires
            .iter()
            .map(|(conn, wire)| (*conn, wire.interest()))
            .filter(|(_, flags)| !flags.is_empty())
            .collect();
        let mut fds: Vec<PollFd<'_>> = watched
            .iter()
            .filter_map(|(conn, flags)| {
                let stream = self.wires.get(conn)?.stream()?;
                Some(PollFd::new(stream, *flags))
            })
            .collect();
        let span = Timespec { tv_sec: 0, tv_nsec: STEP_NANOSECONDS };
        // Interrupted or not, whoever waits looks again.
        let count = poll(&mut fds, Some(&span)).unwrap_or(0);
        if count == 0 {
            return;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        for ((conn, _), ready) in watched.iter().zip(ready) {
            if ready && let Some(wire) = self.wires.get_mut(conn) {
                wire.progress();
            }
        }
        self.wires.retain(|_, wire| !wire.is_done());
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn befall(&mut self, node: usize, fate: Fate) {
        match fate {
            Fate::PauseReplay => self.pause_replay(node),
            Fate::ResumeReplay => {
                self.sql(node, "select pg_wal_replay_resume()").expect("the standby is well");
            }
            Fate::DelayReplay(delay) => self.delay_replay(node, delay),
            Fate::TerminateSessions => {
                self.sql(node, grounds::TERMINATE).expect("the server is well");
            }
            Fate::Scripts(scripts) => {
                // A server that does not have it does not start it twice, either.
                self.sql(node, "create extension if not exists pgpool_recovery").unwrap_or_else(
                    |said| panic!("node {node}: {said}; install postgresql-<version>-pgpool2"),
                );
                self.grounds().write_scripts(node, scripts);
            }
            Fate::TurnAway | Fate::Admit => {
                let limit = if fate == Fate::Admit { -1 } else { 0 };
                let role = grounds::CHECK_USER;
                self.sql(node, &format!("alter role {role} connection limit {limit}"))
                    .expect("the primary is well");
            }
            Fate::Crash
            | Fate::Stop
            | Fate::Start
            | Fate::Freeze
            | Fate::Thaw
            | Fate::Rejoin(_) => {
                self.grounds().befall(node, fate);
            }
        }
    }

    fn signal(&mut self, signal: Signal) {
        self.proxy.signal(match signal {
            Signal::Reload => ProcessSignal::HUP,
            Signal::Smart => ProcessSignal::TERM,
            Signal::Fast => ProcessSignal::INT,
            Signal::Immediate => ProcessSignal::QUIT,
        });
    }

    fn configure(&mut self, setup: &Setup) {
        let grounds = self.grounds.as_ref().expect("put back only when this is dropped");
        self.proxy.configure(grounds, setup);
    }

    fn restart(&mut self) {
        self.signal(Signal::Fast);
        self.wait("pgherd ends", LIMIT, |w| w.exit_code().is_some());
        self.proxy.start_again().unwrap_or_else(|why| panic!("{why}"));
    }

    fn kill(&mut self) {
        self.proxy.end();
        self.proxy.start_again().unwrap_or_else(|why| panic!("{why}"));
    }

    fn suspend(&mut self, duration: Duration) {
        self.proxy.signal(ProcessSignal::STOP);
        self.never("pgherd ends", duration, |w| w.exit_code().is_some());
        self.proxy.signal(ProcessSignal::CONT);
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.proxy.exit_code()
    }

    fn memory(&mut self) -> usize {
        self.proxy.memory()
    }

    fn server_connections(&mut self, node: usize) -> usize {
        let rows = self.sql(node, grounds::CLIENT_PORTS).expect("the server answers");
        let open = sockets::established();
        let is_open =
            |row: &&Vec<String>| row.concat().parse().is_ok_and(|port: u16| open.contains(&port));
        rows.iter().filter(is_open).count()
    }

    fn sql(&mut self, node: usize, sql: &str) -> Result<Vec<Vec<String>>, String> {
        let admin = self.admin(node)?;
        self.query_start(&admin, sql);
        let answer = self.exchange(&admin)?;
        self.admins.insert(node, admin);
        if answer.failed() { Err(answer.trouble()) } else { Ok(answer.rows()) }
    }

    fn commands(&mut self) -> Vec<String> {
        self.proxy.commands()
    }

    fn said(&mut self) -> Option<String> {
        Some(self.log())
    }

    fn scale(&self) -> Scale {
        Scale::REAL
    }
}

/// Raises the limit of open files of this process, whose clients are thousands.
fn allow_a_crowd() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("up to its maximum a process may raise it");
}

/// How long a step lasts in which nothing happens.
const STEP_NANOSECONDS: i64 = 2_000_000;

/// How long a server may take over what [`World::sql`] asks.
const SQL_LIMIT: Duration = Duration::from_secs(30);
