//! Online recovery: how a node that is out of service is made a standby again.

use super::findings::Findings;
use super::format::Format;
use super::note::NoteKind;
use super::secrets::Vault;
use super::settings::Settings;
use super::{RecoveryMode, RecoveryPolicy};
use crate::auth::passwd::Users;
use crate::auth::secret::Secret;
use crate::time::Duration;

/// What stands for a `recovery_timeout` of zero, within which no server could start.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Where the extension's functions are looked for unless the file says where they are: Pgpool-II
/// takes the first since 4.7, and took the second before.
const DATABASES: [&str; 2] = ["postgres", "template1"];

/// Makes the policy.
pub(super) fn policy(
    settings: &Settings,
    users: &Users,
    vault: &mut Vault<'_>,
    findings: &mut Findings,
) -> RecoveryPolicy {
    let named = settings.text("recovery_user", None);
    let user = (!named.is_empty()).then(|| {
        let password = password(settings, &named, users, vault, findings);
        (named, password)
    });
    let databases = match settings.setting("recovery_database", None) {
        Some(_) => vec![settings.text("recovery_database", None)],
        None => DATABASES.map(str::to_owned).to_vec(),
    };
    let first_stage = settings.text("recovery_1st_stage_command", None);
    RecoveryPolicy {
        mode: mode(settings, &first_stage),
        user,
        databases,
        first_stage,
        timeout: timeout(settings, findings),
        command_timeout: settings.seconds("recovery_command_timeout"),
    }
}

/// Returns how it is done. Whoever comes with a `pgpool.conf` expects the extension's way.
fn mode(settings: &Settings, first_stage: &str) -> RecoveryMode {
    match (settings.choice("recovery_mode"), settings.format) {
        (Some("extension"), _) | (None, Format::Pgpool) => RecoveryMode::Extension,
        (None, Format::Toml) if !first_stage.is_empty() => RecoveryMode::Extension,
        (Some(_), _) | (None, Format::Toml) => RecoveryMode::Off,
    }
}

fn timeout(settings: &Settings, findings: &mut Findings) -> Duration {
    settings.limit("recovery_timeout").unwrap_or_else(|| {
        if let Some(setting) = settings.setting("recovery_timeout", None) {
            let kind = NoteKind::ZeroReplaced { used: "90s" };
            findings.note(&setting.file, setting.line, Some(&setting.key), kind);
        }
        TIMEOUT
    })
}

/// Finds the password of the user who recovers: the one in the setting, or the user's entry.
fn password(
    settings: &Settings,
    user: &str,
    users: &Users,
    vault: &mut Vault<'_>,
    findings: &mut Findings,
) -> Option<Secret> {
    let stored = settings.text("recovery_password", None);
    match settings.setting("recovery_password", None).filter(|_| !stored.is_empty()) {
        Some(setting) => {
            let place = (setting.file.as_str(), setting.line, setting.key.as_str());
            vault.decode(user, &stored, place, findings)
        }
        None => users.password(user).cloned(),
    }
}
