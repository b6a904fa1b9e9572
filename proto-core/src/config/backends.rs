//! The backend nodes, from the settings that carry their numbers.

use super::findings::Findings;
use super::format::Format;
use super::mistake::{Herd, Mistake, Unfit};
use super::note::NoteKind;
use super::parameters::nearest;
use super::settings::Settings;
use super::value::Value;
use super::{Backend, FailoverFlag};
use crate::id::BackendId;
use crate::time::Duration;
use std::collections::BTreeSet;

/// The parameters of a node.
const OF_A_NODE: [&str; 7] = [
    "backend_hostname",
    "backend_port",
    "backend_weight",
    "backend_data_directory",
    "backend_flag",
    "backend_priority",
    "backend_application_name",
];

/// The words of `backend_flag`.
const FLAGS: &[&str] = &["ALLOW_TO_FAILOVER", "DISALLOW_TO_FAILOVER", "ALWAYS_PRIMARY"];

/// What stands for a `connect_timeout` of zero, which would wait for a lost host forever.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the nodes.
pub(super) fn assemble(settings: &Settings, findings: &mut Findings) -> Vec<Backend> {
    let numbers: BTreeSet<u8> = OF_A_NODE.iter().flat_map(|name| settings.nodes(name)).collect();
    let mut backends = Vec::new();
    for node in numbers {
        if let Some(backend) = assemble_one(settings, node, findings) {
            check_against(&backends, &backend, settings, findings);
            backends.push(backend);
        }
    }
    note_zero_timeouts(settings, findings);
    let blamed = |m: &Mistake| m.key.as_deref().is_some_and(|key| key.starts_with("backend"));
    if backends.is_empty() && !findings.is_blind() && !findings.mistakes.iter().any(blamed) {
        findings.mistake(&settings.path, None, None, Herd::NoBackend);
    }
    if !backends.is_empty() && backends.iter().all(|backend| backend.weight == 0.0) {
        findings.note(&settings.path, None, Some("backend_weight"), NoteKind::NoWeight);
    }
    backends
}

fn assemble_one(settings: &Settings, node: u8, findings: &mut Findings) -> Option<Backend> {
    let of_node = Some(node);
    let hostname = settings.text("backend_hostname", of_node);
    let port = u16::try_from(settings.number("backend_port", of_node)).unwrap_or(0);
    let (failover, always_primary) = flags(settings, node, findings);
    match (hostname.is_empty(), port) {
        (false, 1..) => {}
        (false, 0) => {
            missing(
                settings,
                "backend_hostname",
                "backend_port",
                node,
                Herd::PortMissing,
                findings,
            );
            return None;
        }
        (true, 1..) => {
            let herd = Herd::HostnameMissing;
            missing(settings, "backend_port", "backend_hostname", node, herd, findings);
            return None;
        }
        (true, 0) => {
            note_stray(settings, node, findings);
            return None;
        }
    }
    let timeout = Duration::from_millis(settings.number("connect_timeout", of_node));
    Some(Backend {
        id: BackendId(node),
        hostname,
        port,
        weight: weight(settings, node),
        data_directory: settings.text("backend_data_directory", of_node),
        application_name: settings.text("backend_application_name", of_node),
        failover,
        always_primary,
        priority: u16::try_from(settings.number("backend_priority", of_node)).unwrap_or(u16::MAX),
        connect_timeout: if timeout.is_zero() { CONNECT_TIMEOUT } else { timeout },
    })
}

/// Returns a node's share of reads. Pgpool-II's default of 0 leaves a server without reads
/// until somebody finds out why; a file written for pgherd counts every server alike.
fn weight(settings: &Settings, node: u8) -> f64 {
    match (settings.given("backend_weight", Some(node)), settings.format) {
        (Some(Value::Real(weight)), _) => *weight,
        (_, Format::Toml) => 1.0,
        (_, Format::Pgpool) => 0.0,
    }
}

