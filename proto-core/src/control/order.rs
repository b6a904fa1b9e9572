//! Orders to servers: a few queries, over a connection of their own that is closed afterwards.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Control;
use super::watch::introduce;
use crate::auth::answer::Answer;
use crate::auth::passwd::Stored;
use crate::backend::dialogue::{Dialogue, Event, Rows, Trouble};
use crate::failover::fence;
use crate::id::{BackendId, ConnId};
use crate::output::{Close, Output};
use crate::time::{Duration, Instant};
use crate::wire::error::Fields;
use crate::wire::frontend;

/// An order under way.
#[derive(Debug)]
pub(super) struct Order {
    node: BackendId,
    what: What,
    /// What is still to be asked, first first.
    queries: VecDeque<Bytes>,
    /// None until there is a connection.
    dialogue: Option<Box<Dialogue>>,
    /// Never answered later than this.
    deadline: Instant,
}

/// What an order is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The node becomes the primary.
    Promote,
    /// A step on the way of this node to following another primary.
    Follow(BackendId),
    /// The node takes no more writes.
    Fence,
    /// The node takes writes again.
    Lift,
    /// A step of the recovery under way, by the user who recovers.
    Recover,
    /// The node makes a replication slot for the one that is recovered.
    MakeSlot,
    /// The node drops the replication slot of one that was not recovered.
    DropSlot,
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The server has refused it.
    Refused(String),
    /// Nothing is known of it: the server may yet carry it out.
    Unanswered(String),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) | Self::Unanswered(why) => f.write_str(why),
        }
    }
}

