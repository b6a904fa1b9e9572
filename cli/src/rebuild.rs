//! `pgherd rebuild`: makes whatever is in a data directory a running standby of the primary.
//!
//! It is run on the machine of the node, by an operator or by a `recovery_command`. Everything that
//! could be in the way is looked at before anything is touched. From then on it may be killed at any
//! moment and be run again: what has to be known for that is in the directory beside (`place`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgherd_herd::Binaries;

use crate::account;
use crate::args::RebuildArgs;
use crate::ending::Ending;
use crate::say::say;

mod access;
mod attempts;
mod belongings;
mod contents;
mod control_data;
mod disk;
mod guards;
mod lock;
mod obstacle;
mod owner;
mod pid_file;
mod place;
mod plan;
mod primary;
mod server;
mod settings;
mod tools;
mod trouble;

use access::Access;
use attempts::{Attempt, attempts};
use contents::Contents;
use lock::Lock;
use place::{Mark, Place};
use plan::Plan;
use primary::Primary;
use server::{Server, Standing};
use tools::{Tools, Unrewound};
use trouble::Trouble;

/// Rebuilds a data directory, or tells how it would be done.
pub(crate) fn rebuild(args: &RebuildArgs) -> Result<(), Ending> {
    let untouched = |trouble: Trouble| {
        Ending::CannotStart(format!(
            "{trouble} ({} was not touched)",
            args.data_directory.display()
        ))
    };
    owner::become_owner(&args.data_directory).map_err(untouched)?;
    let place = Place::find(&args.data_directory).map_err(untouched)?;
    if args.dry_run {
        let Rebuild { plan, .. } = Rebuild::examine(args, &place).map_err(untouched)?;
        tell(&plan.facts());
        plan.steps().iter().for_each(|step| tell(&format!("would {step}")));
        return Ok(());
    }
    place.prepare().map_err(untouched)?;
    let lock = Lock::take(&place.lock(), &place.dir).map_err(untouched)?;
    let done = Rebuild::examine(args, &place)
        .map_err(untouched)
        .and_then(|rebuild| rebuild.carry_out(&lock).map_err(|it| Ending::NotDone(it.to_string())));
    drop(lock);
    place.leave();
    done
}

/// A plan, and what carries it out.
struct Rebuild<'a> {
    plan: Plan<'a>,
    tools: Tools,
    server: Server<'a>,
}

impl<'a> Rebuild<'a> {
    /// Finds out what there is, and whether it may be touched.
    fn examine(args: &'a RebuildArgs, place: &'a Place) -> Result<Self, Trouble> {
        guards::check_slot(plan::slot(args))?;
        let find = |version: Option<u32>| match (&args.bin_directory, version) {
            (Some(dir), _) => Binaries::in_dir(dir.clone()),
            (None, Some(version)) => Binaries::of_version(version),
            (None, None) => Binaries::find(),
        };
        let access = Access { host: args.host.clone(), port: args.port, user: user(args)? };
        let mut tools = Tools { binaries: find(None)? };
        let primary = Primary::ask(&tools, &access)?;
        if tools.binaries.version != primary.version {
            tools.binaries = find(Some(primary.version))?;
        }
        let contents = Contents::examine(place, &tools)?;
        guards::check(&place.dir, &contents, &primary, &access)?;
        guards::check_configuration(&place.dir, &contents, args.config_file.is_some())?;
        let attempts = attempts(args.method, &place.dir, &contents, primary.tablespaces > 0)?;
        let server = Server {
            dir: &place.dir,
            config_file: args.config_file.as_deref(),
            start_command: args.start_command.as_deref(),
            stop_command: args.stop_command.as_deref(),
            log: absolute(args.log.clone().unwrap_or_else(|| place.dir.join("startup.log")))?,
            limit: Duration::from_secs(args.timeout.into()),
        };
        Ok(Self { plan: Plan { args, place, access, contents, attempts }, tools, server })
    }

    /// Does it: one way after another, until one has led to a standby.
    fn carry_out(&self, lock: &Lock) -> Result<(), Trouble> {
        let Plan { place, access, attempts, .. } = &self.plan;
        tell(&self.plan.facts());
        if place.settle()? {
            tell("an earlier rebuild had moved the data directory away; it is back");
        }
        self.stop()?;
        if let Some(slot) = self.plan.slot() {
            tell(&format!("reserving WAL at the primary: replication slot {slot}"));
            primary::reserve(&self.tools, access, slot, self.server.limit)?;
        }
        let mut attempts = attempts.iter().peekable();
        while let Some(attempt) = attempts.next() {
            let outcome = self.attempt(*attempt, lock);
            match (outcome, attempts.peek()) {
                (Ok(()), _) => break,
                (Err(trouble), Some(_)) => {
                    tell(&trouble.to_string());
                    self.stop()?;
                }
                (Err(trouble), None) => return Err(trouble),
            }
        }
        Ok(())
    }

