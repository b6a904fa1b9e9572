//! What befalls a server from outside.

use pgherd_core::time::Duration;

use super::engine::{Copy, Manners, Obedience, Receiver, Replay, Role};
use super::scripts::Scripts;
use super::syntax::Access;
use super::{Breath, Power, Server};
use crate::agenda::Event;
use crate::end::{Address, Answer};
use crate::stage::Stage;

impl Server {
    /// From now on a standby replays a commit only so long after it was made.
    pub(crate) fn delay_replay(&mut self, delay: Duration) {
        self.engine.apply_delay = delay;
    }

    /// Replay has removed rows that reads on this standby may still want: what runs fails, who is
    /// idle in a transaction is sent away (PostgreSQL docs, "Handling Query Conflicts").
    pub(crate) fn conflict(&mut self, stage: &mut Stage) {
        if !self.engine.is_standby() {
            return;
        }
        let all: Vec<u32> = self.seats.keys().copied().collect();
        for process in all {
            if let Some(seat) = self.seats.get_mut(&process) {
                seat.session.conflict(&mut self.engine);
            }
            self.wake(stage, process);
        }
    }

    /// So many of the next reads on this standby fail by a conflict with recovery.
    pub(crate) fn conflict_next(&mut self, reads: u32) {
        self.engine.conflicts = reads;
    }

    /// Dies at once. Commits are durable; everything else is lost.
    pub(crate) fn crash(&mut self, stage: &mut Stage) {
        self.power = Power::Down;
        self.breath = Breath::Free;
        stage.listen(Address::Node(self.node), Answer::Refused);
        for seat in std::mem::take(&mut self.seats).into_values() {
            // The operating system closes the dead process's sockets: a reset if something was
            // unread, an orderly end otherwise.
            if stage.net.is_readable(seat.end) || stage.chance.happens(1, 2) {
                stage.reset(seat.end);
            } else {
                stage.close(seat.end);
            }
        }
        self.engine.crash();
        self.engine.empty_unlogged();
    }

    /// Stops fast: sessions are told, and closed.
    pub(crate) fn stop(&mut self, stage: &mut Stage) {
        if self.breath == Breath::Frozen {
            return self.crash(stage);
        }
        self.power = Power::Down;
        stage.listen(Address::Node(self.node), Answer::Refused);
        for mut seat in std::mem::take(&mut self.seats).into_values() {
            let why = "terminating connection due to administrator command";
            seat.session.terminate(&mut self.engine, why);
            seat.write(stage);
            stage.close(seat.end);
        }
        self.engine.crash();
    }

    /// Starts again; for a while everybody is told to wait.
    pub(crate) fn start(&mut self, stage: &mut Stage) {
        if self.power != Power::Down {
            return;
        }
        self.power = Power::Starting;
        self.starts += 1;
        stage.listen(Address::Node(self.node), Answer::Accepted);
        let (node, start) = (self.node, self.starts);
        stage.soon(20_000, 400_000, Event::Started { node, start });
    }

    /// A start has come to its end.
    pub(crate) fn started(&mut self, start: u32) {
        if self.power == Power::Starting && self.starts == start {
            self.power = Power::Up;
        }
    }

    /// Stops answering, with its connections open and its kernel alive.
    pub(crate) fn freeze(&mut self) {
        if self.power != Power::Down {
            self.breath = Breath::Frozen;
        }
    }

    /// Answers again.
    pub(crate) fn thaw(&mut self, stage: &mut Stage) {
        self.breath = Breath::Free;
        self.wake_all(stage);
    }

    /// Holds replay up.
    pub(crate) fn pause_replay(&mut self) {
        self.set_replay(Replay::Paused);
    }

    /// Lets the next session that says anything die after so many bytes.
    pub(crate) const fn cut_session(&mut self, len: usize) {
        self.cut = Some(len);
    }

    /// Lets replay go on.
    pub(crate) fn resume_replay(&mut self) {
        self.set_replay(Replay::Running);
    }

    /// Terminates all sessions that have logged in, one by one.
    pub(crate) fn terminate_sessions(&mut self, stage: &mut Stage) {
        let all: Vec<u32> = self.seats.keys().copied().collect();
        for process in all {
            if let Some(seat) = self.seats.get_mut(&process).filter(|s| s.session.is_ready()) {
                let why = "terminating connection due to administrator command";
                seat.session.terminate(&mut self.engine, why);
            }
            self.wake(stage, process);
        }
    }

    /// Has no room for further sessions, or has it again.
    pub(crate) const fn have_room(&mut self, room: Room) {
        self.room = room;
    }

    /// Refuses to be told whom to follow, or lets itself be told again.
    pub(crate) const fn heed(&mut self, manners: Manners) {
        self.engine.manners = manners;
    }

    /// From now on nothing that it says leaves its host.
    pub(crate) fn mute(&mut self) {
        self.voice = Voice::Muted;
    }

