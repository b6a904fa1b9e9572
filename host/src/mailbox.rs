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

/// What arrives in a mailbox.
#[derive(Debug)]
pub enum Mail<S> {
    /// A message.
    Message {
        /// Who posted it.
        from: Peer,
        /// The message.
        message: Box<Message>,
    },
    /// A connection that another machine has moved here, with its unread bytes.
    Moved {
        /// The runtime's socket.
        socket: S,
        /// What has been read of it and not been taken.
        unread: Vec<u8>,
        /// Where it came from.
        arrival: Arrival,
    },
    /// The addresses of a server that is to be connected to; none if its name is unknown. From the
    /// thread that asked for them.
    Resolved {
        /// The connection that is to be.
        conn: ConnId,
        /// The addresses.
        addresses: Vec<SocketAddr>,
    },
}

/// A machine's own mailbox.
#[derive(Debug)]
pub struct Mailbox<S> {
    mail: Receiver<Mail<S>>,
    /// Tells of mail.
    pub ear: Ear,
}

impl<S> Mailbox<S> {
    /// Takes the next piece of mail, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<Mail<S>> {
        self.mail.try_recv().ok()
    }
}

/// The slot of a mailbox.
#[derive(Debug)]
struct Slot<S> {
    mail: Sender<Mail<S>>,
    bell: Bell,
}

impl<S> Slot<S> {
    /// Gives back what nobody will read.
    fn put(&self, mail: Mail<S>) -> Option<Mail<S>> {
        match self.mail.send(mail) {
            Ok(()) => {
                self.bell.ring();
                None
            }
            Err(returned) => Some(returned.0),
        }
    }
}

fn mailbox<S>() -> io::Result<(Slot<S>, Mailbox<S>)> {
    let (sender, mail) = channel();
    let (bell, ear) = bell::hang()?;
    Ok((Slot { mail: sender, bell }, Mailbox { mail, ear }))
}

/// The mailboxes of all machines of a process.
#[derive(Debug)]
pub struct Post<S> {
    slots: Arc<Slots<S>>,
}

#[derive(Debug)]
struct Slots<S> {
    control: Slot<S>,
    shards: Vec<Slot<S>>,
}

impl<S> Clone for Post<S> {
    fn clone(&self) -> Self {
        Self { slots: self.slots.clone() }
    }
}

impl<S> Post<S> {
    /// Makes mailboxes for the control plane and `count` shards.
    ///
    /// # Errors
    /// There are no more file descriptors.
    pub fn new(count: usize) -> io::Result<(Self, Mailbox<S>, Vec<Mailbox<S>>)> {
        let (control, control_box) = mailbox()?;
        let mut shards = Vec::with_capacity(count);
        let mut boxes = Vec::with_capacity(count);
        for _ in 0..count {
            let (slot, mailbox) = mailbox()?;
            shards.push(slot);
            boxes.push(mailbox);
        }
        Ok((Self { slots: Arc::new(Slots { control, shards }) }, control_box, boxes))
    }

    /// Puts mail into a mailbox. A machine that has ended receives nothing, as is right.
    pub fn send(&self, to: Peer, mail: Mail<S>) {
        drop(self.offer(to, mail));
    }

    /// Puts mail into a mailbox, or gives it back if the machine has ended.
    #[must_use]
    pub fn offer(&self, to: Peer, mail: Mail<S>) -> Option<Mail<S>> {
        let slot = match to {
            Peer::Control => Some(&self.slots.control),
            Peer::Shard(id) => self.slots.shards.get(id.index()),
            Peer::Operator => None,
        };
        let returned = match slot {
            Some(slot) => slot.put(mail),
            None => Some(mail),
        };
        returned.inspect(|_| log::debug!("{to:?} has ended"))
    }

    /// Puts a message of the operator into every mailbox.
    pub fn announce(&self, message: &Message) {
        for slot in self.slots.shards.iter().chain([&self.slots.control]) {
            let message = Box::new(message.clone());
            if slot.put(Mail::Message { from: Peer::Operator, message }).is_some() {
                log::debug!("a machine has ended before it was told");
            }
        }
    }
}
