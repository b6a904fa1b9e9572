//! One world: a proxy, its servers and its clients, on one clock, out of one seed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use pgherd_core::config::Config;
use pgherd_core::message::{Door, Shutdown, Wish};
use pgherd_core::time::{Duration, Instant};

use crate::agenda::Event;
use crate::check::Conversation;
use crate::check::marks::Marks;
use crate::client::Client;
use crate::end::{Address, Notice};
use crate::plan::Plan;
use crate::postgres::Server;
use crate::process::{Machines, Process};
use crate::running::Running;
use crate::stage::{Owner, Stage};

/// Events between two looks at everything. What a single event can break is looked at at once.
const EVENTS_PER_ROUND: u64 = 64;

/// Events to come, at most. Ten thousand clients need a tenth of it; a world that decides on more
/// than it lives to see gets no further, however long it is played.
const EVENTS_AHEAD_MAX: usize = 1_000_000;

/// A connection of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conn(pub usize);

/// A world.
pub struct Simulation {
    pub(crate) plan: Plan,
    pub(crate) stage: Stage,
    pub(crate) servers: Vec<Server>,
    pub(crate) process: Process,
    /// The commands that were run, the first one first.
    pub(crate) commands: Vec<String>,
    /// Those that have not ended, in the order in which they began.
    pub(crate) running: BTreeMap<u64, Running>,
    /// How often a proxy was started after the first.
    pub(crate) proxies: u32,
    pub(crate) clients: Vec<Client>,
    events: u64,
    failure: Option<Failure>,
}

/// A rule was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In which scenario.
    pub scenario: String,
    /// With which seed.
    pub seed: u64,
    /// When.
    pub at: Instant,
    /// What was broken, and by whom.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, seed, at, what } = self;
        writeln!(f, "scenario {scenario}, seed {seed:#x}, at {at}: {what}")?;
        write!(f, "replay: PGHERD_SEED={seed:#x} cargo test -p pgherd-tests --test sim {scenario}")
    }
}

impl Simulation {
    /// Makes a world and starts everything in it.
    #[must_use]
    pub fn new(plan: Plan, machines: &Machines) -> Self {
        let mut stage = Stage::new(plan.seed);
        let servers = (0..=plan.standbys).map(|node| Server::new(node, &plan, &mut stage));
        let servers = servers.collect();
        let process = Process::start(&plan, machines, &mut stage);
        let (commands, clients) = (Vec::new(), Vec::new());
        let mut world = Self {
            plan,
            stage,
            servers,
            process,
            commands,
            running: BTreeMap::new(),
            proxies: 0,
            clients,
            events: 0,
            failure: None,
        };
        world.herd_changed();
        world.check();
        world
    }

    /// Lets the next event happen. Nothing happens any more after a failure.
    pub fn step(&mut self) {
        if self.failure.is_some() {
            return;
        }
        match self.stage.agenda.next() {
            Some((when, event)) => {
                self.stage.now = when.max(self.stage.now);
                self.happen(event);
            }
            None => self.stage.now = self.stage.now + Duration::from_millis(1),
        }
        self.events += 1;
        if self.events.is_multiple_of(EVENTS_PER_ROUND) {
            self.process.balance(&mut self.stage);
            self.look_for_starving();
            if self.stage.agenda.len() > EVENTS_AHEAD_MAX {
                let what = format!("more than {EVENTS_AHEAD_MAX} events are to come");
                self.stage.checks.report(what);
            }
        }
        self.check();
    }

    /// Lets everything happen that happens within `duration`.
    pub fn run(&mut self, duration: Duration) {
        let until = self.stage.now + duration;
        // Without an event of its own, the moment would be passed by the first one after it.
        self.stage.agenda.at(until, Event::Tick);
        while self.stage.now < until && self.failure.is_none() {
            self.step();
        }
    }

