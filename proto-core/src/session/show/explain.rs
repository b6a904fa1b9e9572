//! `EXPLAIN ROUTE`: where a statement would go now, why, and what that depends on. Nothing is
//! sent anywhere.

use crate::id::BackendId;
use crate::route::balance::Delay;
use crate::route::class::{Kind, Reason};
use crate::route::{self, Facts, Route, Side, Transaction, Why};
use crate::session::Session;
use crate::session::desk::Desk;

/// What the side of a statement and its node were decided from.
struct Facets {
    side: Option<Side>,
    /// The server, or who else answers.
    server: String,
    /// Reasons, each with what it depends on.
    reasons: Vec<(String, String)>,
}

impl Session {
    /// The rows of `EXPLAIN ROUTE`: server, reason, what the reason depends on.
    pub(super) fn explain_route(&mut self, desk: &mut Desk, text: &[u8]) -> Vec<Vec<String>> {
        let transaction = self.transaction(desk);
        let mut facets = self.weigh(desk, text, by_facts);
        if let Some(side) = facets.side {
            let node = match side {
                Side::Primary => desk.topology.primary,
                Side::Replica => self.read_node(desk),
            };
            facets.server = server(desk, node);
            facets.reasons.push(self.node_reason(desk, side, node, transaction));
        }
        let Facets { server, reasons, .. } = facets;
        reasons.into_iter().map(|(reason, facts)| vec![server.clone(), reason, facts]).collect()
    }

    /// Why the side means this node.
    fn node_reason(
        &self,
        desk: &Desk,
        side: Side,
        node: Option<BackendId>,
        transaction: Transaction,
    ) -> (String, String) {
        let epoch = desk.topology.epoch;
        let view = format!("the cluster in epoch {epoch}");
        match (side, node) {
            (Side::Primary, Some(_)) => ("it is the primary".to_owned(), view),
            (Side::Primary, None) => ("there is no primary: it waits for one".to_owned(), view),
            (Side::Replica, None) => ("no server can be read: it waits for one".to_owned(), view),
            (Side::Replica, Some(_)) if transaction != Transaction::None => {
                ("the transaction was begun there".to_owned(), "the transaction".to_owned())
            }
            (Side::Replica, Some(id)) => {
                let node = desk.topology.node(id);
                let Delay { bytes, time, .. } = desk.config.routing.delay;
                let (lag, threshold) = if time.is_zero() {
                    let lag = node.and_then(|node| node.lag);
                    let lag = lag.map(|lag| format!("{lag} bytes behind"));
                    (lag, format!("delay_threshold ({bytes})"))
                } else {
                    let lag = node.and_then(|node| node.lag_time);
                    let lag = lag.map(|lag| format!("{} ms behind", lag.as_millis()));
                    (lag, format!("delay_threshold_by_time ({})", time.as_millis()))
                };
                let lag = lag.unwrap_or_else(|| "of unknown delay".to_owned());
                let reason = format!("the session reads from it ({lag})");
                (reason, format!("backend_weight, {threshold}, {view}"))
            }
        }
    }
}

/// Decides about the side, with the reasons for it.
fn by_facts(facts: &Facts<'_>) -> Facets {
    let (class, transaction) = (facts.class, facts.transaction);
    if matches!(class.kind, Kind::Pgherd(_)) {
        let reasons = vec![(class.reason.to_string(), "the text".to_owned())];
        return Facets { side: None, server: "pgherd".to_owned(), reasons };
    }
    let (side, server, why) = match route::decide(facts) {
        Route::Send { side, why } => (Some(side), String::new(), why),
        // It is begun on the primary, and may read elsewhere from there.
        Route::Defer { why } => (Some(Side::Primary), String::new(), why),
        Route::Refuse { why } => (None, "none: it is refused".to_owned(), why),
    };
    let mut reasons = vec![(why.to_string(), depends_on(&why).to_owned())];
    if !matches!(why, Why::Text(_)) {
        reasons.push((class.reason.to_string(), text_depends_on(&class.reason).to_owned()));
    }
    if class.kind == Kind::Setting && transaction == Transaction::None {
        let reason = "it is repeated on the session's other connections".to_owned();
        reasons.push((reason, "the text".to_owned()));
    }
    Facets { side, server, reasons }
}

