//! The nodes under watch: the connections by which they are looked at, and what looks tell.

use bytes::Bytes;

use super::Control;
use super::record::Record;
use super::standing::{Fork, Hold, Presence};
use super::view::{Fact, Sight};
use crate::auth::answer::Answer;
use crate::auth::passwd::Stored;
use crate::backend::dialogue::{Dialogue, Event, Trouble};
use crate::config::{CheckPolicy, OnError, OnShutdown};
use crate::health::probe::{self, Sighting};
use crate::health::reply::Meaning;
use crate::health::rounds::{self, Policy, Rounds};
use crate::id::{BackendId, ConnId};
use crate::limits;
use crate::message::{Message, Sign, Whom};
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
    pub(super) place: (String, u16),
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
    /// What was known when it was first seen to take writes on a later timeline beside the primary.
    pub(super) fork: Option<Fork>,
    /// When it was last let in again by itself.
    pub(super) returned: Option<Instant>,
    /// What it said last of its being open.
    pub(super) openness: Openness,
}

/// What a server said last of its being open to anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Openness {
    /// Nothing, or that it is.
    #[default]
    Open,
    /// It has ended sessions, and may have stopped.
    SaidGoodbye,
    /// It starts, or stops: whatever it was, it is coming or going.
    NotOpen,
}

/// The connection by which a node is looked at.
#[derive(Debug)]
pub(super) enum Look {
    None,
    /// It counts as failed unless it stands by then.
    Connecting(ConnId, Instant),
    Open {
        conn: ConnId,
        dialogue: Box<Dialogue>,
        use_: Use,
    },
}

/// Whether a connection has carried an answer before: if it then fails, the server may still be
/// well, and a fresh connection tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Fresh,
    Kept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    None,
    Raised,
    /// And whom its server meant.
    Farewell,
}