    fn happen(&mut self, event: Event) {
        let Some(event) = self.process.put_off(&mut self.stage, event) else { return };
        let stage = &mut self.stage;
        match event {
            Event::Tick => {}
            Event::Notice(notice) => self.tell(notice),
            Event::Net(due) => {
                let now = stage.now;
                let notices = stage.net.handle(now, due, &mut stage.chance, &mut stage.agenda);
                for notice in notices {
                    self.tell(notice);
                }
            }
            Event::Timer(name) => {
                self.process.with(stage, name, |host, stage| host.on_timer(stage));
            }
            Event::Read(name, conn) => {
                self.process.with(stage, name, |host, stage| host.on_read(stage, conn));
            }
            Event::Mail { from, to } => self.process.deliver(stage, from, to),
            Event::Serve { node, process } => {
                let Some(server) = self.servers.get_mut(node) else { return };
                let before = server.lsn();
                server.serve(stage, process);
                let (is_longer, is_changed) = (server.lsn() > before, server.has_changed_herd());
                let errands = server.take_errands();
                if server.has_written() {
                    stage.checks.wrote(node, server.timeline());
                    let kept = stage.checks.ledger.keep(node, |place| server.has(place));
                    stage.checks.judge(kept);
                }
                if is_longer {
                    self.replicate_soon();
                }
                if is_changed {
                    self.herd_changed();
                }
                errands.into_iter().for_each(|errand| self.run_errand(node, errand));
            }
            Event::Replicate { node } => self.replicate(node),
            Event::Command { of, id, job } => self.run_command(of, id, &job),
            Event::Recall { of, id } => self.recall_command(of, id),
            Event::Ended(number) => self.end_command(number),
            Event::Promoted { node, start } => {
                if let Some(server) = self.servers.get_mut(node) {
                    stage.note(format_args!("node {node}: the promotion ends"));
                    server.promoted(stage, start);
                    self.herd_changed();
                }
            }
            Event::Started { node, start } => {
                if let Some(server) = self.servers.get_mut(node) {
                    server.started(start);
                }
                self.herd_changed();
            }
        }
    }

    /// Tells the owner of an end what has happened there.
    fn tell(&mut self, notice: Notice) {
        let stage = &mut self.stage;
        if self.process.is_stopped(stage.now) && is_for_process(stage, notice) {
            // The kernel remembers it.
            return self.process.remember(stage, notice);
        }
        let (Notice::Answered(end, _) | Notice::Readable(end) | Notice::Writable(end)) = notice
        else {
            let Notice::Arrived(end, at) = notice else { return };
            match at {
                Address::Proxy => self.process.accept(stage, end, Door::Sql),
                Address::Admin => self.process.accept(stage, end, Door::Pcp),
                Address::Node(node) => {
                    if let Some(server) = self.servers.get_mut(node) {
                        server.arrive(stage, end);
                    }
                }
            }
            return;
        };
        match stage.owners.get(&end).copied() {
            None => {}
            Some(Owner::Client(client)) => self.tell_client(client, notice),
            Some(Owner::Session { node, process }) => {
                if let Some(server) = self.servers.get_mut(node) {
                    server.wake(stage, process);
                }
            }
            Some(Owner::Machine(name, conn)) => {
                self.process.with(stage, name, |host, stage| match notice {
                    Notice::Answered(_, answer) => host.on_connected(stage, conn, answer),
                    Notice::Readable(_) => host.schedule_read(stage, conn),
                    Notice::Writable(_) => host.on_writable(stage, conn),
                    Notice::Arrived(..) => {}
                });
            }
        }
    }

    fn tell_client(&mut self, number: usize, notice: Notice) {
        let stage = &mut self.stage;
        let Some(client) = self.clients.get_mut(number) else { return };
        match notice {
            Notice::Answered(_, answer) => client.on_connected(stage, answer),
            Notice::Writable(_) => client.flush(stage),
            Notice::Readable(_) => {
                if let Err(what) = client.read(stage) {
                    stage.checks.report(format!("client {number} got {what}"));
                }
            }
            Notice::Arrived(..) => {}
        }
    }

    /// WAL travels to every standby, to each in its own time.
    fn replicate_soon(&mut self) {
        for node in 0..self.servers.len() {
            let slow = self.stage.chance.happens(1, 8);
            self.stage.soon(100, if slow { 50_000 } else { 2_000 }, Event::Replicate { node });
        }
    }

    fn replicate(&mut self, node: usize) {
        let Some(mut standby) = take_at(&mut self.servers, node) else { return };
        let now = self.stage.now;
        // The standby is out of its place: those behind it have moved up.
        let place = standby.upstream().filter(|upstream| *upstream != node);
        let place = place.map(|upstream| upstream - usize::from(upstream > node));
        let upstream = place.and_then(|place| self.servers.get_mut(place));
        let before = standby.extent();
        let due = standby.replicate(now, upstream.as_deref());
        let has_more = standby.extent() != before;
        if let Some(upstream) = upstream {
            upstream.heard_from(&mut self.stage, node, standby.progress());
        }
        self.servers.insert(node, standby);
        if let Some(due) = due {
            self.stage.agenda.at(due, Event::Replicate { node });
        }
        let behind =
            self.servers.iter().zip(0..).filter(|(s, _)| has_more && s.upstream() == Some(node));
        for (_, node) in behind {
            self.stage.soon(100, 2_000, Event::Replicate { node });
        }
    }

