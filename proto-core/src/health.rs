//! How a server is watched: when to look at it, and what it says.

pub mod probe;
pub mod reply;
pub mod rounds;
