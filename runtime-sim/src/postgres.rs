//! A PostgreSQL server, as far as its clients can tell: the real protocol over a small engine.
//!
//! One [`Server`] is a postmaster with its sessions and its data. It is honest where proxies go
//! wrong: answers are held back until `Sync`, `Flush` or a full buffer; a busy session does not
//! notice that its client has left; errors skip to `Sync`; cancel requests take effect only while
//! something runs; results of any size are produced as they are taken. What it does not have is
//! a planner, most of SQL, and transaction isolation beyond read committed.

mod context;
mod engine;
mod eval;
mod execute;
mod fate;
mod login;
mod outbox;
mod own;
mod parse;
mod row_set;
mod rows;
mod scripts;
mod select;
mod session;
mod settings;
mod syntax;
mod token;
mod value;

use std::collections::BTreeMap;

use pgherd_core::time::Instant;

pub use self::engine::Obedience;
pub(crate) use self::engine::{Copy, Manners};
use self::engine::{Deed, Engine, Follower, Receiver, Released, Replay, Role};
pub(crate) use self::fate::Room;
use self::fate::{Hearing, Voice};
use self::rows::rows;
pub(crate) use self::scripts::Errand;
pub use self::scripts::Scripts;
use self::session::{Accounts, Cancelled, Door, Rest, Session};
use crate::agenda::Event;
use crate::check::ledger::Place;
use crate::end::{Address, Answer, End};
use crate::net::{Read, Write};
use crate::plan::Plan;
use crate::stage::{Owner, Stage};

/// Bytes that a session reads at once, as PostgreSQL's receive buffer.
const READ_LEN: usize = 8192;

/// Turns of one session before others have theirs.
const TURNS_MAX: usize = 10_000;

/// Whether a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    Down,
    Starting,
    Up,
}

/// Whether a server that runs gets the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breath {
    Free,
    Frozen,
}

/// A session and its connection.
#[derive(Debug)]
struct Seat {
    session: Session,
    end: End,
    /// Whether the session is on the agenda.
    scheduled: Scheduled,
    waits: Waits,
}

/// Whether a session waits for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    No,
    Yes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheduled {
    No,
    Yes,
}

/// A server.
#[derive(Debug)]
pub(crate) struct Server {
    node: usize,
    engine: Engine,
    seats: BTreeMap<u32, Seat>,
    power: Power,
    breath: Breath,
    accounts: Accounts,
    sessions_max: usize,
    room: Room,
    voice: Voice,
    hearing: Hearing,
    starts: u32,
    process_next: u32,
    /// The next session that says anything dies after so many bytes.
    cut: Option<usize>,
    /// The last commit that a client could have been told of.
    /// `acknowledged <= engine.lsn_received()` for ever
    acknowledged: u64,
    /// Whether something has changed that decides who follows whom.
    herd: Herd,
    /// Whether a client that is still there has had something written.
    pen: Pen,
}

/// Whether something has changed that decides who follows whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Herd {
    #[default]
    Same,
    Changed,
}

/// Whether a client that is still there has had something written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pen {
    #[default]
    Dry,
    Wet,
}

impl Server {
    /// Makes a server that runs.
    pub(crate) fn new(node: usize, plan: &Plan, stage: &mut Stage) -> Self {
        let role = if node == 0 { Role::Primary } else { Role::Standby(Replay::Running) };
        stage.listen(Address::Node(node), Answer::Accepted);
        let mut engine = Engine::new(role, plan);
        if node > 0 {
            engine.conninfo = format!("host=node0 port=5432 application_name=node{node}");
            engine.conninfo_next.clone_from(&engine.conninfo);
        }
        Self {
            node,
            engine,
            seats: BTreeMap::new(),
            power: Power::Up,
            breath: Breath::Free,
            accounts: Accounts { auth: plan.auth },
            sessions_max: plan.server_connections_max,
            room: Room::Some,
            voice: Voice::Heard,
            hearing: Hearing::Good,
            starts: 0,
            process_next: 1000 * (u32::try_from(node).unwrap_or(0) + 1),
            cut: None,
            acknowledged: 0,
            herd: Herd::Same,
            pen: Pen::Dry,
        }
    }

    /// Tells whether it runs and gets the processor.
    pub(crate) fn is_well(&self) -> bool {
        self.power == Power::Up && self.breath == Breath::Free
    }

    pub(crate) fn is_primary(&self) -> bool {
        !self.engine.is_standby()
    }

