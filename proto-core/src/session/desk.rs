//! What every session of a shard works with: links and pools, the memo, chance, timers.
//!
//! The desk carries out what concerns server connections alone: opening, logging in, cleaning,
//! lending and closing them. What a session must hear of goes into `notices`, which the shard
//! delivers.

mod cancel;
pub mod catalogs;
pub mod errand;
mod idle;
mod line;
mod opening;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::greeting::Greetings;
use super::regulars::Regulars;
use super::tally::Tally;
use crate::auth::scram::VerifierCache;
use crate::backend::applied::Applied;
use crate::backend::link::{Link, State, Wear};
use crate::backend::login::Failure;
use crate::backend::pending::{Owner, Pending, Request};
use crate::backend::statement::Shelf;
use crate::config::{Config, PoolMode};
use crate::entropy::Entropy;
use crate::id::{BackendId, ConnId, ShardId, Slab, Table};
use crate::limits;
use crate::message::{Closed, Message, Peer, Shutdown, Sign};
use crate::output::{Close, Output, Outputs};
use crate::pool::{PoolKey, Pools, Ticket};
use crate::route::memo::Memo;
use crate::route::recent::Recent;
use crate::time::{Duration, Instant, Timers, WallClock};
use crate::topology::{Status, Topology};
use crate::wire::backend::TxStatus;
use crate::wire::frontend;
use catalogs::Catalogs;
use errand::Errands;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKey {
    /// A session's login, wait or idleness.
    Session(ConnId),
    /// What a link is doing.
    Link(ConnId),
    /// The delivery of a cancel request.
    Cancel(ConnId),
    /// Pools may lack what is to be kept ready.
    Errand,
    /// Somebody in line has waited long enough for more than the turn of others.
    Line,
    /// The end of a smart shutdown's patience.
    Shutdown,
}

/// What a session must hear of.
#[derive(Debug)]
pub enum Notice {
    /// It has been lent a link.
    Lent(ConnId),
    /// The link that was being opened for it did not come about.
    Unconnected(BackendId, Closed),
    /// The server refused the link that was being opened for it.
    Refused(BackendId, Failure),
    /// A link that it was lent has ended.
    Lost(ConnId, Box<Link>),
    /// It is no longer in line: the server that it waited for cannot serve it any more.
    Expelled,
    /// What it waits for may have changed.
    Look,
}

/// What comes of asking for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is lent.
    Lent(ConnId),
    /// A notice will come.
    Waiting,
    /// The line is full.
    Full,
    /// The view of the cluster in which the server was chosen has passed.
    Stale,
}

/// A cancel request on its way to a server.
#[derive(Debug)]
pub struct Canceller {
    /// The link that runs what is to be cancelled.
    pub link: ConnId,
    /// Who waits for it to be done.
    pub asker: (Peer, ConnId),
    request: Bytes,
    deadline: Instant,
}

