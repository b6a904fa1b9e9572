//! Administration over PCP, the protocol of Pgpool-II's `pcp_…` programs: bytes in, packets out.
//!
//! PCP has no public description. What is here follows what Pgpool-II 4.3.5 and its clients are seen
//! to send. Nothing here knows a node or a process: a [`conversation::Conversation`] logs somebody
//! in and tells what is asked, and [`reply`] writes what the asked one answers.

pub mod conversation;
pub mod packet;
pub mod reply;
pub mod request;
