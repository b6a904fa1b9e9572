//! Tables with a row for each node.

use super::tally::{ERRORS, READS};
use crate::inquiry::{Sheet, figure};
use crate::route::verb::Verb;
use crate::session::Session;
use crate::session::desk::Desk;
use crate::time::WallTime;
use crate::topology::{Node, Role};

/// The figure of statements that went to a node, by the word of the reason.
pub(super) const ROUTED: &str = "routed";

/// The figure of statements that a standby refused and that went to the primary, by SQLSTATE.
pub(super) const REFUSED: &str = "refused_and_retried";

/// The figure of texts looked up in the memo, by whether they were there.
pub(super) const MEMO: &str = "memo";

impl Session {
    /// The rows of `SHOW pool_nodes`.
    pub(super) fn node_rows(&mut self, desk: &mut Desk, sheet: &Sheet) -> Vec<Vec<String>> {
        let reads_at = self.read_node(desk);
        let total: f64 = desk.config.backends.iter().map(|backend| backend.weight).sum();
        let clock = desk.clock;
        let row = |node: &Node| {
            let backend = desk.config.backend(node.id)?;
            let weight = if total > 0.0 { backend.weight / total } else { 0.0 };
            let lag = if node.role == Role::Primary { Some(0) } else { node.lag };
            Some(vec![
                node.id.to_string(),
                backend.hostname.clone(),
                backend.port.to_string(),
                node.status.word().to_owned(),
                node.seen.word().to_owned(),
                format!("{weight:.6}"),
                role(node).to_owned(),
                node.server_role.word().to_owned(),
                sheet.figure(Some(node.id), READS).to_string(),
                (reads_at == Some(node.id)).to_string(),
                lag.unwrap_or(0).to_string(),
                node.replication_state.clone(),
                node.sync_state.clone(),
                clock.print(node.changed),
            ])
        };
        desk.topology.nodes.iter().filter_map(row).collect()
    }
}

/// Pgpool-II takes whatever is not the primary for a standby.
fn role(node: &Node) -> &'static str {
    if node.role == Role::Primary { "primary" } else { "standby" }
}

/// What the rows of two tables begin with.
fn beginning(desk: &Desk, node: &Node) -> Option<Vec<String>> {
    let backend = desk.config.backend(node.id)?;
    Some(vec![
        node.id.to_string(),
        backend.hostname.clone(),
        backend.port.to_string(),
        node.status.word().to_owned(),
        role(node).to_owned(),
    ])
}

/// The rows of `SHOW pool_backend_stats`.
pub(super) fn traffic_rows(desk: &Desk, sheet: &Sheet) -> Vec<Vec<String>> {
    let row = |node: &Node| {
        let mut row = beginning(desk, node)?;
        let words = Verb::ALL.iter().map(|verb| verb.column()).chain(ERRORS);
        row.extend(words.map(|word| sheet.figure(Some(node.id), word).to_string()));
        Some(row)
    };
    desk.topology.nodes.iter().filter_map(row).collect()
}

/// The rows of `SHOW pool_health_check_stats`.
pub(super) fn health_rows(desk: &Desk, sheet: &Sheet) -> Vec<Vec<String>> {
    let row = |node: &Node| {
        let mut row = beginning(desk, node)?;
        row.push(desk.clock.print(node.changed));
        row.extend(health_cells(
            |word| sheet.figure(Some(node.id), word),
            |at| {
                if at == 0 { String::new() } else { desk.clock.print(WallTime(at)) }
            },
        ));
        Some(row)
    };
    desk.topology.nodes.iter().filter_map(row).collect()
}

/// The cells of a node's checks. None is ever skipped: a node that is down is looked at too.
fn health_cells(value: impl Fn(&'static str) -> u64, time: impl Fn(u64) -> String) -> [String; 14] {
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

/// The rows of `SHOW pool_route_stats`.
pub(super) fn route_rows(sheet: &Sheet) -> Vec<Vec<String>> {
    let rows = sheet.figures.iter().map(|(figure, count)| {
        vec![
            figure.node.map(|node| node.to_string()).unwrap_or_default(),
            figure.word.to_owned(),
            figure.of.to_owned(),
            count.to_string(),
        ]
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::BackendId;

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
        let cells = health_cells(value, time);
        let expected = [
            "3", "2", "1", "0", "2", "0.666000", "2", "7", "1", "3.500000", "at 77", "at 77", "",
            "",
        ];
        assert_eq!(cells, expected);
        let nothing = health_cells(|_| 0, |_| String::new());
        assert_eq!(nothing[5], "0.000000");
    }

    #[test]
    fn routes_are_rows_by_node() {
        let mut sheet = Sheet::default();
        sheet.add_of(Some(BackendId(1)), ROUTED, "read", 3);
        sheet.add_of(None, MEMO, "hits", 2);
        assert_eq!(route_rows(&sheet), [["", "memo", "hits", "2"], ["1", "routed", "read", "3"]]);
    }
}
