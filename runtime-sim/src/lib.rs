//! The other driver of pgherd's machines, beside that of real hosts: a seeded, deterministic world.
//!
//! A [`Simulation`] holds a proxy, its PostgreSQL servers, its clients and the network between
//! them, and lets one event happen after the other on a simulated clock. Everything that a real
//! world leaves to chance comes from the seed of its [`Plan`]: latencies, the sizes of kernel
//! buffers, where reads are cut, how late timers and messages are. The same seed gives the same
//! world, byte for byte; [`Simulation::trace_hash`] is how that is known.
//!
//! After every step the rules are checked; the first broken one ends the run with a [`Failure`].
//!
//! What is simulated is a network of byte streams (`net`), the driver's side of the contract
//! with [`pgherd_core::machine::Machine`] (`driver`, `process`), servers (`postgres`), clients
//! (`client`) and faults (`faults`). Clocks that step and addresses of clients are not.

mod agenda;
mod chance;
mod check;
mod client;
mod commands;
mod driver;
mod end;
mod faults;
mod heal;
mod net;
mod plan;
mod postgres;
mod process;
mod running;
mod simulation;
mod stage;
mod starving;
mod trace;

pub use check::marks::Marks;
pub use commands::COMMANDS;
pub use faults::Fault;
pub use net::Pace;
pub use plan::{Auth, Plan};
pub use postgres::{Obedience, Scripts};
pub use process::Machines;
pub use simulation::{Conn, Failure, Simulation};

#[cfg(test)]
mod tests;
