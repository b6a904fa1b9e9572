//! When a machine's one timer is to fire.

use std::task::Waker;

/// When the timer is set to fire, and who must hear that it should fire sooner.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    pub(crate) armed: Option<std::time::Instant>,
    pub(crate) waker: Option<Waker>,
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
