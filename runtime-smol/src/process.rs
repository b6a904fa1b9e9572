//! A process: its machines and the threads that run them.

use pgherd_host::process::{self, Operator, Remote, Started};
use pgherd_host::trouble::StartError;
use pgherd_host::worker::{Options, Worker, assemble};

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
    process::start(options, run)
}

/// Runs a machine, which has all that it needs, until it is finished.
fn run(worker: Worker, started: Started) {
    started.tell(Ok(()));
    worker.run();
}

#[cfg(test)]
mod tests {
    use pgherd_host::puppet::Place;

    use super::start;

    #[test]
    fn machines_run_on_threads_of_their_own() {
        Place::new("threads").live(start);
    }
}
