//! From a client's first packet to its first `ReadyForQuery`.
//!
//! PostgreSQL docs, "Message Flow", Start-up, SSL Session Encryption and Cancelling Requests in
//! Progress. Where no `auth_method` is configured, a client is asked for what the servers ask for,
//! as in Pgpool-II: a link is opened first, and its login tells.

use std::sync::Arc;

use bytes::Bytes;

use super::desk::{Asked, Desk};
use super::greeting::Greeting;
use super::refusal::Refusal;
use super::{Passing, Proof, Session, State, Turn, Wait, Who};
use crate::auth::exchange::{Ask, Exchange, Step};
use crate::auth::scram::MECHANISM;
use crate::backend::applied::Setting;
use crate::backend::login::Failure;
use crate::clients::Room;
use crate::config::{Method, PoolMode};
use crate::id::ConnId;
use crate::limits;
use crate::message::{CancelKey, Message, Peer};
use crate::output::{Close, Output};
use crate::route::Side;
use crate::wire::backend::{Composer, TxStatus};
use crate::wire::error::Violation;
use crate::wire::frame::Frame;
use crate::wire::frontend::{self, tag};
use crate::wire::startup::{self, Look, Packet, Params, Startup, VERSION_3_0};
use crate::wire::word;

/// How many bits of a cancel key's process number name the session's place in its shard; the rest
/// is the shard's number and one, so that no session has the number 0, which stands for none where
/// processes are shown and for all where they are asked for.
const PLACE_BITS: u32 = 20;

/// Length of the secret in a cancel key, in bytes, for clients of protocol 3.2: PostgreSQL's own.
const SECRET_LEN_LONG: usize = 32;

/// Which shard a cancel request is for, and which place in it. A number that nobody was given is for
/// a shard that nobody has.
#[must_use]
pub(crate) const fn addressee(process: u32) -> (u32, u32) {
    ((process >> PLACE_BITS).wrapping_sub(1), process & ((1 << PLACE_BITS) - 1))
}

impl Session {
    /// The process number of the client's cancel key, which names shard and session.
    pub(super) fn process(&self, desk: &Desk) -> u32 {
        let place = u32::try_from(self.id.index()).unwrap_or(0) & ((1 << PLACE_BITS) - 1);
        ((u32::from(desk.shard.0) + 1) << PLACE_BITS) | place
    }

    pub(super) fn read_startup(&mut self, desk: &mut Desk, unread: &[u8]) -> Result<(), Violation> {
        let State::Starting { encryption_requests } = self.state else { return Ok(()) };
        let (packet, len) = match startup::read(unread)? {
            Look::Need(hint) => {
                self.hint = hint;
                return Ok(());
            }
            Look::Whole(packet, len) => (packet, len),
        };
        desk.outputs.skip(self.id, len);
        self.hint = 0;
        match packet {
            Packet::Ssl | Packet::Gss => {
                if encryption_requests >= limits::ENCRYPTION_REQUESTS_MAX {
                    return Err(Violation::EncryptionTwice);
                }
                if unread.len() > len {
                    return Err(Violation::EncryptionGarbage);
                }
                self.state = State::Starting { encryption_requests: encryption_requests + 1 };
                desk.outputs.push(Output::Send { to: self.id, bytes: Bytes::from_static(b"N") });
                self.flow.add(1);
            }
            Packet::Cancel { process, secret } => {
                self.state = State::Cancelling;
                self.pass_cancel(desk, CancelKey { process, secret });
            }
            Packet::Unsupported { major, minor } => {
                self.end_with(desk, &Refusal::Protocol { major, minor });
            }
            Packet::Startup(startup) => {
                self.on_startup(desk, &startup);
                if let Some(rest) = unread.get(len..)
                    && !rest.is_empty()
                    && !matches!(self.state, State::Closing)
                {
                    // A client that speaks before it is asked: read on where it now stands.
                    self.look_again(desk);
                }
            }
        }
        Ok(())
    }

    fn pass_cancel(&mut self, desk: &mut Desk, key: CancelKey) {
        let (shard, _) = addressee(key.process);
        let to = u16::try_from(shard).map(crate::id::ShardId);
        match to {
            Ok(shard) if shard.index() < desk.config.worker_threads => {
                let message = Message::Cancel { key, asker: self.id };
                desk.outputs.post(Peer::Shard(shard), message);
            }
            Ok(_) | Err(_) => self.end(desk, Close::AfterFlush),
        }
    }

