//! What the requests of PCP are answered, packet by packet.

use super::packet::{Composer, Payload, Report};
use crate::config::Dialect;
use crate::topology::{Role, Seen, Status};
use bytes::Bytes;
use std::fmt::{self, Display};

/// What the last packet of a reply says, or the only one says first.
const COMPLETE: &str = "CommandComplete";

/// What is told of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeInfo<'a> {
    /// Where it is: a name, an address or a socket's directory.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// Whether it is used.
    pub status: Status,
    /// Whether its server answers.
    pub actual_status: Seen,
    /// Its share of the reads, from 0 to 1.
    pub weight: f64,
    /// What it is taken for.
    pub role: Role,
    /// What its server says it is.
    pub actual_role: Role,
    /// How far it is behind the primary.
    pub delay: Delay,
    /// The state of its replication as the primary tells it; empty if that is unknown.
    pub replication_state: &'a str,
    /// Whether it is a synchronous standby, as the primary tells it; empty if that is unknown.
    pub sync_state: &'a str,
    /// When its status changed last, in seconds since 1970.
    pub changed: u64,
}

/// How far a node is behind the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// By so many bytes of WAL.
    Bytes(u64),
    /// By so many microseconds.
    Time(u64),
}

/// In words as Pgpool-II has them: a number of bytes, or of seconds with the unit.
impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Time(micros) => {
                let unit = if *micros < 2_000_000 { "second" } else { "seconds" };
                write!(f, "{}.{:06} {unit}", micros / 1_000_000, micros % 1_000_000)
            }
        }
    }
}

/// Clients divide a weight by the C library's `RAND_MAX`.
pub(super) const RAND_MAX: f64 = 2_147_483_647.0;

/// What is done and has nothing to tell.
#[must_use]
pub fn done(tag: u8) -> Bytes {
    closing(Composer::default(), tag).finish()
}

/// Answers `L`.
#[must_use]
pub fn node_count(count: usize) -> Bytes {
    complete_with(b'l', [count])
}

/// Answers `N`: how many processes there are, and which.
#[must_use]
pub fn process_count(pids: &[u64]) -> Bytes {
    let count = u64::try_from(pids.len()).unwrap_or(u64::MAX);
    complete_with(b'n', std::iter::once(count).chain(pids.iter().copied()))
}

/// Answers `H`, with the columns of `SHOW pool_health_check_stats`.
#[must_use]
pub fn health_stats<T: Display>(columns: impl IntoIterator<Item = T>) -> Bytes {
    complete_with(b'h', columns)
}

/// Answers `I`.
#[must_use]
pub fn node_info(dialect: Dialect, nodes: &[NodeInfo<'_>]) -> Bytes {
    let head = counted(b'i', nodes.len());
    let all = nodes
        .iter()
        .fold(head, |composer, node| composer.packet(b'i', |payload| node.write(dialect, payload)));
    closing(all, b'i').finish()
}

/// Answers `P`, with the columns of `SHOW pool_pools`.
#[must_use]
pub fn process_info<T: Display>(rows: &[Vec<T>]) -> Bytes {
    let all = rows.iter().fold(counted(b'p', rows.len()), |composer, row| {
        composer.packet(b'p', |payload| {
            payload.text("ProcessInfo");
            row.iter().for_each(|column| payload.text(column));
        })
    });
    closing(all, b'p').finish()
}

/// Answers `B`, with the name, value and description of each setting, as `SHOW pool_status`.
///
/// Their number is the one integer of the protocol that is binary.
#[must_use]
pub fn pool_status<T: Display>(rows: &[[T; 3]]) -> Bytes {
    let head = Composer::default().packet(b'b', |payload| {
        payload.text("ArraySize");
        payload.raw(&u32::try_from(rows.len()).unwrap_or(u32::MAX).to_be_bytes());
    });
    let all = rows.iter().fold(head, |composer, row| {
        composer.packet(b'b', |payload| {
            payload.text("ProcessConfig");
            row.iter().for_each(|column| payload.text(column));
        })
    });
    closing(all, b'b').finish()
}

/// Answers `W` where there is no watchdog.
#[must_use]
pub fn no_watchdog() -> Bytes {
    let report = Report::error("PCP: informing watchdog info failed");
    report.because("watchdog is not enabled").compose()
}

/// Answers `G` where no results are cached.
#[must_use]
pub fn no_cache() -> Bytes {
    Report::error("query cache is not enabled").compose()
}

/// Answers `V` where pgherd writes no log files.
#[must_use]
pub fn no_collector() -> Bytes {
    Report::error("logging_collector is disabled").compose()
}

/// Answers a node number beyond the last.
#[must_use]
pub fn no_node(message: &str, node: usize) -> Bytes {
    Report::error(message).because(format!("invalid node ID : {node}")).compose()
}

impl NodeInfo<'_> {
    fn write(&self, dialect: Dialect, payload: &mut Payload<'_>) {
        payload.text("NodeInfo");
        payload.text(self.host);
        payload.text(self.port);
        payload.text(self.status.number());
        payload.text(u8::from(self.status == Status::Quarantine));
        payload.text(self.actual_status.word());
        payload.text(format_args!("{:.6}", self.weight * RAND_MAX));
        // 0 and 1 are the roles where there is no streaming replication.
        payload.text(match self.role {
            Role::Primary => 2,
            Role::Standby | Role::Unknown => 3,
        });
        payload.text(self.actual_role.word());
        let (unit, delay) = match self.delay {
            Delay::Bytes(bytes) => (0, bytes),
            Delay::Time(microseconds) => (1, microseconds),
        };
        if dialect == Dialect::V44 {
            payload.text(unit);
        }
        payload.text(delay);
        payload.text(self.replication_state);
        payload.text(self.sync_state);
        payload.text(self.changed);
    }
}