/// Reports half a node, unless the other half is there and wrong.
fn missing(
    settings: &Settings,
    there: &'static str,
    missing: &'static str,
    node: u8,
    herd: Herd,
    findings: &mut Findings,
) {
    if findings.is_blind() || findings.blames(&settings.key(missing, node)) {
        return;
    }
    if let Some(setting) = settings.setting(there, Some(node)) {
        findings.mistake(&setting.file, setting.line, Some(&setting.key), herd);
    }
}

/// Notes that something is said about a node that does not exist.
fn note_stray(settings: &Settings, node: u8, findings: &mut Findings) {
    if ["backend_hostname", "backend_port"].iter().any(|n| findings.blames(&settings.key(n, node)))
    {
        return;
    }
    let first = OF_A_NODE.iter().find_map(|name| settings.setting(name, Some(node)));
    if let Some(setting) = first {
        let kind = NoteKind::NodeWithoutPort;
        findings.note(&setting.file, setting.line, Some(&setting.key), kind);
    }
}

/// Reads `backend_flag`.
fn flags(settings: &Settings, node: u8, findings: &mut Findings) -> (FailoverFlag, bool) {
    let mut failover = None;
    let mut always_primary = false;
    let mut unfit = None;
    for word in settings.list("backend_flag", Some(node)) {
        match word.to_ascii_uppercase().as_str() {
            "ALWAYS_PRIMARY" => always_primary = true,
            "ALLOW_TO_FAILOVER" if failover != Some(FailoverFlag::Disallow) => {
                failover = Some(FailoverFlag::Allow);
            }
            "DISALLOW_TO_FAILOVER" if failover != Some(FailoverFlag::Allow) => {
                failover = Some(FailoverFlag::Disallow);
            }
            "ALLOW_TO_FAILOVER" | "DISALLOW_TO_FAILOVER" => unfit = Some(Unfit::FlagConflict),
            _ => {
                let meant = nearest(&word, FLAGS.iter().copied());
                unfit = Some(Unfit::NotAChoice { value: word, choices: FLAGS, meant });
            }
        }
    }
    if let (Some(unfit), Some(setting)) = (unfit, settings.setting("backend_flag", Some(node))) {
        findings.mistake(&setting.file, setting.line, Some(&setting.key), unfit);
    }
    (failover.unwrap_or_default(), always_primary)
}

/// Reports what a node must not share with another.
fn check_against(
    others: &[Backend],
    backend: &Backend,
    settings: &Settings,
    findings: &mut Findings,
) {
    let node = Some(backend.id.0);
    let same = |other: &&Backend| other.hostname == backend.hostname && other.port == backend.port;
    let twin = others.iter().find(same);
    if let (Some(twin), Some(setting)) = (twin, settings.setting("backend_port", node)) {
        let herd = Herd::SameServer { other: twin.id.0 };
        findings.mistake(&setting.file, setting.line, Some(&setting.key), herd);
    }
    let rival = others.iter().find(|other| other.always_primary && backend.always_primary);
    if let (Some(rival), Some(setting)) = (rival, settings.setting("backend_flag", node)) {
        let herd = Herd::TwoAlwaysPrimary { other: rival.id.0 };
        findings.mistake(&setting.file, setting.line, Some(&setting.key), herd);
    }
}

/// Notes each `connect_timeout` of zero.
fn note_zero_timeouts(settings: &Settings, findings: &mut Findings) {
    let nodes = settings.nodes("connect_timeout").map(Some);
    for node in std::iter::once(None).chain(nodes) {
        if settings.given("connect_timeout", node) != Some(&Value::Integer(0)) {
            continue;
        }
        if let Some(setting) = settings.setting("connect_timeout", node) {
            let kind = NoteKind::ZeroReplaced { used: "10s" };
            findings.note(&setting.file, setting.line, Some(&setting.key), kind);
        }
    }
}
