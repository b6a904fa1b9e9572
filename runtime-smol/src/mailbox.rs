//! How machines of different threads reach one another.
//!
//! The channels have no bound of their own: what is in them is bounded by the sessions and links
//! that cause messages, and a full mailbox could only be answered by losing one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use pgherd_core::id::ConnId;
use pgherd_core::message::{Arrival, Message, Peer};

use crate::bell::{self, Bell, Ear};
use crate::socket::Socket;

/// What arrives in a mailbox.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A message.
    Message { from: Peer, message: Box<Message> },
    /// A connection that another machine has moved here, with its unread bytes.
    Moved { socket: Socket, unread: Vec<u8>, arrival: Arrival },
    /// The addresses of a server that is to be connected to; none if its name is unknown. From the
    /// thread that asked for them.
    Resolved { conn: ConnId, addresses: Vec<SocketAddr> },
}

/// A machine's own mailbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    mail: Receiver<Mail>,
    pub(crate) ear: Ear,
}

impl Mailbox {
    /// Takes the next piece of mail, if there is one.
    pub(crate) fn take(&self) -> Option<Mail> {
        self.mail.try_recv().ok()
    }
}

/// The slot of a mailbox.
#[derive(Clone, Debug)]
struct Slot {
    mail: Sender<Mail>,
    bell: Bell,
}

impl Slot {
    /// Whether somebody will read it.
    fn put(&self, mail: Mail) -> bool {
        let is_put = self.mail.send(mail).is_ok();
        if is_put {
            self.bell.ring();
        }
        is_put
    }
}

fn mailbox() -> io::Result<(Slot, Mailbox)> {
    let (sender, mail) = channel();
    let (bell, ear) = bell::hang()?;
    Ok((Slot { mail: sender, bell }, Mailbox { mail, ear }))
}

/// The mailboxes of all machines of a process.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    control: Slot,
    shards: Arc<[Slot]>,
}

impl Post {
    /// Makes mailboxes for the control plane and `count` shards.
    pub(crate) fn new(count: usize) -> io::Result<(Self, Mailbox, Vec<Mailbox>)> {
        let (control, control_box) = mailbox()?;
        let mut shards = Vec::with_capacity(count);
        let mut boxes = Vec::with_capacity(count);
        for _ in 0..count {
            let (slot, mailbox) = mailbox()?;
            shards.push(slot);
            boxes.push(mailbox);
        }
        Ok((Self { control, shards: shards.into() }, control_box, boxes))
    }

    /// Puts mail into a mailbox. A machine that has ended receives nothing, as is right.
    pub(crate) fn send(&self, to: Peer, mail: Mail) {
        let slot = match to {
            Peer::Control => Some(&self.control),
            Peer::Shard(id) => self.shards.get(id.index()),
            Peer::Operator => None,
        };
        if slot.is_some_and(|slot| !slot.put(mail)) {
            log::debug!("{to:?} has ended");
        }
    }

    /// Puts a message of the operator into every mailbox.
    pub(crate) fn announce(&self, message: &Message) {
        for slot in self.shards.iter().chain([&self.control]) {
            let message = Box::new(message.clone());
            if !slot.put(Mail::Message { from: Peer::Operator, message }) {
                log::debug!("a machine has ended before it was told");
            }
        }
    }
}
