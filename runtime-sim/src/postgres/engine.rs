//! Data of one server: committed tables, the log of what made them, and locks.
//!
//! A transaction keeps its effects to itself until it commits; then they become one record of the
//! log, durable and visible at once. A standby has the primary's records and replays them. Rows
//! that a transaction changed are locked until it ends; DDL and `lock table` lock whole tables.

mod advisory;
pub(super) mod schema;
mod synchrony;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use pgherd_core::time::{Duration, Instant};

pub(super) use self::advisory::{Advisory, Key, Mode, Span};
pub(super) use self::schema::{Effect, Nature, Schema, Table, apply};
pub(super) use self::synchrony::Synchrony;
use super::own::Own;
use super::scripts::Folder;
use super::syntax::{Access, Function};
use super::value::SqlError;
use crate::plan::Plan;

/// Where the log of a new cluster begins.
const LSN_START: u64 = 0x0300_0060;

/// A commit in the log.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// Where the record ends.
    pub(super) lsn: u64,
    /// On which timeline it was made.
    timeline: u32,
    /// When it was made.
    at: Instant,
    /// In which database.
    database: Rc<str>,
    effects: Rc<[Effect]>,
}

/// What sort of lock is held against others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lock {
    /// Numbers of rows are never used twice.
    Row(u64),
    /// A table of a database.
    Table(String, String),
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

/// Whether a standby receives the log of another server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Receiver {
    #[default]
    None,
    Streaming,
}

/// What becomes of an order to promote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Obedience {
    /// It is carried out.
    #[default]
    Full,
    /// It is refused (42501).
    Refused,
    /// It is not carried out, and answered only when the asker's patience is over.
    Hangs,
    /// It is said to be carried out, and is not.
    Lies,
}

/// Whether others may change whom it follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manners {
    #[default]
    Docile,
    /// It refuses that (42501).
    Stubborn,
}

/// A standby as its primary sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Follower {
    pub(super) application_name: String,
    pub(super) state: &'static str,
    pub(super) sync_state: &'static str,
    /// How far it has received the log.
    pub(super) received: u64,
    /// How far it has replayed it.
    pub(super) replayed: u64,
}

/// A notification on its way to those who listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notification {
    pub(super) process: u32,
    pub(super) database: String,
    pub(super) channel: String,
    pub(super) payload: String,
}

/// A copy of a server's data.
#[derive(Debug)]
pub(crate) struct Copy {
    databases: BTreeMap<String, Schema>,
    log: Vec<Record>,
    timeline: u32,
    row_next: u64,
    synchrony: Option<Synchrony>,
    system: u64,
}

/// The number of the cluster that the servers are of, unless one is made to be of another.
const SYSTEM: u64 = 7_300_000_000_000_000_001;

/// The data of a server.
#[derive(Debug)]
pub(super) struct Engine {
    /// The time of day, as of the turn in progress.
    pub(super) now: Instant,
    databases: BTreeMap<String, Schema>,
    /// Roles that may log in, with their passwords.
    pub(super) users: BTreeMap<String, String>,
    log: Vec<Record>,
    /// Records of the log whose effects are in the databases.
    /// `applied <= log.len()`
    applied: usize,
    pub(super) role: Role,
    /// How long a standby waits before it replays a record (`recovery_min_apply_delay`).
    pub(super) apply_delay: Duration,
    pub(super) timeline: u32,
    /// The number that `initdb` gave its cluster.
    pub(super) system: u64,
    /// `primary_conninfo` in effect.
    pub(super) conninfo: String,
    /// `primary_conninfo` as of the next reload.
    pub(super) conninfo_next: String,
    /// Whether transactions may write that do not say so themselves
    /// (`default_transaction_read_only`).
    pub(super) access: Access,
    /// The same as of the next reload.
    pub(super) access_next: Access,
    /// Whose word commits wait for (`synchronous_standby_names`).
    synchrony: Option<Synchrony>,
    /// The same as of the next reload.
    pub(super) synchrony_next: Option<Synchrony>,
    /// How far enough standbys have the log.
    confirmed: Option<u64>,
    /// Its replication slots that have no user.
    pub(super) slots: BTreeSet<String>,
    /// Whether it receives the log of another server.
    pub(super) receiver: Receiver,
    /// What becomes of an order to promote.
    pub(super) obedience: Obedience,
    /// Whether others may change whom it follows.
    pub(super) manners: Manners,
    /// The session that waits for a promotion, and since when.
    promotion: Option<(u32, Instant)>,
    /// The scripts in the data directory.
    pub(super) folder: Folder,
    /// By node.
    pub(super) followers: BTreeMap<usize, Follower>,
    /// What `pg_stat_activity` shows: process, user, database, application name.
    pub(super) activity: BTreeMap<u32, [String; 3]>,
    row_next: u64,
    locks: BTreeMap<Lock, u32>,
    advisory: Advisory,
    /// Whether locks were given back since sessions last had the chance to take them.
    pub(super) released: Released,
    pub(super) notifications: Vec<Notification>,
    /// Deeds of one session to another.
    pub(super) deeds: Vec<Deed>,
    /// Reads that are still to fail by a conflict with recovery.
    pub(super) conflicts: u32,
    pub(super) probe: String,
}

