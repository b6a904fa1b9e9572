//! How machines of different threads reach one another.
//!
//! The channels have no bound of their own: what is in them is bounded by the sessions and links
//! that cause messages, and a full mailbox could only be answered by losing one.

use std::sync::Arc;

use async_channel::{Receiver, Sender};
use pgherd_core::message::{Arrival, Message, Peer};

use crate::socket::Socket;

/// What arrives in a mailbox.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A message.
    Message { from: Peer, message: Box<Message> },
    /// A connection that another machine has moved here, with its unread bytes.
    Moved { socket: Socket, unread: Vec<u8>, arrival: Arrival },
}

/// The mailboxes of all machines of a process.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    control: Sender<Mail>,
    shards: Arc<[Sender<Mail>]>,
}

impl Post {
    /// Makes mailboxes for the control plane and `count` shards.
    pub(crate) fn new(count: usize) -> (Self, Receiver<Mail>, Vec<Receiver<Mail>>) {
        let (control, control_box) = async_channel::unbounded();
        let (shards, boxes): (Vec<_>, Vec<_>) =
            (0..count).map(|_| async_channel::unbounded()).unzip();
        (Self { control, shards: shards.into() }, control_box, boxes)
    }

    /// Puts mail into a mailbox. A machine that has ended receives nothing, as is right.
    pub(crate) fn send(&self, to: Peer, mail: Mail) {
        let sender = match to {
            Peer::Control => Some(&self.control),
            Peer::Shard(id) => self.shards.get(id.index()),
            Peer::Operator => None,
        };
        if let Some(sender) = sender
            && sender.try_send(mail).is_err()
        {
            log::debug!("{to:?} has ended");
        }
    }

    /// Puts a message of the operator into every mailbox.
    pub(crate) fn announce(&self, message: &Message) {
        for sender in self.shards.iter().chain([&self.control]) {
            let message = Box::new(message.clone());
            if sender.try_send(Mail::Message { from: Peer::Operator, message }).is_err() {
                log::debug!("a machine has ended before it was told");
            }
        }
    }
}
