//! Whether the proxy may end a client's session.
//!
//! A session that is logged in stays, whatever becomes of servers, unless
//! - the client has said that it leaves, has left, or says what makes no sense;
//! - it is inside a message of a server, whose rest is lost: nothing else can be said to it;
//! - it is told that it has broken a rule or reached a limit of its own ([`OWN_FAULTS`]);
//! - a server's session, lost or not, has something of it that cannot be had again, or may have it by
//!   now: a transaction is open there, or something is under way, be it a question of the proxy's;
//! - the proxy is being stopped.
//!
//! So whoever is idle or between transactions stays, and so does whoever waits for a server.

use std::collections::{BTreeMap, BTreeSet};

use crate::end::End;

/// What a client is told whose own affair it is that its session ends: its idleness, breaches of the
/// protocol, and transactions where there may be none.
const OWN_FAULTS: [&str; 3] = ["57P05", "08P01", "0A000"];

/// How a proxy ends a client's session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Farewell<'a> {
    /// The SQLSTATE of its last word, if it has said one.
    pub(crate) code: Option<&'a str>,
    /// Whether the client is inside a message.
    pub(crate) is_inside: bool,
}

/// A session on a server.
#[derive(Clone, Copy, Debug)]
struct Estate {
    /// Who has spoken there last.
    client: Option<End>,
    /// What it holds.
    holds: Option<&'static str>,
}

/// Who stays, and why somebody may not.
#[derive(Debug, Default)]
pub(crate) struct Stays {
    promise: Promise,
    /// Clients that have said that they leave, or what makes no sense.
    leaving: BTreeSet<End>,
    /// By the proxy's end of the connection.
    estates: BTreeMap<End, Estate>,
}

/// Whether the proxy keeps sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Promise {
    /// It only relays: each session is one of a server's.
    #[default]
    None,
    /// It does.
    Given,
    /// It is being stopped.
    Over,
}

impl Stays {
    /// A proxy begins, or is told to end.
    pub(crate) fn promise(&mut self, promise: Promise) {
        if self.promise != Promise::None || promise == Promise::Given {
            self.promise = promise;
        }
    }

    /// A client leaves, or says what makes no sense.
    pub(crate) fn leaves(&mut self, client: End) {
        self.leaving.insert(client);
    }

    /// A client is heard by a server, at the proxy's end of a connection.
    pub(crate) fn speaks(&mut self, client: End, server: End) {
        let estate = self.estates.entry(server).or_insert(Estate { client: None, holds: None });
        if estate.client != Some(client) {
            *estate = Estate { client: Some(client), holds: None };
        }
    }

    /// A server's session has something that its client cannot have again elsewhere, or has not.
    pub(crate) fn holds(&mut self, server: End, what: Option<&'static str>) {
        if let Some(estate) = self.estates.get_mut(&server) {
            estate.holds = what;
        }
    }

    /// A connection to a server is over, and the proxy has heard of it.
    pub(crate) fn forget(&mut self, server: End) {
        self.estates.remove(&server);
    }

    /// Lists the connections where a client has spoken last.
    pub(crate) fn servers_of(&self, client: End) -> impl Iterator<Item = End> {
        let own = self.estates.iter().filter(move |(_, estate)| estate.client == Some(client));
        own.map(|(server, _)| *server)
    }

    /// The proxy ends the session of a client that is still there.
    ///
    /// `is_busy` tells whether something is under way at a server.
    ///
    /// # Errors
    /// It may not.
    pub(crate) fn ends(
        &self,
        client: End,
        farewell: Farewell<'_>,
        is_busy: impl Fn(End) -> bool,
    ) -> Result<(), String> {
        let Farewell { code, is_inside } = farewell;
        let is_own = code.is_some_and(|code| OWN_FAULTS.contains(&code));
        let mut own = self.estates.iter().filter(|(_, estate)| estate.client == Some(client));
        if self.promise != Promise::Given
            || self.leaving.contains(&client)
            || is_inside
            || is_own
            || own.any(|(server, estate)| estate.holds.is_some() || is_busy(*server))
        {
            return Ok(());
        }
        let code = code.unwrap_or("no word");
        Err(format!("the session of {client:?} is ended with {code}, and should have survived"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: End = End::near(1);
    const OTHER: End = End::near(2);
    const SERVER: End = End::near(9);

    const LOST: Farewell<'_> = Farewell { code: Some("08006"), is_inside: false };

    fn quiet(_: End) -> bool {
        false
    }

    fn stays() -> Stays {
        let mut stays = Stays::default();
        stays.promise(Promise::Given);
        stays.speaks(CLIENT, SERVER);
        stays
    }

    #[test]
    fn whoever_has_lost_nothing_stays() {
        let mut stays = stays();
        assert!(stays.ends(CLIENT, LOST, quiet).is_err());
        assert!(stays.ends(CLIENT, Farewell { code: None, is_inside: false }, quiet).is_err());
        assert!(stays.ends(OTHER, LOST, quiet).is_err(), "it was never seen");
        stays.holds(SERVER, Some("a temporary table"));
        stays.holds(SERVER, None);
        assert!(stays.ends(CLIENT, LOST, quiet).is_err(), "it was dropped");
        stays.holds(SERVER, Some("a temporary table"));
        stays.speaks(OTHER, SERVER);
        assert!(stays.ends(CLIENT, LOST, quiet).is_err(), "it is another's");
        assert!(stays.ends(OTHER, LOST, quiet).is_err(), "it has been cleaned up for another");
    }

    #[test]
    fn whoever_has_a_reason_may_be_sent_away() {
        let mut pinned = stays();
        pinned.holds(SERVER, Some("a temporary table"));
        assert_eq!(pinned.ends(CLIENT, LOST, quiet), Ok(()));
        pinned.forget(SERVER);
        assert!(pinned.ends(CLIENT, LOST, quiet).is_err(), "that was earlier");

        assert_eq!(stays().ends(CLIENT, LOST, |server| server == SERVER), Ok(()));
        assert!(stays().ends(OTHER, LOST, |server| server == SERVER).is_err());

        let mut gone = stays();
        gone.leaves(CLIENT);
        assert_eq!(gone.ends(CLIENT, LOST, quiet), Ok(()));
        assert!(gone.ends(OTHER, LOST, quiet).is_err());

        let idle = Farewell { code: Some("57P05"), is_inside: false };
        assert_eq!(stays().ends(CLIENT, idle, quiet), Ok(()));
        assert_eq!(stays().ends(CLIENT, Farewell { code: None, is_inside: true }, quiet), Ok(()));

        let mut stopped = stays();
        stopped.promise(Promise::Over);
        assert_eq!(stopped.ends(CLIENT, LOST, quiet), Ok(()));
        stopped.promise(Promise::Given);
        assert!(stopped.ends(CLIENT, LOST, quiet).is_err(), "it was started again");

        let mut relay = Stays::default();
        relay.promise(Promise::Over);
        assert_eq!(relay.ends(CLIENT, LOST, quiet), Ok(()));
    }
}
