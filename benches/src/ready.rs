//! A target that can have its turn.

use pgherd_herd::HOST;

use crate::proxy::Running;
use crate::target::{Proxy, Target};

/// A target that is up.
#[derive(Debug)]
pub struct Ready {
    /// What it is.
    pub target: Target,
    /// Its process, if it was started.
    pub proxy: Option<Running>,
    /// Where it listens.
    pub port: u16,
}

impl Ready {
    /// The host at which it listens.
    #[must_use]
    pub fn host(&self) -> &str {
        match &self.target.proxy {
            Some(Proxy::External(address)) => &address.host,
            None | Some(_) => HOST,
        }
    }

    /// The process at the root of its tree.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match &self.target.proxy {
            Some(Proxy::External(address)) => address.pid,
            None | Some(_) => self.proxy.as_ref().map(Running::pid),
        }
    }
}
