//! Who is let in by one shard's door.
//!
//! A client who comes by the door is kept or sent to the shard with the fewest; whoever was sent
//! stays. Where a place is missing, it waits in the lobby, unread, until `Control` has had one found
//! or has said that there is none.

use std::collections::VecDeque;

use super::numbers::Numbers;
use super::{Headcount, Places, Roll, apart};
use crate::id::{ConnId, ShardId};
use crate::limits;
use crate::pool::part;
use crate::time::Instant;

/// What becomes of a client who has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has a place.
    Admit,
    /// There is none.
    Refuse,
    /// It is sent to another shard.
    Send(ShardId),
    /// An output will tell.
    Wait,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// A client who waited has a place.
    Admit(ConnId),
    /// There is no place for a client who waited.
    Refuse(ConnId),
    /// Tell `Control`.
    Tell(Headcount),
    /// Ask or answer `Control`.
    Say(Places),
}

/// The door of a shard.
#[derive(Debug)]
pub(crate) struct Porter {
    shard: usize,
    /// How many clients may be in.
    places: usize,
    /// How many are.
    clients: usize,
    unused: Unused,
    /// Who waits for a place. There is none while anybody does.
    lobby: VecDeque<ConnId>,
    want: Want,
    numbers: Numbers,
    outputs: VecDeque<Output>,
}

/// What becomes of places that are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unused {
    Kept,
    /// There are too many.
    Returned,
}

/// What has become of the wish for places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Nothing,
    /// It was said for so many of those in the lobby, who wait until then at most.
    Said {
        count: usize,
        until: Instant,
    },
    /// It was said, and nobody waits for the answer any more.
    Overdue,
}

impl Porter {
    /// Opens the door of a shard, which has its part of `client_max`.
    pub(crate) fn new(client_max: usize, shards: usize, shard: ShardId) -> Self {
        let shards = shards.max(1);
        Self {
            shard: shard.index(),
            places: part(client_max, shards, shard.index()),
            clients: 0,
            unused: Unused::Kept,
            lobby: VecDeque::new(),
            want: Want::Nothing,
            numbers: Numbers::new(shards),
            outputs: VecDeque::new(),
        }
    }

    /// A client has come by the door.
    pub(crate) fn receive(&mut self, now: Instant, conn: ConnId) -> Verdict {
        let verdict = match self.elsewhere() {
            Some(shard) => {
                self.numbers.change(usize::from(shard), 1);
                Verdict::Send(ShardId(shard))
            }
            None => {
                self.numbers.change(self.shard, 1);
                self.seat(now, conn)
            }
        };
        self.tell(now);
        verdict
    }

    /// A client has come whom another shard has sent, and counted.
    pub(crate) fn take_over(&mut self, now: Instant, conn: ConnId) -> Verdict {
        let verdict = self.seat(now, conn);
        self.tell(now);
        verdict
    }

    /// A client who had a place has left.
    pub(crate) fn leave(&mut self, now: Instant) {
        self.clients = self.clients.saturating_sub(1);
        self.numbers.change(self.shard, -1);
        self.settle(now);
    }

    /// A client has left who may have waited for a place.
    pub(crate) fn abandon(&mut self, now: Instant, conn: ConnId) {
        let Some(at) = self.lobby.iter().position(|waiting| *waiting == conn) else { return };
        self.lobby.remove(at);
        if let Want::Said { count, .. } = &mut self.want
            && at < *count
        {
            *count -= 1;
        }
        self.numbers.change(self.shard, -1);
        self.tell(now);
    }

    /// Takes note of how many clients the shards have.
    pub(crate) fn hear(&mut self, now: Instant, roll: &Roll) {
        self.numbers.hear(roll);
        self.tell(now);
    }

