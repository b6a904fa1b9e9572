//! The policies that hold for all nodes, from their settings.

use super::findings::Findings;
use super::format::Format;
use super::mistake::{Herd, Unfit};
use super::settings::Settings;
use super::{
    Command, Commands, CpuAffinity, FailoverMode, FailoverPolicy, LogSessions, Method,
    StatementNotes,
};

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
/// expects servers to be promoted by its `failover_command`, and by nobody else.
pub(super) fn failover(settings: &Settings) -> FailoverPolicy {
    let has_command = !settings.text("failover_command", None).trim().is_empty();
    let mode = match (settings.choice("failover_mode"), settings.format) {
        (Some("promote"), _) | (None, Format::Toml) => FailoverMode::Promote,
        (None, Format::Pgpool) if has_command => FailoverMode::Promote,
        (Some(_), _) | (None, Format::Pgpool) => FailoverMode::Off,
    };
    FailoverPolicy { mode, lag_max: settings.number("failover_max_lag", None) }
}

/// Reads the operator's commands. An empty one is none.
pub(super) fn commands(settings: &Settings) -> Commands {
    let command = |name: &'static str, timeout: &'static str| {
        let line = settings.text(name, None);
        let within = settings.seconds(timeout);
        (!line.trim().is_empty()).then_some(Command { line, within })
    };
    Commands {
        failover: command("failover_command", "failover_command_timeout"),
        failback: command("failback_command", "failback_command_timeout"),
        follow_primary: command("follow_primary_command", "follow_primary_command_timeout"),
    }
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
