//! Finding the link at which a statement is carried out.

use std::sync::Arc;

use super::desk::{Asked, Desk};
use super::nature::Opens;
use super::refusal::Refusal;
use super::{Session, State, Turn, Wait};
use crate::backend::link::{Batch, CopyIn, Link};
use crate::backend::login::Failure;
use crate::id::{BackendId, ConnId};
use crate::limits;
use crate::message::{Closed, Whom};
use crate::pool::{PoolKey, Pools, Purpose, Ticket};
use crate::route::balance::{self, Candidate, Condition, Question};
use crate::route::redirect::Wanted;
use crate::route::{self, Side, Transaction};
use crate::topology::Role;
use crate::wire::backend::TxStatus;

/// Where a statement can be carried out.
pub(super) enum Seat {
    /// At this link, now.
    At(ConnId),
    /// Not yet.
    Wait,
    /// Nowhere.
    Refused(Refusal),
}

impl Session {
    /// Finds the link for a statement that belongs on `side`: where the session is engaged, it can
    /// only be there.
    pub(super) fn seat(&mut self, desk: &mut Desk, side: Side) -> Seat {
        if let Some((id, link)) = self.engaged(desk) {
            if !link.steps.is_empty() {
                self.wait = Wait::Settings(id);
                return Seat::Wait;
            }
            let may_leave = side == Side::Replica
                && self.held.primary == Some(id)
                && self.transaction(desk) == Transaction::Loose;
            if !link.owes() && may_leave {
                return self.seat_at(desk, Side::Replica);
            }
            if !link.owes() {
                return Seat::At(id);
            }
            if self.is_beside(desk, id) {
                // If it fails, nothing of the transaction may follow.
                self.wait = Wait::Turn;
                return Seat::Wait;
            }
            if self.is_new_at(link, id) && desk.topology.closing() == Some(link.pool.backend) {
                // It would follow on for ever, and its server would never be quiet.
                self.wait = Wait::Turn;
                return Seat::Wait;
            }
            let side = self.true_side(desk, side);
            if *self.held.at(side) == Some(id) {
                return Seat::At(id);
            }
            self.wait = Wait::Turn;
            return Seat::Wait;
        }
        self.seat_at(desk, side)
    }

    /// Whether a statement begins something new behind what a link still owes: nothing is open there,
    /// or will be for what was sent.
    fn is_new_at(&self, link: &Link, id: ConnId) -> bool {
        link.tx == TxStatus::Idle
            && link.batch == Batch::None
            && link.copy_in == CopyIn::No
            && self.opens == Opens::No
            && !matches!(self.turn, Turn::At(at) if at == id)
    }

    fn seat_at(&mut self, desk: &mut Desk, side: Side) -> Seat {
        match self.link_for(desk, side) {
            Some(id) if self.is_up_to_date(desk, id) => Seat::At(id),
            Some(_) => Seat::Wait,
            None => match self.verdict.take() {
                Some(refusal) => {
                    self.stop_waiting(desk);
                    Seat::Refused(*refusal)
                }
                None => Seat::Wait,
            },
        }
    }

    /// The primary side, where the session reads from the primary.
    fn true_side(&mut self, desk: &mut Desk, side: Side) -> Side {
        match side {
            Side::Primary => Side::Primary,
            Side::Replica => {
                let node = self.read_node(desk);
                if node.is_some() && node == desk.topology.primary {
                    Side::Primary
                } else {
                    Side::Replica
                }
            }
        }
    }

    /// Finds or asks for the link of a side. None if the session must wait, or if `verdict` says
    /// that it need not wait any longer.
    pub(super) fn link_for(&mut self, desk: &mut Desk, side: Side) -> Option<ConnId> {
        if self.verdict.is_some() {
            return None;
        }
        let side = self.true_side(desk, side);
        if side == Side::Primary
            && let Some(backend) = self.lost_primary()
        {
            self.verdict = Some(Box::new(Refusal::Lost { backend, words: None }));
            return None;
        }
        let (node, purpose) = match side {
            Side::Primary => (desk.topology.primary, Purpose::Write),
            Side::Replica => (self.read_node(desk), Purpose::Read),
        };
        let Some(backend) = node else { return self.wait_for_node(desk, side) };
        if side == Side::Primary && desk.topology.is_held() {
            // What the session has there it keeps: the switchover may yet be undone.
            return self.wait_for_node(desk, side);
        }
        let ticket = Ticket { epoch: desk.topology.epoch, backend, purpose };
        if let Some(id) = *self.held.at(side) {
            let admitted = Pools::admit(&desk.topology, ticket).is_ok();
            match desk.links.get_mut(id) {
                Some(link) if admitted && link.pool.backend == backend => {
                    link.epoch = ticket.epoch;
                    if !matches!(self.wait, Wait::Nothing) || self.since.is_some() {
                        self.stop_waiting(desk);
                    }
                    return Some(id);
                }
                Some(_) | None => {
                    *self.held.at(side) = None;
                    desk.give_back(id);
                }
            }
        }
        if desk.is_suspect(backend) {
            return self.wait_for_node(desk, side);
        }
        if matches!(self.wait, Wait::Link(_)) {
            return None;
        }
        self.ask_for(desk, side, ticket)
    }