/// Names what the class of a text depends on.
const fn text_depends_on(reason: &Reason) -> &'static str {
    if matches!(reason, Reason::UnknownFunction { .. } | Reason::VolatileFunction { .. }) {
        "the text, the catalog, write_function_list, read_only_function_list"
    } else if matches!(reason, Reason::ListedFunction { .. }) {
        "the text, write_function_list, read_only_function_list"
    } else if matches!(
        reason,
        Reason::UnknownOperator { .. } | Reason::UnloggedRelation { .. } | Reason::Sequence { .. }
    ) {
        "the text, the catalog"
    } else if matches!(reason, Reason::CommentBefore) {
        "the text, allow_sql_comments"
    } else if matches!(reason, Reason::ListedText) {
        "the text, primary_routing_query_pattern_list"
    } else if matches!(reason, Reason::RefusedByStandby) {
        "the text, what a standby answered to it"
    } else {
        "the text"
    }
}

/// Names what a reason depends on.
const fn depends_on(why: &Why<'_>) -> &'static str {
    match why {
        Why::Text(reason) => text_depends_on(reason),
        Why::InTransaction => "the transaction",
        Why::BeginsReadOnly | Why::BeginsReadWrite | Why::BeginsSerializable => "the text",
        Why::BeginsWithReads | Why::BeforeWrite => "transaction_reads, the transaction",
        Why::DespiteWrite
        | Why::AfterWrite
        | Why::AfterTransaction
        | Why::AfterAnyWrite
        | Why::Written(_) => "disable_load_balance_on_write, what the session has written",
        Why::WrittenLately(_) => "disable_load_balance_on_write, what was written lately",
        Why::Sticky => "what the session has on its connection",
        Why::Unbalanced => "load_balance_mode",
    }
}

fn server(desk: &Desk, node: Option<BackendId>) -> String {
    let Some(id) = node else { return "none yet".to_owned() };
    let role = desk.topology.node(id).map_or("unknown", |node| node.role.word());
    match desk.config.backend(id) {
        Some(backend) => format!("node {id} ({role}, {}:{})", backend.hostname, backend.port),
        None => format!("node {id} ({role})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Freedom;
    use crate::route::classify::classify;

    #[test]
    fn reasons_are_told_with_what_they_depend_on() {
        const OPEN: Transaction = Transaction::Open { at: Side::Primary };
        const AT_REPLICA: Transaction = Transaction::Open { at: Side::Replica };
        let explain = |text: &str, transaction, freedom| {
            let rules = crate::route::rules::Rules::default();
            let class = classify(text.as_bytes(), &crate::route::lore::Lore::bare(&rules));
            let facets = by_facts(&Facts::new(&class, transaction, freedom));
            let reasons: Vec<String> = facets
                .reasons
                .iter()
                .map(|(reason, facts)| format!("{reason} [{facts}]"))
                .collect();
            (facets.side, facets.server, reasons.join("; "))
        };
        let none = Transaction::None;
        let cases: &[(&str, Transaction, Freedom, Option<Side>, &str)] = &[
            ("select 1", none, Freedom::Free, Some(Side::Replica), "it only reads [the text]"),
            (
                "select 1",
                OPEN,
                Freedom::Free,
                Some(Side::Primary),
                "its transaction is there [the transaction]; it only reads [the text]",
            ),
            (
                "select 1",
                none,
                Freedom::Unbalanced,
                Some(Side::Primary),
                "load balancing is off [load_balance_mode]; it only reads [the text]",
            ),
            (
                "select f()",
                none,
                Freedom::Free,
                Some(Side::Primary),
                "it calls f, which is not known to only read [the text, the catalog, \
                 write_function_list, read_only_function_list]",
            ),
            ("show pool_nodes", none, Freedom::Free, None, "pgherd answers it [the text]"),
        ];
        for (text, transaction, freedom, side, reasons) in cases {
            let (found, _, told) = explain(text, *transaction, *freedom);
            assert_eq!((found, &*told), (*side, *reasons), "{text}");
        }
        let (side, server, _) = explain("select pg_advisory_lock(1)", AT_REPLICA, Freedom::Free);
        assert_eq!((side, &*server), (None, "none: it is refused"));
    }
}
