//! The end of a machine that nobody asked to end, and who is told of it.

use pgherd_core::message::{Message, Peer, Shutdown};

use crate::mailbox::{Mail, Post};

/// Ends the process if its thread panics: a machine that is gone answers nobody, and a process of
/// which a part is gone is worse than none.
#[derive(Debug)]
pub(crate) struct PanicAlarm {
    me: Peer,
    post: Post,
}

impl PanicAlarm {
    /// Goes off when the thread that holds it panics.
    pub(crate) fn new(me: Peer, post: &Post) -> Self {
        Self { me, post: post.clone() }
    }
}

impl Drop for PanicAlarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            log::error!("{:?} has panicked; the process ends", self.me);
            self.post.announce(&Message::Shutdown(Shutdown::Immediate));
            announce_end(self.me, &self.post);
        }
    }
}

/// Tells the control plane that a machine is no more.
pub(crate) fn announce_end(machine: Peer, post: &Post) {
    let message = Box::new(Message::Drained);
    post.send(Peer::Control, Mail::Message { from: machine, message });
}
