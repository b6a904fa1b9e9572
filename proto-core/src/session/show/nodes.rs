//! Tables with a row for each node.

use crate::admin::nodes::{Account, accounts};
use crate::inquiry::Sheet;
use crate::route::verb::Verb;
use crate::session::Session;
use crate::session::desk::Desk;
use crate::session::tally::{ERRORS, READS};

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
        let clock = desk.clock;
        let row = |account: Account<'_>| {
            let (node, share) = (&account.node, account.share);
            let [id, host, port, status, role] = account.beginning();
            vec![
                id,
                host,
                port,
                status,
                node.seen.word().to_owned(),
                format!("{share:.6}"),
                role,
                node.server_role.word().to_owned(),
                sheet.figure(Some(node.id), READS).to_string(),
                (reads_at == Some(node.id)).to_string(),
                account.shown_delay(),
                node.replication_state.clone(),
                node.sync_state.clone(),
                clock.print(node.changed),
            ]
        };
        accounts(&desk.config, &desk.topology, clock).map(row).collect()
    }
}

/// The rows of `SHOW pool_backend_stats`.
pub(super) fn traffic_rows(desk: &Desk, sheet: &Sheet) -> Vec<Vec<String>> {
    let row = |account: Account<'_>| {
        let words = Verb::ALL.iter().map(|verb| verb.column()).chain(ERRORS);
        let counts = words.map(|word| sheet.figure(Some(account.node.id), word).to_string());
        account.beginning().into_iter().chain(counts).collect()
    };
    accounts(&desk.config, &desk.topology, desk.clock).map(row).collect()
}

/// The rows of `SHOW pool_health_check_stats`.
pub(super) fn health_rows(desk: &Desk, sheet: &Sheet) -> Vec<Vec<String>> {
    let accounts = accounts(&desk.config, &desk.topology, desk.clock);
    accounts.map(|account| account.checks(sheet, desk.clock)).collect()
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
    fn routes_are_rows_by_node() {
        let mut sheet = Sheet::default();
        sheet.add_of(Some(BackendId(1)), ROUTED, "read", 3);
        sheet.add_of(None, MEMO, "hits", 2);
        assert_eq!(route_rows(&sheet), [["", "memo", "hits", "2"], ["1", "routed", "read", "3"]]);
    }
}
