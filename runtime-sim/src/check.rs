//! What must hold after every step of every run, whatever the scenario.
//!
//! Whoever sees a rule broken [reports](Checks::report) it; the run ends there. The rules that
//! need a memory of their own are here: epochs and their primaries, what clients may expect, and
//! which source may write to which destination.

pub(crate) mod crowding;
pub(crate) mod deeds;
pub(crate) mod framing;
pub(crate) mod ledger;
pub(crate) mod marks;
pub(crate) mod provenance;
pub(crate) mod stays;
pub(crate) mod waits;

use std::collections::BTreeMap;
use std::sync::Arc;

use pgherd_core::id::{BackendId, ConnId, Epoch};
use pgherd_core::message::Message;
use pgherd_core::time::Instant;
use pgherd_core::topology::Topology;
use pgherd_core::wire::{backend, frontend};

use self::crowding::Account;
use self::deeds::Deeds;
use self::framing::{Framing, Purpose, Seen, Sender};
use self::ledger::Ledger;
use self::provenance::Provenance;
use self::stays::{Farewell, Promise, Stays};
use self::waits::Waits;

/// Verdicts and what they need.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    broken: Option<String>,
    /// The primary that each epoch was published with.
    primaries: BTreeMap<Epoch, Option<BackendId>>,
    /// The last epoch that was published.
    epoch: Epoch,
    /// The latest timeline that a client has had something written on.
    timeline: u32,
    /// Whom everybody is told of as the primary, until it was looked at.
    pub(crate) crowned: Option<BackendId>,
    /// The last view that was published.
    pub(crate) published: Option<Arc<Topology>>,
    /// What clients were told is committed.
    pub(crate) ledger: Ledger,
    /// What servers have done, and for whose messages.
    pub(crate) deeds: Deeds,
    /// To whose statements servers answer.
    pub(crate) provenance: Provenance,
    /// Who stays, and why somebody may not.
    pub(crate) stays: Stays,
}

impl Checks {
    /// Records that a rule was broken; the first one is what the run fails with.
    pub(crate) fn report(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// Records what somebody has found.
    pub(crate) fn judge(&mut self, found: Result<(), String>) {
        if let Err(what) = found {
            self.report(what);
        }
    }

    /// Returns the first broken rule.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Looks at a message between machines: at most one primary in an epoch, epochs that never
    /// go back.
    pub(crate) fn posted(&mut self, message: &Message) {
        if matches!(message, Message::Shutdown(_)) {
            self.stays.promise(Promise::Over);
        }
        let Message::Topology(topology) = message else { return };
        let (epoch, primary) = (topology.epoch, topology.primary);
        self.published = Some(Arc::clone(topology));
        if epoch < self.epoch {
            self.report(format!("epoch {epoch} was published after epoch {}", self.epoch));
        }
        self.epoch = epoch;
        self.crowned = primary;
        let known = *self.primaries.entry(epoch).or_insert(primary);
        if known != primary {
            let name = |id: Option<BackendId>| id.map_or("none".to_owned(), |id| id.to_string());
            self.report(format!(
                "two primaries in epoch {epoch}: {} and {}",
                name(known),
                name(primary)
            ));
        }
    }

    /// A client that is still there has had something written. Once somebody writes on a timeline,
    /// nobody may write on an earlier one: it would be lost.
    pub(crate) fn wrote(&mut self, node: usize, timeline: u32) {
        if timeline < self.timeline {
            self.report(format!(
                "node {node} was written to on timeline {timeline}, after timeline {} was",
                self.timeline
            ));
        }
        self.timeline = self.timeline.max(timeline);
    }

    /// Forgets the epochs of a process that has ended.
    pub(crate) fn process_ended(&mut self) {
        self.primaries.clear();
        self.epoch = Epoch::default();
        self.published = None;
    }
}

/// Where the bytes of a stream come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Composed by the machine.
    Machine,
    /// Forwarded from a connection.
    Conn(ConnId),
}

