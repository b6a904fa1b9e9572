//! The machines of pgherd: pure, deterministic, without I/O.
//!
//! # The contract with a driver
//!
//! A [`shard::Shard`] and a [`control::Control`] are [`machine::Machine`]s. Whoever owns the sockets
//! drives them:
//!
//! - **Tell** a machine what happened by its `handle_*` methods. None of them fail: a peer that
//!   misbehaves causes an output, not an error.
//! - **Drain** [`machine::Machine::poll_output`] to `None` before the next `handle_*` on the same
//!   machine. Carry every output out in order, exactly once.
//! - **Arm one timer** for [`machine::Machine::poll_timeout`]. Calling `handle_timeout` too often is
//!   harmless.
//! - **Read** a connection only while `wants_read` says so, with room for at least `read_hint` bytes
//!   unread in all. The bytes belong to the driver: `handle_read` is shown everything unread, from
//!   the first byte, and outputs say how many of them to forward or skip.
//! - **Report** `handle_sent` only for bytes that the kernel took, and every end of a connection
//!   with exactly one `handle_close`, including those that an [`output::Output::Close`] asked for.
//!   A failed [`output::Output::Connect`] ends with `handle_connect` and nothing else.
//! - **Ask again** when an [`output::Output::Reread`] says so: `wants_read` may have turned true.
//! - **Never** look at a type byte or a length, decide a retry or a delay, or reorder outputs. If a
//!   driver needs an `if` about PostgreSQL, the core lacks an output.
//!
//! One process has several shards and one control plane. They share nothing and exchange
//! [`message::Message`]s, which arrive in the order in which one machine posted them to another.
//!
//! ```
//! use std::sync::Arc;
//!
//! use pgherd_core::config::{Config, Files, load};
//! use pgherd_core::config::KeyFile;
//! use pgherd_core::entropy::Entropy;
//! use pgherd_core::id::ShardId;
//! use pgherd_core::machine::Machine;
//! use pgherd_core::message::{Arrival, Door, Hop};
//! use pgherd_core::output::Output;
//! use pgherd_core::shard::Shard;
//! use pgherd_core::time::{Instant, WallClock};
//!
//! struct OneFile;
//!
//! impl Files for OneFile {
//!     fn read(&self, _path: &str) -> Result<String, String> {
//!         Ok("sr_check_user = \"monitor\"\n[[backends]]\nhostname = \"db\"\nport = 5432\n".into())
//!     }
//!     fn exists(&self, _path: &str) -> bool {
//!         true
//!     }
//!     fn key_file(&self) -> Option<KeyFile> {
//!         None
//!     }
//! }
//!
//! let mut config: Config = load("pgherd.toml", &OneFile).expect("no mistakes").config;
//! config.settle_threads(1);
//! let entropy = Entropy::from_seed([7; 32]);
//! let now = Instant::ZERO;
//! let mut shard = Shard::new(ShardId(0), Arc::new(config), entropy, WallClock::default(), now);
//!
//! // A client connects and asks for TLS, which is declined with one byte.
//! let client = shard.handle_accept(now, Arrival { address: None, hop: Hop::None, door: Door::Sql });
//! assert!(shard.poll_output().is_none());
//! shard.handle_read(now, client, b"\0\0\0\x08\x04\xd2\x16\x2f");
//! assert!(matches!(shard.poll_output(), Some(Output::Skip { len: 8, .. })));
//! assert!(matches!(shard.poll_output(), Some(Output::Send { bytes, .. }) if bytes == "N"));
//! assert!(shard.poll_output().is_none());
//! ```

pub mod admin;
pub mod auth;
pub mod backend;
pub mod buffer;
pub mod clients;
pub mod config;
pub mod control;
pub mod entropy;
pub mod failover;
pub mod flow;
pub mod health;
pub mod id;
pub mod inquiry;
pub mod job;
pub mod limits;
pub mod machine;
pub mod memory;
pub mod message;
pub mod output;
pub mod pool;
pub mod recovery;
pub mod route;
pub mod session;
pub mod shard;
pub mod time;
pub mod topology;
pub mod wire;
