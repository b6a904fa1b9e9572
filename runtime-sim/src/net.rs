//! Byte streams between endpoints, as slow, cut up and bounded as real ones.
//!
//! Each link has two directions, each with a send buffer, a receive buffer and a latency, all
//! drawn from the seed. Bytes of one direction never overtake each other; bytes of different
//! links and directions do. A receiver that does not read fills its receive buffer, then the
//! sender's send buffer, and then the sender's kernel refuses bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pgherd_core::time::{Duration, Instant};

use crate::agenda::{Agenda, Event};
use crate::chance::Chance;
use crate::end::{Address, Answer, Due, End, Notice, Side};

/// Reads are cut to crumbs only near the beginning of a stream: what cuts can break is logins and
/// the first statements, and a large result would take too many events.
const CRUMBS_LEN_MAX: usize = 64 * 1024;

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes were added.
    Bytes(usize),
    /// Nothing is there yet.
    Nothing,
    /// The peer has closed.
    End,
    /// The connection was reset.
    Broken,
}

/// What a write did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// The kernel took so many bytes.
    Took(usize),
    /// The connection was reset.
    Broken,
}

/// State of the stream towards a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Open,
    /// The sender has closed, and everything it sent has arrived.
    Ended,
    Broken,
}

/// One end's buffers.
#[derive(Debug)]
struct Half {
    /// Bytes sent and not yet arrived.
    /// `pending.len() <= send_max`
    pending: VecDeque<u8>,
    /// Whether a transfer is on its way.
    moving: Moving,
    /// Bytes arrived and not yet read.
    /// `received.len() <= receive_max`
    received: VecDeque<u8>,
    stream: Stream,
    /// What the owner of this end has done with it.
    owner: Owner,
    send_max: usize,
    receive_max: usize,
    /// Bytes read so far, as far as [`CRUMBS_LEN_MAX`] is concerned.
    read: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moving {
    Still,
    Scheduled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Holds the end open.
    Holds,
    /// Has closed it; what is pending is still sent.
    Closed,
}

#[derive(Debug)]
struct Link {
    near: Half,
    far: Half,
    to: Address,
    /// In microseconds, from and to.
    latency: (usize, usize),
    /// The latency where nothing slows it down.
    own_latency: (usize, usize),
    /// Bytes that arrive with one transfer, at most.
    packet_len: usize,
    /// One read in so many is cut short.
    crumbs: u64,
}

impl Link {
    fn slow_down(&mut self, pace: Pace) {
        let least = usize::try_from(pace.latency.as_micros()).unwrap_or(usize::MAX);
        self.latency = (least, least.saturating_add(least / 4));
        self.packet_len = pace.window_len;
    }

    const fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Near => &mut self.near,
            Side::Far => &mut self.far,
        }
    }

    const fn both(&mut self, side: Side) -> (&mut Half, &mut Half) {
        match side {
            Side::Near => (&mut self.near, &mut self.far),
            Side::Far => (&mut self.far, &mut self.near),
        }
    }
}

/// All links.
#[derive(Debug, Default)]
pub(crate) struct Net {
    links: BTreeMap<u64, Link>,
    listening: BTreeSet<Address>,
    /// Ways that are slower than others.
    slow: BTreeMap<Address, Pace>,
    count: u64,
}

/// How fast bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long they are on their way, in one direction.
    pub latency: Duration,
    /// How many are on their way at once, in one direction of one connection.
    pub window_len: usize,
}

impl Net {
    /// Begins or ends to listen.
    pub(crate) fn listen(&mut self, address: Address, answer: Answer) {
        match answer {
            Answer::Accepted => self.listening.insert(address),
            Answer::Refused => self.listening.remove(&address),
        };
    }

    /// From now on bytes travel at this pace between an address and whoever connects to it; none is
    /// as fast as before.
    pub(crate) fn pace(&mut self, address: Address, pace: Option<Pace>) {
        match pace {
            Some(pace) => self.slow.insert(address, pace),
            None => self.slow.remove(&address),
        };
        for link in self.links.values_mut().filter(|link| link.to == address) {
            if let Some(pace) = pace {
                link.slow_down(pace);
            } else {
                link.latency = link.own_latency;
                link.packet_len = usize::MAX;
            }
        }
    }

