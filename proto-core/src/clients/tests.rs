use std::collections::{BTreeSet, VecDeque};

use super::*;
use crate::entropy::Entropy;
use crate::id::{ConnId, Slab};
use crate::time::{Duration, Instant};

/// What is on its way from one machine to another.
#[derive(Debug)]
enum Mail {
    Headcount(Headcount),
    Places(Places),
    Roll(Roll),
    Client(ConnId),
}

/// Shards and their control plane, between which messages take as long as chance has it.
struct Herd {
    now: Instant,
    chance: Entropy,
    names: Slab<()>,
    porters: Vec<Porter>,
    register: Register,
    allotment: Allotment,
    /// By sender and receiver; the control plane comes last.
    mail: Vec<Vec<VecDeque<Mail>>>,
    /// Who is in, by shard.
    inside: Vec<BTreeSet<ConnId>>,
    waiting: usize,
    refused: usize,
    /// Messages so far, moves not counted.
    said: usize,
    moves: usize,
    /// More than that were never in.
    max: usize,
}

impl Herd {
    fn new(seed: u64, shards: u16, max: usize) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let count = usize::from(shards);
        let queues = || (0..=count).map(|_| VecDeque::new()).collect();
        Self {
            now: Instant::ZERO,
            chance: Entropy::from_seed(bytes),
            names: Slab::new(),
            porters: (0..shards).map(|n| Porter::new(max, count, ShardId(n))).collect(),
            register: Register::new(count),
            allotment: Allotment::new(max, count),
            mail: (0..=count).map(|_| queues()).collect(),
            inside: vec![BTreeSet::new(); count],
            waiting: 0,
            refused: 0,
            said: 0,
            moves: 0,
            max,
        }
    }

    fn any(&mut self, count: usize) -> usize {
        usize::try_from(self.chance.below(count as u64)).unwrap()
    }

    fn numbers(&self) -> Vec<usize> {
        self.inside.iter().map(BTreeSet::len).collect()
    }

    fn count(&self) -> usize {
        self.numbers().iter().sum()
    }

    fn spread(&self) -> usize {
        let numbers = self.numbers();
        numbers.iter().max().unwrap() - numbers.iter().min().unwrap()
    }

    /// A client comes by a door.
    fn arrive(&mut self, shard: usize) {
        let conn = self.names.insert(());
        let verdict = self.porters[shard].receive(self.now, conn);
        self.welcome(shard, conn, verdict);
    }

    fn welcome(&mut self, shard: usize, conn: ConnId, verdict: Verdict) {
        match verdict {
            Verdict::Admit => drop(self.inside[shard].insert(conn)),
            Verdict::Refuse => self.refused += 1,
            Verdict::Send(to) => {
                self.moves += 1;
                self.mail[shard][to.index()].push_back(Mail::Client(conn));
            }
            Verdict::Wait => self.waiting += 1,
        }
        self.heed(shard);
    }

    /// Somebody leaves a shard.
    fn leave(&mut self, shard: usize) {
        if self.inside[shard].pop_first().is_some() {
            self.porters[shard].leave(self.now);
            self.heed(shard);
        }
    }

    fn heed(&mut self, shard: usize) {
        let control = self.porters.len();
        while let Some(output) = self.porters[shard].poll_output() {
            let mail = match output {
                Output::Admit(conn) => {
                    self.waiting -= 1;
                    self.inside[shard].insert(conn);
                    continue;
                }
                Output::Refuse(_) => {
                    self.waiting -= 1;
                    self.refused += 1;
                    continue;
                }
                Output::Tell(headcount) => Mail::Headcount(headcount),
                Output::Say(places) => Mail::Places(places),
            };
            self.said += 1;
            self.mail[shard][control].push_back(mail);
        }
        assert!(self.count() <= self.max, "{:?} are more than {}", self.numbers(), self.max);
    }

    fn heed_control(&mut self) {
        let control = self.porters.len();
        while let Some((shard, places)) = self.allotment.poll_output() {
            self.said += 1;
            self.mail[control][shard.index()].push_back(Mail::Places(places));
        }
        for (shard, roll) in self.register.tell(self.now) {
            self.said += 1;
            self.mail[control][shard.index()].push_back(Mail::Roll(roll));
        }
    }

    /// Delivers one piece of mail, if there is any.
    fn deliver(&mut self) -> bool {
        let control = self.porters.len();
        let pairs = (0..=control).flat_map(|from| (0..=control).map(move |to| (from, to)));
        let pairs: Vec<_> = pairs.filter(|(from, to)| !self.mail[*from][*to].is_empty()).collect();
        if pairs.is_empty() {
            return false;
        }
        let (from, to) = pairs[self.any(pairs.len())];
        match self.mail[from][to].pop_front().unwrap() {
            Mail::Headcount(headcount) => {
                self.register.hear(ShardId(u16::try_from(from).unwrap()), &headcount);
                self.heed_control();
            }
            Mail::Places(places) if to == control => {
                self.allotment.handle(ShardId(u16::try_from(from).unwrap()), places);
                self.heed_control();
            }
            Mail::Places(places) => {
                self.porters[to].handle(self.now, places);
                self.heed(to);
            }
            Mail::Roll(roll) => {
                self.porters[to].hear(self.now, &roll);
                self.heed(to);
            }
            Mail::Client(conn) => {
                let verdict = self.porters[to].take_over(self.now, conn);
                self.welcome(to, conn, verdict);
            }
        }
        true
    }

    /// Lets time pass until nobody has anything to say any more.
    fn calm(&mut self) {
        for _ in 0..4 {
            self.now = self.now + limits::HEADCOUNT_PERIOD;
            self.wake();
            while self.deliver() {}
        }
        assert_eq!(self.waiting, 0, "nobody waits for ever");
    }

    fn wake(&mut self) {
        for shard in 0..self.porters.len() {
            if self.porters[shard].poll_timeout().is_some_and(|at| at <= self.now) {
                self.porters[shard].handle_timeout(self.now);
                self.heed(shard);
            }
        }
        self.heed_control();
    }

    /// Time passes, and some of the mail arrives.
    fn pass(&mut self, micros: u64) {
        self.now = self.now + Duration::from_micros(micros);
        self.wake();
        for _ in 0..self.any(8) {
            self.deliver();
        }
    }

    fn set_max(&mut self, max: usize) {
        self.allotment.set_max(max);
        self.heed_control();
    }
}

