//! One machine of a process, and the two ways to run it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pgherd_core::config::Config;
use pgherd_core::control::Control;
use pgherd_core::entropy::Entropy;
use pgherd_core::id::ShardId;
use pgherd_core::machine::Machine;
use pgherd_core::memory::Memory;
use pgherd_core::message::Peer;
use pgherd_core::shard::Shard;
use pgherd_core::time::{Instant, WallClock};

use crate::alarm::PanicAlarm;
use crate::driver::{Driver, Found, Setting};
use crate::listener::{self, Listener};
use crate::mailbox::{Mailbox, Post};
use crate::poller::Poller;
use crate::trouble::StartError;

/// Rounds after which a machine that is awaited lets its executor look after the others, however
/// much there is to do. The executor's own round costs several system calls, so it is not for each.
const ROUNDS_PER_REST: u32 = 64;

/// Which machine.
#[derive(Debug)]
enum Role {
    Shard(ShardId),
    Control(Memory),
}

/// A machine that is ready to run.
pub struct Worker {
    role: Role,
    clock: WallClock,
    entropy: Entropy,
    setting: Setting,
}

/// What a process is started with.
pub struct Options {
    /// The configuration; `worker_threads` must be resolved to a number above zero.
    pub config: Arc<Config>,
    /// Wall-clock time.
    pub clock: WallClock,
    /// 32 bytes from the operating system.
    pub seed: [u8; 32],
    /// What is remembered of the nodes.
    pub memory: Memory,
}

/// Makes the machines of a process, which listens from now on, and the mailboxes by which they are
/// reached.
///
/// # Errors
/// An address cannot be listened on, or the system lacks what a machine waits with.
pub fn assemble(options: Options) -> Result<(Post, Vec<Worker>), StartError> {
    let Options { config, clock, seed, memory } = options;
    crate::descriptors::raise(&config);
    let count = config.worker_threads.max(1);
    let listeners = listener::open(&config, count)?;
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
    for ((number, mailbox), listeners) in (0u16..).zip(shard_boxes).zip(listeners.shards) {
        let id = ShardId(number);
        let setting = setting(Peer::Shard(id), mailbox, listeners)?;
        workers.push(Worker { role: Role::Shard(id), clock, entropy: entropy.split(), setting });
    }
    let setting = setting(Peer::Control, control_box, listeners.control)?;
    workers.push(Worker { role: Role::Control(memory), clock, entropy: entropy.split(), setting });
    Ok((post, workers))
}

impl Worker {
    /// Which machine it is to the others.
    #[must_use]
    pub const fn me(&self) -> Peer {
        self.setting.me
    }

    /// Runs the machine until it is finished, and blocks the thread while there is nothing to do.
    pub fn run(self) {
        let _alarm = PanicAlarm::new(self.setting.me, &self.setting.post);
        let Self { role, clock, entropy, setting } = self;
        let config = setting.config.clone();
        match role {
            Role::Shard(id) => run(Driver::new(shard(id, config, entropy, clock), setting)),
            Role::Control(memory) => {
                run(Driver::new(control(config, entropy, clock, memory), setting));
            }
        }
    }

    /// What an executor waits for on the machine's behalf: it is readable whenever there is
    /// something to do. It is the caller's own descriptor.
    ///
    /// # Errors
    /// There are no more file descriptors.
    #[cfg(target_os = "linux")]
    pub fn alert(&self) -> io::Result<std::os::fd::OwnedFd> {
        self.setting.poller.alert()
    }

