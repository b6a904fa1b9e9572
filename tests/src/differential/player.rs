//! One client that has a conversation, as far as it can go without waiting.

use std::collections::VecDeque;

use super::conversation::{Conversation, Effect, Given, Part, Until};
use super::dice::Dice;
use super::replication;
use super::transcript::{End, Heard, Transcript};
use crate::client::{Client, Login, message, reader};
use crate::world::World;

/// Which way a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the primary.
    Direct,
    /// Through pgherd, in front of so many standbys.
    Through {
        /// How many.
        standbys: usize,
    },
}

/// A client in the middle of its conversation.
#[derive(Debug)]
pub struct Player<'a> {
    conversation: &'a Conversation,
    way: Way,
    client: Client,
    /// What decides where the stream is cut.
    cuts: Dice,
    /// What was cut and not sent yet.
    outgoing: VecDeque<Vec<u8>>,
    unread: Vec<u8>,
    /// The part that is under way; in front of the first unit, the login.
    at: Position,
    /// How many messages had come in this turn when the part was begun.
    since: usize,
    stage: Stage,
    heard: Transcript,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    /// Counts the login as unit 0.
    turn: usize,
    part: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A part is being sent and answered.
    Talking,
    /// The standbys replay what was written, up to here.
    Replaying(u64),
    /// Everything was said, or the connection is closed.
    Over,
}

impl<'a> Player<'a> {
    /// Opens a connection, and begins to log in.
    pub fn begin(w: &mut impl World, conversation: &'a Conversation, way: Way, cuts: Dice) -> Self {
        let conn = match way {
            Way::Direct => w.open_direct(crate::play::PRIMARY),
            Way::Through { .. } => w.open(),
        };
        let login: &Login = &conversation.login;
        let mut player = Self {
            conversation,
            way,
            client: Client::new(conn, login),
            cuts,
            outgoing: VecDeque::new(),
            unread: Vec::new(),
            at: Position { turn: 0, part: 0 },
            since: 0,
            stage: Stage::Talking,
            heard: Transcript { turns: vec![Vec::new()], end: End::Open },
        };
        player.say(&login.packet());
        player
    }

    /// What was heard so far.
    #[must_use]
    pub const fn heard(&self) -> &Transcript {
        &self.heard
    }

