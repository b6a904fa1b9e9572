//! The servers of a lane: made once, repaired before each scenario.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pgherd_herd::{Herd, Mode, Node, Plan};

use super::scripts;
use crate::world::{Fate, Scripts, ServerAuth, Setup};

/// How sessions call themselves that look past pgherd.
pub const ADMIN_APP: &str = "pgherd-scenario";

/// Whom pgherd watches the servers as. No client logs in as this user, which tells the sessions
/// of clients from those of probes.
pub const CHECK_USER: &str = "pgherd_check";

/// That user's password.
pub const CHECK_PASSWORD: &str = "checking";

/// Lists the ports from which clients of a server have come, those of lookers and scenarios left
/// out.
pub const CLIENT_PORTS: &str = "select client_port from pg_stat_activity \
     where backend_type = 'client backend' \
     and usename <> 'pgherd_check' and application_name <> 'pgherd-scenario'";

/// Ends all sessions but that of whoever asks.
pub const TERMINATE: &str = "select pg_terminate_backend(pid, 5000) from pg_stat_activity \
     where backend_type = 'client backend' and pid <> pg_backend_pid()";

/// A primary and two standbys.
#[derive(Debug)]
pub struct Grounds {
    herd: Herd,
    auth: Option<ServerAuth>,
}

impl Grounds {
    /// Makes the servers.
    ///
    /// # Panics
    /// There is no PostgreSQL here, or it does not start; the message says what to do.
    #[must_use]
    pub fn build() -> Self {
        let settings = vec![
            // Copies of the primary are made at the same time, and the checkpoint that begins one
            // must not remove what another has not yet fetched.
            ("wal_keep_size".to_owned(), "256MB".to_owned()),
        ];
        let plan = Plan { standbys: STANDBYS, settings, ..Plan::default() };
        let herd = Herd::build(plan, &mut |_| ()).unwrap_or_else(|trouble| panic!("{trouble}"));
        let grounds = Self { herd, auth: None };
        grounds.psql(
            0,
            &format!(
                "create role {CHECK_USER} login replication; grant pg_monitor to {CHECK_USER}; \
                 grant execute on function pg_promote(boolean, integer) to {CHECK_USER}; \
                 grant execute on function pg_reload_conf() to {CHECK_USER}; \
                 grant alter system on parameter primary_conninfo to {CHECK_USER}; \
                 grant alter system on parameter default_transaction_read_only to {CHECK_USER}; \
                 grant pg_signal_backend to {CHECK_USER}; \
                 create role {NOT_SUPER} nologin"
            ),
        );
        grounds.wait_replicated();
        grounds.herd.keep().unwrap_or_else(|trouble| panic!("{trouble}"));
        grounds
    }

    /// Repairs what the scenario before did, and makes the servers what this one begins with.
    ///
    /// # Panics
    /// That does not succeed.
    pub fn prepare(&mut self, setup: &Setup) {
        assert!(setup.standbys <= STANDBYS, "a herd of {STANDBYS} standbys is enough");
        for node in self.herd.nodes() {
            if node.is_running() {
                // One that was not paused goes on as before.
                node.resume().unwrap_or_else(|trouble| panic!("{trouble}"));
            }
            node.start()
                .and_then(|()| node.wait_ready(START_LIMIT))
                .unwrap_or_else(|trouble| panic!("{trouble}"));
        }
        if !self.is_as_built() {
            self.herd.restore().unwrap_or_else(|trouble| panic!("{trouble}"));
            self.auth = None;
        }
        for node in self.herd.nodes() {
            self.psql(node.id(), TERMINATE);
            if node.id() > 0 {
                self.psql(node.id(), "select pg_wal_replay_resume()");
            }
        }
        self.psql(0, CLEAN);
        if self.auth != Some(setup.server_auth) {
            self.ask_for(setup.server_auth);
        }
        for (name, password) in &setup.users {
            let password = password.replace('\'', "''");
            self.psql(
                0,
                &format!("create role \"{name}\" login in role {NOT_SUPER} password '{password}'"),
            );
        }
        self.wait_replicated();
    }

    /// Whether node 0 is still the primary that it was built as, and all others follow it.
    fn is_as_built(&self) -> bool {
        let timeline = "select timeline_id from pg_control_checkpoint()";
        let slots = "select count(*) from pg_replication_slots where slot_name like 'pgherd%'";
        self.psql(0, slots) == "0"
            && self.psql(0, "select pg_is_in_recovery()") == "f"
            && self.psql(0, timeline) == "1"
            && (1..=STANDBYS).all(|node| {
                let port = self.port(0);
                let follows = format!(
                    "select pg_is_in_recovery() \
                     and current_setting('primary_conninfo') like '%port={port} %' \
                     and current_setting('recovery_min_apply_delay') = '0'"
                );
                self.psql(node, &follows) == "t"
            })
    }

