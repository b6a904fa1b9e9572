//! The machines of pgherd.

pub mod auth;
pub mod config;
pub mod entropy;
pub mod id;
pub mod route;
pub mod time;
