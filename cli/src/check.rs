//! `pgherd check`: every mistake of the files, then every command, server and credential.

mod commands;

use pgherd_core::auth::passwd::Stored;
use pgherd_core::config::{Backend, Config, FailoverMode, Note, NoteKind};
use pgherd_core::failover::privileges::{self, Lacks};
use pgherd_core::health::probe::QUERY;

use crate::args::CheckArgs;
use crate::dial::{Dial, Line, Unanswered};
use crate::ending::Ending;
use crate::files::{self, Disk};
use crate::say::say;

/// Checks a configuration.
pub(crate) fn check(args: &CheckArgs) -> Result<(), Ending> {
    let disk = Disk::new(args.key_file.as_deref()).with_pcp_file(args.pcp_file.as_deref());
    let (config, notes) = files::read(&args.config, &disk).map_err(|rejected| {
        print_notes(&rejected.notes);
        rejected.mistakes.iter().for_each(|mistake| print(&mistake.to_string()));
        Ending::Mistakes(rejected.mistakes.len())
    })?;
    print_notes(&notes);
    print(&format!("{}: no mistakes in the files", args.config.display()));
    if args.offline {
        return Ok(());
    }
    let commands = commands::look(&config);
    commands.lines.iter().for_each(|line| print(line));
    let servers: usize = config.backends.iter().map(|backend| try_server(&config, backend)).sum();
    let failures = commands.failures + servers;
    if failures == 0 { Ok(()) } else { Err(Ending::CheckFailed(failures)) }
}

/// What there is to know, and behind it the list of what is not yet in effect.
fn print_notes(notes: &[Note]) {
    let (not_yet, others): (Vec<_>, Vec<_>) =
        notes.iter().partition(|note| note.kind == NoteKind::NotYet);
    others.iter().for_each(|note| print(&note.to_string()));
    if !not_yet.is_empty() {
        print("Not yet in effect:");
    }
    for note in not_yet {
        let line = note.line.map(|line| format!(":{line}")).unwrap_or_default();
        print(&format!("  {}{line}: {}", note.file, note.key.as_deref().unwrap_or_default()));
    }
}

/// Prints a line. Whoever reads may have left; the exit code tells the rest.
fn print(line: &str) {
    say(&format!("{line}\n"));
}

/// Asks what the user lacks who tells servers what to do.
fn lacking(dial: &mut Dial) -> Result<Lacks, Unanswered> {
    let rows = dial.ask(privileges::VERSION)?;
    let version = rows.first().and_then(|row| row.first()).and_then(|text| text.parse().ok());
    Ok(privileges::lacking(&dial.ask(&privileges::query(version.unwrap_or(0)))?))
}

/// Tries a server as the user of the checks, then as every user; returns what failed.
fn try_server(config: &Config, backend: &Backend) -> usize {
    let checks = config.checks_of(backend.id);
    let stored = checks.password.clone().map(Stored::Plain);
    let name = format!("node {} ({}:{})", backend.id, backend.hostname, backend.port);
    let line = |user, stored| Line {
        host: &backend.hostname,
        port: backend.port,
        user,
        database: &checks.database,
        stored,
        timeout: backend.connect_timeout,
    };
    let (commander, password) = config.commander_of(backend.id);
    let password = password.cloned().map(Stored::Plain);
    let key = if commander == checks.user { "sr_check_user" } else { "recovery_user" };
    let mut failures = 0;
    let looked = Dial::up(&line(&checks.user, stored.as_ref())).and_then(|mut dial| {
        let rows = dial.ask(QUERY)?;
        let commands = &config.commands;
        let by_commands = commands.failover.is_some() && commands.follow_primary.is_some();
        let lacks = match config.failover.mode {
            FailoverMode::Promote if by_commands => Lacks::default(),
            FailoverMode::Promote if commander == checks.user => lacking(&mut dial)?,
            FailoverMode::Promote => lacking(&mut Dial::up(&line(commander, password.as_ref()))?)?,
            FailoverMode::Off => Lacks::default(),
        };
        Ok((rows, lacks))
    });
    match looked {
        Ok((rows, lacks)) => {
            let is_standby = rows.first().and_then(|row| row.first()).is_some_and(|v| v == "t");
            let role = if is_standby { "standby" } else { "primary" };
            print(&format!("{name}: {role}; sr_check_user \"{}\" can look at it", checks.user));
            print(&format!(
                "{name}: looked at every {} s, for {} s at most; lost after {} more looks in vain, {} s \
                 apart",
                checks.period.as_secs(),
                checks.timeout.as_secs(),
                checks.max_retries,
                checks.retry_delay.as_secs()
            ));
            if !lacks.failover.is_empty() {
                print(&format!(
                    "{name}: {key} \"{commander}\" cannot do what a failover takes: it lacks {}; grant \
                     that, or set failover_mode to off",
                    lacks.failover.join(", ")
                ));
                failures += 1;
            }
            if !lacks.switchover.is_empty() {
                print(&format!(
                    "{name}: {key} \"{commander}\" cannot do what a switchover takes: it lacks {}",
                    lacks.switchover.join(", ")
                ));
            }
        }
        Err(error) => {
            print(&format!("{name}: sr_check_user \"{}\": {error}", checks.user));
            failures += 1;
        }
    }
    for (user, stored) in config.auth.users.iter() {
        match Dial::up(&line(user, Some(stored))) {
            Ok(_) => print(&format!("{name}: user \"{user}\" can log in")),
            Err(error) => {
                print(&format!("{name}: user \"{user}\": {error}"));
                failures += 1;
            }
        }
    }
    failures
}
