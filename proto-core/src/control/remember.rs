//! What is remembered across restarts: holds of the operator, and who was the primary.

use std::sync::Arc;

use super::Control;
use super::hold::Hold;
use crate::id::BackendId;
use crate::memory::{Memory, Texts};
use crate::message::{Message, Peer, Wish};
use crate::topology::Status;

/// What is remembered, and what was.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// What there was to know at the start.
    hint: Memory,
    /// What was last written.
    texts: Option<Texts>,
}

impl Control {
    /// Takes note of what was remembered. It is a hint: what servers say overrules it, but for what
    /// the operator has decided.
    #[must_use]
    pub fn remembering(mut self, memory: Memory) -> Self {
        for node in &mut self.nodes {
            if memory.detached.contains(&node.id) {
                log::warn!(
                    "node {} was detached by the operator before the start, and stays so",
                    node.id
                );
                node.hold = Hold::Detached;
            }
        }
        self.remembered.hint = memory;
        self
    }

    /// Has written what has changed. Before every node was looked at, nothing is known that could
    /// be worth more than what was remembered.
    pub(super) fn remember(&mut self) {
        if self.first_looks.is_some() || self.shutdown.is_some() {
            return;
        }
        let detached = self.nodes.iter().filter(|node| node.hold == Hold::Detached);
        let memory = Memory {
            detached: detached.map(|node| node.id).collect(),
            primary: self.topology.primary.or_else(|| self.remembered_primary()),
        };
        let is_up = |status: Status| status.is_usable();
        let nodes: Vec<_> =
            self.nodes.iter().map(|node| (node.id, is_up(node.fact.status))).collect();
        let texts = memory.texts(&nodes);
        self.remembered.hint.primary = memory.primary;
        if self.remembered.texts.as_ref() != Some(&texts) {
            let wish = Wish::Remember(Arc::new(texts.clone()));
            self.outputs.post(Peer::Operator, Message::Wish(wish));
            self.remembered.texts = Some(texts);
        }
    }

    /// Who was the primary last, here or before the start.
    pub(super) fn remembered_primary(&self) -> Option<BackendId> {
        self.remembered.hint.primary
    }
}
