//! What is told of nodes, by `SHOW` and over PCP alike.

use std::borrow::Cow;

use super::reply::{Delay, NodeInfo};
use crate::config::{Config, Dialect};
use crate::id::BackendId;
use crate::inquiry::{Sheet, figure};
use crate::time::{WallClock, WallTime};
use crate::topology::{Node, Role, Topology};

/// What the row of a node's checks tells, for [`Account::checks`] and `SHOW pool_health_check_stats`.
pub const CHECKS: [&str; 20] = [
    "node_id",
    "hostname",
    "port",
    "status",
    "role",
    "last_status_change",
    "total_count",
    "success_count",
    "fail_count",
    "skip_count",
    "retry_count",
    "average_retry_count",
    "max_retry_count",
    "max_duration",
    "min_duration",
    "average_duration",
    "last_health_check",
    "last_successful_health_check",
    "last_skip_health_check",
    "last_failed_health_check",
];

/// A node as it is told of.
#[derive(Clone, Debug)]
pub struct Account<'a> {
    /// What is known of it.
    pub node: Cow<'a, Node>,
    /// Where it is; empty if it is unused.
    pub hostname: &'a str,
    /// Its port; 0 if it is unused.
    pub port: u16,
    /// Its share of the reads, from 0 to 1. 0 for all if no node has a weight.
    pub share: f64,
    /// Whether delays count by time: `delay_threshold_by_time` is set.
    pub is_timed: bool,
}

/// How many numbers of nodes are told of: whoever asks for one node after the other asks for that
/// many. Numbers may have gaps, and a gap is a node that is unused, as in Pgpool-II.
#[must_use]
pub fn count(config: &Config) -> usize {
    let last = config.backends.iter().map(|backend| backend.id.index()).max();
    last.map_or(0, |last| last + 1)
}

/// Gives an account of every node, in the order of their numbers, none of which is left out.
pub fn accounts<'a>(
    config: &'a Config,
    topology: &'a Topology,
    clock: WallClock,
) -> impl Iterator<Item = Account<'a>> {
    let is_timed = !config.routing.delay.time.is_zero();
    let total: f64 = config.backends.iter().map(|backend| backend.weight).sum();
    let numbers = (0..count(config)).filter_map(|number| u8::try_from(number).ok());
    numbers.map(BackendId).filter_map(move |id| {
        let Some(backend) = config.backend(id) else {
            let node = Cow::Owned(Node::unused(id, clock.start));
            return Some(Account { node, hostname: "", port: 0, share: 0.0, is_timed });
        };
        let node = Cow::Borrowed(topology.node(id)?);
        let share = if total > 0.0 { backend.weight / total } else { 0.0 };
        Some(Account { node, hostname: &backend.hostname, port: backend.port, share, is_timed })
    })
}

impl Account<'_> {
    /// What it is taken for: Pgpool-II takes whatever is not the primary for a standby.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.node.role == Role::Primary { Role::Primary } else { Role::Standby }
    }

    /// How far it is behind: in bytes, too, where it is not known for how long; 0 if nothing is.
    fn delay(&self) -> Delay {
        match self.node.lag_time.filter(|_| self.is_timed) {
            Some(late) => Delay::Time(u64::try_from(late.as_micros()).unwrap_or(u64::MAX)),
            None => Delay::Bytes(self.lag()),
        }
    }

    /// The same as Pgpool-II shows it: with its unit in time, and never of the primary.
    #[must_use]
    pub fn shown_delay(&self) -> String {
        match self.delay() {
            Delay::Time(_) if self.role() == Role::Primary => "0".to_owned(),
            delay @ (Delay::Bytes(_) | Delay::Time(_)) => delay.to_string(),
        }
    }

    /// How many bytes of WAL it lacks.
    fn lag(&self) -> u64 {
        match self.role() {
            Role::Primary => 0,
            Role::Standby | Role::Unknown => self.node.lag.unwrap_or(0),
        }
    }

    /// What rows about a node's servers begin with: number, host, port, status, role.
    #[must_use]
    pub fn beginning(&self) -> [String; 5] {
        [
            self.node.id.to_string(),
            self.hostname.to_owned(),
            self.port.to_string(),
            self.node.status.word().to_owned(),
            self.role().word().to_owned(),
        ]
    }

    /// How its checks went: the row of `SHOW pool_health_check_stats`, and the answer to `H`.
    #[must_use]
    pub fn checks(&self, sheet: &Sheet, clock: WallClock) -> Vec<String> {
        let time = |at| if at == 0 { String::new() } else { clock.print(WallTime(at)) };
        let mut row = Vec::from(self.beginning());
        row.push(clock.print(self.node.changed));
        row.extend(check_cells(|word| sheet.figure(Some(self.node.id), word), time));
        row
    }

    /// The answer to `I`. The older dialect knows of bytes alone.
    #[must_use]
    pub fn info(&self, dialect: Dialect) -> NodeInfo<'_> {
        NodeInfo {
            host: self.hostname,
            port: self.port,
            status: self.node.status,
            actual_status: self.node.seen,
            weight: self.share,
            role: self.role(),
            actual_role: self.node.server_role,
            delay: match dialect {
                Dialect::V43 => Delay::Bytes(self.lag()),
                Dialect::V44 => self.delay(),
            },
            replication_state: &self.node.replication_state,
            sync_state: &self.node.sync_state,
            changed: self.node.changed.0,
        }
    }
}

