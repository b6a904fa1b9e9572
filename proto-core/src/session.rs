//! A client's stay: who it is, what it is in the middle of, and which links it holds.
//!
//! A session decides about its client's messages one by one, and about its servers' as they come
//! back. Where it cannot decide yet, because no link is at hand or an answer is still owed, it
//! takes nothing: the bytes stay with the driver, and `Reread` brings them again.
//!
//! ```text
//! Starting ──> Asking ──> Proving ──> Welcoming ──> Serving ──> Closing
//!     │  (what the servers ask for)  (parameters)      │
//!     └──> Cancelling                                  └─ turn: None | At(link) | Local | Discard
//! ```
//!
//! It knows nothing of other sessions, nor of how many shards there are.

mod ahead;
pub mod desk;
mod extended;
pub mod greeting;
mod local;
mod login;
mod loss;
mod nature;
mod notes;
mod overrides;
mod pins;
mod prepare;
pub mod refusal;
mod regulars;
mod relay;
mod retry;
mod seat;
mod serve;
mod settings;
pub mod show;
mod state;
mod statements;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::backend::applied::Setting;
use crate::backend::audit::Pins;
use crate::backend::link::Link;
use crate::clients::Room;
use crate::config::{Method, PoolMode};
use crate::id::{BackendId, ConnId};
use crate::limits;
use crate::message::{Arrival, CancelKey, Closed, Shutdown, Whom};
use crate::output::{Close, Output};
use crate::route::writes::Writes;
use crate::time::Instant;
use crate::wire::backend::{Composer, TxStatus, tag};
use crate::wire::error::Violation;
use crate::wire::frame::Framer;
use crate::wire::startup::Params;

use desk::{Desk, Notice, TimerKey};
pub(crate) use login::addressee;
use prepare::Unnamed;
use refusal::Refusal;
use retry::Again;
use settings::Settings;
pub(crate) use show::collect;
use state::{Audit, Effect, Ended, Held, Limbo, Outcome, Passing, Proof, State, Taken, Turn, Wait};
use statements::Statements;

/// A client's stay.
#[derive(Debug)]
pub struct Session {
    id: ConnId,
    arrival: Arrival,
    room: Room,
    state: State,
    framer: Framer,
    hint: usize,
    /// Bytes queued to the client.
    flow: crate::flow::Flow,
    who: Arc<Who>,
    /// What a cancel request for this session must present.
    secret: Bytes,
    held: Held,
    pools: state::Pools,
    /// The node that it reads from.
    reads_at: Option<BackendId>,
    turn: Turn,
    /// How many bytes of the batch at hand were looked at and have not been taken.
    looked: usize,
    /// What the batch at hand has had carried out.
    before: prepare::Before,
    /// Where the rest of the client's current message goes.
    passing: Passing,
    /// The link whose message to the client is half way.
    speaking: Option<ConnId>,
    statements: Statements,
    /// Prepared statements that pgherd answers itself.
    local_statements: BTreeMap<Bytes, local::Local>,
    unnamed: Unnamed,
    settings: Settings,
    /// What the server said that the session holds, beside what is known without asking.
    found: Pins,
    /// The same, while the answer is coming in.
    findings: Option<Pins>,
    audit: Audit,
    /// What the statement in progress does to the session if it succeeds.
    effect: Option<Effect>,
    /// Whether the server reported an error since its last `ReadyForQuery`.
    outcome: Outcome,
    /// Whether what is in progress may have opened a transaction that no `ReadyForQuery` has told.
    opens: nature::Opens,
    catalog: nature::Catalog,
    /// A transaction that was lost with its server, and that the client must still end.
    limbo: Limbo,
    /// What it has written.
    writes: Writes,
    looseness: nature::Looseness,
    /// What a standby has refused and the primary has not been sent yet.
    again: Option<Box<Again>>,
    wait: Wait,
    /// When the session began to wait for what it waits for.
    since: Option<Instant>,
    /// When it last waited for the end of what the operator has asked for.
    held_until: Instant,
    /// Why the wait was in vain.
    verdict: Option<Box<Refusal>>,
    /// What all shards answered.
    answer: show::Answer,
    /// What `PGPOOL SET` has changed.
    overrides: overrides::Overrides,
    /// Notices that wait for a message to end.
    untold: Vec<Bytes>,
    /// Parameters of which the client has not heard what a reset of its own made of them.
    unheard: Vec<Bytes>,
    /// Parameters that could not be set and that the statement at hand sets or resets itself.
    let_go: Vec<Bytes>,
    /// Since when it is pinned.
    pin_log: show::PinLog,
    /// When the client came.
    arrived: Instant,
    /// Last activity of the client, for `client_idle_limit`.
    active: Instant,
    deadline: Option<Instant>,
}

