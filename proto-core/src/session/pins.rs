//! What binds a session to its connection, as its server tells.
//!
//! A statement whose text says that it may leave something behind makes a question due. It is
//! asked outside of transactions, behind the client's answer, and while it is open the session
//! keeps its connection.

use super::Session;
use super::desk::Desk;
use super::state::{Audit, Effect};
use bytes::Bytes;

use crate::backend::applied::{Applied, Wanted};
use crate::backend::audit::{self, Pin, Pins};
use crate::backend::link::{Link, Owner, Pending, Request, Wear};
use crate::id::ConnId;
use crate::route::class::{Hold, Kind, StateChange};

use super::nature::{Command, Nature};
use super::settings::Change;

impl Session {
    /// Notes what a statement may leave behind on a link.
    pub(super) fn note_wear(&mut self, desk: &mut Desk, id: ConnId, nature: Nature) {
        let at_primary = self.held.primary == Some(id);
        let Some(link) = desk.links.get_mut(id) else { return };
        if nature.state == StateChange::Holds(Hold::Setting) {
            // The server may not be able to tell of it.
            self.settings.lose_track();
        }
        if nature.kind == Kind::Write && nature.command != Command::LastValue {
            link.writer = Some(self.id);
        }
        let undoes = matches!(nature.state, StateChange::Unknown | StateChange::Undoes);
        if undoes && self.is_shared() {
            // They may be among what it undoes, and to prepare them anew does no harm.
            link.prepared.clear();
        }
        match (nature.state, nature.kind) {
            (StateChange::None, Kind::Write) => link.wear = link.wear.max(Wear::Written),
            (StateChange::None, _) => {}
            (StateChange::Unknown | StateChange::Undoes | StateChange::Holds(_), _) => {
                link.wear = Wear::Dirty;
                if at_primary {
                    self.audit = Audit::Due;
                }
            }
        }
    }

    /// Asks the server what its session holds, if that is in doubt and anybody wants to know.
    pub(super) fn ask_what_is_held(&mut self, desk: &mut Desk, id: ConnId) {
        self.note_pins(desk);
        let splits = desk.config.routing.load_balance && desk.topology.nodes.len() > 1;
        let matters = self.is_shared() || splits;
        if self.audit != Audit::Due || !matters || self.held.primary != Some(id) {
            return;
        }
        // A question ends the unnamed statement. While only this server has it, or nobody else
        // knows which one it is, the question waits for the next one.
        if self.unnamed.only_at() == Some(id) {
            return;
        }
        let Some(link) = desk.links.get_mut(id).filter(|link| link.is_idle()) else { return };
        self.audit = Audit::Asked;
        self.findings = None;
        link.unnamed = 0;
        link.expect(Pending::Ready { owner: Owner::Proxy, request: Request::Audit });
        let query = desk.audit_query.clone();
        desk.send_link(id, query);
    }

    /// Asks once more where the server did not tell. Only the client's next statement gives cause
    /// for that: a server that cannot tell would be asked for ever.
    pub(super) fn ask_again_what_is_held(&mut self, desk: &mut Desk, id: ConnId) {
        if self.found.has(Pin::Unknown) && self.audit == Audit::Settled {
            self.audit = Audit::Due;
        }
        self.ask_what_is_held(desk, id);
    }

    /// The server's answer.
    pub(super) fn on_findings(&mut self, row: &[u8]) {
        let is_tracked = |name: &[u8]| self.is_followed(name);
        self.findings = Some(audit::findings(row, &self.who.user, is_tracked));
    }

    /// Whether a parameter is known to have been set.
    pub(super) fn is_followed(&self, name: &[u8]) -> bool {
        self.settings.has(name) || self.who.first.iter().any(|setting| setting.name == name)
    }

    /// The server has answered.
    pub(super) fn on_audited(&mut self, desk: &mut Desk, id: ConnId) {
        let unknown = || Pins::from_iter([Pin::Unknown]);
        self.found = self.findings.take().unwrap_or_else(unknown);
        if self.audit == Audit::Asked {
            self.audit = Audit::Settled;
        }
        log::trace!("{}: its connection holds {:?}", self.id, self.found);
        if let Some(link) = desk.links.get_mut(id)
            && self.is_shared()
            && self.audit == Audit::Settled
            && self.pins().is_empty()
        {
            // Parameters of extensions that are not loaded are in no view of the server's.
            link.applied = Applied::Unknown;
            link.wear = Wear::Written;
        }
        if let Some(link) = desk.links.get_mut(id)
            && self.is_shared()
        {
            // What was on its way behind the statement may have been undone by it.
            link.prepared.clear();
        }
        self.ask_what_is_held(desk, id);
    }

    /// What pins the session to its primary connection.
    pub(super) fn pins(&self) -> Pins {
        let mut pins = self.found;
        if !self.settings.is_on_track() {
            pins.insert(Pin::Setting);
        }
        if self.unnamed.only_at().is_some() || self.statements.has_unkept() {
            pins.insert(Pin::Statement);
        }
        pins
    }

