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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::Duration;

    use pgherd_core::config::check::KeyFile;
    use pgherd_core::config::{Config, Files, load};
    use pgherd_core::time::WallClock;

    use super::*;

    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(20);

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

    fn connect(dir: &Path) -> UnixStream {
        let client = UnixStream::connect(dir.join(".s.PGSQL.5433")).unwrap();
        client.set_read_timeout(Some(LONG)).unwrap();
        client
    }

    #[test]
    fn machines_run_on_executors_of_their_own() {
        let (options, dir) = options("glommio-threads");
        let operator = start(options).unwrap();
        (0..4).for_each(|_| ask(&dir));
        operator.shut_down(Shutdown::Immediate);
        assert!(operator.join());
        assert!(!dir.join(".s.PGSQL.5433").exists(), "the socket's file goes with it");
        std::fs::remove_dir(dir).unwrap();
    }

    #[test]
    fn whoever_is_refused_sees_the_end() {
        let (options, dir) = options("glommio-refused");
        let operator = start(options).unwrap();
        let mut client = connect(&dir);
        // A length that no startup packet has.
        client.write_all(b"\0\0\0\x01\0\0\0\0").unwrap();
        let mut answer = Vec::new();
        let end = client.read_to_end(&mut answer);
        assert!(end.is_ok() || !answer.is_empty(), "{end:?}");
        operator.shut_down(Shutdown::Immediate);
        assert!(operator.join());
        std::fs::remove_dir(dir).unwrap();
    }

    #[test]
    fn nobody_is_left_at_the_door_when_it_closes() {
        let (options, dir) = options("glommio-door");
        let operator = start(options).unwrap();
        let waiting = connect(&dir);
        operator.shut_down(Shutdown::Fast);
        assert!(operator.join());
        let end = (&waiting).read(&mut [0; 64]);
        assert!(!matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock));
        assert!(UnixStream::connect(dir.join(".s.PGSQL.5433")).is_err());
        std::fs::remove_dir(dir).unwrap();
    }

    #[test]
    fn an_address_that_is_taken_stops_the_start() {
        let (first, dir) = options("glommio-taken");
        let (second, _) = options("glommio-taken");
        let operator = start(first).unwrap();
        let refused = start(second).unwrap_err().to_string();
        assert!(refused.contains("another process does already"), "{refused}");
        operator.shut_down(Shutdown::Immediate);
        assert!(operator.join());
        std::fs::remove_dir(dir).unwrap();
    }
}
