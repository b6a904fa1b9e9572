//! One connection to a server: whose it is, and which answers the server still owes.
//!
//! A link never decides where a statement goes. It knows just enough of the protocol to tell
//! which of the server's messages are for the client and which answer pgherd's own, and when the
//! server has nothing left to say.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::applied::{Applied, Setting};
use super::history::History;
use super::kept::Kept;
use super::login::Login;
use super::missed::Missed;
use super::pending::{Owner, Pending, Request};
use super::statement::{Prepared, Statement};
use crate::flow::Flow;
use crate::id::{ConnId, Epoch};
use crate::pool::PoolKey;
use crate::time::{Alarm, Instant};
use crate::wire::backend::TxStatus;
use crate::wire::frame::Framer;
use crate::wire::startup::Params;

/// The stamp of an unnamed statement of which it is not known whether it exists.
pub const IN_DOUBT: u64 = u64::MAX;

/// One connection to a server.
#[derive(Debug)]
pub struct Link {
    /// The pool that it belongs to: server, database, user.
    pub pool: Arc<PoolKey>,
    /// What it was opened with; a session is given a link that was opened with its own.
    pub startup: Arc<Params>,
    /// Since when it has been there.
    pub opened: Instant,
    /// What it is doing.
    pub state: State,
    /// The view of the cluster in which it was last found fit for its purpose.
    pub epoch: Epoch,
    /// Where the server's messages begin and end.
    pub framer: Framer,
    /// Unread bytes that the next decision needs.
    pub hint: usize,
    /// Bytes queued to the server.
    pub flow: Flow,
    /// What the server said at login.
    pub parameters: Vec<(Bytes, Bytes)>,
    /// What the server asked for at login.
    pub method: crate::config::Method,
    /// What a cancel request for it must present.
    pub key: Option<(u32, Bytes)>,
    /// The transaction, as of the last `ReadyForQuery`.
    pub tx: TxStatus,
    /// The answers that the server owes, oldest first.
    pub pending: VecDeque<Pending>,
    /// Whether the client's messages since its last `Sync` are being carried out.
    pub batch: Batch,
    /// Who receives the rest of the message that is passing.
    pub passing: Owner,
    /// Whether the server waits for the client's `CopyData`.
    pub copy_in: CopyIn,
    /// Named prepared statements that exist on it.
    pub prepared: Prepared,
    /// Which unnamed prepared statement exists on it: the stamp that its session gave it, 0 for
    /// none, or [`IN_DOUBT`].
    pub unnamed: u64,
    /// Names by which its server was made to know something for a moment, to be closed.
    pub litter: Vec<Bytes>,
    /// The parameters that are set on it.
    pub applied: Applied,
    /// What is being set on it, in the order of its answers, each of which is a
    /// [`Request::Setting`] or a [`Request::Told`].
    pub steps: VecDeque<Setting>,
    /// What has been left behind on it since it was last clean.
    pub wear: Wear,
    /// The session that has last written on it.
    pub writer: Option<ConnId>,
    /// Reads in flight that can be sent elsewhere.
    pub kept: Kept,
    /// When it was opened, lent and given back.
    pub history: History,
    /// Cancel requests for it that are on their way; it is lent to nobody meanwhile.
    pub cancels: u32,
    /// The server's last words before it closed: the body of its fatal `ErrorResponse`.
    pub last_words: Option<Bytes>,
    /// When its present state has lasted too long.
    pub deadline: Alarm,
}

/// What a link is doing.
#[derive(Debug)]
pub enum State {
    /// Its connection is being made, for a session if that is still there.
    Connecting {
        /// The session.
        by: Option<ConnId>,
    },
    /// The server is asking who it is.
    LoggingIn {
        /// The session.
        by: Option<ConnId>,
        /// The login so far.
        login: Box<Login>,
    },
    /// In its pool.
    Idle,
    /// Lent to a session.
    Lent {
        /// The session.
        by: ConnId,
    },
    /// Being made clean for the next session.
    Resetting,
    /// On its way out.
    Closing,
}

/// What a `ParseComplete` tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// Nothing that is of interest later.
    Nothing,
    /// The unnamed statement of this stamp exists.
    Unnamed(u64),
    /// A statement exists: the client's name for it, and what it is.
    Named(Bytes, Arc<Statement>),
}

