//! Loading: every mistake at once.
//!
//! A file becomes settings (`file`, `pgpool`), settings become values by the
//! table of parameters, and values a [`Config`]. Each step goes on behind a mistake.

use super::findings::Findings;
use super::format::Format;
use super::mistake::{Mistake, Syntax};
use super::note::{Note, NoteKind};
use super::secrets::Vault;
use super::settings::{Setting, Settings, Stored};
use super::{
    AuthPolicy, Config, backends, checks, file, logs, parameters, pcp, pgpool, policies, pools,
    shown, signs,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Lends the text of files.
pub trait Files {
    /// Reads a file, or says why not.
    ///
    /// # Errors
    /// The operating system's reason, as text.
    fn read(&self, path: &str) -> Result<String, String>;

    /// Tells whether a file is there, readable or not.
    fn exists(&self, path: &str) -> bool;

    /// Lends the key file, the one named on the command line or `.pgpoolkey`; none if there is
    /// none. It is asked for only if a secret is encrypted.
    fn key_file(&self) -> Option<KeyFile>;

    /// Names the file of the users of PCP, for the configuration at this path: the one named on the
    /// command line, or the `pcp.conf` beside the configuration; none if there is none.
    fn pcp_file(&self, _path: &str) -> Option<String> {
        None
    }
}

/// The file that holds the key to encrypted secrets.
#[derive(Clone)]
pub struct KeyFile {
    /// Its path, for messages.
    pub path: String,
    /// Its text, or why it must not be used.
    pub text: Result<String, KeyFault>,
}

impl std::fmt::Display for KeyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(why) => f.write_str(why),
            Self::ReadableByOthers => f.write_str("others can read it"),
        }
    }
}

/// Why a key file must not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// It cannot be read, for the operating system's reason.
    Unreadable(String),
    /// Its mode lets the group or others read it.
    ReadableByOthers,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.text.as_ref().map(|_| "…");
        f.debug_struct("KeyFile").field("path", &self.path).field("text", &text).finish()
    }
}

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

/// Finds the file with the passwords that a configuration names, for a tool that writes to it: the
/// file `pool_passwd` beside the configuration unless that says otherwise.
///
/// # Errors
/// As of [`text`].
pub fn password_file(path: &str, files: &dyn Files) -> Result<String, Vec<Mistake>> {
    const DEFAULT: &str = "pool_passwd";
    let name = text(path, "pool_passwd", files)?;
    Ok(beside(path, if name.is_empty() { DEFAULT } else { &name }))
}

/// Looks up one parameter whose value is text, for a tool that needs no more of a configuration; its
/// default if it is not set.
///
/// # Errors
/// Every mistake, if there are any in how the file is written; other values are not looked at.
pub fn text(path: &str, name: &'static str, files: &dyn Files) -> Result<String, Vec<Mistake>> {
    lookup(path, files).map(|settings| settings.text(name, None))
}

/// Reads a file's settings without checking what they mean together.
pub(super) fn lookup(path: &str, files: &dyn Files) -> Result<Settings, Vec<Mistake>> {
    let mut findings = Findings::default();
    let text = files.read(path).unwrap_or_else(|why| {
        findings.mistake(path, None, None, Syntax::Unreadable(why));
        String::new()
    });
    let (format, written, _) = settings(path, &text, files, &mut findings);
    if !findings.mistakes.is_empty() {
        return Err(findings.mistakes);
    }
    Ok(Settings::resolve(path, format, written, &mut findings))
}

/// Takes the settings and the users from the text of a file, in whichever format it is.
fn settings(
    path: &str,
    text: &str,
    files: &dyn Files,
    findings: &mut Findings,
) -> (Format, Vec<Setting>, Vec<Stored>) {
    let format = Format::of(path, text);
    match format {
        Format::Pgpool => (format, pgpool::read(path, text, files, findings), Vec::new()),
        Format::Toml => {
            let contents = file::read(path, text, findings);
            (format, contents.settings, contents.users)
        }
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
    let recovery = super::recovery::policy(&settings, &users, &mut vault, findings);
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
    config.show_word("recovery_mode", config.recovery.mode.word());
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

/// Resolves a file name as seen from another file.
pub(super) fn beside(path: &str, name: &str) -> String {
    match path.rsplit_once('/') {
        Some((directory, _)) if !name.starts_with('/') => format!("{directory}/{name}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests;
