//! Connections to servers, until they stand.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

use futures_lite::future::yield_now;
use pgherd_core::id::{BackendId, ConnId};
use pgherd_core::machine::Machine;
use pgherd_core::message::Closed;
use pgherd_host::dial::{self, Place};
use pgherd_host::verdict;

use super::{Driver, Event};
use crate::connection::Connection;
use crate::socket::Socket;

/// An attempt to connect.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// What is being connected, or stands; none while the name is looked up.
    socket: Option<Socket>,
    /// Addresses that have not been tried, the next one last.
    rest: Vec<SocketAddr>,
    waker: Option<Waker>,
}

impl Attempt {
    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Tries the next address, or fails as the last one did.
    fn next(&mut self, mut last: io::Error) -> io::Result<()> {
        self.socket = None;
        while let Some(address) = self.rest.pop() {
            match dial::tcp(address) {
                Ok(stream) => {
                    self.socket = Some(stream.into());
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Goes on until there is something to wait for.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(socket) = &mut self.socket else { return Poll::Pending };
            // Nothing can be written before it is connected; then, it is writable.
            match socket.poll_write(cx, &[]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => {
                    if let Err(error) = self.next(error) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
    }
}

impl<M: Machine + 'static> Driver<M> {
    pub(super) fn connect(&mut self, id: ConnId, to: BackendId) {
        let mut attempt = Attempt::default();
        let begun = match self.config.backend(to).map(Place::of) {
            Some(Place::Path(path)) => match dial::unix(&path) {
                Ok(stream) => {
                    attempt.socket = Some(stream.into());
                    Ok(())
                }
                Err(error) => Err(verdict::closed(&error)),
            },
            Some(Place::Address(address)) => {
                attempt.rest = vec![address];
                let begun = attempt.next(io::ErrorKind::NotFound.into());
                begun.map_err(|error| verdict::closed(&error))
            }
            Some(Place::Name(name, port)) => {
                self.resolve(id, name, port);
                Ok(())
            }
            None => Err(Closed::Unresolved),
        };
        self.attempts.insert(id, attempt);
        match begun {
            Ok(()) => self.attend(id),
            Err(why) => self.events.push_back(Event::Connected(id, Err(why))),
        }
    }

    /// Looks up a name on a thread that may block.
    fn resolve(&self, id: ConnId, name: String, port: u16) {
        let Some(driver) = self.this.upgrade() else { return };
        let found = glommio::executor().spawn_blocking(move || dial::resolve(&name, port));
        let answer = async move {
            // As every task that is spawned while the driver is borrowed.
            yield_now().await;
            let addresses = found.await;
            driver.borrow_mut().on_resolved(id, addresses);
        };
        glommio::spawn_local(answer).detach();
    }

    pub(super) fn on_resolved(&mut self, id: ConnId, mut addresses: Vec<SocketAddr>) {
        self.now = self.clock();
        let Some(attempt) = self.attempts.get_mut(id) else { return };
        if addresses.is_empty() {
            self.events.push_back(Event::Connected(id, Err(Closed::Unresolved)));
        } else {
            addresses.reverse();
            attempt.rest = addresses;
            match attempt.next(io::ErrorKind::NotFound.into()) {
                Ok(()) => attempt.wake(),
                Err(error) => {
                    let why = verdict::closed(&error);
                    self.events.push_back(Event::Connected(id, Err(why)));
                }
            }
        }
        self.pump();
    }

    /// The turn of a connection that does not stand yet.
    pub(super) fn advance(&mut self, id: ConnId, cx: &mut Context<'_>) {
        let Some(attempt) = self.attempts.get_mut(id) else { return };
        attempt.waker = Some(cx.waker().clone());
        if let Poll::Ready(result) = attempt.go_on(cx) {
            let result = result.map_err(|error| verdict::closed(&error));
            self.events.push_back(Event::Connected(id, result));
            self.pump();
        }
    }

    /// Tells the machine what came of an attempt that it has not given up meanwhile.
    pub(super) fn establish(&mut self, id: ConnId, result: Result<(), Closed>) {
        let Some(attempt) = self.attempts.remove(id) else { return };
        let result = result.and_then(|()| {
            let socket = attempt.socket.ok_or(Closed::Broken)?;
            self.conns.insert(id, Connection::new(socket));
            Ok(())
        });
        self.machine.handle_connect(self.now, id, result);
    }
}