/// What a session does to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Terminate(u32),
    Cancel(u32),
    Replay(Replay),
    Promote,
    Reload,
}

/// Whether locks were given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Released {
    #[default]
    No,
    Yes,
}

impl Engine {
    pub(super) fn new(role: Role, plan: &Plan) -> Self {
        let databases = plan.databases.iter().map(|name| (name.clone(), Schema::default()));
        Self {
            now: Instant::ZERO,
            databases: databases.collect(),
            users: plan.users.clone(),
            log: Vec::new(),
            applied: 0,
            role,
            apply_delay: Duration::ZERO,
            timeline: 1,
            system: SYSTEM,
            conninfo: String::new(),
            conninfo_next: String::new(),
            access: Access::ReadWrite,
            access_next: Access::ReadWrite,
            synchrony: None,
            synchrony_next: None,
            confirmed: None,
            slots: BTreeSet::new(),
            receiver: Receiver::None,
            obedience: Obedience::Full,
            manners: Manners::Docile,
            promotion: None,
            folder: Folder::default(),
            followers: BTreeMap::new(),
            activity: BTreeMap::new(),
            row_next: 1,
            locks: BTreeMap::new(),
            advisory: Advisory::default(),
            released: Released::No,
            notifications: Vec::new(),
            deeds: Vec::new(),
            conflicts: 0,
            probe: plan.probe.clone(),
        }
    }

    /// Begins a promotion, or looks after one that is under way; tells whether it has come to its
    /// end or `within` is over.
    pub(super) fn promote(&mut self, process: u32, within: Duration) -> Result<bool, SqlError> {
        match self.obedience {
            Obedience::Refused => {
                let what = "permission denied for function pg_promote";
                return Err(SqlError::new("42501", what));
            }
            Obedience::Lies => return Ok(true),
            Obedience::Full | Obedience::Hangs => {}
        }
        match self.promotion {
            Some((asker, since)) if asker == process => {
                Ok(!self.is_standby() || self.now.since(since) >= within)
            }
            Some(_) | None if !self.is_standby() => {
                Err(SqlError::new("55000", "recovery is not in progress"))
            }
            Some(_) | None => {
                self.promotion = Some((process, self.now));
                if self.obedience == Obedience::Full {
                    self.deeds.push(Deed::Promote);
                }
                Ok(false)
            }
        }
    }

    /// Whether a promotion is under way that a session waits for.
    pub(super) const fn is_promoting(&self) -> bool {
        self.promotion.is_some()
    }

