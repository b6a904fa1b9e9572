//! Prepared statements: which link has them, under which name, and how they get there.
//!
//! Where a session's connection is its own, servers know a statement by the client's name for it.
//! Where connections are shared, they know it by a name that all clients share who prepare the same
//! text, and messages that name it are sent with that name instead.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::Session;
use super::desk::Desk;
use super::nature::{Command, Nature, last_name};
use super::serve::Incoming;
use super::{Taken, Turn};
use crate::backend::link::{Batch, Becomes, IN_DOUBT, Link, Wear};
use crate::backend::missed::Missed;
use crate::backend::pending::{Owner, Pending, Request};
use crate::backend::statement::{SHARED_PREFIX, Statement};
use crate::id::ConnId;
use crate::limits;
use crate::wire::backend::{Composer, TxStatus};
use crate::wire::frame::HEADER_LEN;
use crate::wire::frontend::{self, tag};

/// The unnamed prepared statement of a session.
///
/// What the client has asked for takes the place of what there is when the server has parsed it.
#[derive(Debug, Default)]
pub(super) struct Unnamed {
    is: Kept,
    /// Oldest first.
    becomes: VecDeque<Kept>,
    /// Kept for its room.
    spare: Option<Kept>,
}

/// One unnamed statement, or none.
#[derive(Debug, Default)]
struct Kept {
    /// Tells it from every other one of the shard; 0 for none.
    stamp: u64,
    /// Its `Parse` message; empty if it is too long to be kept.
    parse: Vec<u8>,
    /// The link that has it, if it could not be kept.
    only_at: Option<ConnId>,
    /// The link that was given it last.
    at: Option<ConnId>,
    before: Before,
}

/// What stands before a `Parse` in its batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing that could fail.
    #[default]
    Nothing,
    /// Something that is carried out.
    Work,
}

impl Kept {
    fn text(&self) -> Option<&[u8]> {
        let (_, text) = frontend::parse(self.parse.get(HEADER_LEN..)?)?;
        (self.stamp != 0).then_some(text)
    }

    fn forget(&mut self) {
        self.stamp = 0;
        self.parse.clear();
        self.only_at = None;
        self.at = None;
    }
}

impl Unnamed {
    /// The one that the next message would use.
    fn last(&self) -> &Kept {
        self.becomes.back().unwrap_or(&self.is)
    }

    fn last_mut(&mut self) -> &mut Kept {
        self.becomes.back_mut().unwrap_or(&mut self.is)
    }

    /// The link that alone has it.
    pub(super) fn only_at(&self) -> Option<ConnId> {
        self.last().only_at
    }

    /// Tells whether the server has still to say which one exists.
    pub(super) fn is_changing(&self) -> bool {
        !self.becomes.is_empty()
    }

    /// Its text, if there is one and it was kept.
    pub(super) fn text(&self) -> Option<&[u8]> {
        self.last().text()
    }

    /// It exists no longer.
    pub(super) fn forget(&mut self) {
        self.is.forget();
        self.becomes.clear();
    }

    /// The server has parsed the one of this stamp.
    pub(super) fn exists(&mut self, stamp: u64) {
        while let Some(next) = self.becomes.pop_front() {
            let is_it = next.stamp == stamp;
            let mut old = std::mem::replace(&mut self.is, next);
            old.forget();
            self.spare = Some(old);
            if is_it {
                return;
            }
        }
    }

    /// These do not come about at a link; returns the stamp of the one that is there.
    ///
    /// A `Parse` that fails drops the one before it, and one that is skipped does not. Which it was
    /// only the server knows: what is there, if anything, is still this one.
    fn give_up(&mut self, missed: Missed, at: ConnId) -> u64 {
        if missed.brought != 0 && self.is.stamp == missed.brought && self.is.at == Some(at) {
            self.is.at = None;
        }
        let failed = self.becomes.iter().find(|next| next.stamp == missed.first);
        if failed.is_some_and(|next| next.before == Before::Nothing) {
            // Nothing else can have failed.
            self.is.forget();
        }
        self.becomes.retain(|next| next.stamp > missed.last);
        if self.is.stamp == 0 || self.is.at != Some(at) {
            return IN_DOUBT;
        }
        self.is.only_at = Some(at);
        self.is.stamp
    }

    /// Notes which one a link has by now: a question of pgherd's own may have ended the last one.
    fn see(&mut self, at: ConnId, stamp: u64) {
        let last = self.last_mut();
        if last.at == Some(at) && last.stamp != stamp {
            last.at = None;
        }
    }

