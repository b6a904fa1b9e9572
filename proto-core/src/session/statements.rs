//! A session's named prepared statements, as far as they are kept for its other connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::backend::statement::Statement;
use crate::limits;

/// Named prepared statements by name.
///
/// A statement that is not here, because it was too long or one too many, exists on the connection
/// on which it was parsed and is used there: its name is unknown, and unknown means the primary.
#[derive(Debug, Default)]
pub(super) struct Statements {
    by_name: BTreeMap<Bytes, Arc<Statement>>,
    len: usize,
}

impl Statements {
    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<Statement>> {
        self.by_name.get(name)
    }

    /// Keeps a statement that a server has parsed.
    pub(super) fn insert(&mut self, statement: Arc<Statement>) {
        let len = self.len + statement.parse.len();
        if self.by_name.len() < limits::STATEMENTS_MAX && len <= limits::STATEMENTS_LEN_MAX {
            self.len = len;
            if let Some(old) = self.by_name.insert(statement.name.clone(), statement) {
                self.len -= old.parse.len();
            }
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        if let Some(old) = self.by_name.remove(name) {
            self.len -= old.parse.len();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