    fn on_startup(&mut self, desk: &mut Desk, startup: &Startup) {
        if self.room == Room::Full {
            return self.end_with(desk, &Refusal::TooManyClients);
        }
        let user = startup.params.get(b"user").unwrap_or_default();
        if user.is_empty() {
            return self.end_with(desk, &Refusal::NoUser);
        }
        let replication = startup.params.get(b"replication").unwrap_or(b"false");
        if !matches!(replication, b"false" | b"off" | b"no" | b"0") {
            return self.end_with(desk, &Refusal::Replication);
        }
        let database = startup.params.get(b"database").filter(|name| !name.is_empty());
        let database = Bytes::copy_from_slice(database.unwrap_or(user));
        let user = Bytes::copy_from_slice(user);
        let mut params = vec![
            (Bytes::from_static(b"user"), user.clone()),
            (Bytes::from_static(b"database"), database.clone()),
        ];
        let is_other =
            |name: &Bytes| !matches!(name.as_ref(), b"user" | b"database" | b"replication");
        params.extend(startup.params.0.iter().filter(|(name, _)| is_other(name)).cloned());
        let mode = desk.config.pool.of(&database, &user).mode;
        self.who = Arc::new(Who::new(user, database, Params(params), mode, startup.version));
        if desk.config.log_sessions.has_connections() {
            log::info!(
                "{}: connected to database \"{}\"",
                self.label(desk),
                String::from_utf8_lossy(&self.who.database)
            );
        }
        if startup.version_asked > startup.version || !startup.options_unknown.is_empty() {
            let mut composer = Composer::new();
            composer.negotiate(startup);
            self.say(desk, composer);
        }
        match Self::method_of(desk) {
            Some(method) => self.begin_proof(desk, method),
            None => {
                self.state = State::Asking;
                self.ask_method(desk);
            }
        }
    }

    /// Learns what the servers ask this client for.
    pub(super) fn ask_method(&mut self, desk: &mut Desk) {
        if let Some(method) = self.known_method(desk) {
            return self.begin_proof(desk, method);
        }
        match self.any_link(desk) {
            Some(link) => {
                let method = desk.links.get(link).map(|link| link.method);
                self.begin_proof(desk, method.unwrap_or(Method::Scram));
            }
            None => self.refuse_login(desk),
        }
    }

    /// The method of an idle link of the same user and database: it cannot have changed without
    /// the servers' knowledge, and such a link shows what they asked for.
    fn known_method(&self, desk: &Desk) -> Option<Method> {
        if let Some(greeting) = self.greeting(desk) {
            return Some(greeting.method);
        }
        let link = self.idle_link(desk)?;
        desk.links.get(link).map(|link| link.method)
    }

    fn idle_link(&self, desk: &Desk) -> Option<ConnId> {
        let nodes = desk.topology.nodes.iter();
        nodes
            .filter(|node| desk.topology.serves_reads(node.id))
            .find_map(|node| desk.pools.peek(&self.pool_key(node.id), &self.who.opening))
    }

    /// Finds any link of this client's pools, and keeps it; none if it must wait or is refused.
    fn any_link(&mut self, desk: &mut Desk) -> Option<ConnId> {
        if let Some(link) = self.held.iter().next() {
            return Some(link);
        }
        self.link_for(desk, Side::Replica)
    }

    /// Ends a login whose wait was in vain.
    fn refuse_login(&mut self, desk: &mut Desk) {
        if let Some(refusal) = self.verdict.take() {
            self.end_with(desk, &refusal);
        }
    }

    fn begin_proof(&mut self, desk: &mut Desk, method: Method) {
        self.stop_waiting(desk);
        self.verdict = None;
        // Whoever has yet to prove who it is keeps nobody waiting. Where a connection is a session's
        // own, it has it from here on; where links are not kept, it would have to be opened anew.
        if self.is_shared() && desk.config.pool.cache {
            std::mem::take(&mut self.held).iter().for_each(|link| desk.give_back(link));
        }
        let limit = desk.config.auth.timeout.unwrap_or(limits::LOGIN_TIMEOUT);
        self.arm(desk, limit);
        let user = String::from_utf8_lossy(&self.who.user).into_owned();
        let stored = desk.config.auth.users.get(&user).cloned();
        let (exchange, step) = Exchange::with_cache(
            method,
            &user,
            stored,
            &mut desk.entropy,
            &desk.mock_key,
            &desk.verifiers,
        );
        self.state = State::Proving(Box::new(Proof { exchange }));
        self.on_proof(desk, step);
    }

