//! A process: its machines, the threads that run them, and the operator's hand on them.

use std::sync::Arc;
use std::thread::JoinHandle;

use pgherd_core::config::Config;
use pgherd_core::entropy::Entropy;
use pgherd_core::id::ShardId;
use pgherd_core::message::{Message, Peer, Shutdown};
use pgherd_core::time::WallClock;

use crate::descriptors;
use crate::driver::Setting;
use crate::listener::{self, Listener};
use crate::mailbox::{Mailbox, Post};
use crate::poller::Poller;
use crate::trouble::StartError;
use crate::worker::{Role, Worker};

/// What a process is started with.
pub struct Options {
    /// The configuration; `worker_threads` must be resolved to a number above zero.
    pub config: Arc<Config>,
    /// Wall-clock time.
    pub clock: WallClock,
    /// 32 bytes from the operating system.
    pub seed: [u8; 32],
}

/// The operator's hand on a running process.
#[derive(Debug)]
pub struct Operator {
    post: Post,
    threads: Vec<JoinHandle<()>>,
}

/// A hand on a running process that does not wait for it.
#[derive(Clone, Debug)]
pub struct Remote {
    post: Post,
}

impl Remote {
    /// Hands out a new configuration.
    pub fn reload(&self, config: Arc<Config>) {
        self.post.announce(&Message::Reload(config));
    }

    /// Stops the process.
    pub fn shut_down(&self, how: Shutdown) {
        self.post.announce(&Message::Shutdown(how));
    }
}

impl Operator {
    /// Makes a further hand on the process.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote { post: self.post.clone() }
    }

    /// Stops the process.
    pub fn shut_down(&self, how: Shutdown) {
        self.remote().shut_down(how);
    }

    /// Waits for the process to end; whether no thread panicked.
    #[must_use]
    pub fn join(self) -> bool {
        let ends: Vec<bool> = self.threads.into_iter().map(|t| t.join().is_ok()).collect();
        ends.into_iter().all(|ended| ended)
    }
}

/// Makes the machines of a process, which listens from now on, for the caller to run.
///
/// Every [`Worker`] must be run, by `run` on a thread of its own or as a future by `serve`.
///
/// # Errors
/// An address cannot be listened on, or the system lacks what a machine waits with.
pub fn prepare(options: Options) -> Result<(Remote, Vec<Worker>), StartError> {
    let Options { config, clock, seed } = options;
    descriptors::raise(&config);
    let listeners = listener::open(&config)?;
    let count = config.worker_threads.max(1);
    let (post, control_box, shard_boxes) = Post::new(count).map_err(StartError::Poller)?;
    let start = std::time::Instant::now();
    let mut entropy = Entropy::from_seed(seed);
    let setting = |me, mailbox: Mailbox, listeners: Vec<Listener>| {
        let poller = Poller::new().map_err(StartError::Poller)?;
        let (config, post) = (config.clone(), post.clone());
        let setting = Setting { me, start, config, poller, listeners, mailbox, post };
        setting.watch().map_err(StartError::Poller)
    };
    let mut workers = Vec::with_capacity(count + 1);
    for (number, mailbox) in (0u16..).zip(shard_boxes) {
        let id = ShardId(number);
        let setting = setting(Peer::Shard(id), mailbox, Vec::new())?;
        workers.push(Worker::new(Role::Shard(id), clock, entropy.split(), setting));
    }
    let setting = setting(Peer::Control, control_box, listeners)?;
    workers.push(Worker::new(Role::Control, clock, entropy.split(), setting));
    Ok((Remote { post }, workers))
}

/// Starts a process: listens, and starts a thread a shard and one for the control plane.
///
/// # Errors
/// An address cannot be listened on, or a thread cannot be started.
pub fn start(options: Options) -> Result<Operator, StartError> {
    let (Remote { post }, workers) = prepare(options)?;
    let mut threads = Vec::with_capacity(workers.len());
    for worker in workers {
        let thread = std::thread::Builder::new().name(worker.name());
        threads.push(thread.spawn(|| worker.run()).map_err(StartError::Thread)?);
    }
    Ok(Operator { post, threads })
}
