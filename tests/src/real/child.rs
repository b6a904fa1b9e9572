//! Waiting for a child process.

use std::process::Child;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Waits until a child ends, and no longer than the limit; whether it has ended.
///
/// # Panics
/// The system does not tell of its processes.
#[must_use]
pub fn ends_within(child: &Child, limit: Duration) -> bool {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty());
    let process = process.expect("a child that was not waited for is there");
    let limit = Timespec::try_from(limit).expect("a limit is no age of the world");
    let mut ended = [PollFd::new(&process, PollFlags::IN)];
    // A signal may cut it short, and then it has not ended.
    poll(&mut ended, Some(&limit)).is_ok_and(|count| count > 0)
}
