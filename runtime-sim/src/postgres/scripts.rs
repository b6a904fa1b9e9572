//! The extension `pgpool_recovery` and its scripts in a server's data directory.
//!
//! A script runs in the session that has called it and takes its time. It goes on when its caller has
//! left, and dies with the server.

use std::collections::BTreeMap;

use pgherd_core::time::{Duration, Instant};

use super::value::SqlError;

/// What becomes of the scripts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scripts {
    /// The extension is not there.
    #[default]
    None,
    /// The node gets a copy of the server that runs them, and is started as its standby.
    Work,
    /// The first one fails, and the node's server has been stopped for it.
    CopyFails,
    /// The first one takes long, and fails then.
    CopyHangs,
    /// The second one fails.
    StartFails,
    /// The second one says that the node is started, and it is not.
    StartLies,
    /// The node is started as a server of its own.
    StartsAlone,
}

/// What a script does to another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// It is stopped.
    Stop(usize),
    /// It is stopped, and gets a copy of this one's data as this one's standby.
    Copy(usize),
    /// It is stopped, and gets a copy of this one's data as a server of its own.
    Clone(usize),
    /// It is started.
    Start(usize),
}

/// The scripts of a server.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) scripts: Scripts,
    /// Those that run, by session, and until when.
    running: BTreeMap<u32, Instant>,
    pub(super) errands: Vec<Errand>,
}

/// How long copying takes: long enough for news of it.
const COPY_TIME: Duration = Duration::from_secs(7);

/// How long starting takes.
const START_TIME: Duration = Duration::from_millis(300);

/// How long what hangs takes.
const HANG_TIME: Duration = Duration::from_secs(15);

impl Folder {
    /// Tells whether the extension has functions here.
    pub(super) fn has_functions(&self) -> bool {
        self.scripts != Scripts::None
    }

    /// Finds another session than this in which a script runs.
    pub(super) fn busy(&self, process: u32, now: Instant) -> Option<u32> {
        let running = self.running.iter().filter(|(_, until)| **until > now);
        running.map(|(other, _)| *other).find(|other| *other != process)
    }

    /// Whatever runs dies with the server.
    pub(super) fn crash(&mut self) {
        self.running.clear();
        self.errands.clear();
    }

    /// Runs a script for a node, until its time has come; returns how long that still is.
    pub(super) fn run(
        &mut self,
        function: &str,
        node: Option<usize>,
        process: u32,
        now: Instant,
    ) -> Result<Option<Duration>, SqlError> {
        let is_copy = function == "pgpool_recovery";
        let failed = || SqlError::new("XX000", format!("{function} failed"));
        let node = node.ok_or_else(failed)?;
        let Some(until) = self.running.get(&process).copied() else {
            let takes = match (is_copy, self.scripts == Scripts::CopyHangs) {
                (true, true) => HANG_TIME,
                (true, false) => COPY_TIME,
                (false, _) => START_TIME,
            };
            self.running.insert(process, now + takes);
            return Ok(Some(takes));
        };
        if until > now {
            return Ok(Some(until.since(now)));
        }
        self.running.remove(&process);
        let errand = match (self.scripts, is_copy) {
            (Scripts::CopyFails, true) => {
                self.errands.push(Errand::Stop(node));
                return Err(failed());
            }
            (Scripts::None | Scripts::CopyHangs, _) | (Scripts::StartFails, false) => {
                return Err(failed());
            }
            (Scripts::StartLies, false) => return Ok(None),
            (Scripts::StartsAlone, true) => Errand::Clone(node),
            (_, true) => Errand::Copy(node),
            (_, false) => Errand::Start(node),
        };
        self.errands.push(errand);
        Ok(None)
    }
}
