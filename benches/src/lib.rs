//! What pgherd costs, beside its peers.
//!
//! Two kinds of answer, neither of them a timed test:
//!
//! - **End to end** (`pgherd-bench`): pgbench against a real herd, directly and through each proxy
//!   of [`target::all`], for each of [`scenario::SCENARIOS`], in interleaved rounds of one run.
//!   What counts are ratios: they survive a change of machine, numbers do not.
//!   Behind them, [`crowd`]: thousands of clients over a few server connections; then [`bars`]: what
//!   is asked of pgherd. [`soak`] by itself: whether anything grows.
//! - **The core alone** (`cargo bench`, and `pgherd-instructions`): the operations of [`ops::OPS`]
//!   on the machines without sockets, in nanoseconds, allocations and instructions. `tests/alloc.rs`
//!   fails when a forwarded read allocates, [`ledger`] when an operation takes more instructions
//!   than are committed.

pub mod bars;
pub mod client;
pub mod cpu;
pub mod crowd;
pub mod ledger;
pub mod load;
pub mod machine;
pub mod markdown;
pub mod ops;
pub mod pgbench;
pub mod proxy;
pub mod ready;
pub mod report;
pub mod rig;
pub mod rounds;
pub mod scenario;
pub mod soak;
pub mod spread;
pub mod target;
pub mod trouble;
