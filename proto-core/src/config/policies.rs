//! The policies that hold for all nodes, from their settings.

use super::findings::Findings;
use super::format::Format;
use super::mistake::{Herd, Unfit};
use super::note::NoteKind;
use super::secrets::Vault;
use super::settings::Settings;
use super::{
    CheckPolicy, CpuAffinity, FailoverMode, FailoverPolicy, LogSessions, Method, StatementNotes,
};
use crate::auth::passwd::Users;
use crate::auth::secret::Secret;
use crate::time::Duration;

/// What stands for a period of zero: pgherd must look at its servers to know the primary.
const PERIOD: Duration = Duration::from_secs(10);

/// What stands for a timeout of zero, after which a silent server would never count as lost.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Reports modes that are known words but not served.
pub(super) fn check_modes(settings: &Settings, findings: &mut Findings) {
    let clustering = settings.choice("backend_clustering_mode");
    if let Some(mode) = clustering.filter(|mode| *mode != "streaming_replication") {
        blame(settings, "backend_clustering_mode", Unfit::ClusteringMode(mode), findings);
    }
}

/// Reports that nobody could connect.
pub(super) fn check_listening(settings: &Settings, findings: &mut Findings) {
    let empty = |name| settings.list(name, None).is_empty();
    if empty("listen_addresses") && empty("unix_socket_directories") {
        blame(settings, "listen_addresses", Herd::NowhereToListen, findings);
    }
}

/// Makes the policy of looking at servers; none if nobody is named to log in.
pub(super) fn checks(
    settings: &Settings,
    users: &Users,
    vault: &mut Vault<'_>,
    findings: &mut Findings,
) -> Option<CheckPolicy> {
    let pairs =
        [("sr_check_user", "sr_check_password"), ("health_check_user", "health_check_password")];
    let named = pairs.into_iter().find(|(user, _)| !settings.text(user, None).is_empty());
    let Some((user, password)) = named else {
        if !findings.is_blind() && !pairs.iter().any(|(user, _)| findings.blames(user)) {
            findings.mistake(&settings.path, None, Some("sr_check_user"), Herd::NoCheckUser);
        }
        return None;
    };
    let user = settings.text(user, None);
    Some(CheckPolicy {
        period: period(settings, findings),
        timeout: or_instead(settings, "health_check_timeout", TIMEOUT, "20s", findings),
        max_retries: u32::try_from(settings.number("health_check_max_retries", None))
            .unwrap_or(u32::MAX),
        retry_delay: settings.seconds("health_check_retry_delay"),
        password: check_password(settings, &user, password, users, vault, findings),
        user,
        database: or_postgres(settings.text("sr_check_database", None)),
    })
}

/// Returns the pause between two looks: the shorter one of those for lag and for health.
fn period(settings: &Settings, findings: &mut Findings) -> Duration {
    let lag = settings.limit("sr_check_period");
    let health = settings.limit("health_check_period");
    match (lag, health) {
        (Some(lag), Some(health)) => lag.min(health),
        (Some(period), None) | (None, Some(period)) => period,
        (None, None) => or_instead(settings, "sr_check_period", PERIOD, "10s", findings),
    }
}

/// Returns a time, or what stands for zero, with a note.
fn or_instead(
    settings: &Settings,
    name: &'static str,
    instead: Duration,
    used: &'static str,
    findings: &mut Findings,
) -> Duration {
    let Some(given) = settings.limit(name) else {
        if let Some(setting) = settings.setting(name, None) {
            let kind = NoteKind::ZeroReplaced { used };
            findings.note(&setting.file, setting.line, Some(&setting.key), kind);
        }
        return instead;
    };
    given
}