    /// Looks whether a rule was broken.
    fn check(&mut self) {
        for server in &self.servers {
            if let Err(what) = server.check() {
                self.stage.checks.report(what);
            }
        }
        let crowned = self.stage.checks.crowned.take().map(|id| usize::from(id.0));
        if let Some((node, server)) = crowned.and_then(|node| Some((node, self.servers.get(node)?)))
        {
            let kept = self.stage.checks.ledger.keep(node, |place| server.has(place));
            self.stage.checks.judge(kept);
        }
        if let Err(what) = self.process.check(self.servers.len()) {
            self.stage.checks.report(what);
        }
        if let (None, Some(what)) = (&self.failure, self.stage.checks.broken()) {
            self.failure = Some(Failure {
                scenario: self.plan.scenario.clone(),
                seed: self.plan.seed,
                at: self.stage.now,
                what: what.to_owned(),
            });
        }
    }

    /// Ends the run with a failure that somebody else has found.
    pub fn fail(&mut self, what: &str) {
        self.stage.checks.report(what.to_owned());
        self.check();
    }

    /// The first broken rule.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// What happened last, oldest first.
    pub fn last_events(&self) -> impl Iterator<Item = &str> {
        self.stage.trace.last()
    }

    /// A hash over everything that has happened.
    #[must_use]
    pub const fn trace_hash(&self) -> u64 {
        self.stage.trace.hash()
    }

