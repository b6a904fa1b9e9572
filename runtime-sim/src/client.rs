//! A client program: a bare endpoint that a scenario sends bytes through.

use std::collections::VecDeque;

use pgherd_core::time::Instant;
use pgherd_core::wire::frontend;

use crate::check::Conversation;
use crate::check::marks::Marks;
use crate::end::{Answer, End};
use crate::net::{Read, Write};
use crate::stage::Stage;

/// Bytes that a client holds before it leaves more in its kernel.
const INBOX_LEN_MAX: usize = 1024 * 1024;

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    /// The client closes when everything has been sent.
    Leaving,
    /// The other side has closed; what it sent may still be taken.
    Ended,
    Gone,
}

/// Whether the client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attention {
    Reads,
    Stopped,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    end: Option<End>,
    phase: Phase,
    attention: Attention,
    unsent: VecDeque<u8>,
    inbox: Vec<u8>,
    /// None for a client that has gone past the proxy.
    talk: Option<Conversation>,
    /// Watches for marks of others.
    marks: Option<Marks>,
    /// The client dies once it has got so many more bytes.
    dies_after: Option<usize>,
}

impl Client {
    pub(crate) const fn new(talk: Option<Conversation>) -> Self {
        Self {
            end: None,
            phase: Phase::Connecting,
            attention: Attention::Reads,
            unsent: VecDeque::new(),
            inbox: Vec::new(),
            talk,
            marks: None,
            dies_after: None,
        }
    }

    /// Gives the client a mark of its own.
    pub(crate) fn mark(&mut self, mark: u32) {
        self.marks = Some(Marks::new(mark));
    }

    /// Counts the times that the client got its own mark.
    pub(crate) fn marks_seen(&self) -> u64 {
        self.marks.as_ref().map_or(0, Marks::seen)
    }

    /// Lets the client die once it has got so many more bytes.
    pub(crate) const fn die_after(&mut self, len: usize) {
        self.dies_after = Some(len);
    }

    pub(crate) const fn connecting(&mut self, end: End) {
        self.end = Some(end);
    }

    pub(crate) fn on_connected(&mut self, stage: &mut Stage, answer: Answer) {
        match answer {
            Answer::Refused => self.lose(),
            Answer::Accepted => {
                if self.phase == Phase::Connecting {
                    self.phase = Phase::Open;
                }
                self.flush(stage);
            }
        }
    }

    fn lose(&mut self) {
        self.end = None;
        self.unsent.clear();
        self.phase = Phase::Ended;
    }

    pub(crate) fn send(&mut self, stage: &mut Stage, bytes: &[u8]) {
        if !matches!(self.phase, Phase::Connecting | Phase::Open) {
            return;
        }
        if let (Some(talk), Some(end)) = (&mut self.talk, self.end) {
            let (deeds, stays) = (&mut stage.checks.deeds, &mut stage.checks.stays);
            let said = talk.sent(stage.now, bytes, |seen| {
                deeds.said(end.other(), seen.tag, seen.end);
                if seen.tag == frontend::tag::TERMINATE {
                    stays.leaves(end.other());
                }
            });
            if said.is_err() {
                stays.leaves(end.other());
            }
        }
        self.unsent.extend(bytes);
        self.flush(stage);
    }

    /// Offers what is unsent to the kernel.
    pub(crate) fn flush(&mut self, stage: &mut Stage) {
        let Some(end) = self.end.filter(|_| self.phase != Phase::Connecting) else { return };
        while !self.unsent.is_empty() {
            let (front, _) = self.unsent.as_slices();
            match stage.write(end, front) {
                Write::Took(0) => return,
                Write::Took(len) => drop(self.unsent.drain(..len)),
                Write::Broken => self.unsent.clear(),
            }
        }
        if self.phase == Phase::Leaving {
            stage.close(end);
            self.end = None;
            self.phase = Phase::Gone;
        }
    }

    /// Reads what has come.
    pub(crate) fn read(&mut self, stage: &mut Stage) -> Result<(), String> {
        let Some(end) = self.end else { return Ok(()) };
        while self.attention == Attention::Reads && self.inbox.len() < INBOX_LEN_MAX {
            let at = self.inbox.len();
            match stage.read(end, INBOX_LEN_MAX - at, &mut self.inbox) {
                Read::Bytes(_) => {
                    let new = self.inbox.get(at..).unwrap_or_default();
                    stage.trace.bytes(new);
                    if let Some(talk) = &mut self.talk {
                        talk.got(stage.now, new)?;
                    }
                    if let Some(marks) = &mut self.marks {
                        marks.follow(new)?;
                    }
                    let len = new.len();
                    if let Some(left) = &mut self.dies_after {
                        *left = left.saturating_sub(len);
                        if *left == 0 {
                            self.reset(stage);
                            break;
                        }
                    }
                }
                Read::Nothing => break,
                Read::End | Read::Broken => {
                    stage.close(end);
                    self.lose();
                    break;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.inbox)
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::Gone) && self.inbox.is_empty()
    }

    pub(crate) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    pub(crate) const fn stop_reading(&mut self) {
        self.attention = Attention::Stopped;
    }

    pub(crate) const fn resume_reading(&mut self) {
        self.attention = Attention::Reads;
    }

    /// Since when the client waits for the proxy to say anything; none if it does not, or does not
    /// listen.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        let listens = self.phase == Phase::Open && self.attention == Attention::Reads;
        self.talk.as_ref().filter(|_| listens).and_then(Conversation::waits_since)
    }

    /// From now on the client waits anew.
    pub(crate) fn wait_anew(&mut self, now: Instant) {
        if let Some(talk) = &mut self.talk {
            talk.wait_anew(now);
        }
    }

    /// Returns its end.
    pub(crate) const fn end(&self) -> Option<End> {
        self.end
    }

    /// Closes after everything has been sent.
    pub(crate) fn leave(&mut self, stage: &mut Stage) {
        match self.phase {
            Phase::Connecting | Phase::Open => {
                self.phase = Phase::Leaving;
                self.flush(stage);
            }
            Phase::Leaving | Phase::Ended | Phase::Gone => {}
        }
    }

    /// Dies.
    pub(crate) fn reset(&mut self, stage: &mut Stage) {
        if let Some(end) = self.end.take() {
            stage.reset(end);
        }
        self.unsent.clear();
        self.phase = Phase::Gone;
    }
}
