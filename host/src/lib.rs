//! What every runtime on a real host needs, and no simulator: the driver that carries out what a
//! machine asks for, the poller by which it waits, where to listen and whom to reach, how threads
//! reach one another and on which cores they run, how many files may be open, and the operator's
//! hand on it all.
//!
//! A machine, its sockets, its buffers and its poller belong to one driver, which waits for all of
//! them in one system call. What is left to a runtime is whose thread that is: a [`worker::Worker`]
//! may block a thread of its own, or be a task of an executor's that awaits the poller.

pub mod affinity;
mod alarm;
mod attempt;
pub mod bell;
mod command;
mod connection;
pub mod descriptors;
pub mod dial;
pub mod door;
mod driver;
mod listener;
pub mod mailbox;
mod poller;
pub mod process;
#[cfg(any(test, feature = "puppet"))]
pub mod puppet;
pub mod socket;
pub mod trouble;
pub mod verdict;
pub mod worker;
