//! Connections to servers, until they stand.

use std::io;
use std::net::SocketAddr;

use crate::dial::{self, Place};
use crate::mailbox::Mail;
use crate::verdict;
use pgherd_core::id::{BackendId, ConnId};
use pgherd_core::machine::Machine;
use pgherd_core::message::Closed;

use super::{Driver, Event};
use crate::attempt::{Attempt, Progress};
use crate::connection::{Connection, Watched};
use crate::poller::{Incoming, Interest, Key};
use crate::socket::Socket;

impl<M: Machine> Driver<M> {
    pub(super) fn connect(&mut self, id: ConnId, to: BackendId) {
        let mut attempt = Attempt::default();
        let progress = match self.config.backend(to).map(Place::of) {
            Some(Place::Path(path)) => attempt.path(&path),
            Some(Place::Address(address)) => attempt.addresses(vec![address]),
            Some(Place::Name(name, port)) => {
                self.resolve(id, name, port);
                Progress::Waiting
            }
            None => {
                self.events.push_back(Event::Connected(id, Err(Closed::Unresolved)));
                Progress::Waiting
            }
        };
        self.attempts.insert(id, attempt);
        self.advance(id, progress);
    }

    /// Looks up a name on a thread that may block; the answer comes by mail.
    fn resolve(&self, conn: ConnId, name: String, port: u16) {
        let (post, me) = (self.post.clone(), self.me);
        let answer = move || {
            let addresses = dial::resolve(&name, port);
            post.send(me, Mail::Resolved { conn, addresses });
        };
        blocking::unblock(answer).detach();
    }

    pub(super) fn on_resolved(&mut self, id: ConnId, addresses: Vec<SocketAddr>) {
        if let Some(attempt) = self.attempts.get_mut(id) {
            if addresses.is_empty() {
                self.events.push_back(Event::Connected(id, Err(Closed::Unresolved)));
            } else {
                let progress = attempt.addresses(addresses);
                self.advance(id, progress);
            }
            self.pump();
        }
    }

    /// The socket of an attempt has become ready.
    pub(super) fn on_answer(&mut self, id: ConnId, incoming: Incoming) {
        if let Some(attempt) = self.attempts.get_mut(id) {
            let progress = attempt.go_on(incoming);
            self.advance(id, progress);
            self.pump();
        }
    }

    fn advance(&mut self, id: ConnId, progress: Progress) {
        let result = match progress {
            Progress::Waiting => return,
            Progress::Dialled => match self.watch_attempt(id) {
                Ok(()) => return,
                Err(error) => Err(verdict::closed(&error)),
            },
            Progress::Connected => Ok(()),
            Progress::Failed(error) => Err(verdict::closed(&error)),
        };
        self.events.push_back(Event::Connected(id, result));
    }

    fn watch_attempt(&mut self, id: ConnId) -> io::Result<()> {
        match self.attempts.get(id).and_then(|attempt| attempt.socket.as_ref()) {
            Some(socket) => self.poller.add(socket, Key::Conn(id), Interest::Writes),
            None => Ok(()),
        }
    }

    /// Tells the machine what came of an attempt that it has not given up meanwhile.
    pub(super) fn establish(&mut self, id: ConnId, result: Result<(), Closed>) {
        let Some(attempt) = self.attempts.remove(id) else { return };
        let result = result.and_then(|()| self.settle(id, attempt.socket));
        self.machine.handle_connect(self.now, id, result);
    }

    fn settle(&mut self, id: ConnId, socket: Option<Socket>) -> Result<(), Closed> {
        let socket = socket.ok_or(Closed::Broken)?;
        let key = Key::Conn(id);
        // What connects at once was not watched before.
        let watching = match &socket {
            Socket::Tcp(_) => self.poller.change(&socket, key, Interest::Reads),
            Socket::Unix(_) => self.poller.add(&socket, key, Interest::Reads),
        };
        watching.map_err(|error| verdict::closed(&error))?;
        let mut conn = Connection::new(socket);
        conn.watched = Watched::Reads;
        self.conns.insert(id, conn);
        Ok(())
    }
}
