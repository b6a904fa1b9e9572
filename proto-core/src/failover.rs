//! What is done when the primary is lost: which standby is promoted, and how the others follow it.
//!
//! Decisions only. `control` brings the facts, talks to the servers and keeps the time.

pub mod conninfo;
pub mod decide;
pub mod follow;
pub mod privileges;
