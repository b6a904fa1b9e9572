//! What a recovery that has failed leaves behind: a command that is yet to end, and a replication slot
//! that was made for the node and keeps WAL for nobody.
//!
//! The slot goes when the command has ended, which may use it until then; and a little later still if
//! its server has not noticed that yet.

use std::collections::BTreeMap;

use super::{Control, Recovery, Stage};
use crate::backend::dialogue::Rows;
use crate::config::Backend;
use crate::control::order::{Failed, What};
use crate::failover::slot;
use crate::id::{BackendId, ConnId};
use crate::job::JobId;
use crate::limits;
use crate::message::Shutdown;
use crate::output::Output;
use crate::time::Instant;

/// What is left.
#[derive(Debug, Default)]
pub(in crate::control) struct Leftovers {
    /// Commands that have been recalled.
    commands: BTreeMap<JobId, Command>,
    /// Slots that are to go; no more than there are nodes.
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Command {
    /// For which node it was run.
    node: BackendId,
    slot: Option<Slot>,
}

/// A replication slot that is to go.
#[derive(Debug)]
struct Slot {
    primary: Backend,
    name: String,
    tries: u32,
    stage: Dropping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dropping {
    Ordered(ConnId),
    /// It was still in use, and is dropped then.
    Paused(Instant),
}

impl Leftovers {
    /// Tells whether a command still runs for a node.
    pub(super) fn has(&self, node: BackendId) -> bool {
        self.commands.values().any(|command| command.node == node)
    }

    /// Tells whether nothing is left.
    pub(in crate::control) fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.slots.is_empty()
    }
}

impl Control {
    /// Leaves nothing behind of a recovery that has failed.
    pub(super) fn tidy_up(&mut self, recovery: &Recovery) {
        let (primary, stage) = (recovery.primary.clone(), Dropping::Paused(self.now));
        let slot = recovery.slot.clone().map(|name| Slot { primary, name, tries: 0, stage });
        if let Stage::Running(job) = recovery.stage
            && self.commands.is_running(job)
        {
            // A stop that is to be immediate leaves commands to themselves.
            if self.shutdown != Some(Shutdown::Immediate) {
                self.outputs.push(Output::Recall { id: job });
            }
            let node = recovery.node.id;
            self.leftovers.commands.insert(job, Command { node, slot });
        } else if let Some(slot) = slot {
            self.leftovers.slots.push(slot);
            self.drop_slots();
        }
    }

    /// A command has ended whose recovery has, if it is one.
    pub(super) fn on_leftover_ended(&mut self, job: JobId) {
        let Some(Command { slot, .. }) = self.leftovers.commands.remove(&job) else { return };
        self.leftovers.slots.extend(slot);
        self.drop_slots();
    }

    /// Drops slots that are due.
    pub(in crate::control) fn drop_slots(&mut self) {
        for mut slot in std::mem::take(&mut self.leftovers.slots) {
            if matches!(slot.stage, Dropping::Paused(until) if until <= self.now) {
                let id = slot.primary.id;
                if self.config.backend(id) != Some(&slot.primary) {
                    complain(&slot, "it is in the configuration no more, or not as it was");
                    continue;
                }
                let queries = slot::drop(&slot.name);
                let queries = queries.iter().map(String::as_str);
                let order = self.order(id, What::DropSlot, queries, limits::ORDER_TIMEOUT);
                slot.stage = Dropping::Ordered(order);
                slot.tries += 1;
            }
            self.leftovers.slots.push(slot);
        }
    }

    /// A server has dropped a slot, or has not.
    pub(in crate::control) fn on_slot_dropped(
        &mut self,
        conn: ConnId,
        ended: Result<Rows, Failed>,
    ) {
        let is_it = |slot: &Slot| slot.stage == Dropping::Ordered(conn);
        let Some(at) = self.leftovers.slots.iter().position(is_it) else { return };
        let mut slot = self.leftovers.slots.swap_remove(at);
        match ended {
            Ok(rows) if rows.is_empty() => {
                log::info!("node {}: replication slot {} is gone", slot.primary.id, slot.name);
            }
            Ok(_) if slot.tries < limits::SLOT_DROPS_MAX => {
                slot.stage = Dropping::Paused(self.now + limits::SLOT_DROP_DELAY);
                self.leftovers.slots.push(slot);
            }
            Ok(_) => complain(&slot, "somebody uses it"),
            Err(why) => complain(&slot, &why.to_string()),
        }
    }

    /// When the next slot is to go.
    pub(in crate::control) fn leftover_deadline(&self) -> Option<Instant> {
        let due = self.leftovers.slots.iter().filter_map(|slot| match slot.stage {
            Dropping::Paused(until) => Some(until),
            Dropping::Ordered(_) => None,
        });
        due.min()
    }
}

/// Says that a slot may still be there, and what to do about it.
fn complain(slot: &Slot, why: &str) {
    let (id, name) = (slot.primary.id, &slot.name);
    log::error!(
        "node {id}: replication slot {name} was made for a recovery that has failed, and is not known \
         to be gone: {why}. As long as it is there the server keeps WAL for it; look into \
         pg_replication_slots, and by hand: SELECT pg_drop_replication_slot('{name}')"
    );
}
