//! A process: the threads of its machines, and the operator's hand on them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_channel::Receiver;
use pgherd_core::config::Config;
use pgherd_core::control::Control;
use pgherd_core::entropy::Entropy;
use pgherd_core::id::ShardId;
use pgherd_core::machine::Machine;
use pgherd_core::message::{Message, Peer, Shutdown};
use pgherd_core::shard::Shard;
use pgherd_core::time::{Instant, WallClock};
use smol::LocalExecutor;

use crate::driver::Driver;
use crate::listener::{self, Listener};
use crate::mailbox::{Mail, Post};
use crate::timer;
use crate::trouble::StartError;

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

/// Starts a process: listens, and starts a thread a shard and one for the control plane.
///
/// # Errors
/// An address cannot be listened on, or a thread cannot be started.
pub fn start(options: Options) -> Result<Operator, StartError> {
    let Options { config, clock, seed } = options;
    let listeners = listener::open(&config)?;
    let count = config.worker_threads.max(1);
    let (post, control_box, shard_boxes) = Post::new(count);
    let start = std::time::Instant::now();
    let mut entropy = Entropy::from_seed(seed);
    let mut threads = Vec::new();
    for (number, mailbox) in (0u16..).zip(shard_boxes) {
        let id = ShardId(number);
        let (config, post, entropy) = (config.clone(), post.clone(), entropy.split());
        let run = move || {
            let shard = Shard::new(id, config.clone(), entropy, clock, Instant::ZERO);
            let _alarm = PanicAlarm { me: Peer::Shard(id), post: post.clone() };
            let setting = Setting { me: Peer::Shard(id), start, config, post };
            run(shard, setting, &mailbox, Vec::new());
        };
        threads.push(spawn(format!("shard-{number}"), run)?);
    }
    let operator_post = post.clone();
    let entropy = entropy.split();
    let run_control = move || {
        let control = Control::new(config.clone(), entropy, clock, Instant::ZERO);
        let _alarm = PanicAlarm { me: Peer::Control, post: post.clone() };
        let setting = Setting { me: Peer::Control, start, config, post };
        run(control, setting, &control_box, listeners);
    };
    threads.push(spawn("control".to_owned(), run_control)?);
    Ok(Operator { post: operator_post, threads })
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new().name(name).spawn(run).map_err(StartError::Thread)
}

/// Ends the process if its thread panics: a machine that is gone answers nobody, and a process of
/// which a part is gone is worse than none.
struct PanicAlarm {
    me: Peer,
    post: Post,
}

impl Drop for PanicAlarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            log::error!("{:?} has panicked; the process ends", self.me);
            self.post.announce(&Message::Shutdown(Shutdown::Immediate));
            let message = Box::new(Message::Drained);
            self.post.send(Peer::Control, Mail::Message { from: self.me, message });
        }
    }
}

/// What a driver is started with.
struct Setting {
    me: Peer,
    start: std::time::Instant,
    config: Arc<Config>,
    post: Post,
}

/// Runs one machine until it is finished.
fn run<M: Machine + 'static>(
    machine: M,
    setting: Setting,
    mailbox: &Receiver<Mail>,
    listeners: Vec<Listener>,
) {
    let executor = Rc::new(LocalExecutor::new());
    let (finished, is_finished) = async_channel::bounded(1);
    let Setting { me, start, config, post } = setting;
    let driver = Driver::new(machine, me, start, config, post, executor.clone(), finished);
    for listener in listeners {
        let accepting = listener::run(driver.clone(), listener);
        let task = executor.spawn(async {
            if let Err(error) = accepting.await {
                log::error!("a listener has ended: {error}");
            }
        });
        driver.borrow_mut().listen(task);
    }
    executor.spawn(timer::run(driver.clone())).detach();
    executor.spawn(receive(driver.clone(), mailbox.clone())).detach();
    driver.borrow_mut().pump();
    smol::block_on(executor.run(async {
        // The driver drops the sender when its machine is finished.
        let _ = is_finished.recv().await;
    }));
    drop(driver);
}

async fn receive<M: Machine + 'static>(driver: Rc<RefCell<Driver<M>>>, mailbox: Receiver<Mail>) {
    while let Ok(mail) = mailbox.recv().await {
        driver.borrow_mut().receive(mail);
    }
}
