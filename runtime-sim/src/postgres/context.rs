//! What a session remembers: its transaction, settings, prepared statements, cursors, what it
//! listens to and its temporary tables.

use std::collections::{BTreeMap, BTreeSet};

use super::engine::{Engine, Notification};
use super::eval::Facts;
use super::own::Own;
use super::row_set::RowSet;
use super::settings::{Mark, Settings};
use super::syntax::{Access, Hold, Statement};
use super::value::{Type, Value};
use crate::check::provenance::Whose;

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

/// What a statement shares its implicit transaction with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Company {
    #[default]
    Alone,
    /// Other statements of the same query string.
    Script,
    /// Statements that ran since the last `Sync`.
    Pipeline,
}

/// How a statement was prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// By `Parse`.
    Protocol,
    /// By `prepare`.
    Sql,
}

/// A prepared statement.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) statement: Statement,
    pub(super) types: Vec<Type>,
    pub(super) origin: Origin,
}

/// A cursor of SQL.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) rows: RowSet,
    pub(super) hold: Hold,
    /// Whether its transaction has committed.
    pub(super) age: Age,
}

/// Whether something is of the transaction in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    New,
    Held,
}

/// A savepoint.
#[derive(Debug)]
pub(super) struct Savepoint {
    pub(super) name: String,
    effects: usize,
    settings: Mark,
    cursors: BTreeSet<String>,
}

/// A change of what a session listens to, which takes effect when it commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ear {
    Listen(String, Whose),
    Unlisten(String),
    UnlistenAll,
}

/// What a session remembers.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) process: u32,
    pub(super) node: usize,
    /// Who has logged in.
    pub(super) user: String,
    pub(super) own: Own,
    pub(super) settings: Settings,
    pub(super) block: Block,
    pub(super) company: Company,
    pub(super) access: Access,
    savepoints: Vec<Savepoint>,
    /// It has set something among several statements of one query: who passes that on need not know
    /// what.
    pub(super) is_clouded: bool,
    /// What the transaction tells others.
    pub(super) notes: Vec<(String, String)>,
    /// Notifications that the client has not been told of, with whose wish it was to hear them.
    pub(super) heard: Vec<(Notification, Whose)>,
    pub(super) prepared: BTreeMap<String, Prepared>,
    pub(super) cursors: BTreeMap<String, Cursor>,
    /// Channels, by whose wish they are listened to.
    pub(super) listening: BTreeMap<String, Whose>,
    pub(super) ears: Vec<Ear>,
    /// Severity, SQLSTATE and text of notices on their way to the client.
    pub(super) notices: Vec<(&'static str, &'static str, String)>,
    /// What the functions have given that the statement in progress has called so far. A statement
    /// that waited is carried out from its beginning, and must not do the same things twice.
    pub(super) answers: Vec<Value>,
    /// How many functions the statement has called in this run.
    pub(super) called: usize,
    /// How deep the function in progress was called by others.
    pub(super) depth: usize,
}

impl Context {
    pub(super) fn new(process: u32, node: usize) -> Self {
        Self {
            process,
            node,
            user: String::new(),
            own: Own::default(),
            settings: Settings::new(),
            block: Block::None,
            company: Company::Alone,
            access: Access::ReadWrite,
            savepoints: Vec::new(),
            is_clouded: false,
            notes: Vec::new(),
            heard: Vec::new(),
            prepared: BTreeMap::new(),
            cursors: BTreeMap::new(),
            listening: BTreeMap::new(),
            ears: Vec::new(),
            notices: Vec::new(),
            answers: Vec::new(),
            called: 0,
            depth: 0,
        }
    }

    /// Gathers what expressions may ask about.
    pub(super) fn facts(&self, engine: &Engine, params: &[Value]) -> Facts {
        Facts {
            now: engine.now,
            process: self.process,
            database: self.own.database.clone(),
            node: self.node,
            standby: engine.is_standby(),
            lsn: engine.lsn(),
            lsn_received: engine.lsn_received(),
            conninfo: engine.conninfo_next.clone(),
            settings: self.settings.values(),
            params: params.to_vec(),
            deeds: Vec::new().into(),
            notes: Vec::new().into(),
        }
    }

