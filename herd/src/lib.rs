//! A throw-away herd of PostgreSQL servers on this machine: one primary, any number of standbys.
//!
//! `pgherd demo`, the tests on real servers and the benchmarks all need the same thing: servers
//! that stream from one another, set up in seconds, and gone without a trace afterwards.
//! [`Herd::build`] runs `initdb`, `pg_basebackup` and the servers themselves; dropping the [`Herd`]
//! stops them and removes the directory.
//!
//! What is of use for any server of this machine is used by `pgherd rebuild` as well: where the
//! programs are ([`Binaries`]), who runs them ([`Account`]), how a setting is written ([`setting`]),
//! and which line of what a program said tells why it failed ([`telling_line`]).
//!
//! What it does not do: it decides nothing about failover, and knows nothing of pgherd. Whoever
//! holds the herd kills, pauses and starts its nodes, and watches what comes of it.
//!
//! **Who runs what.** A server refuses to run as root, so as root everything runs as the user
//! `postgres` (or `nobody`); otherwise everything runs as the caller.
//!
//! **How it ends.** Each server is a child of this process in a process group of its own, so that a
//! Ctrl-C at the terminal reaches only the caller, who then drops the herd; [`Plan::interrupt`]
//! ends a build that is under way. If the caller itself is killed outright, nothing of it is left
//! to drop the herd. A small shell beside the servers waits for that: it reads from a pipe that
//! only the caller holds open, and at its end does what dropping would have done. (The kernel's
//! parent-death signal would have to be asked for between fork and exec, which safe Rust cannot do,
//! and it follows the thread that forked, not the process.)
//!
//! ```no_run
//! use pgherd_herd::{Herd, Plan, Trouble};
//!
//! fn main() -> Result<(), Trouble> {
//!     let plan = Plan { standbys: 2, ..Plan::default() };
//!     let herd = Herd::build(plan, &mut |step| println!("{step}"))?;
//!     println!("{}", herd.psql(0, "select version()")?);
//!     herd.primary().kill()
//! }
//! ```

mod binaries;
mod cluster;
mod copy;
mod directory;
mod disk;
mod guard;
mod launcher;
mod node;
mod plan;
mod port;
mod processes;
mod settings;
mod trouble;
mod user;

pub use binaries::Binaries;
pub use cluster::Herd;
pub use launcher::telling_line;
pub use node::{Mode, Node};
pub use plan::{Hba, Plan};
pub use port::free_port;
pub use processes::{adopt_orphans, poll};
pub use settings::setting;
pub use trouble::Trouble;
pub use user::Account;

/// The superuser of every node, whom replication uses too.
pub const USER: &str = "postgres";

/// The password of [`USER`]. The servers listen on the loopback address only.
pub const PASSWORD: &str = "postgres";

/// Where every node listens.
pub const HOST: &str = "127.0.0.1";
