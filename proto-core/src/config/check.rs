//! Loading: every mistake at once.
//!
//! A file becomes settings (`lookup`), settings become values by the
//! table of parameters, and values a [`Config`]. Each step goes on behind a mistake.

use super::files::Files;
use super::findings::Findings;
use super::lookup::settings;
use super::mistake::{Mistake, Syntax};
use super::note::{Note, NoteKind};
use super::secrets::Vault;
use super::settings::{Settings, Stored};
use super::{
    AuthPolicy, Config, backends, checks, logs, parameters, pcp, policies, pools, shown, signs,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What loading gave.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What the operator should know, in the order of the file's lines.
    pub notes: Vec<Note>,
}

/// Why loading gave no configuration, and what there is to know besides.
#[derive(Debug)]
pub struct Rejected {
    /// Every mistake found, in the order of the file's lines.
    pub mistakes: Vec<Mistake>,
    /// What the operator should know, in the order of the file's lines.
    pub notes: Vec<Note>,
}

/// Makes a configuration from `pgherd.toml` or `pgpool.conf`, whichever the content shows.
///
/// # Errors
/// Every mistake found, and every note.
pub fn load(path: &str, files: &dyn Files) -> Result<Loaded, Rejected> {
    let mut findings = Findings::default();
    let config = match files.read(path) {
        Ok(text) => read(path, &text, files, &mut findings),
        Err(why) => {
            findings.mistake(path, None, None, Syntax::Unreadable(why));
            None
        }
    };
    findings.sort(path);
    match config {
        Some(config) if findings.mistakes.is_empty() => {
            Ok(Loaded { config, notes: findings.notes })
        }
        _ => Err(Rejected { mistakes: findings.mistakes, notes: findings.notes }),
    }
}

fn read(path: &str, text: &str, files: &dyn Files, findings: &mut Findings) -> Option<Config> {
    let (format, written, stored) = settings(path, text, files, findings);
    let settings = Settings::resolve(path, format, written, findings);
    note_user_names(path, &stored, findings);
    let mut vault = Vault::new(files);
    let users = vault.users(&settings, &stored, findings);
    let backends = backends::assemble(&settings, findings);
    policies::check_modes(&settings, findings);
    policies::check_listening(&settings, findings);
    let checks = checks::policy(&settings, &users, &mut vault, findings);
    let node_checks = match &checks {
        Some(all) => {
            let ids = backends.iter().map(|backend| backend.id);
            checks::of_nodes(&settings, ids, all, &users, &mut vault, findings)
        }
        None => BTreeMap::new(),
    };
    let recovery = super::recovery::policy(&settings, &users, backends.len(), &mut vault, findings);
    let mut config = Config {
        listen_addresses: settings.list("listen_addresses", None),
        port: u16::try_from(settings.number("port", None)).ok()?,
        unix_socket_directories: settings.list("unix_socket_directories", None),
        pcp: pcp::policy(&settings, files, findings),
        backends,
        pool: pools::assemble(&settings, findings),
        auth: AuthPolicy {
            method: policies::method(&settings),
            timeout: settings.limit("authentication_timeout"),
            users,
        },
        routing: super::routing::routing(&settings, findings),
        checks: checks?,
        recovery,
        node_checks,
        catalog_refresh_period: pools::refresh_period(&settings),
        client_max: settings.count("client_max"),
        client_idle_limit: settings.limit("client_idle_limit"),
        shutdown_timeout: settings.seconds("shutdown_timeout"),
        signs: signs::policy(&settings),
        failover: policies::failover(&settings),
        commands: policies::commands(&settings),
        failover_wait_timeout: settings.seconds("failover_wait_timeout"),
        switchover_timeout: settings.seconds("switchover_timeout"),
        worker_threads: settings.count("worker_threads"),
        cpu_affinity: policies::affinity(&settings, findings),
        log_level: policies::log_level(&settings),
        log_sessions: policies::log_sessions(&settings),
        log: logs::log(&settings),
        pid_file_name: settings.path("pid_file_name"),
        work_dir: settings.path("work_dir"),
        statements: policies::statements(&settings),
        shown: Arc::default(),
        not_yet: settings.not_yet.clone(),
    };
    config.shown = Arc::new(shown::list(&settings, &config));
    signs::show(&settings, &mut config);
    config.show_word("failover_mode", config.failover.mode.word());
    let recovery = config.recovery.mode.word();
    config.show_word("recovery_mode", recovery);
    config.show_count("pool_size_max", config.pool.defaults.size_max);
    Some(config)
}

/// Notes users whose names are parameters: in TOML, whatever stands below `[users]` is a user.
fn note_user_names(path: &str, stored: &[Stored], findings: &mut Findings) {
    for Stored { line, name, .. } in stored {
        if matches!(parameters::find(name), parameters::Found::Known(..)) {
            let key = format!("users.{name}");
            findings.note(path, *line, Some(&key), NoteKind::UserLikeParameter);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
