//! The control plane: looks at the servers, publishes what the cluster is like, and knows how many
//! clients each shard has and may have.
//!
//! It decides nothing about statements, and shares nothing with shards but messages.

mod admin;
mod commands;
mod failback;
mod failover;
mod fences;
mod follow;
mod hold;
mod inquiries;
mod leave;
pub(crate) mod ledger;
mod lineage;
mod order;
mod record;
mod recovery;
mod remember;
mod stall;
mod standing;
mod switchover;
mod unseen;
pub mod view;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clients::{Allotment, Register};
use crate::config::{Backend, Config};
use crate::entropy::Entropy;
use crate::health::probe;
use crate::id::{BackendId, ConnId, ShardId, Slab, Table};
use crate::limits;
use crate::machine::Machine;
use crate::message::{Arrival, Closed, Message, Peer, Shutdown};
use crate::output::{Close, Output, Outputs};
use crate::time::{Instant, WallClock};
use crate::topology::{Seen, Topology};
use crate::wire::frontend;
use admin::Admins;
use commands::Commands;
use failover::Failover;
use fences::Fences;
use follow::Follow;
use inquiries::Inquiries;
use leave::Leave;
use ledger::Ledger;
use order::Order;
use recovery::{Demotions, Leftovers, Recovery};
use remember::Remembered;
use stall::Stall;
use switchover::Switchover;
use unseen::Plight;
use view::{Fact, Looks};
use watch::{Doubt, Look, Use, Watched};

/// The control plane of one process.
#[derive(Debug)]
pub struct Control {
    config: Arc<Config>,
    clock: WallClock,
    entropy: Entropy,
    now: Instant,
    outputs: Outputs,
    names: Slab<()>,
    /// Which node each connection looks at.
    looks: Table<BackendId>,
    nodes: Vec<Watched>,
    topology: Arc<Topology>,
    failover: Failover,
    /// Who was told to become the primary, in vain, and may yet carry it out until then.
    told: BTreeMap<BackendId, Instant>,
    switchover: Option<Switchover>,
    stall: Option<Stall>,
    leave: Option<Leave>,
    /// The last primary that there was.
    last_primary: Option<BackendId>,
    /// The primary, if it is one by the operator's word.
    appointed: Option<BackendId>,
    /// Who has handed over to it, where somebody has.
    deposed: Option<BackendId>,
    fences: Fences,
    follows: BTreeMap<BackendId, Follow>,
    commands: Commands,
    orders: Table<Order>,
    recovery: Option<Recovery>,
    leftovers: Leftovers,
    demotions: Demotions,
    /// When nodes of which a change is awaited are looked at again.
    haste: Option<Instant>,
    remembered: Remembered,
    /// Why nothing is done about there being no primary, as the log has it.
    plight: Option<Plight>,
    /// The timeline of the last primary: one that takes writes on an earlier one is an old one.
    last_timeline: Option<u32>,
    /// The cluster that the last primary was of.
    cluster: Option<u64>,
    /// Until when it is waited for the first look at every node; none once they are made.
    first_looks: Option<Instant>,
    /// Whether every node was looked at once.
    are_all_known: bool,
    /// Since when the signs are that a primary was lost before the start.
    unseen_since: Option<Instant>,
    shards: Vec<Member>,
    inquiries: Inquiries,
    admins: Admins,
    ledger: Ledger,
    register: Register,
    allotment: Allotment,
    shutdown: Option<Shutdown>,
    /// Until when the end waits for servers that are to take writes again, and for what a recovery
    /// leaves behind.
    stop_by: Option<Instant>,
}

/// A shard, as the control plane sees it.
#[derive(Clone, Copy, Debug, Default)]
struct Member {
    is_drained: bool,
}

impl Control {
    /// Makes the control plane of a process with as many shards as `config.worker_threads`.
    #[must_use]
    pub fn new(config: Arc<Config>, entropy: Entropy, clock: WallClock, now: Instant) -> Self {
        let shards = vec![Member::default(); config.worker_threads.max(1)];
        let mut control = Self {
            clock,
            entropy,
            now,
            outputs: Outputs::default(),
            names: Slab::new(),
            looks: Table::new(),
            nodes: Vec::new(),
            topology: Arc::new(Topology::default()),
            failover: Failover::None,
            told: BTreeMap::new(),
            switchover: None,
            stall: None,
            leave: None,
            last_primary: None,
            appointed: None,
            deposed: None,
            fences: Fences::default(),
            follows: BTreeMap::new(),
            commands: Commands::default(),
            orders: Table::new(),
            recovery: None,
            leftovers: Leftovers::default(),
            demotions: Demotions::default(),
            haste: None,
            remembered: Remembered::default(),
            plight: None,
            last_timeline: None,
            cluster: None,
            first_looks: Some(now + limits::FIRST_LOOKS_TIMEOUT),
            are_all_known: false,
            unseen_since: None,
            ledger: Ledger::new(&config.pool, shards.len()),
            register: Register::new(shards.len()),
            allotment: Allotment::new(config.client_max, shards.len()),
            shards,
            inquiries: Inquiries::default(),
            admins: Admins::default(),
            shutdown: None,
            stop_by: None,
            config,
        };
        control.watch();
        control
    }

