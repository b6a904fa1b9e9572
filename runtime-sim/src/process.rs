//! One pgherd: several shards and a control plane, and the mailboxes between them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use pgherd_core::config::Config;
use pgherd_core::entropy::Entropy;
use pgherd_core::id::ShardId;
use pgherd_core::machine::Machine;
use pgherd_core::message::{Door, Hop, Message, Peer, Shutdown, Wish};
use pgherd_core::time::Instant;

use crate::agenda::Event;
use crate::check::crowding::{Account, Crowding, Session};
use crate::check::stays::Promise;
use crate::driver::{Host, Input, Letter, arrival, post_delay};
use crate::end::{Address, Answer, End, Notice};
use crate::plan::Plan;
use crate::stage::Stage;

/// Makes the machines of a proxy: one for each shard and one for the control plane. None where
/// the proxy under test has no such machine.
pub type Machines = dyn Fn(Peer, Entropy, Instant) -> Option<Box<dyn Machine>>;

/// What a shell calls the exit of a process that SIGKILL has ended.
const KILLED: i32 = 137;

/// In so many microseconds a process that gets the processor again does what has become due.
const RESUMPTION_MICROS: usize = 500;

/// The machines of one proxy.
pub(crate) struct Process {
    hosts: BTreeMap<Peer, Host>,
    /// One mailbox for each pair, so that one sender's messages keep their order.
    mail: BTreeMap<(Peer, Peer), VecDeque<Letter>>,
    crowding: Crowding,
    /// What the machines wish of their operator, oldest first.
    wishes: VecDeque<Wish>,
    exit_code: Option<i32>,
    /// Until when it does not get the processor.
    stopped_until: Instant,
    /// A machine has done something since the last look at what they hold.
    has_acted: bool,
}

impl Process {
    /// Starts the machines.
    pub(crate) fn start(plan: &Plan, machines: &Machines, stage: &mut Stage) -> Self {
        let shards = (0..plan.shards).map(|shard| Peer::Shard(ShardId(shard)));
        let mut process = Self {
            hosts: BTreeMap::new(),
            mail: BTreeMap::new(),
            crowding: Crowding::new(plan.pools.clone()),
            wishes: VecDeque::new(),
            exit_code: None,
            stopped_until: Instant::ZERO,
            has_acted: false,
        };
        for name in shards.chain([Peer::Control]) {
            let entropy = stage.chance.split();
            if let Some(machine) = machines(name, entropy, stage.now) {
                let host = Host::new(name, machine);
                process.hosts.insert(name, host);
            }
        }
        let is_patient = plan.patience.is_some();
        stage.checks.stays.promise(if is_patient { Promise::Given } else { Promise::None });
        let names: Vec<Peer> = process.hosts.keys().copied().collect();
        for name in names {
            process.with(stage, name, Host::start);
        }
        process
    }

    /// Lets one machine do something, and sees to what follows for the others.
    pub(crate) fn with(
        &mut self,
        stage: &mut Stage,
        name: Peer,
        what: impl FnOnce(&mut Host, &mut Stage),
    ) {
        let Some(host) = self.hosts.get_mut(&name) else { return };
        self.has_acted = true;
        what(host, stage);
        for (to, letter) in host.letters() {
            self.post(stage, name, to, letter);
        }
        for (door, address) in [(Door::Sql, Address::Proxy), (Door::Pcp, Address::Admin)] {
            let is_open = !self.acceptors(door).is_empty();
            stage.listen(address, if is_open { Answer::Accepted } else { Answer::Refused });
        }
        if self.hosts.values().all(|host| host.machine().is_finished()) {
            self.end(stage, 0);
        }
    }

    fn post(&mut self, stage: &mut Stage, from: Peer, to: Peer, letter: Letter) {
        if let (Peer::Operator, Letter::Message(message)) = (to, &letter)
            && let Message::Wish(wish) = message.as_ref()
        {
            return self.wishes.push_back(wish.clone());
        }
        if !self.hosts.contains_key(&to) {
            return stage.checks.report(format!("{from:?} posts to {to:?}, who is not there"));
        }
        self.mail.entry((from, to)).or_default().push_back(letter);
        let delay = post_delay(stage);
        stage.agenda.after(stage.now, delay, Event::Mail { from, to });
    }

    /// Delivers the oldest letter of a pair.
    pub(crate) fn deliver(&mut self, stage: &mut Stage, from: Peer, to: Peer) {
        let letter = self.mail.get_mut(&(from, to)).and_then(VecDeque::pop_front);
        let input = match letter {
            Some(Letter::Message(message)) => Input::Message(from, message),
            Some(Letter::Socket(socket, arrival)) => Input::Adopt(socket, arrival),
            None => return,
        };
        self.with(stage, to, |host, stage| host.run(stage, input));
    }

    /// A client has connected. One of those who listen at the door accepts it, whichever: so does
    /// the kernel choose by a hash of the addresses.
    pub(crate) fn accept(&mut self, stage: &mut Stage, end: End, door: Door) {
        let acceptors = self.acceptors(door);
        let Some(last) = acceptors.len().checked_sub(1) else { return stage.reset(end) };
        let Some(name) = acceptors.get(stage.chance.between(0, last)) else { return };
        let input = Input::Accept(end, arrival(Hop::None, door));
        self.with(stage, *name, |host, stage| host.run(stage, input));
    }

