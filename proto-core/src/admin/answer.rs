//! What is read in the rows of answers, by those who asked.

use super::reply::{Delay, RAND_MAX};

/// A node as a server of PCP tells of it: a pgherd, or a Pgpool-II of any release since 4.3.
#[derive(Clone, Debug, PartialEq)]
pub struct Node<'a> {
    /// Where it is: a name, an address or a socket's directory.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// Pgpool-II's number of what is made of it.
    pub status: u8,
    /// Pgpool-II's word for that.
    pub status_word: &'static str,
    /// Whether its server answers.
    pub actual_status: &'a str,
    /// Its share of the reads, from 0 to 1.
    pub weight: f64,
    /// What it is taken for.
    pub role: &'static str,
    /// What its server says it is.
    pub actual_role: &'a str,
    /// How far it is behind the primary.
    pub delay: Delay,
    /// The state of its replication; empty if that is unknown.
    pub replication_state: &'a str,
    /// Whether it is a synchronous standby; empty if that is unknown.
    pub sync_state: &'a str,
    /// When its status changed last, in seconds since 1970.
    pub changed: i64,
}

impl<'a> Node<'a> {
    /// Reads a row of the answer to `I`; none if it is not one.
    ///
    /// How many texts there are tells the dialect: those from 4.4 on have one more, the unit of the
    /// delay.
    #[must_use]
    pub fn read(row: &'a [String]) -> Option<Self> {
        let texts: Vec<&str> = row.iter().map(String::as_str).collect();
        let (first, unit, last) = match *texts.as_slice() {
            [a, b, c, d, e, f, g, h, i, j, k, l] => ([a, b, c, d, e, f, g, h], "0", [i, j, k, l]),
            [a, b, c, d, e, f, g, h, unit, i, j, k, l] => {
                ([a, b, c, d, e, f, g, h], unit, [i, j, k, l])
            }
            _ => return None,
        };
        let [host, port, status, quarantine, actual_status, weight, role, actual_role] = first;
        let [delay, replication_state, sync_state, changed] = last;
        let status = status.parse().ok()?;
        // Pgpool-II tells of a delay that it does not know by a negative number.
        let delay = delay.parse::<i64>().ok()?.try_into().unwrap_or(0);
        Some(Self {
            host,
            port: port.parse().ok()?,
            status,
            status_word: status_word(status, quarantine == "1"),
            actual_status,
            weight: weight.parse::<f64>().ok()? / RAND_MAX,
            role: role_word(role),
            actual_role,
            delay: if unit == "1" { Delay::Time(delay) } else { Delay::Bytes(delay) },
            replication_state,
            sync_state,
            changed: changed.parse().ok()?,
        })
    }
}

const fn status_word(number: u8, is_quarantined: bool) -> &'static str {
    match number {
        0 => "unused",
        1 => "waiting",
        2 => "up",
        3 if is_quarantined => "quarantine",
        3 => "down",
        _ => "unknown",
    }
}

/// Tells a role by its number. The first two are those of a cluster without streaming replication.
fn role_word(number: &str) -> &'static str {
    match number {
        "0" => "main",
        "1" => "replica",
        "2" => "primary",
        "3" => "standby",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::client::Row;

    fn row(texts: &str) -> Row {
        texts.split(' ').map(|text| if text == "-" { "" } else { text }.to_owned()).collect()
    }

    #[test]
    fn a_node_is_read_in_both_dialects() {
        let node = Node {
            host: "127.0.0.1",
            port: 21001,
            status: 3,
            status_word: "down",
            actual_status: "up",
            weight: 0.5,
            role: "standby",
            actual_role: "standby",
            delay: Delay::Bytes(7),
            replication_state: "streaming",
            sync_state: "",
            changed: 1_795_398_203,
        };
        let start = "127.0.0.1 21001 3 0 up 1073741823.500000 3 standby";
        let old = row(&format!("{start} 7 streaming - 1795398203"));
        assert_eq!(Node::read(&old), Some(node.clone()));
        let new = row(&format!("{start} 0 7 streaming - 1795398203"));
        assert_eq!(Node::read(&new), Some(node.clone()));
        let timed = row(&format!("{start} 1 7 streaming - 1795398203"));
        assert_eq!(Node::read(&timed), Some(Node { delay: Delay::Time(7), ..node }));
    }

    #[test]
    fn words_are_pgpool_s() {
        let told = |status: &str, quarantine: &str, role: &str| {
            let row = row(&format!("h 1 {status} {quarantine} up 0 {role} - 0 - - 0"));
            Node::read(&row).map(|node| (node.status_word, node.role))
        };
        assert_eq!(told("0", "0", "0"), Some(("unused", "main")));
        assert_eq!(told("1", "0", "1"), Some(("waiting", "replica")));
        assert_eq!(told("2", "0", "2"), Some(("up", "primary")));
        assert_eq!(told("3", "0", "3"), Some(("down", "standby")));
        assert_eq!(told("3", "1", "9"), Some(("quarantine", "unknown")));
        assert_eq!(told("x", "0", "3"), None);
        assert_eq!(Node::read(&row("h 1 2")), None);
    }
}
