//! Online recovery: how a node that is out of service is made a standby again.

use super::findings::Findings;
use super::format::Format;
use super::mistake::{Herd, Unfit};
use super::note::NoteKind;
use super::parameters::LAST_NODE;
use super::policies::blame;
use super::secrets::Vault;
use super::settings::Settings;
use super::{AutoRecovery, Command, RecoveryMode, RecoveryPolicy};
use crate::auth::passwd::Users;
use crate::auth::secret::Secret;
use crate::id::BackendId;
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
    backends: usize,
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
        mode: mode(settings, &first_stage, findings),
        user,
        databases,
        first_stage,
        slot: slot_name(settings, backends, findings),
        auto: match settings.flag("auto_recovery") {
            true => AutoRecovery::On,
            false => AutoRecovery::Off,
        },
        timeout: timeout(settings, findings),
        command_timeout: settings.seconds("recovery_command_timeout"),
    }
}

/// Returns how it is done. Whoever comes with a `pgpool.conf` expects the extension's way, unless it
/// has a command of pgherd's.
fn mode(settings: &Settings, first_stage: &str, findings: &mut Findings) -> RecoveryMode {
    let line = settings.text("recovery_command", None);
    let command = (!line.trim().is_empty()).then(|| {
        let within = settings.seconds("recovery_command_timeout");
        RecoveryMode::Command(Command { line, within })
    });
    match (settings.choice("recovery_mode"), command, settings.format) {
        (Some("command") | None, Some(command), _) => command,
        (Some("command"), None, _) => {
            blame(settings, "recovery_mode", Herd::NoRecoveryCommand, findings);
            RecoveryMode::Off
        }
        (Some("extension"), _, _) | (None, None, Format::Pgpool) => RecoveryMode::Extension,
        (None, None, Format::Toml) if !first_stage.is_empty() => RecoveryMode::Extension,
        (Some(_), _, _) | (None, None, Format::Toml) => RecoveryMode::Off,
    }
}

/// `recovery_slot`: what the primary's replication slot for a node is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotName(String);

impl SlotName {
    /// Returns the name for a node; none where there are no slots.
    #[must_use]
    pub fn of(&self, node: BackendId) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.replace(NUMBER, &node.to_string()))
    }
}

/// What stands for the number of a node in the name of its slot.
const NUMBER: &str = "%d";

/// The slot by which pgherd marks a server whose writes it has stopped.
const FENCE: &str = "pgherd_fence";

/// The longest name of a slot, in bytes (`NAMEDATALEN` less one).
const NAME_LEN_MAX: usize = 63;

