//! The data plane: one of several machines that own client sessions and server connections.
//!
//! A shard routes inputs to sessions and links and delivers what the desk tells sessions. It
//! knows of other shards only that they exist, as the address of a message.

use std::sync::Arc;

use crate::backend::link::{Link, State as LinkState};
use crate::clients::{self, Porter, Room, Verdict};
use crate::config::Config;
use crate::entropy::Entropy;
use crate::id::{BackendId, ConnId, Epoch, ShardId, Table};
use crate::limits;
use crate::machine::Machine;
use crate::message::{Arrival, CancelKey, Closed, Hop, Message, Peer, Shutdown, Whom};
use crate::output::{Close, Output};
use crate::session::desk::{Desk, Notice, TimerKey};
use crate::session::{self, Session};
use crate::time::{Instant, WallClock};
use crate::topology::{Intake, Seen, Topology};

/// One machine of the data plane.
#[derive(Debug)]
pub struct Shard {
    porter: Porter,
    /// Who waits to be let in.
    lobby: Table<Arrival>,
    desk: Desk,
    sessions: Table<Box<Session>>,
    /// In which view of the cluster the control plane was told that a node is quiet.
    quiet: Option<Epoch>,
}

impl Shard {
    /// Makes a shard without clients.
    #[must_use]
    pub fn new(
        id: ShardId,
        config: Arc<Config>,
        entropy: Entropy,
        clock: WallClock,
        now: Instant,
    ) -> Self {
        Self {
            porter: Porter::new(config.client_max, config.worker_threads, id),
            lobby: Table::new(),
            desk: Desk::new(id, config, entropy, clock, now),
            sessions: Table::new(),
            quiet: None,
        }
    }

    /// Begins to handle an input.
    fn begin(&mut self, now: Instant) {
        debug_assert!(self.desk.outputs.is_empty(), "the driver must drain the outputs");
        self.desk.now = now;
    }

    /// Has a session do something, and then everything that follows from it.
    fn with_session(&mut self, id: ConnId, act: impl FnOnce(&mut Session, &mut Desk)) {
        if let Some(session) = self.sessions.get_mut(id) {
            act(session, &mut self.desk);
        }
        self.deliver();
    }

    /// Tells sessions what the desk has for them.
    fn deliver(&mut self) {
        loop {
            while let Some((id, notice)) = self.desk.notices.pop_front() {
                match (self.sessions.get_mut(id), notice) {
                    (Some(session), notice) => session.handle_notice(&mut self.desk, notice),
                    // The session that the link was opened for has left.
                    (None, Notice::Lent(link)) => self.desk.give_back(link),
                    (None, _) => {}
                }
            }
            // Somebody has left a line, perhaps.
            let Some(backend) = self.desk.pools.roused() else { break };
            self.desk.serve(backend);
        }
        self.desk.run_errands();
        if self.desk.topology.intake != Intake::Open {
            self.report_quiet();
        }
    }

    /// Tells once that what ran on a node where nothing new begins is over.
    fn report_quiet(&mut self) {
        let epoch = self.desk.topology.epoch;
        let closing = self.desk.topology.closing().filter(|_| self.quiet != Some(epoch));
        let Some(closing) = closing else { return };
        let clings = |id: ConnId, link: &Link| match link.state {
            LinkState::Lent { by } => {
                self.sessions.get(by).is_some_and(|session| session.clings(id, link))
            }
            LinkState::Connecting { .. }
            | LinkState::LoggingIn { .. }
            | LinkState::Idle
            | LinkState::Resetting
            | LinkState::Closing => false,
        };
        let mut links = self.desk.links.iter();
        if !links.any(|(id, link)| link.pool.backend == closing && clings(id, link)) {
            self.quiet = Some(epoch);
            self.desk.outputs.post(Peer::Control, Message::Quiet { epoch });
        }
    }

