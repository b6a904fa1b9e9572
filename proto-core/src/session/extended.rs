//! The extended query protocol: which link a batch goes to, and the statements it needs there.
//!
//! A batch is everything up to a `Sync`. All of it goes to one server, because an error skips
//! the rest and because it is one implicit transaction; so the first message waits until the
//! batch is in view, up to a bound.

use std::sync::Arc;

use bytes::Bytes;

use super::ahead::{Ahead, Plan};
use super::desk::Desk;
use super::refusal::Refusal;
use super::seat::Seat;
use super::serve::Incoming;
use super::{Effect, Limbo, Session, Taken, Turn};
use crate::backend::link::{Batch, Link, Owner, Pending, Request};
use crate::backend::statement::Statement;
use crate::id::ConnId;
use crate::wire::backend::{Composer, TxStatus};
use crate::wire::error::Violation;
use crate::wire::frontend::{self, Subject, tag};

impl Session {
    pub(super) fn on_extended(
        &mut self,
        desk: &mut Desk,
        message: Incoming<'_>,
    ) -> Result<Taken, Violation> {
        match self.turn {
            Turn::Discard => Ok(self.take_nowhere(desk, message)),
            Turn::At(link) => self.send_extended(desk, link, message),
            Turn::Local(_) => self.on_local(desk, message),
            Turn::None => self.begin_batch(desk, message),
        }
    }

    fn begin_batch(&mut self, desk: &mut Desk, message: Incoming<'_>) -> Result<Taken, Violation> {
        let plan = match self.look_ahead(desk, message.rest)? {
            Ahead::Need(hint) => {
                self.hint = hint;
                return Ok(Taken::Nothing);
            }
            Ahead::Local => {
                self.turn = Turn::Local(Box::default());
                return self.on_local(desk, message);
            }
            Ahead::Mixed if self.must_settle(desk) => return Ok(Taken::Nothing),
            Ahead::Mixed => return Ok(self.fail_batch(desk, message, &Refusal::MixedPipeline)),
            Ahead::Server(plan) => plan,
        };
        match std::mem::take(&mut self.limbo) {
            Limbo::None => {}
            Limbo::Untold(refusal) => {
                self.limbo = Limbo::Told;
                return Ok(self.fail_batch(desk, message, &refusal));
            }
            Limbo::Told => {
                self.limbo = Limbo::Told;
                return Ok(self.fail_batch(desk, message, &Refusal::Aborted));
            }
        }
        self.seat_batch(desk, message, plan)
    }

    fn seat_batch(
        &mut self,
        desk: &mut Desk,
        message: Incoming<'_>,
        plan: Plan,
    ) -> Result<Taken, Violation> {
        let Some(side) = plan.nature.side else {
            if self.must_settle(desk) {
                return Ok(Taken::Nothing);
            }
            self.reject_transaction(desk);
            return Ok(self.fail_batch(desk, message, &Refusal::NotOnStandby));
        };
        if (plan.effect.is_some() || self.effect.is_some()) && self.must_settle(desk) {
            return Ok(Taken::Nothing);
        }
        if plan.needs_unnamed
            && let Some(link) = self.unnamed
            && self.engaged(desk).is_none()
            && self.held.iter().any(|held| held == link)
        {
            return self.start_batch(desk, link, message, plan);
        }
        match self.seat(desk, side) {
            Seat::At(link) => self.start_batch(desk, link, message, plan),
            Seat::Wait => Ok(Taken::Nothing),
            Seat::Refused(refusal) => Ok(self.fail_batch(desk, message, &refusal)),
        }
    }

    fn start_batch(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        message: Incoming<'_>,
        plan: Plan,
    ) -> Result<Taken, Violation> {
        self.bring_up_to_date(desk, id);
        let reads = plan.reads;
        self.note(desk, id, plan.nature, plan.effect);
        if let Some(link) = desk.links.get_mut(id) {
            *desk.counts.entry(link.pool.backend).or_default() += reads;
            link.batch = Batch::Open;
        }
        self.turn = Turn::At(id);
        self.send_extended(desk, id, message)
    }

