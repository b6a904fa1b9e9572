//! One server process: reads its client's messages, runs statements, answers.

mod beginning;
mod extended;
mod flow;

use std::collections::{BTreeMap, VecDeque};

use pgherd_core::time::{Duration, Instant};
use pgherd_core::wire::word;

use self::extended::Portal;
use super::context::{Block, Company, Context};
use super::engine::Engine;
use super::execute::{Stop, conflict, known};
use super::login::Proof;
use super::outbox::Outbox;
use super::parse::parse;
use super::row_set::RowSet;
use super::syntax::Statement;
use super::value::{Format, SqlError};
use crate::check::deeds::Author;
use crate::check::ledger::Place;
use crate::check::provenance::{Reply, Runs, Whose, Word};
use crate::plan::Auth;

/// What the server says to everybody who wants in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    /// 57P03
    StartingUp,
    /// 53300
    Full,
    /// 53100
    NoDisk,
}

/// Who may log in, and where.
#[derive(Clone, Debug)]
pub(super) struct Accounts {
    pub(super) auth: Auth,
}

/// What a session does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It waits for its client to say more.
    Listening,
    /// It waits for its client to take what was said.
    Full,
    /// It sleeps.
    Until(Instant),
    /// It waits for a lock.
    Blocked,
    /// It has ended.
    Ended,
    /// It asks that another session be cancelled, and has ended.
    Cancel { process: u32, secret: Vec<u8> },
}

#[derive(Debug)]
enum Stage {
    /// Before the startup packet.
    Startup,
    Login(Proof),
    Ready,
    Ended,
}

/// A query string in progress.
#[derive(Debug)]
struct Script {
    statements: VecDeque<Statement>,
}

/// What goes on after the current result.
#[derive(Debug)]
enum Then {
    Script(Script),
    Portal(String),
}

#[derive(Debug)]
enum Work {
    Idle,
    Script(Script),
    Portal {
        name: String,
        limit: u64,
    },
    /// Rows leave one by one.
    Stream {
        rows: RowSet,
        formats: Vec<Format>,
        verb: &'static str,
        sent: u64,
        limit: u64,
        then: Then,
    },
    CopyOut {
        rows: RowSet,
        sent: u64,
        then: Then,
    },
    CopyIn {
        table: String,
        columns: Vec<String>,
        data: Vec<u8>,
        then: Then,
    },
}

/// A session of a server.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) context: Context,
    pub(super) secret: [u8; 4],
    accounts: Accounts,
    door: Door,
    inbox: Vec<u8>,
    /// Whose the bytes of the inbox are.
    asked: Runs<Word>,
    /// Bytes of messages that were taken from there.
    heard: u64,
    /// Who began the transaction or the pipeline that is in progress.
    began: Whose,
    /// How the proxy has mixed up its clients.
    pub(super) breach: Option<String>,
    /// The commit that standbys have yet to confirm, whose client waits for that.
    unconfirmed: Option<Place>,
    /// A commit of which the client may be told now, because standbys have it.
    pub(super) promise: Option<Place>,
    pub(super) out: Outbox,
    stage: Stage,
    work: Work,
    portals: BTreeMap<String, Portal>,
    /// After an error in the extended protocol: until `Sync`.
    skipping: Skipping,
    sleep_until: Option<Instant>,
    pub(super) cancelled: Cancelled,
}

/// Whether messages are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skipping {
    No,
    UntilSync,
}

/// Whether the statement in progress is to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancelled {
    No,
    Yes,
}

/// Steps of one turn; then others have theirs.
const STEPS_MAX: usize = 100_000;

impl Session {
    pub(super) fn new(
        process: u32,
        node: usize,
        secret: [u8; 4],
        accounts: Accounts,
        door: Door,
    ) -> Self {
        Self {
            context: Context::new(process, node),
            secret,
            accounts,
            door,
            inbox: Vec::new(),
            asked: Runs::default(),
            heard: 0,
            began: Whose::Nobody,
            breach: None,
            unconfirmed: None,
            promise: None,
            out: Outbox::default(),
            stage: Stage::Startup,
            work: Work::Idle,
            portals: BTreeMap::new(),
            skipping: Skipping::No,
            sleep_until: None,
            cancelled: Cancelled::No,
        }
    }

