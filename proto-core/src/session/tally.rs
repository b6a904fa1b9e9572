//! What a shard has sent to each node, and what came back: counted as it passes, shown by
//! `SHOW pool_nodes`, `pool_backend_stats` and `pool_route_stats`.

use std::collections::BTreeMap;

use crate::id::BackendId;
use crate::inquiry::Sheet;
use crate::route::verb::Verb;

/// The figure of what pgherd takes for a read, which is what `select_cnt` of `SHOW pool_nodes` is.
pub(super) const READS: &str = "reads";

/// The columns of errors, by severity.
pub(super) const ERRORS: [&str; 3] = ["panic_cnt", "fatal_cnt", "error_cnt"];

/// Whether a statement is a read that any server could have answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It is.
    Read,
    /// It is not.
    Other,
}

/// Statements of one `Query`, or of one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    reads: u32,
    verbs: [u32; Verb::ALL.len()],
}

impl Sent {
    /// One statement.
    #[must_use]
    pub fn one(verb: Verb, nature: Counted) -> Self {
        let mut sent = Self::default();
        sent.add(verb, nature);
        sent
    }

    /// Adds a statement.
    pub fn add(&mut self, verb: Verb, nature: Counted) {
        self.reads += u32::from(nature == Counted::Read);
        if let Some(count) = self.verbs.get_mut(verb.index()) {
            *count += 1;
        }
    }

    fn count(&self) -> u32 {
        self.verbs.iter().sum()
    }
}

/// What a shard has sent to each node since its start, and what came back.
#[derive(Debug, Default)]
pub struct Tally {
    nodes: BTreeMap<BackendId, NodeTally>,
    /// Sessions that were bound to a connection, by cause.
    pins: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
struct NodeTally {
    reads: u64,
    verbs: [u64; Verb::ALL.len()],
    errors: [u64; ERRORS.len()],
    /// Statements by the word of the reason why they went there.
    routed: BTreeMap<&'static str, u64>,
    /// Statements that the server refused and that went to the primary instead, by SQLSTATE.
    refused: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Statements have been sent to a node, for the reason of this word.
    pub fn sent(&mut self, node: BackendId, sent: &Sent, reason: &'static str) {
        let tally = self.nodes.entry(node).or_default();
        tally.reads += u64::from(sent.reads);
        for (sum, count) in tally.verbs.iter_mut().zip(sent.verbs) {
            *sum += u64::from(count);
        }
        if sent.count() > 0 {
            *tally.routed.entry(reason).or_default() += u64::from(sent.count());
        }
    }

    /// A node has reported an error of this severity.
    pub fn error(&mut self, node: BackendId, severity: &[u8]) {
        let at = match severity {
            b"PANIC" => 0,
            b"FATAL" => 1,
            _ => 2,
        };
        if let Some(count) = self.nodes.entry(node).or_default().errors.get_mut(at) {
            *count += 1;
        }
    }

    /// A node has refused a read because it is a standby, and it goes to the primary instead.
    pub fn refused(&mut self, node: BackendId, code: &'static str) {
        *self.nodes.entry(node).or_default().refused.entry(code).or_default() += 1;
    }

    /// A session is bound to a connection for this cause.
    pub fn pinned(&mut self, cause: &'static str) {
        *self.pins.entry(cause).or_default() += 1;
    }

    /// Visits the causes: word, count.
    pub(super) fn pins(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.pins.iter().map(|(cause, count)| (*cause, *count))
    }

    /// Puts what was sent and what came back into a sheet.
    pub(super) fn tell_traffic(&self, sheet: &mut Sheet) {
        for (node, tally) in &self.nodes {
            sheet.add(Some(*node), READS, tally.reads);
            for (verb, count) in Verb::ALL.iter().zip(tally.verbs) {
                sheet.add(Some(*node), verb.column(), count);
            }
            for (column, count) in ERRORS.iter().zip(tally.errors) {
                sheet.add(Some(*node), column, count);
            }
        }
    }

    /// Visits the reasons: node, whether the statements stayed there, word, count.
    pub(super) fn routes(&self) -> impl Iterator<Item = (BackendId, Stay, &'static str, u64)> {
        self.nodes.iter().flat_map(|(node, tally)| {
            let routed = tally.routed.iter().map(|(word, n)| (*node, Stay::Routed, *word, *n));
            let refused = tally.refused.iter().map(|(code, n)| (*node, Stay::Refused, *code, *n));
            routed.chain(refused)
        })
    }
}

/// Whether a statement stayed where it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    /// It did.
    Routed,
    /// The server refused it, and it was sent again elsewhere.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_adds_up() {
        let node = BackendId(3);
        let mut tally = Tally::default();
        tally.sent(node, &Sent::one(Verb::Select, Counted::Read), "plain_read");
        let mut batch = Sent::one(Verb::Select, Counted::Other);
        batch.add(Verb::Insert, Counted::Other);
        tally.sent(node, &batch, "dml");
        tally.sent(node, &Sent::default(), "nothing");
        tally.error(node, b"ERROR");
        tally.error(node, b"FATAL");
        tally.refused(node, "25006");
        let mut sheet = Sheet::default();
        tally.tell_traffic(&mut sheet);
        let figures = [
            (READS, 1),
            ("select_cnt", 2),
            ("insert_cnt", 1),
            ("ddl_cnt", 0),
            ("panic_cnt", 0),
            ("fatal_cnt", 1),
            ("error_cnt", 1),
        ];
        for (word, expected) in figures {
            assert_eq!(sheet.figure(Some(node), word), expected, "{word}");
        }
        let routes: Vec<_> = tally.routes().collect();
        let expected = [
            (node, Stay::Routed, "dml", 2),
            (node, Stay::Routed, "plain_read", 1),
            (node, Stay::Refused, "25006", 1),
        ];
        assert_eq!(routes, expected);
    }
}