    /// What the session has that its client cannot have again on another one.
    pub(super) fn holds(&self, engine: &Engine) -> Option<&'static str> {
        let by_sql = |prepared: &Prepared| prepared.origin == Origin::Sql;
        let held = |cursor: &Cursor| cursor.age == Age::Held;
        [
            (self.own.has_temporary(), "a temporary table"),
            (self.cursors.values().any(held), "a cursor"),
            (!self.listening.is_empty(), "an ear"),
            (engine.advised(self.process) > 0, "an advisory lock"),
            (self.prepared.values().any(by_sql), "a prepared statement"),
            (self.is_clouded, "a setting"),
        ]
        .into_iter()
        .find_map(|(has, what)| has.then_some(what))
    }

    /// Begins a transaction if there is none.
    pub(super) fn enter(&mut self, engine: &Engine) {
        if self.block == Block::None {
            self.block = Block::Implicit;
            let default = self.settings.show("default_transaction_read_only");
            let read_only = default.is_ok_and(|value| value == "on");
            self.access = if read_only { Access::ReadOnly } else { engine.access };
        }
    }

    /// Makes what the transaction did last.
    pub(super) fn commit(&mut self, engine: &mut Engine) {
        engine.commit(&self.own.database.clone(), self.own.commit());
        for ear in std::mem::take(&mut self.ears) {
            match ear {
                Ear::Listen(channel, whose) => drop(self.listening.insert(channel, whose)),
                Ear::Unlisten(channel) => drop(self.listening.remove(&channel)),
                Ear::UnlistenAll => self.listening.clear(),
            }
        }
        let mut told = BTreeSet::new();
        for (channel, payload) in std::mem::take(&mut self.notes) {
            // PostgreSQL docs, "NOTIFY": the same twice in a transaction is told once.
            if !told.insert((channel.clone(), payload.clone())) {
                continue;
            }
            let (process, database) = (self.process, self.own.database.clone());
            let notification = Notification { process, database, channel, payload };
            self.hear(&notification);
            engine.notifications.push(notification);
        }
        self.settings.commit();
        self.cursors.retain(|_, cursor| cursor.hold == Hold::With);
        for cursor in self.cursors.values_mut() {
            cursor.age = Age::Held;
        }
        self.leave(engine);
    }

    /// Takes a notification for the client, if it listens.
    pub(super) fn hear(&mut self, notification: &Notification) {
        let here = notification.database == self.own.database;
        if let Some(whose) = self.listening.get(&notification.channel).filter(|_| here) {
            self.heard.push((notification.clone(), *whose));
        }
    }

    /// Takes back what the transaction did.
    pub(super) fn roll_back(&mut self, engine: &mut Engine) {
        self.own.roll_back();
        self.notes.clear();
        self.ears.clear();
        self.settings.roll_back();
        self.cursors.retain(|_, cursor| cursor.age == Age::Held);
        self.leave(engine);
    }

    fn leave(&mut self, engine: &mut Engine) {
        self.block = Block::None;
        self.access = Access::ReadWrite;
        self.savepoints.clear();
        engine.unlock(self.process);
    }

    /// Notes where the transaction is, under a name.
    pub(super) fn save(&mut self, name: &str) {
        self.savepoints.push(Savepoint {
            name: name.to_owned(),
            effects: self.own.mark(),
            settings: self.settings.mark(),
            cursors: self.cursors.keys().cloned().collect(),
        });
    }

    /// Goes back to a savepoint, which stays; tells whether there is one of this name.
    pub(super) fn back_to(&mut self, name: &str) -> bool {
        let Some(at) = self.savepoints.iter().rposition(|known| known.name == name) else {
            return false;
        };
        self.savepoints.truncate(at + 1);
        if let Some(savepoint) = self.savepoints.last() {
            self.own.back_to(savepoint.effects);
            self.settings.back_to(savepoint.settings.clone());
            self.cursors.retain(|name, _| savepoint.cursors.contains(name));
        }
        true
    }

    /// Forgets a savepoint and those after it; tells whether there is one of this name.
    pub(super) fn release(&mut self, name: &str) -> bool {
        let at = self.savepoints.iter().rposition(|known| known.name == name);
        self.savepoints.truncate(at.unwrap_or(self.savepoints.len()));
        at.is_some()
    }

    /// Forgets everything, as `discard all` does.
    pub(super) fn discard_all(&mut self, engine: &mut Engine) {
        self.cursors.clear();
        self.be_oneself();
        self.settings.reset_all();
        self.is_clouded = false;
        self.deallocate_all();
        self.ears.push(Ear::UnlistenAll);
        engine.unadvise_all(self.process);
        self.own.drop_temporary();
    }

    /// Undoes `set role` and `set session authorization`.
    pub(super) fn be_oneself(&mut self) {
        for name in ["role", "session_authorization"] {
            let own = self.settings.set(name, None, super::syntax::Scope::Session);
            debug_assert_eq!(own, Ok(()), "both parameters exist");
        }
    }

    /// Forgets all prepared statements that have a name.
    pub(super) fn deallocate_all(&mut self) {
        self.prepared.retain(|name, _| name.is_empty());
    }

    /// The statement in progress has come to its end.
    pub(super) fn settle(&mut self) {
        self.answers.clear();
        self.called = 0;
        self.depth = 0;
    }
}
