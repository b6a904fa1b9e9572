//! Drills: how long writes stall, which only real servers tell, with money that must be right in the
//! end.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::Real;
use crate::admin::{Admin, packet};
use crate::client::Client;
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::scenarios::Scenario;
use crate::scenarios::failover::{admin_again, assert_lost, promote};
use crate::world::{Setup, World};

/// Clients that transfer money.
const TELLERS: usize = 16;
/// Accounts between which it is transferred.
const ACCOUNTS: usize = 50;
/// What is on all of them together, always.
const SUM: usize = ACCOUNTS * 1000;
/// How many primaries die, or hand over, one after the other; `PGHERD_DRILL` asks for another number.
const DEATHS: usize = 20;
/// Transfers between two of them.
const TRANSFERS: usize = 200;

/// Lists them.
#[must_use]
pub fn all() -> Vec<Scenario<Real>> {
    vec![
        Scenario {
            name: "a_bank_outlives_its_primaries",
            setup: quick,
            play: a_bank_outlives_its_primaries,
        },
        Scenario {
            name: "a_bank_moves_without_an_error",
            setup: quick,
            play: a_bank_moves_without_an_error,
        },
    ]
}

/// How often what befalls the bank is repeated.
fn times() -> usize {
    std::env::var("PGHERD_DRILL").ok().map_or(DEATHS, |n| n.parse().expect("a number"))
}

/// Has every commit confirmed by a standby.
fn confirm_commits(w: &mut Real) {
    for node in 0..=2 {
        for sql in
            ["alter system set synchronous_standby_names = 'ANY 1 (*)'", "select pg_reload_conf()"]
        {
            w.sql(node, sql).expect("the server is well");
        }
    }
}

/// A server is lost when a look and two retries have failed, a second apart; one that is back serves
/// at once, however short a time ago it was back before.
fn quick() -> Setup {
    promote().set("health_check_max_retries = 2").set("auto_failback_interval = 0")
}

/// What writes may stall when a primary dies: until two retries a second apart have failed, and two
/// seconds more.
const DEATH_STALL_MAX: Duration = secs(4);

/// What they may stall when it hands over.
const MOVE_STALL_MAX: Duration = secs(1);

/// The median of stalls and the longest one.
fn summary(mut stalls: Vec<Duration>) -> (Duration, Duration) {
    stalls.sort_unstable();
    let at = |at: usize| stalls.get(at).copied().unwrap_or_default();
    (at(stalls.len() / 2), at(stalls.len().saturating_sub(1)))
}

/// Clients transfer money while one primary after the other is killed. A standby confirms every
/// commit, so everything that was acknowledged is there in the end, once, and the sum is right.
fn a_bank_outlives_its_primaries(w: &mut Real) {
    let deaths = times();
    confirm_commits(w);
    let mut bank = Bank::open(w);
    let mut primary = PRIMARY;
    let mut gaps = Vec::new();
    for death in 0..deaths {
        bank.work(w, TRANSFERS);
        bank.longest = Duration::ZERO;
        w.crash(primary);
        bank.work(w, TRANSFERS);
        gaps.push(bank.longest);
        let admin = admin_again(w);
        let heir = w.pool_nodes(&admin).iter().position(|node| node.role == "primary");
        let heir = heir.expect("transfers succeed");
        assert_ne!(heir, primary, "death {death}");
        w.rejoin(primary, heir);
        w.wait_up(&admin, primary);
        w.terminate(&admin);
        primary = heir;
    }
    bank.close(w, primary);
    let (median, longest) = summary(gaps);
    println!(
        "{deaths} primaries killed, {} transfers acknowledged, {} in doubt; without writes: median \
         {median:.2?}, longest {longest:.2?}",
        bank.acknowledged.len(),
        bank.doubtful,
    );
    assert!(median <= DEATH_STALL_MAX, "without writes for {median:?}");
}

/// Clients transfer money while one primary after the other hands over to a standby. Nobody sees an
/// error, and everything that was acknowledged is there, once.
fn a_bank_moves_without_an_error(w: &mut Real) {
    let moves = times();
    confirm_commits(w);
    let mut bank = Bank::open(w);
    let mut primary = PRIMARY;
    let mut stalls = Vec::new();
    for n in 0..moves {
        bank.work(w, TRANSFERS);
        bank.longest = Duration::ZERO;
        let heir = (primary + 1) % 3;
        let mut operator = Admin::enter(w);
        w.send(operator.conn, &packet(b'J', format!("{heir} \0s").as_bytes()));
        let mut said = None;
        while said.is_none() {
            bank.work(w, 1);
            said = operator.poll(w, |reply| reply.tag != b'N');
        }
        let said = said.expect("waited for");
        assert!(!said.is_error(), "move {n}: {said:?}");
        bank.work(w, TRANSFERS);
        assert_eq!(bank.doubtful, 0, "move {n}: somebody saw an error");
        stalls.push(bank.longest);
        let admin = admin_again(w);
        w.crash(primary);
        w.rejoin(primary, heir);
        w.wait_up(&admin, primary);
        w.terminate(&admin);
        primary = heir;
    }
    bank.close(w, primary);
    assert_eq!(bank.doubtful, 0, "somebody saw an error");
    let (median, longest) = summary(stalls);
    println!(
        "{moves} switchovers, {} transfers acknowledged, 0 errors; without writes: median \
         {median:.2?}, longest {longest:.2?}",
        bank.acknowledged.len(),
    );
    assert!(median <= MOVE_STALL_MAX, "without writes for {median:?}");
}

