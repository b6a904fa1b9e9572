//! A process: its machines and the executors that run them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use pgherd_core::config::CpuAffinity;
use pgherd_host::process::{self, Operator, Started};
use pgherd_host::trouble::StartError;
use pgherd_host::worker::{Options, Worker};

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
    process::start(pinned(options), run)
}

/// Gives every executor a core of its own, unless the operator says otherwise.
fn pinned(mut options: Options) -> Options {
    if options.config.cpu_affinity == CpuAffinity::Unset {
        Arc::make_mut(&mut options.config).cpu_affinity = CpuAffinity::Auto;
    }
    options
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
    use pgherd_host::puppet::Place;

    use super::start;

    #[test]
    fn machines_run_on_executors_of_their_own() {
        Place::new("glommio-threads").live(start);
    }
}
