//! What is remembered across restarts: holds of the operator, who was the primary, and who may take
//! writes beside it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Control;
use super::standing::Hold;
use super::watch::Watched;
use crate::id::BackendId;
use crate::memory::{Known, Memory, Texts};
use crate::message::{Message, Peer, Wish};

/// What is remembered, and what was.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// What there is to know at the next start.
    memory: Memory,
    /// What was last written.
    texts: Option<Texts>,
}

impl Control {
    /// Takes note of what was remembered. It is a hint: what servers say overrules it, but for what
    /// the operator has decided, and for who may have writes that the cluster does not know of.
    #[must_use]
    pub fn remembering(mut self, memory: Memory) -> Self {
        for node in &mut self.nodes {
            if memory.detached.iter().any(|known| node.is(known)) {
                log::warn!(
                    "node {} was detached by the operator before the start, and stays so",
                    node.id
                );
                node.hold = Hold::Detached;
            } else if memory.fenced.iter().any(|known| node.is(known)) {
                log::warn!(
                    "node {} was kept out of service before the start, for it may take writes \
                     beside the primary: it serves nobody until it follows the primary, or is \
                     attached",
                    node.id
                );
                node.hold = Hold::Fenced;
            }
        }
        for known in memory.detached.iter().chain(&memory.fenced) {
            if !self.nodes.iter().any(|node| node.is(known)) {
                log::info!(
                    "{known} was kept out of service before the start, and is there no more"
                );
            }
        }
        self.remembered.memory = memory;
        self
    }

    /// Has written what has changed. Before every node was looked at, nothing is known that could
    /// be worth more than what was remembered.
    pub(super) fn remember(&mut self) {
        if self.first_looks.is_some() || self.shutdown.is_some() {
            return;
        }
        let primary = self.nodes.iter().find(|node| Some(node.id) == self.topology.primary);
        let mut memory = self.remembered.memory.clone();
        memory.detached = self.held(Hold::Detached);
        // Until there is a primary, what keeps nodes out may be undone by whoever looks next.
        let fenced = &self.held(Hold::Fenced) | &self.held(Hold::Astray);
        memory.fenced = match primary {
            Some(_) => fenced,
            None => fenced.intersection(&memory.fenced).cloned().collect(),
        };
        memory.primary = primary.map(Watched::known).or(memory.primary);
        memory.cluster = self.cluster.or(memory.cluster);
        let status = |node: &Watched| (node.id, node.fact.status.is_usable());
        memory.note(&self.nodes.iter().map(status).collect::<Vec<_>>());
        let texts = memory.texts();
        self.remembered.memory = memory;
        if self.remembered.texts.as_ref() != Some(&texts) {
            let wish = Wish::Remember(Arc::new(texts.clone()));
            self.outputs.post(Peer::Operator, Message::Wish(wish));
            self.remembered.texts = Some(texts);
        }
    }

    fn held(&self, hold: Hold) -> BTreeSet<Known> {
        self.nodes.iter().filter(|node| node.hold == hold).map(Watched::known).collect()
    }

    /// The cluster that the last primary was of, here or before the start.
    pub(super) fn remembered_cluster(&self) -> Option<u64> {
        self.remembered.memory.cluster
    }

    /// Who was the primary last, here or before the start.
    pub(super) fn remembered_primary(&self) -> Option<BackendId> {
        let known = self.remembered.memory.primary.as_ref()?;
        self.nodes.iter().find(|node| node.is(known)).map(|node| node.id)
    }
}

impl Watched {
    /// How it is written down.
    fn known(&self) -> Known {
        Known { id: self.id, place: Some(self.address()) }
    }

    /// Whether it is what was written down: the server of that host and port, whatever its number.
    fn is(&self, known: &Known) -> bool {
        known.place.as_ref().map_or(self.id == known.id, |place| *place == self.address())
    }

    fn address(&self) -> String {
        let (host, port) = &self.place;
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Files, KeyFile, load};
    use crate::entropy::Entropy;
    use crate::time::{Instant, WallClock, WallTime};

    struct InMemory(String);

    impl Files for InMemory {
        fn read(&self, _: &str) -> Result<String, String> {
            Ok(self.0.clone())
        }

        fn exists(&self, _: &str) -> bool {
            false
        }

        fn key_file(&self) -> Option<KeyFile> {
            None
        }
    }

    fn config(hosts: &[&str]) -> Arc<Config> {
        let backend = |host| format!("[[backends]]\nhostname = \"{host}\"\nport = 5432\n");
        let backends = hosts.iter().map(backend);
        let text = format!("sr_check_user = \"watch\"\n{}", backends.collect::<String>());
        Arc::new(load("test.toml", &InMemory(text)).unwrap().config)
    }

    fn control(hosts: &[&str], memory: Memory) -> Control {
        let clock = WallClock { start: WallTime(0), offset: 0 };
        let entropy = Entropy::from_seed([1; 32]);
        Control::new(config(hosts), entropy, clock, Instant::ZERO).remembering(memory)
    }

    fn known(id: u8, place: &str) -> Known {
        Known { id: BackendId(id), place: Some(format!("{place}:5432")) }
    }

    fn holds(control: &Control) -> Vec<Hold> {
        control.nodes.iter().map(|node| node.hold).collect()
    }

    #[test]
    fn what_is_remembered_is_of_a_server_and_not_of_a_number() {
        let memory = || Memory {
            detached: BTreeSet::from([known(1, "b"), known(3, "gone")]),
            fenced: BTreeSet::from([known(0, "a")]),
            primary: Some(known(2, "c")),
            ..Memory::default()
        };
        let same = control(&["a", "b", "c"], memory());
        assert_eq!(holds(&same), [Hold::Fenced, Hold::Detached, Hold::None]);
        assert_eq!(same.remembered_primary(), Some(BackendId(2)));
        let renumbered = control(&["c", "a", "b"], memory());
        assert_eq!(holds(&renumbered), [Hold::None, Hold::Fenced, Hold::Detached]);
        assert_eq!(renumbered.remembered_primary(), Some(BackendId(0)));
        let nameless = Known { id: BackendId(1), place: None };
        let memory = Memory { detached: BTreeSet::from([nameless]), ..Memory::default() };
        assert_eq!(holds(&control(&["a", "b"], memory)), [Hold::None, Hold::Detached]);
    }

    #[test]
    fn a_reload_that_renumbers_servers_lets_nobody_in() {
        let memory = Memory { detached: BTreeSet::from([known(1, "b")]), ..Memory::default() };
        let mut control = control(&["a", "b", "c"], memory);
        control.on_reload(config(&["a", "c", "b"]));
        assert_eq!(holds(&control), [Hold::None, Hold::None, Hold::Detached]);
    }
}