/// What every session of a shard works with.
#[derive(Debug)]
pub struct Desk {
    /// The shard.
    pub shard: ShardId,
    /// The moment of the input that is being handled.
    pub now: Instant,
    /// The configuration in effect.
    pub config: Arc<Config>,
    /// The cluster as agreed.
    pub topology: Arc<Topology>,
    /// What the driver is to do.
    pub outputs: Outputs,
    /// Names of all connections.
    pub names: Slab<()>,
    /// Connections to servers.
    pub links: Table<Box<Link>>,
    /// Cancel requests on their way.
    pub cancels: Table<Canceller>,
    /// Who gets which link next.
    pub pools: Pools,
    /// What texts do.
    pub memo: Memo,
    /// Chance.
    pub entropy: Entropy,
    /// Deadlines.
    pub timers: Timers<TimerKey>,
    /// What was sent to each node, and what came back.
    pub counts: Tally,
    /// Questions that sessions have asked the control plane.
    pub questions: u64,
    /// Nodes that a connection has just failed to, and until when they are left alone.
    pub suspects: BTreeMap<BackendId, Instant>,
    /// What sessions must hear of.
    pub notices: VecDeque<(ConnId, Notice)>,
    /// From which salts for users come, known or not.
    pub mock_key: [u8; 32],
    /// Verifiers of the users' passwords.
    pub verifiers: VerifierCache,
    /// Wall-clock time, for people's eyes.
    pub clock: WallClock,
    /// What is known of the databases' catalogs.
    pub catalogs: Catalogs,
    /// What is under way without anybody's asking.
    errands: Errands,
    /// When somebody will have waited long enough for a reserve, if that is known.
    line_at: Option<Instant>,
    /// How far the process is with stopping.
    pub shutdown: Option<Shutdown>,
    /// Prepared statements that sessions share.
    pub shelf: Shelf,
    /// What clients hear when they have logged in.
    pub greetings: Greetings,
    /// What sessions that began in the same words share.
    pub(super) regulars: Regulars,
    /// Relations written a moment ago.
    pub recent: Recent,
    /// Unnamed prepared statements so far, each of which has its number for a stamp.
    pub stamps: u64,
    /// The question what a server session holds, composed.
    pub audit_query: Bytes,
    /// Where beginnings of messages are composed. Kept for its room.
    scratch: BytesMut,
}

impl Desk {
    /// Makes a desk without links.
    #[must_use]
    pub fn new(
        shard: ShardId,
        config: Arc<Config>,
        mut entropy: Entropy,
        clock: WallClock,
        now: Instant,
    ) -> Self {
        let mock_key = entropy.bytes();
        let verifiers = VerifierCache::of(&config.auth.users, &mock_key, &VerifierCache::off());
        Self {
            shard,
            now,
            topology: Arc::new(Topology::default()),
            outputs: Outputs::default(),
            names: Slab::new(),
            links: Table::new(),
            cancels: Table::new(),
            pools: Pools::new(&config.pool, config.worker_threads, shard),
            memo: Memo::new(&mut entropy),
            entropy,
            timers: Timers::new(),
            counts: Tally::default(),
            questions: 0,
            suspects: BTreeMap::new(),
            notices: VecDeque::new(),
            mock_key,
            verifiers,
            clock,
            catalogs: Catalogs::default(),
            errands: Errands::default(),
            line_at: None,
            shutdown: None,
            shelf: Shelf::default(),
            greetings: Greetings::default(),
            regulars: Regulars::default(),
            recent: Recent::new(config.routing.tracking, now),
            stamps: 0,
            audit_query: frontend::compose_query(crate::backend::audit::QUERY),
            scratch: BytesMut::new(),
            config,
        }
    }

    /// Arms a deadline and returns it.
    pub fn arm(&mut self, after: Duration, key: TimerKey) -> Instant {
        let at = self.now + after;
        self.timers.arm(at, key);
        at
    }

    /// Queues bytes to a server.
    pub fn send_link(&mut self, id: ConnId, bytes: Bytes) {
        if let Some(link) = self.links.get_mut(id) {
            link.flow.add(bytes.len());
            self.outputs.push(Output::Send { to: id, bytes });
        }
    }

    /// Composes the beginning of a message that is `len` bytes long without `name`: its header,
    /// what stands before the name, and the name.
    pub fn compose_head(&mut self, tag: u8, len: usize, before: &[u8], name: &[u8]) -> Bytes {
        let word = u32::try_from(len + name.len() - 1).unwrap_or(u32::MAX);
        self.scratch.extend_from_slice(&[tag]);
        self.scratch.extend_from_slice(&word.to_be_bytes());
        self.scratch.extend_from_slice(before);
        self.scratch.extend_from_slice(name);
        self.scratch.split().freeze()
    }

    fn lend(&mut self, id: ConnId, session: ConnId, ticket: Ticket) {
        let now = self.now;
        if let Some(link) = self.links.get_mut(id) {
            link.state = State::Lent { by: session };
            link.history.on_lent(now);
            link.epoch = ticket.epoch;
            link.deadline.hush();
            let backend = link.pool.backend;
            log::trace!("{now} shard {}: link {id} is lent to session {session}", self.shard);
            let is_new = |node: &crate::topology::Node| node.status == Status::Waiting;
            if self.topology.node(backend).is_some_and(is_new) {
                self.outputs.post(Peer::Control, Message::InUse { backend });
            }
        }
    }