    /// Whether the session must keep its primary connection, for all that is known.
    pub(super) fn is_pinned(&self) -> bool {
        self.audit != Audit::Settled || !self.pins().is_empty()
    }

    /// Whether reads must see what the session holds.
    pub(super) fn binds_reads(&self) -> bool {
        self.audit != Audit::Settled || self.pins().bind_reads()
    }

    /// Nothing binds the session any more.
    pub(super) fn unpin(&mut self) {
        self.found = Pins::default();
        if self.audit == Audit::Due {
            self.audit = Audit::Settled;
        }
    }

    /// What the session wants to be set on a link.
    pub(super) fn wanted(&self, link: &Link) -> Wanted<'_> {
        // The name of the application is in front.
        let is_named = link.startup.application_name() == self.who.startup.application_name();
        let end = if link.is_bare() { self.who.first.len() } else { 1 };
        let first = self.who.first.get(usize::from(is_named)..end).unwrap_or_default();
        Wanted { first, then: self.settings.kept() }
    }

    /// Notes that what the session wants to be set on a link is set there.
    pub(super) fn note_applied(&self, desk: &mut Desk, id: ConnId) {
        let Some(link) = desk.links.get_mut(id) else { return };
        if !matches!(link.applied, Applied::Unknown) {
            let mut applied = std::mem::take(&mut link.applied);
            applied.become_these(self.wanted(link));
            link.applied = applied;
        }
    }

    /// Sets anew, behind a statement that gives parameters back the values that the connection
    /// began with, what this session began with. The client is told of it.
    pub(super) fn restore(&self, desk: &mut Desk, id: ConnId, change: &Change) {
        let is_meant = |name: &[u8]| match change {
            Change::Set(_) => false,
            Change::Reset(reset) => reset == name,
            Change::ResetAll => true,
        };
        let Some(link) = desk.links.get_mut(id) else { return };
        if *change == Change::ResetAll {
            link.applied = Applied::default();
        }
        let first = self.wanted(link).first.iter().filter(|s| is_meant(&s.name));
        let queries: Vec<Bytes> = first.map(|setting| setting.query.clone()).collect();
        for query in queries {
            if let Some(link) = desk.links.get_mut(id) {
                link.unnamed = crate::backend::link::IN_DOUBT;
                link.expect(Pending::Ready { owner: Owner::Proxy, request: Request::Told });
            }
            desk.send_link(id, query);
        }
    }

    /// Whether the statement at hand gives a parameter back a value that is not the session's.
    pub(super) fn is_restored(&self, link: &Link, name: &[u8]) -> bool {
        let resets = match &self.effect {
            Some(Effect::Discard | Effect::Change(Change::ResetAll)) => true,
            Some(Effect::Change(Change::Reset(reset))) => reset.eq_ignore_ascii_case(name),
            Some(
                Effect::Change(Change::Set(_))
                | Effect::Deallocate(_)
                | Effect::Ended(_)
                | Effect::RolledBackTo,
            )
            | None => false,
        };
        resets
            && self.wanted(link).first.iter().any(|setting| setting.name.eq_ignore_ascii_case(name))
    }

    /// Sets on a link what the session wants to be set.
    pub(super) fn bring_up_to_date(&self, desk: &mut Desk, id: ConnId) {
        let steps = match desk.links.get(id) {
            Some(link) if !link.is_engaged() => {
                let wanted = self.wanted(link);
                if link.applied.is(wanted) {
                    return;
                }
                link.applied.steps_to(wanted)
            }
            Some(_) | None => return,
        };
        if let Some(link) = desk.links.get_mut(id) {
            let mut applied = std::mem::take(&mut link.applied);
            applied.become_these(self.wanted(link));
            link.applied = applied;
            link.unnamed = 0;
            for _ in &steps {
                link.expect(Pending::Ready { owner: Owner::Proxy, request: Request::Query });
            }
        }
        for step in steps {
            desk.send_link(id, step);
        }
    }

    /// Gives back every link that the session does not need between two transactions.
    pub(super) fn release(&mut self, desk: &mut Desk) {
        if !self.is_shared() || !self.is_serving() {
            return;
        }
        for id in self.held.iter() {
            let is_pinned = self.held.primary == Some(id) && self.is_pinned();
            let only_here = self.unnamed.only_at() == Some(id);
            let Some(link) = desk.links.get(id) else { continue };
            if is_pinned || only_here || !link.is_idle() {
                continue;
            }
            Self::sweep(desk, id);
            self.held.drop_link(id);
            desk.give_back(id);
        }
    }

    /// Whether connections are given back between transactions.
    pub(super) const fn is_shared(&self) -> bool {
        !matches!(self.who.mode, crate::config::PoolMode::Session)
    }
}
