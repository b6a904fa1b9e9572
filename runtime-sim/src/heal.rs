//! The end of all faults, after which the herd has to come to rest.

use std::sync::Arc;

use pgherd_core::topology::Topology;

use crate::client::Client;
use crate::end::Address;
use crate::postgres::Server;
use crate::simulation::Simulation;

impl Simulation {
    /// Ends everything that has befallen the servers and is still in force, and starts those that are
    /// down. What the operator has set up, and what servers were made of each other, stays.
    pub fn heal(&mut self) {
        let stage = &mut self.stage;
        stage.note(format_args!("the faults stop"));
        for (node, server) in self.servers.iter_mut().enumerate() {
            stage.net.pace(Address::Node(node), None);
            server.heal(stage);
        }
        self.herd_changed();
    }

    /// All clients leave without a word.
    pub fn dismiss_clients(&mut self) {
        for client in &mut self.clients {
            Client::reset(client, &mut self.stage);
        }
    }

    /// What the proxy has published last of the herd; nothing if it does not run.
    #[must_use]
    pub fn published(&self) -> Option<&Arc<Topology>> {
        self.stage.checks.published.as_ref()
    }

    /// Counts the commands of the operator's that run for the proxy.
    #[must_use]
    pub fn commands_running(&self) -> usize {
        self.running.values().filter(|running| running.proxy == self.proxies).count()
    }

    /// Tells whether a server is well and takes writes.
    #[must_use]
    pub fn is_primary(&self, node: usize) -> bool {
        self.servers.get(node).is_some_and(|server| server.is_primary() && server.is_well())
    }

    /// Tells whether a server is well and receives what another one writes, from there or by way of
    /// others.
    #[must_use]
    pub fn follows(&self, node: usize, primary: usize) -> bool {
        let source = |node: usize| {
            let server = self.servers.get(node)?;
            server.upstream().filter(|_| server.is_well() && server.is_streaming())
        };
        let mut at = source(node);
        for _ in 0..self.servers.len() {
            if at == Some(primary) {
                return true;
            }
            at = at.and_then(source);
        }
        false
    }
}

impl Server {
    /// Ends what has befallen it and is still in force.
    fn heal(&mut self, stage: &mut crate::stage::Stage) {
        self.thaw(stage);
        self.unmute(stage);
        self.undeafen(stage);
        self.be_harmless();
        self.start(stage);
    }
}