impl Control {
    /// Watches the nodes of the configuration, and no others.
    pub(super) fn watch(&mut self) {
        let mut before = std::mem::take(&mut self.nodes);
        for backend in &self.config.backends {
            let place = (backend.hostname.clone(), backend.port);
            let policy = rounds_policy(self.config.checks_of(backend.id));
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
                    // What keeps a server out keeps it out by any number.
                    hold: before.iter().find(|n| n.place == place).map_or(Hold::None, |n| n.hold),
                    place,
                    rounds: Rounds::new(policy, self.now),
                    look: Look::None,
                    fact: Fact::new(self.clock.at(self.now)),
                    record: Record::default(),
                    doubt: Doubt::None,
                    looked_at: None,
                    fork: None,
                    returned: None,
                    openness: Openness::Open,
                },
            });
        }
        for node in before {
            if let Look::Connecting(conn, _) | Look::Open { conn, .. } = node.look {
                self.outputs.push(Output::Close { conn, when: Close::Now });
            }
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
                rounds::Output::Abandon => {
                    let is_in_vain = node.rounds.is_between_attempts();
                    self.abandon(at);
                    if is_in_vain {
                        self.blame_server(at);
                    }
                }
                rounds::Output::Lost => self.on_lost(at),
            }
        }
    }

    pub(super) fn attempt(&mut self, at: usize) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        match &mut node.look {
            Look::Open { dialogue, .. } => dialogue.ask(frontend::compose_query(probe::QUERY)),
            Look::None | Look::Connecting(..) => {
                self.abandon(at);
                self.connect(at);
            }
        }
        self.carry_out(at);
    }

    pub(super) fn connect(&mut self, at: usize) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        let limit = self.config.backend(node.id).map(|backend| backend.connect_timeout);
        let conn = self.names.insert(());
        self.looks.insert(conn, node.id);
        node.look = Look::Connecting(conn, self.now + limit.unwrap_or_default());
        self.outputs.push(Output::Connect { conn, to: node.id });
    }

    pub(super) fn abandon(&mut self, at: usize) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        if let Look::Connecting(conn, _) | Look::Open { conn, .. } =
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
        let (now, id, role) = (self.now, node.id, sighting.role);
        node.rounds.handle_input(now, rounds::Input::Answered);
        node.record.on_success(now);
        let before = node.fact.sighting.as_ref().map(|sighting| sighting.role);
        if before.is_some_and(|before| before != role) {
            log::info!("node {id} is a {} now", role.word());
        }
        node.fact.seen = Seen::Up;
        node.fact.sight = Sight::Clear;
        node.openness = Openness::Open;
        node.looked_at = Some(now);
        node.fact.sighting = Some(sighting.since(node.fact.sighting.as_ref()));
        let doubt = self.end_doubt(at, Whom::One);
        let presence = if before.is_some() { Presence::There } else { Presence::Back };
        let primary = self.topology.primary;
        self.note_demotion(id, role);
        self.judge(at, presence);
        self.settle(at);
        self.publish(doubt);
        if self.topology.primary != primary || primary == Some(id) {
            self.judge_others();
        }
        self.pursue();
        self.gather_followers();
        self.seek_unseen();
        self.drive(id);
    }

    pub(super) fn on_failed(&mut self, at: usize, use_: Use, trouble: &Trouble) {
        self.abandon(at);
        let Some(node) = self.nodes.get_mut(at) else { return };
        let id = node.id;
        match Meaning::of(trouble) {
            Meaning::Lives => return self.on_blind(at, trouble),
            Meaning::SaysGoodbye => node.openness = Openness::SaidGoodbye,
            Meaning::NotOpen if node.openness == Openness::Open => {
                node.openness = Openness::NotOpen;
            }
            Meaning::NotOpen | Meaning::Nothing => {}
        }
        log::info!("node {id} was looked at in vain: {trouble}");
        self.on_refused(at, use_);
    }

    /// A server lives and refuses to tell how it is. It stays what it was, for clients may well get
    /// from it what they ask for.
    fn on_blind(&mut self, at: usize, trouble: &Trouble) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        let id = node.id;
        node.rounds.handle_input(self.now, rounds::Input::Answered);
        node.record.on_success(self.now);
        node.fact.seen = Seen::Up;
        node.openness = Openness::Open;
        let was = std::mem::replace(&mut node.fact.sight, Sight::Blind);
        if was == Sight::Clear {
            let user = &self.config.checks_of(id).user;
            log::error!(
                "node {id} lives and does not tell how it is: {trouble}. It stays what it was. \
                 \"{user}\", who looks at it (sr_check_user, or its health_check_user), must be able \
                 to log in there and to ask"
            );
        }
        let doubt = self.end_doubt(at, Whom::One);
        self.settle(at);
        self.publish(doubt);
        self.pursue();
        self.drive(id);
    }

    /// A look has shown what shards wait to hear of a node. Returns what they doubted.
    fn end_doubt(&mut self, at: usize, whom: Whom) -> Doubt {
        let Some(node) = self.nodes.get_mut(at) else { return Doubt::None };
        let (backend, doubt) = (node.id, std::mem::replace(&mut node.doubt, Doubt::None));
        if doubt == Doubt::Farewell {
            self.post_all(&Message::Meant { backend, whom });
        }
        doubt
    }

    /// An attempt has failed: whatever the server has said meanwhile was meant for all. Shards wait on
    /// to hear whether it is lost.
    fn blame_server(&mut self, at: usize) {
        if self.end_doubt(at, Whom::All) != Doubt::None {
            self.raise_doubt(at, Doubt::Raised);
        }
    }

    /// An attempt has failed, or a kept connection has.
    pub(super) fn on_refused(&mut self, at: usize, use_: Use) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        let id = node.id;
        if use_ == Use::Kept {
            // Whatever ended it may have been meant for this connection alone. If an attempt is
            // on its way, it goes on over a fresh connection; else the next one uses that.
            node.rounds.hurry(self.now);
            self.go_on_afresh(at);
            return;
        }
        let is_gone = node.openness == Openness::SaidGoodbye
            && self.config.signs.shutdown == OnShutdown::Confirm;
        let input = if is_gone { rounds::Input::Gone } else { rounds::Input::Refused };
        node.rounds.handle_input(self.now, input);
        self.blame_server(at);
        self.drive(id);
    }

    pub(super) fn on_lost(&mut self, at: usize) {
        self.abandon(at);
        self.end_doubt(at, Whom::All);
        let loss = self.nodes.get(at).and_then(|node| self.loss_of(node.id));
        let Some(node) = self.nodes.get_mut(at) else { return };
        node.record.on_fail(self.now);
        node.fact.seen = Seen::Down;
        node.fact.sighting = None;
        node.fact.sight = Sight::Clear;
        self.keep_out_if_by_hand(at);
        self.settle(at);
        self.publish(Doubt::None);
        match loss {
            Some(loss) => self.begin_failover(loss),
            None => self.pursue(),
        }
        self.gather_followers();
        self.seek_unseen();
    }

    /// A shard has lost a connection to a node.
    pub(super) fn on_suspect(&mut self, backend: BackendId, sign: Sign) {
        let Some(at) = self.index_of(backend) else { return };
        let signs = self.config.signs;
        match sign {
            Sign::Silence => {
                self.raise_doubt(at, Doubt::Raised);
                if signs.error == OnError::Look {
                    self.hurry(backend);
                }
            }
            Sign::Goodbye => {
                self.raise_doubt(at, Doubt::Farewell);
                let Some(node) = self.nodes.get_mut(at) else { return };
                node.openness = Openness::SaidGoodbye;
                if node.rounds.is_between_attempts() {
                    // One has just failed, and the next one may not come before their patience ends.
                    self.blame_server(at);
                // A server that stops is lost to its sessions by an error, too.
                } else if signs.error == OnError::Look || signs.shutdown == OnShutdown::Confirm {
                    self.look_afresh(at);
                } else {
                    self.end_doubt(at, Whom::One);
                    self.raise_doubt(at, Doubt::Raised);
                }
            }
        }
    }

    fn raise_doubt(&mut self, at: usize, doubt: Doubt) {
        if let Some(node) = self.nodes.get_mut(at) {
            node.doubt = node.doubt.max(doubt);
        }
    }

    /// Looks at a node at once, over a fresh connection: what comes over one that was kept may have
    /// been said before the server began to stop.
    fn look_afresh(&mut self, at: usize) {
        let Some(node) = self.nodes.get(at) else { return };
        let id = node.id;
        let was_kept = matches!(node.look, Look::Open { use_: Use::Kept, .. });
        if was_kept {
            self.abandon(at);
        }
        self.hurry(id);
        let is_connected = |node: &Watched| !matches!(node.look, Look::None);
        if was_kept && !self.nodes.get(at).is_some_and(is_connected) {
            self.go_on_afresh(at);
        }
    }

    /// Connects anew where a connection has ended that was kept. If an attempt is under way, it goes
    /// on over this one, and has its time for it.
    fn go_on_afresh(&mut self, at: usize) {
        if let Some(node) = self.nodes.get_mut(at) {
            node.rounds.renew(self.now);
        }
        self.connect(at);
    }

    /// Sets a node's status by what is known of it, and notes when that has changed it.
    pub(super) fn settle(&mut self, at: usize) {
        let changed = self.clock.at(self.now);
        let Some(node) = self.nodes.get_mut(at) else { return };
        let answers = node.fact.seen == Seen::Up && node.fact.sighting.is_some();
        let status = match (node.hold, answers) {
            (Hold::Detached | Hold::Lost, _) | (_, false) => Status::Down,
            (hold, true) if hold.is_quarantine() => Status::Quarantine,
            (_, true) if node.fact.status.is_usable() => node.fact.status,
            (_, true) => Status::Waiting,
        };
        let before = std::mem::replace(&mut node.fact.status, status);
        if before == status {
            return;
        }
        node.fact.changed = changed;
        let role = node.fact.sighting.as_ref().map_or("unknown", |s| s.role.word());
        match (status, node.fact.seen) {
            (Status::Down, Seen::Down) => {
                log::error!("node {} is down: every look at it has failed", node.id);
            }
            // Only a number that is not configured is unused.
            (Status::Down | Status::Unused, _) => log::info!("node {} is down", node.id),
            (Status::Quarantine, _) => {
                log::warn!("node {} answers, and is kept out of service: it is a {role}", node.id);
            }
            (Status::Waiting | Status::Up, _) => {
                log::info!("node {} is up: it is a {role}", node.id)
            }
        }
    }

    /// Gives up connections to servers that do not come about in time.
    pub(super) fn expire_connects(&mut self) {
        let mut late = Vec::new();
        for node in &mut self.nodes {
            let Look::Connecting(_, until) = &mut node.look else { continue };
            if *until + limits::LATENESS_MAX < self.now {
                // Nobody has listened meanwhile.
                *until = self.now + limits::LATENESS_MAX;
            } else if *until <= self.now {
                late.push(node.id);
            }
        }
        for id in late {
            let Some(at) = self.index_of(id) else { continue };
            self.abandon(at);
            self.note_silence(at);
            log::info!("node {id} was looked at in vain: no connection within connect_timeout");
            self.on_refused(at, Use::Fresh);
        }
    }

    /// When a connection that is being made has taken too long.
    pub(super) fn connect_deadline(&self) -> Option<Instant> {
        let deadline = |node: &Watched| match node.look {
            Look::Connecting(_, until) => Some(until),
            Look::None | Look::Open { .. } => None,
        };
        self.nodes.iter().filter_map(deadline).min()
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
    pub(super) fn dialogue(&mut self, node: BackendId, first: Bytes) -> Dialogue {
        let checks = self.config.checks_of(node);
        let params = introduce(&checks.user, &checks.database, "pgherd");
        let stored = checks.password.clone().map(Stored::Plain);
        let answer = Answer::new(&checks.user, stored.as_ref(), &mut self.entropy);
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
            Look::Connecting(open, _) if *open == conn => Use::Fresh,
            Look::None | Look::Connecting(..) | Look::Open { .. } => return,
        };
        node.look = Look::None;
        self.note_silence(at);
        self.on_refused(at, use_);
    }

    /// There is nobody any more who could say that it is not open.
    fn note_silence(&mut self, at: usize) {
        if let Some(node) = self.nodes.get_mut(at).filter(|n| n.openness == Openness::NotOpen) {
            node.openness = Openness::Open;
        }
    }
}

/// When a node is looked at.
fn rounds_policy(checks: &CheckPolicy) -> Policy {
    Policy {
        period: checks.period,
        period_lost: checks.period.min(limits::LOST_LOOK_PERIOD),
        timeout: checks.timeout,
        retries_max: checks.max_retries,
        retry_delay: checks.retry_delay,
    }
}

/// What the control plane says at a server's door.
pub(super) fn introduce(user: &str, database: &str, name: &str) -> Params {
    let pair = |name: &'static str, value: &str| {
        (Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
    };
    Params(vec![pair("user", user), pair("database", database), pair("application_name", name)])
}

#[cfg(test)]
mod tests;