/// Who the client is.
#[derive(Clone, Debug, Default)]
struct Who {
    user: Bytes,
    database: Bytes,
    /// What the client asked for.
    startup: Arc<Params>,
    /// What its links are opened with.
    opening: Arc<Params>,
    /// What is set on links that were opened with less, the name of the application in front.
    first: Arc<[Setting]>,
    /// When it gives its links back.
    mode: PoolMode,
    version: u32,
}

impl Session {
    /// A client has connected.
    #[must_use]
    pub fn new(id: ConnId, desk: &mut Desk, arrival: Arrival, room: Room) -> Self {
        let now = desk.now;
        let limit = desk.config.auth.timeout.unwrap_or(limits::LOGIN_TIMEOUT);
        let deadline = desk.arm(limit, TimerKey::Session(id));
        Self {
            id,
            arrival,
            room,
            state: State::Starting { encryption_requests: 0 },
            framer: Framer::default(),
            hint: 0,
            flow: crate::flow::Flow::default(),
            who: desk.regulars.stranger(),
            secret: Bytes::new(),
            held: Held::default(),
            pools: state::Pools::default(),
            reads_at: None,
            turn: Turn::None,
            looked: 0,
            before: prepare::Before::default(),
            passing: Passing::Nowhere,
            speaking: None,
            statements: Statements::default(),
            local_statements: BTreeMap::new(),
            unnamed: Unnamed::default(),
            settings: Settings::default(),
            found: Pins::default(),
            findings: None,
            audit: Audit::default(),
            effect: None,
            outcome: Outcome::Fine,
            opens: nature::Opens::No,
            catalog: nature::Catalog::default(),
            limbo: Limbo::None,
            writes: Writes::default(),
            looseness: nature::Looseness::default(),
            again: None,
            wait: Wait::Nothing,
            since: None,
            held_until: Instant::ZERO,
            verdict: None,
            answer: show::Answer::None,
            overrides: overrides::Overrides::default(),
            untold: Vec::new(),
            unheard: Vec::new(),
            let_go: Vec::new(),
            pin_log: show::PinLog::default(),
            arrived: now,
            active: now,
            deadline: Some(deadline),
        }
    }

    /// Whether the client may be read.
    #[must_use]
    pub fn wants_read(&self, desk: &Desk) -> bool {
        let is_open = |id: ConnId| desk.links.get(id).is_none_or(|link| link.flow.is_open());
        let is_shallow = |id: ConnId| {
            desk.links.get(id).is_none_or(|link| link.pending.len() < limits::PIPELINE_DEPTH_MAX)
        };
        match self.state {
            State::Cancelling => true,
            State::Closing => false,
            State::Starting { .. }
            | State::Asking
            | State::Proving(_)
            | State::Welcoming
            | State::Serving => {
                matches!(self.wait, Wait::Nothing)
                    && self.flow.is_open()
                    && self.held.iter().all(|id| is_open(id) && is_shallow(id))
            }
        }
    }

    /// How many unread bytes the next decision needs.
    #[must_use]
    pub const fn read_hint(&self) -> usize {
        self.hint
    }

    /// Whether a link that this session holds may be read.
    #[must_use]
    pub fn wants_link_read(&self, link: ConnId) -> bool {
        // A client that is logging in is not to hear of its server's affairs.
        (!self.is_serving() || self.flow.is_open())
            && self.speaking.is_none_or(|speaking| speaking == link)
    }

