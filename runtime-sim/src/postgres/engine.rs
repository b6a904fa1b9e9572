//! Data of one server: committed tables, the log of what made them, and locks.
//!
//! A transaction keeps its effects to itself until it commits; then they become one record of the
//! log, durable and visible at once. A standby has the primary's records and replays them. Rows
//! that a transaction changed are locked until it ends; DDL and `lock table` lock whole tables.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::syntax::Column;
use super::value::{SqlError, Value};

/// Where the log of a new cluster begins.
const LSN_START: u64 = 0x0300_0060;

/// A table.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    /// By row number, which is the order of insertion.
    pub(super) rows: BTreeMap<u64, Vec<Value>>,
}

/// A change of the data.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Create(String, Vec<Column>),
    Drop(String),
    Put(String, u64, Vec<Value>),
    Delete(String, u64),
    Truncate(String),
}

impl Effect {
    pub(super) fn table(&self) -> &str {
        match self {
            Self::Create(table, _)
            | Self::Drop(table)
            | Self::Put(table, ..)
            | Self::Delete(table, _)
            | Self::Truncate(table) => table,
        }
    }
}

/// A commit in the log.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// Where the record ends.
    pub(super) lsn: u64,
    effects: Rc<[Effect]>,
}

/// What sort of lock is held against others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lock {
    Row(String, u64),
    Table(String),
}

/// Whether replay goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Replay {
    #[default]
    Running,
    Paused,
}

/// What a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    Standby(Replay),
}

/// A standby as its primary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Follower {
    pub(super) application_name: String,
    pub(super) state: &'static str,
    pub(super) sync_state: &'static str,
}

/// A notification on its way to those who listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notification {
    pub(super) process: u32,
    pub(super) channel: String,
    pub(super) payload: String,
}

/// The data of a server.
#[derive(Debug)]
pub(super) struct Engine {
    tables: BTreeMap<String, Table>,
    log: Vec<Record>,
    /// Records of the log whose effects are in the tables.
    /// `applied <= log.len()`
    applied: usize,
    pub(super) role: Role,
    pub(super) timeline: u32,
    pub(super) followers: Vec<Follower>,
    /// What `pg_stat_activity` shows: process, user, database, application name.
    pub(super) activity: BTreeMap<u32, [String; 3]>,
    row_next: u64,
    locks: BTreeMap<Lock, u32>,
    advisory: BTreeMap<i64, (u32, u32)>,
    /// Whether locks were given back since sessions last had the chance to take them.
    pub(super) released: Released,
    pub(super) notifications: Vec<Notification>,
    /// Deeds of one session to another.
    pub(super) deeds: Vec<Deed>,
    pub(super) probe: String,
}

/// What a session does to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Terminate(u32),
    Cancel(u32),
    Replay(Replay),
}

/// Whether locks were given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Released {
    #[default]
    No,
    Yes,
}

impl Engine {
    pub(super) fn new(role: Role, probe: &str) -> Self {
        Self {
            tables: BTreeMap::new(),
            log: Vec::new(),
            applied: 0,
            role,
            timeline: 1,
            followers: Vec::new(),
            activity: BTreeMap::new(),
            row_next: 1,
            locks: BTreeMap::new(),
            advisory: BTreeMap::new(),
            released: Released::No,
            notifications: Vec::new(),
            deeds: Vec::new(),
            probe: probe.to_owned(),
        }
    }

    pub(super) fn is_standby(&self) -> bool {
        matches!(self.role, Role::Standby(_))
    }

    /// Where the log ends that is in the tables.
    pub(super) fn lsn(&self) -> u64 {
        let last = self.applied.checked_sub(1).and_then(|at| self.log.get(at));
        last.map_or(LSN_START, |record| record.lsn)
    }

    /// Where the log ends that is durable here.
    pub(super) fn lsn_received(&self) -> u64 {
        self.log.last().map_or(LSN_START, |record| record.lsn)
    }

