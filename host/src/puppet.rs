//! What the tests of a driver drive: a machine that does as it is told, and processes that have no
//! servers.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Waker;

use pgherd_core::config::KeyFile;
use pgherd_core::config::{Config, Files, load};
use pgherd_core::id::{ConnId, ShardId, Slab};
use pgherd_core::machine::Machine;
use pgherd_core::memory::Memory;
use pgherd_core::message::{Arrival, Closed, Message, Peer, Shutdown};
use pgherd_core::output::{Output, Outputs};
use pgherd_core::time::{Duration, Instant, WallClock};

use crate::process::Operator;
use crate::trouble::StartError;
use crate::worker::Options;

/// Longer than anything in a test takes. Whoever waits so long waits for something that was lost.
pub const LONG: Duration = Duration::from_secs(20);

/// What a puppet has been told.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// What came of an attempt to connect.
    Connected(ConnId, Result<(), Closed>),
    /// All that is unread.
    Read(ConnId, Vec<u8>),
    /// How many bytes have left.
    Sent(ConnId, usize),
    /// That a connection is no more.
    Closed(ConnId, Closed),
    /// A message.
    Message,
    /// That it is time.
    Timeout,
}

/// What a puppet does with clients and with bytes.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// Takes bytes, and drops them.
    Take,
    /// Looks at bytes, and leaves them where they are.
    Leave,
    /// Does not want to read.
    Refuse,
    /// Passes bytes on.
    Forward(ConnId),
    /// Moves clients on as they come.
    Move(ShardId),
}

/// A machine that does as it is told, and remembers what it heard.
#[derive(Debug)]
pub struct Puppet {
    /// Its connections.
    pub names: Slab<()>,
    /// What it will ask for.
    pub outputs: Outputs,
    /// What it has heard, the latest last.
    pub heard: Vec<Heard>,
    /// What it does by itself.
    pub manner: Manner,
    /// When it wants to hear the time.
    pub due: Option<Instant>,
    /// Whether it has finished.
    pub is_finished: bool,
    /// Woken whenever it is told something.
    pub waker: Option<Waker>,
}

impl Default for Puppet {
    fn default() -> Self {
        Self {
            names: Slab::new(),
            outputs: Outputs::default(),
            heard: Vec::new(),
            manner: Manner::Take,
            due: None,
            is_finished: false,
            waker: None,
        }
    }
}

impl Puppet {
    /// Forgets what it has heard, and tells.
    pub fn heard(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }

    /// How many bytes it has been shown of a connection.
    #[must_use]
    pub fn read_len(&self, conn: ConnId) -> usize {
        let mut len = 0;
        for heard in &self.heard {
            if let Heard::Read(id, bytes) = heard
                && *id == conn
            {
                len += bytes.len();
            }
        }
        len
    }

    /// How many bytes it has been told to have left by a connection.
    #[must_use]
    pub fn sent_len(&self, conn: ConnId) -> usize {
        let mut sum = 0;
        for heard in &self.heard {
            if let Heard::Sent(id, len) = heard
                && *id == conn
            {
                sum += len;
            }
        }
        sum
    }