    /// The client's bytes.
    pub fn handle_read(&mut self, desk: &mut Desk, unread: &[u8]) {
        let result = match self.state {
            State::Starting { .. } => self.read_startup(desk, unread),
            State::Asking => {
                self.ask_method(desk);
                Ok(())
            }
            State::Proving(_) => self.read_proof(desk, unread),
            State::Welcoming => {
                self.welcome(desk);
                self.read_after_login(desk, unread)
            }
            State::Serving => self.serve(desk, unread),
            State::Cancelling => {
                desk.outputs.skip(self.id, unread.len());
                Ok(())
            }
            State::Closing => Ok(()),
        };
        if let Err(violation) = result {
            log::info!("{}: {violation}", self.label(desk));
            self.end_with(desk, &Refusal::Violation(violation));
        }
    }

    fn read_after_login(&mut self, desk: &mut Desk, unread: &[u8]) -> Result<(), Violation> {
        if matches!(self.state, State::Serving) { self.serve(desk, unread) } else { Ok(()) }
    }

    /// Bytes of a link that this session holds.
    pub fn handle_link_read(&mut self, desk: &mut Desk, link: ConnId, unread: &[u8]) {
        if let Err(violation) = self.relay(desk, link, unread) {
            let backend = desk.links.get(link).map(|link| link.pool.backend).unwrap_or_default();
            log::error!("{}: node {backend} broke the protocol: {violation}", self.label(desk));
            desk.close_link(link, Close::Now);
            if let Some(dead) = desk.links.get_mut(link) {
                let loss = loss::Loss::with_server(dead);
                self.on_lost(desk, link, loss);
            }
        }
    }

    /// The kernel took bytes for the client.
    pub fn handle_sent(&mut self, desk: &mut Desk, len: usize) {
        if self.flow.sent(len) {
            for link in self.held.iter() {
                desk.outputs.push(Output::Reread { conn: link });
            }
            desk.outputs.push(Output::Reread { conn: self.id });
        }
    }

    /// Something that concerns this session has happened at the desk.
    pub fn handle_notice(&mut self, desk: &mut Desk, notice: Notice) {
        match notice {
            Notice::Lent(link) => self.on_lent(desk, link),
            Notice::Unconnected(backend, why) => self.on_unconnected(desk, backend, why),
            Notice::Refused(backend, failure) => self.on_refused(desk, backend, failure),
            Notice::Lost(id, mut link) => {
                if self.held.iter().any(|held| held == id) {
                    let loss = loss::Loss::of(&mut link);
                    self.on_lost(desk, id, loss);
                }
            }
            Notice::Expelled => {
                if matches!(self.wait, Wait::Link(_)) {
                    self.wait = Wait::Nothing;
                }
                self.look_again(desk);
            }
            Notice::Look => match self.state {
                State::Cancelling => self.end(desk, Close::AfterFlush),
                State::Starting { .. }
                | State::Asking
                | State::Proving(_)
                | State::Welcoming
                | State::Serving
                | State::Closing => self.look_again(desk),
            },
        }
    }

    /// A link of this session goes to a server that is not fit for it any more.
    pub fn handle_unfit(&mut self, desk: &mut Desk, id: ConnId) {
        if let Some(link) = desk.links.get_mut(id) {
            let loss = loss::Loss::with_server(link);
            self.on_lost(desk, id, loss);
        }
    }

    /// Since when it waits for what another view of the cluster may bring.
    #[must_use]
    pub const fn waits_since(&self) -> Option<Instant> {
        match self.wait {
            Wait::Node | Wait::Link(_) => match self.since {
                Some(since) => Some(since),
                None => Some(self.arrived),
            },
            Wait::Nothing | Wait::Turn | Wait::Settings(_) | Wait::Word(_) | Wait::Answer => None,
        }
    }

    /// The cluster has changed while it waits.
    pub fn handle_topology(&mut self, desk: &mut Desk) {
        self.look_again(desk);
    }

