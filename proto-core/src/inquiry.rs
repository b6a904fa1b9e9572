//! Questions that the whole process answers.
//!
//! What an operator wants to see is spread over the shards. A session asks `Control` for a
//! [`View`]; `Control` asks every shard, joins their [`Sheet`]s and answers the [`Asker`]. What a
//! sheet holds is bounded; what it says is the business of whoever fills and shows it.

use std::collections::BTreeMap;

use crate::id::{BackendId, ConnId};
use crate::limits;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Figures: the statements sent to each node, and the errors that came back.
    Traffic,
    /// Figures: why statements went to each node, and how the memo of texts does.
    Routes,
    /// Figures: how each node's checks went. `Control` alone knows.
    Checks,
    /// Rows: one for each client's session.
    Sessions,
    /// Rows: one for each server connection, and one for each pool that has only waiters.
    Links,
    /// Figures: pins by cause. Rows: one for each pin.
    Pins,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The session.
    pub session: ConnId,
    /// The number of its question, so that it does not take the late answer to an earlier one.
    pub number: u64,
}

/// What a figure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Figure {
    /// The node; none for what concerns no single one.
    pub node: Option<BackendId>,
    /// What is counted.
    pub word: &'static str,
    /// Of what kind; empty if there is only one.
    pub of: &'static str,
}

/// Words for the figures of [`View::Checks`].
pub(crate) mod figure {
    pub(crate) const TOTAL: &str = "total_count";
    pub(crate) const SUCCESS: &str = "success_count";
    pub(crate) const FAIL: &str = "fail_count";
    pub(crate) const RETRY: &str = "retry_count";
    pub(crate) const RETRY_MAX: &str = "max_retry_count";
    /// Microseconds.
    pub(crate) const DURATION: &str = "duration";
    /// Microseconds.
    pub(crate) const DURATION_MAX: &str = "max_duration";
    /// Microseconds.
    pub(crate) const DURATION_MIN: &str = "min_duration";
    /// Seconds since 1970; zero is never.
    pub(crate) const LAST: &str = "last_health_check";
    /// Seconds since 1970; zero is never.
    pub(crate) const LAST_SUCCESS: &str = "last_successful_health_check";
    /// Seconds since 1970; zero is never.
    pub(crate) const LAST_FAIL: &str = "last_failed_health_check";
}

/// What one shard, or all of them together, have to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    /// Numbers, which add up over the shards.
    pub figures: BTreeMap<Figure, u64>,
    /// Lines of text, at most [`limits::VIEW_ROWS_MAX`].
    pub rows: Vec<Vec<String>>,
    /// How many rows there was no room for.
    pub omitted: u64,
}

impl Sheet {
    /// Adds to a figure.
    pub fn add(&mut self, node: Option<BackendId>, word: &'static str, count: u64) {
        self.add_of(node, word, "", count);
    }

    /// Adds to a figure of a kind.
    pub fn add_of(
        &mut self,
        node: Option<BackendId>,
        word: &'static str,
        of: &'static str,
        count: u64,
    ) {
        let figure = self.figures.entry(Figure { node, word, of }).or_default();
        *figure = figure.saturating_add(count);
    }

    /// Returns a figure; zero if nobody has said anything about it.
    #[must_use]
    pub fn figure(&self, node: Option<BackendId>, word: &'static str) -> u64 {
        self.figures.get(&Figure { node, word, of: "" }).copied().unwrap_or(0)
    }

    /// Adds a row, if there is room for it.
    pub fn push(&mut self, row: Vec<String>) {
        if self.rows.len() < limits::VIEW_ROWS_MAX {
            self.rows.push(row);
        } else {
            self.omitted += 1;
        }
    }

    /// Adds what another sheet says.
    pub fn join(&mut self, other: Self) {
        for (Figure { node, word, of }, count) in other.figures {
            self.add_of(node, word, of, count);
        }
        self.omitted += other.omitted;
        for row in other.rows {
            self.push(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_add_up_and_rows_are_bounded() {
        let node = Some(BackendId(1));
        let mut one = Sheet::default();
        one.add(node, "reads", 2);
        one.add(None, "reads", 1);
        let mut other = one.clone();
        for n in 0..=limits::VIEW_ROWS_MAX {
            other.push(vec![n.to_string()]);
        }
        assert_eq!((other.rows.len(), other.omitted), (limits::VIEW_ROWS_MAX, 1));
        one.push(vec!["mine".into()]);
        one.join(other);
        assert_eq!(one.figure(node, "reads"), 4);
        assert_eq!(one.figure(None, "reads"), 2);
        assert_eq!(one.figure(None, "writes"), 0);
        assert_eq!((one.rows.len(), one.omitted), (limits::VIEW_ROWS_MAX, 2));
        assert_eq!(one.rows.first().map(Vec::as_slice), Some(&["mine".to_owned()][..]));
    }
}
