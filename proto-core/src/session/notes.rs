//! Who hears of statements: `log_statement`, `log_per_node_statement` and
//! `notice_per_node_statement`, in Pgpool-II's words.
//!
//! Statements are told to nobody unless the operator, or the session for itself, has asked for it.

use super::Session;
use super::desk::Desk;
use super::refusal::told;
use super::serve::Incoming;
use crate::backend::link::Batch;
use crate::config::StatementNotes;
use crate::id::ConnId;
use crate::limits;
use crate::wire::backend::{Composer, tag as reply};
use crate::wire::frontend::{self, tag};

impl Session {
    /// Whether the client is to hear of its statements, which takes that no server speaks.
    pub(super) fn is_noticed(&self, desk: &Desk) -> bool {
        self.statement_notes(desk).has(StatementNotes::NOTICE_PER_NODE)
    }

    /// Tells of a message that goes to a link, to whoever is to hear of it.
    pub(super) fn tell_statement(&mut self, desk: &mut Desk, id: ConnId, message: Incoming<'_>) {
        let notes = self.statement_notes(desk);
        if notes.is_empty() {
            return;
        }
        // What a failed batch still brings is skipped by the server.
        let Some(link) = desk.links.get(id).filter(|link| link.batch != Batch::Failed) else {
            return;
        };
        let Some(statement) = self.text_of(message) else { return };
        let label = self.label(desk);
        if notes.has(StatementNotes::LOG) {
            log::info!("{label}: statement: {statement}");
        }
        let server = link.key.as_ref().map_or(0, |(pid, _)| *pid);
        let line = per_node(link.pool.backend.0, server, &statement);
        if notes.has(StatementNotes::LOG_PER_NODE) {
            log::info!("{label}: {line}");
        }
        if notes.has(StatementNotes::NOTICE_PER_NODE) {
            let mut composer = Composer::new();
            composer.report(reply::NOTICE, &told("00000", line).report("NOTICE"));
            if self.speaking.is_none() {
                self.say(desk, composer);
            } else if self.untold.len() < limits::NOTICES_MAX {
                self.untold.push(composer.finish());
            }
        }
    }

    /// Tells the client what could not be told before, because a message was half way.
    pub(super) fn tell_rest(&mut self, desk: &mut Desk) {
        for bytes in std::mem::take(&mut self.untold) {
            self.say_bytes(desk, bytes);
        }
    }

    /// What is said of a message; nothing if it carries no statement.
    fn text_of(&self, message: Incoming<'_>) -> Option<String> {
        if !message.is_seen() {
            return Some(format!("(too long to be looked at: {} bytes)", message.len));
        }
        Some(match message.tag {
            tag::QUERY => lossy(frontend::query(message.body)?),
            tag::FUNCTION_CALL => "(function call)".to_owned(),
            tag::PARSE => format!("Parse: {}", lossy(frontend::parse(message.body)?.1)),
            tag::BIND => {
                let (_, name) = frontend::bind(message.body)?;
                let text = match name {
                    [] => self.unnamed.text()?,
                    _ => self.statements.get(name)?.text(),
                };
                format!("Bind: {}", lossy(text))
            }
            _ => return None,
        })
    }
}

/// Pgpool-II's line about a statement and where it goes.
fn per_node(node: u8, server: u32, statement: &str) -> String {
    format!("DB node id: {node} backend pid: {server} statement: {statement}")
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_pgpools() {
        let expected = "DB node id: 1 backend pid: 4711 statement: Parse: SELECT 1";
        assert_eq!(per_node(1, 4711, "Parse: SELECT 1"), expected);
    }
}