    /// Whoever waits for the session's server to be quiet wants to know what it holds there.
    pub fn tell_what_is_held(&mut self, desk: &mut Desk, id: ConnId) {
        self.ask_again_what_is_held(desk, id);
    }

    /// Whether something would be lost for the client with this link, which the session holds: an
    /// answer, a transaction, or what only its connection to the primary has.
    #[must_use]
    pub fn clings(&self, id: ConnId, link: &Link) -> bool {
        let is_under_way = matches!(self.turn, Turn::At(at) if at == id);
        let is_kept = self.held.primary == Some(id) && self.is_pinned();
        let is_unnamed = self.unnamed.only_at() == Some(id);
        self.is_serving() && (link.is_engaged() || is_under_way || is_kept || is_unnamed)
    }

    /// The session's deadline has passed.
    pub fn handle_timeout(&mut self, desk: &mut Desk) {
        if self.deadline.is_none_or(|at| at > desk.now) {
            return;
        }
        self.deadline = None;
        match self.state {
            State::Closing => {
                self.arm(desk, limits::FLUSH_TIMEOUT);
                desk.outputs.push(Output::Close { conn: self.id, when: Close::Now });
            }
            // A client that has not even said who it is hears nothing, as from PostgreSQL.
            State::Starting { .. } | State::Cancelling => self.end(desk, Close::Now),
            State::Proving(_) => self.end_with(desk, &Refusal::LoginTimeout),
            State::Asking | State::Welcoming | State::Serving => self.on_wait_timeout(desk),
        }
    }

    /// The client is gone.
    pub fn handle_close(&mut self, desk: &mut Desk, why: Closed) {
        if desk.config.log_sessions.has_disconnections() && !matches!(self.state, State::Closing) {
            log::info!("{}: disconnected ({why})", self.label(desk));
        }
        self.leave(desk);
        self.disarm(desk);
    }

    /// pgherd is stopping.
    pub fn handle_shutdown(&mut self, desk: &mut Desk, how: Shutdown) {
        match how {
            Shutdown::Smart => self.leave_if_idle(desk),
            Shutdown::Fast => self.end_with(desk, &Refusal::ShuttingDown),
            Shutdown::Immediate => self.end(desk, Close::Now),
        }
    }

    /// Finds the link that runs what a cancel request with this secret may cancel. What waits to be
    /// sent again is given up.
    pub fn cancellable(&mut self, desk: &mut Desk, key: &CancelKey) -> Option<ConnId> {
        use subtle::ConstantTimeEq;
        let knows = !self.secret.is_empty() && bool::from(self.secret.ct_eq(&key.secret));
        if knows {
            self.end_farewell(desk, Whom::One);
        }
        let is_busy = |id: &ConnId| desk.links.get(*id).is_some_and(|l| !l.pending.is_empty());
        if knows { self.held.iter().find(is_busy) } else { None }
    }

    fn leave_if_idle(&mut self, desk: &mut Desk) {
        let is_idle = match self.state {
            State::Serving => {
                matches!(self.turn, Turn::None)
                    && self.again.is_none()
                    && !matches!(self.wait, Wait::Word(_))
                    && self.held.iter().all(|id| desk.links.get(id).is_none_or(|l| !l.is_engaged()))
            }
            State::Starting { .. } | State::Asking | State::Proving(_) | State::Welcoming => true,
            State::Cancelling | State::Closing => false,
        };
        if is_idle {
            self.end_with(desk, &Refusal::ShuttingDown);
        }
    }

    /// Queues bytes that pgherd composed to the client.
    fn say(&mut self, desk: &mut Desk, composer: Composer) {
        self.say_bytes(desk, composer.finish());
    }

    fn say_bytes(&mut self, desk: &mut Desk, bytes: Bytes) {
        debug_assert!(self.speaking.is_none(), "another's message is half way");
        self.flow.add(bytes.len());
        desk.outputs.push(Output::Send { to: self.id, bytes });
    }

    /// Reports an error, and that the session is ready for the next statement.
    fn say_error(&mut self, desk: &mut Desk, refusal: &Refusal, ready: Option<TxStatus>) {
        let mut composer = Composer::new();
        composer.report(tag::ERROR, &refusal.tell().report("ERROR"));
        if let Some(status) = ready {
            composer.ready(status);
        }
        self.say(desk, composer);
    }

