//! What binds a session to its connection, as its server tells.
//!
//! A statement whose text says that it may leave something behind makes a question due. It is
//! asked outside of transactions, behind the client's answer, and while it is open the session
//! keeps its connection.

use super::Session;
use super::desk::Desk;
use super::state::Audit;
use crate::backend::applied::{Applied, Wanted};
use crate::backend::audit::{self, Pin, Pins};
use crate::backend::link::{Owner, Pending, Request, Wear};
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
        if self.found.has(Pin::Unknown) && self.audit == Audit::Settled {
            self.audit = Audit::Due;
        }
        if self.audit != Audit::Due || !matters || self.held.primary != Some(id) {
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

    /// The server's answer.
    pub(super) fn on_findings(&mut self, row: &[u8]) {
        let is_tracked = |name: &[u8]| {
            self.settings.has(name) || self.who.first.iter().any(|setting| setting.name == name)
        };
        self.findings = Some(audit::findings(row, &self.who.user, is_tracked));
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
            && self.found.is_empty()
        {
            // Parameters of extensions that are not loaded are in no view of the server's.
            link.applied = Applied::Unknown;
            link.wear = Wear::Written;
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
    pub(super) fn wanted(&self, link: &crate::backend::link::Link) -> Wanted<'_> {
        let first = if link.is_bare() {
            &self.who.first[..]
        } else if link.startup.application_name() == self.who.startup.application_name() {
            &[]
        } else {
            self.who.first.get(..1).unwrap_or_default()
        };
        Wanted { first, then: self.settings.kept() }
    }

    /// Notes what is set on a link, now that the client has set something there.
    pub(super) fn note_applied(&self, desk: &mut Desk, id: ConnId, change: Option<&Change>) {
        let Some(link) = desk.links.get_mut(id) else { return };
        if matches!(link.applied, Applied::Unknown) && change != Some(&Change::ResetAll) {
            return;
        }
        let mut applied = std::mem::take(&mut link.applied);
        applied.become_these(self.wanted(link));
        match change {
            Some(Change::Reset(name)) => applied.forget(name),
            Some(Change::ResetAll) => applied = Applied::default(),
            Some(Change::Set(_)) | None => {}
        }
        link.applied = applied;
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
