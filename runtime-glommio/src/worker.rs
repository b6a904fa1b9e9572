//! One machine of a process, on a thread of its own.

use pgherd_core::control::Control;
use pgherd_core::entropy::Entropy;
use pgherd_core::id::ShardId;
use pgherd_core::machine::Machine;
use pgherd_core::shard::Shard;
use pgherd_core::time::{Instant, WallClock};
use pgherd_host::door::Spot;
use pgherd_host::mailbox::Mailbox;
use pgherd_host::process::{PanicAlarm, Started};
use pgherd_host::trouble::StartError;

use crate::driver::{Driver, Setting, rounds};
use crate::listener::Listener;
use crate::ring;
use crate::socket::{Fresh, Socket};

/// Which machine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Shard(ShardId),
    Control,
}

/// A machine that is ready to run.
pub(crate) struct Worker {
    pub(crate) role: Role,
    pub(crate) clock: WallClock,
    pub(crate) entropy: Entropy,
    pub(crate) spots: Vec<Spot>,
    pub(crate) mailbox: Mailbox<Fresh>,
    pub(crate) setting: Setting,
}

impl Worker {
    /// Makes an executor, says whether that went well, and runs the machine until it is finished.
    pub(crate) fn run(self, started: Started) {
        let _alarm = PanicAlarm::new(self.setting.me, &self.setting.post);
        let executor = match ring::executor() {
            Ok(executor) => executor,
            Err(error) => return started.tell(Err(error)),
        };
        let Self { role, clock, entropy, spots, mailbox, setting } = self;
        executor.run(async move {
            let opened = spots.iter().map(Listener::open).collect::<Result<Vec<_>, _>>();
            let line = mailbox.ear.line().map(Socket::from).map_err(StartError::Poller);
            let (listeners, line) = match (opened, line) {
                (Ok(listeners), Ok(line)) => (listeners, line),
                (Err(error), _) | (_, Err(error)) => return started.tell(Err(error)),
            };
            started.tell(Ok(()));
            let config = setting.config.clone();
            match role {
                Role::Shard(id) => {
                    let shard = Shard::new(id, config, entropy, clock, Instant::ZERO);
                    drive(shard, setting, listeners, mailbox, line).await;
                }
                Role::Control => {
                    let control = Control::new(config, entropy, clock, Instant::ZERO);
                    drive(control, setting, listeners, mailbox, line).await;
                }
            }
        });
    }
}

async fn drive<M: Machine + 'static>(
    machine: M,
    setting: Setting,
    listeners: Vec<Listener>,
    mailbox: Mailbox<Fresh>,
    line: Socket,
) {
    rounds::run(Driver::new(machine, setting), listeners, mailbox, line).await;
}
