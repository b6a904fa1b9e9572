//! What clients were told is committed and a standby had by then.
//!
//! A log is one history: whoever has a place in it has everything before. So the last promise stands
//! for all of them, as long as each is made by somebody who has the one before.

/// Where a commit ends in the log, and on which timeline it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) lsn: u64,
    pub(crate) timeline: u32,
}

/// The promises.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    last: Option<Place>,
}

impl Ledger {
    /// A client is told by a node that its commit is there, and on as many standbys as it takes;
    /// `has` tells what is in the node's log.
    ///
    /// # Errors
    /// An earlier promise is broken.
    pub(crate) fn promise(
        &mut self,
        node: usize,
        place: Place,
        has: impl Fn(Place) -> bool,
    ) -> Result<(), String> {
        self.keep(node, has)?;
        self.last = self.last.filter(|last| last.lsn > place.lsn).or(Some(place));
        Ok(())
    }

    /// A node takes writes, or is to take them: everything that was promised has to be there.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn keep(&self, node: usize, has: impl Fn(Place) -> bool) -> Result<(), String> {
        match self.last.filter(|last| !has(*last)) {
            None => Ok(()),
            Some(Place { lsn, timeline }) => Err(format!(
                "node {node} is the primary and lacks a commit at {lsn:#x} on timeline {timeline} \
                 that a standby had confirmed"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(lsn: u64, timeline: u32) -> Place {
        Place { lsn, timeline }
    }

    #[test]
    fn whoever_takes_writes_has_what_was_promised() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.keep(1, |_| false), Ok(()), "nothing was promised");
        assert_eq!(ledger.promise(0, at(20, 1), |_| true), Ok(()));
        // Two sessions are told in another order than they committed.
        assert_eq!(ledger.promise(0, at(10, 1), |_| true), Ok(()));
        assert_eq!(ledger.keep(1, |place| place == at(20, 1)), Ok(()));
        assert!(ledger.keep(2, |place| place == at(10, 1)).is_err());
        assert!(ledger.promise(2, at(30, 2), |place| place == at(20, 2)).is_err());
    }
}