    fn post_all(&mut self, message: &Message) {
        for (number, _) in (0u16..).zip(&self.shards) {
            self.outputs.post(Peer::Shard(ShardId(number)), message.clone());
        }
    }

    /// Tells shards what the ledger has for them.
    fn post_leases(&mut self) {
        while let Some((shard, limit, lease)) = self.ledger.poll_output() {
            self.outputs.post(Peer::Shard(shard), Message::Lease { limit, lease });
        }
    }

    /// Tells shards what the allotment has for them.
    fn post_places(&mut self) {
        while let Some((shard, places)) = self.allotment.poll_output() {
            self.outputs.post(Peer::Shard(shard), Message::Places(places));
        }
    }

    /// Tells shards how many clients all have, if it is time.
    fn post_rolls(&mut self) {
        for (shard, roll) in self.register.tell(self.now) {
            self.outputs.post(Peer::Shard(shard), Message::Roll(roll));
        }
    }

    fn index_of(&self, id: BackendId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// Publishes what the cluster is like, if it has changed or if somebody doubts it.
    fn publish(&mut self, doubt: Doubt) {
        let looks = self.note_looks();
        let facts: Vec<(&Backend, &Fact)> = self
            .nodes
            .iter()
            .filter_map(|node| Some((self.config.backend(node.id)?, &node.fact)))
            .collect();
        let next = view::derive(&self.topology, &facts, self.cluster(), looks, self.intake());
        if next == *self.topology && doubt == Doubt::None {
            return self.remember();
        }
        if next.primary != self.topology.primary {
            match next.primary {
                Some(id) => log::info!("epoch {}: node {id} is the primary", next.epoch),
                None if next.is_held() => {
                    log::info!("epoch {}: writes wait for the switchover", next.epoch);
                }
                None => log::error!("epoch {}: there is no primary; writes wait", next.epoch),
            }
        }
        self.note_changes(&next);
        if next.primary.is_some() && next.primary != self.appointed {
            (self.appointed, self.deposed) = (None, None);
        }
        self.last_primary = next.primary.or(self.last_primary);
        self.topology = Arc::new(next);
        if let Some((primary, timeline)) = self.leader() {
            self.last_timeline = Some(timeline);
            self.cluster = self.sighting(primary).map(|sighting| sighting.system);
        }
        self.post_all(&Message::Topology(self.topology.clone()));
        self.remember();
    }

    /// Notes whether every node has been looked at. Whoever was the primary before the start is
    /// waited for until it has answered or its round of looks has failed.
    fn note_looks(&mut self) -> Looks {
        let is_known = |node: &Watched| node.fact.seen != Seen::Unknown;
        let was = self.remembered_primary();
        let all_are = self.nodes.iter().all(is_known);
        let may_go_on = self.nodes.iter().all(|node| is_known(node) || Some(node.id) != was);
        let is_time = self.first_looks.is_some_and(|until| until <= self.now);
        if all_are || (is_time && may_go_on) {
            self.first_looks = None;
        } else if is_time {
            self.first_looks = Some(self.now + limits::FIRST_LOOKS_TIMEOUT);
        }
        match (self.first_looks, self.are_all_known) {
            (Some(_), _) => Looks::Begun,
            // Also the view in which the last of them is known is made without regard to those before.
            (None, false) => {
                self.are_all_known = all_are;
                Looks::Some
            }
            (None, true) => Looks::Done,
        }
    }

    fn on_reload(&mut self, config: Arc<Config>) {
        let primary = self.topology.primary;
        self.config = config;
        self.watch();
        if let Some(id) = primary.filter(|id| self.config.backend(*id).is_none()) {
            log::error!(
                "node {id}, the primary, is in the configuration no more: no other is promoted, for \
                 it may go on to take writes. Whichever other node is or becomes a primary is found"
            );
        }
        self.ledger.set_policy(&self.config.pool);
        self.post_leases();
        self.allotment.set_max(self.config.client_max);
        self.post_places();
        self.publish(Doubt::None);
        self.pursue();
        self.gather_followers();
    }

    fn on_shutdown(&mut self, how: Shutdown) {
        if self.shutdown.is_none() {
            log::info!("stopping: {how:?}");
        }
        self.shutdown = self.shutdown.max(Some(how));
        self.stop_by = match how {
            Shutdown::Immediate => None,
            Shutdown::Smart | Shutdown::Fast => Some(self.now + limits::STOP_PATIENCE),
        };
        if how != Shutdown::Immediate {
            self.abandon_switchover();
        }
        if how == Shutdown::Immediate {
            self.dismiss_admins(Close::Now);
        }
    }

    fn on_drained(&mut self, from: ShardId) {
        if let Some(member) = self.shards.get_mut(from.index()) {
            member.is_drained = true;
        }
        self.inquiries.leave(from);
        self.ledger.leave(from);
        self.post_leases();
        self.allotment.leave(from);
        self.post_places();
        self.tell_askers();
    }

    /// Ends what is under way once there are no clients and no server is stopped on their behalf; whatever
    /// has happened may have been the last that was waited for.
    fn end_if_drained(&mut self) {
        if self.is_over() {
            self.stop_recovery();
        }
        // What a recovery leaves behind may be waited for.
        if self.is_over() {
            self.orders.names().into_iter().for_each(|conn| self.recall(conn));
            for at in 0..self.nodes.len() {
                if let Some(Look::Open { conn, .. }) = self.nodes.get(at).map(|node| &node.look) {
                    let bytes = frontend::compose_terminate();
                    self.outputs.push(Output::Send { to: *conn, bytes });
                }
                self.abandon(at);
            }
            self.dismiss_admins(Close::AfterFlush);
        }
    }
}

impl Control {
    /// Reads what has come over a connection.
    fn read(&mut self, conn: ConnId, unread: &[u8]) {
        if self.orders.get(conn).is_some() {
            return self.read_order(conn, unread);
        }
        if self.admins.is_one(conn) {
            return self.on_admin_read(conn, unread);
        }
        let Some(at) = self.looks.get(conn).and_then(|id| self.index_of(*id)) else {
            return self.outputs.skip(conn, unread.len());
        };
        if let Some(node) = self.nodes.get_mut(at)
            && let Look::Open { conn: open, dialogue, .. } = &mut node.look
            && *open == conn
        {
            let taken = dialogue.handle_read(unread);
            self.outputs.skip(conn, taken);
        }
        self.carry_out(at);
    }
}

impl Machine for Control {
    fn handle_accept(&mut self, now: Instant, arrival: Arrival) -> ConnId {
        self.now = now;
        let conn = self.names.insert(());
        self.admit_admin(conn, arrival.address);
        conn
    }