    /// Has every shard close its idle connections to a database, which could not be dropped
    /// otherwise; the server waits some seconds for them to be gone.
    pub fn vacate(&mut self, database: &Bytes) {
        self.post_shards(|| Message::Vacate { database: database.clone() });
    }

    /// Posts a message to every shard, this one too.
    fn post_shards(&mut self, message: impl Fn() -> Message) {
        let shards = u16::try_from(self.config.worker_threads).unwrap_or(u16::MAX);
        for shard in (0..shards).map(ShardId) {
            self.outputs.post(Peer::Shard(shard), message());
        }
    }

    /// Takes a link back from a session that may have kept it from being read.
    pub fn give_back(&mut self, id: ConnId) {
        self.take_back(id);
        let is_closing = |link: &Link| matches!(link.state, State::Closing);
        if self.links.get(id).is_some_and(|link| !is_closing(link)) {
            self.outputs.push(Output::Reread { conn: id });
        }
    }

    /// Takes a link back from a session, cleans it and puts it into its pool; or closes it, if it
    /// cannot be cleaned.
    pub fn take_back(&mut self, id: ConnId) {
        let keep = self.config.pool.cache && self.shutdown.is_none();
        let Some(link) = self.links.get_mut(id) else { return };
        if matches!(link.state, State::Closing) {
            return;
        }
        let backend = link.pool.backend;
        if !keep || link.owes() || !self.topology.serves_reads(backend) {
            self.retire(id);
            return;
        }
        link.state = State::Resetting;
        if !link.steps.is_empty() {
            // Nobody hears any more what came of them.
            link.steps.clear();
            link.applied = Applied::Unknown;
        }
        let policy = &self.config.pool;
        if must_reset(link, |key| policy.of(&key.database, &key.user).mode) {
            let mut queries = Vec::new();
            for statement in &self.config.pool.reset_query_list {
                // Outside a transaction it would only earn a warning in the server's log.
                let ends = statement.eq_ignore_ascii_case("abort")
                    || statement.eq_ignore_ascii_case("rollback");
                if !ends || link.tx != TxStatus::Idle {
                    queries.push(frontend::compose_query(statement));
                }
            }
            if link.tx != TxStatus::Idle && queries.is_empty() {
                queries.push(frontend::compose_query("ROLLBACK"));
            }
            link.forget();
            for _ in &queries {
                link.expect(Pending::Ready { owner: Owner::Proxy, request: Request::Query });
            }
            for query in queries {
                self.send_link(id, query);
            }
        }
        if let Some(link) = self.links.get_mut(id)
            && !link.is_quiet()
        {
            let due = self.now + limits::RESET_TIMEOUT;
            self.timers.set(&mut link.deadline, due, TimerKey::Link(id));
        }
        self.settle(id);
    }

    /// Puts a link into its pool once it is clean and no cancel request can hit it.
    pub fn settle(&mut self, id: ConnId) {
        let Some(link) = self.links.get(id) else { return };
        if !matches!(link.state, State::Resetting) || link.cancels > 0 || !link.is_quiet() {
            return;
        }
        if link.tx == TxStatus::Idle && self.shutdown.is_none() {
            self.put_back(id);
        } else {
            self.retire(id);
        }
    }

    /// Closes a link in good order.
    pub fn retire(&mut self, id: ConnId) {
        let Some(link) = self.links.get(id) else { return };
        if link.is_quiet() {
            self.send_link(id, frontend::compose_terminate());
            self.close_link(id, Close::AfterFlush);
        } else {
            self.close_link(id, Close::Now);
        }
    }

