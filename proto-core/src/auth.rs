//! Who a client is, and who pgherd is to a server: secrets and the exchanges that prove them.

pub mod md5;
pub mod passwd;
pub mod scram;
pub mod secret;
