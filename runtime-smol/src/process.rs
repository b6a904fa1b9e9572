//! A process: its machines and the threads that run them.

use pgherd_host::affinity::Cores;
use pgherd_host::process::{self, Operator, Options, Remote, Started};
use pgherd_host::trouble::StartError;
use pgherd_host::worker::{Worker, assemble};

/// Makes the machines of a process, which listens from now on, for the caller to run.
///
/// Every [`Worker`] must be run, by its `run` on a thread of its own or as a future by
/// [`serve`](crate::serve), on the cores that the caller chooses.
///
/// # Errors
/// An address cannot be listened on, or the system lacks what a machine waits with.
pub fn prepare(options: Options) -> Result<(Remote, Vec<Worker>), StartError> {
    let (post, workers) = assemble(options)?;
    Ok((Remote::new(post), workers))
}

/// Starts a process: listens, and starts a thread a shard and one for the control plane.
///
/// # Errors
/// An address cannot be listened on, a core of `cpu_affinity` is not there, or a thread cannot be
/// started.
pub fn start(options: Options) -> Result<Operator, StartError> {
    let cores = Cores::find(&options.config)?;
    let (post, workers) = assemble(options)?;
    let machines = workers.into_iter().map(|worker| {
        let me = worker.me();
        let run = |started: Started| {
            started.tell(Ok(()));
            worker.run();
        };
        (me, run)
    });
    process::launch(machines.collect(), &cores, &post)
}

#[cfg(test)]
mod tests {
    use pgherd_core::message::Shutdown;
    use pgherd_host::puppet::Place;

    use super::start;

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
}
