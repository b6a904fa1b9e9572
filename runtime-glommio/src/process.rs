//! A process: its machines and the threads that run them.

use pgherd_core::entropy::Entropy;
use pgherd_core::id::ShardId;
use pgherd_core::message::Peer;
use pgherd_host::affinity::Cores;
use pgherd_host::mailbox::Post;
use pgherd_host::process::{self, Operator, Options, Started};
use pgherd_host::trouble::StartError;
use pgherd_host::{descriptors, door};

use crate::driver::Setting;
use crate::ring;
use crate::worker::{Role, Worker};

/// Starts a process: listens, and starts a thread a shard and one for the control plane.
///
/// # Errors
/// The host has no io_uring or too little locked memory, an address cannot be listened on, a core
/// of `cpu_affinity` is not there, or a thread cannot be started.
pub fn start(options: Options) -> Result<Operator, StartError> {
    ring::check()?;
    let Options { config, clock, seed } = options;
    let cores = Cores::find(&config)?;
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
            clock,
            entropy: entropy.split(),
            spots: Vec::new(),
            mailbox,
            setting: setting(Peer::Shard(id)),
        });
    }
    workers.push(Worker {
        role: Role::Control,
        clock,
        entropy: entropy.split(),
        spots,
        mailbox: control_box,
        setting: setting(Peer::Control),
    });
    let machines = workers.into_iter().map(|worker| {
        let me = worker.setting.me;
        (me, |started: Started| worker.run(started))
    });
    process::launch(machines.collect(), &cores, &post)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use pgherd_core::message::Shutdown;
    use pgherd_host::puppet::Place;

    use super::*;

    #[test]
    fn machines_run_on_executors_of_their_own() {
        let place = Place::new("glommio-threads");
        let operator = start(place.options("")).unwrap();
        (0..4).for_each(|_| place.ask());
        operator.shut_down(Shutdown::Immediate);
        assert!(operator.join());
        assert!(place.is_empty(), "the socket's file goes with it");
    }

    #[test]
    fn a_core_that_is_not_there_stops_the_start() {
        let place = Place::new("glommio-cores");
        let refused = start(place.options("cpu_affinity = \"1023\"")).unwrap_err().to_string();
        assert!(refused.contains("cpu_affinity: there is no core 1023"), "{refused}");
        assert!(place.is_empty(), "it has not listened");
    }

    #[test]
    fn whoever_is_refused_sees_the_end() {
        let place = Place::new("glommio-refused");
        let operator = start(place.options("")).unwrap();
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
        let place = Place::new("glommio-door");
        let operator = start(place.options("")).unwrap();
        let waiting = place.client();
        operator.shut_down(Shutdown::Fast);
        assert!(operator.join());
        let end = (&waiting).read(&mut [0; 64]);
        assert!(!matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock));
        assert!(UnixStream::connect(place.door()).is_err());
    }

    #[test]
    fn an_address_that_is_taken_stops_the_start() {
        let place = Place::new("glommio-taken");
        let operator = start(place.options("")).unwrap();
        let refused = start(place.options("")).unwrap_err().to_string();
        assert!(refused.contains("another process does already"), "{refused}");
        operator.shut_down(Shutdown::Immediate);
        assert!(operator.join());
    }
}
