//! The scenarios of pgherd, and the worlds in which they are played.
//!
//! A scenario is written once, in an operator's words, against [`world::World`], and played in
//! every lane: against simulated servers, with many seeds, and against real ones.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a scenario fails by panicking, and its lane reports it with whatever led there"
)]

pub mod admin;
pub mod client;
pub mod differential;
pub mod play;
pub mod real;
pub mod scenarios;
pub mod sim;
pub mod world;