    fn handle_connect(&mut self, now: Instant, conn: ConnId, result: Result<(), Closed>) {
        self.now = now;
        if let Err(why) = result {
            log::debug!("no connection: {why}");
            return self.handle_close(now, conn, why);
        }
        if self.orders.get(conn).is_some() {
            return self.begin_order(conn);
        }
        let Some(id) = self.looks.get(conn).copied() else { return };
        let Some(at) = self.index_of(id) else { return };
        let dialogue = Box::new(self.dialogue(id, frontend::compose_query(probe::QUERY)));
        if let Some(node) = self.nodes.get_mut(at)
            && matches!(node.look, Look::Connecting(open, _) if open == conn)
        {
            node.look = Look::Open { conn, dialogue, use_: Use::Fresh };
        }
        self.carry_out(at);
    }

    fn handle_read(&mut self, now: Instant, conn: ConnId, unread: &[u8]) {
        self.now = now;
        self.read(conn, unread);
        self.attend_recovery();
        self.end_if_drained();
    }

    fn handle_sent(&mut self, now: Instant, conn: ConnId, len: usize) {
        self.now = now;
        self.on_admin_sent(conn, len);
    }

    fn handle_close(&mut self, now: Instant, conn: ConnId, why: Closed) {
        self.now = now;
        self.on_order_closed(conn, &why.to_string());
        self.on_conn_closed(conn);
        self.attend_recovery();
        self.end_if_drained();
    }

