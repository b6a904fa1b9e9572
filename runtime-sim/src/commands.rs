//! Commands that a proxy has run: a host with a handful of programs, and what each does to the herd.
//!
//! A line is a program under [`COMMANDS`] and its words; whatever else is asked for is not found.
//! The programs stand for the scripts that operators write:
//!
//! | line | what it does |
//! |---|---|
//! | `failover LOST OLD HEIR` | promotes `HEIR` if `LOST` was the primary `OLD` |
//! | `stumble LOST OLD HEIR` | the same, and says that it has failed |
//! | `late LOST OLD HEIR` | the same as `failover`, a few seconds later |
//! | `follow NODE PRIMARY` | makes `NODE` a standby of `PRIMARY`, with that one's data |
//! | `rebuild NODE PRIMARY …` | stops `NODE` and, a while later, makes it a standby of `PRIMARY` with that one's data; with a last word beginning with `pgherd_`, by that replication slot there |
//! | `alone NODE PRIMARY …` | the same, but `NODE` takes writes of its own |
//! | `restart NODE PRIMARY …` | the same, but `NODE` keeps its own data, as after `pg_rewind` of what has not diverged |
//! | `break NODE PRIMARY …` | stops `NODE`, and fails a while later |
//! | `note WORDS` | nothing, and says that it has succeeded |
//! | `fail WORDS` | nothing, and says so |
//! | `hang WORDS` | nothing, for ever |
//!
//! What is run is kept for whoever asks ([`Simulation::commands`]).

use pgherd_core::job::lines::Lines;
use pgherd_core::job::{Ending, Job, JobId};
use pgherd_core::message::{Message, Peer};
use pgherd_core::time::Duration;

use crate::agenda::Event;
use crate::driver::Input;
use crate::faults::Fault;
use crate::running::{Data, Deed, Exit, Running};
use crate::simulation::Simulation;

/// Where the programs are.
pub const COMMANDS: &str = "/simulated";

/// How long `late` takes: long enough for another pgherd to look at everything.
const LATE_TIME: Duration = Duration::from_secs(4);

/// How long a node is being copied: long enough for news of it.
const COPY_TIME: Duration = Duration::from_secs(7);

impl Simulation {
    /// Runs a command of a machine's, and decides when it ends.
    pub(crate) fn run_command(&mut self, of: Peer, id: JobId, job: &Job) {
        let program = job.line.strip_prefix(COMMANDS).and_then(|line| line.strip_prefix('/'));
        let deed = match program {
            Some(program) => {
                self.commands.push(program.to_owned());
                self.begin(&program.split_whitespace().collect::<Vec<_>>())
            }
            None => Deed::None(Exit::Status(127)),
        };
        let output = Lines::default().take(format!("{}\n", job.line).as_bytes());
        self.stage.note(format_args!("{}: {output:?}, {deed:?}", job.name));
        let number = self.running.keys().next_back().map_or(0, |last| last + 1);
        let event = Event::Ended(number);
        match deed {
            Deed::None(Exit::TooLate) => {
                self.stage.agenda.after(self.stage.now, job.within, event);
            }
            Deed::Promote { .. } => self.stage.agenda.after(self.stage.now, LATE_TIME, event),
            Deed::Rebuild { .. } => self.stage.agenda.after(self.stage.now, COPY_TIME, event),
            Deed::None(Exit::Status(_) | Exit::Recalled) => {
                self.stage.soon(1_000, 600_000, event);
            }
        }
        self.running.insert(number, Running { of, id, proxy: self.proxies, deed });
    }