    /// Somebody has connected.
    pub(crate) fn arrive(&mut self, stage: &mut Stage, end: End) {
        self.process_next += 1;
        let process = self.process_next;
        let door = match self.power {
            Power::Up if self.room == Room::None => Door::Full,
            Power::Up if self.room == Room::NoDisk => Door::NoDisk,
            Power::Up if self.seats.len() >= self.sessions_max => Door::Full,
            Power::Up => Door::Open,
            Power::Starting | Power::Down => Door::StartingUp,
        };
        let secret = stage.chance.bytes();
        let session = Session::new(process, self.node, secret, self.accounts.clone(), door);
        stage.owners.insert(end, Owner::Session { node: self.node, process });
        self.seats
            .insert(process, Seat { session, end, scheduled: Scheduled::No, waits: Waits::No });
    }

    /// Lets a session have the processor soon.
    pub(crate) fn wake(&mut self, stage: &mut Stage, process: u32) {
        let Some(seat) = self.seats.get_mut(&process) else { return };
        if seat.scheduled == Scheduled::No {
            seat.scheduled = Scheduled::Yes;
            stage.soon(3, 60, Event::Serve { node: self.node, process });
        }
    }

    fn wake_all(&mut self, stage: &mut Stage) {
        let all: Vec<u32> = self.seats.keys().copied().collect();
        for process in all {
            self.wake(stage, process);
        }
    }

    /// Gives a session the processor.
    pub(crate) fn serve(&mut self, stage: &mut Stage, process: u32) {
        let Some(seat) = self.seats.get_mut(&process) else { return };
        seat.scheduled = Scheduled::No;
        if self.breath == Breath::Frozen {
            return;
        }
        for _ in 0..TURNS_MAX {
            let Some(seat) = self.seats.get_mut(&process) else { return };
            let log_end = self.engine.lsn_received();
            let rest = seat.pump(&mut self.engine, stage);
            if let Some(place) = seat.session.promise.take() {
                let promised =
                    stage.checks.ledger.promise(self.node, place, |p| self.engine.has(p));
                stage.checks.judge(promised);
            }
            if self.engine.lsn_received() > log_end && stage.owners.contains_key(&seat.end.other())
            {
                self.pen = Pen::Wet;
            }
            seat.waits = if rest == Rest::Blocked { Waits::Yes } else { Waits::No };
            let cut = self.cut.filter(|_| seat.session.is_ready());
            if let Some(len) = cut.filter(|len| *len <= seat.session.out.leaving().len()) {
                // What it said before still arrives, as far as the network takes it.
                self.cut = None;
                seat.break_off(stage, len);
                self.dismiss(stage, process);
                break;
            }
            let before = seat.session.out.leaving().len();
            let stays = self.voice == Voice::Muted || seat.write(stage);
            seat.note_holds(&self.engine, stage);
            let said = before - seat.session.out.leaving().len();
            self.cut = self.cut.map(|len| if cut.is_some() { len - said } else { len });
            if let Some(what) = seat.session.breach.take() {
                stage.checks.report(format!("node {}: {what}", self.node));
            }
            match rest {
                _ if !stays => {
                    self.dismiss(stage, process);
                    break;
                }
                Rest::Listening if self.hearing == Hearing::Deaf => break,
                Rest::Listening => match seat.read(stage) {
                    Read::Bytes(_) => {}
                    Read::Nothing => break,
                    Read::End | Read::Broken => {
                        self.dismiss(stage, process);
                        break;
                    }
                },
                Rest::Full if seat.session.out.is_full() => break,
                Rest::Full => {}
                Rest::Until(until) => {
                    stage.agenda.at(until, Event::Serve { node: self.node, process });
                    break;
                }
                Rest::Blocked => break,
                Rest::Ended if !seat.session.out.leaving().is_empty() => break,
                Rest::Ended => {
                    self.dismiss(stage, process);
                    break;
                }
                Rest::Cancel { process: other, secret } => {
                    self.cancel(stage, other, &secret);
                    self.dismiss(stage, process);
                    break;
                }
            }
        }
        self.acknowledged = self.acknowledged.max(self.engine.lsn_received());
        self.follow_up(stage);
    }

    /// Tells whether a session sleeps or waits for others, or the server gets no processor.
    pub(crate) fn is_at_work(&self, process: u32) -> bool {
        let seat = self.seats.get(&process);
        seat.is_some_and(|seat| seat.waits == Waits::Yes || seat.session.is_asleep())
    }

    /// Ends a session and its connection.
    fn dismiss(&mut self, stage: &mut Stage, process: u32) {
        let Some(mut seat) = self.seats.remove(&process) else { return };
        seat.session.end(&mut self.engine);
        self.engine.activity.remove(&process);
        stage.close(seat.end);
    }

