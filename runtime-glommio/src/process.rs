//! A process: its machines and the executors that run them.

use std::rc::Rc;
use std::time::Duration;

use pgherd_host::affinity::Cores;
use pgherd_host::process::{self, Operator, Options, Started};
use pgherd_host::trouble::StartError;
use pgherd_host::worker::{Worker, assemble};

use crate::alert::Alert;
use crate::ring;

/// Starts a process: listens, and starts an executor a shard and one for the control plane, each on
/// a thread of its own.
///
/// # Errors
/// The host has no io_uring or too little locked memory, an address cannot be listened on, a core
/// of `cpu_affinity` is not there, or a thread cannot be started.
pub fn start(options: Options) -> Result<Operator, StartError> {
    ring::check()?;
    let cores = Cores::find(&options.config)?;
    let (post, workers) = assemble(options)?;
    let machines = workers.into_iter().map(|worker| {
        let me = worker.me();
        (me, |started: Started| run(worker, started))
    });
    process::launch(machines.collect(), &cores, &post)
}

/// Makes an executor, says whether that went well, and runs the machine until it is finished.
fn run(worker: Worker, started: Started) {
    let alert = worker.alert().map_err(StartError::Poller);
    let (executor, alert) = match (ring::executor(), alert) {
        (Ok(executor), Ok(alert)) => (executor, alert),
        (Err(error), _) | (_, Err(error)) => return started.tell(Err(error)),
    };
    started.tell(Ok(()));
    executor.run(async move {
        let alert = Rc::new(Alert::new(alert));
        worker.attend(LINGER, |patience| alert.clone().rest(patience)).await;
    });
}

/// How long a machine waits in its poller, where it blocks its executor, before it leaves the waiting
/// to io_uring. Nobody else is on that executor, and a round of it costs eight system calls, where
/// under load the next event is some microseconds away.
const LINGER: Duration = Duration::from_millis(1);

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
