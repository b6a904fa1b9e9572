//! `pgherd check`: every mistake of the files, then every server and every credential.

use pgherd_core::auth::passwd::Stored;
use pgherd_core::config::{Backend, Config};
use pgherd_core::health::probe::QUERY;

use crate::args::CheckArgs;
use crate::dial::{Dial, Line};
use crate::ending::Ending;
use crate::files::{self, Disk};

/// Checks a configuration.
pub(crate) fn check(args: &CheckArgs) -> Result<(), Ending> {
    let disk = Disk::new(args.key_file.as_deref());
    let (config, notes) = files::read(&args.config, &disk).map_err(|mistakes| {
        for mistake in &mistakes {
            println!("{mistake}");
        }
        Ending::Mistakes(mistakes.len())
    })?;
    for note in &notes {
        println!("{note}");
    }
    print_not_yet(&config);
    println!("{}: no mistakes", args.config.display());
    if args.offline {
        return Ok(());
    }
    let failures: usize = config.backends.iter().map(|backend| try_server(&config, backend)).sum();
    if failures == 0 { Ok(()) } else { Err(Ending::CheckFailed(failures)) }
}

fn print_not_yet(config: &Config) {
    if config.not_yet.is_empty() {
        return;
    }
    println!("Not yet in effect:");
    for (name, value) in &config.not_yet {
        println!("  {name} = {value}");
    }
}

/// Tries a server as the user of the checks, then as every user; returns what failed.
fn try_server(config: &Config, backend: &Backend) -> usize {
    let checks = &config.checks;
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
    let mut failures = 0;
    match Dial::up(&line(&checks.user, stored.as_ref())).and_then(|mut dial| dial.ask(QUERY)) {
        Ok(rows) => {
            let is_standby = rows.first().and_then(|row| row.first()).is_some_and(|v| v == "t");
            let role = if is_standby { "standby" } else { "primary" };
            println!("{name}: {role}; sr_check_user \"{}\" can look at it", checks.user);
        }
        Err(error) => {
            println!("{name}: sr_check_user \"{}\": {error}", checks.user);
            failures += 1;
        }
    }
    for (user, stored) in config.auth.users.iter() {
        match Dial::up(&line(user, Some(stored))) {
            Ok(_) => println!("{name}: user \"{user}\" can log in"),
            Err(error) => {
                println!("{name}: user \"{user}\": {error}");
                failures += 1;
            }
        }
    }
    failures
}
