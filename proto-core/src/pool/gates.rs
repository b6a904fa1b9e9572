//! Where the lines of pools stand, and who comes up when something is free.

use std::ops::Bound;
use std::sync::Arc;

use super::line::{Gate, Place};
use super::{PoolKey, Pools};
use crate::id::BackendId;

impl Pools {
    /// Puts the first in line of a pool before a gate; returns its place there.
    pub(super) fn stand(&mut self, key: &Arc<PoolKey>, gate: Gate) -> Option<Place> {
        let pool = self.pools.get_mut(key)?;
        let server = self.servers.meet(key.backend);
        if let Some(place) = pool.place.take() {
            if let Some(fronts) = server.fronts(key, pool.gate) {
                fronts.remove(&place);
            }
            server.queued -= usize::from(pool.gate.is_shared());
        }
        if pool.gate != Gate::Open {
            pool.from = pool.gate;
        }
        pool.gate = gate;
        let Some(place) = pool.line.front() else {
            // Nobody is left to be looked at: whoever is next at the gate comes up instead.
            let from = std::mem::take(&mut pool.from);
            if gate == Gate::Open {
                self.rouse_gate(key, from);
            }
            return None;
        };
        pool.place = Some(place);
        if let Some(fronts) = server.fronts(key, gate) {
            fronts.insert(place, key.clone());
        }
        server.queued += usize::from(gate.is_shared());
        Some(place)
    }

    /// Has the first in line of a pool looked at.
    pub(super) fn rouse(&mut self, key: &Arc<PoolKey>) {
        let pool = self.pools.get(key);
        if pool.is_some_and(|pool| pool.gate != Gate::Open && !pool.line.is_empty()) {
            self.stand(key, Gate::Open);
        }
    }

    /// Has every first in line for a server looked at.
    pub fn rouse_all(&mut self, backend: BackendId) {
        self.keys(backend).iter().for_each(|key| self.rouse(key));
    }

    /// Has the first looked at before each gate that a pool shares with others.
    pub(super) fn rouse_gates(&mut self, key: &PoolKey) {
        if self.servers.get(key.backend).is_some_and(|server| server.queued > 0) {
            for gate in [Gate::User, Gate::Database, Gate::Server] {
                self.rouse_gate(key, gate);
            }
        }
    }

    /// Has the first looked at before a gate that a pool shares with others.
    pub(super) fn rouse_gate(&mut self, key: &PoolKey, gate: Gate) {
        if !gate.is_shared() {
            return;
        }
        let Some(server) = self.servers.get_mut(key.backend) else { return };
        let first = server.fronts(key, gate).and_then(|fronts| fronts.first_key_value());
        if let Some(first) = first.map(|(_, key)| key.clone()) {
            self.stand(&first, Gate::Open);
        }
    }

    /// Has the next one looked at behind a place before a gate.
    pub(super) fn rouse_behind(&mut self, key: &PoolKey, gate: Gate, place: Place) {
        let Some(server) = self.servers.get_mut(key.backend) else { return };
        let behind = (Bound::Excluded(place), Bound::Unbounded);
        let next = server.fronts(key, gate).and_then(|fronts| fronts.range(behind).next());
        if let Some(next) = next.map(|(_, key)| key.clone()) {
            self.stand(&next, Gate::Open);
        }
    }
}
