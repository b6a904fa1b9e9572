//! What is done when the primary is lost or is to hand over: which standby is promoted, how the old
//! primary is kept from taking writes, and how the others follow the new one.
//!
//! Decisions only. `control` brings the facts, talks to the servers and keeps the time.

pub mod conninfo;
pub mod decide;
pub mod fence;
pub mod follow;
pub mod placeholders;
pub mod privileges;
pub mod slot;
pub mod switchover;