/// The cells of a node's checks. None is ever skipped: a node that is down is looked at too.
fn check_cells(value: impl Fn(&'static str) -> u64, time: impl Fn(u64) -> String) -> [String; 14] {
    let count = |word| value(word).to_string();
    let total = value(figure::TOTAL);
    let average = |sum: u64, unit: u64| {
        // Milliseconds or retries, in thousandths: exact up to half a thousandth.
        let thousandths = (sum.saturating_mul(1000) / unit).checked_div(total).unwrap_or(0);
        format!("{}.{:03}000", thousandths / 1000, thousandths % 1000)
    };
    let millis = |word| (value(word) / 1000).to_string();
    [
        count(figure::TOTAL),
        count(figure::SUCCESS),
        count(figure::FAIL),
        "0".to_owned(),
        count(figure::RETRY),
        average(value(figure::RETRY), 1),
        count(figure::RETRY_MAX),
        millis(figure::DURATION_MAX),
        millis(figure::DURATION_MIN),
        average(value(figure::DURATION), 1000),
        time(value(figure::LAST)),
        time(value(figure::LAST_SUCCESS)),
        String::new(),
        time(value(figure::LAST_FAIL)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    #[test]
    fn a_delay_is_told_in_what_is_measured_and_known() {
        let account = |role, lag_time, is_timed| {
            let unused = Node::unused(BackendId(1), WallTime(0));
            let node = Cow::Owned(Node { role, lag: Some(7), lag_time, ..unused });
            Account { node, hostname: "h", port: 1, share: 0.5, is_timed }
        };
        let late = Some(Duration::from_millis(2_500));
        for (role, lag_time, is_timed, shown, old, new) in [
            (Role::Standby, late, false, "7", Delay::Bytes(7), Delay::Bytes(7)),
            (
                Role::Standby,
                late,
                true,
                "2.500000 seconds",
                Delay::Bytes(7),
                Delay::Time(2_500_000),
            ),
            (Role::Standby, None, true, "7", Delay::Bytes(7), Delay::Bytes(7)),
            (Role::Primary, Some(Duration::ZERO), true, "0", Delay::Bytes(0), Delay::Time(0)),
        ] {
            let account = account(role, lag_time, is_timed);
            assert_eq!(account.shown_delay(), shown);
            assert_eq!(account.info(Dialect::V43).delay, old, "{shown}");
            assert_eq!(account.info(Dialect::V44).delay, new, "{shown}");
        }
    }

    #[test]
    fn checks_are_shown_as_pgpool_shows_them() {
        let value = |word| match word {
            figure::TOTAL => 3,
            figure::SUCCESS => 2,
            figure::FAIL => 1,
            figure::RETRY => 2,
            figure::RETRY_MAX => 2,
            figure::DURATION => 10_500,
            figure::DURATION_MAX => 7_900,
            figure::DURATION_MIN => 1_200,
            figure::LAST | figure::LAST_SUCCESS => 77,
            _ => 0,
        };
        let time = |at| if at == 0 { String::new() } else { format!("at {at}") };
        let cells = check_cells(value, time);
        let expected = [
            "3", "2", "1", "0", "2", "0.666000", "2", "7", "1", "3.500000", "at 77", "at 77", "",
            "",
        ];
        assert_eq!(cells, expected);
        let nothing = check_cells(|_| 0, |_| String::new());
        assert_eq!(nothing[5], "0.000000");
    }
}