    /// What a session's turn means for the others.
    fn follow_up(&mut self, stage: &mut Stage) {
        for deed in std::mem::take(&mut self.engine.deeds) {
            match deed {
                Deed::Terminate(process) => {
                    let why = "terminating connection due to administrator command";
                    if let Some(seat) = self.seats.get_mut(&process) {
                        seat.session.terminate(&mut self.engine, why);
                    }
                    self.wake(stage, process);
                }
                Deed::Cancel(process) => {
                    if let Some(seat) = self.seats.get_mut(&process) {
                        seat.session.cancelled = Cancelled::Yes;
                    }
                    self.wake(stage, process);
                }
                Deed::Replay(replay) => self.set_replay(replay),
                Deed::Promote => {
                    let (node, start) = (self.node, self.starts);
                    stage.soon(2_000, 300_000, Event::Promoted { node, start });
                }
                Deed::Reload => {
                    self.engine.reload();
                    self.herd = Herd::Changed;
                }
            }
        }
        let notifications = std::mem::take(&mut self.engine.notifications);
        for notification in &notifications {
            // The sender has heard itself already.
            for (_, seat) in self.seats.iter_mut().filter(|(p, _)| **p != notification.process) {
                seat.session.context.hear(notification);
            }
        }
        let released = std::mem::take(&mut self.engine.released) == Released::Yes;
        let woken = self
            .seats
            .iter()
            .filter(|(_, seat)| (released && seat.waits == Waits::Yes) || seat.session.has_heard());
        for process in woken.map(|(process, _)| *process).collect::<Vec<_>>() {
            self.wake(stage, process);
        }
    }

    fn cancel(&mut self, stage: &mut Stage, process: u32, secret: &[u8]) {
        stage.note(format_args!("node {}: cancel request for {process}", self.node));
        if let Some(seat) = self.seats.get_mut(&process)
            && seat.session.secret == secret
        {
            seat.session.cancelled = Cancelled::Yes;
            self.wake(stage, process);
        }
    }

    fn set_replay(&mut self, replay: Replay) {
        if self.engine.is_standby() {
            self.engine.role = Role::Standby(replay);
        }
    }

    /// Receives and replays what the server has that it follows, as far as it may; returns when
    /// there will be more to replay.
    pub(crate) fn replicate(&mut self, now: Instant, upstream: Option<&Self>) -> Option<Instant> {
        if !self.is_well() || !self.engine.is_standby() {
            return None;
        }
        self.attend(upstream);
        if let Some(upstream) = upstream.filter(|_| self.is_streaming()) {
            self.engine.receive(&upstream.engine);
        }
        if self.engine.role == Role::Standby(Replay::Running) {
            return self.engine.replay_until(now);
        }
        None
    }

    /// Begins or ends to receive what another server has.
    pub(crate) fn attend(&mut self, upstream: Option<&Self>) {
        let follows = upstream.is_some_and(|upstream| {
            self.is_well()
                && self.engine.is_standby()
                && upstream.is_well()
                && self.engine.may_follow(&upstream.engine)
        });
        self.engine.receiver = if follows { Receiver::Streaming } else { Receiver::None };
    }

    /// How far its log goes, and on which timeline.
    pub(crate) fn extent(&self) -> (u32, u64) {
        (self.engine.timeline, self.engine.lsn_received())
    }

    pub(crate) fn is_streaming(&self) -> bool {
        self.engine.receiver == Receiver::Streaming
    }

    /// The server that it follows, or would as a standby.
    pub(crate) fn upstream(&self) -> Option<usize> {
        let host = |word: &str| word.strip_prefix("host=node")?.parse().ok();
        self.engine.conninfo.split(' ').find_map(host)
    }

    /// A copy of the data.
    pub(crate) fn copy(&self) -> Copy {
        self.engine.copy()
    }

    pub(crate) fn timeline(&self) -> u32 {
        self.engine.timeline
    }

    /// Takes what scripts have to do to other servers.
    pub(crate) fn take_errands(&mut self) -> Vec<Errand> {
        std::mem::take(&mut self.engine.folder.errands)
    }

    /// Tells, once, whether something has changed that decides who follows whom.
    pub(crate) fn has_changed_herd(&mut self) -> bool {
        std::mem::take(&mut self.herd) == Herd::Changed
    }

    /// Tells, once, whether a client that is still there has had something written.
    pub(crate) fn has_written(&mut self) -> bool {
        std::mem::take(&mut self.pen) == Pen::Wet
    }

    /// Where the server's log ends.
    pub(crate) fn lsn(&self) -> u64 {
        self.engine.lsn_received()
    }