    /// Tells the asker how the promotion went.
    pub(super) fn end_promotion(&mut self) -> bool {
        let is_begun = self.promotion.take().is_some_and(|(_, since)| since == self.now);
        !self.is_standby() || self.obedience == Obedience::Lies || is_begun
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

    /// Shows a table as a session sees it.
    pub(super) fn view<'a>(&'a self, name: &str, own: &'a Own) -> Result<Cow<'a, Table>, SqlError> {
        let full = own.resolve(name);
        let lasting = || self.databases.get(&own.database)?.tables.get(&*full);
        let mut table = own.temporary(&full).or_else(lasting).map(Cow::Borrowed);
        for effect in own.effects().filter(|effect| effect.table() == Some(&full)) {
            apply(&mut table, effect);
        }
        table.ok_or_else(|| SqlError::new("42P01", format!("relation \"{name}\" does not exist")))
    }

    /// Finds a function as a session sees it.
    pub(super) fn function(&self, name: &str, own: &Own) -> Option<Rc<Function>> {
        for effect in own.effects().rev() {
            match effect {
                Effect::Define(defined, function) if defined == name => {
                    return Some(Rc::clone(function));
                }
                Effect::Undefine(gone) if gone == name => return None,
                Effect::Define(..)
                | Effect::Undefine(_)
                | Effect::Equip(_)
                | Effect::Strip(_)
                | Effect::Assume(..)
                | Effect::Create(..)
                | Effect::Drop(_)
                | Effect::Put(..)
                | Effect::Delete(..)
                | Effect::Truncate(_)
                | Effect::Found
                | Effect::Raze => {}
            }
        }
        self.databases.get(&own.database)?.functions.get(name).cloned()
    }

    /// What a database holds; none if there is no such database.
    pub(super) fn database(&self, name: &str) -> Option<&Schema> {
        self.databases.get(name)
    }

    /// Names the next row.
    pub(super) fn row_next(&mut self) -> u64 {
        self.row_next += 1;
        self.row_next
    }

    /// Makes effects durable and visible.
    pub(super) fn commit(&mut self, database: &str, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        let lsn = self.lsn_received() + 56 + 64 * effects.len() as u64;
        let database = database.into();
        self.log.push(Record {
            lsn,
            timeline: self.timeline,
            at: self.now,
            database,
            effects: effects.into(),
        });
        self.replay();
    }

    /// Replays the whole log that is here.
    pub(super) fn replay(&mut self) {
        while let Some(record) = self.log.get(self.applied).cloned() {
            self.apply(&record);
        }
    }

    /// Replays what is old enough; returns when there will be more to replay.
    pub(super) fn replay_until(&mut self, now: Instant) -> Option<Instant> {
        while let Some(record) = self.log.get(self.applied).cloned() {
            let due = record.at + self.apply_delay;
            if due > now {
                return Some(due);
            }
            self.apply(&record);
        }
        None
    }

    fn apply(&mut self, record: &Record) {
        self.applied += 1;
        for effect in record.effects.iter() {
            if let Effect::Put(_, row, _) = effect {
                self.row_next = self.row_next.max(*row);
            }
            if matches!(effect, Effect::Raze) {
                self.databases.remove(&*record.database);
            } else {
                self.databases
                    .entry(record.database.as_ref().to_owned())
                    .or_default()
                    .apply(effect);
            }
        }
    }

    /// A copy of the data, as `pg_basebackup` makes it.
    pub(super) fn copy(&self) -> Copy {
        Copy {
            databases: self.databases.clone(),
            log: self.log.clone(),
            timeline: self.timeline,
            row_next: self.row_next,
            synchrony: self.synchrony_next.clone(),
            system: self.system,
        }
    }

    /// Becomes a standby with somebody else's data.
    pub(super) fn restore(&mut self, copy: Copy) {
        self.databases = copy.databases;
        self.applied = copy.log.len();
        self.log = copy.log;
        self.timeline = copy.timeline;
        self.row_next = copy.row_next;
        self.synchrony_next = copy.synchrony;
        self.system = copy.system;
        self.role = Role::Standby(Replay::Running);
    }

    /// Whether this server's log is the beginning of another's, on whose timeline it may go on.
    pub(super) fn may_follow(&self, upstream: &Self) -> bool {
        let last = self.log.len().checked_sub(1);
        let place = |log: &[Record]| last.and_then(|at| log.get(at)).map(|r| (r.lsn, r.timeline));
        upstream.system == self.system
            && upstream.timeline >= self.timeline
            && place(&self.log) == place(&upstream.log)
            && self.log.len() <= upstream.log.len()
    }

    /// Takes over what another server's log has beyond this one's.
    pub(super) fn receive(&mut self, upstream: &Self) {
        let new = upstream.log.get(self.log.len()..).unwrap_or_default();
        self.log.extend_from_slice(new);
        self.timeline = upstream.timeline;
    }

    /// How long ago the first record behind a place in the log was made; none if there is none.
    pub(super) fn lag(&self, lsn: u64) -> Option<Duration> {
        let first = self.log.partition_point(|record| record.lsn <= lsn);
        self.log.get(first).map(|record| self.now.since(record.at))
    }

    /// Takes a lock for a session, unless another has it.
    pub(super) fn lock(&mut self, lock: Lock, process: u32) -> bool {
        *self.locks.entry(lock).or_insert(process) == process
    }

    /// Tells whether another session has locked a whole table.
    pub(super) fn is_locked(&self, database: &str, table: &str, process: u32) -> bool {
        !self.locks.is_empty() && {
            let lock = Lock::Table(database.to_owned(), table.to_owned());
            self.locks.get(&lock).is_some_and(|holder| *holder != process)
        }
    }

    /// Gives back what a transaction had locked.
    pub(super) fn unlock(&mut self, process: u32) {
        let before = self.locks.len();
        self.locks.retain(|_, holder| *holder != process);
        let advisory = self.advisory.give_all(process, Span::Transaction);
        if advisory || self.locks.len() < before {
            self.released = Released::Yes;
        }
    }

    /// Takes an advisory lock, unless another session keeps this one out.
    pub(super) fn advise(&mut self, key: &Key, process: u32, mode: Mode, span: Span) -> bool {
        self.advisory.take(key, process, mode, span)
    }

    /// Gives back an advisory lock of a session; tells whether it was held.
    pub(super) fn unadvise(&mut self, key: &Key, process: u32, mode: Mode) -> bool {
        self.released = Released::Yes;
        self.advisory.give(key, process, mode)
    }

    /// Gives back all advisory locks of a session.
    pub(super) fn unadvise_all(&mut self, process: u32) {
        if self.advisory.give_all(process, Span::Session) {
            self.released = Released::Yes;
        }
    }

    /// Counts the advisory locks of a session.
    pub(super) fn advised(&self, process: u32) -> usize {
        self.advisory.count(process)
    }

    /// Empties unlogged tables, as recovery from a crash and promotion do.
    pub(super) fn empty_unlogged(&mut self) {
        let tables = self.databases.values_mut().flat_map(|schema| schema.tables.values_mut());
        for table in tables.filter(|table| table.nature == Nature::Unlogged) {
            table.rows.clear();
        }
    }

    /// Reads its configuration again.
    pub(super) fn reload(&mut self) {
        self.conninfo.clone_from(&self.conninfo_next);
        self.access = self.access_next;
        self.synchrony.clone_from(&self.synchrony_next);
        self.confirm();
    }

    /// Forgets everything that is not durable.
    pub(super) fn crash(&mut self) {
        self.locks.clear();
        self.advisory.clear();
        self.activity.clear();
        self.notifications.clear();
        self.deeds.clear();
        self.followers.clear();
        self.folder.crash();
        self.conflicts = 0;
        self.reload();
        self.receiver = Receiver::None;
        self.released = Released::No;
        // Replay does not stay paused over a restart.
        if self.is_standby() {
            self.role = Role::Standby(Replay::Running);
        }
    }
}

/// Prints a place in the log as PostgreSQL does.
pub(super) fn print_lsn(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::value::Value;

    #[test]
    fn a_standby_has_what_the_primary_committed_once_it_replays() {
        let mut primary = Engine::new(Role::Primary, &Plan::default());
        let mut standby = Engine::new(Role::Standby(Replay::Running), &Plan::default());
        let mut own = Own::of("postgres");
        let nobody = Own::of("postgres");
        let row = primary.row_next();
        own.push(Effect::Create("t".to_owned(), Vec::new(), Nature::Permanent));
        own.push(Effect::Put("t".to_owned(), row, vec![Value::Int(1)]));
        assert!(primary.view("t", &nobody).is_err());
        assert_eq!(primary.view("t", &own).unwrap().rows.len(), 1);
        primary.commit("postgres", own.commit());
        assert_eq!(primary.view("t", &nobody).unwrap().rows.len(), 1);
        standby.receive(&primary);
        assert_eq!(standby.lsn_received(), primary.lsn());
        assert!(standby.lsn() < primary.lsn() && standby.view("t", &nobody).is_err());
        standby.apply_delay = Duration::from_secs(5);
        let due = Instant::ZERO + Duration::from_secs(5);
        assert_eq!(standby.replay_until(Instant::ZERO), Some(due));
        primary.now = Instant::ZERO + Duration::from_secs(2);
        assert_eq!(primary.lag(standby.lsn()), Some(Duration::from_secs(2)));
        assert_eq!(standby.replay_until(due), None);
        assert_eq!(standby.lsn(), primary.lsn());
        assert_eq!(primary.lag(standby.lsn()), None);
        assert_eq!(standby.view("t", &nobody).unwrap().rows.len(), 1);
    }

    #[test]
    fn databases_have_tables_of_their_own() {
        let mut engine = Engine::new(Role::Primary, &Plan::default());
        engine.commit("other", vec![Effect::Found]);
        engine.commit("other", vec![Effect::Create("t".into(), Vec::new(), Nature::Permanent)]);
        assert!(engine.view("t", &Own::of("other")).is_ok());
        assert!(engine.view("t", &Own::of("postgres")).is_err());
        engine.commit("other", vec![Effect::Raze]);
        assert!(engine.database("other").is_none());
    }

    #[test]
    fn locks_keep_others_out_until_given_back() {
        let mut engine = Engine::new(Role::Primary, &Plan::default());
        assert!(engine.lock(Lock::Row(1), 7) && engine.lock(Lock::Row(1), 7));
        assert!(!engine.lock(Lock::Row(1), 8));
        engine.unlock(7);
        assert!(engine.lock(Lock::Row(1), 8));
    }
}
