//! The client's messages, one by one; `Query` and `CopyData` and the like are decided here.

use super::desk::Desk;
use super::nature::{Catalog, Command, Nature, Opens, dropped_database};
use super::refusal::Refusal;
use super::seat::Seat;
use super::show::Question;
use super::tally::Sent;
use super::{Effect, Ended, Limbo, Outcome, Passing, Session, Taken, Turn, Wait};
use crate::backend::link::{Batch, CopyIn};
use crate::backend::pending::{Owner, Pending, Request};
use crate::config::Level;
use crate::id::ConnId;
use crate::output::Close;
use crate::route::Side;
use crate::route::asks;
use crate::route::class::Kind;
use crate::route::verb::Verb;
use crate::wire::backend::TxStatus;
use crate::wire::error::Violation;
use crate::wire::frame::{Frame, HEADER_LEN, PLAIN, plain_run};
use crate::wire::frontend::{self, LOOKS, tag};

/// A message of the client, as much of it as is in view.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub(super) tag: u8,
    /// Length, header included.
    pub(super) len: usize,
    pub(super) body: &'a [u8],
    /// Everything unread, from this message on.
    pub(super) rest: &'a [u8],
}

impl Incoming<'_> {
    pub(super) const fn is_whole(&self) -> bool {
        self.len <= self.rest.len()
    }

    /// Tells whether all of the body is in view, which a decision may need.
    pub(super) const fn is_seen(&self) -> bool {
        self.body.len() + HEADER_LEN >= self.len
    }
}

impl Session {
    pub(super) fn serve(&mut self, desk: &mut Desk, unread: &[u8]) -> Result<(), Violation> {
        self.active = desk.now;
        if matches!(self.wait, Wait::Word(_)) {
            return Ok(());
        }
        if self.serve_again(desk)? { self.serve_messages(desk, unread) } else { Ok(()) }
    }

    pub(super) fn serve_messages(
        &mut self,
        desk: &mut Desk,
        unread: &[u8],
    ) -> Result<(), Violation> {
        let mut rest = unread;
        while matches!(self.state, super::State::Serving) {
            match self.framer.peek(rest, &LOOKS)? {
                Frame::Need(hint) => {
                    self.hint = hint;
                    return Ok(());
                }
                Frame::Middle { len } => {
                    self.framer.take_middle(len);
                    self.pass(desk, len);
                    rest = rest.get(len..).unwrap_or_default();
                }
                Frame::Start { tag, len, body } => {
                    let message = Incoming { tag, len, body, rest };
                    match self.on_message(desk, message)? {
                        Taken::Bytes(taken) => {
                            self.end_wait(desk);
                            rest = rest.get(taken..).unwrap_or_default();
                        }
                        Taken::Nothing => return Ok(()),
                    }
                }
            }
        }
        Ok(())
    }

    /// A message has been taken: what it waited for, and that it did so in vain, is no other's
    /// affair. It need not have been answered by what it waited for.
    fn end_wait(&mut self, desk: &mut Desk) {
        if self.effect.is_none() {
            // It was refused after all.
            self.let_go.clear();
        }
        if self.since.is_none() && self.verdict.is_none() {
            return;
        }
        self.verdict = None;
        if let Wait::Link(key) = std::mem::take(&mut self.wait) {
            desk.pools.forget(&key, self.id);
        }
        self.stop_waiting(desk);
    }

