//! pgherd as a frontend: connections to servers.
//!
//! [`login`] proves to a server who pgherd is; [`link`] is one connection and what it owes.

pub mod link;
pub mod login;
