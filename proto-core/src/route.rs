//! Where a statement goes.

pub mod classify;
