//! Who has which places for clients.
//!
//! Every shard begins with its part of `client_max`. When one wants more, `Control` asks all others
//! what they can spare, once around for everybody who wants some at the time, and hands it out;
//! whoever gets nothing then refuses its clients. So a client is refused only after every shard has
//! said, since it came, that it had no place free.

use std::collections::{BTreeSet, VecDeque};

use super::Places;
use crate::id::ShardId;
use crate::pool::part;

/// The places of a process.
#[derive(Debug)]
pub(crate) struct Allotment {
    /// `client_max`.
    /// sum of `held` + `free` == `max` + `excess`
    max: usize,
    shards: Vec<Account>,
    /// With nobody.
    free: usize,
    /// Too many since the limit was lowered; they are gone as soon as they come back. While there
    /// are any, nobody is let in.
    excess: usize,
    /// Who has yet to say what it can spare. While there is anybody, nobody else is asked.
    asked: BTreeSet<usize>,
    outputs: VecDeque<(ShardId, Places)>,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    /// With the shard, or on their way to or from it.
    held: usize,
    want: Want,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// It has left, and is not asked either.
    Never,
    Nothing,
    /// Nobody has been asked since it said so.
    Said,
    /// All others have been asked.
    Pursued,
}

impl Allotment {
    /// Gives every shard its part.
    pub(crate) fn new(max: usize, shards: usize) -> Self {
        let account = |shard| Account { held: part(max, shards, shard), want: Want::Nothing };
        Self {
            max,
            shards: (0..shards).map(account).collect(),
            free: 0,
            excess: 0,
            asked: BTreeSet::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes note of what a shard says.
    pub(crate) fn handle(&mut self, from: ShardId, places: Places) {
        let Some(account) = self.shards.get_mut(from.index()) else { return };
        match places {
            Places::Want => account.want = Want::Said,
            Places::Spared { count } => {
                account.held = account.held.saturating_sub(count);
                self.take_back(count);
                self.on_answer(from);
            }
            Places::Returned { count } => {
                account.held = account.held.saturating_sub(count);
                self.take_back(count);
            }
            // These are for shards.
            Places::Spare | Places::Return | Places::Keep | Places::Grant { .. } => {}
        }
        self.pursue();
    }

    /// A shard has no clients any more, will have none, and answers nothing.
    pub(crate) fn leave(&mut self, shard: ShardId) {
        if let Some(account) = self.shards.get_mut(shard.index()) {
            account.want = Want::Never;
        }
        self.on_answer(shard);
        self.pursue();
    }

    /// Takes another limit. A lower one holds once as many clients have left as are too many.
    pub(crate) fn set_max(&mut self, max: usize) {
        let more = max.saturating_sub(self.max);
        let less = self.max.saturating_sub(max);
        self.max = max;
        let taken = less.min(self.free);
        self.free -= taken;
        if less > taken && self.excess == 0 {
            self.tell_all(Places::Return);
        }
        self.excess += less - taken;
        self.take_back(more);
        self.pursue();
    }

    /// What is to be told to a shard next.
    pub(crate) fn poll_output(&mut self) -> Option<(ShardId, Places)> {
        self.outputs.pop_front()
    }

    fn take_back(&mut self, count: usize) {
        let gone = count.min(self.excess);
        self.excess -= gone;
        self.free += count - gone;
        if gone > 0 && self.excess == 0 {
            self.tell_all(Places::Keep);
        }
    }

    fn tell_all(&mut self, places: Places) {
        let shards = (0u16..).zip(&self.shards).map(|(shard, _)| ShardId(shard));
        self.outputs.extend(shards.map(|shard| (shard, places)));
    }

    fn on_answer(&mut self, from: ShardId) {
        if self.asked.remove(&from.index()) && self.asked.is_empty() {
            self.hand_out();
        }
    }

    /// Does something about what is wanted, unless that is under way.
    fn pursue(&mut self) {
        while self.asked.is_empty() && self.wants().next().is_some() {
            if self.free > 0 {
                self.hand_out();
                continue;
            }
            for (shard, account) in self.shards.iter_mut().enumerate() {
                match account.want {
                    Want::Said => account.want = Want::Pursued,
                    Want::Nothing => {
                        self.asked.insert(shard);
                    }
                    Want::Never | Want::Pursued => {}
                }
            }
            let asked = self.asked.iter().filter_map(|shard| u16::try_from(*shard).ok());
            self.outputs.extend(asked.map(|shard| (ShardId(shard), Places::Spare)));
            if self.asked.is_empty() {
                self.hand_out();
            }
        }
    }

    /// The shards that want places.
    fn wants(&self) -> impl Iterator<Item = usize> {
        let is_one = |account: &Account| matches!(account.want, Want::Said | Want::Pursued);
        let all = self.shards.iter().enumerate();
        all.filter(move |(_, account)| is_one(account)).map(|(shard, _)| shard)
    }

    /// Gives everybody who wants places an equal part of what there is. Whoever gets none is told so
    /// if the others have none either; if they have kept some, or have not been asked since, it goes
    /// on wanting.
    fn hand_out(&mut self) {
        let wants: Vec<usize> = self.wants().collect();
        let free = self.free;
        for (n, shard) in wants.iter().enumerate() {
            let count = part(free, wants.len(), n);
            let Some(account) = self.shards.get_mut(*shard) else { continue };
            if count == 0 && (free > 0 || account.want == Want::Said) {
                account.want = Want::Said;
                continue;
            }
            account.want = Want::Nothing;
            account.held += count;
            self.free -= count;
            if let Ok(shard) = u16::try_from(*shard) {
                self.outputs.push_back((ShardId(shard), Places::Grant { count }));
            }
        }
    }
}