    fn all_sessions(&mut self, act: impl Fn(&mut Session, &mut Desk)) {
        for id in self.sessions.names() {
            self.with_session(id, &act);
        }
    }

    fn on_topology(&mut self, topology: Arc<Topology>) {
        let before = std::mem::replace(&mut self.desk.topology, topology);
        let after = self.desk.topology.clone();
        // A node that answers is suspected no longer, but for the first moment: somebody has just
        // failed to connect to it all the same.
        let now = self.desk.now;
        for lag in after.nodes.iter().filter_map(|node| node.lag_time) {
            self.desk.recent.measure(lag);
        }
        self.desk.suspects.retain(|id, until| {
            let age = limits::SUSPICION_TIME.saturating_sub(*until - now);
            let is_young = *until > now && age < limits::PRIMARY_RETRY_DELAY;
            is_young || after.node(*id).is_none_or(|node| node.seen != Seen::Up)
        });
        let unfit = |backend: BackendId| {
            let was_primary = before.primary == Some(backend);
            (was_primary && after.primary != Some(backend)) || !after.serves_reads(backend)
        };
        // Connections to a primary that is one no longer are closed, whatever they are doing.
        let links: Vec<(ConnId, BackendId)> = self
            .desk
            .links
            .iter()
            .filter(|(_, link)| !matches!(link.state, LinkState::Closing))
            .map(|(id, link)| (id, link.pool.backend))
            .filter(|(_, backend)| unfit(*backend))
            .collect();
        for (id, _) in links {
            self.lose_link(id);
        }
        // Nobody waits to hear whom a server meant that is not fit any more.
        let doubting: Vec<(ConnId, BackendId)> = self
            .sessions
            .iter()
            .filter_map(|(id, session)| Some((id, session.doubts()?)))
            .filter(|(_, backend)| unfit(*backend))
            .collect();
        for (id, backend) in doubting {
            self.with_session(id, |session, desk| session.handle_meant(desk, backend, Whom::All));
        }
        let nodes: Vec<BackendId> = after.nodes.iter().map(|node| node.id).collect();
        for node in nodes {
            self.desk.expel(node);
        }
        self.desk.look_at_pools(self.desk.now);
        self.deliver();
        if before.intake == Intake::Held && after.intake != Intake::Held {
            self.report_stall();
        }
        self.rouse_waiting();
        self.ask_what_is_held();
    }

    /// Where nothing new begins, asks what sessions hold of which that is in doubt.
    fn ask_what_is_held(&mut self) {
        let Some(closing) = self.desk.topology.closing() else { return };
        let lent = self.desk.links.iter().filter(|(_, link)| link.pool.backend == closing);
        let lent = lent.filter_map(|(id, link)| match link.state {
            LinkState::Lent { by } => Some((by, id)),
            LinkState::Connecting { .. }
            | LinkState::LoggingIn { .. }
            | LinkState::Idle
            | LinkState::Resetting
            | LinkState::Closing => None,
        });
        for (by, id) in lent.collect::<Vec<_>>() {
            self.with_session(by, |session, desk| session.tell_what_is_held(desk, id));
        }
    }

    /// Tells how long the one has waited who has waited longest for the end of a hold.
    fn report_stall(&mut self) {
        let first = self.sessions.iter().filter_map(|(_, session)| session.waits_since()).min();
        let longest = first.map(|since| self.desk.now - since).unwrap_or_default();
        let epoch = self.desk.topology.epoch;
        self.desk.outputs.post(Peer::Control, Message::Waited { epoch, longest });
    }

    /// Has those look again who wait for what a view of the cluster may bring, first who came first.
    fn rouse_waiting(&mut self) {
        let sessions = self.sessions.iter();
        let waiting = sessions.filter_map(|(id, session)| Some((session.waits_since()?, id)));
        let mut waiting: Vec<(Instant, ConnId)> = waiting.collect();
        waiting.sort_unstable();
        for (_, id) in waiting {
            self.with_session(id, Session::handle_topology);
        }
    }

