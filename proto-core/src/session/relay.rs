//! The server's messages, on their way to the client.
//!
//! Rows pass in runs, undecoded. What pgherd asked of its own accord is dropped here, and what
//! changes the conversation (`ReadyForQuery`, errors, COPY) is noted.

use bytes::Bytes;

use super::desk::Desk;
use super::refusal::Refusal;
use super::{Outcome, Session, Turn, Wait};
use crate::backend::link::{Batch, CopyIn, Link, Parsed};
use crate::backend::pending::{Owner, Request};
use crate::config::PoolMode;
use crate::id::ConnId;
use crate::limits;
use crate::message::Shutdown;
use crate::output::Output;
use crate::wire::backend::{LOOKS, READY_LEN, TxStatus, tag};
use crate::wire::error::{Fields, Violation};
use crate::wire::frame::{Frame, plain_run};
use crate::wire::text;

impl Session {
    /// Decides about everything of a server that can be decided now.
    pub(super) fn relay(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        unread: &[u8],
    ) -> Result<(), Violation> {
        let mut rest = unread;
        while !rest.is_empty() && self.speaking.is_none_or(|speaking| speaking == id) {
            if !self.held.iter().any(|held| held == id) {
                // Given back, or closed: the rest is the desk's to read.
                desk.outputs.push(Output::Reread { conn: id });
                return Ok(());
            }
            if self.withholds(desk, id, rest) {
                return Ok(());
            }
            let Some(link) = desk.links.get_mut(id) else { return Ok(()) };
            // What pgherd has asked itself is read, not passed.
            let looks = if link.is_audited() { &ANSWER_LOOKS } else { &LOOKS };
            let len = match link.framer.peek(rest, looks)? {
                Frame::Need(hint) => {
                    link.hint = hint;
                    return Ok(());
                }
                Frame::Middle { len } => {
                    link.framer.take_middle(len);
                    let is_inside = link.framer.is_inside();
                    let owner = link.passing;
                    self.deliver(desk, id, owner, len);
                    if owner == Owner::Client {
                        self.note_speaking(desk, id, is_inside);
                    }
                    len
                }
                Frame::Start { tag: tag::READY, len, .. } if len != READY_LEN => {
                    return Err(Violation::Malformed { tag: tag::READY });
                }
                Frame::Start { tag, len, body } => {
                    // Rows leave in runs; what is not part of one is decided about by itself.
                    let run = if link.pending_is_empty() { 0 } else { plain_run(rest, looks) };
                    if run > 0 {
                        let owner = link.owner();
                        self.deliver(desk, id, owner, run);
                        rest = rest.get(run..).unwrap_or_default();
                        continue;
                    }
                    let in_view = rest.len();
                    let owner = self.on_server_message(desk, id, tag, body)?;
                    self.pass_message(desk, id, owner, len, in_view)
                }
            };
            rest = rest.get(len..).unwrap_or_default();
        }
        if let Some(link) = desk.links.get_mut(id)
            && rest.is_empty()
        {
            link.hint = 0;
        }
        Ok(())
    }

    /// Passes a message, as much of it as is in view.
    fn pass_message(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        owner: Owner,
        len: usize,
        in_view: usize,
    ) -> usize {
        let Some(link) = desk.links.get_mut(id) else { return 0 };
        let taken = link.framer.take(len, in_view);
        link.passing = owner;
        let is_inside = link.framer.is_inside();
        self.deliver(desk, id, owner, taken);
        if owner == Owner::Client {
            self.note_speaking(desk, id, is_inside);
        }
        self.after_message(desk, id);
        taken
    }

    fn deliver(&mut self, desk: &mut Desk, id: ConnId, owner: Owner, len: usize) {
        match owner {
            Owner::Client => {
                self.flow.add(len);
                desk.outputs.forward(id, self.id, len);
            }
            Owner::Proxy | Owner::Nobody => desk.outputs.skip(id, len),
        }
    }

    /// Keeps the servers from talking into each other's messages.
    fn note_speaking(&mut self, desk: &mut Desk, id: ConnId, is_inside: bool) {
        let was = self.speaking;
        self.speaking = is_inside.then_some(id);
        if was.is_some() && self.speaking.is_none() {
            self.tell_rest(desk);
            for other in self.held.iter().filter(|other| *other != id) {
                desk.outputs.push(Output::Reread { conn: other });
            }
        }
    }