    /// Asks for a connection; a notice will tell what came of it.
    pub(crate) fn connect(
        &mut self,
        now: Instant,
        to: Address,
        chance: &mut Chance,
        agenda: &mut Agenda,
    ) -> End {
        self.count += 1;
        let base = chance.between(10, 400);
        let latency = (base, base + chance.between(0, 600));
        let mut link = Link {
            near: Half::new(chance),
            far: Half::new(chance),
            to,
            latency,
            own_latency: latency,
            packet_len: usize::MAX,
            crumbs: 1 + chance.between(1, 5) as u64,
        };
        if let Some(pace) = self.slow.get(&to) {
            link.slow_down(*pace);
        }
        let end = End { link: self.count, side: Side::Near };
        agenda.after(now, delay(link.latency, chance), Event::Net(Due::Connect(end)));
        self.links.insert(self.count, link);
        end
    }

    /// Offers bytes to the kernel, which takes as many as it has room for.
    pub(crate) fn write(
        &mut self,
        now: Instant,
        end: End,
        bytes: &[u8],
        chance: &mut Chance,
        agenda: &mut Agenda,
    ) -> Write {
        let Some(link) = self.links.get_mut(&end.link) else { return Write::Broken };
        let latency = link.latency;
        let half = link.half(end.side);
        if half.stream == Stream::Broken || half.owner == Owner::Closed {
            return Write::Broken;
        }
        let took = bytes.len().min(half.send_max.saturating_sub(half.pending.len()));
        half.pending.extend(bytes.iter().take(took));
        if took > 0 {
            half.schedule(now, end, latency, chance, agenda);
        }
        Write::Took(took)
    }

    /// Reads up to `len_max` bytes, often fewer than there are.
    pub(crate) fn read(
        &mut self,
        now: Instant,
        end: End,
        len_max: usize,
        into: &mut Vec<u8>,
        chance: &mut Chance,
        agenda: &mut Agenda,
    ) -> Read {
        let Some(link) = self.links.get_mut(&end.link) else { return Read::Broken };
        let (latency, crumbs) = (link.latency, link.crumbs);
        let (half, peer) = link.both(end.side);
        let there = half.received.len().min(len_max);
        if there == 0 {
            return match half.stream {
                _ if !half.received.is_empty() => Read::Nothing,
                Stream::Open => Read::Nothing,
                Stream::Ended => Read::End,
                Stream::Broken => Read::Broken,
            };
        }
        let len = if half.read < CRUMBS_LEN_MAX && chance.happens(1, crumbs) {
            if chance.happens(1, 2) { 1 } else { chance.between(1, there) }
        } else {
            there
        };
        half.read += len;
        into.extend(half.received.drain(..len));
        if !peer.pending.is_empty() {
            peer.schedule(now, end.other(), latency, chance, agenda);
        }
        Read::Bytes(len)
    }

    /// Tells whether a read would give anything but [`Read::Nothing`].
    pub(crate) fn is_readable(&self, end: End) -> bool {
        self.links.get(&end.link).is_none_or(|link| {
            let half = match end.side {
                Side::Near => &link.near,
                Side::Far => &link.far,
            };
            !half.received.is_empty() || half.stream != Stream::Open
        })
    }

    /// Closes an end in order: what it sent still arrives.
    pub(crate) fn close(
        &mut self,
        now: Instant,
        end: End,
        chance: &mut Chance,
        agenda: &mut Agenda,
    ) {
        let Some(link) = self.links.get_mut(&end.link) else { return };
        let latency = link.latency;
        let half = link.half(end.side);
        half.owner = Owner::Closed;
        half.received.clear();
        half.schedule(now, end, latency, chance, agenda);
    }

    /// Resets a link: what is on its way from this end is lost.
    pub(crate) fn reset(
        &mut self,
        now: Instant,
        end: End,
        chance: &mut Chance,
        agenda: &mut Agenda,
    ) {
        let Some(link) = self.links.get_mut(&end.link) else { return };
        let latency = link.latency;
        let half = link.half(end.side);
        half.owner = Owner::Closed;
        half.pending.clear();
        half.received.clear();
        agenda.after(now, delay(latency, chance), Event::Net(Due::Reset(end)));
    }

