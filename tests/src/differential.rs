//! The differential test: whatever a client says, it hears the same through pgherd as it would
//! have heard from the primary.
//!
//! A seed makes conversations (`speaker`), which are played direct and through pgherd by clients
//! that say what comes next only when they have been answered (`player`). What they heard is
//! compared byte by byte, apart from what [`transcript`] masks. A difference is made small
//! (`shrink`) and shown side by side (`report`).
//!
//! Replication is not compared: after a unit that may have written, a client waits until the
//! standbys have replayed it.

pub mod contest;
pub mod conversation;
pub mod dice;
pub mod player;
pub mod replication;
pub mod report;
pub mod saying;
pub mod shrink;
pub mod speaker;
pub mod transcript;
