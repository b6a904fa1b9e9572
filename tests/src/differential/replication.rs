//! How far the standbys are, so that nothing is read before it is there.

use crate::play::{PRIMARY, Play};
use crate::world::World;

/// Where the primary's log ends.
pub fn written(w: &mut impl World) -> u64 {
    position(w, PRIMARY, "select pg_current_wal_lsn()")
}

/// Tells whether so many standbys have replayed the log up to here.
pub fn is_replayed(w: &mut impl World, standbys: usize, to: u64) -> bool {
    (1..=standbys).all(|node| position(w, node, "select pg_last_wal_replay_lsn()") >= to)
}

fn position(w: &mut impl World, node: usize, sql: &str) -> u64 {
    let text = w.truth(node, sql);
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    match text.split_once('/').map(|(high, low)| (number(high), number(low))) {
        Some((Some(high), Some(low))) => (high << 32) | low,
        _ => panic!("node {node} says its log is at {text:?}"),
    }
}