    /// Carries out what was due; returns whom to tell.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        due: Due,
        chance: &mut Chance,
        agenda: &mut Agenda,
    ) -> Vec<Notice> {
        match due {
            Due::Connect(end) => self.on_connect(now, end, chance, agenda),
            Due::Answer(end, answer) => {
                let held = self.links.get_mut(&end.link).map(|link| link.near.owner);
                if answer == Answer::Refused {
                    self.links.remove(&end.link);
                }
                match held {
                    Some(Owner::Holds) => vec![Notice::Answered(end, answer)],
                    Some(Owner::Closed) | None => Vec::new(),
                }
            }
            Due::Transfer(end) => self.on_transfer(now, end, chance, agenda),
            Due::Reset(end) => {
                let Some(link) = self.links.get_mut(&end.link) else { return Vec::new() };
                let peer = link.half(end.side.other());
                peer.stream = Stream::Broken;
                peer.pending.clear();
                let notices = peer.notices(end.other());
                self.forget_if_unowned(end);
                notices
            }
        }
    }

    fn on_connect(
        &mut self,
        now: Instant,
        end: End,
        chance: &mut Chance,
        agenda: &mut Agenda,
    ) -> Vec<Notice> {
        let Some(link) = self.links.get(&end.link) else { return Vec::new() };
        let wait = delay(link.latency, chance);
        let to = link.to;
        if self.listening.contains(&to) {
            agenda.after(now, wait, Event::Net(Due::Answer(end, Answer::Accepted)));
            vec![Notice::Arrived(end.other(), to)]
        } else {
            agenda.after(now, wait, Event::Net(Due::Answer(end, Answer::Refused)));
            Vec::new()
        }
    }

    fn on_transfer(
        &mut self,
        now: Instant,
        end: End,
        chance: &mut Chance,
        agenda: &mut Agenda,
    ) -> Vec<Notice> {
        let Some(link) = self.links.get_mut(&end.link) else { return Vec::new() };
        let (latency, packet_len) = (link.latency, link.packet_len);
        let (half, peer) = link.both(end.side);
        half.moving = Moving::Still;
        if peer.owner == Owner::Closed && !half.pending.is_empty() {
            // Bytes for somebody who has left are answered with a reset.
            half.pending.clear();
            if half.owner == Owner::Holds {
                agenda.after(now, delay(latency, chance), Event::Net(Due::Reset(end.other())));
            }
        }
        let room = peer.receive_max.saturating_sub(peer.received.len());
        let len = half.pending.len().min(room).min(packet_len);
        peer.received.extend(half.pending.drain(..len));
        if len == packet_len && !half.pending.is_empty() {
            half.schedule(now, end, latency, chance, agenda);
        }
        if half.owner == Owner::Closed && half.pending.is_empty() && peer.stream == Stream::Open {
            peer.stream = Stream::Ended;
        }
        let mut notices = peer.notices(end.other());
        notices.retain(|notice| matches!(notice, Notice::Readable(_)));
        if len > 0 && half.owner == Owner::Holds {
            notices.push(Notice::Writable(end));
        }
        self.forget_if_unowned(end);
        notices
    }

    /// Forgets a link when both ends are closed and nothing is on its way.
    fn forget_if_unowned(&mut self, end: End) {
        let gone = self.links.get(&end.link).is_some_and(|link| {
            link.near.owner == Owner::Closed
                && link.far.owner == Owner::Closed
                && link.near.pending.is_empty()
                && link.far.pending.is_empty()
        });
        if gone {
            self.links.remove(&end.link);
        }
    }
}

impl Half {
    fn new(chance: &mut Chance) -> Self {
        Self {
            pending: VecDeque::new(),
            moving: Moving::Still,
            received: VecDeque::new(),
            stream: Stream::Open,
            owner: Owner::Holds,
            send_max: chance.between(512, 64 * 1024),
            receive_max: chance.between(512, 64 * 1024),
            read: 0,
        }
    }

    fn schedule(
        &mut self,
        now: Instant,
        end: End,
        latency: (usize, usize),
        chance: &mut Chance,
        agenda: &mut Agenda,
    ) {
        if self.moving == Moving::Still {
            self.moving = Moving::Scheduled;
            agenda.after(now, delay(latency, chance), Event::Net(Due::Transfer(end)));
        }
    }

    /// What the owner should be told after something has come for it.
    fn notices(&self, end: End) -> Vec<Notice> {
        match self.owner {
            Owner::Holds => vec![Notice::Readable(end), Notice::Writable(end)],
            Owner::Closed => Vec::new(),
        }
    }
}

fn delay(latency: (usize, usize), chance: &mut Chance) -> Duration {
    chance.micros(latency.0, latency.1)
}

#[cfg(test)]
mod tests;
