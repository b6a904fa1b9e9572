//! How a switchover went, for the log and for whoever asked: told as soon as every shard has said how
//! long those waited there for whom it took longest.

use super::Control;
use crate::admin::packet::Report;
use crate::admin::reply;
use crate::id::{BackendId, ConnId, Epoch, ShardId};
use crate::limits;
use crate::time::{Duration, Instant};

/// A switchover that is over.
#[derive(Debug)]
pub(super) struct Ended {
    /// Who was the primary.
    pub(super) old: BackendId,
    pub(super) heir: BackendId,
    /// The session of PCP that asked, and waits.
    pub(super) asker: Option<ConnId>,
    /// How long new work was held, if it was.
    pub(super) held: Option<Duration>,
    /// Or why it is undone.
    pub(super) outcome: Result<(), String>,
}

/// A switchover that is over while the shards are asked how long clients have waited.
#[derive(Debug)]
pub(super) struct Stall {
    ended: Ended,
    /// The view of the cluster that ended the hold.
    epoch: Epoch,
    /// The longest waits, by shard.
    longest: Vec<Option<Duration>>,
    /// It is told without those who have not answered by then.
    deadline: Instant,
}

impl Control {
    /// New work begins again: tells how it went, once it is known how long clients have waited.
    pub(super) fn measure_stall(&mut self, ended: Ended) {
        self.tell_stall();
        let longest = match ended.held {
            Some(_) => vec![None; self.shards.len()],
            None => Vec::new(),
        };
        let (epoch, deadline) = (self.topology.epoch, self.now + limits::STALL_REPORT_TIMEOUT);
        self.stall = Some(Stall { ended, epoch, longest, deadline });
        self.pursue_stall();
    }

    /// A shard tells how long those have waited for whom it took longest.
    pub(super) fn on_waited(&mut self, shard: ShardId, epoch: Epoch, longest: Duration) {
        let Some(stall) = self.stall.as_mut().filter(|stall| stall.epoch == epoch) else { return };
        if let Some(of_shard) = stall.longest.get_mut(shard.index()) {
            *of_shard = Some(longest);
        }
        self.pursue_stall();
    }

    pub(super) fn pursue_stall(&mut self) {
        let is_over =
            |stall: &Stall| stall.deadline <= self.now || stall.longest.iter().all(Option::is_some);
        if self.stall.as_ref().is_some_and(is_over) {
            self.tell_stall();
        }
    }

    /// Tells with what is known.
    pub(super) fn tell_stall(&mut self) {
        let Some(Stall { ended, longest, .. }) = self.stall.take() else { return };
        let longest = longest.into_iter().flatten().max().unwrap_or_default().as_millis();
        let held = ended.held.unwrap_or_default().as_millis();
        let waited = format!(
            "new work was held for {held} ms, the longest stall of a client was {longest} ms"
        );
        let (old, heir) = (ended.old, ended.heir);
        let answer = match ended.outcome {
            Ok(()) => {
                let mut lines = vec![format!("node {heir} is the primary; {waited}")];
                if ended.held.is_some() {
                    let further = self.fate_of_deposed(heir);
                    lines.push(format!(
                        "node {old} still runs, takes no writes and is out of service: {further}"
                    ));
                }
                for line in lines {
                    log::warn!("switchover: {line}");
                    if let Some(asker) = ended.asker {
                        self.tell_progress(asker, &line);
                    }
                }
                reply::done(b'd')
            }
            Err(why) => {
                let waited = if ended.held.is_some() && self.topology.primary == Some(old) {
                    format!("; everything is as before, {waited}")
                } else {
                    String::new()
                };
                log::error!("switchover to node {heir} failed: {why}{waited}");
                Report::error("PCP: promote node failed")
                    .because(format!("{why}{waited}"))
                    .compose()
            }
        };
        if let Some(asker) = ended.asker {
            self.answer_waiting(asker, answer);
        }
    }

    /// When it is told at the latest.
    pub(super) fn stall_deadline(&self) -> Option<Instant> {
        self.stall.as_ref().map(|stall| stall.deadline)
    }
}