    /// Makes a session that nobody logs in to, for looking at the server from outside.
    pub(super) fn inside(process: u32, node: usize, accounts: Accounts) -> Self {
        let mut session = Self::new(process, node, [0; 4], accounts, Door::Open);
        session.context.user = "postgres".to_owned();
        session.context.settings.force("session_authorization", "postgres");
        session.context.own.database = "postgres".to_owned();
        session.stage = Stage::Ready;
        session
    }

    /// Adds bytes of the client.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.receive_of(bytes, Runs::default());
    }

    /// Adds bytes of which it is known whose they are.
    pub(super) fn receive_of(&mut self, bytes: &[u8], mut runs: Runs<Word>) {
        self.inbox.extend_from_slice(bytes);
        self.asked.append(runs.take(bytes.len()));
    }

    /// Notes whose message is about to be answered.
    pub(super) fn note_whose(&mut self, tag: u8, len: usize) {
        let word = match self.asked.take(len).one() {
            Ok(word) => word,
            Err(what) => {
                self.breach.get_or_insert(what);
                Word::default()
            }
        };
        let (whose, at) = (word.whose, self.heard);
        self.heard += len as u64;
        let free = self.context.block == Block::None
            && self.skipping == Skipping::No
            && matches!(self.work, Work::Idle);
        match (self.began, whose) {
            (_, _) if free => self.began = whose,
            (Whose::Nobody, Whose::Client(_)) => self.began = whose,
            (Whose::Client(began), Whose::Client(client)) if began != client => {
                let what = format!("a message of {client:?} in the middle of {began:?}'s work");
                self.breach.get_or_insert(what);
            }
            (Whose::Client(_) | Whose::Nobody, _) => {}
        }
        self.out.reply = Reply { whose, to: at };
        // What is copied in belongs to the statement that has asked for it.
        if !matches!(tag, b'd' | b'c' | b'f') {
            self.context.own.author = Author { word, at };
        }
    }

    /// What the session has of its client that cannot be had again on another one.
    pub(super) fn holds(&self, engine: &Engine) -> Option<&'static str> {
        let is_idle = matches!(self.work, Work::Idle)
            && self.inbox.is_empty()
            && self.skipping == Skipping::No
            && self.out.is_empty()
            && self.context.block == Block::None;
        if is_idle { self.context.holds(engine) } else { Some("work") }
    }

    /// Tells whether the session has come to its end.
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    /// Tells whether the session sleeps.
    pub(super) const fn is_asleep(&self) -> bool {
        self.sleep_until.is_some()
    }

    /// Tells whether a login has succeeded.
    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    /// Ends the session from outside, as its administrator or a fast shutdown does.
    pub(super) fn terminate(&mut self, engine: &mut Engine, why: &str) {
        self.out.reply = Reply::default();
        // Whoever waited for a standby's word hears nothing of the commit.
        self.out.forfeit();
        self.out.report(b'E', "FATAL", "57P01", why);
        self.end(engine);
    }

    /// Recovery takes away what the session may be reading.
    pub(super) fn conflict(&mut self, engine: &mut Engine) {
        match (&self.work, self.context.block) {
            (_, Block::None | Block::Failed) => {}
            (Work::Idle, Block::Implicit | Block::Open) => {
                self.out.reply = Reply::default();
                let what = "terminating connection due to conflict with recovery";
                self.fatal(engine, &SqlError::new("40001", what));
            }
            (_, Block::Implicit | Block::Open) => self.fail(&conflict(), engine),
        }
    }

    /// Tells whether the client should be told of notifications.
    pub(super) fn has_heard(&self) -> bool {
        !self.context.heard.is_empty()
    }

    /// Ends the session: the client has left, or is to leave.
    pub(super) fn end(&mut self, engine: &mut Engine) {
        self.context.roll_back(engine);
        engine.unadvise_all(self.context.process);
        self.out.flush();
        self.stage = Stage::Ended;
    }

    fn fatal(&mut self, engine: &mut Engine, error: &SqlError) {
        self.out.report(b'E', "FATAL", error.code, &error.message);
        self.end(engine);
    }

    /// Does as much as there is to do.
    pub(super) fn pump(
        &mut self,
        engine: &mut Engine,
        now: Instant,
        chance: &mut dyn FnMut() -> [u8; 40],
    ) -> Rest {
        engine.now = now;
        for _ in 0..STEPS_MAX {
            if matches!(self.stage, Stage::Ended) {
                return Rest::Ended;
            }
            if self.waits_for_standbys(engine) {
                return Rest::Blocked;
            }
            if self.out.is_full() {
                return Rest::Full;
            }
            let (log_end, said) = (engine.lsn_received(), self.out.flushed());
            let rest = match &self.stage {
                Stage::Startup => self.on_startup(engine, chance),
                Stage::Login(_) => self.on_login(engine),
                Stage::Ready => self.step(engine, now),
                Stage::Ended => Some(Rest::Ended),
            };
            if engine.lsn_received() > log_end && engine.is_synchronous() {
                self.unconfirmed = Some(engine.end());
                self.out.hold(said);
            } else if let Some(rest) = rest {
                return rest;
            }
        }
        Rest::Until(now + Duration::from_micros(10))
    }

    /// Tells whether the client may not be told of its commit yet. Who cancels that wait is told
    /// of it without a standby's word, as PostgreSQL does.
    fn waits_for_standbys(&mut self, engine: &Engine) -> bool {
        let Some(place) = self.unconfirmed else { return false };
        let is_cancelled = std::mem::replace(&mut self.cancelled, Cancelled::No) == Cancelled::Yes;
        if !is_cancelled && !engine.is_confirmed(place.lsn) {
            return true;
        }
        self.promise = Some(place).filter(|_| !is_cancelled && engine.is_synchronous());
        self.unconfirmed = None;
        self.out.release();
        false
    }

    /// The server is no longer what it was: sessions hear of it (`in_hot_standby`).
    pub(super) fn promoted(&mut self) {
        self.context.settings.force("in_hot_standby", "off");
    }

    fn tell_settings(&mut self) {
        for (name, value) in self.context.settings.news() {
            self.out.texts(b'S', &[name, &value]);
        }
    }

    /// Says `ReadyForQuery`, and what should be known before it.
    fn ready(&mut self) {
        self.tell_settings();
        if self.context.block == Block::None {
            self.tell_notifications();
        }
        let status = match self.context.block {
            Block::None | Block::Implicit => b'I',
            Block::Open => b'T',
            Block::Failed => b'E',
        };
        self.out.message(b'Z', |body| body.push(status));
        self.out.flush();
    }

    /// Takes a whole message out of the inbox.
    fn message(&mut self) -> Option<(u8, Vec<u8>)> {
        let tag = *self.inbox.first()?;
        let len = word(&self.inbox, 1)? as usize;
        let body = self.inbox.get(5..(len + 1).max(5))?.to_vec();
        self.inbox.drain(..=len.min(self.inbox.len().saturating_sub(1)));
        self.note_whose(tag, len + 1);
        Some((tag, body))
    }

    /// Does one thing of a session that is logged in; none if there is more to do.
    fn step(&mut self, engine: &mut Engine, now: Instant) -> Option<Rest> {
        if std::mem::replace(&mut self.cancelled, Cancelled::No) == Cancelled::Yes
            && !matches!(self.work, Work::Idle)
        {
            let what = "canceling statement due to user request";
            self.fail(&SqlError::new("57014", what), engine);
            return None;
        }
        match self.sleep_until {
            Some(until) if until > now => return Some(Rest::Until(until)),
            Some(_) => self.sleep_until = None,
            None => {}
        }
        match std::mem::replace(&mut self.work, Work::Idle) {
            Work::Idle => self.on_idle(engine),
            Work::Script(script) => self.on_script(script, engine, now),
            Work::Portal { name, limit } => self.on_portal(&name, limit, engine, now),
            Work::Stream { rows, formats, verb, sent, limit, then } => {
                self.on_stream(rows, formats, verb, sent, limit, then, engine);
                None
            }
            Work::CopyOut { rows, sent, then } => {
                self.on_copy_out(rows, sent, then, engine);
                None
            }
            Work::CopyIn { table, columns, data, then } => {
                self.on_copy_in(table, columns, data, then, engine)
            }
        }
    }

    fn on_idle(&mut self, engine: &mut Engine) -> Option<Rest> {
        let Some((tag, body)) = self.message() else {
            if self.context.block == Block::None && !self.context.heard.is_empty() {
                self.tell_notifications();
                self.out.flush();
            }
            return Some(Rest::Listening);
        };
        if self.skipping == Skipping::UntilSync && !matches!(tag, b'S' | b'X') {
            return None;
        }
        match tag {
            b'Q' => self.on_query(&body, engine),
            b'X' => self.end(engine),
            b'S' => {
                self.skipping = Skipping::No;
                self.context.company = Company::Alone;
                self.finish_implicit(engine);
                self.ready();
            }
            b'F' => {
                self.on_function_call(&body, engine);
            }
            b'd' | b'c' | b'f' => {}
            b'P' | b'B' | b'D' | b'E' | b'C' | b'H' => {
                if let Err(error) = self.on_extended(tag, &body, engine) {
                    self.fail(&error, engine);
                }
            }
            _ => {
                let what = format!("invalid frontend message type {tag}");
                self.fatal(engine, &SqlError::new("08P01", what));
            }
        }
        None
    }

    fn tell_notifications(&mut self) {
        let reply = self.out.reply;
        for (note, listener) in std::mem::take(&mut self.context.heard) {
            self.out.reply = Reply { whose: listener, ..reply };
            self.out.message(b'A', |body| {
                body.extend_from_slice(&note.process.to_be_bytes());
                body.extend_from_slice(note.channel.as_bytes());
                body.push(0);
                body.extend_from_slice(note.payload.as_bytes());
                body.push(0);
            });
        }
        self.out.reply = reply;
    }

    /// Calls the one function that there is by number, `pg_backend_pid()`.
    fn on_function_call(&mut self, body: &[u8], engine: &mut Engine) {
        if word(body, 0) == Some(2026) && self.context.block != Block::Failed {
            let process = self.context.process.to_string();
            self.out.message(b'V', |body| {
                let len = u32::try_from(process.len()).unwrap_or(0);
                body.extend_from_slice(&len.to_be_bytes());
                body.extend_from_slice(process.as_bytes());
            });
        } else {
            self.fail(&SqlError::new("42883", "function does not exist"), engine);
            self.skipping = Skipping::No;
        }
        self.ready();
    }

    fn on_query(&mut self, body: &[u8], engine: &mut Engine) {
        let sql = String::from_utf8_lossy(body.strip_suffix(b"\0").unwrap_or(body)).into_owned();
        // PostgreSQL forgets the unnamed statement and portal before it looks at the query.
        self.context.prepared.remove("");
        self.portals.remove("");
        if let Some(rows) = known(&sql, &self.context, engine) {
            self.out.row_description(&rows.header, &[]);
            let then = Then::Script(Script { statements: VecDeque::new() });
            let (formats, limit) = (Vec::new(), u64::MAX);
            self.work = Work::Stream { rows, formats, verb: "SELECT", sent: 0, limit, then };
            return;
        }
        match parse(&sql) {
            Ok(statements) if statements.is_empty() => {
                self.out.message(b'I', |_| ());
                self.work = Work::Script(Script { statements: VecDeque::new() });
            }
            Ok(statements) => {
                let several = statements.len() > 1;
                self.context.company = if several { Company::Script } else { Company::Alone };
                self.work = Work::Script(Script { statements: statements.into() });
            }
            Err(error) => {
                self.work = Work::Script(Script { statements: VecDeque::new() });
                self.fail(&error, engine);
            }
        }
    }

    /// Why a statement gave nothing: it waits, or it failed.
    fn stop(&mut self, stop: Stop, work: Work, engine: &mut Engine, now: Instant) -> Option<Rest> {
        match stop {
            Stop::Error(error) => {
                self.work = work;
                self.fail(&error, engine);
                None
            }
            Stop::Blocked => {
                self.work = work;
                Some(Rest::Blocked)
            }
            Stop::Sleep(duration) => {
                self.work = work;
                self.sleep_until = Some(now + duration);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
