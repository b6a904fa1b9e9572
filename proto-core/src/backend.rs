//! pgherd as a frontend: connections to servers.
//!
//! [`login`] proves to a server who pgherd is; [`link`] is one connection, [`pending`] what it
//! owes; [`dialogue`] is one for pgherd's own questions; [`statement`] is what it takes to prepare a
//! statement on another connection.

pub mod applied;
pub mod audit;
pub mod dialogue;
pub mod history;
pub mod kept;
pub mod link;
pub mod login;
pub mod missed;
pub mod pending;
pub mod statement;
