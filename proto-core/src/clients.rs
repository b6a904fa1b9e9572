//! Who is let in, and by which shard: what shards and `Control` decide and tell one another of it.
//!
//! Every shard listens, and the kernel decides by whose door a client comes. A shard keeps a client
//! while it has about as few as any ([`apart`]), and sends it to the one with the fewest otherwise
//! (`Porter`). What it knows of the others is what `Control` last said ([`Roll`]) and what it has
//! done itself since. `client_max` is in places: `Control` knows how many each shard has
//! (`Allotment`), a client is let in only into a place, and a shard without one asks for more
//! ([`Places`]).
//!
//! Nothing is said of a client by itself. A shard tells what has become of the numbers
//! ([`Headcount`]) every [`limits::HEADCOUNT_PERIOD`], or earlier if that is much, and never twice
//! before it was answered; so does `Control`. Where there is one shard, nobody says anything.

mod allotment;
mod numbers;
mod porter;
mod register;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::id::ShardId;
use crate::limits;

pub(crate) use allotment::Allotment;
pub(crate) use porter::{Output, Porter, Verdict};
pub(crate) use register::Register;

/// What a shard has done to the numbers of clients since it told last. From a shard to `Control`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headcount {
    /// Counts what the shard has told.
    pub number: u64,
    /// Whose number has changed, and by how much: its own by the clients who came by its door and
    /// stayed and by those who left, another's by those whom it sent there.
    pub changes: Vec<(ShardId, isize)>,
}

/// How many clients every shard has. From `Control` to every shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    /// The number of the receiver's last headcount that is in it; 0 if none is.
    pub heard: u64,
    /// By shard.
    pub counts: Arc<[usize]>,
}

/// What shards and `Control` tell one another about places for clients.
///
/// A place is with one shard, on its way, or with `Control`, so that all of them are never more than
/// `client_max`; after that was lowered, as soon as clients have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// A client is here for whom there is no place. From a shard to `Control`, which answers with
    /// one `Grant`.
    Want,
    /// Another shard wants places: give away what can be spared. From `Control` to a shard, which
    /// answers at once with one `Spared`.
    Spare,
    /// What the shard does not need soon; possibly none. From a shard to `Control`.
    Spared {
        /// How many.
        count: usize,
    },
    /// There are more places than there may be: give back every one that is free or becomes it. From
    /// `Control` to every shard.
    Return,
    /// No longer. From `Control` to every shard.
    Keep,
    /// What was to be given back. From a shard to `Control`.
    Returned {
        /// How many.
        count: usize,
    },
    /// The answer to a `Want`; none if no shard could spare any. From `Control` to a shard.
    Grant {
        /// How many.
        count: usize,
    },
}

/// Whether there is room for one more client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Free,
    /// There are `client_max` clients already: it is told so, and closed.
    Full,
}

/// By how much a shard that has so many clients may exceed the one with the fewest and still keep
/// who comes in: where there are many, one more or less makes no difference, and a move costs two
/// threads a wake-up.
///
/// ```
/// use pgherd_core::clients::apart;
///
/// assert_eq!([7, 8, 40, 1000].map(apart), [0, 1, 5, 8]);
/// ```
#[must_use]
pub fn apart(clients: usize) -> usize {
    (clients / 8).min(limits::CLIENTS_APART_MAX)
}
