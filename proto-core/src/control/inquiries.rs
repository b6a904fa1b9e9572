//! Questions under way: which shards have still to answer, and what the others have said.
//!
//! An asker that has left is told nothing: the name of its session is stale. A shard that never
//! answers keeps a question open until another one comes after its asker has given up.

use std::collections::VecDeque;

use super::Control;
use crate::id::{ConnId, ShardId};
use crate::inquiry::{Asker, Sheet, View};
use crate::limits;
use crate::message::{Message, Peer};
use crate::time::Instant;

/// Questions under way, oldest first.
#[derive(Debug, Default)]
pub(super) struct Inquiries {
    open: VecDeque<Inquiry>,
    last: u64,
}

/// One question.
#[derive(Debug)]
struct Inquiry {
    number: u64,
    whom: Whom,
    since: Instant,
    /// Shards that have not answered yet.
    missing: Vec<ShardId>,
    sheet: Sheet,
}

/// On whose behalf everybody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// A client's session of this shard.
    Session(ShardId, Asker),
    /// A session of PCP.
    Admin(ConnId),
}

/// A question to which everybody has answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) number: u64,
    pub(super) whom: Whom,
    pub(super) sheet: Sheet,
}

impl Control {
    /// Asks every shard on a session's behalf.
    pub(super) fn on_ask(&mut self, shard: ShardId, asker: Asker, view: View) {
        self.inquire(Whom::Session(shard, asker), view);
        self.tell_askers();
    }

    /// Asks every shard, and returns the number of the question.
    pub(super) fn inquire(&mut self, whom: Whom, view: View) -> u64 {
        let own = match view {
            View::Checks => self.checks(),
            View::Traffic | View::Routes | View::Sessions | View::Links | View::Pins => {
                Sheet::default()
            }
        };
        let missing: Vec<ShardId> = (0u16..)
            .zip(&self.shards)
            .filter(|(_, member)| !member.is_drained && view != View::Checks)
            .map(|(number, _)| ShardId(number))
            .collect();
        let number = self.inquiries.open(self.now, whom, missing.clone(), own);
        for shard in missing {
            self.outputs.post(Peer::Shard(shard), Message::Collect { number, view });
        }
        number
    }

    /// Tells the askers of questions to which everybody has answered.
    pub(super) fn tell_askers(&mut self) {
        while let Some(Answered { number, whom, sheet }) = self.inquiries.take() {
            match whom {
                Whom::Session(shard, asker) => {
                    self.outputs.post(Peer::Shard(shard), Message::Answer { asker, sheet });
                }
                Whom::Admin(conn) => self.on_collected(conn, number, sheet),
            }
        }
    }

    /// How the checks of each node went.
    pub(super) fn checks(&self) -> Sheet {
        let mut sheet = Sheet::default();
        for node in &self.nodes {
            node.record.tell(node.id, self.clock, &mut sheet);
        }
        sheet
    }
}

impl Inquiries {
    /// Opens a question to `missing` and returns its number; `own` is what is known already.
    pub(super) fn open(
        &mut self,
        now: Instant,
        whom: Whom,
        missing: Vec<ShardId>,
        own: Sheet,
    ) -> u64 {
        self.open.retain(|inquiry| now.since(inquiry.since) < limits::SHOW_TIMEOUT);
        if self.open.len() >= limits::INQUIRIES_MAX {
            self.open.pop_front();
        }
        self.last += 1;
        let number = self.last;
        self.open.push_back(Inquiry { number, whom, since: now, missing, sheet: own });
        number
    }

    /// Takes what a shard answers.
    pub(super) fn answer(&mut self, number: u64, from: ShardId, sheet: Sheet) {
        let inquiry = self.open.iter_mut().find(|inquiry| inquiry.number == number);
        if let Some(inquiry) = inquiry
            && let Some(at) = inquiry.missing.iter().position(|shard| *shard == from)
        {
            inquiry.missing.remove(at);
            inquiry.sheet.join(sheet);
        }
    }

    /// A shard has ended: nobody waits for it any longer.
    pub(super) fn leave(&mut self, shard: ShardId) {
        for inquiry in &mut self.open {
            inquiry.missing.retain(|other| *other != shard);
        }
    }

    /// Takes a question to which everybody has answered.
    pub(super) fn take(&mut self) -> Option<Answered> {
        let at = self.open.iter().position(|inquiry| inquiry.missing.is_empty())?;
        let Inquiry { number, whom, sheet, .. } = self.open.remove(at)?;
        Some(Answered { number, whom, sheet })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Slab;
    use crate::time::Duration;

    const BOTH: [ShardId; 2] = [ShardId(0), ShardId(1)];

    fn asker(number: u64) -> Whom {
        Whom::Session(ShardId(1), Asker { session: Slab::new().insert(()), number })
    }

    fn sheet(count: u64) -> Sheet {
        let mut sheet = Sheet::default();
        sheet.add(None, "reads", count);
        sheet
    }

    #[test]
    fn a_question_is_answered_when_every_shard_has() {
        let mut inquiries = Inquiries::default();
        let one = inquiries.open(Instant::ZERO, asker(1), BOTH.to_vec(), sheet(100));
        let two = inquiries.open(Instant::ZERO, asker(2), BOTH.to_vec(), Sheet::default());
        inquiries.answer(one, ShardId(0), sheet(1));
        inquiries.answer(one, ShardId(0), sheet(1)); // twice, which counts once
        inquiries.answer(two, ShardId(1), sheet(20));
        assert_eq!(inquiries.take(), None);
        inquiries.answer(two, ShardId(0), sheet(10));
        let answered = inquiries.take().expect("both have answered the second");
        assert_eq!((answered.number, answered.sheet), (two, sheet(30)));
        inquiries.leave(ShardId(1));
        let answered = inquiries.take().expect("the other shard has ended");
        assert_eq!((answered.number, answered.sheet), (one, sheet(101)));
        assert_eq!(answered.whom, asker(1));
        inquiries.answer(one, ShardId(1), sheet(1));
        assert_eq!(inquiries.take(), None, "late answers are for nobody");
    }

    #[test]
    fn questions_that_nobody_waits_for_are_forgotten() {
        let mut inquiries = Inquiries::default();
        for number in 0..2 * limits::INQUIRIES_MAX as u64 {
            inquiries.open(Instant::ZERO, asker(number), BOTH.to_vec(), Sheet::default());
        }
        assert_eq!(inquiries.open.len(), limits::INQUIRIES_MAX);
        let later = Instant::ZERO + limits::SHOW_TIMEOUT + Duration::from_secs(1);
        inquiries.open(later, asker(0), BOTH.to_vec(), Sheet::default());
        assert_eq!(inquiries.open.len(), 1);
    }
}
