//! A process of machines on threads, and the operator's hand on it.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

use pgherd_core::config::Config;
use pgherd_core::id::ShardId;
use pgherd_core::message::{Message, Peer, Shutdown};

use crate::affinity::Cores;
use crate::alarm::announce_end;
use crate::mailbox::{Post, Servant};
use crate::trouble::StartError;
use crate::worker::{Options, Worker, assemble};

/// Starts a process: listens, and starts a thread for each machine, on which `run` runs it.
///
/// # Errors
/// An address cannot be listened on, a core of `cpu_affinity` is not there, a thread cannot be
/// started, or a machine does not have what it needs.
pub fn start(options: Options, run: fn(Worker, Started)) -> Result<Operator, StartError> {
    let cores = Cores::find(&options.config)?;
    let (post, workers) = assemble(options)?;
    let machines = workers.into_iter().map(|worker| {
        let me = worker.me();
        (me, move |started: Started| run(worker, started))
    });
    launch(machines.collect(), &cores, &post)
}

/// Starts a thread for each of these machines, on its cores, and waits until each has what it needs.
///
/// # Errors
/// A thread cannot be started or bound, or a machine does not have what it needs. All have ended.
fn launch<F>(machines: Vec<(Peer, F)>, cores: &Cores, post: &Post) -> Result<Operator, StartError>
where
    F: FnOnce(Started) + Send + 'static,
{
    let (reports, reported) = channel();
    let count = machines.len();
    let mut threads = Vec::with_capacity(count);
    for (me, run) in machines {
        let started = Started { me, reports: reports.clone() };
        let seat = cores.of(me);
        let thread = Builder::new().name(name(me)).spawn(move || match seat.bind() {
            Ok(()) => run(started),
            Err(error) => started.tell(Err(error)),
        });
        match thread {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                Started { me, reports: reports.clone() }.tell(Err(StartError::Thread(error)))
            }
        }
    }
    drop(reports);
    let mut outcome = Ok(());
    let mut heard = 0;
    for (me, result) in reported {
        heard += 1;
        if result.is_err() {
            // The control plane waits for every shard, and of this one nobody else will tell.
            announce_end(me, post);
        }
        outcome = outcome.and(result);
    }
    if heard < count {
        outcome = outcome.and(Err(StartError::Silent));
    }
    let operator = Operator::new(Remote::new(post.clone()), threads);
    if let Err(error) = outcome {
        operator.shut_down(Shutdown::Immediate);
        let _ = operator.join();
        return Err(error);
    }
    Ok(operator)
}

/// What the thread of a machine is called.
fn name(machine: Peer) -> String {
    match machine {
        Peer::Shard(ShardId(number)) => format!("shard-{number}"),
        Peer::Control => "control".to_owned(),
        Peer::Operator => "operator".to_owned(),
    }
}

/// Where a machine says whether it has what it needs.
#[derive(Debug)]
pub struct Started {
    me: Peer,
    reports: Sender<(Peer, Result<(), StartError>)>,
}

impl Started {
    /// Says so. A machine that has not all that it needs ends.
    pub fn tell(self, result: Result<(), StartError>) {
        // Whoever started it listens until all have said so.
        let _ = self.reports.send((self.me, result));
    }
}

/// The operator's hand on a running process.
#[derive(Debug)]
pub struct Operator {
    remote: Remote,
    threads: Vec<JoinHandle<()>>,
}

/// A hand on a running process that does not wait for it.
#[derive(Clone, Debug)]
pub struct Remote {
    post: Post,
}

impl Remote {
    /// Makes a hand on the machines that have these mailboxes.
    #[must_use]
    pub const fn new(post: Post) -> Self {
        Self { post }
    }

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
    /// Makes the operator of machines that run on these threads.
    #[must_use]
    pub fn new(remote: Remote, threads: Vec<JoinHandle<()>>) -> Self {
        Self { remote, threads }
    }

    /// Makes a further hand on the process.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Stops the process.
    pub fn shut_down(&self, how: Shutdown) {
        self.remote.shut_down(how);
    }

    /// Says what fulfils the machines' wishes. It is called on their threads, so it must not wait.
    pub fn heed(&self, servant: Servant) {
        self.remote.post.heed(servant);
    }

    /// Waits for the process to end; whether no thread panicked.
    #[must_use]
    pub fn join(self) -> bool {
        let ends: Vec<bool> = self.threads.into_iter().map(|t| t.join().is_ok()).collect();
        ends.into_iter().all(|ended| ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::Mail;

    #[test]
    fn threads_that_have_what_they_need_run() {
        let (post, _control, _shards) = Post::new(1).unwrap();
        let machine = |started: Started| started.tell(Ok(()));
        let machines = vec![(Peer::Shard(ShardId(0)), machine), (Peer::Control, machine)];
        assert!(launch(machines, &Cores::default(), &post).unwrap().join());
    }

    #[test]
    fn a_thread_that_says_nothing_did_not_start() {
        let (post, _control, _shards) = Post::new(1).unwrap();
        let machine = |is_well: bool| {
            move |started: Started| match is_well {
                true => started.tell(Ok(())),
                false => drop(started),
            }
        };
        let machines =
            vec![(Peer::Shard(ShardId(0)), machine(false)), (Peer::Control, machine(true))];
        let refused = launch(machines, &Cores::default(), &post).unwrap_err();
        assert!(matches!(refused, StartError::Silent), "{refused}");
    }

    /// Otherwise the control plane would wait for a shard that never was.
    #[test]
    fn a_thread_that_lacks_something_ends_the_others() {
        let (post, control, shards) = Post::new(2).unwrap();
        let mut boxes = shards.into_iter();
        let (mine, other) = (boxes.next(), boxes.next());
        let machine = |mailbox: Option<crate::mailbox::Mailbox>, is_well: bool| {
            move |started: Started| {
                if !is_well {
                    return started.tell(Err(StartError::Nowhere));
                }
                started.tell(Ok(()));
                let mailbox = mailbox.unwrap();
                let is_end = |mail: Mail| match mail {
                    Mail::Message { message, .. } => matches!(*message, Message::Shutdown(_)),
                    Mail::Moved { .. } | Mail::Resolved { .. } => false,
                };
                while !mailbox.take().is_some_and(is_end) {
                    std::thread::yield_now();
                }
            }
        };
        let machines = vec![
            (Peer::Shard(ShardId(0)), machine(mine, true)),
            (Peer::Shard(ShardId(1)), machine(other, false)),
        ];
        let refused = launch(machines, &Cores::default(), &post).unwrap_err();
        assert!(matches!(refused, StartError::Nowhere), "{refused}");
        let Some(Mail::Message { from, message }) = control.take() else {
            panic!("the control plane waits");
        };
        assert_eq!(from, Peer::Shard(ShardId(1)));
        assert!(matches!(*message, Message::Drained), "{message:?}");
    }
}
