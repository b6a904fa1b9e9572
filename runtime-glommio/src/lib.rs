//! pgherd's machines on glommio: one executor a shard and one for the control plane, each on a
//! thread and, where asked for, on a core of its own.
//!
//! A machine is one task of its executor's, which awaits its poller through io_uring while there is
//! nothing to do. Machines reach one another by mailboxes alone.

mod alert;
mod process;
mod ring;

pub use process::start;
pub use ring::check;