/// What becomes of a statement of the client's.
#[derive(Debug, PartialEq, Eq)]
pub enum Becomes {
    /// It is being prepared.
    Prepared(Arc<Statement>),
    /// It is being closed.
    Closed,
}

/// Whether the client's messages since its last `Sync` are being carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Batch {
    /// There are none.
    #[default]
    None,
    /// They are.
    Open,
    /// One has failed: the server skips all others to the `Sync`.
    Failed,
}

/// Whether the server waits for the client's `CopyData`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyIn {
    /// It does not.
    #[default]
    No,
    /// It does; the command came by the given protocol.
    Yes(Request),
}

/// What a session has left behind on a link, beside parameters and prepared statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wear {
    /// Nothing: it has only read.
    #[default]
    Clean,
    /// Nothing that its texts tell of. Triggers and the like may have done more.
    Written,
    /// Something that only `reset_query_list` undoes, or perhaps so.
    Dirty,
}

impl Link {
    /// Makes a link whose connection is being made.
    #[must_use]
    pub fn new(pool: Arc<PoolKey>, startup: Arc<Params>, by: ConnId) -> Self {
        Self {
            pool,
            startup,
            opened: Instant::ZERO,
            state: State::Connecting { by: Some(by) },
            epoch: Epoch::default(),
            framer: Framer::default(),
            hint: 0,
            flow: Flow::default(),
            parameters: Vec::new(),
            method: crate::config::Method::Trust,
            key: None,
            tx: TxStatus::Idle,
            pending: VecDeque::new(),
            batch: Batch::None,
            passing: Owner::Client,
            copy_in: CopyIn::No,
            prepared: Prepared::default(),
            unnamed: 0,
            litter: Vec::new(),
            applied: Applied::default(),
            steps: VecDeque::new(),
            wear: Wear::Clean,
            writer: None,
            kept: Kept::default(),
            history: History::default(),
            cancels: 0,
            last_words: None,
            deadline: Alarm::default(),
        }
    }

