//! What binds a session to its connection, as its server tells.
//!
//! A statement whose text says that it may leave something behind makes a question due. It is
//! asked outside of transactions, behind the client's answer, and while it is open the session
//! keeps its connection.

use super::desk::Desk;
use super::refusal::Refusal;
use super::state::{Audit, Effect};
use super::{Limbo, Session, Wait};
use bytes::Bytes;

use crate::backend::applied::{Applied, Setting, Wanted};
use crate::backend::audit::{self, Pin, Pins};
use crate::backend::link::{Link, Wear};
use crate::backend::pending::{Owner, Pending, Request};
use crate::id::ConnId;
use crate::route::class::{Hold, Kind, StateChange};
use crate::wire::backend::{Composer, TxStatus};

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
        if self.audit != Audit::Due || self.held.primary != Some(id) {
            return;
        }
        let splits = desk.config.routing.load_balance && desk.topology.nodes.len() > 1;
        // Where nothing new begins, it is waited for sessions that would lose something.
        let is_closing =
            desk.links.get(id).is_some_and(|l| desk.topology.closing() == Some(l.pool.backend));
        let matters = self.is_shared() || splits || is_closing;
        if !matters {
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
        Wanted { first, then: self.settings.kept(), without: &self.let_go }
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
    /// began with, what this session began with. The client is told of it, and its next statement
    /// waits for the server's word.
    pub(super) fn restore(&self, desk: &mut Desk, id: ConnId, change: &Change) {
        let is_meant = |name: &[u8]| match change {
            Change::Set(_) => false,
            Change::Reset(reset) => reset == name,
            Change::ResetAll => true,
        };
        let Some(link) = desk.links.get_mut(id) else { return };
        let first = self.wanted(link).first.iter().filter(|setting| is_meant(&setting.name));
        let steps: Vec<Setting> = first.cloned().collect();
        if link.tx == TxStatus::Idle {
            steps.iter().for_each(|step| link.applied.forget(&step.name));
        }
        take_steps(desk, id, steps, Request::Told);
    }

    /// Who hears what a server reports of a parameter that is otherwise the client's to hear.
    ///
    /// What was set at login is set anew behind a reset. The server may have nothing to report
    /// then, because that is the value which the reset gave back.
    pub(super) fn hears(&mut self, link: &Link, name: &[u8]) -> Owner {
        let is_hidden = self.is_restored(link, name);
        self.unheard.retain(|unheard| !unheard.eq_ignore_ascii_case(name));
        if is_hidden {
            self.unheard.push(Bytes::copy_from_slice(name));
            return Owner::Proxy;
        }
        Owner::Client
    }

    /// Tells the client of parameters of which it has not heard, once they are on a link what they
    /// are to be.
    pub(super) fn tell_unheard(&mut self, desk: &mut Desk, id: ConnId) {
        let Some(link) = desk.links.get(id) else { return };
        if self.effect.is_some() || self.speaking.is_some() || !link.steps.is_empty() {
            return;
        }
        let holds = match link.tx {
            TxStatus::Idle => link.applied.steps_to(self.wanted(link)).is_empty(),
            // It began with all of them, and what it has set since is set.
            TxStatus::Open => true,
            TxStatus::Failed => false,
        };
        if !holds || !self.is_serving() {
            return;
        }
        let mut composer = Composer::new();
        for name in std::mem::take(&mut self.unheard) {
            if let Some((_, value)) = link.parameters.iter().find(|(known, _)| *known == name) {
                composer.parameter_status(&name, value);
            }
        }
        self.say(desk, composer);
    }

    /// Whether the statement at hand gives a parameter back a value that is not the session's.
    fn is_restored(&self, link: &Link, name: &[u8]) -> bool {
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

    /// Whether what the session wants to be set on a link is set there. If not, it is being set,
    /// and the session waits for the server's word that it is: a statement that was on its way
    /// already would run with other settings if one of these failed.
    pub(super) fn is_up_to_date(&mut self, desk: &mut Desk, id: ConnId) -> bool {
        let Some(link) = desk.links.get(id).filter(|link| !link.is_engaged()) else { return true };
        if link.steps.is_empty() {
            let wanted = self.wanted(link);
            if link.applied.is(wanted) {
                return true;
            }
            let steps = link.applied.steps_to(wanted);
            if steps.is_empty() {
                self.note_applied(desk, id);
                return true;
            }
            take_steps(desk, id, steps, Request::Setting);
        }
        self.wait = Wait::Settings(id);
        false
    }

    /// The server has answered a setting.
    pub(super) fn on_set(desk: &mut Desk, id: ConnId) {
        let Some(link) = desk.links.get_mut(id) else { return };
        let step = link.steps.pop_front().filter(|step| !step.query.is_empty());
        // What holds in a transaction is noted at its end.
        if let Some(step) = step.filter(|_| link.tx == TxStatus::Idle) {
            link.applied.take_step(step);
        }
    }

    /// The server refuses a setting. A session that does not wait for it any more tries it again
    /// with the next statement that needs it.
    pub(super) fn on_unset(&mut self, desk: &mut Desk, id: ConnId, body: &[u8]) {
        let Some(link) = desk.links.get_mut(id) else { return };
        let Some(step) = link.steps.front_mut() else { return };
        // Its `ReadyForQuery` is to come, and tells nothing more.
        step.query = Bytes::new();
        let body = Bytes::copy_from_slice(body);
        let refusal = match self.is_serving() {
            true => Refusal::Unset { name: step.name.clone(), body },
            false => Refusal::Server { body },
        };
        match link.tx {
            TxStatus::Idle if matches!(self.wait, Wait::Settings(at) if at == id) => {
                self.verdict.get_or_insert_with(|| Box::new(refusal));
            }
            TxStatus::Idle | TxStatus::Failed => {}
            TxStatus::Open => {
                // The client's transaction has failed with it, of which the client hears next.
                link.tx = TxStatus::Failed;
                self.reject_transaction(desk);
                self.limbo = Limbo::Untold(Box::new(refusal));
            }
        }
    }

    /// Lets go of a parameter that could not be set, if the statement at hand sets or resets it
    /// itself: a client must be able to end the trouble. That is for this statement only, for it
    /// may fail.
    pub(super) fn lets_go(&mut self, refusal: &Refusal, effect: Option<&Effect>) -> bool {
        let Refusal::Unset { name, .. } = refusal else { return false };
        let mut known = self.who.first.iter().chain(self.settings.kept());
        let lets_go = known.any(|setting| setting.name == *name)
            && !self.let_go.contains(name)
            && effect.is_some_and(|effect| effect.replaces(name));
        if lets_go {
            self.let_go.push(name.clone());
        }
        lets_go
    }

    /// Goes on once everything that the session waits for is set, or could not be. In that case
    /// its statement is refused, and the link is given back unless the session is bound to it:
    /// what it refused has changed nothing there.
    pub(super) fn after_settings(&mut self, desk: &mut Desk, id: ConnId) {
        if desk.links.get(id).is_some_and(|link| !link.steps.is_empty()) {
            return;
        }
        let is_pinned = self.held.primary == Some(id) && self.is_pinned();
        if self.verdict.is_some() && !is_pinned {
            if self.unnamed.only_at() == Some(id) {
                self.unnamed.forget();
            }
            Self::sweep(desk, id);
            self.held.drop_link(id);
            desk.give_back(id);
        }
        self.wait = Wait::Nothing;
        self.look_again(desk);
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
            let is_set_up = matches!(self.wait, Wait::Settings(at) if at == id);
            if is_pinned || only_here || is_set_up || !link.is_idle() {
                continue;
            }
            Self::sweep(desk, id);
            self.held.drop_link(id);
            // All that it owed has been read, and what else its server says is read on.
            if self.wants_link_read(id) { desk.take_back(id) } else { desk.give_back(id) }
        }
    }

    /// Whether connections are given back between transactions.
    pub(super) fn is_shared(&self) -> bool {
        !matches!(self.who.mode, crate::config::PoolMode::Session)
    }
}

/// Has a link take steps, and expects its answers.
fn take_steps(desk: &mut Desk, id: ConnId, steps: Vec<Setting>, request: Request) {
    for step in &steps {
        if let Some(link) = desk.links.get_mut(id) {
            link.expect(Pending::Ready { owner: Owner::Proxy, request });
        }
        desk.send_link(id, step.query.clone());
    }
    if let Some(link) = desk.links.get_mut(id) {
        link.steps.extend(steps);
    }
}