    /// Closes a link.
    pub fn close_link(&mut self, id: ConnId, when: Close) {
        let Some(link) = self.links.get_mut(id) else { return };
        if matches!(link.state, State::Closing) {
            return;
        }
        link.state = State::Closing;
        self.end_question(id);
        let Some(link) = self.links.get_mut(id) else { return };
        let due = self.now + limits::FLUSH_TIMEOUT;
        self.timers.set(&mut link.deadline, due, TimerKey::Link(id));
        let key = link.pool.clone();
        self.pools.withdraw(&key, id);
        self.outputs.push(Output::Close { conn: id, when });
    }

    /// A link's connection has ended, or did not come about.
    pub fn on_link_closed(&mut self, id: ConnId, why: Closed) {
        self.end_question(id);
        let Some(link) = self.links.remove(id) else { return };
        self.names.remove(id);
        self.timers.forget(link.deadline, TimerKey::Link(id));
        let key = link.pool.clone();
        let backend = key.backend;
        let sign = Sign::of(link.last_words.as_ref());
        self.pools.free(&key, id);
        match link.state {
            State::Closing => {}
            State::Connecting { by } | State::LoggingIn { by, .. } => {
                self.on_unopened(id, &key, by, why);
            }
            State::Lent { by } => {
                if link.last_words.is_none() {
                    self.suspect(backend);
                } else {
                    self.report(backend, sign);
                }
                self.notices.push_back((by, Notice::Lost(id, link)));
            }
            State::Idle | State::Resetting => self.report(backend, sign),
        }
        self.serve(backend);
        // Not at once, for a server that closes what is kept ready would be asked all the time.
        self.look_at_pools(self.now + limits::ERRAND_RETRY_DELAY);
    }

    /// A link did not come about.
    fn on_unopened(&mut self, id: ConnId, key: &Arc<PoolKey>, by: Option<ConnId>, why: Closed) {
        self.suspect(key.backend);
        match by {
            Some(session) => {
                self.notices.push_back((session, Notice::Unconnected(key.backend, why)));
            }
            None => self.on_errand_failed(id, key, &why.to_string()),
        }
    }

    /// Leaves a node alone for a while and has it looked at.
    fn suspect(&mut self, backend: BackendId) {
        self.suspects.insert(backend, self.now + limits::SUSPICION_TIME);
        self.report(backend, Sign::Silence);
    }

    fn report(&mut self, backend: BackendId, sign: Sign) {
        let epoch = self.topology.epoch;
        self.outputs.post(Peer::Control, Message::Suspect { backend, epoch, sign });
    }

    /// Tells whether a connection to a node has failed a moment ago.
    #[must_use]
    pub fn is_suspect(&self, backend: BackendId) -> bool {
        self.suspects.get(&backend).is_some_and(|until| *until > self.now)
    }

    /// A link's deadline has passed.
    pub fn on_link_timeout(&mut self, id: ConnId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if !self.timers.rings(&mut link.deadline, self.now, TimerKey::Link(id)) {
            return;
        }
        match &link.state {
            State::Idle => self.on_idle_timeout(id),
            State::Closing => {
                let due = self.now + limits::FLUSH_TIMEOUT;
                self.timers.set(&mut link.deadline, due, TimerKey::Link(id));
                self.outputs.push(Output::Close { conn: id, when: Close::Now });
            }
            State::Resetting => self.close_link(id, Close::Now),
            State::Connecting { by } | State::LoggingIn { by, .. } => {
                let (by, key) = (*by, link.pool.clone());
                self.on_unopened(id, &key, by, Closed::TimedOut);
                self.close_link(id, Close::Now);
            }
            State::Lent { .. } => {}
        }
    }
}

/// Whether something must be undone on a link before another session may have it.
///
/// Where sessions share connections between transactions, they set for themselves what they want
/// to be set and find the statements that others have prepared.
fn must_reset(link: &Link, mode: impl FnOnce(&PoolKey) -> PoolMode) -> bool {
    let is_like_new =
        link.wear == Wear::Clean && link.applied.is_none() && link.prepared.is_empty();
    link.tx != TxStatus::Idle
        || link.wear == Wear::Dirty
        || (!is_like_new && mode(&link.pool) == PoolMode::Session)
}
