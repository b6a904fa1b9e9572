//! Synchronous replication: whose word a commit waits for before its client is told.

use std::collections::BTreeMap;

use super::{Engine, Follower, Released};
use crate::check::ledger::Place;
use crate::postgres::value::SqlError;

/// What `synchronous_standby_names` asks for (PostgreSQL docs, "Synchronous Replication").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct Synchrony {
    method: Method,
    count: usize,
    names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// The first ones of the list that are there.
    First,
    /// Whichever are the fastest.
    Any,
}

impl Synchrony {
    /// Reads the setting; none if nobody has to confirm anything.
    pub(in crate::postgres) fn parse(text: &str) -> Result<Option<Self>, SqlError> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let invalid = || {
            let what = "invalid value for parameter \"synchronous_standby_names\"";
            SqlError::new("22023", format!("{what}: \"{text}\""))
        };
        let (head, list) = match text.trim().strip_suffix(')') {
            Some(rest) => rest.split_once('(').ok_or_else(invalid)?,
            None => ("FIRST 1", text),
        };
        let words: Vec<_> = head.split_whitespace().collect();
        let (method, count) = match *words.as_slice() {
            [count] => (Method::First, count),
            [word, count] if word.eq_ignore_ascii_case("first") => (Method::First, count),
            [word, count] if word.eq_ignore_ascii_case("any") => (Method::Any, count),
            _ => return Err(invalid()),
        };
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(invalid)?;
        let names = list.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect();
        Ok(Some(Self { method, count, names }))
    }

    /// Where the list names a standby.
    fn rank(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|listed| listed == "*" || listed == name)
    }

    /// Says what each standby is; returns how far enough of them have the log, if enough are there.
    fn look(&self, followers: &mut BTreeMap<usize, Follower>) -> Option<u64> {
        let mut listed = Vec::new();
        for follower in followers.values_mut() {
            follower.sync_state = "async";
            if let Some(rank) = self.rank(&follower.application_name) {
                listed.push((rank, follower));
            }
        }
        listed.sort_by_key(|(rank, _)| *rank);
        for (at, (_, follower)) in listed.iter_mut().enumerate() {
            follower.sync_state = match self.method {
                Method::Any => "quorum",
                Method::First if at < self.count => "sync",
                Method::First => "potential",
            };
        }
        let heard = listed.iter().map(|(_, follower)| follower.received);
        let mut received: Vec<u64> = match self.method {
            Method::Any => heard.collect(),
            Method::First => heard.take(self.count).collect(),
        };
        received.sort_unstable_by_key(|lsn| std::cmp::Reverse(*lsn));
        received.get(self.count - 1).copied()
    }
}

impl Engine {
    /// Looks anew at how far the log is confirmed, and lets whoever waits for that go on.
    pub(in crate::postgres) fn confirm(&mut self) {
        self.released = Released::Yes;
        self.confirmed = match &self.synchrony {
            Some(synchrony) => synchrony.look(&mut self.followers),
            None => {
                self.followers.values_mut().for_each(|follower| follower.sync_state = "async");
                None
            }
        };
    }

    /// Tells whether clients wait until standbys have their commits.
    pub(in crate::postgres) const fn is_synchronous(&self) -> bool {
        self.synchrony.is_some()
    }

    /// Tells whether the client may be told of a commit that the log has up to a place.
    pub(in crate::postgres) fn is_confirmed(&self, lsn: u64) -> bool {
        !self.is_synchronous() || self.confirmed.is_some_and(|confirmed| confirmed >= lsn)
    }

    /// Where the log ends that is durable here, as others may have it or not.
    pub(in crate::postgres) fn end(&self) -> Place {
        let lsn = self.lsn_received();
        let timeline = self.log.last().map_or(self.timeline, |record| record.timeline);
        Place { lsn, timeline }
    }

    /// Tells whether a commit is in the log here.
    pub(in crate::postgres) fn has(&self, place: Place) -> bool {
        let at = self.log.partition_point(|record| record.lsn < place.lsn);
        let found = self.log.get(at).map(|record| (record.lsn, record.timeline));
        found == Some((place.lsn, place.timeline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followers(received: &[u64]) -> BTreeMap<usize, Follower> {
        let follower = |(node, received): (usize, &u64)| {
            let application_name = format!("node{node}");
            (node, Follower { application_name, received: *received, ..Follower::default() })
        };
        (1..).zip(received).map(follower).collect()
    }

    #[test]
    fn the_setting_says_who_confirms() {
        let cases: &[(&str, &[&str], Option<u64>)] = &[
            ("*", &["sync", "potential", "potential"], Some(30)),
            ("node3, node1", &["potential", "async", "sync"], Some(20)),
            ("FIRST 2 (node3, node1)", &["sync", "async", "sync"], Some(20)),
            ("2 (*)", &["sync", "sync", "potential"], Some(10)),
            ("ANY 1 (node2, node3)", &["async", "quorum", "quorum"], Some(20)),
            ("any 2 (*)", &["quorum", "quorum", "quorum"], Some(20)),
            ("FIRST 1 (node9)", &["async", "async", "async"], None),
            ("ANY 2 (node1, node9)", &["quorum", "async", "async"], None),
        ];
        for (text, states, confirmed) in cases {
            let mut followers = followers(&[30, 10, 20]);
            let synchrony = Synchrony::parse(text).unwrap().unwrap();
            assert_eq!(synchrony.look(&mut followers), *confirmed, "{text}");
            let seen: Vec<_> = followers.values().map(|follower| follower.sync_state).collect();
            assert_eq!(&seen, states, "{text}");
        }
        assert_eq!(Synchrony::parse(" "), Ok(None));
        for text in ["ANY (node1)", "FIRST 0 (*)", "LAST 1 (*)", "ANY 1 node1)"] {
            assert!(Synchrony::parse(text).is_err(), "{text}");
        }
    }
}
