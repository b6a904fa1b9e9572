//! `SHOW pool_pins`: which sessions are bound to their connection, and why.

use std::collections::BTreeMap;

use crate::id::ConnId;
use crate::inquiry::Sheet;
use crate::time::Instant;

/// The figure of pins since the start, by cause.
pub(super) const PINNED: &str = "pinned";

/// One reason why a session cannot give a connection back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Pin {
    /// The reason, as one word.
    pub(in crate::session) cause: &'static str,
    /// Since when.
    pub(in crate::session) since: Instant,
    /// The connection.
    pub(in crate::session) link: ConnId,
}

/// Joins the causes with the sessions that are pinned for them. A cause for which nobody is pinned
/// any more has a row of its own.
///
/// A row of the sheet is the cause and the cells behind the two counts.
pub(super) fn rows(sheet: Sheet) -> Vec<Vec<String>> {
    let mut causes: BTreeMap<String, (u64, Vec<Vec<String>>)> = BTreeMap::new();
    for (figure, count) in &sheet.figures {
        causes.entry(figure.of.to_owned()).or_default().0 += count;
    }
    for mut row in sheet.rows {
        if !row.is_empty() {
            let cells = row.split_off(1);
            let cause = row.pop().unwrap_or_default();
            causes.entry(cause).or_default().1.push(cells);
        }
    }
    let mut rows = Vec::new();
    for (cause, (total, sessions)) in causes {
        let count = sessions.len();
        // What all shards have counted may be older than what they now have.
        let total = total.max(u64::try_from(count).unwrap_or(u64::MAX));
        let beginning = vec![cause, count.to_string(), total.to_string()];
        if sessions.is_empty() {
            let empty = vec![String::new(); super::columns::PINS.len() - beginning.len()];
            rows.push([beginning, empty].concat());
        } else {
            rows.extend(sessions.into_iter().map(|cells| [beginning.clone(), cells].concat()));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_counted_beside_their_sessions() {
        let mut sheet = Sheet::default();
        sheet.add_of(None, PINNED, "listen", 5);
        sheet.add_of(None, PINNED, "temporary", 1);
        let cells = ["12", "local", "shop", "app", "0", "4711", "now"].map(str::to_owned);
        sheet.push([vec!["listen".to_owned()], cells.to_vec()].concat());
        let expected = [
            ["listen", "1", "5", "12", "local", "shop", "app", "0", "4711", "now"],
            ["temporary", "0", "1", "", "", "", "", "", "", ""],
        ];
        assert_eq!(rows(sheet), expected);
    }
}
