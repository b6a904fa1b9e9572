//! Who has which places under the limits that shards share.
//!
//! Every shard begins with its part of each limit, so that the ledger knows only what was lent
//! since: of a limit about which nobody has said anything it holds nothing. A place that is yielded
//! is granted at once, so that what was lent always adds up to nothing.

use std::collections::{BTreeMap, VecDeque};

use crate::config::PoolPolicy;
use crate::id::ShardId;
use crate::pool::{Claim, Lease, Limit, part};

/// What was lent of every limit.
#[derive(Debug)]
pub(crate) struct Ledger {
    policy: PoolPolicy,
    /// Which shards need nothing any more, by number.
    has_left: Vec<bool>,
    pages: BTreeMap<Limit, Page>,
    /// Counts what shards were told of claims.
    told: u64,
    outputs: VecDeque<(ShardId, Limit, Lease)>,
}

/// What was lent of one limit, by shard.
type Page = Vec<Account>;

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Places that the shard was granted, less those that it yielded.
    lent: isize,
    /// What it claims, with its number.
    want: Option<(u64, Claim)>,
    /// What it was told of others' claims, with its number.
    told: Option<(u64, Claim)>,
}

impl Account {
    const fn is_blank(&self) -> bool {
        self.lent == 0 && self.want.is_none() && self.told.is_none()
    }
}

