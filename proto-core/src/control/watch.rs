//! The nodes under watch: the connections by which they are looked at, and what looks tell.

use bytes::Bytes;

use super::Control;
use super::hold::Hold;
use super::record::Record;
use super::view::Fact;
use crate::auth::answer::Answer;
use crate::auth::passwd::Stored;
use crate::backend::dialogue::{Dialogue, Event, Trouble};
use crate::health::probe::{self, Sighting};
use crate::health::rounds::{self, Policy, Rounds};
use crate::id::{BackendId, ConnId};
use crate::limits;
use crate::output::{Close, Output};
use crate::time::Instant;
use crate::topology::{Seen, Status};
use crate::wire::backend::tag;
use crate::wire::error::Violation;
use crate::wire::frontend;
use crate::wire::startup::Params;

/// A node under watch.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) id: BackendId,
    /// Its host and port.
    place: (String, u16),
    pub(super) rounds: Rounds,
    pub(super) look: Look,
    pub(super) fact: Fact,
    /// When it last answered.
    pub(super) looked_at: Option<Instant>,
    pub(super) record: Record,
    /// A shard has lost a connection to it and waits to hear whether it may go on.
    pub(super) doubt: Doubt,
    /// Whether it is kept out of service whatever looks tell.
    pub(super) hold: Hold,
}

/// The connection by which a node is looked at.
#[derive(Debug)]
pub(super) enum Look {
    None,
    Connecting(ConnId),
    Open { conn: ConnId, dialogue: Box<Dialogue>, use_: Use },
}

/// Whether a connection has carried an answer before: if it then fails, the server may still be
/// well, and a fresh connection tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Fresh,
    Kept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    None,
    Raised,
}

impl Control {
    /// Watches the nodes of the configuration, and no others.
    pub(super) fn watch(&mut self) {
        let policy = self.policy();
        let mut before = std::mem::take(&mut self.nodes);
        for backend in &self.config.backends {
            let place = (backend.hostname.clone(), backend.port);
            // A number that was given to another server is another node.
            let is_it = |node: &Watched| node.id == backend.id && node.place == place;
            let at = before.iter().position(is_it);
            self.nodes.push(match at {
                Some(at) => {
                    let mut node = before.remove(at);
                    node.rounds.set_policy(policy);
                    node
                }
                None => Watched {
                    id: backend.id,
                    place,
                    rounds: Rounds::new(policy, self.now),
                    look: Look::None,
                    fact: Fact::new(self.clock.at(self.now)),
                    record: Record::default(),
                    doubt: Doubt::None,
                    hold: Hold::None,
                    looked_at: None,
                },
            });
        }
        for node in before {
            if let Look::Connecting(conn) | Look::Open { conn, .. } = node.look {
                self.outputs.push(Output::Close { conn, when: Close::Now });
            }
        }
    }

    pub(super) fn policy(&self) -> Policy {
        let checks = &self.config.checks;
        Policy {
            period: checks.period,
            period_lost: checks.period.min(limits::LOST_LOOK_PERIOD),
            timeout: checks.timeout,
            retries_max: checks.max_retries,
            retry_delay: checks.retry_delay,
        }
    }

    /// Carries out what the rounds of a node ask for.
    pub(super) fn drive(&mut self, id: BackendId) {
        while let Some(at) = self.index_of(id)
            && let Some(node) = self.nodes.get_mut(at)
            && let Some(output) = node.rounds.poll_output()
        {
            match output {
                rounds::Output::Attempt => {
                    node.record.on_attempt(self.now);
                    self.attempt(at);
                }
                rounds::Output::Abandon => self.abandon(at),
                rounds::Output::Lost => self.on_lost(at),
            }
        }
    }