    /// Everything that it has to say leaves now.
    pub(crate) fn unmute(&mut self, stage: &mut Stage) {
        self.voice = Voice::Heard;
        self.wake_all(stage);
    }

    /// From now on nothing that is said to it reaches its host.
    pub(crate) fn deafen(&mut self) {
        self.hearing = Hearing::Deaf;
    }

    /// Everything that was said to it arrives now.
    pub(crate) fn undeafen(&mut self, stage: &mut Stage) {
        self.hearing = Hearing::Good;
        self.wake_all(stage);
    }

    /// Does from now on what it is asked to: has room, obeys, and replays at once.
    pub(crate) fn be_harmless(&mut self) {
        self.room = Room::Some;
        self.cut = None;
        self.engine.manners = Manners::Docile;
        self.engine.obedience = Obedience::Full;
        self.engine.apply_delay = Duration::ZERO;
        self.engine.conflicts = 0;
        self.resume_replay();
    }

    /// Is started anew, as a standby that follows nobody.
    pub(crate) fn demote(&mut self, stage: &mut Stage) {
        self.stop(stage);
        self.engine.role = Role::Standby(Replay::Running);
        self.engine.conninfo.clear();
        self.engine.conninfo_next.clear();
        self.start(stage);
    }

    /// From now on this becomes of an order to promote.
    pub(crate) const fn obey(&mut self, obedience: Obedience) {
        self.engine.obedience = obedience;
    }

    /// From now on this becomes of the scripts of recoveries.
    pub(crate) const fn write_scripts(&mut self, scripts: Scripts) {
        self.engine.folder.scripts = scripts;
    }

    /// Gets the data of another server, as its standby or for itself, and does not start.
    pub(crate) fn replace(&mut self, stage: &mut Stage, data: Copy, leader: Option<usize>) {
        self.crash(stage);
        self.engine.restore(data);
        // A copy has the leader's settings, and no slots.
        self.engine.access_next = Access::ReadWrite;
        self.engine.access = Access::ReadWrite;
        self.engine.slots.clear();
        self.acknowledged = self.engine.lsn_received();
        match leader {
            Some(leader) => {
                let node = self.node;
                self.engine.conninfo =
                    format!("host=node{leader} port=5432 application_name=node{node}");
            }
            None => {
                self.engine.conninfo.clear();
                self.engine.role = Role::Primary;
            }
        }
        self.engine.conninfo_next.clone_from(&self.engine.conninfo);
    }

    /// Whether it was told to become the primary, or is it.
    pub(crate) fn is_taking_over(&self) -> bool {
        self.engine.is_promoting() || !self.engine.is_standby()
    }

    /// A promotion that was ordered has come to its end.
    pub(crate) fn promoted(&mut self, stage: &mut Stage, start: u32) {
        if self.is_well() && self.starts == start {
            self.promote(stage);
        }
    }

    /// Starts with another server's data, as its standby or for itself.
    pub(crate) fn rejoin(&mut self, stage: &mut Stage, data: Option<Copy>, leader: Option<usize>) {
        match data {
            Some(data) => self.replace(stage, data, leader),
            None => self.crash(stage),
        }
        self.start(stage);
    }

    /// Is of another cluster than it was, and starts.
    pub(crate) fn disown(&mut self, stage: &mut Stage) {
        self.crash(stage);
        self.engine.system += 1;
        self.start(stage);
    }

    /// Becomes a standby of another server, with its own data, settings and slots, and starts.
    pub(crate) fn follow(&mut self, stage: &mut Stage, leader: usize) {
        self.crash(stage);
        self.engine.role = Role::Standby(Replay::Running);
        let node = self.node;
        self.engine.conninfo = format!("host=node{leader} port=5432 application_name=node{node}");
        self.engine.conninfo_next.clone_from(&self.engine.conninfo);
        self.start(stage);
    }

    /// Tells whether there is a replication slot of this name.
    pub(crate) fn has_slot(&self, name: &str) -> bool {
        self.engine.slots.contains(name)
    }

    /// Becomes a primary, on a new timeline, with everything that it has received.
    pub(crate) fn promote(&mut self, stage: &mut Stage) {
        if self.engine.is_standby() {
            self.engine.replay();
            self.engine.empty_unlogged();
            self.engine.role = Role::Primary;
            self.engine.receiver = Receiver::None;
            self.engine.timeline += 1;
            for seat in self.seats.values_mut() {
                seat.session.promoted();
            }
            self.wake_all(stage);
        }
    }
}

/// Whether there is room for further sessions, below the greatest number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Some,
    /// Of sessions there are as many as may be.
    None,
    /// The disk is full.
    NoDisk,
}

/// Whether what is said to the server reaches its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hearing {
    Good,
    Deaf,
}

/// Whether what the server says leaves its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    Heard,
    Muted,
}
