//! What comes to a driver other than bytes: the time, mail, clients.

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_lite::future::yield_now;
use glommio::timer::Timer;
use pgherd_core::limits;
use pgherd_core::machine::Machine;
use pgherd_core::message::{Arrival, Room};
use pgherd_core::time::Instant;
use pgherd_host::door::{self, Spot};
use pgherd_host::mailbox::Mailbox;

use super::{Driver, dismiss};
use crate::listener::{self, Listener};
use crate::socket::{Fresh, Socket};

/// Clients accepted, and pieces of mail taken, before the connections have their turn.
const ARRIVALS_PER_ROUND: usize = 64;

impl<M: Machine + 'static> Driver<M> {
    pub(super) fn clock(&self) -> Instant {
        let micros = self.start.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// Has the task that keeps the time look at the machine, if it would do so too late.
    pub(super) fn wind(&mut self) {
        let due = self.machine.poll_timeout();
        let is_late = match (due, self.clockwork.armed) {
            (Some(due), Some(armed)) => due < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if (is_late || !self.machine.is_accepting() || self.machine.is_finished())
            && let Some(waker) = self.clockwork.waker.take()
        {
            waker.wake();
        }
    }

    /// Tells the machine the time if it is due; says when to look again.
    fn tick(&mut self, cx: &Context<'_>) -> Option<Instant> {
        self.now = self.clock();
        if self.machine.poll_timeout().is_some_and(|due| due <= self.now) {
            self.machine.handle_timeout(self.now);
            self.pump();
        }
        self.clockwork.waker = Some(cx.waker().clone());
        self.clockwork.armed = self.machine.poll_timeout();
        self.clockwork.armed
    }

    fn arrive(&mut self, fresh: Fresh) {
        match fresh.address() {
            Ok(address) => {
                self.now = self.clock();
                self.accept(fresh, &[], Arrival { address, room: Room::Free });
            }
            Err(error) => log::debug!("a client did not wait: {error}"),
        }
    }

    /// Takes some of the mail; whether there may be more.
    fn take_mail(&mut self, mailbox: &Mailbox<Fresh>) -> bool {
        self.now = self.clock();
        for _ in 0..ARRIVALS_PER_ROUND {
            match mailbox.take() {
                Some(mail) => self.receive(mail),
                None => return false,
            }
        }
        true
    }

    /// Drops everything, so that no task is left with it.
    fn clear(&mut self) {
        for id in self.conns.names() {
            self.conns.remove(id);
        }
        for id in self.attempts.names() {
            self.attempts.remove(id);
        }
    }
}

/// Runs a machine until it is finished.
pub(crate) async fn run<M: Machine + 'static>(
    driver: Rc<RefCell<Driver<M>>>,
    mut listeners: Vec<Listener>,
    mailbox: Mailbox<Fresh>,
    line: Socket,
) {
    let mailbox = Rc::new(mailbox);
    let mail = glommio::spawn_local(attend_mail(driver.clone(), mailbox.clone(), line));
    let mut doors: Vec<Spot> = listeners.iter().map(|listener| listener.spot.clone()).collect();
    // These must go even if no task has another turn.
    let mut files: Vec<_> = listeners.iter_mut().map(|listener| listener.file.take()).collect();
    for listener in listeners {
        glommio::spawn_local(attend_door(driver.clone(), listener)).detach();
    }
    {
        let mut driver = driver.borrow_mut();
        driver.now = driver.clock();
        driver.pump();
    }
    let mut timer = None;
    let mut set = None;
    poll_fn(|cx| {
        let mut driver = driver.borrow_mut();
        loop {
            let due = driver.tick(cx);
            if !driver.machine.is_accepting() {
                // glommio loses a client whom it accepts while that is called off. So it is not:
                // somebody comes to every door, and whoever tends it sees that nobody may.
                doors.drain(..).for_each(|door| listener::knock(&door));
                files.clear();
            }
            if driver.machine.is_finished() {
                return Poll::Ready(());
            }
            if due != set {
                set = due;
                timer = due.map(|due| Timer::new(due.since(driver.now)));
            }
            match timer.as_mut().map(|timer| Pin::new(timer).poll(cx)) {
                Some(Poll::Ready(_)) => (timer, set) = (None, None),
                Some(Poll::Pending) | None => return Poll::Pending,
            }
        }
    })
    .await;
    mail.cancel().await;
    // Clients who came while it ended see the end too.
    while let Some(mail) = mailbox.take() {
        dismiss(mail);
    }
    driver.borrow_mut().clear();
}

/// Brings a machine its mail.
async fn attend_mail<M: Machine + 'static>(
    driver: Rc<RefCell<Driver<M>>>,
    mailbox: Rc<Mailbox<Fresh>>,
    mut line: Socket,
) {
    loop {
        let rung = poll_fn(|cx| line.poll_read(cx, &mut [0; 8])).await;
        if !matches!(rung, Ok(1..)) {
            log::error!("a machine does not hear its bell any more: {rung:?}");
            return;
        }
        mailbox.ear.heard();
        while driver.borrow_mut().take_mail(&mailbox) {
            yield_now().await;
        }
    }
}

/// Brings a machine the clients who come by one listener.
async fn attend_door<M: Machine + 'static>(driver: Rc<RefCell<Driver<M>>>, listener: Listener) {
    let mut arrivals = 0;
    loop {
        match listener.accept().await {
            Ok(fresh) if driver.borrow().machine.is_accepting() => {
                driver.borrow_mut().arrive(fresh);
            }
            Ok(fresh) => {
                // It must be somebody's to be closed.
                Socket::Fresh(fresh).settle();
                return;
            }
            Err(error) if door::is_gone(&error) => {}
            Err(error) => {
                log::warn!("a client could not be accepted: {error}");
                Timer::new(limits::ACCEPT_RETRY_DELAY).await;
            }
        }
        arrivals += 1;
        if arrivals % ARRIVALS_PER_ROUND == 0 {
            yield_now().await;
        }
    }
}