/// A bank: clients at work, and what they were told.
struct Bank {
    /// Each with the transfer under way.
    tellers: Vec<(Client, usize)>,
    transfers: usize,
    acknowledged: BTreeSet<usize>,
    doubtful: usize,
    /// When the last one was acknowledged.
    last: Instant,
    /// The longest time between two acknowledgements.
    longest: Duration,
}

impl Bank {
    fn open(w: &mut Real) -> Self {
        let admin = w.connect("admin");
        w.run(&admin, "create table account (id int primary key, balance int)");
        w.run(&admin, "create table transfer (id int primary key)");
        let accounts =
            format!("insert into account select n, 1000 from generate_series(1, {ACCOUNTS}) n");
        w.run(&admin, &accounts);
        w.terminate(&admin);
        let mut bank = Self {
            tellers: Vec::new(),
            transfers: 0,
            acknowledged: BTreeSet::new(),
            doubtful: 0,
            last: Instant::now(),
            longest: Duration::ZERO,
        };
        for n in 0..TELLERS {
            let teller = w.connect(&format!("teller {n}"));
            let id = bank.begin(w, &teller);
            bank.tellers.push((teller, id));
        }
        bank
    }

    /// Sends a transfer, a transaction of its own; accounts are changed in their order, so that no
    /// two of them lock one another out.
    fn begin(&mut self, w: &mut Real, teller: &Client) -> usize {
        self.transfers += 1;
        let id = self.transfers;
        let (one, other) = (id % ACCOUNTS + 1, (id * 7 + 3) % ACCOUNTS + 1);
        let mut sql = format!("begin; insert into transfer values ({id}); ");
        let changes = [(one.min(other), 1), (one.max(other), -1)];
        for (account, change) in changes {
            write!(sql, "update account set balance = balance + {change} where id = {account}; ")
                .expect("text can be written");
        }
        sql.push_str("commit");
        w.query_start(teller, &sql);
        id
    }

    /// Works until so many more transfers are acknowledged.
    fn work(&mut self, w: &mut Real, count: usize) {
        let goal = self.acknowledged.len() + count;
        let end = w.now() + LIMIT;
        while self.acknowledged.len() < goal {
            assert!(w.now() < end, "transfers do not go on");
            w.step();
            for at in 0..self.tellers.len() {
                self.look(w, at);
            }
        }
    }

    /// Looks whether a teller has an answer, and gives it more to do then.
    fn look(&mut self, w: &mut Real, at: usize) {
        let (teller, id) = self.tellers.swap_remove(at);
        if !w.has_answer(&teller) {
            self.put(at, (teller, id));
            return;
        }
        let answer = w.finish(&teller);
        if answer.failed() {
            assert_lost(&answer);
            self.doubtful += 1;
        } else {
            self.acknowledged.insert(id);
            self.longest = self.longest.max(self.last.elapsed());
            self.last = Instant::now();
        }
        let is_gone = w.is_gone(&teller);
        assert!(!is_gone, "a teller's session did not survive: {}", answer.trouble());
        if answer.status != Some(b'I') {
            w.query(&teller, "rollback");
        }
        let next = self.begin(w, &teller);
        self.put(at, (teller, next));
    }

    fn put(&mut self, at: usize, teller: (Client, usize)) {
        self.tellers.push(teller);
        let last = self.tellers.len() - 1;
        self.tellers.swap(at, last);
    }

    /// Lets everybody finish, and balances the books.
    fn close(&mut self, w: &mut Real, primary: usize) {
        for (teller, id) in std::mem::take(&mut self.tellers) {
            let answer = w.finish(&teller);
            if answer.failed() {
                assert_lost(&answer);
                self.doubtful += 1;
            } else {
                self.acknowledged.insert(id);
            }
        }
        let sum = w.truth(primary, "select sum(balance) from account");
        assert_eq!(sum, SUM.to_string());
        let rows = w.sql(primary, "select id from transfer").expect("the primary is well");
        let there: BTreeSet<usize> =
            rows.iter().map(|row| row.concat().parse().expect("a number")).collect();
        let lost: Vec<_> = self.acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let beyond = there.len() - self.acknowledged.len();
        assert!(beyond <= self.doubtful, "{beyond} transfers more than were in doubt");
    }
}
