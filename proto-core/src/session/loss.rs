//! A server connection is lost: what the client hears, and what the session makes of it.
//!
//! A session survives the loss unless the connection had something that cannot be had again. A
//! transaction that was lost stays failed, as PostgreSQL's would, until the client ends it, so
//! that no later statement of it runs outside of it.

use bytes::Bytes;

use super::desk::Desk;
use super::nature::Nature;
use super::refusal::Refusal;
use super::serve::Incoming;
use super::{Limbo, Outcome, Passing, Session, State, Taken, Turn, Wait};
use crate::backend::link::{Batch, CopyIn, Link};
use crate::backend::pending::{Owner, Pending, Request};
use crate::id::{BackendId, ConnId};
use crate::limits;
use crate::message::{Shutdown, Whom};
use crate::output::Close;
use crate::route::class::Kind;
use crate::wire::backend::{Composer, TxStatus, tag};
use crate::wire::error::Fields;
use crate::wire::frontend;

/// What a lost link was in the middle of.
#[derive(Debug)]
pub(super) struct Loss {
    backend: BackendId,
    /// Whom its server meant; none where that is not known.
    whom: Option<Whom>,
    words: Option<Bytes>,
    /// `ReadyForQuery`s that it owed to the client.
    owed: usize,
    batch: Batch,
    tx: TxStatus,
    copy_in: CopyIn,
    /// What it was to answer, if that can be sent elsewhere: reads of which nothing was answered.
    kept: Option<Bytes>,
}

impl Loss {
    pub(super) fn of(link: &mut Link) -> Self {
        let owed = link.owed();
        let is_quiet = link.batch == Batch::None && link.tx == TxStatus::Idle;
        let whom = whom(link.last_words.as_deref());
        // A session that an administrator ended was meant to end what it was doing.
        let kept = if is_quiet && whom != Some(Whom::One) && link.copy_in == CopyIn::No {
            link.kept.take_whole(owed).map(Bytes::from)
        } else {
            None
        };
        Self {
            kept,
            whom,
            backend: link.pool.backend,
            words: link.last_words.clone(),
            owed: link.owed(),
            batch: link.batch,
            tx: link.tx,
            copy_in: link.copy_in,
        }
    }

    /// The same of a link to a server that is known not to be fit any more.
    pub(super) fn with_server(link: &mut Link) -> Self {
        let loss = Self::of(link);
        Self { whom: loss.whom.or(Some(Whom::All)), ..loss }
    }

    fn refusal(&self) -> Refusal {
        Refusal::Lost { backend: self.backend, words: self.words.clone() }
    }
}

/// Reads it off the last words of a server whom it meant by them. That another of its processes has
/// crashed (57P02) is said to all; what an administrator's order ends (57P01) may be this session or
/// the server.
fn whom(last_words: Option<&[u8]>) -> Option<Whom> {
    match last_words.map(|body| Fields::read(body).code) {
        None | Some(b"57P02") => Some(Whom::All),
        Some(b"57P01") => None,
        Some(_) => Some(Whom::One),
    }
}

/// Reads that their server has ended, of which it is not known yet whether they are to be sent to
/// another one.
#[derive(Debug)]
pub(super) struct Farewell {
    id: ConnId,
    was_primary: bool,
    loss: Loss,
}

impl Session {
    /// A link of this session is lost.
    pub(super) fn on_lost(&mut self, desk: &mut Desk, id: ConnId, loss: Loss) {
        let was_primary = self.held.primary == Some(id);
        self.held.drop_link(id);
        if self.unnamed.only_at() == Some(id) {
            self.unnamed.forget();
        }
        if self.passing == Passing::To(id) {
            self.passing = Passing::Nowhere;
        }
        if self.reads_at == Some(loss.backend) {
            self.reads_at = None;
        }
        log::info!(
            "{}: lost its connection to node {}: {}",
            self.label(desk),
            loss.backend,
            loss.refusal().tell().message
        );
        match self.state {
            State::Serving => {}
            State::Closing | State::Cancelling | State::Starting { .. } => return,
            State::Asking | State::Proving(_) | State::Welcoming => {
                // The login goes on with another link.
                return self.look_again(desk);
            }
        }
        if self.speaking == Some(id) {
            return self.end(desk, Close::Now);
        }
        if was_primary && self.is_pinned() {
            return self.end_with(desk, &loss.refusal());
        }
        if matches!(self.wait, Wait::Turn | Wait::Settings(_)) {
            self.wait = Wait::Nothing;
        }
        let is_under_way = matches!(self.turn, Turn::At(at) if at == id) || self.again.is_some();
        match (&loss.kept, loss.whom) {
            (Some(_), None) if !is_under_way && matches!(self.wait, Wait::Nothing) => {
                self.wait = Wait::Word(Box::new(Farewell { id, was_primary, loss }));
                return self.arm(desk, limits::FAREWELL_TIMEOUT);
            }
            (Some(kept), Some(_)) if !is_under_way => {
                log::debug!("{}: its reads go to another server", self.label(desk));
                self.resend(kept.clone(), was_primary.then_some(loss.backend));
            }
            (_, _) => self.tell_loss(desk, id, &loss),
        }
        self.look_again(desk);
    }

    /// The server of which it waits to hear whom it meant.
    #[must_use]
    pub fn doubts(&self) -> Option<BackendId> {
        if let Wait::Word(farewell) = &self.wait { Some(farewell.loss.backend) } else { None }
    }

    /// What it waits for is known: whom a server meant.
    pub fn handle_meant(&mut self, desk: &mut Desk, backend: BackendId, whom: Whom) {
        if self.doubts() == Some(backend) {
            self.end_farewell(desk, whom);
        }
    }