    fn ask_for(&mut self, stamp: u64, parse: Option<&[u8]>, at: ConnId, before: Before) {
        let mut next = self.spare.take().unwrap_or_default();
        next.stamp = stamp;
        next.before = before;
        next.at = Some(at);
        match parse.filter(|parse| parse.len() <= limits::UNNAMED_LEN_MAX) {
            Some(parse) => next.parse.extend_from_slice(parse),
            None => next.only_at = Some(at),
        }
        self.becomes.push_back(next);
    }
}

impl Session {
    /// Notes a `Parse` that goes to a link; returns what is to be sent in its place, if the server
    /// knows the statement by another name.
    pub(super) fn on_parse(
        &mut self,
        desk: &mut Desk,
        id: ConnId,
        message: Incoming<'_>,
        parsed: Option<(&[u8], &[u8])>,
    ) -> Option<Bytes> {
        // Of a long one only the beginning is in view, with the name.
        let parsed =
            parsed.or_else(|| frontend::execute(message.body).map(|name| (name, &b""[..])));
        let (name, text) = parsed.unwrap_or_default();
        if parsed.is_some() && self.held.primary == Some(id) {
            self.note_writes(desk, text);
        }
        if parsed.is_some() {
            self.forget_local(name);
        }
        let mut stamp = 0;
        let is_failed = desk.links.get(id).is_none_or(|link| link.batch == Batch::Failed);
        if parsed.is_some() && name.is_empty() && !is_failed {
            desk.stamps += 1;
            stamp = desk.stamps;
            if let Some(link) = desk.links.get_mut(id) {
                self.unnamed.see(id, link.unnamed);
                link.unnamed = stamp;
            }
            self.unnamed.ask_for(stamp, message.rest.get(..message.len), id, self.before);
        }
        let mut statement = None;
        let mut instead = None;
        if !name.is_empty() {
            let exists = match desk.links.get(id).and_then(|link| link.becomes_here(name)) {
                Some(Becomes::Prepared(_)) => true,
                Some(Becomes::Closed) => false,
                None => self.statements.get(name).is_some(),
            };
            if exists {
                // The server says that it exists already.
                self.take_name(desk, id, name);
            } else if self.can_keep(message, name) {
                let kept = self.keep_statement(desk, name, text, message);
                if self.is_shared() {
                    self.close_on(desk, id, &kept.name);
                    instead = Some(kept.parse.clone());
                }
                statement = Some((Bytes::copy_from_slice(name), kept));
            } else {
                self.statements.note_unkept();
                // The server knows it by the client's name, which nobody else is to find there.
                if let Some(link) = desk.links.get_mut(id) {
                    link.wear = Wear::Dirty;
                }
            }
        }
        if let Some(link) = desk.links.get_mut(id)
            && link.batch != Batch::Failed
        {
            link.expect(Pending::Parse { owner: Owner::Client, stamp, statement });
        }
        instead
    }

    /// The session's statement of a name, as it will be when everything under way at a link has
    /// been carried out.
    fn known(&self, desk: &Desk, id: ConnId, name: &[u8]) -> Option<Arc<Statement>> {
        match desk.links.get(id).and_then(|link| link.becomes(name)) {
            Some(Becomes::Prepared(statement)) => Some(statement),
            Some(Becomes::Closed) => None,
            None => self.statements.get(name).cloned(),
        }
    }

    /// Tells whether what a name means is about to change.
    pub(super) fn is_changing(&self, desk: &Desk, name: &[u8]) -> bool {
        let changes = |id| desk.links.get(id).is_some_and(|link| link.becomes(name).is_some());
        self.held.iter().any(changes)
    }

    /// What is not whole in view cannot be repeated, and there is room for so many only.
    fn can_keep(&self, message: Incoming<'_>, name: &[u8]) -> bool {
        message.is_whole() && self.statements.has_room(name.len(), message.len, 0)
    }

    /// What makes equal texts mean different things: the parameters under which they are read. A
    /// server reads literals of times, for one, when it prepares the statement.
    fn manner(&self) -> Vec<u8> {
        let first = self.who.first.iter().filter(|s| s.name != b"application_name"[..]);
        let queries = first.chain(self.settings.kept()).map(|setting| &setting.query[..]);
        let mut manner: Vec<u8> = queries.flatten().copied().collect();
        manner.extend_from_slice(&self.settings.tentative());
        manner
    }