    /// Runs the machine until it is finished, as a task among others.
    ///
    /// When there is nothing to do it lingers in its poller, where it blocks the thread for so long
    /// at most; then it awaits `rest`, which must be over as soon as the machine's
    /// [`alert`](Self::alert) is readable or so much time has passed. If that is none at all, others
    /// have their turn.
    pub async fn attend<F: Future<Output = ()>>(
        self,
        linger: Duration,
        rest: impl FnMut(Option<Duration>) -> F,
    ) {
        let _alarm = PanicAlarm::new(self.setting.me, &self.setting.post);
        let Self { role, clock, entropy, setting } = self;
        let config = setting.config.clone();
        match role {
            Role::Shard(id) => {
                attend(Driver::new(shard(id, config, entropy, clock), setting), linger, rest).await;
            }
            Role::Control(memory) => {
                let control = control(config, entropy, clock, memory);
                attend(Driver::new(control, setting), linger, rest).await;
            }
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("role", &self.role).finish_non_exhaustive()
    }
}

fn shard(id: ShardId, config: Arc<Config>, entropy: Entropy, clock: WallClock) -> Shard {
    Shard::new(id, config, entropy, clock, Instant::ZERO)
}

fn control(config: Arc<Config>, entropy: Entropy, clock: WallClock, memory: Memory) -> Control {
    Control::new(config, entropy, clock, Instant::ZERO).remembering(memory)
}

fn run<M: Machine>(mut driver: Driver<M>) {
    driver.begin();
    while !driver.is_finished() {
        let patience = driver.patience();
        driver.round(patience).expect(POLLER_WORKS);
    }
}

async fn attend<M: Machine, F: Future<Output = ()>>(
    mut driver: Driver<M>,
    linger: Duration,
    mut rest: impl FnMut(Option<Duration>) -> F,
) {
    driver.begin();
    let mut rounds = 0;
    while !driver.is_finished() {
        let wait = driver.patience().map_or(linger, |patience| patience.min(linger));
        let found = driver.round(Some(wait)).expect(POLLER_WORKS);
        rounds += 1;
        let patience = match found {
            Found::Something => Some(Duration::ZERO),
            Found::Nothing => driver.patience(),
        };
        if patience != Some(Duration::ZERO) || rounds == ROUNDS_PER_REST {
            rounds = 0;
            rest(patience).await;
        }
    }
}

/// A machine that cannot wait is of no use, and ends the process as one that has panicked does.
const POLLER_WORKS: &str = "a poller that was made can be waited for";

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use pgherd_core::message::Shutdown;

    use super::*;
    use crate::process::{Operator, Started, start};
    use crate::puppet::Place;

    /// Starts machines that block their threads.
    fn begin(options: Options) -> Result<Operator, StartError> {
        start(options, |worker, started: Started| {
            started.tell(Ok(()));
            worker.run();
        })
    }

    #[test]
    fn a_core_that_is_not_there_stops_the_start() {
        let place = Place::new("cores");
        let refused = begin(place.options("cpu_affinity = \"1023\"")).unwrap_err().to_string();
        assert!(refused.contains("cpu_affinity: there is no core 1023"), "{refused}");
        assert!(place.is_empty(), "it has not listened");
    }

    #[test]
    fn an_address_that_is_taken_stops_the_start() {
        let place = Place::new("taken");
        let operator = begin(place.options("")).unwrap();
        let refused = begin(place.options("")).unwrap_err().to_string();
        assert!(refused.contains("another process does already"), "{refused}");
        operator.shut_down(Shutdown::Immediate);
        assert!(operator.join());
    }

    #[test]
    fn whoever_is_refused_sees_the_end() {
        let place = Place::new("refused");
        let operator = begin(place.options("")).unwrap();
        let mut client = place.client();
        // A length that no startup packet has.
        client.write_all(b"\0\0\0\x01\0\0\0\0").unwrap();
        let mut answer = Vec::new();
        let end = client.read_to_end(&mut answer);
        assert!(end.is_ok() || !answer.is_empty(), "{end:?}");
        operator.shut_down(Shutdown::Immediate);
        assert!(operator.join());
    }

    #[test]
    fn nobody_is_left_at_the_door_when_it_closes() {
        let place = Place::new("door");
        let operator = begin(place.options("")).unwrap();
        let waiting = place.client();
        operator.shut_down(Shutdown::Fast);
        assert!(operator.join());
        let end = (&waiting).read(&mut [0; 64]);
        assert!(!matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock));
        assert!(UnixStream::connect(place.door()).is_err());
    }
}
