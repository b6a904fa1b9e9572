//! The extended query protocol: which link a batch goes to, and what its messages become there.
//!
//! A batch is everything up to a `Sync`. All of it goes to one server, because an error skips
//! the rest and because it is one implicit transaction; so the first message waits until the
//! batch is in view, up to a bound.

use bytes::Bytes;

use super::ahead::{Ahead, Doubt, Plan};
use super::desk::Desk;
use super::nature::{Catalog, Opens};
use super::prepare::Before;
use super::refusal::Refusal;
use super::seat::Seat;
use super::serve::Incoming;
use super::settings::Change;
use super::{Effect, Ended, Limbo, Session, Taken, Turn};
use crate::backend::applied::Setting;
use crate::backend::link::{Batch, Link};
use crate::backend::pending::{Owner, Pending, Request};
use crate::id::ConnId;
use crate::route::Side;
use crate::route::class::Kind;
use crate::wire::backend::{Composer, TxStatus};
use crate::wire::error::Violation;
use crate::wire::frame::HEADER_LEN;
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
        let refusal = self.refusal_of(plan.nature);
        let Some(side) = plan.nature.side.filter(|_| refusal.is_none()) else {
            if self.must_settle(desk) {
                return Ok(Taken::Nothing);
            }
            self.reject_transaction(desk);
            let refusal = refusal.unwrap_or(Refusal::NotOnStandby);
            return Ok(self.fail_batch(desk, message, &refusal));
        };
        let closes = self.engaged(desk).is_some_and(|(_, link)| link.closes());
        let must_settle = plan.reuses == Doubt::Yes
            || (plan.leans == Doubt::Yes && self.unnamed.is_changing())
            || closes
            || self.leans_on_unnamed(desk)
            || plan.effect.is_some()
            || self.effect.is_some()
            || self.is_noticed(desk);
        if must_settle && self.must_settle(desk) {
            return Ok(Taken::Nothing);
        }
        if plan.needs_unnamed
            && let Some(link) = self.unnamed.only_at()
            && self.engaged(desk).is_none()
            && self.held.iter().any(|held| held == link)
            // A write is only ever the primary's.
            && (side == Side::Replica || self.held.primary == Some(link))
            && self.verdict.is_none()
        {
            if !self.is_up_to_date(desk, link) {
                return Ok(Taken::Nothing);
            }
            return self.start_batch(desk, link, message, plan);
        }
        match self.seat(desk, side) {
            Seat::At(link) if self.refusal_at(desk, link, plan.nature).is_some() => {
                if self.must_settle(desk) {
                    return Ok(Taken::Nothing);
                }
                self.reject_transaction(desk);
                self.release(desk);
                Ok(self.fail_batch(desk, message, &Refusal::NoLastValue))
            }
            Seat::At(link) => self.start_batch(desk, link, message, plan),
            Seat::Wait => Ok(Taken::Nothing),
            Seat::Refused(refusal) if self.lets_go(&refusal, plan.effect.as_ref()) => {
                self.look_again(desk);
                Ok(Taken::Nothing)
            }
            Seat::Refused(refusal) => {
                self.reject_transaction(desk);
                Ok(self.fail_batch(desk, message, &refusal))
            }
        }
    }

    fn start_batch(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        message: Incoming<'_>,
        plan: Plan,
    ) -> Result<Taken, Violation> {
        let len = plan.len;
        self.looked = plan.looked;
        self.before = Before::Nothing;
        self.keep_for_retry(desk, id, message, plan.nature, len);
        if let Some(link) = desk.links.get_mut(id)
            && plan.leans == Doubt::Yes
        {
            link.kept.lean();
        }
        self.note(desk, id, plan.nature, plan.effect);
        if let Some(link) = desk.links.get_mut(id) {
            desk.counts.sent(link.pool.backend, &plan.sent, plan.nature.why);
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
        if self.must_hear_first(desk, id, message) {
            self.wait = super::Wait::Turn;
            return Ok(Taken::Nothing);
        }
        let malformed = Violation::Malformed { tag: message.tag };
        self.tell_statement(desk, id, message);
        if !matches!(message.tag, tag::PARSE | tag::CLOSE | tag::FLUSH) {
            self.before = Before::Work;
        }
        let is_news = self.looked < message.len;
        self.looked = self.looked.saturating_sub(message.len);
        if is_news {
            self.note_news(desk, id, message);
        }
        match message.tag {
            tag::PARSE => {
                let parsed = frontend::parse(message.body);
                if message.is_seen() && parsed.is_none() {
                    return Err(malformed);
                }
                if let Some(instead) = self.on_parse(desk, id, message, parsed) {
                    desk.send_link(id, instead);
                    return Ok(self.take_nowhere(desk, message));
                }
            }
            tag::BIND => match frontend::bind(message.body) {
                Some((portal, name)) => {
                    if let Some(known_as) = self.prepare_on(desk, id, name) {
                        let place = (portal.len() + 1, name);
                        return Ok(self.take_renamed(desk, id, message, place, &known_as));
                    }
                }
                None if message.is_seen() => return Err(malformed),
                None => {}
            },
            tag::DESCRIBE => match frontend::subject(message.body) {
                Some(Subject::Statement(name)) => {
                    if let Some(known_as) = self.prepare_on(desk, id, name) {
                        return Ok(self.take_renamed(desk, id, message, (1, name), &known_as));
                    }
                }
                Some(Subject::Portal(_)) => {}
                None if message.is_seen() => return Err(malformed),
                None => {}
            },
            tag::CLOSE => {
                let name = match frontend::subject(message.body) {
                    Some(Subject::Statement(name)) => Some(Bytes::copy_from_slice(name)),
                    Some(Subject::Portal(_)) => None,
                    None if message.is_seen() => return Err(malformed),
                    None => None,
                };
                if let Some(link) = desk.links.get_mut(id).filter(|l| l.batch != Batch::Failed) {
                    link.expect(Pending::Close { owner: Owner::Client, name });
                }
            }
            _ => {}
        }
        Ok(self.take_to(desk, id, message))
    }

    /// Whether a message names a statement about which an earlier batch has not been answered yet:
    /// whether there is one, only that answer tells. If not, the server may know another client's
    /// by the name that they share.
    fn must_hear_first(&self, desk: &Desk, id: ConnId, message: Incoming<'_>) -> bool {
        if !self.is_shared() {
            return false;
        }
        let name = match message.tag {
            tag::PARSE => frontend::parse(message.body).map(|(name, _)| name),
            tag::BIND => frontend::bind(message.body).map(|(_, name)| name),
            tag::DESCRIBE => match frontend::subject(message.body) {
                Some(Subject::Statement(name)) => Some(name),
                Some(Subject::Portal(_)) | None => None,
            },
            _ => None,
        };
        let name = name.unwrap_or_default();
        let is_open =
            |link: &&Link| link.becomes(name).is_some() && link.becomes_here(name).is_none();
        !name.is_empty() && desk.links.get(id).map(Box::as_ref).filter(is_open).is_some()
    }

    /// Notes what a message of a batch means that was not in view when the batch began.
    fn note_news(&mut self, desk: &mut Desk, id: ConnId, message: Incoming<'_>) {
        let nature = match message.tag {
            tag::PARSE => self.judge(desk, frontend::parse(message.body).map(|(_, text)| text)),
            tag::BIND => match frontend::bind(message.body).map(|(_, name)| name) {
                Some(name) => match self.statements.get(name).cloned() {
                    Some(statement) => self.judge_prepared(desk, &statement),
                    None => return,
                },
                None => return,
            },
            _ => return,
        };
        self.note_wear(desk, id, nature);
        if matches!(nature.kind, Kind::Setting | Kind::DiscardAll) {
            // When it takes effect is not followed.
            self.settings.lose_track();
        }
        if nature.opens == Opens::Maybe {
            self.opens = Opens::Maybe;
        }
        if self.held.primary == Some(id) {
            self.note_looseness(nature);
        }
    }

    /// Forwards a message with another name in the place of the one that it has there.
    fn take_renamed(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        message: Incoming<'_>,
        (at, name): (usize, &[u8]),
        known_as: &[u8],
    ) -> Taken {
        if name == known_as {
            return self.take_to(desk, id, message);
        }
        let before = message.body.get(..at).unwrap_or_default();
        let head = desk.compose_head(message.tag, message.len - name.len(), before, known_as);
        desk.send_link(id, head);
        self.take_rest(desk, id, message, HEADER_LEN + at + name.len())
    }

    pub(super) fn on_sync(&mut self, desk: &mut Desk, message: Incoming<'_>) -> Taken {
        match self.turn {
            Turn::At(id) => self.send_sync(desk, id, message),
            Turn::Discard | Turn::Local(_) => self.answer_sync(desk, message),
            // A Sync alone: whoever still owes an answer gives it, so that the order holds.
            Turn::None => match self.engaged(desk).map(|(id, _)| id) {
                Some(id) if matches!(self.limbo, Limbo::None) => {
                    if let Some(link) = desk.links.get_mut(id) {
                        link.kept.give_up();
                    }
                    self.send_sync(desk, id, message)
                }
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
        for name in std::mem::take(&mut self.let_go) {
            if !failed {
                self.settings.apply(Change::Reset(name));
            }
        }
        match self.effect.take() {
            Some(Effect::Ended(how)) => {
                self.settings.end_transaction(how == Ended::Committed && !failed);
                self.note_applied(desk, id);
            }
            Some(_) if failed => {}
            Some(Effect::Change(change)) => {
                let change = complete(change, desk, id);
                if tx == TxStatus::Idle {
                    self.settings.apply(change.clone());
                    self.note_applied(desk, id);
                } else {
                    self.settings.try_out(change.clone());
                }
                self.restore(desk, id, &change);
            }
            Some(Effect::RolledBackTo) => self.settings.roll_back_to_savepoint(),
            Some(Effect::Discard) => self.start_afresh(desk, id),
            Some(Effect::Deallocate(Some(name))) => self.forget_statement(desk, id, &name),
            Some(Effect::Deallocate(None)) => {
                self.statements.clear();
                self.unnamed.forget();
                if let Some(link) = desk.links.get_mut(id) {
                    link.prepared.clear();
                }
                self.give_back_others(desk, id);
            }
            None => {}
        }
        if tx == TxStatus::Idle && self.settings.is_tentative() {
            // The transaction has ended in a way that no text told.
            self.settings.end_transaction(false);
            self.settings.lose_track();
        }
        if tx == TxStatus::Idle {
            self.writes.end_transaction();
            if std::mem::take(&mut self.catalog) == Catalog::Changing {
                desk.catalog_stale(&self.who.database);
            }
            self.ask_again_what_is_held(desk, id);
        }
    }

    /// The client has discarded everything on one link: so does the session.
    fn start_afresh(&mut self, desk: &mut Desk, id: ConnId) {
        self.settings.clear();
        self.statements.clear();
        self.unnamed.forget();
        self.unpin();
        if let Some(link) = desk.links.get_mut(id) {
            link.forget();
        }
        self.note_applied(desk, id);
        self.restore(desk, id, &Change::ResetAll);
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

/// What a change amounts to: a `SET datestyle` may name one of the two things that the parameter
/// says and leave the other as it was, so the whole is taken from what the server reports.
fn complete(change: Change, desk: &Desk, id: ConnId) -> Change {
    let Change::Set(setting) = &change else { return change };
    if setting.name != b"datestyle"[..] {
        return change;
    }
    let parameters = desk.links.get(id).map_or(&[][..], |link| &link.parameters);
    let reported = parameters.iter().find(|(name, _)| name == &b"DateStyle"[..]);
    let whole = reported.and_then(|(_, value)| Setting::of_value(b"datestyle", value));
    whole.map_or(change, Change::Set)
}