const SEEDS: std::ops::Range<u64> = 0..200;

/// However clients come and go, there are never more than may be; and whenever it is known who is
/// there, one more is let in exactly if there is room.
#[test]
fn client_max_is_kept_and_made_use_of() {
    for seed in SEEDS {
        let mut herd = Herd::new(seed, 1 + u16::try_from(seed % 5).unwrap(), 23);
        let shards = herd.porters.len();
        for _ in 0..40 {
            for _ in 0..herd.any(30) {
                let at = herd.any(shards);
                match herd.any(3) {
                    0 => herd.leave(at),
                    _ => herd.arrive(at),
                }
                herd.pass(50);
            }
            herd.calm();
            let (before, refused) = (herd.count(), herd.refused);
            let at = herd.any(shards);
            herd.arrive(at);
            herd.calm();
            let is_full = before == 23;
            assert_eq!(herd.count(), before + usize::from(!is_full), "seed {seed}");
            assert_eq!(herd.refused, refused + usize::from(is_full), "seed {seed}");
        }
        assert!(herd.refused > 0, "seed {seed}: it was never full");
    }
}

/// All places serve whoever comes, by whichever door, also where all others have left.
#[test]
fn a_place_is_never_out_of_reach() {
    for seed in SEEDS {
        let mut herd = Herd::new(seed, 4, 40);
        (0..60).for_each(|_| herd.arrive(0));
        herd.calm();
        assert_eq!((herd.count(), herd.refused), (40, 20), "seed {seed}: {:?}", herd.numbers());
        for shard in [0, 1, 3] {
            (0..10).for_each(|_| herd.leave(shard));
        }
        herd.calm();
        let left = 40 - herd.count();
        (0..left).for_each(|_| herd.arrive(2));
        herd.calm();
        assert_eq!((herd.count(), herd.refused), (40, 20), "seed {seed}: {:?}", herd.numbers());
    }
}

/// A limit that is changed holds as soon as as many have left as are too many, whoever they are.
#[test]
fn another_limit_comes_to_hold() {
    for seed in SEEDS {
        let mut herd = Herd::new(seed, 3, 30);
        (0..25).for_each(|_| {
            let at = herd.any(3);
            herd.arrive(at);
        });
        herd.calm();
        herd.set_max(10);
        herd.pass(10);
        if seed % 2 == 0 {
            herd.set_max(12);
            herd.set_max(10);
        }
        herd.calm();
        herd.arrive(1);
        herd.calm();
        assert_eq!((herd.count(), herd.refused), (25, 1), "seed {seed}");
        // From now on, one comes for each who leaves.
        for n in 0..20 {
            let shards: Vec<usize> = (0..3).filter(|n| !herd.inside[*n].is_empty()).collect();
            let at = shards[herd.any(shards.len())];
            herd.leave(at);
            herd.calm();
            let (before, at) = (herd.count(), herd.any(3));
            herd.arrive(at);
            herd.calm();
            let room = usize::from(before < 10);
            assert_eq!(herd.count(), before + room, "seed {seed}, {n}: {:?}", herd.numbers());
        }
        assert_eq!(herd.count(), 10, "seed {seed}");
        herd.set_max(17);
        (0..20).for_each(|_| herd.arrive(2));
        herd.calm();
        assert_eq!(herd.count(), 17, "seed {seed}");
    }
}

