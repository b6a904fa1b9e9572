//! What a scenario may do and see, whichever world it is played in.
//!
//! A scenario knows no driver: it opens connections, sends bytes, looks at what came, and does to
//! servers what befalls them in service. Everything else is built on these few primitives.

use std::time::Duration;

/// A world: pgherd in front of a herd of servers, simulated or real.
pub trait World {
    /// Opens a connection to pgherd. It may still be refused; see [`World::is_closed`].
    fn open(&mut self) -> Conn;
    /// Opens a connection to pgherd's port for administrators, where PCP is spoken. Its one user is
    /// [`ADMIN`], with that password.
    fn open_admin(&mut self) -> Conn;
    /// Opens a connection to a server, past pgherd, to see what is true there.
    fn open_direct(&mut self, node: usize) -> Conn;
    /// Queues bytes for sending; the world sends them as the peer accepts them.
    fn send(&mut self, conn: Conn, bytes: &[u8]);
    /// Takes what has come since the last call.
    fn take(&mut self, conn: Conn) -> Vec<u8>;
    /// Tells whether the other side has closed the connection and everything that it sent before
    /// has been taken.
    fn is_closed(&mut self, conn: Conn) -> bool;
    /// How many of the queued bytes have not yet left.
    fn unsent(&mut self, conn: Conn) -> usize;
    /// Ends a connection.
    fn close(&mut self, conn: Conn, how: End);
    /// From now on nothing is read from the connection, so that the peer's buffers fill up.
    fn stop_reading(&mut self, conn: Conn);
    /// Reads again.
    fn resume_reading(&mut self, conn: Conn);

    /// Lets a little happen: the next event of a simulation, or a few milliseconds. Time moves on
    /// even where nothing else happens, so that whoever waits for something waits no longer than
    /// its limit.
    fn step(&mut self);
    /// Time since the world began, on the clock that its machines see.
    fn now(&self) -> Duration;

    /// Does something to a server.
    fn befall(&mut self, node: usize, fate: Fate);
    /// Sends a signal to pgherd.
    fn signal(&mut self, signal: Signal);
    /// Replaces pgherd's configuration; takes effect with [`Signal::Reload`].
    fn configure(&mut self, setup: &Setup);
    /// Stops pgherd fast and starts it again, with its files; its clients are gone.
    fn restart(&mut self);
    /// Kills pgherd, which can do nothing about it, and starts it again.
    fn kill(&mut self);
    /// Stops pgherd for so long, with its connections open and its clock running, as when its host
    /// is suspended. Nothing else stops.
    fn suspend(&mut self, duration: Duration);
    /// Tells whether pgherd has ended, and with which exit code.
    fn exit_code(&mut self) -> Option<i32>;
    /// Bytes that pgherd holds for its connections: its buffers in simulation, its resident set in
    /// reality.
    fn memory(&mut self) -> usize;
    /// Server connections that are open from pgherd to a node for clients (probes not counted).
    fn server_connections(&mut self, node: usize) -> usize;
    /// Runs a statement on a server, past pgherd, and returns its rows; for setting up and for
    /// seeing what is true.
    fn sql(&mut self, node: usize, sql: &str) -> Result<Vec<Vec<String>>, String>;
    /// The commands that pgherd has had run, the first one first, without the directory that
    /// `{commands}` stands for in a setting.
    fn commands(&mut self) -> Vec<String>;
    /// What pgherd has logged, where it writes a log.
    fn said(&mut self) -> Option<String> {
        None
    }
    /// How large things are here.
    fn scale(&self) -> Scale {
        Scale::SIMULATED
    }
}

/// Who may administer pgherd in every world, and the password.
pub const ADMIN: &str = "pcpadmin";

/// The `pcp.conf` of every world.
pub const PCP_CONF: &str = "pcpadmin:3090be164580c74a25efe7abdf542eb2\n";

/// How large a world's large things are: reality can afford more of them than a simulation that
/// is played with many seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// What passes where a scenario speaks of bulk, in bytes.
    pub bulk_len: usize,
    /// How much more pgherd may hold while it passes, in bytes. Far less than `bulk_len`.
    pub growth_len_max: usize,
    /// How many clients come where a scenario speaks of a crowd.
    pub crowd: usize,
}

impl Scale {
    /// The scale of a simulation.
    pub const SIMULATED: Self =
        Self { bulk_len: 8 * MEBIBYTE, growth_len_max: 2 * MEBIBYTE, crowd: 100 };

