//! Administration over PCP, the protocol of Pgpool-II's `pcp_…` programs: bytes in, packets out.
//!
//! PCP has no public description. What is here follows what Pgpool-II 4.3.5 and its clients are seen
//! to send. A [`conversation::Conversation`] logs somebody in and tells what is asked, and [`reply`]
//! writes what the asked one answers. A [`client::Client`] is the other end, whose answers
//! [`answer`] reads. What `SHOW` says as well is put into words once, for both, by
//! [`nodes`] and [`settings`].

pub mod answer;
pub mod client;
pub mod conversation;
pub mod nodes;
pub mod packet;
pub mod reply;
pub mod request;
pub mod settings;