    fn on_message(&mut self, desk: &mut Desk, message: Incoming<'_>) -> Result<Taken, Violation> {
        if let Some(link) = self.copying(desk)
            && message.tag != tag::TERMINATE
        {
            return Ok(self.on_copy_message(desk, link, message));
        }
        match message.tag {
            tag::QUERY => self.on_query(desk, message),
            tag::SYNC => Ok(self.on_sync(desk, message)),
            // It is read when everything before it has been answered, as PostgreSQL reads it.
            tag::TERMINATE if self.is_owed(desk) => {
                self.wait = Wait::Turn;
                Ok(Taken::Nothing)
            }
            tag::TERMINATE => {
                self.take_nowhere(desk, message);
                self.end(desk, Close::AfterFlush);
                Ok(Taken::Nothing)
            }
            // They may be ahead of the server's word that it waits for them. Otherwise they are the
            // remains of a COPY that failed, and are ignored, as PostgreSQL does.
            tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL => {
                if !matches!(self.turn, Turn::Discard)
                    && !self.is_skipping(desk)
                    && self.must_settle(desk)
                {
                    return Ok(Taken::Nothing);
                }
                Ok(self.take_nowhere(desk, message))
            }
            tag::FUNCTION_CALL => Ok(self.on_function_call(desk, message)),
            _ => self.on_extended(desk, message),
        }
    }

    fn on_query(&mut self, desk: &mut Desk, message: Incoming<'_>) -> Result<Taken, Violation> {
        if matches!(self.turn, Turn::Discard) {
            return Ok(self.take_nowhere(desk, message));
        }
        let text = match message.is_seen() {
            true => {
                let malformed = Violation::Malformed { tag: message.tag };
                Some(frontend::query(message.body).ok_or(malformed)?)
            }
            false => None,
        };
        let nature = self.judge(desk, text);
        if !matches!(self.limbo, Limbo::None) {
            return Ok(self.query_in_limbo(desk, message, nature));
        }
        if let Kind::Pgherd(_) = nature.kind
            && let Some(question) = text.and_then(Question::read)
        {
            return Ok(self.query_pgherd(desk, message, &question));
        }
        // Of several statements the server would report pgherd's own as an unknown parameter.
        if nature.opens == Opens::Maybe && text.is_some_and(asks::is_beside_others) {
            return Ok(self.refuse_beside(desk, message));
        }
        let refusal = self.refusal_of(nature);
        let Some(side) = nature.side.filter(|_| refusal.is_none()) else {
            // pgherd answers behind the servers, and what they still owe may change what it says.
            if matches!(self.turn, Turn::None) && self.must_settle(desk) {
                return Ok(Taken::Nothing);
            }
            let status = self.reject_transaction(desk);
            self.say_error(desk, &refusal.unwrap_or(Refusal::NotOnStandby), Some(status));
            return Ok(self.take_nowhere(desk, message));
        };
        if let Some(taken) = self.deallocate(desk, message, nature, text) {
            return Ok(taken);
        }
        if let Turn::At(link) = self.turn {
            // A Query in the middle of a batch ends it, as in PostgreSQL.
            return Ok(self.send_query(desk, link, message, nature, None));
        }
        let effect = self.effect_of(desk, nature, text);
        if nature.command == Command::Drop
            && let Some(database) = text.and_then(dropped_database)
        {
            desk.vacate(&database);
        }
        // Whether an effect comes about is known when its statement has been answered, and only one
        // is remembered until then.
        let must_settle = effect.is_some()
            || self.effect.is_some()
            || self.is_noticed(desk)
            || self.leans_on_unnamed(desk);
        if must_settle && self.must_settle(desk) {
            return Ok(Taken::Nothing);
        }
        Ok(self.seat_query(desk, side, message, (nature, effect), text))
    }

    /// Sends a query to the link that it belongs on.
    fn seat_query(
        &mut self,
        desk: &mut Desk,
        side: Side,
        message: Incoming<'_>,
        (nature, effect): (Nature, Option<Effect>),
        text: Option<&[u8]>,
    ) -> Taken {
        match self.seat(desk, side) {
            Seat::At(link) if self.refusal_at(desk, link, nature).is_some() => {
                if self.must_settle(desk) {
                    return Taken::Nothing;
                }
                let status = self.reject_transaction(desk);
                self.say_error(desk, &Refusal::NoLastValue, Some(status));
                self.release(desk);
                self.take_nowhere(desk, message)
            }
            Seat::At(link) => {
                if let Some(text) = text.filter(|_| nature.kind == Kind::Write) {
                    self.note_writes(desk, text);
                }
                self.send_query(desk, link, message, nature, effect)
            }
            Seat::Wait => Taken::Nothing,
            Seat::Refused(refusal) if self.lets_go(&refusal, effect.as_ref()) => {
                self.look_again(desk);
                Taken::Nothing
            }
            Seat::Refused(refusal) => {
                let status = self.reject_transaction(desk);
                self.say_error(desk, &refusal, Some(status));
                self.take_nowhere(desk, message)
            }
        }
    }