    fn keep_statement(
        &self,
        desk: &mut Desk,
        name: &[u8],
        text: &[u8],
        message: Incoming<'_>,
    ) -> Arc<Statement> {
        let class = self.class_of(desk, text).clone();
        if self.is_shared() {
            let tail = message.body.get(name.len() + 1..).unwrap_or_default();
            return desk.shelf.share(&self.manner(), tail, &class);
        }
        let parse = message.rest.get(..message.len).unwrap_or_default();
        let (name, parse) = (Bytes::copy_from_slice(name), Bytes::copy_from_slice(parse));
        Arc::new(Statement::new(name, parse, class))
    }

    /// Makes a server know something by the client's name, which exists for the client: what it
    /// then says of that name is what it would say on a connection of the client's own.
    fn take_name(&mut self, desk: &mut Desk, id: ConnId, name: &[u8]) {
        if !self.is_shared() {
            return self.prepare_on(desk, id, name).map_or((), |_| ());
        }
        self.close_on(desk, id, name);
        // A text that a server takes in a failed transaction too; it is never carried out.
        let body = [name, b"\0ROLLBACK\0\0\0"].concat();
        if let Some(link) = desk.links.get_mut(id).filter(|link| link.batch != Batch::Failed) {
            if !link.litter.iter().any(|other| other == name) {
                link.litter.push(Bytes::copy_from_slice(name));
            }
            link.expect(Pending::Parse { owner: Owner::Proxy, stamp: 0, statement: None });
            desk.send_link(id, frontend::compose(tag::PARSE, &body));
        }
    }

    /// Has a link's server forget a statement that it may have.
    fn close_on(&self, desk: &mut Desk, id: ConnId, name: &[u8]) {
        let Some(link) = desk.links.get_mut(id) else { return };
        if link.batch == Batch::Failed {
            return;
        }
        link.prepared.remove(name);
        let name_closed = Some(Bytes::copy_from_slice(name));
        link.expect(Pending::Close { owner: Owner::Proxy, name: name_closed });
        let body = [b"S", name, b"\0"].concat();
        desk.send_link(id, frontend::compose(tag::CLOSE, &body));
    }

    /// Prepares a statement of the session on a link, if it is not there yet; returns the name by
    /// which the server knows it, or nothing if it is no statement that is kept.
    pub(super) fn prepare_on(&mut self, desk: &mut Desk, id: ConnId, name: &[u8]) -> Option<Bytes> {
        if name.is_empty() {
            self.bring_unnamed(desk, id);
            return None;
        }
        if let Some(Becomes::Prepared(statement)) =
            desk.links.get(id).and_then(|link| link.becomes(name))
        {
            // It is there when this is read, or its failure is what the client must hear of.
            return Some(statement.name.clone());
        }
        let Some(statement) = self.known(desk, id, name) else {
            // Nobody finds another's statement by the name that servers know it by.
            let is_own = self.is_shared() && name.starts_with(SHARED_PREFIX.as_bytes());
            return is_own.then(|| Bytes::from([b"no_", name].concat()));
        };
        let link = desk.links.get_mut(id)?;
        let server_name = statement.name.clone();
        if link.batch == Batch::Failed
            || link.prepared.uses(&server_name)
            || is_under_way(link, &server_name)
        {
            return Some(server_name);
        }
        if self.is_shared() {
            while let Some(oldest) = desk
                .links
                .get_mut(id)
                .and_then(|link| link.prepared.make_room(limits::PREPARED_PER_LINK_MAX))
            {
                self.close_on(desk, id, &oldest);
            }
        }
        // Whether it is there may be in doubt: after a batch that failed, and while an earlier one
        // that prepares it is under way.
        self.close_on(desk, id, &server_name);
        let parse = statement.parse.clone();
        let pending = (Bytes::copy_from_slice(name), statement);
        if let Some(link) = desk.links.get_mut(id) {
            link.expect(Pending::Parse { owner: Owner::Proxy, stamp: 0, statement: Some(pending) });
        }
        desk.send_link(id, parse);
        Some(server_name)
    }

