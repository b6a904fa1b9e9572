//! One machine of a process, and the two ways to run it.

use std::io;

use pgherd_core::control::Control;
use pgherd_core::entropy::Entropy;
use pgherd_core::id::ShardId;
use pgherd_core::machine::Machine;
use pgherd_core::message::Peer;
use pgherd_core::shard::Shard;
use pgherd_core::time::{Instant, WallClock};
use pgherd_host::process::PanicAlarm;

use crate::driver::{Driver, Setting};

/// Which machine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Shard(ShardId),
    Control,
}

/// A machine that is ready to run.
pub struct Worker {
    role: Role,
    clock: WallClock,
    entropy: Entropy,
    setting: Setting,
}

impl Worker {
    pub(crate) const fn new(
        role: Role,
        clock: WallClock,
        entropy: Entropy,
        setting: Setting,
    ) -> Self {
        Self { role, clock, entropy, setting }
    }

    /// Which machine it is to the others.
    pub(crate) const fn me(&self) -> Peer {
        self.setting.me
    }

    /// Runs the machine until it is finished, and blocks the thread while there is nothing to do.
    pub fn run(self) {
        let _alarm = PanicAlarm::new(self.setting.me, &self.setting.post);
        let Self { role, clock, entropy, setting } = self;
        let config = setting.config.clone();
        match role {
            Role::Shard(id) => {
                let shard = Shard::new(id, config, entropy, clock, Instant::ZERO);
                run(Driver::new(shard, setting));
            }
            Role::Control => {
                let control = Control::new(config, entropy, clock, Instant::ZERO);
                run(Driver::new(control, setting));
            }
        }
    }

    /// Runs the machine until it is finished, as a future for any executor of smol's kind.
    ///
    /// It costs a few system calls more than `run`, because `async-io` waits for the poller. On
    /// systems other than Linux there is nothing to await, and it occupies a thread of `blocking`.
    ///
    /// # Errors
    /// There are no more file descriptors; the machine has not run.
    pub async fn serve(self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        self.attend().await?;
        #[cfg(not(target_os = "linux"))]
        smol::unblock(|| self.run()).await;
        Ok(())
    }

    #[cfg(target_os = "linux")]
    async fn attend(self) -> io::Result<()> {
        let alert = self.setting.poller.alert()?;
        let _alarm = PanicAlarm::new(self.setting.me, &self.setting.post);
        let Self { role, clock, entropy, setting } = self;
        let config = setting.config.clone();
        match role {
            Role::Shard(id) => {
                let shard = Shard::new(id, config, entropy, clock, Instant::ZERO);
                attend(Driver::new(shard, setting), alert).await;
            }
            Role::Control => {
                let control = Control::new(config, entropy, clock, Instant::ZERO);
                attend(Driver::new(control, setting), alert).await;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("role", &self.role).finish_non_exhaustive()
    }
}

fn run<M: Machine>(mut driver: Driver<M>) {
    driver.begin();
    while !driver.is_finished() {
        let patience = driver.patience();
        driver.round(patience).expect(POLLER_WORKS);
    }
}

#[cfg(target_os = "linux")]
async fn attend<M: Machine>(mut driver: Driver<M>, alert: smol::Async<std::os::fd::OwnedFd>) {
    use smol::future;

    driver.begin();
    while !driver.is_finished() {
        let readable = async { alert.readable().await.expect(POLLER_WORKS) };
        match driver.patience() {
            Some(patience) if patience.is_zero() => future::yield_now().await,
            Some(patience) => {
                let timer = async {
                    smol::Timer::after(patience).await;
                };
                future::or(readable, timer).await;
            }
            None => readable.await,
        }
        driver.round(Some(std::time::Duration::ZERO)).expect(POLLER_WORKS);
    }
}

/// A machine that cannot wait is of no use, and ends the process as one that has panicked does.
const POLLER_WORKS: &str = "a poller that was made can be waited for";

#[cfg(test)]
mod tests {
    use pgherd_core::message::Shutdown;
    use pgherd_host::puppet::Place;

    use crate::process::{prepare, start};

    #[test]
    fn machines_run_on_threads_of_their_own() {
        let place = Place::new("threads");
        let operator = start(place.options("")).unwrap();
        (0..4).for_each(|_| place.ask());
        operator.shut_down(Shutdown::Immediate);
        assert!(operator.join());
        assert!(place.is_empty(), "the socket's file goes with it");
    }

    #[test]
    fn a_core_that_is_not_there_stops_the_start() {
        let place = Place::new("cores");
        let refused = start(place.options("cpu_affinity = \"1023\"")).unwrap_err().to_string();
        assert!(refused.contains("cpu_affinity: there is no core 1023"), "{refused}");
        assert!(place.is_empty(), "it has not listened");
    }

    #[test]
    fn machines_run_on_an_executor_of_somebody_else() {
        let place = std::sync::Arc::new(Place::new("futures"));
        let (remote, workers) = prepare(place.options("")).unwrap();
        let executor = smol::LocalExecutor::new();
        let tasks: Vec<_> = workers.into_iter().map(|w| executor.spawn(w.serve())).collect();
        smol::block_on(executor.run(async {
            let clients = place.clone();
            smol::unblock(move || (0..4).for_each(|_| clients.ask())).await;
            remote.shut_down(Shutdown::Immediate);
            for task in tasks {
                task.await.unwrap();
            }
        }));
    }

    #[test]
    fn the_future_of_a_machine_may_change_threads() {
        fn is_sent<T: Send>(_: &T) {}
        let place = Place::new("moving");
        let (_, workers) = prepare(place.options("")).unwrap();
        workers.into_iter().for_each(|worker| is_sent(&worker.serve()));
    }
}
