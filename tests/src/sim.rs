//! The simulation as a [`World`]: pgherd's own machines around `pgherd-sim`.

mod convergence;
pub mod faults;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use pgherd_core::config::{Config, Files, KeyFile, load};
use pgherd_core::control::Control;
use pgherd_core::entropy::Entropy;
use pgherd_core::health::probe;
use pgherd_core::machine::Machine;
use pgherd_core::memory::{self, Memory};
use pgherd_core::message::{Peer, Shutdown, Wish};
use pgherd_core::shard::Shard;
use pgherd_core::time::{Instant, WallClock, WallTime};
use pgherd_sim::{Auth, COMMANDS, Fault, Plan, Scripts, Simulation};

use crate::play::{LIMIT, Play};
use crate::world::{self, Conn, End, Fate, PCP_CONF, ServerAuth, Setup, Signal, World};

/// Shards of the simulated proxy.
const SHARDS: u16 = 2;

/// How long a proxy may take to have looked at all its servers.
const SETTLING_TIME: Duration = Duration::from_secs(2);

/// What may come beside everything that is waited for: logins at servers that do not answer.
const MARGIN: Duration = Duration::from_secs(30);

/// Wall-clock time at the beginning, for what people read: 2026-01-01 00:00:00 UTC.
const CLOCK: WallTime = WallTime(1_767_225_600);

/// A simulated world.
pub struct Sim {
    simulation: Simulation,
    /// What takes effect with the next reload.
    config: Arc<Config>,
    /// How far the host's clock on the wall is ahead.
    clock: Duration,
    /// What the proxy has had written down.
    texts: Option<Arc<memory::Texts>>,
}

impl Sim {
    /// Makes a world out of a seed.
    ///
    /// # Panics
    /// The setup makes no configuration.
    #[must_use]
    pub fn new(seed: u64, setup: &Setup) -> Self {
        Self::named("unnamed", seed, setup)
    }

    /// Makes a world out of a seed, for a scenario with a name.
    ///
    /// # Panics
    /// The setup makes no configuration.
    #[must_use]
    pub fn named(scenario: &str, seed: u64, setup: &Setup) -> Self {
        if std::env::var_os("PGHERD_TRACE").is_some() && log::set_logger(&Echo).is_ok() {
            log::set_max_level(log::LevelFilter::Debug);
        }
        let config = Arc::new(config(setup));
        let own = [("postgres".to_owned(), "postgres".to_owned())];
        let plan = Plan {
            scenario: scenario.to_owned(),
            seed,
            standbys: setup.standbys,
            auth: match setup.server_auth {
                ServerAuth::Scram => Auth::Scram,
                ServerAuth::Md5 => Auth::Md5,
                ServerAuth::Password => Auth::Password,
                ServerAuth::Trust => Auth::Trust,
            },
            users: own.into_iter().chain(setup.users.iter().cloned()).collect::<BTreeMap<_, _>>(),
            probe: probe::QUERY.to_owned(),
            shards: u16::try_from(config.worker_threads.max(1)).unwrap_or(SHARDS),
            pools: config.pool.clone(),
            patience: Some(patience(&config)),
            ..Plan::default()
        };
        let mut simulation = Simulation::new(plan, &machines(&config, &Memory::default(), CLOCK));
        // Scenarios begin with a proxy that has looked at its servers, as in reality, where it
        // is waited for.
        simulation.run(SETTLING_TIME);
        Self { simulation, config, clock: Duration::ZERO, texts: None }
    }

    /// Starts pgherd with what it has written down.
    fn start_again(&mut self) {
        let memory = self.texts.as_ref().map_or_else(Memory::default, |texts| {
            let pgpool = texts.pgpool_status.as_deref();
            Memory::read(pgpool, Some(&texts.pgherd_status)).expect("it is as it was written")
        });
        let start = CLOCK.0 + self.clock.as_secs();
        self.simulation.restart(&machines(&self.config, &memory, WallTime(start)));
    }

    /// What was written down is gone.
    pub fn forget(&mut self) {
        self.texts = None;
    }

    /// Sets the host's clock so far ahead of what it was at the beginning. pgherd reads it when it
    /// starts.
    pub const fn set_clock(&mut self, ahead: Duration) {
        self.clock = ahead;
    }

    /// A hash over everything that has happened.
    #[must_use]
    pub const fn trace_hash(&self) -> u64 {
        self.simulation.trace_hash()
    }

    /// The world as the simulator sees it, for what no other world can do.
    pub const fn simulation(&mut self) -> &mut Simulation {
        &mut self.simulation
    }

