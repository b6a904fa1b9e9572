//! The same conversations direct and through pgherd, and whether they are the same.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::conversation::Conversation;
use super::dice::Dice;
use super::player::{Player, Way};
use super::replication;
use super::report::{said, side_by_side};
use super::transcript::{Sharing, Transcript};
use crate::play::{PRIMARY, Play};
use crate::scenarios::panic_text;
use crate::world::World;

/// What a seed plays: rounds, one after the other in one world, of clients who talk at the same
/// time.
#[derive(Clone, Debug)]
pub struct Case {
    /// Decides what the conversations leave open.
    pub seed: u64,
    /// Whether its clients share connections.
    pub sharing: Sharing,
    /// The rounds.
    pub rounds: Vec<Vec<Talk>>,
}

/// A conversation and the table that is its own.
#[derive(Clone, Debug)]
pub struct Talk {
    /// The table's name.
    pub table: String,
    /// What is said.
    pub conversation: Conversation,
}

/// What clients heard who talked at the same time.
#[derive(Debug)]
struct Played {
    heard: Vec<Transcript>,
    /// Why it did not come to its end.
    trouble: Option<String>,
}

impl Case {
    /// Plays all of it; standbys are those that pgherd reads from.
    ///
    /// # Errors
    /// The first difference, for a person.
    pub fn play(&self, w: &mut impl World, standbys: usize) -> Result<(), String> {
        let mut dice = Dice::new(self.seed);
        let mut earlier = String::new();
        for round in &self.rounds {
            let direct = run(w, round, Way::Direct, standbys, &mut dice);
            if let Some(trouble) = &direct.trouble {
                return Err(format!(
                    "direct: {trouble}\n{earlier}{}",
                    report(round, self.sharing, &direct, &direct)
                ));
            }
            let through = run(w, round, Way::Through { standbys }, standbys, &mut dice);
            if let Some(trouble) = &through.trouble {
                return Err(format!(
                    "through pgherd: {trouble}\n{earlier}{}",
                    report(round, self.sharing, &direct, &through)
                ));
            }
            if direct.masked(self.sharing) != through.masked(self.sharing) {
                return Err(format!(
                    "not the same\n{earlier}{}",
                    report(round, self.sharing, &direct, &through)
                ));
            }
            for talk in round {
                earlier += &format!("{} was the same:\n{}", talk.table, said(&talk.conversation));
            }
        }
        Ok(())
    }
}

impl Played {
    fn masked(&self, sharing: Sharing) -> Vec<Transcript> {
        self.heard.iter().map(|heard| heard.masked(sharing)).collect()
    }
}

/// Shows the conversations that were not the same.
fn report(round: &[Talk], sharing: Sharing, direct: &Played, through: &Played) -> String {
    let mut text = String::new();
    let pairs = direct.masked(sharing).into_iter().zip(through.masked(sharing));
    for (talk, (one, other)) in round.iter().zip(pairs) {
        if let Some(turn) = one.differs_from(&other) {
            text += &format!("{} differs first in unit {turn}:\n", talk.table);
            text += &side_by_side(&talk.conversation, &one, &other);
        }
    }
    if text.is_empty() {
        for (talk, heard) in round.iter().zip(direct.masked(sharing)) {
            text += &side_by_side(&talk.conversation, &heard, &heard);
        }
    }
    text
}

/// Lets the clients of a round talk, all at the same time.
fn run(w: &mut impl World, round: &[Talk], way: Way, standbys: usize, dice: &mut Dice) -> Played {
    let mut players = Vec::new();
    let talked = catch_unwind(AssertUnwindSafe(|| {
        for talk in round {
            lay(w, &talk.table, standbys);
        }
        for talk in round {
            players.push(Player::begin(w, &talk.conversation, way, dice.split()));
        }
        w.wait("everything is said", LIMIT, |w| {
            for player in &mut players {
                player.advance(w);
            }
            players.iter().all(Player::is_over)
        });
    }));
    let trouble = talked.err().map(|panic| panic_text(panic.as_ref()));
    let processes: Vec<u32> = players.iter().filter_map(Player::process).collect();
    let heard = players.iter().map(|player| player.heard().clone()).collect();
    if trouble.is_some() {
        return Played { heard, trouble };
    }
    if way == Way::Direct {
        for process in processes {
            // What the session holds, such as locks, must be gone before it is asked for again.
            let sql = format!("select count(*) from pg_stat_activity where pid = {process}");
            w.wait_truth(PRIMARY, &sql, "0");
        }
    }
    Played { heard, trouble }
}

/// Makes a table as every conversation finds it, on all servers.
fn lay(w: &mut impl World, table: &str, standbys: usize) {
    let making = [
        format!("drop table if exists {table} cascade"),
        format!("create table {table} (id int primary key, n int, s text)"),
        format!("insert into {table} values {ROWS}"),
    ];
    for sql in making {
        // A session that is ending may still have the table locked.
        w.wait(&sql, LIMIT, |w| w.sql(PRIMARY, &sql).is_ok());
    }
    let end = replication::written(w);
    w.wait("the standbys have the table", LIMIT, |w| replication::is_replayed(w, standbys, end));
}

/// What is in a table in the beginning.
const ROWS: &str = "(1, 10, 'one'), (2, 20, 'two'), (3, null, 'three'), (4, 40, null), \
     (5, 50, 'it''s five')";

/// How long a round may take. A machine that is busy with other things makes everything slow.
const LIMIT: Duration = Duration::from_secs(20);
