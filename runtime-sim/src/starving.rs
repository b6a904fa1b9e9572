//! Nobody waits for longer than all that can be waited for.

use crate::client::Client;
use crate::simulation::Simulation;
use crate::stage::Owner;

impl Simulation {
    /// Reports a client that has waited for so long that nothing can come any more.
    pub(crate) fn look_for_starving(&mut self) {
        let Some(patience) = self.plan.patience else { return };
        let now = self.stage.now;
        for number in 0..self.clients.len() {
            let since = self.clients.get(number).and_then(Client::waits_since);
            let Some(since) = since.filter(|since| now.since(*since) > patience) else { continue };
            if self.is_worked_for(number) || self.process.is_stopped(now) {
                if let Some(client) = self.clients.get_mut(number) {
                    client.wait_anew(now);
                }
                continue;
            }
            let what = format!("client {number} waits since {since}, and nobody works for it");
            self.stage.checks.report(what);
        }
    }

    /// Counts the clients that wait for the proxy while no server works for them.
    #[must_use]
    pub fn waiters(&self) -> usize {
        let waits = |number: &usize| {
            self.clients.get(*number).is_some_and(|client| client.waits_since().is_some())
        };
        let waiting = (0..self.clients.len()).filter(waits);
        waiting.filter(|number| !self.is_worked_for(*number)).count()
    }

    /// Tells whether a server's session sleeps, or waits for others, in a client's behalf.
    fn is_worked_for(&self, number: usize) -> bool {
        let Some(end) = self.clients.get(number).and_then(Client::end) else { return false };
        self.stage.checks.stays.servers_of(end.other()).any(|server| {
            match self.stage.owners.get(&server.other()) {
                Some(Owner::Session { node, process }) => {
                    self.servers.get(*node).is_some_and(|server| server.is_at_work(*process))
                }
                Some(Owner::Client(_) | Owner::Machine(..)) | None => false,
            }
        })
    }
}
