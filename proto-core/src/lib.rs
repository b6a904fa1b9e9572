//! The machines of pgherd.

pub mod auth;
pub mod config;
pub mod entropy;
pub mod id;
pub mod limits;
pub mod machine;
pub mod message;
pub mod output;
pub mod route;
pub mod time;
pub mod topology;
pub mod wire;
