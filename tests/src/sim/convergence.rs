//! Once faults stop, the herd comes to rest within a bound, whatever has happened before.
//!
//! At rest, pgherd has ended, or all of this holds, and goes on to:
//! - the primary takes writes, new work is held nowhere and no command of the operator's runs;
//! - a standby is in service if it follows that primary, and only then;
//! - whoever comes now is let in, reads and writes at once.
//!
//! The operator's word is obeyed. A node that was taken out stays so; where nobody else takes
//! writes, whoever comes is told in time that there is no primary, and why. With `failover_mode` off,
//! whom standbys follow is somebody else's affair.

use std::time::Duration;

use pgherd_core::config::FailoverMode;
use pgherd_core::topology::{Intake, Node, Seen, Status, Topology};

use super::Sim;
use crate::client::{Client, Login};
use crate::play::{Play, secs};
use crate::world::World;

/// How long the herd may take to come to rest. A failover, a switchover and a recovery that were
/// under way have their own deadlines, none of which is later.
const BOUND: Duration = secs(120);

/// How long it stays so, at least: a few looks at every node.
const REST: Duration = secs(5);

/// How long whoever comes waits at rest, where there is a primary.
const ANSWER_TIME: Duration = secs(5);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

impl Sim {
    /// Ends all faults and requires that the herd comes to rest.
    ///
    /// # Panics
    /// It does not.
    pub fn converge(&mut self) {
        self.simulation.heal();
        // How long that takes at most is a rule of its own.
        while self.simulation.waiters() > 0 && self.exit_code().is_none() {
            self.step();
        }
        self.simulation.dismiss_clients();
        let end = self.now() + BOUND;
        let mut since = None;
        while since.is_none_or(|(_, from)| self.now() < from + REST) {
            let epoch = self.simulation.published().map(|view| view.epoch);
            match self.unrest() {
                None => since = since.filter(|(at, _)| *at == epoch).or(Some((epoch, self.now()))),
                Some(unrest) => {
                    assert!(self.now() < end, "not at rest {BOUND:?} after all faults: {unrest}");
                    since = None;
                }
            }
            self.pause(PAUSE);
        }
    }

    fn pause(&mut self, span: Duration) {
        let end = self.now() + span;
        while self.now() < end {
            self.step();
        }
    }

    /// What the herd lacks to be at rest.
    fn unrest(&mut self) -> Option<String> {
        if self.exit_code().is_some() {
            return None;
        }
        let Some(view) = self.simulation.published().cloned() else {
            return Some("nothing is published".to_owned());
        };
        self.disorder(&view).or_else(|| self.visit(&view).err())
    }

    /// What is wrong with a view of the herd.
    fn disorder(&self, view: &Topology) -> Option<String> {
        if view.intake != Intake::Open {
            return Some(format!("new work is held: {:?}", view.intake));
        }
        let running = self.simulation.commands_running();
        if running > 0 {
            return Some(format!("{running} commands run"));
        }
        let takes_writes = |node: &&Node| self.simulation.is_primary(node.id.index());
        let Some(primary) = view.primary else {
            let mut able = view.nodes.iter().filter(takes_writes);
            let idle = able.find(|node| !is_taken_out(node));
            return idle.map(|node| format!("there is no primary; node {} takes writes", node.id));
        };
        if !view.nodes.iter().filter(takes_writes).any(|node| node.id == primary) {
            return Some(format!(
                "node {primary} is published as the primary, and takes no writes"
            ));
        }
        let mut standbys = view.nodes.iter().filter(|node| node.id != primary);
        let wrong = standbys.find(|node| {
            let follows = self.simulation.follows(node.id.index(), primary.index());
            match (node.status.is_usable(), follows) {
                (true, false) => self.config.failover.mode != FailoverMode::Off,
                (false, true) => !is_taken_out(node),
                (true, true) | (false, false) => false,
            }
        });
        wrong.map(|node| {
            let follows = self.simulation.follows(node.id.index(), primary.index());
            let word = node.status.word();
            format!("node {} follows node {primary}: {follows}, and it is {word}", node.id)
        })
    }

    /// Somebody comes, reads and writes, or is told that nobody is there who could serve.
    fn visit(&mut self, view: &Topology) -> Result<(), String> {
        let patience = match view.primary {
            Some(_) => ANSWER_TIME,
            None => ANSWER_TIME + self.config.failover_wait_timeout,
        };
        let client = self.begin_login(&Login::app("visitor"));
        let mut answered = self.answer(&client, patience, "a login");
        for sql in ["select 1", "create table if not exists visited (n int)"] {
            if matches!(answered, Ok(Told::Done)) {
                self.query_start(&client, sql);
                answered = self.answer(&client, patience, sql);
            }
        }
        self.terminate(&client);
        match answered? {
            Told::Done => Ok(()),
            Told::No(_) if view.primary.is_none() => Ok(()),
            Told::No(why) => Err(why),
        }
    }

    /// Waits for an answer.
    fn answer(&mut self, client: &Client, patience: Duration, to: &str) -> Result<Told, String> {
        let end = self.now() + patience;
        while !self.has_answer(client) {
            if self.now() >= end {
                return Err(format!("{to} is not answered within {patience:?}"));
            }
            self.step();
        }
        let answer = client.take_answer().unwrap_or_else(|| client.take_rest());
        match (answer.error(), answer.status) {
            (Some(error), _) => Ok(Told::No(format!("{to}: {error}"))),
            (None, Some(_)) => Ok(Told::Done),
            (None, None) => Err(format!("{to}: closed without a word")),
        }
    }
}

/// What a visitor is told.
enum Told {
    Done,
    No(String),
}

/// Whether the operator has taken a node out: it is well, and not looked at whether it may serve.
fn is_taken_out(node: &Node) -> bool {
    node.status == Status::Down && node.seen == Seen::Up
}