    /// Tells whether the server owes nothing and no message of the client is half way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.pending.is_empty() && self.batch == Batch::None && !self.framer.is_inside()
    }

    /// Tells whether the client waits for something of the server, or the server for the rest of
    /// what the client began. What pgherd asked of its own accord does not count.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.batch != Batch::None
            || self.copy_in != CopyIn::No
            || self.pending.iter().any(|pending| pending.owner() == Owner::Client)
            || (self.framer.is_inside() && self.passing == Owner::Client)
    }

    /// Tells whether a session is in the middle of something on it.
    #[must_use]
    pub fn is_engaged(&self) -> bool {
        self.tx != TxStatus::Idle || self.owes()
    }

    /// Tells whether it is quiet and outside a transaction.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_quiet() && self.tx == TxStatus::Idle
    }

    /// Tells whether the server is being asked what its session holds.
    #[must_use]
    pub fn is_audited(&self) -> bool {
        matches!(self.pending.front(), Some(Pending::Ready { request: Request::Audit, .. }))
    }

    /// Tells whether the server's next answer is to one of [`Link::steps`].
    #[must_use]
    pub fn is_being_set(&self) -> bool {
        let front = self.pending.front();
        matches!(front, Some(Pending::Ready { request: Request::Setting | Request::Told, .. }))
    }

    /// Tells whether it was opened with nothing but a user and a database.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.startup.is_bare()
    }

    /// Notes the value of a parameter, as the server reports it.
    pub fn note_parameter(&mut self, name: &[u8], value: &[u8]) {
        let value = Bytes::copy_from_slice(value);
        match self.parameters.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.parameters.push((Bytes::copy_from_slice(name), value)),
        }
    }

    /// Tells whether what the server reports of its parameters is for the client to hear.
    #[must_use]
    pub fn is_told(&self) -> bool {
        matches!(self.pending.front(), Some(Pending::Ready { request: Request::Told, .. }))
    }

    /// Everything that was set or prepared on it is undone.
    pub fn forget(&mut self) {
        self.applied = Applied::default();
        self.steps.clear();
        self.prepared.clear();
        self.unnamed = 0;
        self.wear = Wear::Clean;
    }

    /// Tells who the server's next answer is for.
    #[must_use]
    pub fn owner(&self) -> Owner {
        match self.pending.front() {
            Some(Pending::Ready { owner, .. }) => *owner,
            // A ParseComplete or CloseComplete may be pgherd's inside a batch of the client's;
            // everything else in the batch is the client's.
            Some(Pending::Parse { owner, .. } | Pending::Close { owner, .. }) => match owner {
                Owner::Client | Owner::Proxy => Owner::Client,
                Owner::Nobody => Owner::Nobody,
            },
            None => Owner::Client,
        }
    }

    /// Counts the `ReadyForQuery`s that the server owes to the client.
    #[must_use]
    pub fn owed(&self) -> usize {
        let is_owed = |p: &&Pending| matches!(p, Pending::Ready { owner: Owner::Client, .. });
        self.pending.iter().filter(is_owed).count()
    }

    /// Notes that an answer is owed.
    pub fn expect(&mut self, pending: Pending) {
        let is_query = matches!(
            pending,
            Pending::Ready {
                owner: Owner::Proxy,
                request: Request::Query | Request::Audit | Request::Setting | Request::Told
            }
        );
        if is_query {
            // It ends the unnamed statement, whosever that is.
            self.unnamed = 0;
        }
        self.pending.push_back(pending);
    }

    /// Takes note of a `ParseComplete`; returns who receives it and what exists now, or nothing
    /// if none was owed.
    pub fn on_parsed(&mut self) -> Option<(Owner, Parsed)> {
        match self.pending.front() {
            Some(Pending::Parse { .. }) => {}
            Some(Pending::Ready { owner: owner @ (Owner::Proxy | Owner::Nobody), .. }) => {
                return Some((*owner, Parsed::Nothing));
            }
            Some(Pending::Ready { .. } | Pending::Close { .. }) | None => return None,
        }
        let Some(Pending::Parse { owner, stamp, statement }) = self.pending.pop_front() else {
            return None;
        };
        let Some((name, statement)) = statement else {
            return Some((
                owner,
                if stamp == 0 { Parsed::Nothing } else { Parsed::Unnamed(stamp) },
            ));
        };
        self.prepared.insert(statement.name.clone());
        Some((owner, Parsed::Named(name, statement)))
    }

    /// Takes note of a `CloseComplete`; returns who receives it and the client's name for what
    /// exists no longer, or nothing if none was owed.
    pub fn on_closed(&mut self) -> Option<(Owner, Option<Bytes>)> {
        match self.pending.front() {
            Some(Pending::Close { .. }) => {}
            Some(Pending::Ready { owner: owner @ (Owner::Proxy | Owner::Nobody), .. }) => {
                return Some((*owner, None));
            }
            Some(Pending::Ready { .. } | Pending::Parse { .. }) | None => return None,
        }
        let Some(Pending::Close { owner, name }) = self.pending.pop_front() else { return None };
        if let (Owner::Proxy, Some(name)) = (owner, &name) {
            // What an earlier batch has prepared meanwhile is gone, and may not come again.
            self.prepared.remove(name);
        }
        Some((owner, name))
    }

    /// Tells whether a statement of the client's is being closed, which may come to nothing.
    #[must_use]
    pub fn closes(&self) -> bool {
        let is_clients =
            |p: &Pending| matches!(p, Pending::Close { owner: Owner::Client, name: Some(_) });
        self.pending.iter().any(is_clients)
    }

    /// What the messages under way make of a statement of the client's, by its name; nothing if
    /// none of them is about it.
    #[must_use]
    pub fn becomes(&self, name: &[u8]) -> Option<Becomes> {
        Self::latest(self.pending.iter().rev(), name)
    }

    /// The same, as far as the batch at hand makes it: an earlier one may still fail.
    #[must_use]
    pub fn becomes_here(&self, name: &[u8]) -> Option<Becomes> {
        let is_here = |pending: &&Pending| !matches!(pending, Pending::Ready { .. });
        Self::latest(self.pending.iter().rev().take_while(is_here), name)
    }

    fn latest<'a>(mut pending: impl Iterator<Item = &'a Pending>, name: &[u8]) -> Option<Becomes> {
        pending.find_map(|pending| match pending {
            Pending::Parse { owner: Owner::Client, statement: Some((n, statement)), .. }
                if n == name =>
            {
                Some(Becomes::Prepared(statement.clone()))
            }
            Pending::Close { owner: Owner::Client, name: Some(n) } if n == name => {
                Some(Becomes::Closed)
            }
            Pending::Parse { .. } | Pending::Close { .. } | Pending::Ready { .. } => None,
        })
    }

    /// Takes note of an error: the server skips what it has of the current batch. Returns which
    /// unnamed statements do not come about for that.
    pub fn on_failed(&mut self) -> Missed {
        self.copy_in = CopyIn::No;
        let mut missed = Missed::default();
        let mut is_first = true;
        while let Some(skipped @ (Pending::Parse { .. } | Pending::Close { .. })) =
            self.pending.front()
        {
            if missed.note(skipped, is_first) == Some(self.unnamed) {
                self.unnamed = IN_DOUBT;
            }
            is_first = false;
            self.pending.pop_front();
        }
        if self.pending.is_empty() && self.batch == Batch::Open {
            self.batch = Batch::Failed;
        }
        missed
    }

    /// Takes note of a `ReadyForQuery`; returns who receives it, or nothing if none was owed.
    pub fn on_ready(&mut self, tx: TxStatus) -> Option<Owner> {
        self.copy_in = CopyIn::No;
        while let Some(pending) = self.pending.pop_front() {
            if let Pending::Ready { owner, .. } = pending {
                self.tx = tx;
                return Some(owner);
            }
        }
        // A COPY that failed before the server had read the Sync behind its command: that Sync is
        // answered after all.
        if self.batch == Batch::Failed {
            self.batch = Batch::None;
            self.tx = tx;
            return Some(Owner::Client);
        }
        None
    }

    /// Takes note that the server waits for `CopyData`: it ignores any `Sync` that it has or
    /// gets meanwhile (PostgreSQL docs, "Message Flow", COPY Operations).
    pub fn on_copy_in(&mut self) {
        let request = match self.pending.front() {
            Some(Pending::Ready { request, .. }) => *request,
            Some(Pending::Parse { .. } | Pending::Close { .. }) | None => Request::Sync,
        };
        self.copy_in = CopyIn::Yes(request);
        if request == Request::Sync {
            self.batch = Batch::Open;
            while let Some(Pending::Ready { request: Request::Sync, .. }) = self.pending.front() {
                self.pending.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        let mut slab = crate::id::Slab::new();
        Link::new(Arc::new(PoolKey::default()), Arc::new(Params::default()), slab.insert(()))
    }

    fn parse(owner: Owner) -> Pending {
        Pending::Parse { owner, stamp: 0, statement: None }
    }

    fn ready(owner: Owner, request: Request) -> Pending {
        Pending::Ready { owner, request }
    }

    #[test]
    fn answers_find_their_owners() {
        let mut link = link();
        link.expect(ready(Owner::Proxy, Request::Query));
        link.expect(parse(Owner::Proxy));
        link.expect(parse(Owner::Client));
        link.expect(ready(Owner::Client, Request::Sync));
        assert_eq!(link.owner(), Owner::Proxy);
        assert_eq!(link.on_ready(TxStatus::Idle), Some(Owner::Proxy));
        assert_eq!(link.on_parsed().map(|(owner, _)| owner), Some(Owner::Proxy));
        assert_eq!(link.on_parsed().map(|(owner, _)| owner), Some(Owner::Client));
        assert!(link.on_parsed().is_none());
        assert_eq!(link.on_ready(TxStatus::Open), Some(Owner::Client));
        assert_eq!(link.on_ready(TxStatus::Open), None);
        assert!(link.is_quiet() && !link.is_idle());
    }

    #[test]
    fn an_error_ends_the_batch_that_it_belongs_to_and_no_later_one() {
        let mut link = link();
        link.batch = Batch::Open;
        link.expect(parse(Owner::Client));
        link.expect(ready(Owner::Client, Request::Sync));
        link.expect(parse(Owner::Client));
        link.on_failed();
        assert_eq!((link.pending.len(), link.batch), (2, Batch::Open));
        link.on_ready(TxStatus::Idle);
        link.on_failed();
        assert_eq!((link.pending.len(), link.batch), (0, Batch::Failed));
        assert_eq!(link.on_ready(TxStatus::Idle), Some(Owner::Client), "a Sync behind COPY");
        assert_eq!(link.on_ready(TxStatus::Idle), None);
    }

    #[test]
    fn a_sync_during_copy_is_not_answered() {
        let mut link = link();
        link.expect(ready(Owner::Client, Request::Sync));
        link.on_copy_in();
        assert_eq!(link.owed(), 0);
        assert_eq!(link.batch, Batch::Open);
        let mut link = self::link();
        link.expect(ready(Owner::Client, Request::Query));
        link.on_copy_in();
        assert_eq!(link.owed(), 1);
    }
}
