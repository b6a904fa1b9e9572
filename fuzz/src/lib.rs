//! What is fuzzed: functions from bytes to nothing, which panic where a rule is broken.
//!
//! Fuzzing calls them with bytes of its own making; `tests/tests/corpus.rs` includes this file
//! and calls them with the bytes that are kept in `corpus/` and `regressions/`, on the stable
//! compiler. So nothing here knows of the fuzzer.

pub mod conversation;
mod files;
mod messages;
pub mod rig;
pub mod servers;
mod statements;

pub use conversation::{backend, session};
pub use files::{pgpool_conf, pool_passwd, toml_conf};
pub use messages::{frame, frontend, startup};
pub use statements::classify;

/// The name of a target, which its directories of inputs bear too, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("frame", frame),
    ("startup", startup),
    ("frontend", frontend),
    ("session", session),
    ("backend", backend),
    ("pgpool_conf", pgpool_conf),
    ("toml_conf", toml_conf),
    ("pool_passwd", pool_passwd),
    ("classify", classify),
];
