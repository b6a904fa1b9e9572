//! What will happen, in order: first by time, then by when it was decided.

use std::collections::BTreeMap;

use pgherd_core::id::ConnId;
use pgherd_core::job::{Job, JobId};
use pgherd_core::message::Peer;
use pgherd_core::time::{Duration, Instant};

use crate::end::{Due, Notice};

/// Something that will happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The network does something.
    Net(Due),
    /// Somebody who could not hear of it before is told.
    Notice(Notice),
    /// A machine's timer.
    Timer(Peer),
    /// A machine may read a connection.
    Read(Peer, ConnId),
    /// A message has come through the mailbox between two machines.
    Mail {
        /// Who posted it.
        from: Peer,
        /// Who receives it.
        to: Peer,
    },
    /// A session of a server gets the processor.
    Serve {
        /// The server.
        node: usize,
        /// The session's process.
        process: u32,
    },
    /// WAL reaches a standby, or is replayed there.
    Replicate {
        /// The standby.
        node: usize,
    },
    /// A starting server accepts sessions.
    Started {
        /// The server.
        node: usize,
        /// Which of its starts this is about.
        start: u32,
    },
    /// A promotion comes to its end.
    Promoted {
        /// The server.
        node: usize,
        /// How often it was started when the promotion began.
        start: u32,
    },
    /// A command of a machine's is run.
    Command {
        /// Whose.
        of: Peer,
        /// How the machine calls it.
        id: JobId,
        /// What it is.
        job: Box<Job>,
    },
    /// A command of a machine's is to end.
    Recall {
        /// Whose.
        of: Peer,
        /// How the machine calls it.
        id: JobId,
    },
    /// A command of a machine's ends, by its number among those that run.
    Ended(u64),
    /// Nothing happens; time passes.
    Tick,
}

/// All events to come.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
}

impl Agenda {
    /// Adds an event.
    pub(crate) fn at(&mut self, when: Instant, event: Event) {
        self.sequence += 1;
        self.events.insert((when, self.sequence), event);
    }

    /// Adds an event some time after `now`.
    pub(crate) fn after(&mut self, now: Instant, delay: Duration, event: Event) {
        self.at(now + delay, event);
    }

    /// Counts the events to come.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Takes the next event.
    pub(crate) fn next(&mut self) -> Option<(Instant, Event)> {
        self.events.pop_first().map(|((when, _), event)| (when, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_of_their_making() {
        let mut agenda = Agenda::default();
        let at = Instant::from_micros;
        agenda.at(at(5), Event::Replicate { node: 1 });
        agenda.at(at(3), Event::Replicate { node: 2 });
        agenda.at(at(5), Event::Replicate { node: 3 });
        let order: Vec<_> = std::iter::from_fn(|| agenda.next())
            .map(|(when, event)| {
                let Event::Replicate { node } = event else { panic!("{event:?}") };
                (when.as_micros(), node)
            })
            .collect();
        assert_eq!(order, [(3, 2), (5, 1), (5, 3)]);
    }
}
