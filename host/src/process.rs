//! A process of machines on threads, and the operator's hand on it.

use std::sync::Arc;
use std::thread::JoinHandle;

use pgherd_core::config::Config;
use pgherd_core::message::{Message, Peer, Shutdown};
use pgherd_core::time::WallClock;

use crate::mailbox::{Mail, Post};

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
    remote: Remote,
    threads: Vec<JoinHandle<()>>,
}

/// A hand on a running process that does not wait for it.
#[derive(Clone, Debug)]
pub struct Remote {
    post: Arc<dyn Announce>,
}

/// Mailboxes, whatever else they are for.
trait Announce: std::fmt::Debug + Send + Sync {
    fn announce(&self, message: &Message);
}

impl<S: std::fmt::Debug + Send> Announce for Post<S> {
    fn announce(&self, message: &Message) {
        Self::announce(self, message);
    }
}

impl Remote {
    /// Makes a hand on the machines that have these mailboxes.
    #[must_use]
    pub fn new<S: std::fmt::Debug + Send + 'static>(post: Post<S>) -> Self {
        Self { post: Arc::new(post) }
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

    /// Waits for the process to end; whether no thread panicked.
    #[must_use]
    pub fn join(self) -> bool {
        let ends: Vec<bool> = self.threads.into_iter().map(|t| t.join().is_ok()).collect();
        ends.into_iter().all(|ended| ended)
    }
}

/// Ends the process if its thread panics: a machine that is gone answers nobody, and a process of
/// which a part is gone is worse than none.
#[derive(Debug)]
pub struct PanicAlarm<S> {
    me: Peer,
    post: Post<S>,
}

impl<S> PanicAlarm<S> {
    /// Goes off when the thread that holds it panics.
    #[must_use]
    pub fn new(me: Peer, post: &Post<S>) -> Self {
        Self { me, post: post.clone() }
    }
}

impl<S> Drop for PanicAlarm<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            log::error!("{:?} has panicked; the process ends", self.me);
            self.post.announce(&Message::Shutdown(Shutdown::Immediate));
            let message = Box::new(Message::Drained);
            self.post.send(Peer::Control, Mail::Message { from: self.me, message });
        }
    }
}