    fn ask_for(&mut self, desk: &mut Desk, side: Side, ticket: Ticket) -> Option<ConnId> {
        let key = self.known_pool(side, ticket.backend);
        self.since.get_or_insert(desk.now);
        match self.ask_desk(desk, &key, ticket) {
            Asked::Lent(link) => {
                *self.held.at(side) = Some(link);
                self.note_pool(desk, side, link);
                self.stop_waiting(desk);
                Some(link)
            }
            Asked::Waiting => {
                // The time that it has waited for a server is not the pool's.
                let was_without_server = matches!(self.wait, Wait::Node);
                self.wait = Wait::Link(key);
                let limit = desk.config.pool.wait_timeout;
                if was_without_server {
                    self.arm(desk, limit);
                } else {
                    self.arm_wait(desk, limit);
                }
                None
            }
            Asked::Full => {
                let figures = desk.pools.figures(&key);
                let refusal = Refusal::QueueFull { pool: (*key).clone(), figures };
                self.verdict = Some(Box::new(refusal));
                None
            }
            Asked::Stale => self.wait_for_node(desk, side),
        }
    }

    fn wait_for_node(&mut self, desk: &mut Desk, side: Side) -> Option<ConnId> {
        if let Some(backend) = self.lost_primary()
            && !desk.topology.nodes.iter().any(|node| is_standby_at_hand(desk, node))
        {
            self.verdict = Some(Box::new(Refusal::Lost { backend, words: None }));
            return None;
        }
        // What the operator has asked for comes to its end by itself.
        let is_held = match side {
            Side::Primary => desk.topology.is_held(),
            Side::Replica => {
                desk.topology.closing().is_some_and(|id| desk.topology.serves_reads(id))
            }
        };
        let since = *self.since.get_or_insert(desk.now);
        if is_held {
            self.held_until = desk.now;
        }
        // Nobody is refused for the time that it took.
        let since = since.max(self.held_until);
        let limit = desk.config.failover_wait_timeout;
        if desk.now >= since + limit && !is_held {
            let waited = desk.now - since;
            self.verdict = Some(Box::new(match side {
                Side::Primary => Refusal::NoPrimary { waited },
                Side::Replica => Refusal::NoServer { waited },
            }));
            return None;
        }
        self.wait = Wait::Node;
        let left = (since + limit) - desk.now;
        let pause = limits::PRIMARY_RETRY_DELAY;
        self.arm(desk, if is_held { pause } else { left.min(pause) });
        None
    }

    fn arm_wait(&mut self, desk: &mut Desk, limit: crate::time::Duration) {
        let since = self.since.unwrap_or(desk.now);
        let left = (since + limit) - desk.now;
        self.arm(desk, left);
    }

    pub(super) fn on_wait_timeout(&mut self, desk: &mut Desk) {
        let since = self.since.unwrap_or(desk.now);
        let waited = desk.now - since;
        match &self.wait {
            Wait::Nothing => self.on_idle_timeout(desk),
            Wait::Turn | Wait::Settings(_) => self.arm_idle(desk),
            Wait::Word(_) => self.end_farewell(desk, Whom::One),
            Wait::Answer => {
                self.verdict = Some(Box::new(Refusal::ControlSilent));
                self.look_again(desk);
            }
            Wait::Node => self.look_again(desk),
            Wait::Link(key) => {
                let figures = desk.pools.figures(key);
                let pool = (**key).clone();
                desk.pools.forget(&key.clone(), self.id);
                self.wait = Wait::Nothing;
                self.verdict = Some(Box::new(Refusal::WaitTimeout { pool, figures, waited }));
                self.look_again(desk);
            }
        }
    }

    fn on_idle_timeout(&mut self, desk: &mut Desk) {
        let Some(limit) = self.idle_limit(desk) else { return };
        let idle = desk.now - self.active;
        if self.engaged(desk).is_some_and(|(_, link)| link.owes()) {
            self.arm(desk, limit);
        } else if idle >= limit {
            self.end_with(desk, &Refusal::Idle);
        } else {
            self.arm(desk, limit - idle);
        }
    }

    /// The node to read from: the one drawn before, unless something speaks against it now.
    pub(super) fn read_node(&mut self, desk: &mut Desk) -> Option<BackendId> {
        let delay = desk.config.routing.delay;
        let settled = self.reads_at.and_then(|id| desk.topology.node(id));
        let is_repeat = self.lost_primary().is_some();
        if let Some(node) = settled.map(|node| candidate(desk, node))
            && !(is_repeat && node.role == balance::Role::Primary)
            && node.condition == Condition::Usable
            && !desk.is_suspect(node.id)
            && !delay.holds_back(&node)
        {
            return self.reads_at;
        }
        let suspects: Vec<BackendId> =
            desk.suspects.keys().copied().filter(|node| desk.is_suspect(*node)).collect();
        let mut candidates: Vec<Candidate> =
            desk.topology.nodes.iter().map(|node| candidate(desk, node)).collect();
        if is_repeat {
            candidates.retain(|node| node.role != balance::Role::Primary);
        }
        let choice = balance::choose(&Question {
            candidates: &candidates,
            avoid: &suspects,
            delay,
            wanted: self.redirect(desk),
            settled: self.reads_at,
            draw: desk.entropy.next_u64(),
        });
        self.reads_at = choice.drawn;
        choice.node
    }