    fn stop(&self) -> Result<(), Trouble> {
        if self.server.is_running() {
            tell("stopping the server");
        }
        self.server.stop(&self.tools)
    }

    /// Goes one way to its end, which is a standby that follows.
    fn attempt(&self, attempt: Attempt, lock: &Lock) -> Result<(), Trouble> {
        match attempt {
            Attempt::Follow => {
                belongings::make_standby(&self.plan.place.dir, &self.plan.settings())?;
            }
            Attempt::Rewind => self.rewind(lock)?,
            Attempt::Copy => self.copy(lock)?,
        }
        tell("starting the server");
        self.server.start(&self.tools)?;
        match self.server.follow(&self.tools, &self.plan.access)? {
            Standing::Receives => tell("the server is a standby and receives from the primary"),
            Standing::Recovers(said) => tell(&format!(
                "the server is a standby; whether it receives, it does not tell us: {said}"
            )),
        }
        Ok(())
    }

    fn rewind(&self, lock: &Lock) -> Result<(), Trouble> {
        let Plan { place, access, args, .. } = &self.plan;
        self.keep()?;
        primary::settle_timeline(&self.tools, access)?;
        tell("rewinding the data directory with pg_rewind");
        self.ensure_stopped()?;
        place.mark(Mark::Rewinding)?;
        let outcome = self.tools.rewind(lock, access, args.config_file.as_deref(), &place.dir);
        // Whatever has become of it, it goes by its own configuration.
        belongings::restore(place, &place.dir)?;
        if outcome.is_ok() {
            belongings::drop_slots(&place.dir)?;
            belongings::make_standby(&place.dir, &self.plan.settings())?;
        }
        if !matches!(outcome, Err(Unrewound { is_touched: true, .. })) {
            place.unmark(Mark::Rewinding)?;
        }
        belongings::discard(place)?;
        outcome.map_err(|unrewound| unrewound.trouble)
    }

    fn copy(&self, lock: &Lock) -> Result<(), Trouble> {
        let Plan { place, contents, .. } = &self.plan;
        if matches!(contents, Contents::Data(_)) {
            self.keep()?;
        }
        self.ensure_stopped()?;
        if let Some(why) = place.fixed {
            tell(&format!("copying the primary with pg_basebackup, in place, because {why}"));
            place.mark(Mark::Emptied)?;
            place.unmark(Mark::Rewinding)?;
            disk::empty(&place.dir)?;
            self.fill(lock, &place.dir)?;
            place.unmark(Mark::Emptied)?;
            return belongings::discard(place);
        }
        tell("copying the primary with pg_basebackup, beside the data directory");
        if let Err(trouble) = self.fill(lock, &place.copy()) {
            disk::remove(&place.copy())?;
            // An earlier rebuild may have left the directory with the primary's.
            belongings::restore(place, &place.dir)?;
            belongings::discard(place)?;
            return Err(trouble);
        }
        self.ensure_stopped()?;
        tell("putting the copy in its place");
        place.swap()?;
        place.unmark(Mark::Rewinding)?;
        belongings::discard(place)
    }

    /// Copies the primary to a directory, and makes it a standby of this node's.
    fn fill(&self, lock: &Lock, dir: &Path) -> Result<(), Trouble> {
        let Plan { args, place, access, .. } = &self.plan;
        self.tools.base_backup(lock, access, self.plan.slot(), dir)?;
        let is_named = args.config_file.is_some() || args.start_command.is_some();
        if !is_named && !place.own().exists() && !dir.join("postgresql.conf").exists() {
            return Err(Trouble::NoConfiguration { dir: dir.to_owned() });
        }
        belongings::restore(place, dir)?;
        belongings::make_standby(dir, &self.plan.settings())
    }

    fn keep(&self) -> Result<(), Trouble> {
        let names = belongings::keep(self.plan.place)?;
        tell(&format!("keeping the node's own {}", names.join(", ")));
        Ok(())
    }

    /// Somebody may have started it meanwhile, as service managers do.
    fn ensure_stopped(&self) -> Result<(), Trouble> {
        if self.server.is_running() {
            let dir = self.plan.place.dir.clone();
            return Err(Trouble::RunsOn { dir, waited: Duration::ZERO });
        }
        Ok(())
    }
}

/// Whom the primary knows.
fn user(args: &RebuildArgs) -> Result<String, Trouble> {
    let named = args.user.clone().or_else(|| std::env::var("PGUSER").ok());
    match named.filter(|user| !user.is_empty()) {
        Some(user) => Ok(user),
        None => account::own_name().map_err(Trouble::Nameless),
    }
}

fn absolute(path: PathBuf) -> Result<PathBuf, Trouble> {
    std::path::absolute(&path).map_err(Trouble::io("find", &path))
}

/// Tells of a step before it is taken. Whoever reads may have left.
fn tell(step: &str) {
    say(&format!("{step}\n"));
}