    /// Takes note of a message and tells who receives it.
    fn on_server_message(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        tag: u8,
        body: &[u8],
    ) -> Result<Owner, Violation> {
        let Some(link) = desk.links.get_mut(id) else { return Ok(Owner::Proxy) };
        let owner = if self.is_serving() { link.owner() } else { Owner::Proxy };
        match tag {
            tag::READY => self.on_server_ready(desk, id, body),
            tag::PARSE_COMPLETE => {
                let parsed = link.on_parsed().ok_or(Violation::Unexpected { tag })?;
                match parsed {
                    (Owner::Client, Parsed::Named(name, statement)) => {
                        self.statements.insert(name, statement);
                    }
                    (Owner::Client, Parsed::Unnamed(stamp)) => self.unnamed.exists(stamp),
                    (_, _) => {}
                }
                Ok(parsed.0)
            }
            tag::CLOSE_COMPLETE => {
                let (owner, name) = link.on_closed().ok_or(Violation::Unexpected { tag })?;
                if let (Owner::Client, Some(name)) = (owner, name) {
                    self.forget_statement(desk, id, &name);
                }
                Ok(owner)
            }
            tag::DATA_ROW if link.is_audited() => {
                self.on_findings(body);
                Ok(owner)
            }
            tag::ERROR => Ok(self.on_server_error(desk, id, body)),
            tag::COPY_IN => {
                link.on_copy_in();
                if matches!(self.wait, Wait::Turn) {
                    self.wait = Wait::Nothing;
                }
                if link.copy_in == CopyIn::Yes(Request::Sync) {
                    self.turn = Turn::At(id);
                }
                self.look_again(desk);
                Ok(owner)
            }
            tag::PARAMETER_STATUS => {
                let (name, rest) = text(body).ok_or(Violation::Malformed { tag })?;
                let (value, _) = text(rest).ok_or(Violation::Malformed { tag })?;
                link.note_parameter(name, value);
                let is_told = link.is_told() && self.is_serving();
                let hears = if is_told { Owner::Client } else { owner };
                Ok(match name {
                    b"in_hot_standby" => Owner::Proxy,
                    _ if hears == Owner::Client => self.hears(link, name),
                    _ => hears,
                })
            }
            tag::NOTICE => Ok(owner),
            tag::NOTIFICATION if self.is_serving() => Ok(Owner::Client),
            tag::NOTIFICATION => Ok(Owner::Proxy),
            // Rows and the like, of which not all is in view.
            _ if tag_is_answer(tag) && !link.pending_is_empty() => Ok(owner),
            _ => Err(Violation::Unexpected { tag }),
        }
    }

    /// A server is ready for the next statement; returns who hears of it.
    fn on_server_ready(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        body: &[u8],
    ) -> Result<Owner, Violation> {
        let tag = tag::READY;
        let Some(link) = desk.links.get_mut(id) else { return Ok(Owner::Proxy) };
        let tx = body.first().copied().and_then(TxStatus::read);
        let tx = tx.ok_or(Violation::Malformed { tag })?;
        let depth = link.pending.len();
        let was_failed = link.batch == Batch::Failed;
        let was_audited = link.is_audited();
        let was_set = link.is_being_set();
        let owner = link.on_ready(tx).ok_or(Violation::Unexpected { tag })?;
        let is_shallow = link.pending.len() < limits::PIPELINE_DEPTH_MAX;
        if was_failed && link.batch == Batch::None {
            self.turn = Turn::None;
        }
        let mut is_heard = false;
        if owner == Owner::Client {
            link.kept.answered();
            is_heard = true;
        }
        if link.pending.is_empty() {
            link.kept.rest();
        }
        let owes = link.owes();
        if is_heard && matches!(self.wait, Wait::Turn) {
            // What waited for this answer, and not for all of them, has it.
            self.wait = Wait::Nothing;
            self.look_again(desk);
        }
        if owner == Owner::Client && self.is_beside(desk, id) {
            // The client is in a transaction, whatever this server says of itself.
            self.on_ready_beside(desk);
            return Ok(Owner::Nobody);
        }
        if owner == Owner::Client && !owes {
            self.opens = super::nature::Opens::No;
            self.on_ready(desk, id, tx);
        }
        if was_set {
            Self::on_set(desk, id);
        }
        if was_audited {
            self.on_audited(desk, id);
        } else if owner == Owner::Proxy && self.is_serving() {
            self.ask_what_is_held(desk, id);
        }
        if depth >= limits::PIPELINE_DEPTH_MAX && is_shallow {
            self.look_again(desk);
        }
        Ok(owner)
    }

