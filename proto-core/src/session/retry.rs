//! Reads that a standby has refused because it is one, sent again to the primary; and those whose
//! server was lost, sent again to another.
//!
//! The client's bytes are kept at the link until the answer has begun. Once refused, everything
//! that is under way there is a read whose answer nobody has seen: the answers are dropped, and
//! the bytes are served once more, as if the client had sent them now, with the standby ruled out.

use bytes::Bytes;

use super::desk::Desk;
use super::nature::{Nature, Opens};
use super::refusal::Refusal;
use super::serve::Incoming;
use super::{Session, Wait};
use crate::backend::kept::{Against, Omen, omen};
use crate::backend::pending::Owner;
use crate::id::{BackendId, ConnId};
use crate::route::Side;
use crate::route::class::Kind;
use crate::wire::backend::{Composer, TxStatus, tag as reply};
use crate::wire::error::Violation;
use crate::wire::frame::{Frame, Framer};
use crate::wire::frontend::{self, LOOKS, tag};

/// Why something is served once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A standby has refused it.
    Refusal,
    /// The server went away before it had answered. It may have been the primary, which is named.
    Loss(Option<BackendId>),
}

/// The client's bytes that are served once more.
#[derive(Debug)]
pub(super) struct Again {
    cause: Cause,
    bytes: Bytes,
    /// How many have been taken.
    taken: usize,
}

impl Again {
    /// Takes bytes; returns them if they belong to these.
    pub(super) fn take(&mut self, len: usize) -> Bytes {
        let end = self.taken.saturating_add(len).min(self.bytes.len());
        let taken = self.bytes.slice(self.taken..end);
        self.taken = end;
        taken
    }

    /// What is left.
    fn rest(&self) -> Bytes {
        self.bytes.slice(self.taken..)
    }
}

impl Session {
    /// Keeps a statement that goes to a link, if it can be repeated should it be refused or lost
    /// there. Of what the primary is sent only that can be which a standby might as well have read.
    /// `len` is how many bytes of `message.rest` belong to it; none if not all are in view.
    pub(super) fn keep_for_retry(
        &self,
        desk: &mut Desk,
        id: ConnId,
        message: Incoming<'_>,
        nature: Nature,
        len: Option<usize>,
    ) {
        let Some(link) = desk.links.get_mut(id) else { return };
        let is_standby = desk.topology.primary != Some(link.pool.backend);
        let reads = matches!(nature.kind, Kind::Read | Kind::Empty | Kind::Show)
            && (is_standby || nature.side == Some(Side::Replica));
        let against = if is_standby { Against::Refusal } else { Against::Loss };
        let is_alone = link.tx == TxStatus::Idle && self.opens == Opens::No;
        match len.and_then(|len| message.rest.get(..len)) {
            Some(bytes) if reads && is_alone => {
                link.kept.push(bytes, against);
                if let Some(Cause::Loss(primary)) = self.again.as_ref().map(|again| again.cause) {
                    link.kept.repeat(primary);
                }
            }
            Some(_) | None => link.kept.give_up(),
        }
    }

    /// Tells whether something that may have to be sent again uses the unnamed statement as it is.
    pub(super) fn leans_on_unnamed(&self, desk: &Desk) -> bool {
        self.held.iter().any(|id| desk.links.get(id).is_some_and(|link| link.kept.leans()))
    }

    /// Looks at the beginning of an answer of a link before anything of it passes. True if nothing
    /// may pass yet.
    pub(super) fn withholds(&mut self, desk: &mut Desk, id: ConnId, unread: &[u8]) -> bool {
        let Some(link) = desk.links.get_mut(id) else { return false };
        if !link.kept.is_open() || link.framer.is_inside() {
            return false;
        }
        if link.pending.is_empty() || link.owner() != Owner::Client {
            return false;
        }
        match omen(unread) {
            Omen::Need(len) => {
                link.hint = len.max(unread.len() + 1);
                true
            }
            Omen::Farewell(body) => {
                link.hint = unread.len() + 1;
                self.note_last_words(desk, id, body);
                true
            }
            Omen::Refused(code) if link.kept.against() == Against::Refusal => {
                match link.kept.lost_at() {
                    Some(primary) => self.give_up_repeat(desk, id, code, primary),
                    None => self.retry(desk, id, code),
                }
                false
            }
            Omen::Good | Omen::Refused(_) => {
                link.kept.begin();
                false
            }
        }
    }