    /// Whether a server owes the client a `ReadyForQuery`, and does not wait for the client itself.
    fn is_owed(&self, desk: &Desk) -> bool {
        self.copying(desk).is_none() && self.engaged(desk).is_some_and(|(_, link)| link.owed() > 0)
    }

    /// Waits until the servers have answered everything; false if they have.
    pub(super) fn must_settle(&mut self, desk: &Desk) -> bool {
        let owes = self.engaged(desk).is_some_and(|(_, link)| link.owes());
        if owes {
            self.wait = Wait::Turn;
        }
        owes
    }

    fn send_query(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        message: Incoming<'_>,
        nature: Nature,
        effect: Option<Effect>,
    ) -> Taken {
        if desk.links.get(id).is_some_and(|link| link.batch == Batch::Failed) {
            // The server skips it, and everything else up to the Sync.
            return self.take_to(desk, id, message);
        }
        self.tell_statement(desk, id, message);
        self.turn = Turn::None;
        if message.tag == tag::QUERY {
            self.unnamed.forget();
        }
        self.note(desk, id, nature, effect);
        let len = message.is_whole().then_some(message.len);
        self.keep_for_retry(desk, id, message, nature, len);
        if let Some(link) = desk.links.get_mut(id) {
            if message.tag == tag::QUERY {
                link.unnamed = 0;
            }
            desk.counts.sent(
                link.pool.backend,
                &Sent::one(nature.verb, nature.counted()),
                nature.why,
            );
            link.batch = Batch::None;
            link.expect(Pending::Ready { owner: Owner::Client, request: Request::Query });
        }
        self.take_to(desk, id, message)
    }

    /// Notes what a statement that goes to a link means for the session.
    pub(super) fn note(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        nature: Nature,
        effect: Option<Effect>,
    ) {
        let Some(link) = desk.links.get(id) else { return };
        let effect = match effect {
            // The server answers such a COMMIT with a ROLLBACK.
            Some(Effect::Ended(_)) if link.tx == TxStatus::Failed => {
                Some(Effect::Ended(Ended::RolledBack))
            }
            other => other,
        };
        if nature.kind == Kind::Setting && effect.is_none() {
            // It sets something that is not followed.
            self.settings.lose_track();
        }
        self.note_wear(desk, id, nature);
        if self.held.primary == Some(id) {
            self.note_looseness(nature);
        }
        if nature.verb == Verb::Ddl {
            self.catalog = Catalog::Changing;
        }
        self.effect = effect;
        self.outcome = Outcome::Fine;
        if desk.config.routing.level == Level::Statement {
            self.reads_at = None;
        }
        if nature.opens == Opens::Maybe {
            self.opens = Opens::Maybe;
        }
    }

    fn on_function_call(&mut self, desk: &mut Desk, message: Incoming<'_>) -> Taken {
        if matches!(self.turn, Turn::Discard) {
            return self.take_nowhere(desk, message);
        }
        let nature = self.judge(desk, None);
        if !matches!(self.limbo, Limbo::None) {
            return self.query_in_limbo(desk, message, nature);
        }
        if let Turn::At(link) = self.turn {
            return self.send_query(desk, link, message, nature, None);
        }
        match self.seat(desk, nature.side.unwrap_or(Side::Primary)) {
            Seat::At(link) => self.send_query(desk, link, message, nature, None),
            Seat::Wait => Taken::Nothing,
            Seat::Refused(refusal) => {
                let status = self.reject_transaction(desk);
                self.say_error(desk, &refusal, Some(status));
                self.take_nowhere(desk, message)
            }
        }
    }