    /// The process number that the server gave, if it has.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.client.state().key.as_ref().map(|(process, _)| *process)
    }

    /// Tells whether there is nothing left to do.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Does what can be done now.
    pub fn advance(&mut self, w: &mut impl World) {
        if self.stage == Stage::Over {
            return;
        }
        self.talk(w);
        if self.stage == Stage::Over {
            // What was not asked for any more is part of what was heard.
            self.listen(w);
            w.close(self.client.conn, crate::world::End::Orderly);
        }
    }

    fn talk(&mut self, w: &mut impl World) {
        self.listen(w);
        if w.is_closed(self.client.conn) {
            self.heard.end = End::Closed;
            self.stage = Stage::Over;
            return;
        }
        if let Stage::Replaying(position) = self.stage {
            if self.is_replayed(w, position) {
                self.stage = Stage::Talking;
                self.next_turn();
            }
        } else if self.outgoing.is_empty() && self.is_answered() {
            self.next_part(w);
        }
        // At once: in an idle world the next step is as far away as the next check of a server.
        if let Some(bytes) = self.outgoing.pop_front() {
            w.send(self.client.conn, &bytes);
        }
    }

    /// Takes what has come.
    fn listen(&mut self, w: &mut impl World) {
        let bytes = w.take(self.client.conn);
        if self.at.turn == 0 {
            // It knows how to prove who it is, and watches that the login is a proper one.
            let reply = self.client.digest(&bytes);
            if !reply.is_empty() {
                self.say(&reply);
            }
        }
        self.unread.extend_from_slice(&bytes);
        let turn = self.heard.turns.last_mut().expect("there is always a turn");
        let mut unread = self.unread.as_slice();
        while let Some((tag, body, rest)) = reader::split(unread) {
            if let Err(wrong) = message::parse(tag, body) {
                panic!("{wrong}");
            }
            turn.push(Heard { tag, body: body.to_vec() });
            unread = rest;
        }
        // Nobody compares so many, and the world's time passes slowly while they come.
        assert!(turn.len() <= HEARD_MAX, "more than {HEARD_MAX} messages in unit {}", self.at.turn);
        let read = self.unread.len() - unread.len();
        self.unread.drain(..read);
    }

    /// Queues bytes for sending, in pieces.
    fn say(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if self.way != Way::Direct && self.cuts.often(40) {
            while rest.len() > 1 && self.outgoing.len() < PIECES_MAX {
                let len = self.cuts.between(1, rest.len() - 1);
                let (piece, after) = rest.split_at(len);
                self.outgoing.push_back(piece.to_vec());
                rest = after;
            }
        }
        self.outgoing.push_back(rest.to_vec());
    }

    fn part(&self) -> Option<&'a Part> {
        let unit = self.conversation.units.get(self.at.turn.checked_sub(1)?)?;
        unit.parts.get(self.at.part)
    }

    fn turn(&self) -> &[Heard] {
        self.heard.turns.last().map(Vec::as_slice).unwrap_or_default()
    }

    /// Tells whether what the part is waited for with has come.
    fn is_answered(&self) -> bool {
        let until = self.part().map_or(Until::Ready(1), |part| part.until);
        let new = &self.turn()[self.since..];
        let has = |tags: &[u8]| new.iter().any(|heard| tags.contains(&heard.tag));
        match until {
            Until::Sent => true,
            Until::Ready(count) => new.iter().filter(|heard| heard.tag == b'Z').count() >= count,
            Until::Invitation => has(b"GZ"),
            Until::InvitationOrError => has(b"GE"),
            Until::Flushed => {
                let said = self.part().map_or(0, |part| {
                    part.sayings.iter().filter(|saying| saying.is_answered()).count()
                });
                self.is_skipped() || new.iter().filter(|heard| heard.completes()).count() >= said
            }
            // Seen by whoever looks at the connection.
            Until::Closed => false,
        }
    }

    /// Tells whether the server skips everything up to the next `Sync`.
    fn is_skipped(&self) -> bool {
        let last = self.turn().iter().rev().find(|heard| b"EZ".contains(&heard.tag));
        last.is_some_and(|heard| heard.tag == b'E')
    }

    fn next_part(&mut self, w: &mut impl World) {
        let invited = self.turn()[self.since..].iter().any(|heard| heard.tag == b'G');
        self.at.part += usize::from(self.at.turn > 0);
        while self.part().is_some_and(|part| part.given == Given::Invited && !invited) {
            self.at.part += 1;
        }
        if self.at.turn > 0 && self.part().is_some() {
            self.begin_part();
        } else if self.has_written() {
            self.stage = Stage::Replaying(replication::written(w));
        } else {
            self.next_turn();
        }
    }

    fn next_turn(&mut self) {
        self.at = Position { turn: self.at.turn + 1, part: 0 };
        if self.part().is_some() {
            self.heard.turns.push(Vec::new());
            self.begin_part();
        } else {
            self.stage = Stage::Over;
        }
    }

    fn begin_part(&mut self) {
        self.since = self.turn().len();
        if let Some(part) = self.part() {
            let bytes: Vec<u8> = part.sayings.iter().flat_map(|saying| saying.bytes()).collect();
            self.say(&bytes);
        }
    }

    /// Tells whether what follows could be read on a standby too early.
    fn has_written(&self) -> bool {
        let unit = self.at.turn.checked_sub(1).and_then(|at| self.conversation.units.get(at));
        let wrote = unit.is_some_and(|unit| unit.effect == Effect::Writes);
        wrote && matches!(self.way, Way::Through { standbys: 1.. })
    }

    fn is_replayed(&self, w: &mut impl World, to: u64) -> bool {
        match self.way {
            Way::Direct => true,
            Way::Through { standbys } => replication::is_replayed(w, standbys, to),
        }
    }
}

/// Into so many pieces a part is cut at most.
const PIECES_MAX: usize = 4;

/// So many messages answer a unit at most.
const HEARD_MAX: usize = 10_000;
