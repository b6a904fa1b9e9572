//! What befalls servers, and how it is told to everybody concerned.

use pgherd_core::time::Duration;

use crate::agenda::Event;
use crate::end::Address;
use crate::net::Pace;
use crate::postgres::{Copy, Errand, Manners, Obedience, Room, Scripts, Server};
use crate::simulation::{Simulation, take_at};

/// What befalls a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It dies at once, its connections with it. Commits are durable.
    Crash,
    /// It is stopped fast: its sessions are told (57P01).
    Stop,
    /// It is started again; for a while it refuses sessions (57P03).
    Start,
    /// It stops answering, with its connections open.
    Freeze,
    /// It answers again.
    Thaw,
    /// A standby receives WAL but does not replay it.
    PauseReplay,
    /// It replays again.
    ResumeReplay,
    /// A standby replays each commit only so long after it was made; zero ends that.
    DelayReplay(Duration),
    /// A standby cancels what reads there at the moment, since it is in the way of replay (40001).
    Conflict,
    /// So many of the next reads on a standby are cancelled in this way.
    ConflictNext(u32),
    /// All its sessions are terminated by an administrator (57P01).
    TerminateSessions,
    /// It has no room for further sessions (53300).
    TurnAway,
    /// Its disk is full, so that it refuses further sessions (53100).
    FillDisk,
    /// It has room again.
    Admit,
    /// It refuses to be told whom to follow (42501).
    Resist,
    /// It lets itself be told again.
    Yield,
    /// It hears, and what it says does not leave its host.
    Mute,
    /// What it says leaves again.
    Unmute,
    /// Nothing that is said to it reaches its host.
    Deafen,
    /// What is said to it reaches it again.
    Undeafen,
    /// The way to it is as slow as this, or as fast as before.
    Pace(Option<Pace>),
    /// It becomes a standby by itself, which follows nobody.
    Demote,
    /// It becomes a primary.
    Promote,
    /// From now on this becomes of an order to promote.
    Obey(Obedience),
    /// From now on this becomes of the scripts with which it makes a standby of another node.
    Scripts(Scripts),
    /// It is made a standby of another node, with that one's data, and started.
    Rejoin(usize),
    /// It is made a server of its own, with another node's data, and started.
    Secede(usize),
    /// It is made a standby of another node, with its own data, and started.
    Follow(usize),
    /// It turns out to be of another cluster, and is started anew.
    Disown,
    /// The process of one session dies, whichever is the first to have said so many more bytes,
    /// in the middle of a message if that is where it happens to be.
    CutSession(usize),
}

impl Simulation {
    /// Does something to a server.
    pub fn befall(&mut self, node: usize, fault: Fault) {
        let stage = &mut self.stage;
        stage.note(format_args!("node {node}: {fault:?}"));
        let leader = if let Fault::Rejoin(leader) | Fault::Secede(leader) = fault {
            self.copy_of(leader)
        } else {
            None
        };
        let stage = &mut self.stage;
        let Some(server) = self.servers.get_mut(node) else { return };
        match fault {
            Fault::Crash => server.crash(stage),
            Fault::Stop => server.stop(stage),
            Fault::Start => server.start(stage),
            Fault::Freeze => server.freeze(),
            Fault::Thaw => server.thaw(stage),
            Fault::PauseReplay => server.pause_replay(),
            Fault::ResumeReplay => server.resume_replay(),
            Fault::DelayReplay(delay) => server.delay_replay(delay),
            Fault::Conflict => server.conflict(stage),
            Fault::ConflictNext(reads) => server.conflict_next(reads),
            Fault::TerminateSessions => server.terminate_sessions(stage),
            Fault::TurnAway => server.have_room(Room::None),
            Fault::FillDisk => server.have_room(Room::NoDisk),
            Fault::Admit => server.have_room(Room::Some),
            Fault::Resist => server.heed(Manners::Stubborn),
            Fault::Yield => server.heed(Manners::Docile),
            Fault::Mute => server.mute(),
            Fault::Unmute => server.unmute(stage),
            Fault::Deafen => server.deafen(),
            Fault::Undeafen => server.undeafen(stage),
            Fault::Pace(pace) => stage.net.pace(Address::Node(node), pace),
            Fault::Demote => server.demote(stage),
            Fault::Promote => server.promote(stage),
            Fault::Obey(obedience) => server.obey(obedience),
            Fault::Scripts(scripts) => server.write_scripts(scripts),
            Fault::Rejoin(to) => server.rejoin(stage, leader, Some(to)),
            Fault::Secede(_) => server.rejoin(stage, leader, None),
            Fault::Disown => server.disown(stage),
            Fault::Follow(to) => server.follow(stage, to),
            Fault::CutSession(len) => server.cut_session(len),
        }
        self.herd_changed();
    }

    /// Does what the scripts of a server do to another one.
    pub(crate) fn run_errand(&mut self, from: usize, errand: Errand) {
        let stage = &mut self.stage;
        stage.note(format_args!("node {from}: its script does {errand:?}"));
        let data = self.copy_of(from);
        let (Errand::Stop(to) | Errand::Copy(to) | Errand::Clone(to) | Errand::Start(to)) = errand;
        let stage = &mut self.stage;
        let Some(server) = self.servers.get_mut(to).filter(|_| to != from) else { return };
        match (errand, data) {
            (Errand::Start(_), _) => server.start(stage),
            (Errand::Copy(_), Some(data)) => server.replace(stage, data, Some(from)),
            (Errand::Clone(_), Some(data)) => server.replace(stage, data, None),
            (Errand::Stop(_) | Errand::Copy(_) | Errand::Clone(_), _) => server.crash(stage),
        }
        self.herd_changed();
    }

    fn copy_of(&self, node: usize) -> Option<Copy> {
        self.servers.get(node).map(Server::copy)
    }

    /// Something changed that decides who follows whom: standbys catch up, and those know whom they
    /// follow.
    pub(crate) fn herd_changed(&mut self) {
        for node in 0..self.servers.len() {
            let Some(mut server) = take_at(&mut self.servers, node) else { continue };
            let place = server.upstream().filter(|upstream| *upstream != node);
            let place = place.map(|upstream| upstream - usize::from(upstream > node));
            server.attend(place.and_then(|place| self.servers.get(place)));
            self.servers.insert(node, server);
        }
        let standbys = self.servers.iter().zip(0..).filter(|(server, _)| server.is_streaming());
        let nodes: Vec<_> =
            standbys.map(|(server, node)| (server.upstream(), (node, server.progress()))).collect();
        for (at, server) in self.servers.iter_mut().enumerate() {
            let own = nodes.iter().filter(|(upstream, _)| *upstream == Some(at));
            let own: Vec<_> = own.map(|(_, follower)| *follower).collect();
            server.followed_by(&mut self.stage, &own);
        }
        for (_, (node, _)) in nodes {
            self.stage.soon(200, 5_000, Event::Replicate { node });
        }
    }
}
