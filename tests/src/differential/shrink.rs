//! Makes a case that fails as small as it gets: whole rounds, clients and units are left out as
//! long as it still fails, and then single messages.

use std::time::{Duration, Instant};

use super::contest::Case;
use super::conversation::{Part, Until};

/// What a case can lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Round(usize),
    Talk(usize, usize),
    Unit(usize, usize, usize),
    Saying(usize, usize, usize, usize, usize),
}

/// Leaves out what is not needed for the case to fail; `fails` says how it does. Returns the
/// smallest case that was found within the limit, and its failure; none if it does not fail again
/// at all.
pub fn shrink(
    case: &Case,
    limit: Duration,
    mut fails: impl FnMut(&Case) -> Option<String>,
) -> Option<(Case, String)> {
    let end = Instant::now() + limit;
    let mut try_one = |case: &Case| if Instant::now() < end { fails(case) } else { None };
    let mut found = (case.clone(), try_one(case)?);
    // What is large first: it takes much away at once.
    for pieces in [rounds, talks, units, talks, sayings] {
        let mut len = pieces(&found.0).len();
        while len > 0 {
            let mut at = 0;
            while at < pieces(&found.0).len() {
                let all = pieces(&found.0);
                let end = (at + len).min(all.len());
                let smaller = without(&found.0, &all[at..end]);
                match try_one(&smaller) {
                    Some(failure) => found = (smaller, failure),
                    None => at = end,
                }
            }
            len /= 2;
        }
    }
    Some(found)
}

fn rounds(case: &Case) -> Vec<Piece> {
    (0..case.rounds.len()).map(Piece::Round).collect()
}

fn talks(case: &Case) -> Vec<Piece> {
    let rounds = case.rounds.iter().enumerate();
    rounds.flat_map(|(r, round)| (0..round.len()).map(move |t| Piece::Talk(r, t))).collect()
}

fn units(case: &Case) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (r, round) in case.rounds.iter().enumerate() {
        for (t, talk) in round.iter().enumerate() {
            let units = 0..talk.conversation.units.len();
            pieces.extend(units.map(|unit| Piece::Unit(r, t, unit)));
        }
    }
    pieces
}

/// The messages whose absence changes nothing about how many answers there are.
fn sayings(case: &Case) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for piece in units(case) {
        let Piece::Unit(r, t, u) = piece else { continue };
        let parts = &case.rounds[r][t].conversation.units[u].parts;
        let counted = |part: &&Part| matches!(part.until, Until::Ready(_) | Until::Flushed);
        for (p, part) in parts.iter().enumerate().filter(|(_, part)| counted(part)) {
            let free = part.sayings.iter().enumerate().filter(|(_, saying)| !saying.is_counted());
            pieces.extend(free.map(|(s, _)| Piece::Saying(r, t, u, p, s)));
        }
    }
    pieces
}

/// The same case without some of its pieces.
fn without(case: &Case, pieces: &[Piece]) -> Case {
    let mut smaller = case.clone();
    // From the end, so that the numbers of the others stay right.
    for piece in pieces.iter().rev() {
        match *piece {
            Piece::Round(round) => drop(smaller.rounds.remove(round)),
            Piece::Talk(round, talk) => drop(smaller.rounds[round].remove(talk)),
            Piece::Unit(round, talk, unit) => {
                drop(smaller.rounds[round][talk].conversation.units.remove(unit));
            }
            Piece::Saying(round, talk, unit, part, saying) => {
                let unit = &mut smaller.rounds[round][talk].conversation.units[unit];
                drop(unit.parts[part].sayings.remove(saying));
            }
        }
    }
    smaller
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Login;
    use crate::differential::contest::Talk;
    use crate::differential::conversation::{Conversation, Effect, Unit};
    use crate::differential::saying::Saying;
    use crate::differential::transcript::Sharing;

    fn talk(queries: &[&str]) -> Talk {
        let unit = |sql: &&str| Unit::one(vec![Saying::Query((*sql).to_owned())], 1, Effect::None);
        let units = queries.iter().map(unit).collect();
        Talk { table: "t".into(), conversation: Conversation { login: Login::default(), units } }
    }

    fn queries(case: &Case) -> Vec<String> {
        let units = case.rounds.iter().flatten().flat_map(|talk| &talk.conversation.units);
        units.map(|unit| unit.parts[0].sayings[0].to_string()).collect()
    }

    #[test]
    fn what_is_not_needed_is_left_out() {
        let rounds = vec![
            vec![talk(&["a", "b", "c"])],
            vec![talk(&["d", "e"]), talk(&["f", "g", "h", "i", "j"])],
        ];
        let case = Case { seed: 1, sharing: Sharing::Own, rounds };
        let fails = |case: &Case| {
            let said = queries(case).join(",");
            (said.contains("\"g\"") && said.contains("\"i\"")).then_some(said)
        };
        let (smallest, failure) = shrink(&case, Duration::from_secs(60), fails).unwrap();
        assert_eq!(queries(&smallest), ["Query \"g\"", "Query \"i\""]);
        assert_eq!((smallest.rounds.len(), smallest.rounds[0].len()), (1, 1));
        assert_eq!(failure, "Query \"g\",Query \"i\"");
        assert!(shrink(&case, Duration::from_secs(60), |_| None).is_none());
    }

    #[test]
    fn there_is_an_end_to_it() {
        let case = Case { seed: 1, sharing: Sharing::Own, rounds: vec![vec![talk(&["a"; 100])]] };
        assert!(shrink(&case, Duration::ZERO, |_| Some(String::new())).is_none());
    }
}
