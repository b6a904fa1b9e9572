//! A session's named prepared statements, as far as they are kept for its other connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::backend::statement::Statement;
use crate::limits;

/// Named prepared statements by name.
///
/// A statement for which there is no room goes to the primary when it is parsed, and is found there
/// when it is used: its name is unknown, and unknown means the primary.
#[derive(Debug, Default)]
pub(super) struct Statements {
    by_name: BTreeMap<Bytes, Arc<Statement>>,
    len: usize,
    others: Others,
}

/// Whether the session has prepared statements that are not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Others {
    #[default]
    None,
    Some,
}

impl Statements {
    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<Statement>> {
        self.by_name.get(name)
    }

    /// Tells whether a statement whose name and message have these lengths can be kept, beside
    /// `more` others.
    pub(super) fn has_room(&self, name_len: usize, parse_len: usize, more: usize) -> bool {
        name_len <= limits::STATEMENT_NAME_LEN_MAX
            && self.by_name.len() + more < limits::STATEMENTS_MAX
            && self.len + parse_len + more * limits::PIPELINE_VIEW_LEN <= limits::STATEMENTS_LEN_MAX
    }

    /// Keeps a statement that a server has parsed.
    pub(super) fn insert(&mut self, name: Bytes, statement: Arc<Statement>) {
        let len = self.len + statement.parse.len();
        if self.by_name.len() < limits::STATEMENTS_MAX && len <= limits::STATEMENTS_LEN_MAX {
            self.len = len;
            if let Some(old) = self.by_name.insert(name, statement) {
                self.len -= old.parse.len();
            }
        }
    }

    /// Forgets a statement; tells whether it was kept.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let old = self.by_name.remove(name);
        self.len -= old.as_ref().map_or(0, |old| old.parse.len());
        old.is_some()
    }

    /// A standby has refused a statement: from now on it is for the primary. Returns its text.
    pub(super) fn refuse(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let statement = self.by_name.get_mut(name)?;
        let text = statement.text().to_vec();
        *statement = Arc::new(statement.refused());
        Some(text)
    }

    /// Notes that a statement exists that is not kept.
    pub(super) fn note_unkept(&mut self) {
        self.others = Others::Some;
    }

    /// Tells whether there are statements that are not kept.
    pub(super) fn has_unkept(&self) -> bool {
        self.others == Others::Some
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