    fn hear(&mut self, heard: Heard) {
        self.heard.push(heard);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Whether some connection is no more.
#[must_use]
pub fn is_closed(heard: &[Heard]) -> bool {
    heard.iter().any(|heard| matches!(heard, Heard::Closed(..)))
}

impl Machine for Puppet {
    fn handle_accept(&mut self, _: Instant, arrival: Arrival) -> ConnId {
        let conn = self.names.insert(());
        if let Manner::Move(to) = self.manner {
            self.outputs.push(Output::Move { conn, to, arrival });
            self.names.remove(conn);
        }
        self.wake();
        conn
    }
    fn handle_connect(&mut self, _: Instant, conn: ConnId, result: Result<(), Closed>) {
        self.hear(Heard::Connected(conn, result));
    }
    fn handle_read(&mut self, _: Instant, conn: ConnId, unread: &[u8]) {
        self.hear(Heard::Read(conn, unread.to_vec()));
        match self.manner {
            Manner::Take => self.outputs.skip(conn, unread.len()),
            Manner::Forward(to) => self.outputs.forward(conn, to, unread.len()),
            Manner::Leave | Manner::Refuse | Manner::Move(_) => {}
        }
    }
    fn handle_sent(&mut self, _: Instant, conn: ConnId, len: usize) {
        self.hear(Heard::Sent(conn, len));
    }
    fn handle_close(&mut self, _: Instant, conn: ConnId, why: Closed) {
        assert!(self.names.remove(conn).is_some(), "{conn} ends twice");
        self.hear(Heard::Closed(conn, why));
    }
    fn handle_message(&mut self, _: Instant, _: Peer, _: Message) {
        self.hear(Heard::Message);
    }
    fn handle_timeout(&mut self, _: Instant) {
        self.due = None;
        self.hear(Heard::Timeout);
    }
    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
    fn wants_read(&self, _: ConnId) -> bool {
        !matches!(self.manner, Manner::Refuse)
    }
    fn read_hint(&self, _: ConnId) -> usize {
        0
    }
    fn is_accepting(&self) -> bool {
        !self.is_finished
    }
    fn is_finished(&self) -> bool {
        self.is_finished
    }
}

struct OneFile(String);

impl Files for OneFile {
    fn read(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }
    fn exists(&self, _: &str) -> bool {
        true
    }
    fn key_file(&self) -> Option<KeyFile> {
        None
    }
}

/// Reads a configuration, which must be right.
///
/// # Panics
/// It is not.
#[must_use]
pub fn config(text: &str) -> Arc<Config> {
    let text = format!("sr_check_user = \"monitor\"\n{text}");
    Arc::new(load("pgherd.toml", &OneFile(text)).expect("the configuration is right").config)
}

/// The configuration of a machine in front of these servers.
#[must_use]
pub fn in_front_of(hosts: &[(&str, u16)]) -> Arc<Config> {
    let server = |(host, port): &(&str, u16)| {
        format!("[[backends]]\nhostname = \"{host}\"\nport = {port}\n")
    };
    config(&hosts.iter().map(server).collect::<String>())
}

/// A place of a test's own, which is gone when this is dropped.
#[derive(Debug)]
pub struct Place(PathBuf);

impl Place {
    /// Makes a place, by a name that no other test gives it.
    ///
    /// # Panics
    /// It cannot be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("pgherd-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory can be made");
        Self(dir)
    }

    /// Where clients come in.
    #[must_use]
    pub fn door(&self) -> PathBuf {
        self.0.join(".s.PGSQL.5433")
    }

    /// A configuration that listens here, before no server, with more settings.
    #[must_use]
    pub fn config(&self, settings: &str) -> Arc<Config> {
        let dir = self.0.display();
        config(&format!(
            "listen_addresses = []\nport = 5433\nunix_socket_directories = [\"{dir}\"]\n\
             worker_threads = 2\n{settings}\n[[backends]]\nhostname = \"{dir}\"\nport = 5432\n"
        ))
    }

    /// A process of two shards that listens here, with more settings.
    #[must_use]
    pub fn options(&self, settings: &str) -> Options {
        Options {
            config: self.config(settings),
            clock: WallClock::default(),
            seed: [7; 32],
            memory: Memory::default(),
        }
    }

    /// Comes in as a client that waits for an answer, but not for ever.
    ///
    /// # Panics
    /// Nobody listens.
    #[must_use]
    pub fn client(&self) -> UnixStream {
        let client = UnixStream::connect(self.door()).expect("somebody listens");
        client.set_read_timeout(Some(LONG)).expect("a timeout can be set");
        client
    }

    /// Asks for encryption, and ends the conversation.
    ///
    /// # Panics
    /// The answer is not the one of a machine.
    pub fn ask(&self) {
        let mut client = self.client();
        client.write_all(b"\0\0\0\x08\x04\xd2\x16\x2f").expect("somebody listens");
        let mut answer = [0];
        client.read_exact(&mut answer).expect("there is an answer");
        assert_eq!(&answer, b"N");
    }

    /// Has a process live here: it starts, serves clients, ends and leaves nothing behind.
    ///
    /// # Panics
    /// It does not.
    pub fn live(&self, start: fn(Options) -> Result<Operator, StartError>) {
        let operator = start(self.options("")).expect("it starts");
        (0..4).for_each(|_| self.ask());
        operator.shut_down(Shutdown::Immediate);
        assert!(operator.join(), "no thread panics");
        assert!(self.is_empty(), "the socket's file goes with it");
    }

    /// Whether anything is left here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        is_empty(&self.0)
    }
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
