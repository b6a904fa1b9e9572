//! The machines of pgherd.

pub mod auth;
pub mod backend;
pub mod buffer;
pub mod config;
pub mod control;
pub mod entropy;
pub mod flow;
pub mod health;
pub mod id;
pub mod limits;
pub mod machine;
pub mod message;
pub mod output;
pub mod pool;
pub mod route;
pub mod session;
pub mod shard;
pub mod time;
pub mod topology;
pub mod wire;