    /// Makes the unnamed statement of a link the session's own, or none if it has none.
    fn bring_unnamed(&mut self, desk: &mut Desk, id: ConnId) {
        let Some(link) = desk.links.get_mut(id) else { return };
        let unnamed = self.unnamed.last();
        if link.unnamed == unnamed.stamp || link.batch == Batch::Failed {
            return;
        }
        if unnamed.parse.is_empty() {
            // Another session's must not be taken for it.
            link.unnamed = 0;
            link.expect(Pending::Close { owner: Owner::Proxy, name: None });
            return desk.send_link(id, frontend::compose(tag::CLOSE, b"S\0"));
        }
        let stamp = unnamed.stamp;
        link.unnamed = stamp;
        link.expect(Pending::Parse { owner: Owner::Proxy, stamp, statement: None });
        desk.send_link(id, Bytes::copy_from_slice(&unnamed.parse));
        self.unnamed.last_mut().at = Some(id);
    }

    /// A batch has failed at a link, and with it these unnamed statements.
    pub(super) fn give_up_unnamed(&mut self, desk: &mut Desk, id: ConnId, missed: Missed) {
        if missed.last == 0 && missed.brought == 0 {
            return;
        }
        let is_there = self.unnamed.give_up(missed, id);
        if let Some(link) = desk.links.get_mut(id).filter(|link| link.unnamed == IN_DOUBT) {
            link.unnamed = is_there;
        }
    }

    /// Answers a `DEALLOCATE` of a statement that servers know by another name; none if it is not
    /// one.
    pub(super) fn deallocate(
        &mut self,
        desk: &mut Desk,
        message: Incoming<'_>,
        nature: Nature,
        text: Option<&[u8]>,
    ) -> Option<Taken> {
        let is_apart = matches!(self.turn, Turn::None);
        if nature.command != Command::Deallocate || !self.is_shared() || !is_apart {
            return None;
        }
        if self.must_settle(desk) {
            return Some(Taken::Nothing);
        }
        let name = text.and_then(last_name).filter(|name| self.statements.get(name).is_some())?;
        let status = self.status(desk);
        if status == TxStatus::Failed {
            // The server says so.
            return None;
        }
        self.statements.remove(&name);
        self.unnamed.forget();
        self.turn = Turn::None;
        let mut composer = Composer::new();
        composer.command_complete("DEALLOCATE").ready(status);
        self.say(desk, composer);
        Some(self.take_nowhere(desk, message))
    }

    /// A statement that the client has closed at a link exists no longer.
    pub(super) fn forget_statement(&mut self, desk: &mut Desk, id: ConnId, name: &[u8]) {
        self.forget_local(name);
        if name.is_empty() {
            self.unnamed.forget();
            if let Some(link) = desk.links.get_mut(id) {
                link.unnamed = 0;
            }
            return;
        }
        let is_known = self.statements.remove(name);
        if self.is_shared() && is_known {
            // Others may use it.
            return;
        }
        if let Some(link) = desk.links.get_mut(id) {
            link.prepared.remove(name);
        }
        // It may exist on the other link too, which is idle now.
        let others: Vec<ConnId> = self.held.iter().filter(|other| *other != id).collect();
        for other in others {
            let Some(link) = desk.links.get_mut(other) else { continue };
            if link.prepared.remove(name) {
                close_apart(desk, other, name);
            }
        }
    }

    /// Closes what a server was made to know by a client's name, once nothing is under way.
    pub(super) fn sweep(desk: &mut Desk, id: ConnId) {
        let Some(link) = desk.links.get_mut(id).filter(|link| link.is_quiet()) else { return };
        for name in std::mem::take(&mut link.litter) {
            close_apart(desk, id, &name);
        }
    }
}

/// Closes a statement outside of any batch.
fn close_apart(desk: &mut Desk, id: ConnId, name: &[u8]) {
    let Some(link) = desk.links.get_mut(id) else { return };
    link.expect(Pending::Ready { owner: Owner::Proxy, request: Request::Sync });
    let body = [b"S", name, b"\0"].concat();
    desk.send_link(id, frontend::compose(tag::CLOSE, &body));
    desk.send_link(id, frontend::compose(tag::SYNC, b""));
}

/// Tells whether a statement is being prepared on a link in the batch at hand, by the server's name
/// for it.
fn is_under_way(link: &Link, server_name: &[u8]) -> bool {
    // An error may still keep an earlier batch from doing so.
    let is_same = |pending: &&Pending| !matches!(pending, Pending::Ready { .. });
    link.pending.iter().rev().take_while(is_same).any(|pending| match pending {
        Pending::Parse { statement: Some((_, statement)), .. } => statement.name == server_name,
        Pending::Parse { statement: None, .. } | Pending::Close { .. } | Pending::Ready { .. } => {
            false
        }
    })
}
