//! pgherd's machines on smol: one thread a shard, one for the control plane, and no locks.
//!
//! Each thread runs a `LocalExecutor`; a machine, its sockets and its buffers belong to one thread
//! and are borrowed only between awaits. Machines reach one another by mailboxes alone.

mod alarm;
mod driver;
mod listener;
mod mailbox;
mod process;
mod socket;
mod timer;
mod trouble;

pub use process::{Operator, Options, Remote, start};
pub use trouble::StartError;
