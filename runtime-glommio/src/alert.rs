//! Waiting for a machine's poller on an executor of glommio's.

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::io;
use std::net;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::AsyncRead as _;
use futures_lite::future::yield_now;
use glommio::net::TcpStream;
use glommio::timer::Timer;
use pgherd_core::limits;

/// A machine's poller, as its executor sees it.
pub(crate) struct Alert {
    poller: OwnedFd,
    /// What is awaited, from one rest to the next until it has told.
    watched: RefCell<Option<TcpStream>>,
}

impl Alert {
    pub(crate) const fn new(poller: OwnedFd) -> Self {
        Self { poller, watched: RefCell::new(None) }
    }

    /// Waits until the poller has something or so much time has passed. If that is none at all,
    /// others have their turn.
    pub(crate) async fn rest(self: Rc<Self>, patience: Option<Duration>) {
        if patience.is_some_and(|patience| patience.is_zero()) {
            return yield_now().await;
        }
        let patience = self.watch().map_or_else(
            |error| {
                log::warn!(
                    "a machine cannot wait for its sockets, and looks now and then: {error}"
                );
                let pause = limits::ACCEPT_RETRY_DELAY;
                Some(patience.map_or(pause, |patience| patience.min(pause)))
            },
            |()| patience,
        );
        let mut timer = patience.map(Timer::new);
        poll_fn(|cx| {
            let is_over = timer.as_mut().is_some_and(|timer| Pin::new(timer).poll(cx).is_ready());
            if is_over { Poll::Ready(()) } else { self.poll_told(cx) }
        })
        .await;
    }

    /// glommio awaits no descriptor but a stream's, so the poller is handed to it as one, which is
    /// awaited from the moment that it is made.
    fn watch(&self) -> io::Result<()> {
        let watched = &mut *self.watched.borrow_mut();
        if watched.is_none() {
            let poller = net::TcpStream::from(self.poller.try_clone()?);
            *watched = Some(TcpStream::from(socket2::Socket::from(poller)));
        }
        Ok(())
    }

    /// When the poller has something, reading is tried, which fails, because it is no stream, and
    /// that is the news. It is told but once, so that the next rest takes another.
    fn poll_told(&self, cx: &mut Context<'_>) -> Poll<()> {
        let watched = &mut *self.watched.borrow_mut();
        let Some(stream) = watched else { return Poll::Pending };
        let told = Pin::new(stream).poll_read(cx, &mut [0]).map(drop);
        if told.is_ready() {
            *watched = None;
        }
        told
    }
}
