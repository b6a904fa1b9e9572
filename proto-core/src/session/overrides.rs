//! What `PGPOOL SET` has changed for one session; it ends with the session, as in Pgpool-II.

use std::collections::BTreeMap;

use super::Session;
use super::desk::Desk;
use crate::config::{Override, StatementNotes};
use crate::route::rules::Comments;
use crate::time::Duration;

/// Parameters whose value may differ from session to session and makes a difference.
pub(super) const EFFECTIVE: [&str; 5] = [
    ALLOW_SQL_COMMENTS,
    CLIENT_IDLE_LIMIT,
    LOG_STATEMENT,
    LOG_PER_NODE_STATEMENT,
    NOTICE_PER_NODE_STATEMENT,
];

const ALLOW_SQL_COMMENTS: &str = "allow_sql_comments";
const CLIENT_IDLE_LIMIT: &str = "client_idle_limit";
const LOG_STATEMENT: &str = "log_statement";
const LOG_PER_NODE_STATEMENT: &str = "log_per_node_statement";
const NOTICE_PER_NODE_STATEMENT: &str = "notice_per_node_statement";

/// What a session has set for itself, by parameter: at most one value for each.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    values: BTreeMap<&'static str, Override>,
}

impl Overrides {
    pub(super) fn set(&mut self, value: Override) {
        self.values.insert(value.shown.parameter.name, value);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Override> {
        self.values.get(name)
    }

    pub(super) fn reset(&mut self, name: &str) {
        self.values.remove(name);
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)?.flag()
    }
}

impl Session {
    /// What a comment in front of a statement does.
    pub(super) fn comments(&self, desk: &Desk) -> Comments {
        match self.overrides.flag(ALLOW_SQL_COMMENTS) {
            Some(true) => Comments::Ignored,
            Some(false) => Comments::Bind,
            None => desk.config.routing.rules.comments,
        }
    }

    /// How long the client may be idle.
    pub(super) fn idle_limit(&self, desk: &Desk) -> Option<Duration> {
        match self.overrides.get(CLIENT_IDLE_LIMIT).and_then(Override::number) {
            Some(0) => None,
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => desk.config.client_idle_limit,
        }
    }

    /// Who hears of the session's statements.
    pub(super) fn statement_notes(&self, desk: &Desk) -> StatementNotes {
        let mut notes = desk.config.statements;
        if self.overrides.values.is_empty() {
            return notes;
        }
        for (name, note) in [
            (LOG_STATEMENT, StatementNotes::LOG),
            (LOG_PER_NODE_STATEMENT, StatementNotes::LOG_PER_NODE),
            (NOTICE_PER_NODE_STATEMENT, StatementNotes::NOTICE_PER_NODE),
        ] {
            if let Some(wanted) = self.overrides.flag(name) {
                notes = notes.set(note, wanted);
            }
        }
        notes
    }
}
