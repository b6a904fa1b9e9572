//! Clients that come and go for as long as it takes, and whether anything of the proxy grows.

use std::io;
use std::time::{Duration, Instant};

use pgherd_core::entropy::Entropy;
use pgherd_herd::{HOST, Herd};

use crate::client::{BUFFER_LEN_SMALL, Client};
use crate::cpu;
use crate::crowd::wave;
use crate::load::log_in;
use crate::proxy::Running;
use crate::trouble::Trouble;

/// What a proxy holds at one moment, all clients being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its proportional set size, in bytes.
    pub memory: usize,
    /// Its open files.
    pub files: usize,
    /// Connections to its servers.
    pub connections: usize,
}

/// Something that is not flat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// What.
    pub what: &'static str,
    /// The most of it in the second quarter of the time.
    pub was: usize,
    /// The most of it in the last quarter.
    pub is: usize,
}

/// Has clients come and go for some time; returns what was seen once a second.
pub fn play(
    herd: &Herd,
    proxy: &Running,
    time: Duration,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Sample>, Trouble> {
    let name = "the proxy".as_ref();
    let mut clients = log_in(HOST, proxy.port(), CLIENTS).map_err(Trouble::io("talk to", name))?;
    let mut entropy = Entropy::from_seed([7; 32]);
    let (end, mut samples) = (Instant::now() + time, Vec::new());
    while Instant::now() < end {
        let next = Instant::now() + PERIOD;
        let mut turns = 0;
        while Instant::now() < next {
            let turn = wave(&mut clients).and_then(|()| replace(proxy, &mut clients, &mut entropy));
            turn.map_err(Trouble::io("talk to", name))?;
            turns += 1;
        }
        let connections = herd.psql(0, CONNECTIONS)?.trim().parse().unwrap_or_default();
        let (memory, files) = (cpu::memory_of_tree(proxy.pid()), cpu::files_of_tree(proxy.pid()));
        progress(&format!(
            "{turns} turns, {} kB, {files} files, {connections} server connections",
            memory / 1024
        ));
        samples.push(Sample { memory, files, connections });
    }
    Ok(samples)
}

/// Has some clients leave, in every way that there is, and others come in their places.
fn replace(proxy: &Running, clients: &mut [Client], entropy: &mut Entropy) -> io::Result<()> {
    for number in 0..COMING {
        let place = entropy.below(CLIENTS as u64);
        let Some(client) = usize::try_from(place).ok().and_then(|place| clients.get_mut(place))
        else {
            continue;
        };
        match number % 3 {
            // Without a word.
            0 => {}
            // In the middle of a transaction.
            1 => {
                client.ask("BEGIN")?;
                client.finish()?;
            }
            // While an answer is on its way.
            _ => client.ask("SELECT pg_sleep(0.01)")?,
        }
        *client = Client::open(HOST, proxy.port(), BUFFER_LEN_SMALL)?;
        client.enter()?;
    }
    Ok(())
}

/// What is looked at: its name, how much of it may be more by chance, and where it is.
type Held = (&'static str, usize, fn(&Sample) -> usize);

/// Looks for what is not flat: whether there is more of it in the last quarter of the time than
/// there was in the second. In the first, everything grows to its size.
#[must_use]
pub fn growths(samples: &[Sample]) -> Vec<Growth> {
    let quarter = samples.len() / 4;
    let most = |from: usize, of: fn(&Sample) -> usize| {
        samples.iter().skip(from).take(quarter).map(of).max().unwrap_or_default()
    };
    let grown = |(what, slack, of): Held| {
        let (was, is) = (most(quarter, of), most(samples.len() - quarter, of));
        (is > was + was / SHARE + slack).then_some(Growth { what, was, is })
    };
    let held: [Held; 3] = [
        ("memory", MEMORY_SLACK, |sample| sample.memory),
        ("open files", FILES_SLACK, |sample| sample.files),
        ("server connections", FILES_SLACK, |sample| sample.connections),
    ];
    held.into_iter().filter_map(grown).collect()
}

/// Clients that are there.
const CLIENTS: usize = 1000;

/// Clients that leave and come at once.
const COMING: usize = 60;

/// How often there is a sample.
const PERIOD: Duration = Duration::from_secs(1);

/// What may be more by chance: one part in so many.
const SHARE: usize = 20;

/// Memory that may be more by chance, in bytes.
const MEMORY_SLACK: usize = 256 * 1024;

/// Files and connections that may be more by chance: those on their way in or out.
const FILES_SLACK: usize = 8;

/// What a server is asked for the number of its clients.
const CONNECTIONS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_named() {
        let sample = |memory, files, connections| Sample { memory, files, connections };
        let flat = sample(10_000_000, 1030, 20);
        let cases: &[(&str, [Sample; 2], &[&str])] = &[
            ("flat", [flat, flat], &[]),
            ("less", [flat, sample(1, 1, 1)], &[]),
            ("a little", [flat, sample(10_100_000, 1040, 22)], &[]),
            ("memory", [flat, sample(11_000_000, 1030, 20)], &["memory"]),
            ("the rest", [flat, sample(1, 1300, 40)], &["open files", "server connections"]),
        ];
        for (name, [early, late], expected) in cases {
            let times = [[*early; 8], [*late; 8]].concat();
            let found: Vec<_> = growths(&times).iter().map(|growth| growth.what).collect();
            assert_eq!(found, *expected, "{name}");
        }
    }

    #[test]
    fn growing_to_its_size_is_no_growth() {
        let sample = |memory| Sample { memory, files: 0, connections: 0 };
        let samples: Vec<_> = [1_000_000, 9_000_000, 9_000_000, 9_000_000].map(sample).into();
        assert_eq!(growths(&samples), []);
    }
}