impl Ledger {
    /// Makes a ledger in which nothing is lent.
    pub(crate) fn new(policy: &PoolPolicy, shards: usize) -> Self {
        Self {
            policy: policy.clone(),
            has_left: vec![false; shards],
            pages: BTreeMap::new(),
            told: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Takes another policy. What was lent stays lent: shards have the difference to their new part.
    pub(crate) fn set_policy(&mut self, policy: &PoolPolicy) {
        self.policy = policy.clone();
        self.settle_all();
    }

    /// A shard has no connections any more, and will have none: others may have its places.
    pub(crate) fn leave(&mut self, shard: ShardId) {
        if let Some(has_left) = self.has_left.get_mut(shard.index()) {
            *has_left = true;
        }
        for page in self.pages.values_mut() {
            if let Some(account) = page.get_mut(shard.index()) {
                (account.want, account.told) = (None, None);
            }
        }
        self.settle_all();
    }

    fn settle_all(&mut self) {
        let limits: Vec<Limit> = self.pages.keys().cloned().collect();
        limits.into_iter().for_each(|limit| self.settle(limit, 0));
    }

    /// Takes note of what a shard says.
    pub(crate) fn handle_lease(&mut self, shard: ShardId, limit: Limit, lease: Lease) {
        let blank = || vec![Account::default(); self.has_left.len()];
        let page = self.pages.entry(limit.clone()).or_insert_with(blank);
        let Some(account) = page.get_mut(shard.index()) else { return };
        let mut free = 0;
        match lease {
            Lease::Want { number, claim } => {
                account.want = claim.map(|claim| (number, claim));
            }
            Lease::Yield { count, answers } => {
                account.lent -= count.cast_signed();
                // If it was told something else meanwhile, that still stands.
                account.told = account.told.filter(|(number, _)| Some(*number) != answers);
                free = count;
            }
            // These are for shards.
            Lease::Recall { .. } | Lease::Grant { .. } => {}
        }
        self.settle(limit, free);
    }

    /// How many limits something is known of.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.pages.len()
    }

    /// What is to be told to a shard next.
    pub(crate) fn poll_output(&mut self) -> Option<(ShardId, Limit, Lease)> {
        self.outputs.pop_front()
    }

    /// Gives away what is free of a limit, and has shards know what others claim.
    fn settle(&mut self, limit: Limit, free: usize) {
        let Some(mut page) = self.pages.remove(&limit) else { return };
        let max = limit.whole(&self.policy);
        let left = self.places_left(&page, max);
        for from in left.into_iter().map(Some).chain((0..free).map(|_| None)) {
            if from.is_some() && page.iter().all(|account| account.want.is_none()) {
                continue;
            }
            if let Some(account) = from.and_then(|from: usize| page.get_mut(from)) {
                account.lent -= 1;
            }
            self.grant(&mut page, &limit);
        }
        let shards = self.has_left.len();
        for number in 0..shards {
            let others = page.iter().enumerate().filter(|(other, _)| *other != number);
            let claims = others.filter_map(|(_, account)| account.want.map(|(_, claim)| claim));
            let strongest = claims.min_by(Claim::before);
            let Some(account) = page.get_mut(number) else { continue };
            let part = max.map_or(0, |max| part(max, shards, number));
            let has_left = self.has_left.get(number).is_none_or(|has_left| *has_left);
            let has_any = !has_left && part.saturating_add_signed(account.lent) > 0;
            let claim = strongest.filter(|_| has_any);
            if claim != account.told.map(|(_, told)| told) {
                self.told += 1;
                account.told = claim.map(|claim| (self.told, claim));
                self.post(number, &limit, Lease::Recall { number: self.told, claim });
            }
        }
        if !page.iter().all(Account::is_blank) {
            self.pages.insert(limit, page);
        }
    }

    /// The shards that have left, each as often as it has places.
    fn places_left(&self, page: &Page, max: Option<usize>) -> Vec<usize> {
        let shards = self.has_left.len();
        let mut left = Vec::new();
        for (number, account) in page.iter().enumerate() {
            if self.has_left.get(number) == Some(&true) {
                let part = max.map_or(0, |max| part(max, shards, number));
                let has = part.saturating_add_signed(account.lent);
                left.extend(std::iter::repeat_n(number, has));
            }
        }
        left
    }

    /// Grants a place to whoever claims it first; if nobody does, to whoever has lent most.
    fn grant(&mut self, page: &mut Page, limit: &Limit) {
        let claims = page.iter().enumerate().filter_map(|(n, account)| Some((n, account.want?.1)));
        let first = claims.min_by(|(_, one), (_, other)| one.before(other)).map(|(n, _)| n);
        let poorest = || (0..page.len()).min_by_key(|n| page.get(*n).map(|account| account.lent));
        let Some(number) = first.or_else(poorest) else { return };
        let Some(account) = page.get_mut(number) else { return };
        account.lent += 1;
        let answers = account.want.take().map(|(number, _)| number);
        self.post(number, limit, Lease::Grant { count: 1, answers });
    }

    fn post(&mut self, number: usize, limit: &Limit, lease: Lease) {
        if let Ok(number) = u16::try_from(number) {
            self.outputs.push_back((ShardId(number), limit.clone(), lease));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::BackendId;
    use crate::pool::Urgency;
    use crate::time::Instant;

    const LIMIT: Limit = Limit::Server(BackendId(0));

    fn policy(backend_connections_max: usize) -> PoolPolicy {
        PoolPolicy { backend_connections_max, ..PoolPolicy::default() }
    }

    fn claim(shard: u16, urgency: Urgency, has: usize, since: u64) -> Claim {
        Claim { urgency, has, since: Instant::from_micros(since), shard: ShardId(shard) }
    }

    fn want(shard: u16, number: u64, since: u64) -> (u16, Lease) {
        let claim = Some(claim(shard, Urgency::Calm, 1, since));
        (shard, Lease::Want { number, claim })
    }

    fn yields(shard: u16, count: usize, answers: Option<u64>) -> (u16, Lease) {
        (shard, Lease::Yield { count, answers })
    }

    fn recall(shard: u16, number: u64, of: u16, since: u64) -> (u16, Lease) {
        let claim = Some(claim(of, Urgency::Calm, 1, since));
        (shard, Lease::Recall { number, claim })
    }

    fn over(shard: u16, number: u64) -> (u16, Lease) {
        (shard, Lease::Recall { number, claim: None })
    }

    fn grant(shard: u16, answers: Option<u64>) -> (u16, Lease) {
        (shard, Lease::Grant { count: 1, answers })
    }

    fn told(ledger: &mut Ledger, (shard, lease): (u16, Lease)) -> Vec<(u16, Lease)> {
        ledger.handle_lease(ShardId(shard), LIMIT, lease);
        outputs(ledger)
    }

    fn outputs(ledger: &mut Ledger) -> Vec<(u16, Lease)> {
        std::iter::from_fn(|| ledger.poll_output())
            .map(|(shard, _, lease)| (shard.0, lease))
            .collect()
    }

    #[test]
    fn what_is_said_and_what_follows() {
        type Said = (u16, Lease);
        // What a shard says, and what the others are told.
        type Step<'a> = (Said, &'a [Said]);
        let cases: &[(&str, usize, &[Step<'_>])] = &[
            (
                "a claim reaches those who have places",
                2,
                &[
                    (want(2, 1, 50), &[recall(0, 1, 2, 50), recall(1, 2, 2, 50)]),
                    (yields(0, 1, Some(1)), &[grant(2, Some(1)), over(1, 3)]),
                ],
            ),
            (
                "who came first is served first",
                9,
                &[
                    (want(2, 1, 50), &[recall(0, 1, 2, 50), recall(1, 2, 2, 50)]),
                    (want(1, 1, 40), &[recall(0, 3, 1, 40), recall(2, 4, 1, 40)]),
                    // An answer to what has been replaced leaves the new claim standing.
                    (yields(0, 1, Some(1)), &[grant(1, Some(1)), recall(0, 5, 2, 50), over(2, 6)]),
                    (yields(0, 1, Some(5)), &[grant(2, Some(1)), over(1, 7)]),
                ],
            ),
            (
                "what nobody claims goes to whom it was taken from",
                9,
                &[
                    (want(2, 1, 50), &[recall(0, 1, 2, 50), recall(1, 2, 2, 50)]),
                    (yields(0, 1, Some(1)), &[grant(2, Some(1)), over(1, 3)]),
                    (yields(1, 1, Some(2)), &[grant(0, None)]),
                    (yields(2, 1, None), &[grant(1, None)]),
                ],
            ),
            (
                "a claim that is withdrawn is over",
                9,
                &[
                    (want(2, 1, 50), &[recall(0, 1, 2, 50), recall(1, 2, 2, 50)]),
                    ((2, Lease::Want { number: 2, claim: None }), &[over(0, 3), over(1, 4)]),
                ],
            ),
        ];
        for (name, max, steps) in cases {
            let mut ledger = Ledger::new(&policy(*max), 3);
            for (said, follows) in *steps {
                assert_eq!(told(&mut ledger, *said), *follows, "{name}: {said:?}");
            }
            let lent: isize = ledger.pages.values().flatten().map(|account| account.lent).sum();
            assert_eq!(lent, 0, "{name}");
        }
    }

    #[test]
    fn a_limit_of_which_nothing_is_lent_is_forgotten() {
        let mut ledger = Ledger::new(&policy(9), 3);
        told(&mut ledger, want(2, 1, 50));
        told(&mut ledger, yields(0, 1, Some(1)));
        assert_eq!(ledger.len(), 1);
        told(&mut ledger, yields(2, 1, None));
        assert_eq!(ledger.len(), 0);
    }

    #[test]
    fn whoever_leaves_leaves_its_places_to_others() {
        let mut ledger = Ledger::new(&policy(3), 3);
        told(&mut ledger, want(2, 1, 50));
        ledger.leave(ShardId(0));
        assert_eq!(outputs(&mut ledger), [grant(2, Some(1)), over(1, 3)]);
        assert_eq!(told(&mut ledger, want(2, 2, 60)), [recall(1, 4, 2, 60)], "it has no more");
    }

    #[test]
    fn a_limit_that_is_raised_has_more_to_give() {
        let mut ledger = Ledger::new(&policy(1), 3);
        assert_eq!(told(&mut ledger, want(2, 1, 50)), [recall(0, 1, 2, 50)]);
        ledger.set_policy(&policy(2));
        assert_eq!(outputs(&mut ledger), [recall(1, 2, 2, 50)]);
    }
}