    /// The scale of reality, where what is measured is the whole process.
    pub const REAL: Self =
        Self { bulk_len: 1024 * MEBIBYTE, growth_len_max: 32 * MEBIBYTE, crowd: 2000 };
}

const MEBIBYTE: usize = 1 << 20;

/// A connection that a scenario opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conn(pub usize);

/// How a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Closed in order, after everything queued has been sent.
    Orderly,
    /// Reset at once, as when a client's machine dies.
    Reset,
}

/// What befalls a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It dies at once, its connections with it.
    Crash,
    /// It is stopped by its operator, fast: its sessions are told (57P01).
    Stop,
    /// It is started again.
    Start,
    /// It stops answering, with its connections open.
    Freeze,
    /// It answers again.
    Thaw,
    /// A standby receives WAL but does not replay it.
    PauseReplay,
    /// It replays again.
    ResumeReplay,
    /// A standby replays each commit only so long after it was made; zero ends that.
    DelayReplay(Duration),
    /// All its client sessions are terminated by an administrator, one by one (57P01).
    TerminateSessions,
    /// It is made a standby of another node, with that one's data, and started.
    Rejoin(usize),
    /// Its operator installs Pgpool-II's extension for recoveries, with scripts that do this.
    Scripts(Scripts),
    /// It has no more room for whoever looks at it, and perhaps for others (53300).
    TurnAway,
    /// It has room again.
    Admit,
}

/// What becomes of the scripts that make a standby of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    /// There is no extension.
    None,
    /// They copy their server, and start the copy as a standby.
    Work,
    /// The first one fails, and the node's server has been stopped for it.
    CopyFails,
    /// The first one takes long, and fails then.
    CopyHangs,
    /// The second one fails.
    StartFails,
    /// The second one says that the node is started, and it is not.
    StartLies,
    /// The node is started as a server of its own.
    StartsAlone,
}

/// A signal to pgherd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGHUP`: read the configuration again.
    Reload,
    /// `SIGTERM`.
    Smart,
    /// `SIGINT`.
    Fast,
    /// `SIGQUIT`.
    Immediate,
}

/// What a world begins with, and what [`World::configure`] may change.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Standbys beside the primary, which is node 0.
    pub standbys: usize,
    /// Weights of the nodes for reads, by number; missing ones are 1.
    pub weights: Vec<f64>,
    /// Further lines for `pgherd.toml`, in front of its tables. `{commands}` is where there are
    /// commands to be run: those of `pgherd_sim::COMMANDS`, in every world.
    pub settings: Vec<String>,
    /// Further lines for the tables of nodes.
    pub of_nodes: Vec<(usize, String)>,
    /// What the servers ask of clients.
    pub server_auth: ServerAuth,
    /// Further users beside `postgres` with password `postgres`: name, password.
    pub users: Vec<(String, String)>,
}

/// What the servers ask of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerAuth {
    /// `scram-sha-256`.
    #[default]
    Scram,
    /// `md5`.
    Md5,
    /// `password`.
    Password,
    /// `trust`.
    Trust,
}

impl Setup {
    /// Default servers with these weights.
    #[must_use]
    pub fn weights(weights: &[f64]) -> Self {
        Self { weights: weights.to_vec(), ..Self::default() }
    }

    /// The same with one more line for `pgherd.toml`, in place of an earlier one about the same.
    #[must_use]
    pub fn set(mut self, line: &str) -> Self {
        let name = |line: &str| line.split('=').next().map(|name| name.trim().to_owned());
        self.settings.retain(|earlier| name(earlier) != name(line));
        self.settings.push(line.to_owned());
        self
    }

    /// The same with one more line about a node.
    #[must_use]
    pub fn of_node(mut self, node: usize, line: &str) -> Self {
        self.of_nodes.push((node, line.to_owned()));
        self
    }

    /// The lines about a node, each with a line's end before it.
    #[must_use]
    pub fn lines_of(&self, node: usize) -> String {
        let own = self.of_nodes.iter().filter(|(of, _)| *of == node);
        own.map(|(_, line)| format!("\n{line}")).collect()
    }

    /// The same with one more user.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// The same with servers that ask for this.
    #[must_use]
    pub fn auth(mut self, server_auth: ServerAuth) -> Self {
        self.server_auth = server_auth;
        self
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            standbys: 2,
            weights: Vec::new(),
            settings: Vec::new(),
            of_nodes: Vec::new(),
            server_auth: ServerAuth::Scram,
            users: Vec::new(),
        }
    }
}