impl Control {
    /// Gives an order; [`Control::on_ordered`] hears what came of it, unless it is recalled.
    pub(super) fn order<'a>(
        &mut self,
        node: BackendId,
        what: What,
        queries: impl IntoIterator<Item = &'a str>,
        within: Duration,
    ) -> ConnId {
        let conn = self.names.insert(());
        let queries = queries.into_iter().map(frontend::compose_query).collect();
        let deadline = self.now + within;
        self.orders.insert(conn, Order { node, what, queries, dialogue: None, deadline });
        self.outputs.push(Output::Connect { conn, to: node });
        conn
    }

    /// Has an order forgotten, whatever its server makes of it.
    pub(super) fn recall(&mut self, conn: ConnId) {
        if self.orders.remove(conn).is_some() {
            self.outputs.push(Output::Close { conn, when: Close::Now });
        }
    }

    /// The connection for an order stands.
    pub(super) fn begin_order(&mut self, conn: ConnId) {
        let Some(order) = self.orders.get_mut(conn) else { return };
        let node = order.node;
        let Some(first) = order.queries.pop_front() else { return };
        let dialogue = Box::new(match order.what {
            What::Promote
            | What::Follow(_)
            | What::Fence
            | What::Lift
            | What::MakeSlot
            | What::DropSlot => self.order_dialogue(node, first),
            What::Recover => self.recovery_dialogue(first),
        });
        if let Some(order) = self.orders.get_mut(conn) {
            order.dialogue = Some(dialogue);
        }
        self.carry_on(conn);
    }

    /// Begins a conversation in which a server is told what to do.
    fn order_dialogue(&mut self, node: BackendId, first: Bytes) -> Dialogue {
        let checks = self.config.checks_of(node);
        let (user, password) = self.config.commander_of(node);
        let mut params = introduce(user, &checks.database, "pgherd");
        if user != checks.user {
            let looker = Bytes::copy_from_slice(checks.user.as_bytes());
            params.0.push((Bytes::from_static(fence::LOOKER.as_bytes()), looker));
        }
        let stored = password.cloned().map(Stored::Plain);
        let answer = Answer::new(user, stored.as_ref(), &mut self.entropy);
        Dialogue::new(&params, answer, first)
    }

    /// Reads what a server says to an order and returns how many bytes were taken.
    pub(super) fn read_order(&mut self, conn: ConnId, unread: &[u8]) {
        let dialogue = self.orders.get_mut(conn).and_then(|order| order.dialogue.as_mut());
        let taken = dialogue.map_or(unread.len(), |dialogue| dialogue.handle_read(unread));
        self.outputs.skip(conn, taken);
        self.carry_on(conn);
    }

    /// Carries out what an order's conversation asks for.
    fn carry_on(&mut self, conn: ConnId) {
        while let Some(order) = self.orders.get_mut(conn)
            && let Some(dialogue) = order.dialogue.as_mut()
            && let Some(event) = dialogue.poll_event()
        {
            match event {
                Event::Send(bytes) => self.outputs.push(Output::Send { to: conn, bytes }),
                Event::Answered(rows) => match order.queries.pop_front() {
                    Some(next) => dialogue.ask(next),
                    None => {
                        let bytes = frontend::compose_terminate();
                        self.outputs.push(Output::Send { to: conn, bytes });
                        self.end_order(conn, Close::AfterFlush, Ok(rows));
                    }
                },
                Event::Failed(trouble) => {
                    let why = trouble.to_string();
                    let failed = match &trouble {
                        // Interrupted (class 57), it may be carried out all the same.
                        Trouble::Query(body) if Fields::read(body).code.starts_with(b"57") => {
                            Failed::Unanswered(why)
                        }
                        Trouble::Login(_) | Trouble::Query(_) => Failed::Refused(why),
                        Trouble::Violation(_) => Failed::Unanswered(why),
                    };
                    self.end_order(conn, Close::Now, Err(failed));
                }
            }
        }
    }

    /// An order's connection has ended, or did not come about.
    pub(super) fn on_order_closed(&mut self, conn: ConnId, why: &str) {
        if let Some(order) = self.orders.remove(conn) {
            self.on_ordered(order.node, order.what, conn, Err(Failed::Unanswered(why.to_owned())));
        }
    }

    /// Gives up orders that have taken too long.
    pub(super) fn expire_orders(&mut self) {
        let is_due = |(_, order): &(ConnId, &Order)| order.deadline <= self.now;
        let due: Vec<ConnId> = self.orders.iter().filter(is_due).map(|(conn, _)| conn).collect();
        for conn in due {
            let failed = Failed::Unanswered("no answer in time".to_owned());
            self.end_order(conn, Close::Now, Err(failed));
        }
    }

    /// When the next order has taken too long.
    pub(super) fn order_deadline(&self) -> Option<Instant> {
        self.orders.iter().map(|(_, order)| order.deadline).min()
    }

    fn end_order(&mut self, conn: ConnId, when: Close, ended: Result<Rows, Failed>) {
        let Some(order) = self.orders.remove(conn) else { return };
        self.outputs.push(Output::Close { conn, when });
        self.on_ordered(order.node, order.what, conn, ended);
    }

    /// An order was carried out, or was not.
    fn on_ordered(
        &mut self,
        node: BackendId,
        what: What,
        conn: ConnId,
        ended: Result<Rows, Failed>,
    ) {
        match what {
            What::Promote => self.on_promotion_ordered(node, conn, ended),
            What::Follow(follower) => self.on_follow_ordered(follower, conn, ended),
            What::Fence => self.on_fence_ordered(conn, ended),
            What::Lift => {
                let ended = ended.map(drop).map_err(|why| why.to_string());
                self.on_lift_ordered(node, conn, ended);
            }
            What::Recover => self.on_recovery_ordered(conn, ended),
            What::MakeSlot => self.on_slot_made(conn, ended),
            What::DropSlot => self.on_slot_dropped(conn, ended),
        }
    }

    /// How many unread bytes an order's next message needs.
    pub(super) fn order_hint(&self, conn: ConnId) -> usize {
        let dialogue = self.orders.get(conn).and_then(|order| order.dialogue.as_ref());
        dialogue.map_or(0, |dialogue| dialogue.read_hint())
    }
}