/// Watches what a machine sends to one connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    framing: Framing,
    source: Source,
    /// `ReadyForQuery` messages so far.
    ready: usize,
    /// The SQLSTATE of the last word that the machine has composed.
    last_word: Option<String>,
    /// Whom the session is for, if it is one on a server.
    account: Option<Account>,
}

impl Outgoing {
    /// Begins to watch what is sent to a client (as a backend) or a server (as a frontend).
    pub(crate) const fn new(sender: Sender) -> Self {
        Self {
            framing: Framing::new(sender),
            source: Source::Machine,
            ready: 0,
            last_word: None,
            account: None,
        }
    }

    /// Looks at bytes before they are queued.
    ///
    /// A machine may compose the header of a message whose body it forwards; two connections
    /// never share a message, and what the machine composes never lands inside a forwarded one.
    ///
    /// # Errors
    /// Says what is wrong.
    pub(crate) fn follow(&mut self, source: Source, bytes: &[u8]) -> Result<(), String> {
        if source != self.source {
            let composed_header = self.source == Source::Machine;
            if !self.framing.is_at_boundary() && !self.framing.is_lost() && !composed_header {
                return Err(format!("bytes of {source:?} inside a message of {:?}", self.source));
            }
            self.source = source;
        }
        if source == Source::Machine && self.framing.is_at_boundary() {
            self.last_word = last_word(bytes).or(self.last_word.take());
        }
        let was_known = self.framing.purpose() != Purpose::Unknown;
        let ready = &mut self.ready;
        let followed = self.framing.follow(bytes, |seen| {
            *ready += usize::from(seen.tag == backend::tag::READY);
        });
        if !was_known && self.framing.purpose() == Purpose::Session {
            // The machine sends a startup packet in one piece.
            self.account = Some(Account::read(bytes));
        }
        match followed {
            // A client's rubbish may pass to the server, which knows what to say about it.
            Err(_) if matches!(source, Source::Conn(_)) => Ok(()),
            other => other.map_err(|what| format!("the machine sent {what}")),
        }
    }

    /// Says how the stream is ended if it is ended here; none if its client is not logged in.
    pub(crate) fn farewell(&self) -> Option<Farewell<'_>> {
        let is_inside = !self.framing.is_at_boundary() && !self.framing.is_lost();
        self.turn().map(|_| Farewell { code: self.last_word.as_deref(), is_inside })
    }

    /// Returns in which turn of the client's the stream is, counted from the end of its login.
    pub(crate) const fn turn(&self) -> Option<usize> {
        self.ready.checked_sub(1)
    }

    /// Returns whom the session is for that the stream began; none if it is something else.
    pub(crate) const fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }
}

/// The SQLSTATE of a fatal error, if that is what the bytes are.
fn last_word(bytes: &[u8]) -> Option<String> {
    let mut fields = bytes.get(5..)?.split(|byte| *byte == 0);
    let is_fatal = bytes.first() == Some(&backend::tag::ERROR) && fields.next() == Some(b"SFATAL");
    let code = fields.find_map(|field| field.strip_prefix(b"C")).filter(|_| is_fatal);
    code.map(|code| String::from_utf8_lossy(code).into_owned())
}

/// Watches both directions of a client's connection to the proxy.
#[derive(Debug)]
pub(crate) struct Conversation {
    sent: Framing,
    got: Framing,
    /// `ReadyForQuery` messages that the client may have got by now.
    ready_due: u64,
    /// Those that it did get.
    /// `ready_got <= ready_due`
    ready_got: u64,
    waits: Waits,
}

impl Conversation {
    /// Begins; one `ReadyForQuery` ends the login.
    pub(crate) fn new() -> Self {
        Self {
            sent: Framing::new(Sender::Frontend),
            got: Framing::new(Sender::Backend),
            ready_due: 1,
            ready_got: 0,
            waits: Waits::default(),
        }
    }