    /// Shows a table as a transaction with the given effects sees it.
    pub(super) fn view(&self, name: &str, own: &[Effect]) -> Result<Cow<'_, Table>, SqlError> {
        let mut table = self.tables.get(name).map(Cow::Borrowed);
        for effect in own.iter().filter(|effect| effect.table() == name) {
            apply(&mut table, effect);
        }
        table.ok_or_else(|| SqlError::new("42P01", format!("relation \"{name}\" does not exist")))
    }

    /// Names the next row.
    pub(super) fn row_next(&mut self) -> u64 {
        self.row_next += 1;
        self.row_next
    }

    /// Makes effects durable and visible.
    pub(super) fn commit(&mut self, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        let lsn = self.lsn_received() + 56 + 64 * effects.len() as u64;
        self.log.push(Record { lsn, effects: effects.into() });
        self.replay();
    }

    /// Replays the whole log that is here.
    pub(super) fn replay(&mut self) {
        while let Some(record) = self.log.get(self.applied) {
            for effect in record.effects.iter() {
                let name = effect.table();
                let mut table = self.tables.remove(name).map(Cow::Owned);
                apply(&mut table, effect);
                if let Some(table) = table {
                    self.tables.insert(name.to_owned(), table.into_owned());
                }
                if let Effect::Put(_, row, _) = effect {
                    self.row_next = self.row_next.max(*row);
                }
            }
            self.applied += 1;
        }
    }

    /// Takes over what another server's log has beyond this one's.
    pub(super) fn receive(&mut self, primary: &Self) {
        let new = primary.log.get(self.log.len()..).unwrap_or_default();
        self.log.extend_from_slice(new);
    }

    /// Takes a lock for a session, unless another has it.
    pub(super) fn lock(&mut self, lock: Lock, process: u32) -> bool {
        *self.locks.entry(lock).or_insert(process) == process
    }

    /// Tells whether another session has locked a whole table.
    pub(super) fn is_locked(&self, table: &str, process: u32) -> bool {
        let lock = Lock::Table(table.to_owned());
        self.locks.get(&lock).is_some_and(|holder| *holder != process)
    }

    /// Gives back what a transaction had locked.
    pub(super) fn unlock(&mut self, process: u32) {
        self.locks.retain(|_, holder| *holder != process);
        self.released = Released::Yes;
    }

    /// Takes an advisory lock, unless another session has it.
    pub(super) fn advise(&mut self, key: i64, process: u32) -> bool {
        let (holder, count) = self.advisory.entry(key).or_insert((process, 0));
        let ours = *holder == process;
        *count += u32::from(ours);
        ours
    }

    /// Gives back an advisory lock; tells whether it was held.
    pub(super) fn unadvise(&mut self, key: i64, process: u32) -> bool {
        let held = self.advisory.get_mut(&key).filter(|(holder, _)| *holder == process);
        let Some((_, count)) = held else { return false };
        *count -= 1;
        if *count == 0 {
            self.advisory.remove(&key);
            self.released = Released::Yes;
        }
        true
    }

    /// Gives back all advisory locks of a session.
    pub(super) fn unadvise_all(&mut self, process: u32) {
        self.advisory.retain(|_, (holder, _)| *holder != process);
        self.released = Released::Yes;
    }

    /// Forgets everything that is not durable.
    pub(super) fn crash(&mut self) {
        self.locks.clear();
        self.advisory.clear();
        self.activity.clear();
        self.notifications.clear();
        self.deeds.clear();
        self.followers.clear();
        // Replay does not stay paused over a restart.
        if self.is_standby() {
            self.role = Role::Standby(Replay::Running);
        }
    }
}

/// Changes a table, which may not be there before or after.
fn apply(table: &mut Option<Cow<'_, Table>>, effect: &Effect) {
    match (effect, table.as_mut()) {
        (Effect::Create(_, columns), _) => {
            *table = Some(Cow::Owned(Table { columns: columns.clone(), rows: BTreeMap::new() }));
        }
        (Effect::Drop(_), _) => *table = None,
        (Effect::Put(_, row, values), Some(table)) => {
            table.to_mut().rows.insert(*row, values.clone());
        }
        (Effect::Delete(_, row), Some(table)) => {
            table.to_mut().rows.remove(row);
        }
        (Effect::Truncate(_), Some(table)) => table.to_mut().rows.clear(),
        (Effect::Put(..) | Effect::Delete(..) | Effect::Truncate(_), None) => {}
    }
}

/// Prints a place in the log as PostgreSQL does.
pub(super) fn print_lsn(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_has_what_the_primary_committed_once_it_replays() {
        let mut primary = Engine::new(Role::Primary, "");
        let mut standby = Engine::new(Role::Standby(Replay::Running), "");
        let row = primary.row_next();
        let effects = vec![
            Effect::Create("t".to_owned(), Vec::new()),
            Effect::Put("t".to_owned(), row, vec![Value::Int(1)]),
        ];
        assert!(primary.view("t", &[]).is_err());
        assert_eq!(primary.view("t", &effects).unwrap().rows.len(), 1);
        primary.commit(effects);
        assert_eq!(primary.view("t", &[]).unwrap().rows.len(), 1);
        standby.receive(&primary);
        assert_eq!(standby.lsn_received(), primary.lsn());
        assert!(standby.lsn() < primary.lsn() && standby.view("t", &[]).is_err());
        standby.replay();
        assert_eq!(standby.lsn(), primary.lsn());
        assert_eq!(standby.view("t", &[]).unwrap().rows.len(), 1);
    }

    #[test]
    fn locks_keep_others_out_until_given_back() {
        let mut engine = Engine::new(Role::Primary, "");
        let lock = Lock::Row("t".to_owned(), 1);
        assert!(engine.lock(lock.clone(), 7) && engine.lock(lock.clone(), 7));
        assert!(!engine.lock(lock.clone(), 8));
        engine.unlock(7);
        assert!(engine.lock(lock, 8));
        assert!(engine.advise(5, 7) && engine.advise(5, 7) && !engine.advise(5, 8));
        assert!(engine.unadvise(5, 7) && !engine.advise(5, 8));
        assert!(engine.unadvise(5, 7) && engine.advise(5, 8));
    }
}