    pub(super) fn attempt(&mut self, at: usize) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        match &mut node.look {
            Look::Open { dialogue, .. } => dialogue.ask(frontend::compose_query(probe::QUERY)),
            Look::None | Look::Connecting(_) => {
                self.abandon(at);
                self.connect(at);
            }
        }
        self.carry_out(at);
    }

    pub(super) fn connect(&mut self, at: usize) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        let conn = self.names.insert(());
        self.looks.insert(conn, node.id);
        node.look = Look::Connecting(conn);
        self.outputs.push(Output::Connect { conn, to: node.id });
    }

    pub(super) fn abandon(&mut self, at: usize) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        if let Look::Connecting(conn) | Look::Open { conn, .. } =
            std::mem::replace(&mut node.look, Look::None)
        {
            self.looks.remove(conn);
            self.outputs.push(Output::Close { conn, when: Close::Now });
        }
    }

    /// Carries out what a node's probe asks for.
    pub(super) fn carry_out(&mut self, at: usize) {
        while let Some(node) = self.nodes.get_mut(at)
            && let Look::Open { conn, dialogue, use_ } = &mut node.look
            && let Some(event) = dialogue.poll_event()
        {
            match event {
                Event::Send(bytes) => self.outputs.push(Output::Send { to: *conn, bytes }),
                Event::Answered(rows) => {
                    let was = std::mem::replace(use_, Use::Kept);
                    match probe::sighting(&rows) {
                        Some(sighting) => self.on_seen(at, sighting),
                        None => {
                            let violation = Violation::Malformed { tag: tag::DATA_ROW };
                            self.on_failed(at, was, &Trouble::Violation(violation));
                        }
                    }
                }
                Event::Failed(trouble) => {
                    let was = *use_;
                    self.on_failed(at, was, &trouble);
                }
            }
        }
    }

    pub(super) fn on_seen(&mut self, at: usize, mut sighting: Sighting) {
        let is_raised = self.nodes.get(at).is_some_and(|node| self.is_raised(node.id));
        sighting.is_fenced |= is_raised;
        let Some(node) = self.nodes.get_mut(at) else { return };
        let now = self.now;
        node.rounds.handle_input(now, rounds::Input::Answered);
        node.record.on_success(now);
        if node.fact.status == Status::Down && node.hold == Hold::None {
            log::info!("node {} is up: it is a {}", node.id, sighting.role.word());
            node.fact.status = Status::Waiting;
            node.fact.changed = self.clock.at(now);
        } else if node.fact.sighting.as_ref().is_some_and(|old| old.role != sighting.role) {
            log::info!("node {} is a {} now", node.id, sighting.role.word());
        }
        node.fact.seen = Seen::Up;
        node.looked_at = Some(now);
        node.fact.sighting = Some(sighting.since(node.fact.sighting.as_ref()));
        let doubt = std::mem::replace(&mut node.doubt, Doubt::None);
        let id = node.id;
        self.publish(doubt);
        self.fence_rival(id);
        self.release_follower(id);
        self.pursue();
        self.gather_followers();
        self.drive(id);
    }

    pub(super) fn on_failed(&mut self, at: usize, use_: Use, trouble: &Trouble) {
        self.abandon(at);
        let Some(node) = self.nodes.get_mut(at) else { return };
        log::info!("node {} was looked at in vain: {trouble}", node.id);
        if let Trouble::Login(failure) = trouble
            && failure.code().starts_with(b"28")
        {
            log::error!(
                "node {}: sr_check_user \"{}\" cannot log in: {failure}; set sr_check_user and \
                 sr_check_password to a role that can",
                node.id,
                self.config.checks.user
            );
        }
        self.on_refused(at, use_);
    }

    /// An attempt has failed, or a kept connection has.
    pub(super) fn on_refused(&mut self, at: usize, use_: Use) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        let id = node.id;
        if use_ == Use::Kept {
            // Whatever ended it may have been meant for this connection alone. If an attempt is
            // on its way, it goes on over a fresh connection; else the next one uses that.
            node.rounds.hurry(self.now);
            self.connect(at);
            return;
        }
        node.rounds.handle_input(self.now, rounds::Input::Refused);
        self.drive(id);
    }

    pub(super) fn on_lost(&mut self, at: usize) {
        self.abandon(at);
        let loss = self.nodes.get(at).and_then(|node| self.loss_of(node.id));
        let Some(node) = self.nodes.get_mut(at) else { return };
        node.record.on_fail(self.now);
        node.fact.seen = Seen::Down;
        node.doubt = Doubt::None;
        if node.fact.status != Status::Down {
            log::error!("node {} is down: every look at it has failed", node.id);
            node.fact.status = Status::Down;
            node.fact.changed = self.clock.at(self.now);
        }
        node.fact.sighting = None;
        self.publish(Doubt::None);
        match loss {
            Some(loss) => self.begin_failover(loss),
            None => self.pursue(),
        }
        self.gather_followers();
    }

    pub(super) fn on_suspect(&mut self, backend: BackendId) {
        let Some(at) = self.index_of(backend) else { return };
        if let Some(node) = self.nodes.get_mut(at) {
            node.doubt = Doubt::Raised;
        }
        self.hurry(backend);
    }

    /// Looks at a node at once, unless a look is under way.
    pub(super) fn hurry(&mut self, id: BackendId) {
        let Some(at) = self.index_of(id) else { return };
        let now = self.now;
        if let Some(node) = self.nodes.get_mut(at) {
            node.rounds.hurry(now);
            node.rounds.handle_timeout(now);
        }
        self.drive(id);
    }

    /// Looks in short order at nodes of which a change is awaited, as long as there are any.
    pub(super) fn look_hastily(&mut self) {
        let awaited: Vec<BackendId> = self
            .expected()
            .into_iter()
            .chain(self.pointed())
            .chain(self.follower_to_be())
            .collect();
        match self.haste {
            _ if awaited.is_empty() => self.haste = None,
            Some(at) if at > self.now => {}
            Some(_) | None => {
                awaited.into_iter().for_each(|id| self.hurry(id));
                self.haste = Some(self.now + limits::HASTY_LOOK_PERIOD);
            }
        }
    }

    pub(super) fn on_in_use(&mut self, backend: BackendId) {
        let Some(at) = self.index_of(backend) else { return };
        let changed = self.clock.at(self.now);
        if let Some(node) = self.nodes.get_mut(at)
            && node.fact.status == Status::Waiting
        {
            node.fact.status = Status::Up;
            node.fact.changed = changed;
            self.publish(Doubt::None);
        }
    }

    /// Begins a conversation with a server, with this question.
    pub(super) fn dialogue(&mut self, first: Bytes) -> Dialogue {
        let params = introduce(&self.config.checks.user, &self.config.checks.database, "pgherd");
        let stored = self.config.checks.password.clone().map(Stored::Plain);
        let answer = Answer::new(&self.config.checks.user, stored.as_ref(), &mut self.entropy);
        Dialogue::new(&params, answer, first)
    }

    pub(super) fn on_conn_closed(&mut self, conn: ConnId) {
        self.names.remove(conn);
        self.admins.remove(conn);
        let Some(id) = self.looks.remove(conn) else { return };
        let Some(at) = self.index_of(id) else { return };
        let Some(node) = self.nodes.get_mut(at) else { return };
        let use_ = match &node.look {
            Look::Open { conn: open, use_, .. } if *open == conn => *use_,
            Look::Connecting(open) if *open == conn => Use::Fresh,
            Look::None | Look::Connecting(_) | Look::Open { .. } => return,
        };
        node.look = Look::None;
        self.on_refused(at, use_);
    }
}

/// What the control plane says at a server's door.
pub(super) fn introduce(user: &str, database: &str, name: &str) -> Params {
    let pair = |name: &'static str, value: &str| {
        (Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
    };
    Params(vec![pair("user", user), pair("database", database), pair("application_name", name)])
}
