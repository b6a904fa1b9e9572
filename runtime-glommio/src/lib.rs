//! pgherd's machines on glommio: one executor a shard and one for the control plane, each on a
//! thread and, where asked for, on a core of its own.
//!
//! A machine, its sockets and its buffers belong to one driver, and each connection is a task that
//! gives the driver a turn when io_uring says so. Machines reach one another by mailboxes alone.

mod connection;
mod driver;
mod listener;
mod process;
mod ring;
mod socket;
mod worker;

pub use process::start;
pub use ring::check;
