//! Commands that a proxy has run: a host with a handful of programs, and what each does to the herd.
//!
//! A line is a program under [`COMMANDS`] and its words; whatever else is asked for is not found.
//! The programs stand for the scripts that operators write:
//!
//! | line | what it does |
//! |---|---|
//! | `failover LOST OLD HEIR` | promotes `HEIR` if `LOST` was the primary `OLD` |
//! | `stumble LOST OLD HEIR` | the same, and says that it has failed |
//! | `follow NODE PRIMARY` | makes `NODE` a standby of `PRIMARY`, with that one's data |
//! | `note WORDS` | nothing, and says that it has succeeded |
//! | `fail WORDS` | nothing, and says so |
//! | `hang WORDS` | nothing, for ever |
//!
//! What is run is kept for whoever asks ([`Simulation::commands`]).

use pgherd_core::job::lines::Lines;
use pgherd_core::job::{Ending, Job, JobId};
use pgherd_core::message::{Message, Peer};

use crate::agenda::Event;
use crate::driver::Input;
use crate::faults::Fault;
use crate::simulation::Simulation;

/// Where the programs are.
pub const COMMANDS: &str = "/simulated";

impl Simulation {
    /// Runs a command of a machine's, and decides when its end is told.
    pub(crate) fn run_command(&mut self, of: Peer, id: JobId, job: &Job) {
        let program = job.line.strip_prefix(COMMANDS).and_then(|line| line.strip_prefix('/'));
        let ending = match program {
            Some(program) => {
                self.commands.push(program.to_owned());
                self.carry_out(&program.split_whitespace().collect::<Vec<_>>())
            }
            None => Ending::Exited(127),
        };
        let output = Lines::default().take(format!("{}\n", job.line).as_bytes());
        self.stage.note(format_args!("{}: {output:?}, {ending:?}", job.name));
        let event = Event::Ended { of, id, ending: Box::new(ending.clone()) };
        match ending {
            Ending::TimedOut => self.stage.agenda.after(self.stage.now, job.within, event),
            Ending::Exited(_) | Ending::Killed(_) | Ending::NotStarted(_) => {
                self.stage.soon(1_000, 600_000, event);
            }
        }
    }

    fn carry_out(&mut self, words: &[&str]) -> Ending {
        let node = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
        match (words.first().copied(), node(1), node(2), node(3)) {
            (Some("failover" | "stumble"), Some(lost), Some(old), Some(heir)) => {
                let can = self.servers.get(heir).is_some_and(|server| server.is_well());
                if lost == old && can {
                    self.befall(heir, Fault::Promote);
                }
                let is_done = (lost != old || can) && words.first() == Some(&"failover");
                Ending::Exited(i32::from(!is_done))
            }
            (Some("follow"), Some(node), Some(primary), None) => {
                let can = self.servers.get(primary).is_some_and(|server| server.is_well());
                if can {
                    self.befall(node, Fault::Rejoin(primary));
                }
                Ending::Exited(i32::from(!can))
            }
            (Some("note"), ..) => Ending::Exited(0),
            (Some("fail"), ..) => Ending::Exited(1),
            (Some("hang"), ..) => Ending::TimedOut,
            _ => Ending::Exited(127),
        }
    }

    /// Tells a machine that its command has ended.
    pub(crate) fn end_command(&mut self, of: Peer, id: JobId, ending: Ending) {
        let message = Box::new(Message::Ended { job: id, ending });
        let input = Input::Message(of, message);
        self.process.with(&mut self.stage, of, |host, stage| host.run(stage, input));
    }

    /// The commands that were run, without [`COMMANDS`], the first one first.
    #[must_use]
    pub fn commands(&self) -> &[String] {
        &self.commands
    }
}