    /// Takes everything that is under way at a standby from it, which has refused the first of it.
    /// Returns the client's bytes, and how many answers they wait for.
    fn take_refused(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        code: &'static str,
    ) -> Option<(BackendId, Bytes, usize)> {
        let link = desk.links.get_mut(id)?;
        let (backend, owed) = (link.pool.backend, link.owed());
        for pending in &mut link.pending {
            pending.disown();
        }
        let bytes = Bytes::from(link.kept.take());
        desk.counts.refused(backend, code);
        if matches!(self.wait, Wait::Turn) {
            self.wait = Wait::Nothing;
        }
        self.look_again(desk);
        Some((backend, bytes, owed))
    }

    /// Sends everything that is under way at a standby to the primary instead.
    fn retry(&mut self, desk: &mut Desk, id: ConnId, code: &'static str) {
        let Some((backend, bytes, _)) = self.take_refused(desk, id, code) else { return };
        log::debug!(
            "{}: node {backend} refuses a statement ({code}) that goes to the primary now",
            self.label(desk)
        );
        // A conflict with what is being replayed passes; what the statement does, does not.
        if code != "40001" {
            self.remember_refusal(desk, &bytes);
        }
        self.again = Some(Box::new(Again { cause: Cause::Refusal, bytes, taken: 0 }));
    }

    /// A standby refuses what was lost with a primary: it does more than it shows, and may have done
    /// it there. The client hears of the loss.
    fn give_up_repeat(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        code: &'static str,
        primary: BackendId,
    ) {
        let Some((backend, bytes, owed)) = self.take_refused(desk, id, code) else { return };
        log::debug!(
            "{}: node {backend} refuses a statement ({code}) that was lost with node {primary}",
            self.label(desk)
        );
        if code != "40001" {
            self.remember_refusal(desk, &bytes);
        }
        self.effect = None;
        let refusal = Refusal::Lost { backend: primary, words: None };
        let mut composer = Composer::new();
        for _ in 0..owed {
            composer.report(reply::ERROR, &refusal.tell().report("ERROR"));
            composer.ready(TxStatus::Idle);
        }
        self.say(desk, composer);
    }

    /// Whether what a standby has refused is served once more.
    pub(super) fn is_refused(&self) -> bool {
        self.again.as_ref().is_some_and(|again| again.cause == Cause::Refusal)
    }

    /// The lost primary whose reads are being sent again, which only a standby may be.
    pub(super) fn lost_primary(&self) -> Option<BackendId> {
        match self.again.as_ref()?.cause {
            Cause::Refusal => None,
            Cause::Loss(primary) => primary,
        }
    }

    /// Sends what was under way at a lost server, perhaps the primary, to another one.
    pub(super) fn resend(&mut self, bytes: Bytes, primary: Option<BackendId>) {
        self.effect = None;
        self.again = Some(Box::new(Again { cause: Cause::Loss(primary), bytes, taken: 0 }));
    }

    /// Remembers the texts of the first statement: they are for the primary from now on.
    fn remember_refusal(&mut self, desk: &mut Desk, bytes: &[u8]) {
        let framer = Framer::default();
        let mut rest = bytes;
        while let Ok(Frame::Start { tag, len, body }) = framer.peek(rest, &LOOKS) {
            let name = match tag {
                tag::QUERY => {
                    if let Some(text) = frontend::query(body) {
                        self.refuse_text(desk, text);
                    }
                    return;
                }
                tag::PARSE => {
                    if let Some((_, text)) = frontend::parse(body) {
                        self.refuse_text(desk, text);
                    }
                    None
                }
                tag::BIND => frontend::bind(body).map(|(_, name)| name),
                tag::SYNC => return,
                _ => None,
            };
            match name {
                Some(b"") => {
                    if let Some(text) = self.unnamed.text().map(<[u8]>::to_vec) {
                        self.refuse_text(desk, &text);
                    }
                }
                Some(name) => {
                    if let Some(text) = self.statements.refuse(name) {
                        self.refuse_text(desk, &text);
                    }
                }
                None => {}
            }
            rest = rest.get(len..).unwrap_or_default();
        }
    }

    /// Serves what was refused once more. True if there is nothing left of it.
    pub(super) fn serve_again(&mut self, desk: &mut Desk) -> Result<bool, Violation> {
        let Some(again) = &self.again else { return Ok(true) };
        let rest = again.rest();
        if !rest.is_empty() {
            let framer = std::mem::take(&mut self.framer);
            let served = self.serve_messages(desk, &rest);
            self.framer = framer;
            served?;
        }
        let is_done = self.again.as_ref().is_none_or(|again| again.rest().is_empty());
        if is_done {
            self.again = None;
        }
        Ok(is_done)
    }
}