    /// Who listens at a door: every shard for clients, the control plane for administrators.
    fn acceptors(&self, door: Door) -> Vec<Peer> {
        let is_theirs = |name: Peer| match door {
            Door::Sql => matches!(name, Peer::Shard(_)),
            Door::Pcp => name == Peer::Control,
        };
        let hosts = self.hosts.iter();
        let open = hosts.filter(|(name, host)| is_theirs(**name) && host.machine().is_accepting());
        open.map(|(name, _)| *name).collect()
    }

    /// Takes the oldest wish of the machines.
    pub(crate) fn take_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    /// Stops in one of three ways.
    pub(crate) fn shutdown(&mut self, stage: &mut Stage, how: Shutdown) {
        stage.checks.stays.promise(Promise::Over);
        self.tell_all(stage, &Message::Shutdown(how));
    }

    /// Takes a new configuration into effect.
    pub(crate) fn reload(&mut self, stage: &mut Stage, config: &Arc<Config>) {
        self.crowding.also(config.pool.clone());
        self.tell_all(stage, &Message::Reload(Arc::clone(config)));
    }

    fn tell_all(&mut self, stage: &mut Stage, message: &Message) {
        let names: Vec<Peer> = self.hosts.keys().copied().collect();
        for name in names {
            let letter = Letter::Message(Box::new(message.clone()));
            self.post(stage, Peer::Operator, name, letter);
        }
    }

    /// Does not get the processor until then.
    pub(crate) const fn stop_until(&mut self, until: Instant) {
        self.stopped_until = until;
    }

    /// Whether it does not get the processor.
    pub(crate) fn is_stopped(&self, now: Instant) -> bool {
        now < self.stopped_until && self.exit_code.is_none()
    }

    /// Puts off what the process would do now, if it does not get the processor: all of it is due
    /// at once then, in any order.
    pub(crate) fn put_off(&self, stage: &mut Stage, event: Event) -> Option<Event> {
        let is_its = match &event {
            Event::Timer(_) | Event::Read(..) | Event::Mail { .. } | Event::Ended { .. } => true,
            Event::Net(_)
            | Event::Notice(_)
            | Event::Serve { .. }
            | Event::Replicate { .. }
            | Event::Started { .. }
            | Event::Promoted { .. }
            | Event::Command { .. }
            | Event::Recall { .. }
            | Event::Tick => false,
        };
        if !(is_its && self.is_stopped(stage.now)) {
            return Some(event);
        }
        self.defer(stage, event);
        None
    }

    /// Lets the process hear of something when it gets the processor again.
    pub(crate) fn remember(&self, stage: &mut Stage, notice: Notice) {
        self.defer(stage, Event::Notice(notice));
    }

    fn defer(&self, stage: &mut Stage, event: Event) {
        let late = stage.chance.micros(0, RESUMPTION_MICROS);
        stage.agenda.at(self.stopped_until + late, event);
    }

    /// Ends at once, as by SIGKILL.
    pub(crate) fn kill(&mut self, stage: &mut Stage) {
        self.end(stage, KILLED);
    }

    fn end(&mut self, stage: &mut Stage, code: i32) {
        if self.hosts.is_empty() {
            return;
        }
        stage.note(format_args!("the process ends with exit code {code}"));
        stage.listen(Address::Proxy, Answer::Refused);
        stage.listen(Address::Admin, Answer::Refused);
        for host in std::mem::take(&mut self.hosts).into_values() {
            host.end(stage);
        }
        self.mail.clear();
        stage.checks.process_ended();
        self.exit_code = Some(code);
    }

    /// How the process ended, if it did.
    pub(crate) const fn exit_code(&self) -> Option<i32> {
        self.exit_code
    }

    /// Lists the sessions that shards hold on a server, and whom they are for.
    fn sessions(&self, node: usize) -> impl Iterator<Item = (Session, &Account)> {
        let shards = self.hosts.iter().filter(|(name, _)| matches!(name, Peer::Shard(_)));
        shards.flat_map(move |(name, host)| {
            host.sessions(node).map(|(conn, account)| ((*name, conn), account))
        })
    }

    /// Counts the sessions that shards hold on a server.
    pub(crate) fn held(&self, node: usize) -> usize {
        self.sessions(node).count()
    }

    /// Looks whether the sessions that shards hold on these servers are more than a limit allows.
    ///
    /// # Errors
    /// Says which limit.
    pub(crate) fn check(&mut self, servers: usize) -> Result<(), String> {
        if !std::mem::take(&mut self.has_acted) {
            return Ok(());
        }
        (0..servers).try_for_each(|node| self.check_server(node))
    }

    fn check_server(&mut self, node: usize) -> Result<(), String> {
        let is_same = {
            let held = self.sessions(node).map(|(session, _)| session);
            self.crowding.is_settled(node) && self.crowding.seen(node).eq(held)
        };
        if is_same {
            return Ok(());
        }
        let is_reload = |letter: &Letter| match letter {
            Letter::Message(message) => matches!(**message, Message::Reload(_)),
            Letter::Socket(..) => false,
        };
        let all_know = !self.mail.values().flatten().any(is_reload);
        let sessions: Vec<(Session, Account)> =
            self.sessions(node).map(|(session, account)| (session, account.clone())).collect();
        self.crowding.look(node, &sessions, all_know)
    }

    /// Counts the bytes held for connections.
    pub(crate) fn memory(&self) -> usize {
        self.hosts.values().map(Host::memory).sum()
    }

    /// Checks the byte accounts of all connections.
    pub(crate) fn balance(&self, stage: &mut Stage) {
        for host in self.hosts.values() {
            host.balance(stage);
        }
    }
}
