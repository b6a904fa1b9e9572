//! A process: its machines and the threads that run them.

use std::sync::mpsc::channel;

use pgherd_core::entropy::Entropy;
use pgherd_core::id::ShardId;
use pgherd_core::message::{Peer, Shutdown};
use pgherd_host::mailbox::Post;
use pgherd_host::process::{Operator, Options, Remote};
use pgherd_host::trouble::StartError;
use pgherd_host::{descriptors, door};

use crate::driver::Setting;
use crate::ring;
use crate::worker::{Role, Worker};

/// Starts a process: listens, and starts a thread a shard and one for the control plane.
///
/// # Errors
/// The host has no io_uring or too little locked memory, an address cannot be listened on, or a
/// thread cannot be started.
pub fn start(options: Options) -> Result<Operator, StartError> {
    ring::check()?;
    let Options { config, clock, seed } = options;
    descriptors::raise(&config);
    let spots = door::spots(&config)?;
    let count = config.worker_threads.max(1);
    let (post, control_box, shard_boxes) = Post::new(count).map_err(StartError::Poller)?;
    let start = std::time::Instant::now();
    let mut entropy = Entropy::from_seed(seed);
    let setting = |me| Setting { me, start, config: config.clone(), post: post.clone() };
    let mut workers = Vec::with_capacity(count + 1);
    for (number, mailbox) in (0u16..).zip(shard_boxes) {
        let id = ShardId(number);
        workers.push(Worker {
            role: Role::Shard(id),
            cpu: None,
            clock,
            entropy: entropy.split(),
            spots: Vec::new(),
            mailbox,
            setting: setting(Peer::Shard(id)),
        });
    }
    workers.push(Worker {
        role: Role::Control,
        cpu: None,
        clock,
        entropy: entropy.split(),
        spots,
        mailbox: control_box,
        setting: setting(Peer::Control),
    });
    launch(workers, Remote::new(post))
}

/// Starts the threads, and waits until each has what it needs.
fn launch(workers: Vec<Worker>, remote: Remote) -> Result<Operator, StartError> {
    let (report, reports) = channel();
    let mut threads = Vec::with_capacity(workers.len());
    let mut outcome = Ok(());
    for worker in workers {
        let report = report.clone();
        let started = move |result| {
            // Nobody listens any more if another has failed before.
            let _ = report.send(result);
        };
        let thread = std::thread::Builder::new().name(worker.name());
        match thread.spawn(|| worker.run(started)) {
            Ok(thread) => threads.push(thread),
            Err(error) => outcome = outcome.and(Err(StartError::Thread(error))),
        }
    }
    drop(report);
    outcome = reports.iter().fold(outcome, Result::and);
    let operator = Operator::new(remote, threads);
    if let Err(error) = outcome {
        operator.shut_down(Shutdown::Immediate);
        let _ = operator.join();
        return Err(error);
    }
    Ok(operator)
}
