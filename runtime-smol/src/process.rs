//! A process: its machines and the threads that run them.

use pgherd_core::entropy::Entropy;
use pgherd_core::id::ShardId;
use pgherd_core::message::Peer;
use pgherd_host::affinity::Cores;
use pgherd_host::descriptors;
use pgherd_host::mailbox::{Mailbox, Post};
use pgherd_host::process::{self, Operator, Options, Remote, Started};
use pgherd_host::trouble::StartError;

use crate::driver::Setting;
use crate::listener::{self, Listener};
use crate::poller::Poller;
use crate::socket::Socket;
use crate::worker::{Role, Worker};

/// Makes the machines of a process, which listens from now on, for the caller to run.
///
/// Every [`Worker`] must be run, by `run` on a thread of its own or as a future by `serve`, on the
/// cores that the caller chooses.
///
/// # Errors
/// An address cannot be listened on, or the system lacks what a machine waits with.
pub fn prepare(options: Options) -> Result<(Remote, Vec<Worker>), StartError> {
    let (post, workers) = assemble(options)?;
    Ok((Remote::new(post), workers))
}

fn assemble(options: Options) -> Result<(Post<Socket>, Vec<Worker>), StartError> {
    let Options { config, clock, seed } = options;
    descriptors::raise(&config);
    let listeners = listener::open(&config)?;
    let count = config.worker_threads.max(1);
    let (post, control_box, shard_boxes) = Post::new(count).map_err(StartError::Poller)?;
    let start = std::time::Instant::now();
    let mut entropy = Entropy::from_seed(seed);
    let setting = |me, mailbox: Mailbox<Socket>, listeners: Vec<Listener>| {
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
    Ok((post, workers))
}

/// Starts a process: listens, and starts a thread a shard and one for the control plane.
///
/// # Errors
/// An address cannot be listened on, a core of `cpu_affinity` is not there, or a thread cannot be
/// started.
pub fn start(options: Options) -> Result<Operator, StartError> {
    let cores = Cores::find(&options.config)?;
    let (post, workers) = assemble(options)?;
    let machines = workers.into_iter().map(|worker| {
        let me = worker.me();
        let run = |started: Started| {
            started.tell(Ok(()));
            worker.run();
        };
        (me, run)
    });
    process::launch(machines.collect(), &cores, &post)
}