    /// Sends what was ended to another server if that was not meant, or tells the client.
    pub(super) fn end_farewell(&mut self, desk: &mut Desk, whom: Whom) {
        if !matches!(self.wait, Wait::Word(_)) {
            return;
        }
        let Wait::Word(farewell) = std::mem::take(&mut self.wait) else { return };
        let Farewell { id, was_primary, mut loss } = *farewell;
        self.stop_waiting(desk);
        match (whom, loss.kept.take()) {
            (Whom::All, Some(kept)) => {
                log::debug!("{}: its reads go to another server", self.label(desk));
                self.resend(kept, was_primary.then_some(loss.backend));
            }
            (Whom::One | Whom::All, _) => {
                self.tell_loss(desk, id, &loss);
                if desk.shutdown == Some(Shutdown::Smart) {
                    self.leave_if_idle(desk);
                }
            }
        }
        self.look_again(desk);
    }

    /// Gives the client every answer that the lost link owed it.
    fn tell_loss(&mut self, desk: &mut Desk, id: ConnId, loss: &Loss) {
        self.effect = None;
        self.settings.end_transaction(false);
        self.outcome = Outcome::Fine;
        let is_open = loss.batch != Batch::None
            || matches!(self.turn, Turn::At(at) if at == id)
            || loss.copy_in == CopyIn::Yes(Request::Sync);
        let opens = std::mem::take(&mut self.opens) == super::nature::Opens::Maybe;
        // The transaction may be open elsewhere, and this was a read of it.
        let is_beside = self.in_transaction(desk).is_some();
        let in_transaction = is_beside
            || loss.tx != TxStatus::Idle
            || !matches!(self.limbo, Limbo::None)
            || (opens && (loss.owed > 0 || is_open));
        let status = if in_transaction { TxStatus::Failed } else { TxStatus::Idle };
        let refusal = loss.refusal();
        let told = refusal.tell();
        let mut composer = Composer::new();
        for _ in 0..loss.owed {
            composer.report(tag::ERROR, &told.report("ERROR")).ready(status);
        }
        if is_open && loss.batch != Batch::Failed {
            composer.report(tag::ERROR, &told.report("ERROR"));
        }
        if loss.owed > 0 || is_open {
            if self.speaking.is_some() {
                // Another link's message is half way.
                return self.end(desk, Close::Now);
            }
            self.say(desk, composer);
        }
        if is_open {
            self.turn = Turn::Discard;
        }
        if is_beside {
            if loss.owed > 0 || is_open {
                self.reject_transaction(desk);
            }
        } else if in_transaction {
            if loss.owed > 0 || is_open {
                self.limbo = Limbo::Told;
            } else if matches!(self.limbo, Limbo::None) {
                // One that pgherd was rolling back has failed for another reason already.
                self.limbo = Limbo::Untold(Box::new(refusal));
            }
        }
    }

    /// Whether a link answers a read of a transaction that is open on another.
    pub(super) fn is_beside(&self, desk: &Desk, id: ConnId) -> bool {
        self.in_transaction(desk).is_some_and(|(other, _)| other != id)
    }

    /// A read of a transaction that is open elsewhere has been answered: what fails in it fails
    /// all of it.
    pub(super) fn on_ready_beside(&mut self, desk: &mut Desk) {
        self.effect = None;
        let status = match std::mem::take(&mut self.outcome) {
            Outcome::Fine => TxStatus::Open,
            Outcome::Failed => self.reject_transaction(desk),
        };
        let mut composer = Composer::new();
        composer.ready(status);
        self.say(desk, composer);
    }

    /// Answers a `Query` of a transaction that is lost.
    pub(super) fn query_in_limbo(
        &mut self,
        desk: &mut Desk,
        message: Incoming<'_>,
        nature: Nature,
    ) -> Taken {
        let ends = nature.kind == Kind::End;
        if ends && self.must_be_rolled_back(desk) {
            return Taken::Nothing;
        }
        let status = if ends { TxStatus::Idle } else { TxStatus::Failed };
        match std::mem::take(&mut self.limbo) {
            // A COMMIT that did not commit must not look as if it had.
            Limbo::Untold(refusal) => self.say_error(desk, &refusal, Some(status)),
            Limbo::Told | Limbo::None if ends => {
                let mut composer = Composer::new();
                composer.command_complete("ROLLBACK").ready(status);
                self.say(desk, composer);
            }
            Limbo::Told | Limbo::None => self.say_error(desk, &Refusal::Aborted, Some(status)),
        }
        if !ends {
            self.limbo = Limbo::Told;
        }
        self.take_nowhere(desk, message)
    }

    /// Waits until a transaction that pgherd rolls back is over; false if it is. A client that was
    /// told so earlier could hear of its loss when it is in none.
    pub(super) fn must_be_rolled_back(&mut self, desk: &Desk) -> bool {
        let is_open = self.in_transaction(desk).is_some_and(|(_, link)| !link.is_quiet());
        if is_open {
            self.wait = Wait::Turn;
        }
        is_open
    }

    /// Rolls back a transaction that a statement must not run in; the client sees it as failed.
    /// Returns what the transaction is then, if there is one.
    pub(super) fn reject_transaction(&mut self, desk: &mut Desk) -> TxStatus {
        let Some((id, _)) = self.in_transaction(desk) else { return TxStatus::Idle };
        if let Some(link) = desk.links.get_mut(id) {
            link.expect(Pending::Ready { owner: Owner::Proxy, request: Request::Query });
        }
        desk.send_link(id, frontend::compose_query("ROLLBACK"));
        self.effect = None;
        self.settings.end_transaction(false);
        self.limbo = Limbo::Told;
        TxStatus::Failed
    }
}