/// Whoever comes when nothing is on its way is served where the fewest are, or about so.
#[test]
fn a_client_goes_to_the_shard_with_the_fewest() {
    for seed in SEEDS {
        let mut herd = Herd::new(seed, 5, 1000);
        for _ in 0..100 {
            for _ in 0..herd.any(6) {
                let at = herd.any(5);
                herd.leave(at);
            }
            herd.calm();
            let before = herd.numbers();
            let at = herd.any(5);
            herd.arrive(at);
            herd.calm();
            let after = herd.numbers();
            let grown = (0..5).find(|n| after[*n] > before[*n]).unwrap();
            let fewest = *before.iter().min().unwrap();
            let most = fewest + apart(before[grown]);
            assert!(before[grown] <= most, "seed {seed}: {before:?} became {after:?}");
        }
    }
}

/// A crowd that comes at once is spread evenly: by one door to within what makes no difference, and
/// by all doors at once to within one more for each of them, and what nobody knew yet.
#[test]
fn a_crowd_is_spread_evenly() {
    for seed in SEEDS {
        let shards = 2 + u16::try_from(seed % 7).unwrap();
        let count = usize::from(shards);
        let mut herd = Herd::new(seed, shards, 10_000);
        (0..500).for_each(|_| herd.arrive(0));
        herd.calm();
        let spread = herd.spread();
        assert!(spread <= limits::CLIENTS_APART_MAX + 1, "seed {seed}: {:?}", herd.numbers());
        let mut herd = Herd::new(seed, shards, 10_000);
        for _ in 0..500 {
            let at = herd.any(count);
            herd.arrive(at);
            herd.pass(10);
        }
        herd.calm();
        let most = limits::CLIENTS_APART_MAX + count + limits::HEADCOUNT_STEP;
        assert!(herd.spread() <= most, "seed {seed}: {:?}", herd.numbers());
    }
}

/// A shard that has lost its clients gets them back from all others, and not many times over.
#[test]
fn a_gap_is_filled_once() {
    for seed in SEEDS {
        let mut herd = Herd::new(seed, 4, 10_000);
        for _ in 0..400 {
            let at = herd.any(4);
            herd.arrive(at);
            herd.pass(100);
        }
        herd.calm();
        while !herd.inside[2].is_empty() {
            herd.leave(2);
        }
        herd.calm();
        for _ in 0..200 {
            let at = herd.any(4);
            herd.arrive(at);
            // All of them within a few periods, and mail that takes as long as several arrivals.
            herd.pass(100);
        }
        herd.calm();
        // Each shard may have sent some of whom nobody was told yet, or of whom it is on its way.
        let most = limits::CLIENTS_APART_MAX + 3 * 4 * limits::HEADCOUNT_STEP;
        assert!(herd.spread() <= most, "seed {seed}: {:?}", herd.numbers());
    }
}

/// Clients that come and go by the thousand cost a fraction of a message each, and a shard alone
/// says nothing.
#[test]
fn little_is_said_of_many() {
    for (shards, most) in [(1u16, 0), (2, 1000), (8, 3000)] {
        let count = usize::from(shards);
        let mut herd = Herd::new(7, shards, 10_000);
        for _ in 0..16 * count {
            let at = herd.any(count);
            herd.arrive(at);
        }
        herd.calm();
        (herd.said, herd.moves) = (0, 0);
        for _ in 0..10_000 {
            let shards: Vec<usize> = (0..count).filter(|n| !herd.inside[*n].is_empty()).collect();
            let (from, to) = (shards[herd.any(shards.len())], herd.any(count));
            herd.leave(from);
            herd.arrive(to);
            herd.pass(100);
        }
        println!("{shards} shards: {} messages, {} moves", herd.said, herd.moves);
        assert!(herd.said <= most, "{shards} shards: {} messages", herd.said);
    }
}