    /// Gives a client a mark and fails the world if it ever gets the mark of another; returns the
    /// text by which servers are to repeat it.
    pub fn mark(&mut self, conn: Conn, mark: u32) -> String {
        self.simulation.mark(inner(conn), mark)
    }

    /// What happened last, oldest first.
    pub fn last_events(&self) -> impl Iterator<Item = &str> {
        self.simulation.last_events()
    }

    /// Ends the scenario if a rule was broken.
    fn check(&self) {
        if let Some(failure) = self.simulation.failure() {
            panic!("{}", failure.what);
        }
    }
}

/// How long whoever waits for a connection, and then for a primary, may have to wait.
fn patience(config: &Config) -> Duration {
    let pools = config.pool.wait_timeout;
    pools + config.failover_wait_timeout + MARGIN
}

/// Prints what machines log.
struct Echo;

impl log::Log for Echo {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!("{} {}: {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}

/// With `PGHERD_TRACE` set, what machines log is printed, and what happened last when a world
/// ends.
impl Drop for Sim {
    fn drop(&mut self) {
        if std::env::var_os("PGHERD_TRACE").is_some() {
            for line in self.last_events() {
                eprintln!("{line}");
            }
        }
    }
}

/// Makes the machines of a proxy that remembers this.
fn machines(
    config: &Arc<Config>,
    memory: &Memory,
    start: WallTime,
) -> impl Fn(Peer, Entropy, Instant) -> Option<Box<dyn Machine>> + use<> {
    let (config, memory) = (Arc::clone(config), memory.clone());
    let clock = WallClock { start, offset: 0 };
    move |name, entropy, now| {
        let config = Arc::clone(&config);
        match name {
            Peer::Shard(id) => Some(Box::new(Shard::new(id, config, entropy, clock, now))),
            Peer::Control => {
                let control = Control::new(config, entropy, clock, now);
                Some(Box::new(control.remembering(memory.clone())))
            }
            Peer::Operator => None,
        }
    }
}

/// The configuration, and the users of PCP.
struct Texts(String);

impl Files for Texts {
    fn read(&self, path: &str) -> Result<String, String> {
        match path {
            CONFIG => Ok(self.0.clone()),
            PCP => Ok(PCP_CONF.to_owned()),
            _ => Err("No such file or directory".to_owned()),
        }
    }

    fn exists(&self, path: &str) -> bool {
        [CONFIG, PCP].contains(&path)
    }

    fn key_file(&self) -> Option<KeyFile> {
        None
    }

    fn pcp_file(&self, _: &str) -> Option<String> {
        Some(PCP.to_owned())
    }
}

const CONFIG: &str = "pgherd.toml";
const PCP: &str = "pcp.conf";

fn config(setup: &Setup) -> Config {
    let text = config_text(setup);
    match load(CONFIG, &Texts(text.clone())) {
        Ok(loaded) => {
            let mut config = loaded.config;
            config.settle_threads(usize::from(SHARDS));
            config
        }
        Err(rejected) => panic!("{:#?} in\n{text}", rejected.mistakes),
    }
}

/// Composes `pgherd.toml`.
fn config_text(setup: &Setup) -> String {
    let mut text = setup.settings.join("\n").replace("{commands}", COMMANDS);
    let own = [
        ("worker_threads", SHARDS.to_string()),
        ("sr_check_user", "\"postgres\"".to_owned()),
        ("sr_check_period", "\"1s\"".to_owned()),
        ("health_check_timeout", "\"5s\"".to_owned()),
        ("health_check_max_retries", "1".to_owned()),
        ("health_check_retry_delay", "\"1s\"".to_owned()),
        // Only scenarios that are about it lose a primary for good.
        ("failover_mode", "\"off\"".to_owned()),
    ];
    let asked = |name: &str| {
        setup.settings.iter().any(|line| line.split('=').next().is_some_and(|n| n.trim() == name))
    };
    for (name, value) in own {
        if !asked(name) {
            write!(text, "\n{name} = {value}").expect("text can be written");
        }
    }
    for node in 0..=setup.standbys {
        let weight = setup.weights.get(node).copied().unwrap_or(1.0);
        write!(
            text,
            "\n\n[[backends]]\nhostname = \"node{node}\"\nport = 5432\nweight = {weight:?}\n\
             data_directory = \"/data/node{node}\"{}",
            setup.lines_of(node)
        )
        .expect("text can be written");
    }
    text.push_str("\n\n[users]\n");
    let own = [("postgres".to_owned(), "postgres".to_owned())];
    for (name, password) in own.iter().chain(&setup.users) {
        writeln!(text, "{} = {}", quoted(name), quoted(password)).expect("text can be written");
    }
    text
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

const fn simulated(scripts: world::Scripts) -> Scripts {
    match scripts {
        world::Scripts::None => Scripts::None,
        world::Scripts::Work => Scripts::Work,
        world::Scripts::CopyFails => Scripts::CopyFails,
        world::Scripts::CopyHangs => Scripts::CopyHangs,
        world::Scripts::StartFails => Scripts::StartFails,
        world::Scripts::StartLies => Scripts::StartLies,
        world::Scripts::StartsAlone => Scripts::StartsAlone,
    }
}

const fn inner(conn: Conn) -> pgherd_sim::Conn {
    pgherd_sim::Conn(conn.0)
}

impl World for Sim {
    fn open(&mut self) -> Conn {
        Conn(self.simulation.open().0)
    }

    fn open_admin(&mut self) -> Conn {
        Conn(self.simulation.open_admin().0)
    }

    fn open_direct(&mut self, node: usize) -> Conn {
        Conn(self.simulation.open_direct(node).0)
    }

    fn send(&mut self, conn: Conn, bytes: &[u8]) {
        self.simulation.send(inner(conn), bytes);
    }

    fn take(&mut self, conn: Conn) -> Vec<u8> {
        self.simulation.take(inner(conn))
    }

    fn is_closed(&mut self, conn: Conn) -> bool {
        self.simulation.is_closed(inner(conn))
    }

    fn unsent(&mut self, conn: Conn) -> usize {
        self.simulation.unsent(inner(conn))
    }

    fn close(&mut self, conn: Conn, how: End) {
        match how {
            End::Orderly => self.simulation.close(inner(conn)),
            End::Reset => self.simulation.reset(inner(conn)),
        }
    }

    fn stop_reading(&mut self, conn: Conn) {
        self.simulation.stop_reading(inner(conn));
    }

    fn resume_reading(&mut self, conn: Conn) {
        self.simulation.resume_reading(inner(conn));
    }

    fn step(&mut self) {
        self.simulation.step();
        while let Some(wish) = self.simulation.take_wish() {
            match wish {
                Wish::Reload => self.signal(Signal::Reload),
                // There are no files here.
                Wish::RotateLog => {}
                Wish::Remember(texts) => self.texts = Some(texts),
            }
        }
        self.check();
    }

    fn now(&self) -> Duration {
        self.simulation.now().since(Instant::ZERO)
    }

    fn befall(&mut self, node: usize, fate: Fate) {
        let fault = match fate {
            Fate::Crash => Fault::Crash,
            Fate::Stop => Fault::Stop,
            Fate::Start => Fault::Start,
            Fate::Freeze => Fault::Freeze,
            Fate::Thaw => Fault::Thaw,
            Fate::PauseReplay => Fault::PauseReplay,
            Fate::ResumeReplay => Fault::ResumeReplay,
            Fate::DelayReplay(delay) => Fault::DelayReplay(delay),
            Fate::TerminateSessions => Fault::TerminateSessions,
            Fate::Rejoin(leader) => Fault::Rejoin(leader),
            Fate::Scripts(scripts) => Fault::Scripts(simulated(scripts)),
            Fate::TurnAway => Fault::TurnAway,
            Fate::Admit => Fault::Admit,
        };
        self.simulation.befall(node, fault);
    }

    fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Reload => self.simulation.reload(&self.config),
            Signal::Smart => self.simulation.shutdown(Shutdown::Smart),
            Signal::Fast => self.simulation.shutdown(Shutdown::Fast),
            Signal::Immediate => self.simulation.shutdown(Shutdown::Immediate),
        }
    }

    fn configure(&mut self, setup: &Setup) {
        self.config = Arc::new(config(setup));
    }

    fn restart(&mut self) {
        self.signal(Signal::Fast);
        self.wait("pgherd ends", LIMIT, |w| w.exit_code().is_some());
        self.start_again();
    }

    fn kill(&mut self) {
        self.simulation.kill();
        self.start_again();
    }

    fn suspend(&mut self, duration: Duration) {
        self.simulation.suspend(duration);
        self.never("pgherd ends", duration, |w| w.exit_code().is_some());
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.simulation.exit_code()
    }

    fn memory(&mut self) -> usize {
        self.simulation.memory()
    }

    fn server_connections(&mut self, node: usize) -> usize {
        self.simulation.server_connections(node)
    }

    fn sql(&mut self, node: usize, sql: &str) -> Result<Vec<Vec<String>>, String> {
        self.simulation.sql(node, sql)
    }

    fn commands(&mut self) -> Vec<String> {
        self.simulation.commands().to_vec()
    }
}
