//! One run of pgbench, and what it said.

use std::ffi::OsString;

use pgherd_herd::{HOST, Herd, USER};

use crate::ready::Ready;
use crate::trouble::Trouble;

/// What a run of pgbench came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Transactions done.
    pub transactions: f64,
    /// Transactions a second: without the first connections, with those of `-C`.
    pub tps: f64,
}

/// Makes pgbench's tables on the primary.
pub fn prepare(herd: &Herd, scale: u16) -> Result<(), Trouble> {
    let port = herd.primary().port().to_string();
    let scale = scale.to_string();
    let args = ["-i", "-q", "-s", &scale, "-h", HOST, "-p", &port, "-U", USER, "postgres"];
    herd.run("pgbench", args.map(OsString::from))?;
    Ok(())
}

/// Runs pgbench against a target.
pub fn run(
    herd: &Herd,
    clients: u16,
    options: &[&str],
    ready: &Ready,
    seconds: u32,
) -> Result<Outcome, Trouble> {
    let (port, seconds, count) = (ready.port.to_string(), seconds.to_string(), clients.to_string());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = usize::from(clients).min(cores).to_string();
    let args = ["-n", "-T", &seconds, "-c", &count, "-j", &jobs];
    let address = ["-h", ready.host(), "-p", &port, "-U", USER, "postgres"];
    let args = args.iter().chain(options).chain(&address).map(OsString::from);
    let said = herd.run("pgbench", args)?;
    parse(&said).ok_or(Trouble::Output { program: "pgbench", said })
}

fn parse(said: &str) -> Option<Outcome> {
    let after = |label: &str| said.lines().find_map(|line| line.trim().strip_prefix(label));
    let number = |text: &str| text.split([' ', '/']).next()?.parse::<f64>().ok();
    let transactions = after("number of transactions actually processed: ")?;
    Some(Outcome { transactions: number(transactions)?, tps: number(after("tps = ")?)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_tell_the_speed_are_read() {
        let cases = [
            ("tps = 20480.5 (without initial connection time)", 20480.5),
            ("tps = 99.25 (including reconnection times)", 99.25),
        ];
        for (line, tps) in cases {
            let said = format!(
                "pgbench (15.14)\nnumber of transactions actually processed: 1234\n\
                 number of failed transactions: 0 (0.000%)\nlatency average = 0.781 ms\n{line}\n"
            );
            let outcome = Outcome { transactions: 1234.0, tps };
            assert_eq!(parse(&said), Some(outcome), "{line}");
        }
        assert_eq!(parse("pgbench: error"), None);
    }
}
