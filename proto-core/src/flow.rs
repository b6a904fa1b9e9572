//! Backpressure: how full a connection's send queue is, and whether its source may be read.

use crate::limits;

/// The bytes queued to one connection, as the core counts them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    queued: usize,
    gate: Gate,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Gate {
    #[default]
    Open,
    /// From the high-water mark down to the low-water mark.
    Shut,
}

impl Flow {
    /// Counts bytes that are queued.
    pub fn add(&mut self, len: usize) {
        self.queued += len;
        if self.queued >= limits::QUEUE_LEN_HIGH {
            self.gate = Gate::Shut;
        }
    }

    /// Counts bytes that have left. Returns whether the source may be read again and could not
    /// before.
    pub fn sent(&mut self, len: usize) -> bool {
        self.queued = self.queued.saturating_sub(len);
        let reopens = self.gate == Gate::Shut && self.queued <= limits::QUEUE_LEN_LOW;
        if reopens {
            self.gate = Gate::Open;
        }
        reopens
    }

    /// Tells whether the source may be read.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.gate == Gate::Open
    }

    /// Counts the bytes that are queued.
    #[must_use]
    pub const fn queued(&self) -> usize {
        self.queued
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_opens_again_only_when_it_is_nearly_empty() {
        let mut flow = Flow::default();
        flow.add(limits::QUEUE_LEN_HIGH - 1);
        assert!(flow.is_open());
        flow.add(1);
        assert!(!flow.is_open());
        assert!(!flow.sent(1));
        assert!(!flow.is_open());
        assert!(flow.sent(limits::QUEUE_LEN_HIGH - 1 - limits::QUEUE_LEN_LOW));
        assert!(flow.is_open());
        assert_eq!(flow.queued(), limits::QUEUE_LEN_LOW);
    }
}
