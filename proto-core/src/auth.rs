//! Who a client is, and who pgherd is to a server: secrets and the exchanges that prove them.
//!
//! Two machines face the two sides of the proxy. [`exchange::Exchange`] asks a client for its
//! proof; [`answer::Answer`] gives a server ours. Both speak in bodies of messages: framing,
//! sockets and deadlines are their callers' business. Which method applies is decided by
//! [`Method`](crate::config::Method) and whoever reads it, not here.
//!
//! What holds throughout:
//!
//! - A [`secret::Secret`] never prints, and is wiped when it is dropped.
//! - A proof is compared whole and in constant time. Pgpool-II compares a clear-text password only
//!   as far as the client sent it, so that a prefix is enough; here it is not.
//! - A client that fails learns that it failed, after the full exchange, and nothing else: an
//!   unknown user, a wrong password and a secret that the method cannot use look alike. The log is
//!   told more, by [`exchange::Reason`].

pub mod answer;
pub mod exchange;
pub mod md5;
pub mod passwd;
pub mod pcp;
pub mod pcppass;
pub mod scram;
pub mod secret;
