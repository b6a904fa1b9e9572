//! How machines of different threads reach one another.
//!
//! The channels have no bound of their own: what is in them is bounded by the sessions and links
//! that cause messages, and a full mailbox could only be answered by losing one.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

use pgherd_core::id::ConnId;
use pgherd_core::message::{Arrival, Message, Peer, Wish};

use crate::bell::{self, Bell, Ear};
use crate::socket::Socket;

/// What arrives in a mailbox.
#[derive(Debug)]
pub enum Mail {
    /// A message.
    Message {
        /// Who posted it.
        from: Peer,
        /// The message.
        message: Box<Message>,
    },
    /// A connection that another machine has moved here, with its unread bytes.
    Moved {
        /// Its socket.
        socket: Socket,
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
pub struct Mailbox {
    mail: Receiver<Mail>,
    /// Tells of mail.
    pub ear: Ear,
}

impl Mailbox {
    /// Takes the next piece of mail, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<Mail> {
        self.mail.try_recv().ok()
    }
}

/// The slot of a mailbox.
#[derive(Debug)]
struct Slot {
    mail: Sender<Mail>,
    bell: Bell,
}

impl Slot {
    /// Gives back what nobody will read.
    fn put(&self, mail: Mail) -> Option<Mail> {
        match self.mail.send(mail) {
            Ok(()) => {
                self.bell.ring();
                None
            }
            Err(returned) => Some(returned.0),
        }
    }
}

fn mailbox() -> io::Result<(Slot, Mailbox)> {
    let (sender, mail) = channel();
    let (bell, ear) = bell::hang()?;
    Ok((Slot { mail: sender, bell }, Mailbox { mail, ear }))
}

/// The mailboxes of all machines of a process.
#[derive(Clone, Debug)]
pub struct Post {
    slots: Arc<Slots>,
}

struct Slots {
    control: Slot,
    shards: Vec<Slot>,
    /// What fulfils wishes, once somebody has said so.
    servant: OnceLock<Servant>,
}

/// What is called with a wish of a machine, on the machine's thread.
pub type Servant = Box<dyn Fn(Wish) + Send + Sync>;

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

impl Post {
    /// Makes mailboxes for the control plane and `count` shards.
    ///
    /// # Errors
    /// There are no more file descriptors.
    pub fn new(count: usize) -> io::Result<(Self, Mailbox, Vec<Mailbox>)> {
        let (control, control_box) = mailbox()?;
        let mut shards = Vec::with_capacity(count);
        let mut boxes = Vec::with_capacity(count);
        for _ in 0..count {
            let (slot, mailbox) = mailbox()?;
            shards.push(slot);
            boxes.push(mailbox);
        }
        let slots = Slots { control, shards, servant: OnceLock::new() };
        Ok((Self { slots: Arc::new(slots) }, control_box, boxes))
    }

    /// Says what fulfils the machines' wishes. It is called on their threads, so it must not wait.
    pub fn heed(&self, servant: Servant) {
        if self.slots.servant.set(servant).is_err() {
            log::debug!("wishes are heeded already");
        }
    }

    /// Puts mail into a mailbox. A machine that has ended receives nothing, as is right.
    pub fn send(&self, to: Peer, mail: Mail) {
        drop(self.offer(to, mail));
    }

    /// Puts mail into a mailbox, or gives it back if the machine has ended.
    #[must_use]
    pub fn offer(&self, to: Peer, mail: Mail) -> Option<Mail> {
        let slot = match to {
            Peer::Control => Some(&self.slots.control),
            Peer::Shard(id) => self.slots.shards.get(id.index()),
            Peer::Operator => return self.wish(mail),
        };
        let returned = match slot {
            Some(slot) => slot.put(mail),
            None => Some(mail),
        };
        returned.inspect(|_| log::debug!("{to:?} has ended"))
    }

    /// Passes a wish on; gives back what is none, or what nobody fulfils.
    fn wish(&self, mail: Mail) -> Option<Mail> {
        if let Mail::Message { message, .. } = &mail
            && let Message::Wish(wish) = message.as_ref()
            && let Some(servant) = self.slots.servant.get()
        {
            servant(wish.clone());
            return None;
        }
        log::warn!("nobody fulfils the wishes of machines here");
        Some(mail)
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn wishes_reach_whoever_heeds_them() {
        let (post, _control, _shards) = Post::new(1).unwrap();
        let wish = || Mail::Message {
            from: Peer::Control,
            message: Box::new(Message::Wish(Wish::Reload)),
        };
        assert!(post.offer(Peer::Operator, wish()).is_some(), "nobody is there yet");
        let (heard, hears) = channel();
        post.heed(Box::new(move |wish| heard.send(wish).unwrap()));
        assert!(post.offer(Peer::Operator, wish()).is_none());
        assert_eq!(hears.try_recv(), Ok(Wish::Reload));
    }
}