    /// Looks at bytes that the client sends, which may be rubbish, and tells of every message.
    ///
    /// # Errors
    /// They are rubbish.
    pub(crate) fn sent(
        &mut self,
        now: Instant,
        bytes: &[u8],
        mut said: impl FnMut(Seen),
    ) -> Result<(), String> {
        let due = &mut self.ready_due;
        self.waits.speaks(now);
        let waits = &mut self.waits;
        self.sent.follow(bytes, |seen| {
            waits.says(seen.tag);
            let asks = [frontend::tag::QUERY, frontend::tag::SYNC, frontend::tag::FUNCTION_CALL];
            *due += u64::from(asks.contains(&seen.tag));
            said(seen);
        })
    }

    /// Looks at bytes that the client got; they must never be rubbish.
    ///
    /// # Errors
    /// Says what is wrong.
    pub(crate) fn got(&mut self, now: Instant, bytes: &[u8]) -> Result<(), String> {
        let got = &mut self.ready_got;
        self.waits.hears(now);
        let waits = &mut self.waits;
        self.got.follow(bytes, |seen| {
            waits.gets(seen.tag);
            *got += u64::from(seen.tag == backend::tag::READY);
        })?;
        if self.ready_got > self.ready_due {
            return Err(format!(
                "{} times ReadyForQuery where {} were due",
                self.ready_got, self.ready_due
            ));
        }
        Ok(())
    }

    /// Since when the client waits for the proxy to say anything; none if it does not.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        let is_whole = self.sent.is_at_boundary() && !self.sent.is_lost();
        let is_owed = self.ready_got < self.ready_due;
        let is_logged_in = self.ready_got > 0;
        (is_whole && is_owed).then(|| self.waits.since(is_logged_in)).flatten()
    }

    /// From now on the client waits anew: that it waited so long had a reason.
    pub(crate) fn wait_anew(&mut self, now: Instant) {
        self.waits.wait_anew(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(epoch: u64, primary: u8) -> Message {
        Message::Topology(Arc::new(Topology {
            epoch: Epoch(epoch),
            primary: Some(BackendId(primary)),
            ..Topology::default()
        }))
    }

    #[test]
    fn one_epoch_has_one_primary() {
        let mut checks = Checks::default();
        checks.posted(&topology(4, 0));
        checks.posted(&topology(4, 0));
        checks.posted(&topology(5, 1));
        assert_eq!(checks.broken(), None);
        checks.posted(&topology(5, 0));
        assert_eq!(checks.broken(), Some("two primaries in epoch 5: 1 and 0"));
    }

    #[test]
    fn epochs_never_go_back() {
        let mut checks = Checks::default();
        checks.posted(&topology(5, 0));
        checks.posted(&topology(4, 0));
        assert!(checks.broken().is_some());
    }

    #[test]
    fn a_client_gets_no_more_ready_than_it_asked_for() {
        let mut talk = Conversation::new();
        let now = Instant::ZERO;
        let said = b"\0\0\0\x09\0\x03\0\0\0Q\0\0\0\x05\0";
        assert_eq!(talk.sent(now, said, |_| ()), Ok(()));
        assert_eq!(talk.got(now, b"Z\0\0\0\x05IZ\0\0\0\x05I"), Ok(()));
        assert!(talk.got(now, b"Z\0\0\0\x05I").is_err());
        assert!(Conversation::new().got(now, b"?").is_err());
    }

    #[test]
    fn a_machine_may_not_speak_inside_a_forwarded_message() {
        let conn = pgherd_core::id::Slab::new().insert(());
        let mut outgoing = Outgoing::new(Sender::Backend);
        assert_eq!(outgoing.follow(Source::Machine, b"Z\0\0\0\x05"), Ok(()));
        assert_eq!(outgoing.follow(Source::Conn(conn), b"I"), Ok(()));
        assert_eq!(outgoing.follow(Source::Conn(conn), b"Z\0\0"), Ok(()));
        assert!(outgoing.follow(Source::Machine, b"Z\0\0\0\x05I").is_err());
    }
}
