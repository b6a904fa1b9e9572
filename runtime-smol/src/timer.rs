//! One timer a machine.

use std::cell::RefCell;
use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use pgherd_core::machine::Machine;
use smol::Timer;

use crate::driver::Driver;

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