    /// Takes note of what `Control` says about places.
    pub(crate) fn handle(&mut self, now: Instant, places: Places) {
        match places {
            Places::Spare => {
                // Some for whoever comes here next, so that not each of them has to ask.
                let count = self.free().div_ceil(2);
                self.places -= count;
                self.outputs.push_back(Output::Say(Places::Spared { count }));
            }
            Places::Return => self.unused = Unused::Returned,
            Places::Keep => self.unused = Unused::Kept,
            Places::Grant { count } => {
                self.places += count;
                let covered = match std::mem::replace(&mut self.want, Want::Nothing) {
                    Want::Said { count: covered, .. } if count == 0 => covered,
                    Want::Said { .. } | Want::Nothing | Want::Overdue => 0,
                };
                self.refuse(covered);
            }
            // These are for `Control`.
            Places::Want | Places::Spared { .. } | Places::Returned { .. } => {}
        }
        self.settle(now);
    }

    /// Acts on whatever became due by `now`.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Want::Said { until, .. } = self.want
            && until <= now
        {
            log::warn!("shard {}: no answer whether there is room for clients", self.shard);
            self.want = Want::Overdue;
            self.refuse(self.lobby.len());
        }
        self.tell(now);
    }

    /// Ends the wait of everybody in the lobby, for nobody will be let in any more.
    pub(crate) fn dismiss(&mut self) -> VecDeque<ConnId> {
        std::mem::take(&mut self.lobby)
    }

    /// What is to be done next.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle_timeout` next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let end = match self.want {
            Want::Said { until, .. } => Some(until),
            Want::Nothing | Want::Overdue => None,
        };
        end.into_iter().chain(self.numbers.poll_timeout()).min()
    }

    /// Where a client who has come is better off than here.
    fn elsewhere(&self) -> Option<u16> {
        let count = self.numbers.len();
        // Clients whom others have sent are known here before they are counted, or after.
        let own = self.numbers.of(self.shard).max(self.clients + self.lobby.len());
        // The next one comes first, so that not every shard sends whom it can to the same.
        let others = (1..count).map(|step| (self.shard + step) % count);
        let fewest = others.min_by_key(|other| self.numbers.of(*other))?;
        let leeway = if self.free() > 0 { apart(own) } else { 0 };
        let is_better = own > self.numbers.of(fewest) + leeway;
        u16::try_from(fewest).ok().filter(|_| is_better)
    }

    const fn free(&self) -> usize {
        self.places.saturating_sub(self.clients)
    }

    /// Gives a client a place, or has it wait for one.
    fn seat(&mut self, now: Instant, conn: ConnId) -> Verdict {
        if self.free() > 0 {
            self.clients += 1;
            return Verdict::Admit;
        }
        if self.lobby.len() >= limits::LOBBY_MAX || self.want == Want::Overdue {
            self.numbers.change(self.shard, -1);
            return Verdict::Refuse;
        }
        self.lobby.push_back(conn);
        self.ask(now);
        Verdict::Wait
    }

    /// Gives back what is not to be kept, and lets in who can be let in.
    fn settle(&mut self, now: Instant) {
        let count = self.free();
        if count > 0 && self.unused == Unused::Returned {
            self.places -= count;
            self.outputs.push_back(Output::Say(Places::Returned { count }));
        }
        while self.free() > 0
            && let Some(conn) = self.lobby.pop_front()
        {
            self.clients += 1;
            if let Want::Said { count, .. } = &mut self.want {
                *count = count.saturating_sub(1);
            }
            self.outputs.push_back(Output::Admit(conn));
        }
        self.ask(now);
        self.tell(now);
    }

    /// Asks for places if anybody waits and that has not been done.
    fn ask(&mut self, now: Instant) {
        if self.want == Want::Nothing && !self.lobby.is_empty() {
            let until = now + limits::LOBBY_TIMEOUT;
            self.want = Want::Said { count: self.lobby.len(), until };
            self.outputs.push_back(Output::Say(Places::Want));
        }
    }

    /// Refuses those who have waited longest.
    fn refuse(&mut self, count: usize) {
        for conn in self.lobby.drain(..count.min(self.lobby.len())) {
            self.numbers.change(self.shard, -1);
            self.outputs.push_back(Output::Refuse(conn));
        }
    }

    fn tell(&mut self, now: Instant) {
        if let Some(headcount) = self.numbers.tell(now) {
            self.outputs.push_back(Output::Tell(headcount));
        }
    }
}