    fn on_server_error(&mut self, desk: &mut Desk, id: ConnId, body: &[u8]) -> Owner {
        let Some(link) = desk.links.get_mut(id) else { return Owner::Proxy };
        let fields = Fields::read(body);
        if fields.is_fatal() {
            self.note_last_words(desk, id, body);
            return Owner::Proxy;
        }
        desk.counts.error(link.pool.backend, fields.severity);
        let owner = link.owner();
        let is_step = link.is_being_set();
        let missed = link.on_failed();
        match owner {
            Owner::Client => {
                self.give_up_unnamed(desk, id, missed);
                self.outcome = Outcome::Failed;
                if matches!(self.wait, Wait::Turn) {
                    // What waited for the server's word on a COPY has it.
                    self.wait = Wait::Nothing;
                    self.look_again(desk);
                }
            }
            Owner::Nobody => {}
            Owner::Proxy => {
                log::warn!(
                    "{}: a question or setting of its own failed at node {}: {}",
                    self.label(desk),
                    desk.links.get(id).map(|l| l.pool.backend).unwrap_or_default(),
                    String::from_utf8_lossy(Fields::read(body).message)
                );
                if is_step {
                    self.on_unset(desk, id, body);
                } else if !self.is_serving() {
                    let body = Bytes::copy_from_slice(body);
                    self.verdict = Some(Box::new(Refusal::Server { body }));
                }
            }
        }
        owner
    }

    /// A server ends a connection. The client hears of it when it comes to that, and in what way
    /// depends on what it is in the middle of.
    pub(super) fn note_last_words(&self, desk: &mut Desk, id: ConnId, body: &[u8]) {
        let Some(link) = desk.links.get_mut(id) else { return };
        if link.last_words.replace(Bytes::copy_from_slice(body)).is_none() {
            desk.counts.error(link.pool.backend, Fields::read(body).severity);
        }
    }

    /// Goes on with what waited for the server to finish.
    fn after_message(&mut self, desk: &mut Desk, id: ConnId) {
        if !self.unheard.is_empty() {
            self.tell_unheard(desk, id);
        }
        if matches!(self.wait, Wait::Settings(at) if at == id) {
            return self.after_settings(desk, id);
        }
        let Some(link) = desk.links.get(id) else { return };
        let is_idle = !link.is_engaged();
        if link.owes() {
            return;
        }
        if self.is_serving() {
            if self.who.mode == PoolMode::Statement && link.tx != TxStatus::Idle {
                return self.end_with(desk, &Refusal::NoTransactions);
            }
            self.release(desk);
        } else if !link.is_quiet() {
            return;
        }
        if matches!(self.wait, Wait::Turn) {
            self.wait = Wait::Nothing;
            self.look_again(desk);
        }
        if desk.shutdown == Some(Shutdown::Smart) && is_idle {
            self.leave_if_idle(desk);
        }
    }
}

/// How much must be in view of what answers pgherd's own questions.
const ANSWER_LOOKS: crate::wire::frame::Looks = answer_looks();

#[expect(clippy::indexing_slicing, reason = "a byte is always inside 256 places")]
const fn answer_looks() -> crate::wire::frame::Looks {
    let mut looks = LOOKS;
    looks[tag::DATA_ROW as usize] = looks[tag::ERROR as usize];
    looks
}

impl Link {
    fn pending_is_empty(&self) -> bool {
        // Inside an open batch the server may answer before the Sync, after a Flush.
        self.pending.is_empty() && self.batch == Batch::None
    }
}

/// Tells whether a message of this type answers something.
const fn tag_is_answer(tag: u8) -> bool {
    matches!(
        tag,
        tag::BIND_COMPLETE
            | tag::COMMAND_COMPLETE
            | tag::COPY_OUT
            | tag::COPY_DATA
            | tag::COPY_DONE
            | tag::DATA_ROW
            | tag::EMPTY_QUERY
            | tag::FUNCTION_CALL
            | tag::NO_DATA
            | tag::PARAMETER_DESCRIPTION
            | tag::PORTAL_SUSPENDED
            | tag::ROW_DESCRIPTION
    )
}
