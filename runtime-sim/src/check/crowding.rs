//! Counts the sessions that a proxy holds on a server against every limit of its pools, all shards
//! together.

use std::collections::BTreeMap;

use pgherd_core::config::PoolPolicy;
use pgherd_core::id::ConnId;
use pgherd_core::message::Peer;

/// Who a session was opened for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Account {
    pub(crate) database: Vec<u8>,
    pub(crate) user: Vec<u8>,
}

impl Account {
    /// Reads it from a startup packet; a database that is not named is the user's.
    pub(crate) fn read(packet: &[u8]) -> Self {
        let mut words = packet.get(8..).unwrap_or_default().split(|byte| *byte == 0);
        let (mut database, mut user) = (Vec::new(), Vec::new());
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            match name {
                b"user" => user = value.to_vec(),
                b"database" => database = value.to_vec(),
                _ => {}
            }
        }
        if database.is_empty() {
            database.clone_from(&user);
        }
        Self { database, user }
    }
}

/// A session on a server: whose it is, and its connection.
pub(crate) type Session = (Peer, ConnId);

/// The limits that a process may have in force, and what was counted last.
///
/// A reload reaches one shard before the other, and what is open stays until it is idle: of each
/// limit the greatest value counts until everybody has heard of the last policy and a node has been
/// seen to keep to it.
#[derive(Debug)]
pub(crate) struct Crowding {
    policies: Vec<PoolPolicy>,
    /// The first policy that counts on each node.
    first: BTreeMap<usize, usize>,
    /// Sessions on each node when it was looked at last: it is when they change.
    seen: BTreeMap<usize, Vec<Session>>,
}

impl Crowding {
    pub(crate) fn new(policy: PoolPolicy) -> Self {
        Self { policies: vec![policy], first: BTreeMap::new(), seen: BTreeMap::new() }
    }

    /// Another policy is on its way to the machines.
    pub(crate) fn also(&mut self, policy: PoolPolicy) {
        self.policies.push(policy);
    }

    /// Lists the sessions that were on a node when it was looked at last.
    pub(crate) fn seen(&self, node: usize) -> impl Iterator<Item = Session> {
        self.seen.get(&node).into_iter().flatten().copied()
    }

    /// Tells whether a node has been seen to keep to the last policy.
    pub(crate) fn is_settled(&self, node: usize) -> bool {
        self.first(node) + 1 == self.policies.len()
    }

    /// Looks at the sessions on a node; `all_know` says whether everybody has heard of the last
    /// policy.
    ///
    /// # Errors
    /// Says which limit is exceeded, and by how many sessions it is.
    pub(crate) fn look(
        &mut self,
        node: usize,
        sessions: &[(Session, Account)],
        all_know: bool,
    ) -> Result<(), String> {
        self.seen.insert(node, sessions.iter().map(|(session, _)| *session).collect());
        let accounts = || sessions.iter().map(|(_, account)| account);
        self.count(self.first(node), node, accounts())?;
        let last = self.policies.len() - 1;
        if all_know && self.count(last, node, accounts()).is_ok() {
            self.first.insert(node, last);
        }
        Ok(())
    }

    fn first(&self, node: usize) -> usize {
        self.first.get(&node).copied().unwrap_or(0)
    }

