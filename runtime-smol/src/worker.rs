//! One machine of a process, and the two ways to run it.

use std::io;

use pgherd_core::control::Control;
use pgherd_core::entropy::Entropy;
use pgherd_core::id::ShardId;
use pgherd_core::machine::Machine;
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

    /// What its thread is called.
    pub(crate) fn name(&self) -> String {
        match self.role {
            Role::Shard(ShardId(number)) => format!("shard-{number}"),
            Role::Control => "control".to_owned(),
        }
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
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use pgherd_core::config::check::KeyFile;
    use pgherd_core::config::{Config, Files, load};

    use pgherd_core::message::Shutdown;
    use pgherd_host::process::Options;

    use super::*;
    use crate::process::{prepare, start};

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

    /// A configuration of a process that listens in a directory of its own, before no server.
    fn options(name: &str) -> (Options, PathBuf) {
        let dir = std::env::temp_dir().join(format!("pgherd-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let text = format!(
            "sr_check_user = \"monitor\"\nlisten_addresses = []\nport = 5433\n\
             unix_socket_directories = [\"{}\"]\nworker_threads = 2\n\
             [[backends]]\nhostname = \"{0}\"\nport = 5432\n",
            dir.display()
        );
        let config: Config = load("pgherd.toml", &OneFile(text)).unwrap().config;
        let clock = WallClock::default();
        (Options { config: Arc::new(config), clock, seed: [7; 32] }, dir)
    }

    /// Asks for encryption, and ends the conversation.
    fn ask(dir: &Path) {
        let mut client = UnixStream::connect(dir.join(".s.PGSQL.5433")).unwrap();
        client.write_all(b"\0\0\0\x08\x04\xd2\x16\x2f").unwrap();
        let mut answer = [0];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"N");
    }

    #[test]
    fn machines_run_on_threads_of_their_own() {
        let (options, dir) = options("threads");
        let operator = start(options).unwrap();
        (0..4).for_each(|_| ask(&dir));
        operator.shut_down(Shutdown::Immediate);
        assert!(operator.join());
        std::fs::remove_dir(dir).unwrap();
    }

    #[test]
    fn machines_run_on_an_executor_of_somebody_else() {
        let (options, dir) = options("futures");
        let (remote, workers) = prepare(options).unwrap();
        let executor = smol::LocalExecutor::new();
        let tasks: Vec<_> = workers.into_iter().map(|w| executor.spawn(w.serve())).collect();
        smol::block_on(executor.run(async {
            let clients = smol::unblock({
                let dir = dir.clone();
                move || (0..4).for_each(|_| ask(&dir))
            });
            clients.await;
            remote.shut_down(Shutdown::Immediate);
            for task in tasks {
                task.await.unwrap();
            }
        }));
        std::fs::remove_dir(dir).unwrap();
    }

    #[test]
    fn the_future_of_a_machine_may_change_threads() {
        fn is_sent<T: Send>(_: &T) {}
        let (options, dir) = options("moving");
        let (_, workers) = prepare(options).unwrap();
        workers.into_iter().for_each(|worker| is_sent(&worker.serve()));
        std::fs::remove_dir(dir).unwrap();
    }
}