    /// Reports an error of pgherd's own and drops the rest of the batch.
    pub(super) fn fail_batch(
        &mut self,
        desk: &mut Desk,
        message: Incoming<'_>,
        refusal: &Refusal,
    ) -> Taken {
        self.say_error(desk, refusal, None);
        self.turn = Turn::Discard;
        self.take_nowhere(desk, message)
    }

    fn send_extended(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        message: Incoming<'_>,
    ) -> Result<Taken, Violation> {
        let malformed = Violation::Malformed { tag: message.tag };
        match message.tag {
            tag::PARSE => {
                let parsed = frontend::parse(message.body);
                if message.is_seen() && parsed.is_none() {
                    return Err(malformed);
                }
                self.on_parse(desk, id, message, parsed);
            }
            tag::BIND => match frontend::bind(message.body) {
                Some((_, name)) => self.prepare_on(desk, id, name),
                None if message.is_seen() => return Err(malformed),
                None => {}
            },
            tag::DESCRIBE | tag::CLOSE => match frontend::subject(message.body) {
                Some(Subject::Statement(name)) if message.tag == tag::DESCRIBE => {
                    self.prepare_on(desk, id, name);
                }
                Some(Subject::Statement(name)) => self.on_close_statement(desk, id, name),
                Some(Subject::Portal(_)) => {}
                None if message.is_seen() => return Err(malformed),
                None => {}
            },
            _ => {}
        }
        Ok(self.take_to(desk, id, message))
    }

    fn on_parse(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        message: Incoming<'_>,
        parsed: Option<(&[u8], &[u8])>,
    ) {
        let statement = parsed.filter(|(name, _)| !name.is_empty()).map(|(name, text)| {
            let lore = crate::route::lore::Lore::bare(&desk.config.routing.rules);
            let class = desk.memo.classify(text, &lore).clone();
            let parse = message.rest.get(..message.len).unwrap_or_default();
            Arc::new(Statement {
                name: Bytes::copy_from_slice(name),
                parse: Bytes::copy_from_slice(parse),
                class,
            })
        });
        // What is not whole in view cannot be repeated, and there is room for so many only.
        let statement = statement.filter(|statement| {
            let (name, parse) = (statement.name.len(), statement.parse.len());
            message.is_whole() && self.statements.has_room(name, parse, 0)
        });
        if let Some((name, _)) = parsed {
            // One that the session has already is there too, and the server says so.
            self.prepare_on(desk, id, name);
            self.forget_local(name);
            if name.is_empty() {
                self.unnamed = Some(id);
            }
        }
        if let Some(link) = desk.links.get_mut(id)
            && link.batch != Batch::Failed
        {
            link.expect(Pending::Parse { owner: Owner::Client, statement });
        }
    }

    /// Prepares a statement of the session on a link, if it is not there yet.
    fn prepare_on(&self, desk: &mut Desk, id: ConnId, name: &[u8]) {
        let Some(statement) = self.statements.get(name) else { return };
        let Some(link) = desk.links.get_mut(id) else { return };
        if link.batch == Batch::Failed || link.prepared.contains(name) || is_coming(link, name) {
            return;
        }
        let statement = Some(statement.clone());
        let parse = statement.as_ref().map(|s| s.parse.clone()).unwrap_or_default();
        link.expect(Pending::Parse { owner: Owner::Proxy, statement });
        desk.send_link(id, parse);
    }

    fn on_close_statement(&mut self, desk: &mut Desk, id: ConnId, name: &[u8]) {
        self.statements.remove(name);
        self.forget_local(name);
        if let Some(link) = desk.links.get_mut(id) {
            link.prepared.remove(name);
        }
        // It may exist on the other link too, which is idle now.
        let others: Vec<ConnId> = self.held.iter().filter(|other| *other != id).collect();
        for other in others {
            let Some(link) = desk.links.get_mut(other) else { continue };
            if !link.prepared.remove(name) {
                continue;
            }
            link.expect(Pending::Ready { owner: Owner::Proxy, request: Request::Sync });
            let body = [b"S", name, b"\0"].concat();
            desk.send_link(other, frontend::compose(tag::CLOSE, &body));
            desk.send_link(other, frontend::compose(tag::SYNC, b""));
        }
    }