/// Tells whether a text is a slot's name. Such a name needs no quotes in a literal.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=NAME_LEN_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Reads `recovery_slot`. What it stands for has to be a name for every node, and one of its own
/// where several may stream at the same time.
fn slot_name(settings: &Settings, backends: usize, findings: &mut Findings) -> SlotName {
    let name = settings.text("recovery_slot", None);
    let last = name.replace(NUMBER, &LAST_NODE.to_string());
    let unfit = if name.is_empty() {
        return SlotName::default();
    } else if !is_name(&last) || last == FENCE {
        Unfit::SlotName { value: name }
    } else if backends > 2 && !name.contains(NUMBER) {
        Unfit::SharedSlot { value: name }
    } else {
        return SlotName(name);
    };
    blame(settings, "recovery_slot", unfit, findings);
    SlotName::default()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::tests::load_one;

    const TOML: &str = "sr_check_user = 'a'\n";
    const BACKEND: &str = "\n[[backends]]\nhostname = 'a'\nport = 5432\n";
    const CONF: &str = "sr_check_user = 'a'\nbackend_hostname0 = 'a'\nbackend_port0 = 5432\n";

    fn toml(lines: &str) -> String {
        format!("{TOML}{lines}{BACKEND}")
    }

    #[test]
    fn how_nodes_are_recovered_follows_from_what_is_there() {
        let cases = [
            (toml(""), "off"),
            (toml("recovery_1st_stage_command = 'x'"), "extension"),
            (toml("recovery_command = 'x'"), "command"),
            (toml("recovery_command = ' '"), "off"),
            (toml("recovery_command = 'x'\nrecovery_1st_stage_command = 'y'"), "command"),
            (toml("recovery_command = 'x'\nrecovery_mode = 'extension'"), "extension"),
            (toml("recovery_command = 'x'\nrecovery_mode = 'off'"), "off"),
            (CONF.to_owned(), "extension"),
            (format!("{CONF}recovery_command = 'x'\n"), "command"),
        ];
        for (text, expected) in cases {
            let path = if text.starts_with(CONF) { "pgpool.conf" } else { "pgherd.toml" };
            let config = load_one(path, &text).unwrap().config;
            assert_eq!(config.recovery.mode.word(), expected, "{text}");
            assert_eq!(config.shown("recovery_mode").unwrap().words, expected, "{text}");
        }
    }

    #[test]
    fn a_slot_has_the_number_of_its_node() {
        let named = |text: &str| load_one("pgherd.toml", &toml(text)).unwrap().config.recovery.slot;
        assert_eq!(named("recovery_slot = 'n_%d'").of(BackendId(7)).as_deref(), Some("n_7"));
        assert_eq!(named("recovery_slot = 'one'").of(BackendId(7)).as_deref(), Some("one"));
        assert_eq!(named("").of(BackendId(7)), None);
    }

    #[test]
    fn names_are_those_that_postgresql_takes() {
        let longest = "x".repeat(NAME_LEN_MAX);
        for good in ["a", "pgherd_127", "0", "_", &longest] {
            assert!(is_name(good), "{good}");
        }
        let too_long = format!("{longest}x");
        for bad in ["", "A", "a-b", "a b", "a'", "\u{e9}", "pgherd_%d", &too_long] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_a_mistake() {
        let crowd = BACKEND.replace("5432", "5433") + &BACKEND.replace("5432", "5434");
        let cases = [
            (toml("recovery_mode = 'command'"), "name it in recovery_command"),
            (toml("recovery_slot = 'Node-%d'"), "Node-%d is no name for a replication slot"),
            (toml("recovery_slot = 'pgherd_fence'"), "and not pgherd_fence"),
            (toml("recovery_slot = 's'") + &crowd, "several standbys cannot share"),
        ];
        for (text, expected) in cases {
            let mistakes = load_one("pgherd.toml", &text).unwrap_err();
            let said: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            assert!(said.len() == 1 && said[0].contains(expected), "{said:?}");
        }
    }

    /// Whoever recovers need not have a password, where the servers ask for none; whoever tells servers
    /// what to do does.
    #[test]
    fn orders_are_given_by_recovery_user_and_else_by_sr_check_user() {
        let cases = [
            ("", ("a", Some("look")), ("a", Some("look"))),
            ("recovery_user = 'r'\n", ("r", None), ("a", Some("look"))),
            (
                "recovery_user = 'r'\nrecovery_password = 'TEXTmend'\n",
                ("r", Some("mend")),
                ("r", Some("mend")),
            ),
        ];
        for (lines, recoverer, commander) in cases {
            let text = toml(&format!("sr_check_password = 'TEXTlook'\n{lines}"));
            let config = load_one("pgherd.toml", &text).unwrap().config;
            let shown = |(user, password): (&str, Option<&Secret>)| {
                (user.to_owned(), password.map(|secret| secret.expose().to_owned()))
            };
            let owned = |(user, password): (&str, Option<&str>)| {
                (user.to_owned(), password.map(str::to_owned))
            };
            assert_eq!(shown(config.recoverer()), owned(recoverer), "{lines}");
            assert_eq!(shown(config.commander_of(BackendId(0))), owned(commander), "{lines}");
        }
    }

    #[test]
    fn former_primaries_are_recovered_only_by_a_command() {
        let cases = [
            ("", false),
            ("recovery_1st_stage_command = 'x'", false),
            ("recovery_command = 'x'", true),
            ("recovery_command = 'x'\nauto_recovery = false", false),
            ("recovery_command = 'x'\nrecovery_mode = 'off'", false),
        ];
        for (lines, expected) in cases {
            let config = load_one("pgherd.toml", &toml(lines)).unwrap().config;
            assert_eq!(config.demotes(), expected, "{lines}");
        }
    }
}