fn counted(tag: u8, count: usize) -> Composer {
    Composer::default().packet(tag, |payload| {
        payload.text("ArraySize");
        payload.text(count);
    })
}

fn closing(composer: Composer, tag: u8) -> Composer {
    composer.packet(tag, |payload| payload.text(COMPLETE))
}

fn complete_with<T: Display>(tag: u8, texts: impl IntoIterator<Item = T>) -> Bytes {
    let composer = Composer::default().packet(tag, |payload| {
        payload.text(COMPLETE);
        texts.into_iter().for_each(|text| payload.text(text));
    });
    composer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A standby that Pgpool-II was seen to tell of.
    const STANDBY: NodeInfo<'_> = NodeInfo {
        host: "127.0.0.1",
        port: 21001,
        status: Status::Down,
        actual_status: Seen::Up,
        weight: 0.5,
        role: Role::Standby,
        actual_role: Role::Standby,
        delay: Delay::Bytes(0),
        replication_state: "streaming",
        sync_state: "async",
        changed: 1_795_398_203,
    };

    #[test]
    fn a_node_is_told_byte_for_byte() {
        let mut seen = b"i\0\0\0\x10ArraySize\x001\0".to_vec();
        seen.extend(b"i\0\0\0\x5fNodeInfo\x00127.0.0.1\x0021001\x003\x000\0up\0");
        seen.extend(b"1073741823.500000\x003\0standby\x000\x000\0streaming\0async\x001795398203\0");
        seen.extend(b"i\0\0\0\x14CommandComplete\0");
        assert_eq!(node_info(Dialect::V44, &[STANDBY]), seen);
    }

    #[test]
    fn a_delay_in_time_says_so() {
        let node = NodeInfo { delay: Delay::Time(1_500_000), ..STANDBY };
        let told = node_info(Dialect::V44, &[node]);
        let seen = b"standby\x001\x001500000\0streaming\0";
        assert!(told.windows(seen.len()).any(|part| part == seen));
    }

    /// Without the field that older clients do not know, and two bytes shorter for that.
    #[test]
    fn older_clients_are_told_one_field_less() {
        let told = node_info(Dialect::V43, &[STANDBY]);
        let place = told.windows(9).position(|part| part == b"NodeInfo\0").unwrap();
        assert_eq!(&told[place - 5..place], b"i\0\0\0\x5d");
        assert!(told.windows(20).any(|part| part == b"standby\x000\0streaming\0"));
    }

    #[test]
    fn counts_and_what_has_nothing_to_tell_are_told_byte_for_byte() {
        assert_eq!(done(b'd'), &b"d\0\0\0\x14CommandComplete\0"[..]);
        assert_eq!(node_count(2), &b"l\0\0\0\x16CommandComplete\x002\0"[..]);
        let told = process_count(&[70, 71]);
        assert_eq!(told, &b"n\0\0\0\x1cCommandComplete\x002\x0070\x0071\0"[..]);
        assert_eq!(health_stats(["0", ""]), &b"h\0\0\0\x17CommandComplete\x000\0\0"[..]);
    }

    #[test]
    fn only_the_number_of_settings_is_binary() {
        let rows = vec![["port", "9999", "text"]; 152];
        let told = pool_status(&rows);
        assert!(told.starts_with(b"b\0\0\0\x12ArraySize\0\0\0\0\x98b"));
        assert!(told.ends_with(b"ProcessConfig\0port\x009999\0text\0b\0\0\0\x14CommandComplete\0"));
        let told = process_info(&[vec!["4711", ""]]);
        let seen = b"p\0\0\0\x10ArraySize\x001\0p\0\0\0\x16ProcessInfo\x004711\0\0";
        assert_eq!(told, [&seen[..], b"p\0\0\0\x14CommandComplete\0"].concat());
    }
}