    pub(super) fn on_sync(&mut self, desk: &mut Desk, message: Incoming<'_>) -> Taken {
        match self.turn {
            Turn::At(id) => self.send_sync(desk, id, message),
            Turn::Discard | Turn::Local(_) => self.answer_sync(desk, message),
            // A Sync alone: whoever still owes an answer gives it, so that the order holds.
            Turn::None => match self.engaged(desk).map(|(id, _)| id) {
                Some(id) if matches!(self.limbo, Limbo::None) => self.send_sync(desk, id, message),
                Some(_) | None => self.answer_sync(desk, message),
            },
        }
    }

    fn send_sync(&mut self, desk: &mut Desk, id: ConnId, message: Incoming<'_>) -> Taken {
        self.turn = Turn::None;
        if let Some(link) = desk.links.get_mut(id) {
            link.batch = Batch::None;
            link.expect(Pending::Ready { owner: Owner::Client, request: Request::Sync });
        }
        self.take_to(desk, id, message)
    }

    fn answer_sync(&mut self, desk: &mut Desk, message: Incoming<'_>) -> Taken {
        // pgherd answers behind the servers, not between their answers.
        if self.must_settle(desk) && matches!(self.limbo, Limbo::None) {
            return Taken::Nothing;
        }
        self.wait = super::Wait::Nothing;
        self.turn = Turn::None;
        let status = self.status(desk);
        let mut composer = Composer::new();
        composer.ready(status);
        self.say(desk, composer);
        self.take_nowhere(desk, message)
    }

    /// A server is ready for the next statement: what the last one has done takes effect.
    pub(super) fn on_ready(&mut self, desk: &mut Desk, id: ConnId, tx: TxStatus) {
        let failed = std::mem::take(&mut self.outcome) == super::Outcome::Failed;
        match self.effect.take() {
            Some(_) if failed => {}
            Some(Effect::Set(text)) if tx == TxStatus::Idle => {
                if self.settings.push(&text) {
                    let count = self.settings.count();
                    if let Some(link) = desk.links.get_mut(id) {
                        if is_reset(&text) {
                            link.forget_settings();
                        }
                        link.settings = count;
                    }
                } else {
                    self.bond = super::Bond::Primary;
                }
            }
            Some(Effect::Set(_)) => self.bond = super::Bond::Primary,
            Some(Effect::Discard) => self.start_afresh(desk, id),
            Some(Effect::Deallocate(Some(name))) => self.on_close_statement(desk, id, &name),
            Some(Effect::Deallocate(None)) => {
                self.statements.clear();
                if let Some(link) = desk.links.get_mut(id) {
                    link.prepared.clear();
                }
                self.give_back_others(desk, id);
            }
            Some(Effect::End) | None => {}
        }
    }

    /// The client has discarded everything on one link: so does the session.
    fn start_afresh(&mut self, desk: &mut Desk, id: ConnId) {
        self.settings.clear();
        self.statements.clear();
        self.bond = super::Bond::Free;
        self.unnamed = None;
        if let Some(link) = desk.links.get_mut(id) {
            link.forget_settings();
            link.prepared.clear();
        }
        self.give_back_others(desk, id);
    }

    /// Gives up the other link, which has what is no longer to be.
    fn give_back_others(&mut self, desk: &mut Desk, id: ConnId) {
        let others: Vec<ConnId> = self.held.iter().filter(|other| *other != id).collect();
        for other in others {
            self.held.drop_link(other);
            desk.give_back(other);
        }
    }
}

/// Tells whether a text that sets parameters sets them back to what they were at login.
fn is_reset(text: &[u8]) -> bool {
    text.trim_ascii_start().get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"reset"))
}

/// Tells whether a statement is being prepared on a link.
fn is_coming(link: &Link, name: &[u8]) -> bool {
    link.pending.iter().any(|pending| match pending {
        Pending::Parse { statement: Some(statement), .. } => statement.name == name,
        Pending::Parse { statement: None, .. } | Pending::Ready { .. } => false,
    })
}