    pub(super) fn read_proof(&mut self, desk: &mut Desk, unread: &[u8]) -> Result<(), Violation> {
        let mut rest = unread;
        while let State::Proving(proof) = &mut self.state {
            refuse_long(rest)?;
            let (tag, len, body) = match self.framer.peek(rest, &frontend::LOGIN_LOOKS)? {
                Frame::Need(hint) => {
                    self.hint = hint;
                    return Ok(());
                }
                Frame::Middle { .. } => return Ok(()),
                Frame::Start { tag, len, body } => (tag, len, body),
            };
            let step = (tag == tag::PASSWORD).then(|| proof.exchange.handle_password(body));
            desk.outputs.skip(self.id, len);
            rest = rest.get(len..).unwrap_or_default();
            match step {
                Some(step) => self.on_proof(desk, step),
                None => self.end(desk, Close::AfterFlush),
            }
        }
        self.read_after_login(desk, rest)
    }

    fn on_proof(&mut self, desk: &mut Desk, step: Step) {
        match step {
            Step::Send(ask) => self.send_ask(desk, &ask),
            Step::Granted { last } => {
                if let Some(ask) = last {
                    self.send_ask(desk, &ask);
                }
                self.state = State::Welcoming;
                self.disarm(desk);
                self.welcome(desk);
            }
            Step::Refused => {
                if let State::Proving(proof) = &self.state
                    && let Some(reason) = proof.exchange.reason()
                {
                    log::warn!("{}: refused: {reason}", self.label(desk));
                }
                let user = self.who.user.clone();
                self.end_with(desk, &Refusal::Password { user });
            }
            Step::Violation(violation) => {
                self.end_with(desk, &Refusal::Exchange(violation));
            }
        }
    }

    fn send_ask(&mut self, desk: &mut Desk, ask: &Ask) {
        let mut composer = Composer::new();
        match ask {
            Ask::CleartextPassword => composer.authentication(3, &[]),
            Ask::Md5Password(salt) => composer.authentication(5, salt),
            Ask::Sasl => {
                let mechanisms = [MECHANISM.as_bytes(), &[0, 0]].concat();
                composer.authentication(10, &mechanisms)
            }
            Ask::SaslContinue(data) => composer.authentication(11, data),
            Ask::SaslFinal(data) => composer.authentication(12, data),
        };
        self.say(desk, composer);
    }

    /// What a client like this one heard a moment ago.
    fn greeting(&self, desk: &Desk) -> Option<Arc<Greeting>> {
        self.is_shared().then(|| desk.greetings.find(&self.who.startup, desk.now))?
    }

    /// Tells the client the servers' parameters, as soon as a link shows them.
    pub(super) fn welcome(&mut self, desk: &mut Desk) {
        if let Some(greeting) = self.greeting(desk) {
            return self.greet(desk, &greeting.parameters);
        }
        if self.verdict.is_some() {
            return self.refuse_login(desk);
        }
        let idle = if self.is_shared() { None } else { self.idle_link(desk) };
        let Some(id) = idle.or_else(|| self.any_link(desk)) else {
            return self.refuse_login(desk);
        };
        if self.is_shared() && !self.is_up_to_date(desk, id) {
            return;
        }
        let Some(link) = desk.links.get(id) else { return };
        let (method, parameters) = (link.method, link.parameters.clone());
        if self.is_shared() {
            desk.greetings.keep(&self.who.startup, method, parameters.clone(), desk.now);
        }
        self.greet(desk, &parameters);
    }

    fn greet(&mut self, desk: &mut Desk, parameters: &[(Bytes, Bytes)]) {
        self.wait = Wait::Nothing;
        self.since = None;
        self.verdict = None;
        let mut composer = Composer::new();
        composer.authentication(0, &[]);
        for (name, value) in parameters {
            // pgherd as a whole takes writes, whichever node this link goes to.
            let value = match name.as_ref() {
                b"in_hot_standby" => &b"off"[..],
                b"application_name" => self.who.startup.application_name(),
                _ => value,
            };
            composer.parameter_status(name, value);
        }
        self.secret = if self.who.version > VERSION_3_0 + 1 {
            Bytes::copy_from_slice(&desk.entropy.bytes::<SECRET_LEN_LONG>())
        } else {
            Bytes::copy_from_slice(&desk.entropy.bytes::<4>())
        };
        composer.key_data(self.process(desk), &self.secret).ready(TxStatus::Idle);
        self.say(desk, composer);
        self.who = desk.regulars.meet(self.who.clone());
        self.state = State::Serving;
        self.turn = Turn::None;
        self.passing = Passing::Nowhere;
        self.hint = 0;
        self.active = desk.now;
        self.arm_idle(desk);
        self.release(desk);
        self.look_again(desk);
    }