    /// What its primary is told of a standby: how far it has received the log, and replayed it.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.engine.lsn_received(), self.engine.lsn())
    }

    /// Notes which standbys follow, and how far.
    pub(crate) fn followed_by(&mut self, stage: &mut Stage, nodes: &[(usize, (u64, u64))]) {
        let follower = |(node, (received, replayed)): &(usize, (u64, u64))| {
            let follower = Follower {
                application_name: format!("node{node}"),
                state: "streaming",
                sync_state: "async",
                received: *received,
                replayed: *replayed,
            };
            (*node, follower)
        };
        self.engine.followers = nodes.iter().map(follower).collect();
        self.confirm(stage);
    }

    /// A standby tells how far it is.
    pub(crate) fn heard_from(&mut self, stage: &mut Stage, node: usize, progress: (u64, u64)) {
        if let Some(follower) = self.engine.followers.get_mut(&node) {
            (follower.received, follower.replayed) = progress;
        }
        self.confirm(stage);
    }

    /// Lets clients be told of commits that enough standbys have.
    fn confirm(&mut self, stage: &mut Stage) {
        if self.engine.is_synchronous() {
            self.engine.confirm();
            self.follow_up(stage);
        }
    }

    /// Tells whether a commit is in the log here.
    pub(crate) fn has(&self, place: Place) -> bool {
        self.engine.has(place)
    }

    /// Counts sessions.
    pub(crate) fn sessions(&self) -> usize {
        self.seats.values().filter(|seat| seat.session.is_ready()).count()
    }

    /// Checks that no commit was lost that a client was told of.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.engine.lsn_received() < self.acknowledged {
            return Err(format!("node {} has lost an acknowledged commit", self.node));
        }
        Ok(())
    }

    /// Runs a statement past the network.
    pub(crate) fn sql(&mut self, stage: &mut Stage, sql: &str) -> Result<Vec<Vec<String>>, String> {
        if !self.is_well() {
            return Err("the server does not answer".to_owned());
        }
        let accounts = self.accounts.clone();
        let mut session = Session::inside(u32::MAX, self.node, accounts);
        session.receive(b"Q");
        session.receive(&(u32::try_from(sql.len()).unwrap_or(0) + 5).to_be_bytes());
        session.receive(sql.as_bytes());
        session.receive(&[0]);
        let mut bytes = Vec::new();
        let rest = loop {
            let rest = session.pump(&mut self.engine, stage.now, &mut || [0; 40]);
            bytes.extend_from_slice(session.out.leaving());
            session.out.left(session.out.leaving().len());
            if rest != Rest::Full {
                break rest;
            }
        };
        session.end(&mut self.engine);
        self.follow_up(stage);
        match rest {
            Rest::Listening => rows(&bytes),
            Rest::Full | Rest::Until(_) | Rest::Blocked | Rest::Ended | Rest::Cancel { .. } => {
                Err(format!("the statement waits: {rest:?}"))
            }
        }
    }
}

impl Seat {
    /// Lets the session do as much as there is to do, and tells for whose messages it has done
    /// something that lasts.
    fn pump(&mut self, engine: &mut Engine, stage: &mut Stage) -> Rest {
        let rest = self.session.pump(engine, stage.now, &mut || stage.chance.bytes::<40>());
        for author in self.session.context.own.take_done() {
            let done = stage.checks.deeds.done(self.end.other(), author);
            stage.checks.judge(done);
        }
        self.note_holds(engine, stage);
        rest
    }

    /// Notes what the session has of its client, which stands when it has ended.
    fn note_holds(&self, engine: &Engine, stage: &mut Stage) {
        if !self.session.has_ended() {
            stage.checks.stays.holds(self.end.other(), self.session.holds(engine));
        }
    }

    /// Offers what may leave to the kernel; tells whether the connection still stands.
    fn write(&mut self, stage: &mut Stage) -> bool {
        while !self.session.out.leaving().is_empty() {
            match stage.write(self.end, self.session.out.leaving()) {
                Write::Took(0) => return true,
                Write::Took(len) => {
                    let runs = self.session.out.left(len);
                    stage.checks.provenance.says(self.end.other(), runs);
                }
                Write::Broken => return false,
            }
        }
        true
    }

    /// Offers so much of what may leave, and no more.
    fn break_off(&mut self, stage: &mut Stage, len: usize) {
        let part = self.session.out.leaving().get(..len).unwrap_or_default().to_vec();
        if let Write::Took(len) = stage.write(self.end, &part) {
            let runs = self.session.out.left(len);
            stage.checks.provenance.says(self.end.other(), runs);
        }
    }

    fn read(&mut self, stage: &mut Stage) -> Read {
        let mut bytes = Vec::new();
        let read = stage.read(self.end, READ_LEN, &mut bytes);
        let runs = stage.checks.provenance.heard(self.end.other(), bytes.len());
        self.session.receive_of(&bytes, runs);
        read
    }
}
