//! pgherd's machines on smol: one thread a shard, one for the control plane, and no locks.
//!
//! On a thread of its own ([`start`]) a machine blocks in its poller; run by an executor of
//! smol's kind ([`serve`]) it awaits that. Machines reach one another by mailboxes alone.

mod process;
mod task;

pub use process::{prepare, start};
pub use task::serve;