    /// A server has refused the link through which the client was to log in.
    pub(super) fn on_login_refused(&mut self, desk: &mut Desk, failure: &Failure) {
        let method = match failure {
            Failure::Refused { method, .. } => *method,
            Failure::NoSecret { method } => Some(*method),
            Failure::NotSupported | Failure::Violation(_) => None,
        };
        let is_password = failure.code() == b"28P01" || matches!(failure, Failure::NoSecret { .. });
        match (&self.state, method) {
            // The client learns nothing before it has tried to prove who it is.
            (State::Asking, Some(method)) if is_password => {
                let user = String::from_utf8_lossy(&self.who.user).into_owned();
                if desk.config.auth.users.get(&user).is_some() {
                    log::warn!(
                        "{}: the stored secret does not open the servers: {failure}",
                        self.label(desk)
                    );
                }
                self.begin_doomed_proof(desk, method);
            }
            _ => {
                let refusal = self.login_refusal(failure);
                self.end_with(desk, &refusal);
            }
        }
    }

    /// Goes through the exchange with a client that cannot succeed.
    fn begin_doomed_proof(&mut self, desk: &mut Desk, method: Method) {
        let limit = desk.config.auth.timeout.unwrap_or(limits::LOGIN_TIMEOUT);
        self.arm(desk, limit);
        self.wait = Wait::Nothing;
        let user = String::from_utf8_lossy(&self.who.user).into_owned();
        let (exchange, step) = Exchange::with_cache(
            method,
            &user,
            None,
            &mut desk.entropy,
            &desk.mock_key,
            &desk.verifiers,
        );
        self.state = State::Proving(Box::new(Proof { exchange }));
        self.on_proof(desk, step);
        self.look_again(desk);
    }

    pub(super) fn login_refusal(&self, failure: &Failure) -> Refusal {
        match failure {
            Failure::Refused { body, .. } => Refusal::Server { body: body.clone() },
            Failure::NoSecret { .. } => Refusal::NoSecret { user: self.who.user.clone() },
            Failure::NotSupported | Failure::Violation(_) => {
                Refusal::ServerLogin { backend: self.reads_at.unwrap_or_default() }
            }
        }
    }

    pub(super) fn ask_desk(
        &self,
        desk: &mut Desk,
        key: &Arc<crate::pool::PoolKey>,
        ticket: crate::pool::Ticket,
    ) -> Asked {
        let since = self.since.unwrap_or(desk.now);
        desk.ask(self.id, key, &self.who.opening, ticket, since)
    }
}

impl Who {
    /// Settles what links are opened with: where they are shared, with the least that all sessions
    /// of the pool have in common, if what this one asks for can be set afterwards.
    fn new(user: Bytes, database: Bytes, params: Params, mode: PoolMode, version: u32) -> Self {
        let name = Setting::of_value(b"application_name", params.application_name());
        let others = params.settings().and_then(|settings| {
            let is_other = |name: &Bytes| !name.eq_ignore_ascii_case(b"application_name");
            let others = settings.iter().filter(|(name, _)| is_other(name));
            others.map(|(name, value)| Setting::of_value(name, value)).collect::<Option<Vec<_>>>()
        });
        let startup = Arc::new(params);
        let (opening, others) = match others {
            Some(others) if mode != PoolMode::Session => (Arc::new(startup.bare()), others),
            Some(_) | None => (startup.clone(), Vec::new()),
        };
        let first = name.into_iter().chain(others).collect();
        Self { user, database, startup, opening, first, mode, version }
    }
}

/// A client that has not proved who it is does not make anybody wait for long messages.
fn refuse_long(unread: &[u8]) -> Result<(), Violation> {
    match (unread.first(), word(unread, 1)) {
        (Some(&tag), Some(word)) if word as usize > limits::AUTH_MESSAGE_LEN_MAX => {
            Err(Violation::LengthTooLarge { tag, word })
        }
        (_, _) => Ok(()),
    }
}