    /// Counts under all policies from one on.
    fn count<'a>(
        &self,
        first: usize,
        node: usize,
        sessions: impl Iterator<Item = &'a Account>,
    ) -> Result<(), String> {
        let greatest = |limit: &dyn Fn(&PoolPolicy) -> Option<usize>| {
            let policies = self.policies.iter().skip(first);
            policies.map(|policy| limit(policy).unwrap_or(usize::MAX)).max().unwrap_or(usize::MAX)
        };
        let mut pools = BTreeMap::<&Account, usize>::new();
        let mut users = BTreeMap::<&[u8], usize>::new();
        let mut databases = BTreeMap::<&[u8], usize>::new();
        let mut held = 0;
        for account in sessions {
            held += 1;
            *pools.entry(account).or_default() += 1;
            *users.entry(&account.user).or_default() += 1;
            *databases.entry(&account.database).or_default() += 1;
        }
        let complain = |held: usize, limit: usize, of: &str| {
            let is_over = held > limit;
            is_over.then(|| format!("{held} connections{of} to node {node}, {limit} are allowed"))
        };
        let text = String::from_utf8_lossy;
        let of_all = complain(held, greatest(&|p| Some(p.backend_connections_max)), "");
        let of_pools = pools.iter().filter_map(|(account, held)| {
            let size = |policy: &PoolPolicy| {
                let pooling = policy.of(&account.database, &account.user);
                pooling.size_max.checked_add(pooling.reserve_size)
            };
            let of = format!(" of {} as {}", text(&account.database), text(&account.user));
            complain(*held, greatest(&size), &of)
        });
        let of_users = users.iter().filter_map(|(user, held)| {
            let limit = greatest(&|p| p.user_connections_max);
            complain(*held, limit, &format!(" of user {}", text(user)))
        });
        let of_databases = databases.iter().filter_map(|(database, held)| {
            let limit = greatest(&|p| p.database_connections_max);
            complain(*held, limit, &format!(" of database {}", text(database)))
        });
        let broken = of_all.into_iter().chain(of_pools).chain(of_users).chain(of_databases).next();
        broken.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use pgherd_core::config::Pooling;
    use pgherd_core::id::Slab;

    use super::*;

    fn account(database: &str, user: &str) -> Account {
        Account { database: database.into(), user: user.into() }
    }

    fn sessions(accounts: &[(&str, &str)]) -> Vec<(Session, Account)> {
        let session = (Peer::Control, Slab::new().insert(()));
        accounts.iter().map(|(d, u)| (session, account(d, u))).collect()
    }

    #[test]
    fn an_account_is_read_from_a_startup_packet() {
        let read = |pairs: &[u8]| Account::read(&[&[0, 0, 0, 9, 0, 3, 0, 0], pairs].concat());
        assert_eq!(read(b"user\0ann\0database\0shop\0\0"), account("shop", "ann"));
        assert_eq!(read(b"user\0ann\0\0"), account("ann", "ann"));
        assert_eq!(read(b""), account("", ""));
    }

    #[test]
    fn each_limit_is_looked_at() {
        let policy = PoolPolicy {
            defaults: Pooling { size_max: 1, reserve_size: 1, ..Pooling::default() },
            backend_connections_max: 5,
            user_connections_max: Some(3),
            database_connections_max: Some(4),
            ..PoolPolicy::default()
        };
        let look = |accounts: &[(&str, &str)]| {
            Crowding::new(policy.clone()).look(0, &sessions(accounts), true)
        };
        let (a, b, c) = (("x", "ann"), ("y", "ann"), ("x", "bob"));
        assert_eq!(look(&[a, a, b, c]), Ok(()));
        let cases: [(&[(&str, &str)], &str); 4] = [
            (&[a, a, a], "3 connections of x as ann to node 0, 2 are allowed"),
            (&[a, a, b, b], "4 connections of user ann to node 0, 3 are allowed"),
            (&[a, a, c, c, ("x", "eve")], "5 connections of database x to node 0, 4 are allowed"),
            (&[a, a, b, c, c, ("z", "eve")], "6 connections to node 0, 5 are allowed"),
        ];
        for (accounts, told) in cases {
            assert_eq!(look(accounts), Err(told.to_owned()));
        }
        let mut crowding = Crowding::new(policy.clone());
        crowding.also(PoolPolicy { backend_connections_max: 6, ..policy.clone() });
        crowding.also(policy.clone());
        let six = sessions(&[a, a, b, c, c, ("z", "eve")]);
        assert_eq!(crowding.look(0, &six, false), Ok(()), "the greatest counts");
        assert_eq!(crowding.look(0, &six, true), Ok(()), "not yet");
        assert!(!crowding.is_settled(0));
        assert_eq!(crowding.look(0, &sessions(&[a, b]), true), Ok(()));
        assert!(crowding.is_settled(0) && !crowding.is_settled(1));
        assert!(crowding.look(0, &six, true).is_err(), "the last one counts");
    }
}