    /// Does what a command does at once, and tells what is left to be done.
    fn begin(&mut self, words: &[&str]) -> Deed {
        let node = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
        let program = words.first().copied();
        match (program, node(1), node(2), node(3)) {
            (Some("failover" | "stumble"), Some(lost), Some(old), Some(heir)) => {
                let can = self.servers.get(heir).is_some_and(|server| server.is_well());
                if lost == old && can {
                    self.befall(heir, Fault::Promote);
                }
                let is_done = (lost != old || can) && program == Some("failover");
                Deed::None(Exit::Status(i32::from(!is_done)))
            }
            (Some("late"), Some(lost), Some(old), Some(heir)) if lost == old => {
                Deed::Promote { node: heir }
            }
            (Some("late"), ..) => Deed::None(Exit::Status(0)),
            (Some("follow"), Some(node), Some(primary), None) => {
                let can = self.servers.get(primary).is_some_and(|server| server.is_well());
                if can {
                    self.befall(node, Fault::Rejoin(primary));
                }
                Deed::None(Exit::Status(i32::from(!can)))
            }
            (
                Some(name @ ("rebuild" | "alone" | "restart" | "break")),
                Some(node),
                Some(primary),
                _,
            ) => {
                self.befall(node, Fault::Crash);
                self.supersede(node);
                let data = match name {
                    "rebuild" => Data::Copy,
                    "alone" => Data::Clone,
                    "restart" => Data::Own,
                    _ => return Deed::None(Exit::Status(1)),
                };
                let slot = words.last().filter(|word| word.starts_with("pgherd_"));
                let has = |slot: &&str| self.servers.get(primary).is_some_and(|s| s.has_slot(slot));
                if slot.is_none_or(has) {
                    Deed::Rebuild { node, primary, data }
                } else {
                    Deed::None(Exit::Status(1))
                }
            }
            (Some("note"), ..) => Deed::None(Exit::Status(0)),
            (Some("fail"), ..) => Deed::None(Exit::Status(1)),
            (Some("hang"), ..) => Deed::None(Exit::TooLate),
            _ => Deed::None(Exit::Status(127)),
        }
    }

    /// Whoever works on a node's data ends what an earlier one has left running, as `pgherd rebuild` does.
    fn supersede(&mut self, node: usize) {
        for running in self.running.values_mut() {
            if matches!(running.deed, Deed::Rebuild { node: other, .. } if other == node) {
                running.deed = Deed::None(Exit::Status(1));
            }
        }
    }

    /// A command is to end, unless it has: it takes a while, and does no more.
    pub(crate) fn recall_command(&mut self, of: Peer, id: JobId) {
        let proxies = self.proxies;
        let is_it = |(_, running): &(&u64, &mut Running)| {
            running.of == of && running.id == id && running.proxy == proxies
        };
        if let Some((number, running)) = self.running.iter_mut().find(is_it) {
            running.deed = Deed::None(Exit::Recalled);
            self.stage.soon(1_000, 600_000, Event::Ended(*number));
        }
    }

    /// A command ends, and its machine is told, if that is still there.
    pub(crate) fn end_command(&mut self, number: u64) {
        let Some(Running { of, id, proxy, deed }) = self.running.remove(&number) else { return };
        let ending = match deed {
            Deed::None(Exit::Status(status)) => Ending::Exited(status),
            Deed::None(Exit::TooLate) => Ending::TimedOut,
            Deed::None(Exit::Recalled) => Ending::Recalled,
            Deed::Promote { node } => {
                let can = self.servers.get(node).is_some_and(|server| server.is_well());
                if can {
                    self.befall(node, Fault::Promote);
                }
                Ending::Exited(i32::from(!can))
            }
            Deed::Rebuild { node, primary, data } => {
                let can = self.servers.get(primary).is_some_and(|server| server.is_well());
                if can {
                    self.befall(
                        node,
                        match data {
                            Data::Copy => Fault::Rejoin(primary),
                            Data::Clone => Fault::Secede(primary),
                            Data::Own => Fault::Follow(primary),
                        },
                    );
                }
                Ending::Exited(i32::from(!can))
            }
        };
        if proxy == self.proxies {
            let message = Box::new(Message::Ended { job: id, ending });
            let input = Input::Message(of, message);
            self.process.with(&mut self.stage, of, |host, stage| host.run(stage, input));
        }
    }

    /// The commands that were run, without [`COMMANDS`], the first one first.
    #[must_use]
    pub fn commands(&self) -> &[String] {
        &self.commands
    }
}
