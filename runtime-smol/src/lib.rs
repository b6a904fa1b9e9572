//! pgherd's machines on smol: one thread a shard, one for the control plane, and no locks.
//!
//! A machine, its sockets, its buffers and its poller belong to one driver, which waits for all of
//! them in one system call. On a thread of its own ([`start`]) it blocks there; run by an executor
//! ([`Worker::serve`]) it awaits the poller. Machines reach one another by mailboxes alone.

mod attempt;
mod connection;
mod driver;
mod listener;
mod poller;
mod process;
mod socket;
mod worker;

pub use process::{prepare, start};
pub use worker::Worker;
