//! What a session remembers: its transaction, settings, prepared statements, cursors and
//! temporary tables.

use std::collections::{BTreeMap, BTreeSet};

use pgherd_core::time::Instant;

use super::engine::{Effect, Engine, Notification};
use super::eval::Facts;
use super::select::RowSet;
use super::settings::Settings;
use super::syntax::{Access, Life, Statement};
use super::value::{SqlError, Type, Value};

/// Where a session is with its transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Block {
    /// Outside any.
    #[default]
    None,
    /// In one that ends with the query string, or at the next `Sync`.
    Implicit,
    /// In a transaction block.
    Open,
    /// In a transaction block that failed.
    Failed,
}

/// A prepared statement.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) statement: Statement,
    pub(super) types: Vec<Type>,
}

/// Whether the statement has had its sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rested {
    #[default]
    No,
    Yes,
}

/// What a session remembers.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) process: u32,
    pub(super) node: usize,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) settings: Settings,
    pub(super) block: Block,
    pub(super) access: Access,
    /// What was done to the session's temporary tables, then what the transaction did.
    pub(super) effects: Vec<Effect>,
    /// `kept <= effects.len()`
    kept: usize,
    temporary: BTreeSet<String>,
    pub(super) savepoints: Vec<(String, usize)>,
    /// Settings before the transaction, once it has changed one.
    saved: Option<BTreeMap<String, String>>,
    local: BTreeSet<String>,
    pub(super) notes: Vec<(String, String)>,
    /// Notifications that the client has not been told of.
    pub(super) heard: Vec<Notification>,
    pub(super) prepared: BTreeMap<String, Prepared>,
    pub(super) cursors: BTreeMap<String, RowSet>,
    pub(super) listening: BTreeSet<String>,
    /// Severity, SQLSTATE and text of notices on their way to the client.
    pub(super) notices: Vec<(&'static str, &'static str, String)>,
    pub(super) rested: Rested,
}

impl Context {
    pub(super) fn new(process: u32, node: usize) -> Self {
        Self {
            process,
            node,
            user: String::new(),
            database: String::new(),
            settings: Settings::new(),
            block: Block::None,
            access: Access::ReadWrite,
            effects: Vec::new(),
            kept: 0,
            temporary: BTreeSet::new(),
            savepoints: Vec::new(),
            saved: None,
            local: BTreeSet::new(),
            notes: Vec::new(),
            heard: Vec::new(),
            prepared: BTreeMap::new(),
            cursors: BTreeMap::new(),
            listening: BTreeSet::new(),
            notices: Vec::new(),
            rested: Rested::No,
        }
    }

    /// Gathers what expressions may ask about.
    pub(super) fn facts(&self, engine: &Engine, now: Instant, params: &[Value]) -> Facts {
        Facts {
            now,
            process: self.process,
            user: self.user.clone(),
            database: self.database.clone(),
            node: self.node,
            standby: engine.is_standby(),
            lsn: engine.lsn(),
            lsn_received: engine.lsn_received(),
            settings: self.settings.clone(),
            params: params.to_vec(),
            deeds: Vec::new().into(),
            notes: Vec::new().into(),
        }
    }

    /// Begins a transaction if there is none.
    pub(super) fn enter(&mut self) {
        if self.block == Block::None {
            self.block = Block::Implicit;
            let read_only = self.settings.show("default_transaction_read_only") == Ok("on");
            self.access = if read_only { Access::ReadOnly } else { Access::ReadWrite };
        }
    }

    /// Makes what the transaction did last.
    pub(super) fn commit(&mut self, engine: &mut Engine) {
        let done = self.effects.split_off(self.kept);
        let (own, shared): (Vec<_>, Vec<_>) =
            done.into_iter().partition(|effect| self.temporary.contains(effect.table()));
        self.effects.extend(own);
        self.kept = self.effects.len();
        engine.commit(shared);
        for (channel, payload) in std::mem::take(&mut self.notes) {
            let process = self.process;
            let notification = Notification { process, channel, payload };
            self.hear(&notification);
            engine.notifications.push(notification);
        }
        if let Some(mut saved) = self.saved.take() {
            let mut values = self.settings.snapshot();
            for name in &self.local {
                match saved.remove(name) {
                    Some(value) => values.insert(name.clone(), value),
                    None => values.remove(name),
                };
            }
            self.settings.restore(values);
        }
        self.leave(engine);
    }

    /// Takes a notification for the client, if it listens.
    pub(super) fn hear(&mut self, notification: &Notification) {
        if self.listening.contains(&notification.channel) {
            self.heard.push(notification.clone());
        }
    }

    /// Takes back what the transaction did.
    pub(super) fn roll_back(&mut self, engine: &mut Engine) {
        self.effects.truncate(self.kept);
        let effects = &self.effects;
        self.temporary.retain(|name| effects.iter().any(|effect| effect.table() == name));
        self.notes.clear();
        if let Some(saved) = self.saved.take() {
            self.settings.restore(saved);
        }
        self.leave(engine);
    }

    fn leave(&mut self, engine: &mut Engine) {
        self.block = Block::None;
        self.access = Access::ReadWrite;
        self.savepoints.clear();
        self.local.clear();
        self.cursors.clear();
        engine.unlock(self.process);
    }

    /// Changes a setting, until the transaction fails or for as long as it lasts.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
        scope: super::syntax::Scope,
    ) -> Result<(), SqlError> {
        let before = self.settings.snapshot();
        self.settings.set(name, value)?;
        self.saved.get_or_insert(before);
        match scope {
            super::syntax::Scope::Transaction => self.local.insert(name.to_ascii_lowercase()),
            super::syntax::Scope::Session => self.local.remove(&name.to_ascii_lowercase()),
        };
        Ok(())
    }

    /// Resets all settings, until the transaction fails.
    pub(super) fn reset_all(&mut self) {
        let before = self.settings.snapshot();
        self.saved.get_or_insert(before);
        self.settings.reset_all();
    }

    /// Forgets everything, as `discard all` does.
    pub(super) fn discard_all(&mut self, engine: &mut Engine) {
        self.settings.reset_all();
        self.saved = None;
        self.effects.clear();
        self.kept = 0;
        self.temporary.clear();
        self.prepared.clear();
        self.cursors.clear();
        self.listening.clear();
        engine.unadvise_all(self.process);
    }

    /// Notes how long a new table lives.
    pub(super) fn created(&mut self, table: &str, life: Life) {
        if life == Life::Temporary {
            self.temporary.insert(table.to_owned());
        }
    }

    /// Tells whether a table is the session's own.
    pub(super) fn is_temporary(&self, table: &str) -> bool {
        self.temporary.contains(table)
    }
}