    /// Closes a link and tells its session at once.
    fn lose_link(&mut self, id: ConnId) {
        let Some(link) = self.desk.links.get(id) else { return };
        let (by, backend) = match link.state {
            LinkState::Lent { by } => (Some(by), link.pool.backend),
            LinkState::Connecting { by } | LinkState::LoggingIn { by, .. } => {
                let until = self.desk.now + limits::SUSPICION_TIME;
                self.desk.suspects.insert(link.pool.backend, until);
                if let Some(by) = by {
                    let notice = Notice::Unconnected(link.pool.backend, Closed::ByUs);
                    self.desk.notices.push_back((by, notice));
                }
                (None, link.pool.backend)
            }
            LinkState::Idle | LinkState::Resetting | LinkState::Closing => {
                (None, link.pool.backend)
            }
        };
        log::debug!("shard {}: link {id} to node {backend} is closed", self.desk.shard);
        if let Some(by) = by {
            self.with_session(by, |session, desk| session.handle_unfit(desk, id));
        }
        self.desk.close_link(id, Close::Now);
        self.deliver();
    }

    fn on_cancel(&mut self, from: Peer, key: &CancelKey, asker: ConnId) {
        let (_, place) = crate::session::addressee(key.process);
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let named = self.sessions.iter().map(|(id, _)| id).find(|id| id.index() == place);
        let session = named.and_then(|id| self.sessions.get_mut(id));
        let link = session.and_then(|session| session.cancellable(&mut self.desk, key));
        match link {
            Some(link) => self.desk.cancel(link, (from, asker)),
            None => self.desk.cancel_nothing((from, asker)),
        }
        self.deliver();
    }

    /// It is known whom a server meant that has ended sessions.
    fn on_meant(&mut self, backend: BackendId, whom: Whom) {
        if whom == Whom::All {
            self.desk.suspects.insert(backend, self.desk.now + limits::SUSPICION_TIME);
        }
        self.all_sessions(|session, desk| session.handle_meant(desk, backend, whom));
    }

    fn on_shutdown(&mut self, how: Shutdown) {
        if self.desk.shutdown >= Some(how) {
            return;
        }
        self.desk.shutdown = Some(how);
        if how == Shutdown::Smart {
            let patience = self.desk.config.shutdown_timeout;
            self.desk.arm(patience, TimerKey::Shutdown);
        }
        for link in self.desk.pools.idle(|_| true) {
            self.desk.retire(link);
        }
        self.desk.abandon_errands();
        for waiting in self.porter.dismiss() {
            self.admit(waiting, Room::Free);
        }
        self.all_sessions(|session, desk| session.handle_shutdown(desk, how));
        self.report_drained();
    }

    /// Begins a session.
    fn seat(&mut self, id: ConnId, arrival: Arrival, room: Room) {
        let session = Session::new(id, &mut self.desk, arrival, room);
        self.sessions.insert(id, Box::new(session));
    }

    /// Begins the session of somebody who has waited for that.
    fn admit(&mut self, id: ConnId, room: Room) {
        if let Some(arrival) = self.lobby.remove(id) {
            self.seat(id, arrival, room);
            self.desk.outputs.push(Output::Reread { conn: id });
        }
    }

    /// Does what the porter wants done.
    fn heed_porter(&mut self) {
        while let Some(output) = self.porter.poll_output() {
            match output {
                clients::Output::Admit(id) => self.admit(id, Room::Free),
                clients::Output::Refuse(id) => self.admit(id, Room::Full),
                clients::Output::Tell(headcount) => {
                    self.desk.outputs.post(Peer::Control, Message::Headcount(headcount));
                }
                clients::Output::Say(places) => {
                    self.desk.outputs.post(Peer::Control, Message::Places(places));
                }
            }
        }
    }

