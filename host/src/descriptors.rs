//! How many files the process may have open, each connection being one.
//!
//! Shells and service managers start programs with 1,024, a limit that is kept low for programs that
//! use `select`, and let them raise it themselves.

use pgherd_core::config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the system allows, and warns where that is too little.
pub fn raise(config: &Config) {
    let wanted = wanted(config);
    if let Some(granted) = raise_to_highest().filter(|granted| *granted < wanted) {
        log::warn!(
            "the system allows {granted} open files, and {wanted} may be needed: clients beyond \
             that wait unaccepted; raise LimitNOFILE or ulimit -n, or lower client_max"
        );
    }
}

/// Raises the limit and returns what it is then; none is no limit.
fn raise_to_highest() -> Option<u64> {
    if let Some(raised) = raised(&getrlimit(Resource::Nofile))
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        log::warn!("the limit of open files cannot be raised: {error}");
    }
    getrlimit(Resource::Nofile).current
}

/// What to set the limit to, if it is not as high as it may be.
fn raised(limit: &Rlimit) -> Option<Rlimit> {
    let is_highest = match (limit.current, limit.maximum) {
        (None, _) => true,
        (Some(current), Some(maximum)) => current >= maximum,
        (Some(_), None) => false,
    };
    (!is_highest).then_some(Rlimit { current: limit.maximum, maximum: limit.maximum })
}

/// What may be open at once: clients, connections to servers with as many cancel requests, what each
/// thread has, listeners of its own among it, and what every process has.
fn wanted(config: &Config) -> u64 {
    let servers = config.backends.len() * config.pool.backend_connections_max * 2;
    let doors =
        config.listen_addresses.len() * ADDRESSES_PER_NAME + config.unix_socket_directories.len();
    let threads = config.worker_threads.max(1) * (doors + FILES_PER_THREAD);
    u64::try_from(config.client_max + servers + threads + FILES_OWN).unwrap_or(u64::MAX)
}

/// A name to listen at may stand for an address of IPv4 and one of IPv6.
const ADDRESSES_PER_NAME: usize = 2;

/// Files that a thread has beside listeners: its poller, its bell, what an executor waits with.
const FILES_PER_THREAD: usize = 8;

/// Files that are open beside that: listeners for PCP, logs, checks, what is lent to commands.
const FILES_OWN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_may() {
        let cases = [
            ("as shells have it", Some(1024), Some(524_288), Some(Some(524_288))),
            ("as high as may be", Some(4096), Some(4096), None),
            ("without a highest", Some(1024), None, Some(None)),
            ("without any", None, None, None),
        ];
        for (name, current, maximum, expected) in cases {
            let found = raised(&Rlimit { current, maximum });
            assert_eq!(found.map(|limit| limit.current), expected, "{name}");
        }
    }

    #[test]
    fn every_thread_has_listeners_of_its_own() {
        let config = |threads: usize| {
            let mut config = (*crate::puppet::in_front_of(&[("db", 5432)])).clone();
            config.listen_addresses = vec!["localhost".to_owned(), "db".to_owned()];
            config.unix_socket_directories = vec!["/tmp".to_owned()];
            config.worker_threads = threads;
            config
        };
        let more = wanted(&config(64)) - wanted(&config(1));
        assert_eq!(more, 63 * (2 * 2 + 1 + 8));
    }

    #[test]
    fn a_process_raises_its_own() {
        let granted = raise_to_highest();
        assert_eq!(granted, getrlimit(Resource::Nofile).maximum);
    }
}
