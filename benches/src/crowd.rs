//! Thousands of clients: how fast they log in, what they cost while they do nothing, and how they
//! share a few server connections.

use std::io;
use std::time::Instant;

use pgherd_herd::HOST;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use crate::client::Client;
use crate::cpu;
use crate::load::log_in;
use crate::markdown::markdown;
use crate::proxy::{CONNECTIONS_SHARED, Running};
use crate::rounds::per_1000;
use crate::scenario::SHORT;

/// What a crowd came to.
#[derive(Clone, Debug, Serialize)]
pub struct Gathering {
    /// Which proxy served it.
    pub target: String,
    /// Clients that logged in at once.
    pub storm: usize,
    /// Seconds until the last of them was ready.
    pub storm_seconds: f64,
    /// Bytes that the proxy holds for each of them after its login.
    pub storm_bytes: usize,
    /// All clients.
    pub clients: usize,
    /// Bytes that the proxy holds for each of all clients after its login.
    pub idle_bytes: usize,
    /// The same, after each has asked something.
    pub used_bytes: usize,
    /// Transactions of all clients together a second.
    pub tps: f64,
    /// CPU time of the proxy, in milliseconds for each 1,000 transactions.
    pub cpu_ms_per_1000: f64,
    /// Server connections that they shared.
    pub connections: u16,
}

/// What the filter of scenarios calls this.
pub const NAME: &str = "crowd";

/// Lets a crowd come to a proxy that has had no clients yet.
pub fn gather(target: &str, proxy: &Running) -> io::Result<Gathering> {
    let before = cpu::memory_of_tree(proxy.pid());
    let share = |count: usize| {
        cpu::memory_of_tree(proxy.pid()).saturating_sub(before).checked_div(count).unwrap_or(0)
    };
    let start = Instant::now();
    let mut crowd = log_in(HOST, proxy.port(), STORM)?;
    let storm_seconds = start.elapsed().as_secs_f64();
    let storm_bytes = share(crowd.len());
    let clients = room_for_clients().min(CLIENTS);
    while crowd.len() < clients {
        let more = (clients - crowd.len()).min(STORM);
        crowd.extend(log_in(HOST, proxy.port(), more)?);
    }
    let idle_bytes = share(crowd.len());
    wave(&mut crowd)?;
    let used_bytes = share(crowd.len());
    let (start, used) = (Instant::now(), cpu::of_tree(proxy.pid()));
    for _ in 0..WAVES {
        wave(&mut crowd)?;
    }
    let (elapsed, used) = (start.elapsed(), cpu::of_tree(proxy.pid()).saturating_sub(used));
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let transactions = (WAVES * crowd.len()) as f64;
    Ok(Gathering {
        target: target.to_owned(),
        storm: STORM,
        storm_seconds,
        storm_bytes,
        clients: crowd.len(),
        idle_bytes,
        used_bytes,
        tps: transactions / elapsed.as_secs_f64(),
        cpu_ms_per_1000: per_1000(used, transactions),
        connections: CONNECTIONS_SHARED,
    })
}

/// Has every client ask something, all at once.
pub(crate) fn wave(clients: &mut [Client]) -> io::Result<()> {
    clients.iter_mut().try_for_each(|client| client.ask(SHORT))?;
    for client in clients {
        let (rows, _) = client.finish()?;
        if rows != 1 {
            return Err(io::Error::other(format!("{rows} rows instead of one")));
        }
    }
    Ok(())
}

/// Raises the limit of open files, which the proxies inherit if they are started later; returns for
/// how many clients there is room.
pub fn room_for_clients() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        eprintln!("the limit of open files cannot be raised: {error}");
    }
    let granted = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(granted).unwrap_or(usize::MAX).saturating_sub(SPARE)
}

/// Prints what crowds came to as a table in Markdown.
#[must_use]
pub fn table(gatherings: &[Gathering]) -> String {
    let columns = [
        "",
        "logins",
        "seconds",
        "bytes",
        "clients",
        "bytes, idle",
        "bytes, used",
        "tps",
        "CPU ms",
    ];
    let mut rows = vec![columns.map(str::to_owned)];
    rows.extend(gatherings.iter().map(|found| {
        [
            found.target.clone(),
            found.storm.to_string(),
            format!("{:.2}", found.storm_seconds),
            found.storm_bytes.to_string(),
            found.clients.to_string(),
            found.idle_bytes.to_string(),
            found.used_bytes.to_string(),
            format!("{:.0}", found.tps),
            format!("{:.1}", found.cpu_ms_per_1000),
        ]
    }));
    format!(
        "### {NAME}: logins at once, what idle clients cost, and all of them asking at once\n\n{}\n\
         Bytes: growth of the proxy's proportional set size for each client, after the first \
         {STORM} logins, after all of them, and after one query each. All share \
         {CONNECTIONS_SHARED} connections, and ask {WAVES} times.\n",
        markdown(&rows)
    )
}

/// Clients that log in at once.
const STORM: usize = 2000;

/// Clients in all.
const CLIENTS: usize = 10_000;

/// How often each client asks.
const WAVES: usize = 5;

/// Files beside the clients' connections.
const SPARE: usize = 200;