    fn report_drained(&mut self) {
        let is_drained = self.sessions.is_empty() && self.desk.links.is_empty();
        if self.desk.shutdown.is_some() && is_drained {
            self.desk.outputs.post(Peer::Control, Message::Drained);
        }
    }
}

impl Machine for Shard {
    fn handle_accept(&mut self, now: Instant, arrival: Arrival) -> ConnId {
        self.begin(now);
        let id = self.desk.names.insert(());
        let verdict = match (self.desk.shutdown, arrival.hop) {
            // Whoever comes now is told to go, and needs no place for that.
            (Some(_), _) => Verdict::Admit,
            (None, Hop::None) => self.porter.receive(now, id),
            (None, Hop::Taken) => self.porter.take_over(now, id),
        };
        match verdict {
            Verdict::Admit => self.seat(id, arrival, Room::Free),
            Verdict::Refuse => self.seat(id, arrival, Room::Full),
            Verdict::Send(to) => {
                let arrival = Arrival { hop: Hop::Taken, ..arrival };
                self.desk.outputs.push(Output::Move { conn: id, to, arrival });
                self.desk.names.remove(id);
            }
            Verdict::Wait => self.lobby.insert(id, arrival),
        }
        if let Some(how) = self.desk.shutdown {
            self.with_session(id, |session, desk| session.handle_shutdown(desk, how));
        }
        self.heed_porter();
        id
    }

    fn handle_connect(&mut self, now: Instant, conn: ConnId, result: Result<(), Closed>) {
        self.begin(now);
        match result {
            Ok(()) => {
                self.desk.on_connected(conn);
                self.desk.on_cancel_connected(conn);
            }
            Err(why) => {
                self.desk.on_link_closed(conn, why);
                self.desk.on_cancel_closed(conn);
            }
        }
        self.deliver();
        self.report_drained();
    }

    fn handle_read(&mut self, now: Instant, conn: ConnId, unread: &[u8]) {
        self.begin(now);
        if self.sessions.get(conn).is_some() {
            return self.with_session(conn, |session, desk| session.handle_read(desk, unread));
        }
        let Some(link) = self.desk.links.get(conn) else {
            // Nothing is expected from a server on a cancel request's connection.
            if self.desk.cancels.get(conn).is_some() {
                self.desk.outputs.skip(conn, unread.len());
            }
            return;
        };
        if let LinkState::Lent { by } = link.state {
            return self.with_session(by, |session, desk| {
                session.handle_link_read(desk, conn, unread);
            });
        }
        let backend = link.pool.backend;
        if let Err(violation) = self.desk.read_link(conn, unread) {
            log::error!("shard {}: node {backend}: {violation}", self.desk.shard);
            self.lose_link(conn);
        }
        self.deliver();
    }

    fn handle_sent(&mut self, now: Instant, conn: ConnId, len: usize) {
        self.begin(now);
        if let Some(session) = self.sessions.get_mut(conn) {
            session.handle_sent(&mut self.desk, len);
        } else if let Some(link) = self.desk.links.get_mut(conn)
            && link.flow.sent(len)
            && let LinkState::Lent { by } = link.state
        {
            self.desk.outputs.push(Output::Reread { conn: by });
        }
    }

    fn handle_close(&mut self, now: Instant, conn: ConnId, why: Closed) {
        self.begin(now);
        if let Some(mut session) = self.sessions.remove(conn) {
            session.handle_close(&mut self.desk, why);
            self.desk.names.remove(conn);
            if session.room() == Room::Free && self.desk.shutdown.is_none() {
                self.porter.leave(now);
            }
            self.heed_porter();
            self.report_drained();
        } else if self.lobby.remove(conn).is_some() {
            self.desk.names.remove(conn);
            self.porter.abandon(now, conn);
            self.heed_porter();
        } else {
            self.desk.on_link_closed(conn, why);
            self.desk.on_cancel_closed(conn);
            self.report_drained();
        }
        self.deliver();
    }