    /// Whether the server skips what the client sends, up to its `Sync`.
    fn is_skipping(&self, desk: &Desk) -> bool {
        let Turn::At(id) = self.turn else { return false };
        desk.links.get(id).is_some_and(|link| link.batch == Batch::Failed)
    }

    /// The link whose server waits for the client's `CopyData`.
    fn copying(&self, desk: &Desk) -> Option<ConnId> {
        let is_copying = |id: &ConnId| {
            desk.links.get(*id).is_some_and(|link| matches!(link.copy_in, CopyIn::Yes(_)))
        };
        self.held.iter().find(is_copying)
    }

    fn on_copy_message(&mut self, desk: &mut Desk, id: ConnId, message: Incoming<'_>) -> Taken {
        match message.tag {
            tag::COPY_DATA => {
                let run = plain_run(message.rest, &COPY_RUN);
                if run > 0 {
                    self.passing = Passing::To(id);
                    self.pass(desk, run);
                    return Taken::Bytes(run);
                }
            }
            // The server ignores these two, and sends no ReadyForQuery for a Sync.
            tag::SYNC | tag::FLUSH => {}
            _ => {
                if let Some(link) = desk.links.get_mut(id) {
                    link.copy_in = CopyIn::No;
                }
            }
        }
        self.take_to(desk, id, message)
    }

    /// What `ReadyForQuery` would say now.
    pub(super) fn status(&self, desk: &Desk) -> TxStatus {
        match self.limbo {
            Limbo::None => self.in_transaction(desk).map_or(TxStatus::Idle, |(_, link)| link.tx),
            Limbo::Untold(_) | Limbo::Told => TxStatus::Failed,
        }
    }

    pub(super) fn is_failed(&self, desk: &Desk) -> bool {
        self.status(desk) == TxStatus::Failed
    }

    /// Forwards a message to a link, as much of it as is in view.
    pub(super) fn take_to(&mut self, desk: &mut Desk, id: ConnId, message: Incoming<'_>) -> Taken {
        let taken = self.framer.take(message.len, message.rest.len());
        self.passing = Passing::To(id);
        self.pass(desk, taken);
        Taken::Bytes(taken)
    }

    /// Drops a message, as much of it as is in view.
    pub(super) fn take_nowhere(&mut self, desk: &mut Desk, message: Incoming<'_>) -> Taken {
        let taken = self.framer.take(message.len, message.rest.len());
        self.passing = Passing::Nowhere;
        self.pass(desk, taken);
        Taken::Bytes(taken)
    }

    /// Forwards a message without its first `skipped` bytes, in whose place another beginning has
    /// been sent.
    pub(super) fn take_rest(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        message: Incoming<'_>,
        skipped: usize,
    ) -> Taken {
        let taken = self.framer.take(message.len, message.rest.len());
        self.passing = Passing::Nowhere;
        self.pass(desk, skipped);
        self.passing = Passing::To(id);
        self.pass(desk, taken.saturating_sub(skipped));
        Taken::Bytes(taken)
    }

    fn pass(&mut self, desk: &mut Desk, len: usize) {
        if let Some(again) = &mut self.again {
            let bytes = again.take(len);
            if let Passing::To(id) = self.passing {
                desk.send_link(id, bytes);
            }
            return;
        }
        if let Passing::To(id) = self.passing
            && let Some(link) = desk.links.get_mut(id)
        {
            link.flow.add(len);
            desk.outputs.forward(self.id, id, len);
        } else {
            desk.outputs.skip(self.id, len);
        }
    }
}

/// Runs of `CopyData` alone.
const COPY_RUN: crate::wire::frame::Looks = copy_run();

#[expect(clippy::indexing_slicing, reason = "a byte is always inside 256 places")]
const fn copy_run() -> crate::wire::frame::Looks {
    let mut looks = [0; 256];
    looks[tag::COPY_DATA as usize] = PLAIN;
    looks
}
