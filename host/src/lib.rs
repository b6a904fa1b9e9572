//! What every runtime on a real host needs, and no simulator: where to listen and whom to reach,
//! how threads reach one another and on which cores they run, how many files may be open, and the
//! operator's hand on it all.
//!
//! Nothing in here waits for a socket: that is what runtimes are for.

pub mod affinity;
pub mod bell;
pub mod descriptors;
pub mod dial;
pub mod door;
pub mod mailbox;
pub mod process;
#[cfg(feature = "puppet")]
pub mod puppet;
pub mod trouble;
pub mod verdict;