    /// Where the operator's lists want this session to read.
    fn redirect(&self, desk: &Desk) -> Option<Wanted> {
        let text = String::from_utf8_lossy;
        desk.config.routing.redirects.wanted(
            &text(&self.who.user),
            &text(&self.who.database),
            &text(self.who.startup.application_name()),
        )
    }

    /// The key of the pool from which this session has its links to a server.
    pub(super) fn pool_key(&self, backend: BackendId) -> PoolKey {
        PoolKey { backend, database: self.who.database.clone(), user: self.who.user.clone() }
    }

    /// Notes from which pool a link has come.
    fn note_pool(&mut self, desk: &Desk, side: Side, link: ConnId) {
        let Some(link) = desk.links.get(link) else { return };
        let known = self.pools.at(side);
        if known.as_ref().is_none_or(|key| !Arc::ptr_eq(key, &link.pool)) {
            *known = Some(link.pool.clone());
        }
    }

    /// The same, as it was last time.
    fn known_pool(&mut self, side: Side, backend: BackendId) -> Arc<PoolKey> {
        match self.pools.at(side) {
            Some(key) if key.backend == backend => key.clone(),
            Some(_) | None => Arc::new(self.pool_key(backend)),
        }
    }

    /// Whether reads may leave the primary.
    pub(super) fn freedom(&self, desk: &Desk) -> route::Freedom {
        if self.binds_reads() || self.is_refused() {
            route::Freedom::Sticky
        } else if desk.config.routing.load_balance {
            route::Freedom::Free
        } else {
            route::Freedom::Unbalanced
        }
    }

    /// A link has been lent to this session.
    pub(super) fn on_lent(&mut self, desk: &mut Desk, id: ConnId) {
        let Some(link) = desk.links.get(id) else { return };
        let is_awaited = matches!(&self.wait, Wait::Link(key) if *key == link.pool);
        if !is_awaited || matches!(self.state, State::Closing) {
            return desk.give_back(id);
        }
        let is_primary = desk.topology.primary == Some(link.pool.backend);
        let side = if is_primary { Side::Primary } else { Side::Replica };
        if let Some(old) = self.held.at(side).replace(id) {
            desk.give_back(old);
        }
        self.note_pool(desk, side, id);
        self.wait = Wait::Nothing;
        self.look_again(desk);
    }

    pub(super) fn on_unconnected(&mut self, desk: &mut Desk, backend: BackendId, why: Closed) {
        log::info!("{}: no connection to node {backend}: {why}", self.label(desk));
        if matches!(self.wait, Wait::Link(_)) {
            self.wait = Wait::Nothing;
            self.look_again(desk);
        }
    }

    pub(super) fn on_refused(&mut self, desk: &mut Desk, backend: BackendId, failure: Failure) {
        if !matches!(self.wait, Wait::Link(_)) {
            return;
        }
        self.wait = Wait::Nothing;
        let is_primary = desk.topology.primary == Some(backend);
        let elsewhere = match failure.code() {
            // It is going, or has just been told to let nobody in.
            b"57P01" | b"57P02" | b"57P03" => true,
            b"53300" => !is_primary,
            _ => false,
        };
        if elsewhere {
            desk.suspects.insert(backend, desk.now + limits::SUSPICION_TIME);
            return self.look_again(desk);
        }
        match self.state {
            State::Asking | State::Welcoming => self.on_login_refused(desk, &failure),
            State::Serving => {
                self.verdict = Some(Box::new(self.login_refusal(&failure)));
                self.look_again(desk);
            }
            State::Starting { .. } | State::Cancelling | State::Proving(_) | State::Closing => {}
        }
    }
}

/// Whether a node is a standby that reads may go to.
fn is_standby_at_hand(desk: &Desk, node: &crate::topology::Node) -> bool {
    let candidate = candidate(desk, node);
    candidate.role == balance::Role::Standby && candidate.condition == Condition::Usable
}

fn candidate(desk: &Desk, node: &crate::topology::Node) -> Candidate {
    let is_closing = desk.topology.closing() == Some(node.id);
    let usable = desk.topology.allows_reads(node) && !is_closing;
    Candidate {
        id: node.id,
        weight: desk.config.backend(node.id).map_or(0.0, |backend| backend.weight),
        role: match node.role {
            Role::Primary => balance::Role::Primary,
            Role::Standby | Role::Unknown => balance::Role::Standby,
        },
        condition: if usable { Condition::Usable } else { Condition::Unusable },
        // A standby whose lag is not known may lag by anything.
        lag: node.lag.unwrap_or(u64::MAX),
        lag_time: node.lag_time,
    }
}