    fn handle_message(&mut self, now: Instant, from: Peer, message: Message) {
        self.begin(now);
        match message {
            Message::Topology(topology) => self.on_topology(topology),
            Message::Meant { backend, whom } => self.on_meant(backend, whom),
            Message::Reload(config) => {
                self.desk.reload(config);
                self.deliver();
                self.all_sessions(Session::handle_reload);
            }
            Message::Shutdown(how) => self.on_shutdown(how),
            Message::Lease { limit, lease } => {
                self.desk.on_lease(&limit, lease);
                self.deliver();
            }
            Message::Cancel { key, asker } => self.on_cancel(from, &key, asker),
            Message::Cancelled { asker } => {
                self.desk.notices.push_back((asker, Notice::Look));
                self.deliver();
            }
            Message::Collect { number, view } => {
                let sheet = session::collect(view, &self.desk, &self.sessions);
                self.desk.outputs.post(Peer::Control, Message::Collected { number, sheet });
            }
            Message::Answer { asker, sheet } => {
                self.with_session(asker.session, |session, desk| {
                    session.handle_answer(desk, asker.number, sheet);
                })
            }
            Message::Vacate { database } => {
                self.desk.on_vacate(&database);
            }
            Message::Catalog { database, catalog } => self.desk.catalogs.heard(&database, catalog),
            Message::CatalogStale { database } => {
                let now = self.desk.now;
                self.desk.catalogs.stale(&database, now);
            }
            Message::Roll(roll) => {
                self.porter.hear(now, &roll);
                self.heed_porter();
            }
            Message::Places(places) => {
                self.porter.handle(now, places);
                self.heed_porter();
            }
            Message::Suspect { .. }
            | Message::InUse { .. }
            | Message::Quiet { .. }
            | Message::Waited { .. }
            | Message::Headcount(_)
            | Message::Ask { .. }
            | Message::Collected { .. }
            | Message::Wish(_)
            | Message::Drained
            | Message::Ended { .. } => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.begin(now);
        self.porter.handle_timeout(now);
        self.heed_porter();
        while let Some(key) = self.desk.timers.pop(now) {
            match key {
                TimerKey::Session(id) => self.with_session(id, Session::handle_timeout),
                TimerKey::Link(id) => self.desk.on_link_timeout(id),
                TimerKey::Cancel(id) => self.desk.on_cancel_timeout(id),
                // Whatever is due runs once everybody has been served.
                TimerKey::Errand => {}
                TimerKey::Line => self.desk.on_line_timeout(),
                TimerKey::Shutdown => {
                    self.all_sessions(|s, desk| s.handle_shutdown(desk, Shutdown::Fast));
                }
            }
            self.deliver();
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.desk.outputs.pop()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.desk.timers.next().into_iter().chain(self.porter.poll_timeout()).min()
    }

    fn wants_read(&self, conn: ConnId) -> bool {
        if let Some(session) = self.sessions.get(conn) {
            return session.wants_read(&self.desk);
        }
        match self.desk.links.get(conn) {
            Some(link) => match link.state {
                LinkState::Lent { by } => {
                    self.sessions.get(by).is_none_or(|session| session.wants_link_read(conn))
                }
                LinkState::Connecting { .. }
                | LinkState::LoggingIn { .. }
                | LinkState::Idle
                | LinkState::Resetting
                | LinkState::Closing => true,
            },
            None => self.lobby.get(conn).is_none(),
        }
    }

    fn read_hint(&self, conn: ConnId) -> usize {
        match (self.sessions.get(conn), self.desk.links.get(conn)) {
            (Some(session), _) => session.read_hint(),
            (None, Some(link)) => link.hint,
            (None, None) => 0,
        }
    }

    fn is_accepting(&self) -> bool {
        self.desk.shutdown.is_none()
    }

    fn is_finished(&self) -> bool {
        self.desk.shutdown.is_some() && self.desk.names.is_empty()
    }
}

#[cfg(test)]
mod tests;
