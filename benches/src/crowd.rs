//! Thousands of clients: how fast they log in, what they cost while they do nothing, and how they
//! share a few server connections.

use std::io;
use std::time::Instant;

use pgherd_herd::Herd;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use crate::client::Client;
use crate::cpu;
use crate::proxy::{Layout, Method, Running};
use crate::report::markdown;
use crate::rounds::per_1000;
use crate::target::{Pooling, Proxy};
use crate::trouble::Trouble;

/// What a crowd came to.
#[derive(Clone, Debug, Serialize)]
pub struct Gathering {
    /// Which proxy served it.
    pub target: &'static str,
    /// Clients that logged in at once.
    pub storm: usize,
    /// Seconds until the last of them was ready.
    pub storm_seconds: f64,
    /// Bytes that the proxy holds for each of them after its login.
    pub idle_bytes: usize,
    /// The same, after each has asked something.
    pub used_bytes: usize,
    /// Clients that asked at once.
    pub clients: usize,
    /// Transactions of all clients together a second.
    pub tps: f64,
    /// CPU time of the proxy, in milliseconds for each 1,000 transactions.
    pub cpu_ms_per_1000: f64,
    /// Server connections that they shared.
    pub connections: u16,
}

/// The proxies that serve a crowd: those that can share connections between transactions.
const PROXIES: [(&str, Proxy); 2] =
    [("pgbouncer pooled", Proxy::PgBouncer), ("pgherd pooled", Proxy::Pgherd)];

/// What the filter of scenarios calls this.
pub const NAME: &str = "crowd";

/// Lets crowds come, one proxy after the other; tells why where that cannot be done.
pub fn play(
    herd: &Herd,
    is_wanted: impl Fn(&str) -> bool,
    progress: &mut dyn FnMut(&str),
) -> Result<(Vec<Gathering>, Vec<String>), Trouble> {
    let (mut gatherings, mut missing) = (Vec::new(), Vec::new());
    let clients_max = room_for_clients();
    for (name, proxy) in PROXIES.into_iter().filter(|(name, _)| is_wanted(name)) {
        progress(&format!("{NAME}: {name}"));
        let layout = Layout {
            proxy,
            nodes: 1,
            pooling: Pooling::Transaction,
            connections_max: CONNECTIONS,
            clients_max: u16::try_from(CLIENTS).unwrap_or(u16::MAX).saturating_add(SPARE),
            method: Method::Md5,
        };
        let gathering = Running::start(herd, layout).and_then(|running| {
            let found = gather(name, &running, clients_max);
            found.map_err(Trouble::io("talk to", name.as_ref()))
        });
        match gathering {
            Ok(gathering) => gatherings.push(gathering),
            Err(trouble) if trouble.is_interrupt() => return Err(trouble),
            Err(trouble) => missing.push(format!("{NAME} of {name}: {trouble}")),
        }
    }
    Ok((gatherings, missing))
}

fn gather(target: &'static str, proxy: &Running, clients_max: usize) -> io::Result<Gathering> {
    let before = cpu::memory_of_tree(proxy.pid());
    let share = |count: usize| {
        cpu::memory_of_tree(proxy.pid()).saturating_sub(before).checked_div(count).unwrap_or(0)
    };
    let start = Instant::now();
    let mut crowd = log_in(proxy.port(), STORM)?;
    let storm_seconds = start.elapsed().as_secs_f64();
    let idle_bytes = share(crowd.len());
    wave(&mut crowd)?;
    let used_bytes = share(crowd.len());
    let more = CLIENTS.min(clients_max).saturating_sub(crowd.len());
    for _ in 0..more.div_ceil(STORM) {
        let left = CLIENTS.min(clients_max).saturating_sub(crowd.len());
        crowd.extend(log_in(proxy.port(), left.min(STORM))?);
    }
    let (start, used) = (Instant::now(), cpu::of_tree(proxy.pid()));
    for _ in 0..WAVES {
        wave(&mut crowd)?;
    }
    let (elapsed, used) = (start.elapsed(), cpu::of_tree(proxy.pid()).saturating_sub(used));
    let transactions = WAVES * crowd.len();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let tps = transactions as f64 / elapsed.as_secs_f64();
    Ok(Gathering {
        target,
        storm: STORM,
        storm_seconds,
        idle_bytes,
        used_bytes,
        clients: crowd.len(),
        tps,
        cpu_ms_per_1000: per_1000(used, u64::try_from(transactions).unwrap_or(u64::MAX)),
        connections: CONNECTIONS,
    })
}

/// Has clients log in, all at once.
fn log_in(port: u16, count: usize) -> io::Result<Vec<Client>> {
    let mut clients = (0..count).map(|_| Client::open(port)).collect::<io::Result<Vec<_>>>()?;
    clients.iter_mut().try_for_each(Client::prove)?;
    for client in &mut clients {
        client.finish()?;
    }
    Ok(clients)
}

/// Has every client ask something, all at once.
fn wave(clients: &mut [Client]) -> io::Result<()> {
    clients.iter_mut().try_for_each(|client| client.ask(QUERY))?;
    for client in clients {
        let rows = client.finish()?;
        if rows != 1 {
            return Err(io::Error::other(format!("{rows} rows instead of one")));
        }
    }
    Ok(())
}

/// Raises the limit of open files, which the proxies inherit; returns for how many clients there is
/// room.
fn room_for_clients() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        eprintln!("the limit of open files cannot be raised: {error}");
    }
    let granted = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(granted).unwrap_or(usize::MAX).saturating_sub(usize::from(SPARE))
}

/// Prints what crowds came to as a table in Markdown.
#[must_use]
pub fn table(gatherings: &[Gathering]) -> String {
    let columns =
        ["", "logins", "seconds", "bytes, idle", "bytes, used", "clients", "over", "tps", "CPU ms"];
    let mut rows = vec![columns.map(str::to_owned)];
    rows.extend(gatherings.iter().map(|found| {
        [
            found.target.to_owned(),
            found.storm.to_string(),
            format!("{:.2}", found.storm_seconds),
            found.idle_bytes.to_string(),
            found.used_bytes.to_string(),
            found.clients.to_string(),
            found.connections.to_string(),
            format!("{:.0}", found.tps),
            format!("{:.1}", found.cpu_ms_per_1000),
        ]
    }));
    format!(
        "### {NAME}: logins at once, what idle clients cost, and all of them asking at once\n\n{}\n\
         Bytes: growth of the proxy's resident set for each of the first {STORM} clients, after \
         the login and after one query each.\n",
        markdown(&rows)
    )
}

/// Clients that log in at once, and of which the memory is measured.
const STORM: usize = 2000;

/// Clients that ask at once.
const CLIENTS: usize = 10_000;

/// Server connections that they share.
const CONNECTIONS: u16 = 20;

/// How often each client asks.
const WAVES: usize = 5;

/// Files beside the clients' connections, and clients beside the crowd.
const SPARE: u16 = 200;

/// What each client asks: it reads, and touches no table.
const QUERY: &str = "SELECT 1";