    /// Lets the servers ask clients for something else.
    fn ask_for(&mut self, auth: ServerAuth) {
        let method = match auth {
            ServerAuth::Scram => "scram-sha-256",
            ServerAuth::Md5 => "md5",
            ServerAuth::Password => "password",
            ServerAuth::Trust => "trust",
        };
        // A server that asks for MD5 asks for SCRAM where that is what it has stored.
        let stored = if auth == ServerAuth::Md5 { "md5" } else { "scram-sha-256" };
        let hba = format!(
            "local all all md5\n\
             local replication all md5\n\
             host replication all 127.0.0.1/32 md5\n\
             host all all 127.0.0.1/32 {method}\n"
        );
        for node in self.herd.nodes() {
            let path = node.data_dir().join("pg_hba.conf");
            fs::write(&path, &hba).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            self.psql(node.id(), "select pg_reload_conf()");
        }
        self.psql(
            0,
            &format!(
                "set password_encryption = '{stored}'; \
                 alter role postgres password 'postgres'; \
                 alter role {CHECK_USER} password '{CHECK_PASSWORD}'"
            ),
        );
        self.auth = Some(auth);
    }

    /// Waits until all standbys have replayed everything.
    fn wait_replicated(&self) {
        let lsn = self.psql(0, "select pg_current_wal_lsn()");
        let sql = format!("select pg_last_wal_replay_lsn() >= '{}'::pg_lsn", lsn.trim());
        let end = Instant::now() + START_LIMIT;
        for node in 1..=STANDBYS {
            while self.psql(node, &sql).trim() != "t" {
                assert!(Instant::now() < end, "node {node} does not catch up");
            }
        }
    }

    /// Does something to a server.
    ///
    /// # Panics
    /// It cannot be done.
    pub fn befall(&self, node: usize, fate: Fate) {
        let node = self.node(node);
        let done = match fate {
            Fate::Crash => node.kill(),
            Fate::Stop => node.stop(Mode::Fast),
            Fate::Start => node.start(),
            Fate::Freeze => node.pause(),
            Fate::Thaw => node.resume(),
            Fate::PauseReplay
            | Fate::ResumeReplay
            | Fate::DelayReplay(_)
            | Fate::Scripts(_)
            | Fate::TerminateSessions
            | Fate::TurnAway
            | Fate::Admit => {
                panic!("{fate:?} is done with statements")
            }
            Fate::Rejoin(leader) => self.herd.rejoin(node.id(), leader),
        };
        done.unwrap_or_else(|trouble| panic!("{trouble}"));
    }

    /// The program with which scripts ask servers.
    pub fn psql_path(&self) -> PathBuf {
        self.herd.binaries().program("psql")
    }

    /// Writes the scripts of recoveries into a server's data directory.
    ///
    /// # Panics
    /// They cannot be written.
    pub fn write_scripts(&self, node: usize, scripts: Scripts) {
        scripts::write(self.node(node).data_dir(), scripts);
    }

    /// The data directory of a server.
    #[must_use]
    pub fn data_dir(&self, node: usize) -> &Path {
        self.node(node).data_dir()
    }

    /// The port of a server.
    #[must_use]
    pub fn port(&self, node: usize) -> u16 {
        self.node(node).port()
    }

    fn node(&self, node: usize) -> &Node {
        self.herd.node(node).unwrap_or_else(|trouble| panic!("{trouble}"))
    }

    fn psql(&self, node: usize, sql: &str) -> String {
        self.herd.psql(node, sql).unwrap_or_else(|trouble| panic!("{trouble}: {sql}"))
    }
}

/// Standbys of a lane's herd.
const STANDBYS: usize = 2;

/// The role that marks users which a scenario asked for.
const NOT_SUPER: &str = "scenario_user";

/// Removes whatever scenarios made.
const CLEAN: &str = "alter role pgherd_check connection limit -1; drop schema public cascade; create schema public; \
     grant all on schema public to public; \
     do $$ declare name text; begin \
       for name in select rolname from pg_roles \
         where rolname not like 'pg\\_%' and pg_has_role(oid, 'scenario_user', 'member') \
         and not rolsuper and rolname <> 'scenario_user' \
       loop execute format('drop role %I', name); end loop; \
       for name in select amname from pg_am where oid >= 16384 \
       loop execute format('drop access method %I', name); end loop; \
     end $$";

/// How long a server may take to be ready again, or to catch up.
const START_LIMIT: Duration = Duration::from_secs(60);
