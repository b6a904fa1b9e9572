//! A machine as a task of an executor of somebody else's.

use std::io;
#[cfg(target_os = "linux")]
use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use pgherd_host::worker::Worker;

/// Runs a machine until it is finished, as a future for any executor of smol's kind.
///
/// It costs a few system calls more for each wait than a thread of its own, because `async-io` waits
/// for the poller. On systems other than Linux there is nothing to await, and it occupies a thread
/// of `blocking`.
///
/// # Errors
/// There are no more file descriptors; the machine has not run.
#[cfg(target_os = "linux")]
pub async fn serve(worker: Worker) -> io::Result<()> {
    let alert = Arc::new(smol::Async::new_nonblocking(worker.alert()?)?);
    // The executor may have others to look after.
    let linger = Duration::ZERO;
    worker.attend(linger, |patience| rest(alert.clone(), patience)).await;
    Ok(())
}

/// Waits until the poller has something or so much time has passed.
#[cfg(target_os = "linux")]
async fn rest(alert: Arc<smol::Async<OwnedFd>>, patience: Option<Duration>) {
    let readable = async { alert.readable().await.expect(POLLER_WORKS) };
    match patience {
        Some(patience) if patience.is_zero() => smol::future::yield_now().await,
        Some(patience) => {
            let timer = async {
                smol::Timer::after(patience).await;
            };
            smol::future::or(readable, timer).await;
        }
        None => readable.await,
    }
}

/// The same, elsewhere.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub async fn serve(worker: Worker) -> io::Result<()> {
    smol::unblock(|| worker.run()).await;
    Ok(())
}

/// A machine that cannot wait is of no use, and ends the process as one that has panicked does.
#[cfg(target_os = "linux")]
const POLLER_WORKS: &str = "a poller that was made can be waited for";

#[cfg(test)]
mod tests {
    use pgherd_core::message::Shutdown;
    use pgherd_host::puppet::Place;

    use super::serve;
    use crate::process::prepare;

    #[test]
    fn machines_run_on_an_executor_of_somebody_else() {
        let place = std::sync::Arc::new(Place::new("futures"));
        let (remote, workers) = prepare(place.options("")).unwrap();
        let executor = smol::LocalExecutor::new();
        let tasks: Vec<_> = workers.into_iter().map(|w| executor.spawn(serve(w))).collect();
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
        workers.into_iter().for_each(|worker| is_sent(&serve(worker)));
    }
}