/// Finds the password for looking at servers: the one in the setting, or the user's entry.
fn check_password(
    settings: &Settings,
    user: &str,
    name: &'static str,
    users: &Users,
    vault: &mut Vault<'_>,
    findings: &mut Findings,
) -> Option<Secret> {
    let stored = settings.text(name, None);
    if let Some(setting) = settings.setting(name, None).filter(|_| !stored.is_empty()) {
        let place = (setting.file.as_str(), setting.line, setting.key.as_str());
        return vault.decode(user, &stored, place, findings);
    }
    let entry = users.password(user).cloned();
    if entry.is_none() {
        let kind = NoteKind::NoCheckPassword { user: user.to_owned() };
        findings.note(&settings.path, None, Some(name), kind);
    }
    entry
}

/// Reads `auth_method`.
pub(super) fn method(settings: &Settings) -> Option<Method> {
    match settings.choice("auth_method")? {
        "trust" => Some(Method::Trust),
        "password" => Some(Method::Password),
        "md5" => Some(Method::Md5),
        _ => Some(Method::Scram),
    }
}

/// Makes the policy of what is done when the primary is lost. Whoever comes with a `pgpool.conf`
/// expects servers to be promoted by its commands, and by nobody else.
pub(super) fn failover(settings: &Settings) -> FailoverPolicy {
    let mode = match (settings.choice("failover_mode"), settings.format) {
        (Some("promote"), _) | (None, Format::Toml) => FailoverMode::Promote,
        (Some(_), _) | (None, Format::Pgpool) => FailoverMode::Off,
    };
    FailoverPolicy { mode, lag_max: settings.number("failover_max_lag", None) }
}

/// Reads `cpu_affinity`.
pub(super) fn affinity(settings: &Settings, findings: &mut Findings) -> CpuAffinity {
    if settings.setting("cpu_affinity", None).is_none() {
        return CpuAffinity::Unset;
    }
    CpuAffinity::read(&settings.text("cpu_affinity", None)).unwrap_or_else(|bad| {
        blame(settings, "cpu_affinity", Unfit::BadAffinity(bad), findings);
        CpuAffinity::None
    })
}

/// Reads `log_min_messages`.
///
/// At Pgpool-II's default of `warning`, its LOG lines are shown, which is where it says who
/// connects and which server is lost. pgherd says so at `info`, so `warning` shows that too.
pub(super) fn log_level(settings: &Settings) -> log::LevelFilter {
    match settings.choice("log_min_messages").unwrap_or("warning") {
        "debug5" | "debug4" | "debug3" => log::LevelFilter::Trace,
        "debug" | "debug2" | "debug1" => log::LevelFilter::Debug,
        "error" | "fatal" | "panic" => log::LevelFilter::Error,
        _ => log::LevelFilter::Info,
    }
}

/// Reads `log_connections` and `log_disconnections`.
pub(super) fn log_sessions(settings: &Settings) -> LogSessions {
    match (settings.flag("log_connections"), settings.flag("log_disconnections")) {
        (false, false) => LogSessions::None,
        (true, false) => LogSessions::Connections,
        (false, true) => LogSessions::Disconnections,
        (true, true) => LogSessions::Both,
    }
}

/// Reads `log_statement`, `log_per_node_statement` and `notice_per_node_statement`.
pub(super) fn statements(settings: &Settings) -> StatementNotes {
    StatementNotes::default()
        .set(StatementNotes::LOG, settings.flag("log_statement"))
        .set(StatementNotes::LOG_PER_NODE, settings.flag("log_per_node_statement"))
        .set(StatementNotes::NOTICE_PER_NODE, settings.flag("notice_per_node_statement"))
}

/// Returns the database, of which Pgpool-II takes an empty name for `postgres`.
fn or_postgres(database: String) -> String {
    if database.is_empty() { "postgres".to_owned() } else { database }
}

/// Reports a problem where the parameter is set, or for the file if it is not.
pub(super) fn blame(
    settings: &Settings,
    name: &'static str,
    problem: impl Into<super::mistake::Problem>,
    findings: &mut Findings,
) {
    match settings.setting(name, None) {
        Some(setting) => {
            findings.mistake(&setting.file, setting.line, Some(&setting.key), problem);
        }
        None => findings.mistake(&settings.path, None, Some(name), problem),
    }
}
