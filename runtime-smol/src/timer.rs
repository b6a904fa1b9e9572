//! One timer a machine.

use std::cell::RefCell;
use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use pgherd_core::machine::Machine;
use smol::Timer;

use crate::driver::Driver;

/// When the timer is set to fire, and who must hear that it should fire sooner.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    armed: Option<std::time::Instant>,
    waker: Option<Waker>,
}

impl Alarm {
    /// Makes sure that the timer fires by `due`. One that fires too early is set anew then.
    pub(crate) fn require(&mut self, due: Option<std::time::Instant>) {
        let Some(due) = due else { return };
        if self.armed.is_none_or(|armed| due < armed) {
            self.armed = Some(due);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }
}

/// Tells the machine whenever its next deadline has come.
pub(crate) async fn run<M: Machine + 'static>(driver: Rc<RefCell<Driver<M>>>) {
    let mut timer = Timer::never();
    std::future::poll_fn(move |cx| {
        let mut driver = driver.borrow_mut();
        driver.alarm.waker = Some(cx.waker().clone());
        loop {
            match driver.alarm.armed {
                Some(due) => timer.set_at(due),
                None => return Poll::<()>::Pending,
            }
            if Pin::new(&mut timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
            driver.alarm.armed = None;
            driver.on_timeout();
        }
    })
    .await;
}
