//! Cancel requests on their way to servers.
//!
//! A link is lent to nobody while a request for it is on its way: the request could hit the next
//! session's statement.

use super::{Canceller, Desk, Notice, TimerKey};
use crate::id::ConnId;
use crate::limits;
use crate::message::{Message, Peer};
use crate::output::{Close, Output};
use crate::wire::frontend;

impl Desk {
    /// Sends a cancel request for what a link runs; `asker` hears when it is done.
    pub fn cancel(&mut self, link_id: ConnId, asker: (Peer, ConnId)) {
        let full = self.cancels.len() >= limits::CANCELS_MAX;
        let link = self.links.get_mut(link_id).filter(|link| !link.pending.is_empty() && !full);
        let Some(link) = link else { return self.on_cancelled(asker) };
        let Some((process, secret)) = &link.key else { return self.on_cancelled(asker) };
        let request = frontend::compose_cancel(*process, secret);
        link.cancels += 1;
        let backend = link.pool.backend;
        let id = self.names.insert(());
        let deadline = self.arm(limits::CANCEL_TIMEOUT, TimerKey::Cancel(id));
        self.cancels.insert(id, Canceller { link: link_id, asker, request, deadline });
        self.outputs.push(Output::Connect { conn: id, to: backend });
    }

    /// A cancel request's connection has been made.
    pub fn on_cancel_connected(&mut self, id: ConnId) {
        if let Some(canceller) = self.cancels.get(id) {
            let bytes = canceller.request.clone();
            self.outputs.push(Output::Send { to: id, bytes });
        }
    }

    /// A cancel request took too long.
    pub fn on_cancel_timeout(&mut self, id: ConnId) {
        if self.cancels.get(id).is_some() {
            self.outputs.push(Output::Close { conn: id, when: Close::Now });
        }
    }

    /// A cancel request's connection has ended: the server has acted on it.
    pub fn on_cancel_closed(&mut self, id: ConnId) {
        let Some(canceller) = self.cancels.remove(id) else { return };
        self.names.remove(id);
        self.timers.disarm(canceller.deadline, TimerKey::Cancel(id));
        if let Some(link) = self.links.get_mut(canceller.link) {
            link.cancels = link.cancels.saturating_sub(1);
            self.settle(canceller.link);
        }
        self.on_cancelled(canceller.asker);
    }

    /// A cancel request found nothing to cancel.
    pub fn cancel_nothing(&mut self, asker: (Peer, ConnId)) {
        self.on_cancelled(asker);
    }

    fn on_cancelled(&mut self, (peer, asker): (Peer, ConnId)) {
        match peer {
            Peer::Shard(shard) if shard == self.shard => {
                self.notices.push_back((asker, Notice::Look));
            }
            Peer::Shard(_) => self.outputs.post(peer, Message::Cancelled { asker }),
            Peer::Control | Peer::Operator => {}
        }
    }
}