    /// Time since the beginning.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.stage.now
    }

    /// Connects a client to the proxy.
    pub fn open(&mut self) -> Conn {
        self.open_to(Address::Proxy, Client::new(Some(Conversation::new())))
    }

    /// Connects an administrator's program to the proxy.
    pub fn open_admin(&mut self) -> Conn {
        self.open_to(Address::Admin, Client::new(None))
    }

    /// Connects a client to a server.
    pub fn open_direct(&mut self, node: usize) -> Conn {
        self.open_to(Address::Node(node), Client::new(None))
    }

    fn open_to(&mut self, to: Address, mut client: Client) -> Conn {
        let conn = Conn(self.clients.len());
        client.connecting(self.stage.connect(to, Owner::Client(conn.0)));
        self.clients.push(client);
        conn
    }

    fn with<T: Default>(
        &mut self,
        conn: Conn,
        what: impl FnOnce(&mut Client, &mut Stage) -> T,
    ) -> T {
        match self.clients.get_mut(conn.0) {
            Some(client) => what(client, &mut self.stage),
            None => T::default(),
        }
    }

    /// Queues bytes of a client.
    pub fn send(&mut self, conn: Conn, bytes: &[u8]) {
        self.with(conn, |client, stage| client.send(stage, bytes));
    }

    /// Takes what a client has received.
    pub fn take(&mut self, conn: Conn) -> Vec<u8> {
        let bytes = self.with(conn, |client, _| client.take());
        self.read_client(conn);
        bytes
    }

    fn read_client(&mut self, conn: Conn) {
        let read = self.with(conn, |client, stage| client.read(stage).err());
        if let Some(what) = read {
            self.fail(&format!("client {} got {what}", conn.0));
        }
    }

    /// Tells whether the other side has closed and everything that it sent has been taken.
    pub fn is_closed(&mut self, conn: Conn) -> bool {
        self.with(conn, |client, _| client.is_closed())
    }

    /// Counts the bytes that have not left a client.
    pub fn unsent(&mut self, conn: Conn) -> usize {
        self.with(conn, |client, _| client.unsent())
    }

    /// Ends a client's connection in order.
    pub fn close(&mut self, conn: Conn) {
        self.with(conn, Client::leave);
    }

    /// Kills a client.
    pub fn reset(&mut self, conn: Conn) {
        self.with(conn, Client::reset);
    }

    /// Kills a client once it has received so many more bytes.
    pub fn reset_after(&mut self, conn: Conn, len: usize) {
        self.with(conn, |client, _| client.die_after(len));
    }

    /// Gives a client a mark, and fails the run if it ever gets the mark of another; returns the
    /// text by which servers are to repeat it.
    pub fn mark(&mut self, conn: Conn, mark: u32) -> String {
        self.with(conn, |client, _| client.mark(mark));
        Marks::text(mark)
    }

    /// Counts the times that clients got their own marks.
    #[must_use]
    pub fn marks_seen(&self) -> u64 {
        self.clients.iter().map(Client::marks_seen).sum()
    }

    /// Lets a client's receive buffer fill up.
    pub fn stop_reading(&mut self, conn: Conn) {
        self.with(conn, |client, _| client.stop_reading());
    }

    /// Lets a client read again.
    pub fn resume_reading(&mut self, conn: Conn) {
        self.with(conn, |client, _| client.resume_reading());
        self.read_client(conn);
    }

    /// Stops the proxy.
    pub fn shutdown(&mut self, how: Shutdown) {
        self.process.shutdown(&mut self.stage, how);
    }

    /// Starts the proxy again, once it has ended.
    ///
    /// # Panics
    /// It has not ended.
    pub fn restart(&mut self, machines: &Machines) {
        assert!(self.process.exit_code().is_some(), "the proxy runs");
        self.proxies += 1;
        self.process = Process::start(&self.plan, machines, &mut self.stage);
    }

    /// Ends the proxy at once, in the middle of whatever it does.
    pub fn kill(&mut self) {
        self.process.kill(&mut self.stage);
    }

    /// Stops the proxy for so long, with its connections open and its clock running, as when its
    /// host is suspended.
    pub fn suspend(&mut self, duration: Duration) {
        let until = self.stage.now + duration;
        self.stage.note(format_args!("the proxy is stopped until {until}"));
        self.process.stop_until(until);
    }

    /// Gives the proxy a new configuration.
    pub fn reload(&mut self, config: &Arc<Config>) {
        self.process.reload(&mut self.stage, config);
    }

    /// How the proxy ended, if it did.
    #[must_use]
    pub const fn exit_code(&self) -> Option<i32> {
        self.process.exit_code()
    }

    /// Takes the oldest wish that the proxy has of its operator.
    pub fn take_wish(&mut self) -> Option<Wish> {
        self.process.take_wish()
    }

    /// Bytes that the proxy holds for its connections.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.process.memory()
    }

    /// Sessions that the proxy's shards hold on a server.
    #[must_use]
    pub fn server_connections(&self, node: usize) -> usize {
        self.process.held(node)
    }

    /// Sessions of all sorts on a server, as it counts them itself.
    #[must_use]
    pub fn server_sessions(&self, node: usize) -> usize {
        self.servers.get(node).map_or(0, Server::sessions)
    }

    /// Whether a server was told to become the primary, or is it.
    #[must_use]
    pub fn is_taking_over(&self, node: usize) -> bool {
        self.servers.get(node).is_some_and(Server::is_taking_over)
    }

    /// Runs a statement on a server, past the network, and returns its rows.
    ///
    /// # Errors
    /// The statement's error, or that the server does not answer.
    pub fn sql(&mut self, node: usize, sql: &str) -> Result<Vec<Vec<String>>, String> {
        let server = self.servers.get_mut(node).ok_or("there is no such server")?;
        let before = server.lsn();
        let result = server.sql(&mut self.stage, sql);
        let is_changed = server.has_changed_herd();
        // Whoever asks again and again would otherwise put off what it waits for.
        if server.lsn() > before {
            self.replicate_soon();
        }
        if is_changed {
            self.herd_changed();
        }
        result
    }

    /// The node that takes writes and answers, as the servers themselves see it.
    #[must_use]
    pub fn primary(&self) -> Option<usize> {
        self.servers.iter().position(|server| server.is_primary() && server.is_well())
    }
}

/// Whether a notice is for a machine of the proxy.
fn is_for_process(stage: &Stage, notice: Notice) -> bool {
    match notice {
        Notice::Arrived(_, at) => matches!(at, Address::Proxy | Address::Admin),
        Notice::Answered(end, _) | Notice::Readable(end) | Notice::Writable(end) => {
            matches!(stage.owners.get(&end), Some(Owner::Machine(..)))
        }
    }
}

pub(crate) fn take_at<T>(list: &mut Vec<T>, at: usize) -> Option<T> {
    (at < list.len()).then(|| list.remove(at))
}