    /// Tells the client why, if it can still be told, and ends the session.
    fn end_with(&mut self, desk: &mut Desk, refusal: &Refusal) {
        if matches!(self.state, State::Closing) {
            return;
        }
        if self.speaking.is_some() {
            // The client is inside a server's message: nothing else can be said to it.
            return self.end(desk, Close::Now);
        }
        let mut composer = Composer::new();
        composer.report(tag::ERROR, &refusal.tell().report("FATAL"));
        self.say(desk, composer);
        self.end(desk, Close::AfterFlush);
    }

    fn end(&mut self, desk: &mut Desk, when: Close) {
        self.leave(desk);
        self.state = State::Closing;
        self.arm(desk, limits::FLUSH_TIMEOUT);
        desk.outputs.push(Output::Close { conn: self.id, when });
    }

    /// Gives up everything that the session holds or waits for.
    fn leave(&mut self, desk: &mut Desk) {
        if let Wait::Link(key) = std::mem::take(&mut self.wait) {
            desk.pools.forget(&key, self.id);
        }
        let broken = if self.framer.is_inside() { self.passing } else { Passing::Nowhere };
        for link in std::mem::take(&mut self.held).iter() {
            if broken == Passing::To(link) || self.speaking == Some(link) {
                desk.close_link(link, Close::Now);
            } else {
                desk.give_back(link);
            }
        }
        self.speaking = None;
        self.turn = Turn::None;
    }

    fn arm(&mut self, desk: &mut Desk, after: crate::time::Duration) {
        self.disarm(desk);
        self.deadline = Some(desk.arm(after, TimerKey::Session(self.id)));
    }

    fn disarm(&mut self, desk: &mut Desk) {
        if let Some(at) = self.deadline.take() {
            desk.timers.disarm(at, TimerKey::Session(self.id));
        }
    }

    fn look_again(&self, desk: &mut Desk) {
        desk.outputs.push(Output::Reread { conn: self.id });
    }

    /// The link at which the session is engaged: an answer is owed there, a batch is open there, or
    /// else a transaction is. A transaction may be open on the primary while a read of it is
    /// answered elsewhere.
    fn engaged<'a>(&self, desk: &'a Desk) -> Option<(ConnId, &'a Link)> {
        let owing = self.held.iter().find_map(|id| {
            let link = desk.links.get(id)?;
            link.owes().then_some((id, link.as_ref()))
        });
        owing.or_else(|| self.in_transaction(desk))
    }

    /// What the log calls this session.
    fn label(&self, desk: &Desk) -> String {
        let user = String::from_utf8_lossy(&self.who.user);
        let from = self.arrival.address.map_or_else(|| "local".into(), |a| a.ip().to_string());
        format!("shard {}: session {} ({user} from {from})", desk.shard, self.id)
    }

    const fn is_serving(&self) -> bool {
        matches!(self.state, State::Serving)
    }

    /// Arms the timer of a session that waits for nothing but its client.
    fn arm_idle(&mut self, desk: &mut Desk) {
        match self.idle_limit(desk) {
            Some(limit) if self.is_serving() => self.arm(desk, limit),
            Some(_) | None => self.disarm(desk),
        }
    }

    /// The configuration has changed.
    pub fn handle_reload(&mut self, desk: &mut Desk) {
        if self.is_serving() && matches!(self.wait, Wait::Nothing) {
            self.arm_idle(desk);
        }
    }

    /// The session waits no longer.
    fn stop_waiting(&mut self, desk: &mut Desk) {
        self.wait = Wait::Nothing;
        self.since = None;
        if self.is_serving() {
            self.arm_idle(desk);
        }
    }

    /// Whether there is room for the client.
    #[must_use]
    pub const fn room(&self) -> Room {
        self.room
    }

    /// The method by which clients prove who they are, if it is known without asking a server.
    fn method_of(desk: &Desk) -> Option<Method> {
        desk.config.auth.method
    }
}