    fn handle_message(&mut self, now: Instant, from: Peer, message: Message) {
        self.now = now;
        match (from, message) {
            (_, Message::Reload(config)) => self.on_reload(config),
            (_, Message::Shutdown(how)) => self.on_shutdown(how),
            (_, Message::Suspect { backend, sign, .. }) => self.on_suspect(backend, sign),
            (_, Message::InUse { backend }) => self.on_in_use(backend),
            (Peer::Shard(shard), Message::Headcount(headcount)) => {
                self.register.hear(shard, &headcount);
                self.post_rolls();
            }
            (Peer::Shard(shard), Message::Places(places)) => {
                self.allotment.handle(shard, places);
                self.post_places();
            }
            (Peer::Shard(shard), Message::Quiet { epoch }) => {
                self.on_quiet(shard, epoch);
                self.on_left(shard, epoch);
            }
            (Peer::Shard(shard), Message::Waited { epoch, longest }) => {
                self.on_waited(shard, epoch, longest);
            }
            (Peer::Shard(shard), Message::Ask { asker, view }) => self.on_ask(shard, asker, view),
            (Peer::Shard(shard), Message::Collected { number, sheet }) => {
                self.inquiries.answer(number, shard, sheet);
                self.tell_askers();
            }
            (Peer::Shard(shard), Message::Lease { limit, lease }) => {
                self.ledger.handle_lease(shard, limit, lease);
                self.post_leases();
            }
            (Peer::Shard(shard), Message::Drained) => self.on_drained(shard),
            (_, Message::Ended { job, ending }) => self.on_ended(job, &ending),
            _ => {}
        }
        self.attend_recovery();
        self.end_if_drained();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.look_after_admins();
        if self.is_over() {
            self.end_if_drained();
            return;
        }
        let due: Vec<BackendId> = self
            .nodes
            .iter()
            .filter(|node| node.rounds.poll_timeout() <= now)
            .map(|node| node.id)
            .collect();
        for id in due {
            if let Some(at) = self.index_of(id)
                && let Some(node) = self.nodes.get_mut(at)
            {
                if matches!(node.look, Look::Open { use_: Use::Kept, .. }) {
                    node.rounds.ask_afresh(now);
                }
                node.rounds.handle_timeout(now);
            }
            self.drive(id);
        }
        self.expire_connects();
        if self.first_looks.is_some_and(|until| until <= now) {
            self.publish(Doubt::None);
            self.judge_others();
            self.seek_unseen();
        }
        self.expire_orders();
        self.pursue();
        self.pursue_stall();
        self.press_followers();
        self.attend_recovery();
        self.drop_slots();
        self.look_hastily();
        self.post_rolls();
        self.end_if_drained();
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let admins = self.admins.poll_timeout();
        if self.is_over() {
            return admins;
        }
        let rounds = self.nodes.iter().map(|node| node.rounds.poll_timeout());
        let others = [
            self.order_deadline(),
            self.failover_deadline(),
            self.switchover_deadline(),
            self.stall_deadline(),
            self.fence_deadline(),
            self.stop_by.filter(|_| self.is_lifting() || !self.leftovers.is_empty()),
            self.leave_deadline(),
            self.follow_deadline(),
            self.recovery_deadline(),
            self.leftover_deadline(),
            self.haste,
            self.connect_deadline(),
            self.first_looks,
            self.register.poll_timeout(),
            admins,
        ];
        rounds.chain(others.into_iter().flatten()).min()
    }

    fn wants_read(&self, conn: ConnId) -> bool {
        self.admins.wants_read(conn)
    }

    fn read_hint(&self, conn: ConnId) -> usize {
        if self.admins.is_one(conn) {
            return 1 + limits::ADMIN_REQUEST_LEN_MAX;
        }
        let at = self.looks.get(conn).and_then(|id| self.index_of(*id));
        match at.and_then(|at| self.nodes.get(at)).map(|node| &node.look) {
            Some(Look::Open { dialogue, .. }) => dialogue.read_hint(),
            Some(Look::None | Look::Connecting(..)) | None => self.order_hint(conn),
        }
    }

    fn is_accepting(&self) -> bool {
        self.shutdown.is_none()
    }

    fn is_finished(&self) -> bool {
        // A command that was cut off in the middle of a promotion would leave that half done.
        let has_time = self.shutdown != Some(Shutdown::Immediate);
        self.is_over() && self.names.is_empty() && !(has_time && self.commands.are_running())
    }
}

impl Control {
    fn is_over(&self) -> bool {
        let is_patient = self.stop_by.is_some_and(|until| self.now < until);
        self.shutdown.is_some()
            && self.shards.iter().all(|member| member.is_drained)
            && !(is_patient && (self.is_lifting() || !self.leftovers.is_empty()))
    }
}
